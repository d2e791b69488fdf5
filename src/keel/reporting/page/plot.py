"""Curves as SVG, readable without scripts and in print, with the numbers that make it interactive."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from keel.atoms.frame import Array
from keel.evaluation.check import Curve
from keel.reporting.page.thinning import kept
from keel.wording import capitalised, listed, number, typeset

WIDTH, HEIGHT = 420.0, 250.0
"""Size of a plot, in units in which letters are 11 high."""
TOP, BOTTOM, RIGHT = 10.0, 42.0, 12.0
COLOURS = 8
"""Colours of curves in the style sheet; ``0`` is the ink of the page."""
DASHES = ("", "6 3", "2 3", "9 3 2 3")

STEEP = 100.0
"""An axis is drawn as asinh(y / w) if its range is this many times that of the middle half of the values."""
DECADES = 6
"""Such an axis ends this many decades above w."""


@dataclass(frozen=True, eq=False)
class Line:
    """A curve with its name in the legend, its colour (0 is ink) and its dashes."""

    name: str
    curve: Curve
    colour: int
    dash: int = 0

    @property
    def columns(self) -> list[Array]:
        """Return y, and the band where there is one."""
        return [c for c in (self.curve.y, self.curve.low, self.curve.high) if c is not None]


@dataclass(frozen=True)
class Axis:
    """From values to places in the picture: a + b f(value), f(v) = asinh(v / w), or v if w is 0."""

    a: float
    b: float
    w: float
    low: float
    high: float
    ticks: tuple[float, ...]
    overflow: bool = False

    def place(self, values: Array) -> Array:
        """Return places, shape (K,)."""
        scaled = np.arcsinh(values / self.w) if self.w else values
        return np.asarray(self.a + self.b * scaled, dtype=np.float64)

    def labels(self) -> list[str]:
        """Return the ticks in words."""
        if self.w or len(self.ticks) < 2:
            return [number(t) for t in self.ticks]
        step = abs(self.ticks[1] - self.ticks[0])
        largest = max(map(abs, self.ticks))
        if not 1e-3 <= largest < 1e6:
            return [number(t, 3 + max(0, round(math.log10(largest / step)))) for t in self.ticks]
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        return [f"{t + 0.0:.{decimals}f}".replace("-", "−") for t in self.ticks]


@dataclass(frozen=True)
class Plot:
    """A picture of curves with common axes.

    Parameters
    ----------
    title, note, alt
        Text above it, below it (may be empty), and for readers who cannot see it.
    svg
        The picture, as HTML.
    data
        What the page's script needs to read values off it, as JSON.
    lines
        Curves in the legend.
    """

    title: str
    note: str
    alt: str
    svg: str
    data: str
    lines: tuple[Line, ...]


def plot(lines: Sequence[Line], runs: int = 100) -> Plot:
    """Draw curves that have common labels; each is thinned to ``runs`` runs of points."""
    x_label, y_label = (typeset(label) for label in (lines[0].curve.x_label, lines[0].curve.y_label))
    shown = [_thinned(line, runs) for line in lines]
    vertical = axis(np.concatenate([c for line in shown for c in line.columns]), HEIGHT - BOTTOM, TOP, steep=True)
    left = 30.0 + 6.1 * max(map(len, vertical.labels()))
    horizontal = axis(np.concatenate([line.curve.x for line in shown]), left, WIDTH - RIGHT)
    title = capitalised(f"{_bare(y_label)} against {_bare(x_label)}")
    alt = f"{title}: {listed([line.name for line in shown])}; {x_label} {_span(line.curve.x for line in shown)}, "
    alt += f"{y_label} {_span(line.curve.y for line in shown)}."
    body = _axes(horizontal, vertical, x_label, y_label) + _curves(shown, horizontal, vertical)
    opening = f'<svg class="figure" role="img" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" aria-label="{escape(alt)}">'
    svg = f"{opening}{body}</svg>"
    return Plot(title, _note(shown, vertical), alt, svg, _data(shown, horizontal, vertical, x_label), tuple(shown))


def axis(values: Array, start: float, end: float, *, steep: bool = False) -> Axis:
    """Return an axis for all finite values between two positions."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    w, overflow = 0.0, False
    if steep and len(finite) and high - low > STEEP * float(np.subtract(*np.percentile(finite, [75, 25]))):
        w = _width(finite)
    if w:
        end_of_axis = w * 10.0**DECADES
        overflow = max(high, -low) > end_of_axis
        low, high = max(low, -end_of_axis), min(high, end_of_axis)
    bottom, top = (math.asinh(low / w), math.asinh(high / w)) if w else (low, high)
    margin = (0.04 if steep else 0.0) * (top - bottom)
    if not margin and top - bottom <= 1e-12 * max(abs(top), abs(bottom)):
        margin = 0.1 * abs(top) or 0.5
    bottom, top = bottom - margin, top + margin
    low, high = (w * math.sinh(bottom), w * math.sinh(top)) if w else (bottom, top)
    b = (end - start) / (top - bottom)
    ticks = (_decades(low, high, w) if w else ()) or _ticks(low, high)
    return Axis(start - b * bottom, b, w, low, high, ticks, overflow)


def _width(values: Array) -> float:
    """Return the power of ten below which an axis is linear; 0 where no such axis would help."""
    sizes = np.abs(values[values != 0])
    return 0.0 if len(sizes) < 8 else 10.0 ** math.floor(math.log10(float(np.median(sizes))))


def _ticks(low: float, high: float) -> tuple[float, ...]:
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * min((m for m in (1, 2, 5, 10) if m * power >= 0.999 * rough), default=10)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return tuple(step * k for k in range(first, last + 1))


def _decades(low: float, high: float, w: float) -> tuple[float, ...]:
    smallest = round(math.log10(w)) + 1
    largest = math.floor(math.log10(max(high, -low)) + 1e-9)
    stride = max(1, (largest - smallest) // 4 + 1) if largest > smallest else 1
    sizes = [10.0**k for k in range(smallest, largest + 1, stride)]
    return tuple(t for t in (*[-s for s in reversed(sizes)], 0.0, *sizes) if low <= t <= high)


def _thinned(line: Line, runs: int) -> Line:
    c = line.curve
    keep = kept([c.x, *line.columns], runs)
    low, high = (None if band is None else band[keep] for band in (c.low, c.high))
    return Line(line.name, Curve(c.name, c.x[keep], c.y[keep], c.x_label, c.y_label, low, high), line.colour, line.dash)


def _bare(label: str) -> str:
    """Return a label without its unit."""
    return re.sub(r" \([^()]*\)$", "", label)


def _span(columns: Iterable[Array]) -> str:
    values = np.concatenate(list(columns))
    finite = values[np.isfinite(values)]
    return f"from {number(finite.min(), 3)} to {number(finite.max(), 3)}" if len(finite) else "nowhere finite"


def _note(lines: Sequence[Line], vertical: Axis) -> str:
    notes = []
    if vertical.w:
        notes.append(f"The vertical axis is linear up to about {number(vertical.w)} and logarithmic beyond.")
    if vertical.overflow:
        notes.append("Some values lie beyond it.")
    if any(line.curve.low is not None for line in lines):
        notes.append("Shaded bands span the lower to the upper bound of a curve.")
    if missing := sum(int((~np.isfinite(line.curve.y)).sum()) for line in lines):
        notes.append(f"{missing} of the points shown {'is' if missing == 1 else 'are'} not finite and left open.")
    return " ".join(notes)


def _axes(x: Axis, y: Axis, x_label: str, y_label: str) -> str:
    bottom, left, right = HEIGHT - BOTTOM, x.place(np.array([x.low]))[0], WIDTH - RIGHT
    parts = []
    for place, text in zip(y.place(np.array(y.ticks)), y.labels(), strict=True):
        parts.append(f'<path class="grid" d="M{left:.1f} {place:.1f}H{right:.1f}"/>')
        parts.append(f'<text x="{left - 6:.1f}" y="{place + 3.5:.1f}" text-anchor="end">{text}</text>')
    for place, text in zip(x.place(np.array(x.ticks)), x.labels(), strict=True):
        parts.append(f'<path class="axis" d="M{place:.1f} {bottom:.1f}v4"/>')
        parts.append(f'<text x="{place:.1f}" y="{bottom + 16:.1f}" text-anchor="middle">{text}</text>')
    parts.append(f'<path class="axis" d="M{left:.1f} {bottom:.1f}H{right:.1f}"/>')
    middle, height = (left + right) / 2, (TOP + bottom) / 2
    parts.append(f'<text x="{middle:.1f}" y="{HEIGHT - 6:.1f}" text-anchor="middle">{escape(x_label)}</text>')
    turned = f'transform="translate(12 {height:.1f}) rotate(-90)"'
    return "".join(parts) + f'<text {turned} text-anchor="middle">{escape(y_label)}</text>'


def _curves(lines: Sequence[Line], x: Axis, y: Axis) -> str:
    # A nested picture clips what goes beyond the axes.
    left, height = float(x.place(np.array([x.low]))[0]) - 2, HEIGHT - BOTTOM
    width = WIDTH - RIGHT - left + 3
    place = f'x="{left:.1f}" width="{width:.1f}" height="{height:.1f}"'
    box = f"{left:.1f} 0 {width:.1f} {height:.1f}"
    opening = f'<svg {place} viewBox="{box}" aria-hidden="true">'
    return f"{opening}{''.join(_drawn(line, x, y) for line in lines)}</svg>"


def _drawn(line: Line, x: Axis, y: Axis) -> str:
    across = x.place(line.curve.x)
    # Far outside there is nothing to see, and huge coordinates break renderers.
    up, *band = (np.clip(y.place(c), -HEIGHT, 2 * HEIGHT) for c in line.columns)
    area = f'<path class="band" d="{_area(across, *band)}"/>' if len(band) == 2 else ""
    dash = f' stroke-dasharray="{DASHES[line.dash]}"' if DASHES[line.dash] else ""
    return f'<g class="curve colour-{line.colour}">{area}<path class="line"{dash} d="{_path(across, up)}"/></g>'


def _path(x: Array, y: Array) -> str:
    text, pen = [], False
    for a, b in zip(x, y, strict=True):
        if ok := bool(np.isfinite(a) and np.isfinite(b)):
            # h0 makes an isolated point a dot.
            text.append(f"L{a:.1f} {b:.1f}" if pen else f"M{a:.1f} {b:.1f}h0")
        pen = ok
    return "".join(text)


def _area(x: Array, low: Array, high: Array) -> str:
    sound = np.isfinite(x) & np.isfinite(low) & np.isfinite(high)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], sound, [False]]).astype(int)))
    parts = []
    for a, b in edges.reshape(-1, 2):
        there = [f"{u:.1f} {v:.1f}" for u, v in zip(x[a:b], high[a:b], strict=True)]
        back = [f"{u:.1f} {v:.1f}" for u, v in zip(x[a:b][::-1], low[a:b][::-1], strict=True)]
        parts.append(f"M{'L'.join(there + back)}Z")
    return "".join(parts)


def _data(lines: Sequence[Line], x: Axis, y: Axis, x_label: str) -> str:
    curves = [{"name": line.name, **_columns(line.curve)} for line in lines]
    scales = {"x": [x.a, x.b], "y": [y.a, y.b], "w": y.w, "top": TOP, "bottom": HEIGHT - BOTTOM, "xLabel": x_label}
    return json.dumps({**scales, "curves": curves}, separators=(",", ":"), allow_nan=False)


def _columns(curve: Curve) -> dict[str, list[float | None]]:
    columns = {"x": curve.x, "y": curve.y, "low": curve.low, "high": curve.high}
    return {name: _digits(values) for name, values in columns.items() if values is not None}


def _digits(values: Array) -> list[float | None]:
    return [float(f"{v:.5g}") if math.isfinite(v) else None for v in values.tolist()]
