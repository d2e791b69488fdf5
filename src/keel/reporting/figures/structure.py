"""A picture of atoms before a failure: balls of covalent radius in a periodic cell, the closest pair marked."""

from __future__ import annotations

import re
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from keel.atoms.elements import COVALENT_RADII, symbol
from keel.atoms.frame import Array, Frame
from keel.reporting.figures.style import INK, QUIET, ReportFigure, new_figure, slug, styled
from keel.reporting.figures.view import ClosestPair, best_view, centred, closest_pair, hiding

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARK = "#d1006c"


@styled
def failure_figure(network: str, strategy: str, frame: Frame) -> ReportFigure:
    """The structure just before a run failed, its closest pair marked; atoms in front of the pair are translucent.

    ``frame`` has at least two atoms, and their positions are finite.
    """
    figure, axes = new_figure(height=3.5)
    axes.set_axis_off()
    axes.set_aspect("equal")
    pair = closest_pair(frame)
    positions = centred(frame, pair)
    view = best_view(positions, frame, pair)
    seen = positions @ view.T
    draw_cell(axes, frame, view)
    draw_atoms(axes, frame, seen, pair)
    mark_pair(axes, frame, seen, pair)
    draw_legend(axes, frame)
    names = "–".join(symbol(int(frame.numbers[end])) for end in sorted((pair.i, pair.j), key=frame.numbers.__getitem__))
    cause, time = str(frame.info.get("cause", "failure")), frame.info.get("time_fs")
    start = re.split(r"[/\\]", str(frame.info.get("start", "a test structure")))[-1]
    what = cause if time is None else f"{cause} at {float(time):g} fs"
    return ReportFigure(
        name=slug("failure", network, strategy),
        title=f"{strategy}: {what}",
        caption=f"Closest pair: {names}, {pair.distance:.2f} Å, {100 * pair.ratio:.0f} % of the sum of their covalent "
        f"radii. {len(frame)} atoms; started from {start}.",
        alt=f"Structure of {len(frame)} atoms before the failure of a {strategy} run ({what}); {names} at "
        f"{pair.distance:.2f} angstrom is marked.",
        figure=figure,
        data={
            "element": [symbol(int(z)) for z in frame.numbers],
            **{axis: positions[:, k] for k, axis in enumerate("xyz")},
            "closest_pair": [index in (pair.i, pair.j) for index in range(len(frame))],
        },
        on_paper=True,
    )


def draw_cell(axes: Axes, frame: Frame, view: Array) -> None:
    """Draw the edges of the cell around the atoms: those behind its middle before the atoms, the others above."""
    if frame.volume == 0:
        return
    corners = np.array(list(product((-0.5, 0.5), repeat=3))) @ frame.cell @ view.T
    for first, second in product(range(8), repeat=2):
        if first < second and (first ^ second).bit_count() == 1:
            edge = corners[[first, second]]
            behind = edge[:, 2].sum() < 0
            colour, z = ("#b1bac4", -1e6) if behind else (QUIET, 1e5)
            axes.plot(edge[:, 0], edge[:, 1], color=colour, linewidth=0.8, zorder=z)


def draw_atoms(axes: Axes, frame: Frame, seen: Array, pair: ClosestPair) -> None:
    """Draw every atom as a ball, the far ones first and paler; those that hide the pair become translucent."""
    from ase.data.colors import jmol_colors
    from matplotlib.patches import Circle

    far = 1.0 - (seen[:, 2] - seen[:, 2].min()) / max(float(np.ptp(seen[:, 2])), 1e-9)
    glassy = hiding(seen, frame, pair) > 0
    for index in np.argsort(seen[:, 2]):
        radius, z = float(COVALENT_RADII[frame.numbers[index]]), float(seen[index, 2])
        x, y = (float(value) for value in seen[index, :2])
        fade = 0.0 if index in (pair.i, pair.j) else 0.55 * float(far[index])
        red, green, blue = (1.0 - fade) * jmol_colors[frame.numbers[index]] + fade
        face, edge = (red, green, blue, 0.16 if glassy[index] else 1.0), str(0.25 + 0.5 * fade)
        axes.add_patch(Circle((x, y), radius, facecolor=face, edgecolor=edge, linewidth=0.5, zorder=z))
        if not glassy[index]:
            shine = (x - 0.25 * radius, y + 0.28 * radius)
            axes.add_patch(Circle(shine, 0.28 * radius, color="white", alpha=0.35, linewidth=0, zorder=z + 1e-6))
    axes.autoscale_view()


def mark_pair(axes: Axes, frame: Frame, seen: Array, pair: ClosestPair) -> None:
    """Ring both atoms of the pair, join them, and write their distance."""
    from matplotlib.patches import Circle

    ends = [pair.i, pair.j]
    radii = COVALENT_RADII[frame.numbers[ends]]
    for (x, y), radius in zip(seen[ends, :2], radii, strict=True):
        ring = Circle((float(x), float(y)), float(radius), fill=False, edgecolor=MARK, linewidth=1.8, zorder=2e5)
        axes.add_patch(ring)
    axes.plot(*seen[ends, :2].T, color=MARK, linewidth=1.8, marker=".", markersize=5, zorder=2e5)
    above = (float(seen[ends, 0].mean()), float((seen[ends, 1] + radii).max()))
    axes.annotate(
        f"{pair.distance:.2f} Å",
        above,
        (0, 6),
        textcoords="offset points",
        ha="center",
        fontsize=9,
        fontweight="bold",
        color=MARK,
        zorder=3e5,
        bbox={"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 1.5},
    )


def draw_legend(axes: Axes, frame: Frame) -> None:
    """Name the colours of the elements."""
    from ase.data.colors import jmol_colors
    from matplotlib.lines import Line2D

    ball: dict[str, Any] = {"marker": "o", "markersize": 8, "markeredgecolor": INK, "markeredgewidth": 0.5}
    handles = [
        Line2D([], [], linestyle="none", color=jmol_colors[z], label=symbol(int(z)), **ball)
        for z in np.unique(frame.numbers)
    ]
    axes.figure.legend(handles=handles, loc="outside lower center", ncols=6)
