// Curves: values under the pointer or by the arrow keys, and a legend that shows and hides.
(() => {
  "use strict";
  const SVG = "http://www.w3.org/2000/svg";

  const made = (tag, attributes, parent, space) => {
    const element = space ? document.createElementNS(space, tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (parent) parent.append(element);
    return element;
  };
  const digits = (v) => (v === null ? "–" : String(+v.toPrecision(4)).replaceAll("-", "−"));

  const setUp = (figure) => {
    const data = JSON.parse(figure.dataset.plot);
    const stage = figure.querySelector(".stage"), svg = stage.querySelector("svg");
    const groups = [...svg.querySelectorAll(".curve")], shown = data.curves.map(() => true);
    const px = (x) => data.x[0] + data.x[1] * x;
    const py = (y) => data.y[0] + data.y[1] * (data.w ? Math.asinh(y / data.w) : y);
    const colour = (k) => [...groups[k].classList].find((c) => c.startsWith("colour-"));

    const guide = made("path", { class: "guide", visibility: "hidden" }, svg, SVG);
    const dots = made("g", {}, svg, SVG);
    const tip = made("div", { class: "tip", hidden: "" }, stage);
    const spoken = made("p", { class: "spoken", "aria-live": "polite" }, figure);
    stage.tabIndex = 0;
    stage.setAttribute("role", "group");
    const title = figure.querySelector("figcaption").textContent;
    stage.setAttribute("aria-label", title + ": left and right arrow keys read values");

    const nearest = (curve, x) => {
      let best = -1, least = Infinity;
      curve.x.forEach((value, k) => {
        const away = value === null || curve.y[k] === null ? Infinity : Math.abs(px(value) - x);
        if (away < least) [best, least] = [k, away];
      });
      return best;
    };

    const hide = () => {
      tip.hidden = true;
      dots.replaceChildren();
      guide.setAttribute("visibility", "hidden");
    };

    // x, y in units of the picture; without y all curves are equally near.
    const show = (x, y) => {
      hide();
      let found = data.curves.map((curve, c) => ({ curve, c, k: shown[c] ? nearest(curve, x) : -1 })).filter((f) => f.k >= 0);
      if (!found.length) return "";
      for (const f of found) Object.assign(f, { x: px(f.curve.x[f.k]), y: py(f.curve.y[f.k]) });
      const closest = Math.min(...found.map((f) => Math.abs(f.x - x)));
      found = found.filter((f) => Math.abs(f.x - x) < closest + 12);
      if (y !== undefined) found.sort((a, b) => Math.abs(a.y - y) - Math.abs(b.y - y));
      found = found.slice(0, 8).sort((a, b) => a.c - b.c);
      const lead = found.reduce((a, b) => (Math.abs(b.x - x) < Math.abs(a.x - x) ? b : a));
      guide.setAttribute("d", `M${lead.x} ${data.top}V${data.bottom}`);
      guide.setAttribute("visibility", "visible");
      tip.replaceChildren();
      const head = `${data.xLabel}: ${digits(lead.curve.x[lead.k])}`;
      made("div", {}, tip).textContent = head;
      const words = [head];
      for (const f of found) {
        const { curve, k } = f;
        if (f.y > -50 && f.y < 400) made("circle", { class: `dot ${colour(f.c)}`, cx: f.x, cy: f.y, r: 3.5 }, dots, SVG);
        const row = made("div", {}, tip);
        made("i", { class: colour(f.c) }, row);
        made("span", {}, row).textContent = curve.name;
        const band = curve.low && curve.high ? ` [${digits(curve.low[k])}, ${digits(curve.high[k])}]` : "";
        made("b", {}, row).textContent = digits(curve.y[k]) + band;
        words.push(`${curve.name} ${digits(curve.y[k])}${band}`);
      }
      tip.hidden = false;
      const share = lead.x / svg.viewBox.baseVal.width;
      tip.style.left = share < 0.5 ? `calc(${100 * share}% + .8rem)` : "auto";
      tip.style.right = share < 0.5 ? "auto" : `calc(${100 * (1 - share)}% + .8rem)`;
      return words.join("; ");
    };

    stage.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect(), scale = svg.viewBox.baseVal.width / box.width;
      show((event.clientX - box.left) * scale, (event.clientY - box.top) * scale);
    });
    stage.addEventListener("pointerleave", hide);
    stage.addEventListener("blur", hide);

    let at = -1;
    stage.addEventListener("keydown", (event) => {
      const first = data.curves[shown.indexOf(true)];
      if (!first) return;
      const sound = first.x.map((_, k) => k).filter((k) => first.x[k] !== null && first.y[k] !== null);
      const stride = Math.max(1, Math.round(sound.length / 60)), last = sound.length - 1;
      const to = { ArrowRight: at + stride, ArrowLeft: at < 0 ? last : at - stride, Home: 0, End: last }[event.key];
      if (event.key === "Escape") return hide();
      if (to === undefined || !sound.length) return;
      event.preventDefault();
      at = Math.min(last, Math.max(0, to));
      spoken.textContent = show(px(first.x[sound[at]]));
    });

    [...figure.querySelectorAll(".legend li")].forEach((item, c) => {
      const button = made("button", { type: "button", "aria-pressed": "true" });
      button.append(...item.childNodes);
      item.append(button);
      button.addEventListener("click", () => {
        shown[c] = !shown[c];
        button.setAttribute("aria-pressed", shown[c]);
        groups[c].classList.toggle("off", !shown[c]);
        hide();
      });
    });
  };

  document.querySelectorAll("figure.plot").forEach(setUp);
})();
