// Films of atoms: balls, bonds and the cell on a canvas; drag to turn, wheel to zoom, play, pause, step.
(() => {
  "use strict";
  const ABSENT = -32768, TURN = 0.008, CORNERS = [0, 1, 2, 3, 4, 5, 6, 7];
  const calm = matchMedia("(prefers-reduced-motion: reduce)");

  const decoded = (text) => {
    const raw = atob(text), bytes = new Uint8Array(raw.length);
    for (let k = 0; k < raw.length; k++) bytes[k] = raw.charCodeAt(k);
    const view = new DataView(bytes.buffer), values = new Int16Array(raw.length / 2);
    for (let k = 0; k < values.length; k++) values[k] = view.getInt16(2 * k, true);
    return values;
  };

  const mixed = (colour, target, share) => "#" + [1, 3, 5].map((k) => {
    const part = parseInt(colour.slice(k, k + 2), 16);
    return Math.round((1 - share) * part + share * target).toString(16).padStart(2, "0");
  }).join("");

  // A shaded ball, drawn once for each element and then stamped.
  const ball = (colour) => {
    const size = 128, canvas = document.createElement("canvas"), pen = canvas.getContext("2d");
    canvas.width = canvas.height = size;
    const shade = pen.createRadialGradient(0.36 * size, 0.32 * size, 0, 0.36 * size, 0.32 * size, 0.75 * size);
    shade.addColorStop(0, mixed(colour, 255, 0.55));
    shade.addColorStop(0.45, colour);
    shade.addColorStop(1, mixed(colour, 0, 0.42));
    pen.fillStyle = shade;
    pen.strokeStyle = "rgb(0 0 0 / .45)";
    pen.lineWidth = 2;
    pen.beginPath();
    pen.arc(size / 2, size / 2, size / 2 - 1, 0, 2 * Math.PI);
    pen.fill();
    pen.stroke();
    return canvas;
  };

  const product = (a, b) => a.map((_, n) => {
    const r = 3 * Math.floor(n / 3), c = n % 3;
    return a[r] * b[c] + a[r + 1] * b[c + 3] + a[r + 2] * b[c + 6];
  });
  const turned = (m, x, y, z) => [m[0] * x + m[1] * y + m[2] * z, m[3] * x + m[4] * y + m[5] * z, m[6] * x + m[7] * y + m[8] * z];

  const setUp = (figure) => {
    const film = JSON.parse(figure.dataset.film), title = figure.dataset.title;
    const values = decoded(film.positions), n = film.kind.length, balls = film.kinds.map((kind) => ball(kind.colour));
    let view = film.view.slice(), zoom = 1, frame = film.frames - 1, timer = 0, waiting = false, visible = false;

    const stage = figure.querySelector(".stage"), canvas = document.createElement("canvas"), pen = canvas.getContext("2d");
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-label", `${title}, three-dimensional view: arrow keys turn, plus and minus zoom, 0 resets`);
    stage.append(canvas);

    const place = (f, k) => {
      const at = 3 * (f * n + k);
      return values[at] === ABSENT ? null : [values[at] * film.step, values[at + 1] * film.step, values[at + 2] * film.step];
    };
    const cellOf = (f) => film.cells[film.cells.length === 1 ? 0 : f];
    const corners = (f) => CORNERS.map((c) => [0, 1, 2].map((d) => [0, 1, 2].reduce((sum, v) => sum + ((c >> v & 1) - 0.5) * cellOf(f)[3 * v + d], 0)));

    // What is seen of the last frame stays in the picture, however it is turned.
    let reach = 2;
    for (const p of [...film.kind.map((_, k) => place(film.frames - 1, k)), ...corners(film.frames - 1)])
      if (p) reach = Math.max(reach, Math.hypot(...p) + 1);

    const bonds = (points) => {
      const largest = 2 * film.bond * Math.max(...film.kinds.map((kind) => kind.radius)), found = [];
      const order = points.map((_, k) => k).filter((k) => points[k]).sort((a, b) => points[a][0] - points[b][0]);
      for (let a = 0; a < order.length; a++) {
        const i = order[a], p = points[i], own = film.kinds[film.kind[i]].radius;
        for (let b = a + 1; b < order.length; b++) {
          const j = order[b], q = points[j];
          if (q[0] - p[0] > largest) break;
          const limit = film.bond * (own + film.kinds[film.kind[j]].radius);
          if ((q[0] - p[0]) ** 2 + (q[1] - p[1]) ** 2 + (q[2] - p[2]) ** 2 < limit * limit) found.push([i, j]);
        }
      }
      return found;
    };
    let bonded = [], bondedOf = -1;

    const draw = () => {
      waiting = false;
      const density = devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
      if (!width) return;
      if (canvas.width !== Math.round(width * density) || canvas.height !== Math.round(height * density)) {
        canvas.width = Math.round(width * density);
        canvas.height = Math.round(height * density);
      }
      const scale = zoom * 0.5 * Math.min(width, height) / reach, style = getComputedStyle(figure);
      const ink = style.getPropertyValue("--quiet"), mark = style.getPropertyValue("--ring");
      pen.setTransform(density, 0, 0, density, density * width / 2, density * height / 2);
      pen.clearRect(-width / 2, -height / 2, width, height);
      const points = film.kind.map((_, k) => place(frame, k));
      if (bondedOf !== frame) [bonded, bondedOf] = [bonds(points), frame];
      const seen = points.map((p) => p && turned(view, ...p));
      const line = (a, b) => {
        pen.beginPath();
        pen.moveTo(scale * a[0], -scale * a[1]);
        pen.lineTo(scale * b[0], -scale * b[1]);
        pen.stroke();
      };
      const parts = [];
      seen.forEach((p, k) => p && parts.push([p[2], () => {
        const radius = scale * film.ball * film.kinds[film.kind[k]].radius;
        pen.drawImage(balls[film.kind[k]], scale * p[0] - radius, -scale * p[1] - radius, 2 * radius, 2 * radius);
      }]));
      for (const [i, j] of bonded) parts.push([(seen[i][2] + seen[j][2]) / 2, () => {
        [pen.strokeStyle, pen.lineWidth] = [ink, 0.22 * scale];
        line(seen[i], seen[j]);
      }]);
      const ends = corners(frame).map((p) => turned(view, ...p));
      for (const a of CORNERS) for (const v of [1, 2, 4]) if (!(a & v)) parts.push([Math.min(ends[a][2], ends[a | v][2]), () => {
        [pen.strokeStyle, pen.lineWidth] = [ink, 1];
        line(ends[a], ends[a | v]);
      }]);
      pen.lineCap = "round";
      parts.sort((a, b) => a[0] - b[0]).forEach(([, paint]) => paint());
      [pen.strokeStyle, pen.lineWidth] = [mark, 2];
      for (const k of film.pair || []) if (seen[k]) {
        pen.beginPath();
        pen.arc(scale * seen[k][0], -scale * seen[k][1], scale * film.ball * film.kinds[film.kind[k]].radius + 2, 0, 2 * Math.PI);
        pen.stroke();
      }
    };
    const redraw = () => {
      if (!waiting && visible) {
        waiting = true;
        requestAnimationFrame(draw);
      }
    };

    const turn = (across, down) => {
      const [c, s, d, t] = [Math.cos(across), Math.sin(across), Math.cos(down), Math.sin(down)];
      view = product(product([1, 0, 0, 0, d, -t, 0, t, d], [c, 0, s, 0, 1, 0, -s, 0, c]), view);
      redraw();
    };
    const enlarge = (factor) => {
      zoom = Math.min(20, Math.max(0.3, zoom * factor));
      redraw();
    };

    let [fromX, fromY] = [0, 0];
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      [fromX, fromY] = [event.clientX, event.clientY];
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!(event.buttons & 1)) return;
      turn(TURN * (event.clientX - fromX), TURN * (event.clientY - fromY));
      [fromX, fromY] = [event.clientX, event.clientY];
    });
    // Only once it has the focus, or the page could not be scrolled past it.
    canvas.addEventListener("wheel", (event) => {
      if (document.activeElement !== canvas) return;
      event.preventDefault();
      enlarge(Math.exp(-0.0015 * event.deltaY));
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => {
      const turns = { ArrowLeft: [-0.15, 0], ArrowRight: [0.15, 0], ArrowUp: [0, -0.15], ArrowDown: [0, 0.15] }[event.key];
      if (turns) turn(...turns);
      else if (event.key === "+" || event.key === "=") enlarge(1.2);
      else if (event.key === "-") enlarge(1 / 1.2);
      else if (event.key === "0") {
        [view, zoom] = [film.view.slice(), 1];
        redraw();
      } else return;
      event.preventDefault();
    });

    const controls = document.createElement("div"), button = document.createElement("button");
    const slider = document.createElement("input"), output = document.createElement("output");
    controls.className = "controls";
    button.type = "button";
    Object.assign(slider, { type: "range", min: 0, max: film.frames - 1, step: 1, value: frame });
    slider.setAttribute("aria-label", `Frame of ${title}`);
    const say = () => {
      const time = film.times.length ? `${+film.times[frame].toPrecision(6)} fs` : "";
      output.textContent = [`${frame + 1} / ${film.frames}`, time].filter(Boolean).join(", ");
      slider.setAttribute("aria-valuetext", `frame ${frame + 1} of ${film.frames}${time && ", " + time}`);
    };
    const go = (to) => {
      slider.value = frame = to;
      say();
      redraw();
    };
    const pause = () => {
      clearInterval(timer);
      timer = 0;
      button.textContent = "▶ Play";
      button.setAttribute("aria-label", `Play ${title}`);
    };
    const play = () => {
      if (frame === film.frames - 1) go(0);
      button.textContent = "❚❚ Pause";
      button.setAttribute("aria-label", `Pause ${title}`);
      timer = setInterval(() => (frame < film.frames - 1 ? go(frame + 1) : pause()), calm.matches ? 600 : 100);
    };
    button.addEventListener("click", () => (timer ? pause() : play()));
    slider.addEventListener("input", () => {
      pause();
      go(+slider.value);
    });
    if (film.frames > 1) {
      controls.append(button, slider, output);
      stage.after(controls);
    }
    const hint = document.createElement("p");
    hint.className = "caption hint";
    hint.textContent = "Drag to turn; click, then use the wheel to zoom.";
    figure.append(hint);

    pause();
    say();
    figure.classList.add("live");
    new ResizeObserver(redraw).observe(canvas);
    new IntersectionObserver((entries) => {
      visible = entries.some((entry) => entry.isIntersecting);
      if (!visible) pause();
      redraw();
    }).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  };

  document.querySelectorAll("figure.film").forEach(setUp);
})();
