"""Pressure of crystals under uniform compression, networks beside their teacher."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keel.atoms.frame import Array
from keel.atoms.units import GPA
from keel.evaluation.equilibrium.squeeze import Squeezed
from keel.reporting.figures.style import INK, QUIET, Column, ReportFigure, joined, new_figure, slug, styled
from keel.results.run import Trials
from keel.training.known import look_of
from keel.wording import typeset

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINEAR_GPA = 5.0
"""Pressures are drawn as asinh(P / this): linear well below, logarithmic well above."""
HIGHEST_GPA = 1e6
TICKS_GPA = (0.0, *(sign * 10.0**k for k in range(1, 7) for sign in (-1, 1)))


@styled
def squeeze_figure(network: str, crystal: str, trials: Trials, teacher: Sequence[Squeezed]) -> ReportFigure:
    """Pressure of one crystal against its length: each strategy, and the teacher dashed."""
    figure, axes = new_figure(height=2.9)
    axes.axhline(0, color=QUIET, linewidth=0.7)
    parts: list[tuple[Column | object, ...]] = []
    for taught in (s for s in teacher if s.name == crystal):
        _draw(axes, taught, color=INK, linestyle="--", linewidth=1.5, label="teacher")
        parts.append(("teacher", "", *_columns(taught)))
    drawn: set[str] = set()
    for trial, found in ((t, s) for t in trials for s in t.squeezed if s.name == crystal):
        # One seed is drawn boldly and named, the others show the spread.
        further = trial.strategy in drawn
        width, alpha, label = (0.7, 0.55, None) if further else (1.5, 1.0, trial.strategy)
        look = look_of(trial.strategy)
        _draw(axes, found, color=look.colour, linestyle=look.line, linewidth=width, alpha=alpha, label=label)
        parts.append((trial.strategy, trial.seed, *_columns(found)))
        drawn.add(trial.strategy)
    _pressure_axis(axes, (np.asarray(part[-1]) for part in parts))
    axes.set(xlabel="length (1: uncompressed)")
    axes.invert_xaxis()
    axes.set_title(typeset(crystal))
    axes.legend(loc="upper left", ncols=2, handlelength=1.8, columnspacing=1)
    shown = ", ".join(dict.fromkeys(str(part[0]) for part in parts))
    return ReportFigure(
        name=slug("squeeze", network, crystal.replace(" angstrom^3/atom", "")),
        alt=f"Pressure of {typeset(crystal)} under uniform compression: {shown}.",
        figure=figure,
        data=joined(("curve", "seed", "length", "volume", "energy", "pressure_gpa"), parts),
    )


def _columns(crystal: Squeezed) -> tuple[Array, ...]:
    return crystal.length, crystal.volume, crystal.energy, crystal.pressure / GPA


def _draw(axes: Axes, crystal: Squeezed, **style: Any) -> None:
    """Draw a curve, with a cross where the pressure first falls."""
    pressure = np.clip(crystal.pressure / GPA, -10 * HIGHEST_GPA, 10 * HIGHEST_GPA)
    axes.plot(crystal.length, pressure, **style)
    if crystal.first_fall is not None:
        at = crystal.pressure_at(crystal.first_fall) / GPA
        axes.plot([crystal.first_fall], [at], color=style["color"], marker="x", markersize=6, alpha=style.get("alpha"))


def _pressure_axis(axes: Axes, curves: Iterable[Array]) -> None:
    """Scale the axis so that both a fall of some GPa and a wall of thousands are seen."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    values = np.concatenate(list(curves))
    values = values[np.isfinite(values)]
    low, high = (
        max(min(values.min(initial=0.0) * 2, -2.0), -HIGHEST_GPA),
        min(values.max(initial=5.0) * 6, HIGHEST_GPA),
    )
    axes.set_yscale("asinh", linear_width=LINEAR_GPA)
    axes.set(ylabel="pressure (GPa)", ylim=(low, high))
    axes.yaxis.set_major_locator(FixedLocator([tick for tick in TICKS_GPA if low <= tick <= high]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}".replace("-", "−")))
    axes.yaxis.set_minor_locator(NullLocator())
