"""A picture of atoms: balls of covalent radius in a periodic cell, seen so that one close pair is in sight."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from keel.atoms.elements import COVALENT_RADII, symbol
from keel.atoms.frame import Array, Frame
from keel.reporting.figures.style import ReportFigure, new_figure, slug, styled

PAPER = "#ffffff"
MARK = "#d1006c"


@dataclass(frozen=True)
class ClosestPair:
    """Two atoms of a frame that are closest, measured in the sum of their covalent radii."""

    i: int
    j: int
    vector: tuple[float, float, float]
    distance: float
    ratio: float


def closest_pair(frame: Frame) -> ClosestPair | None:
    """Return the pair with the smallest r_ij / (R_i + R_j), periodic images included; None for a single atom.

    ``vector`` leads from i to the nearest image of j.
    """
    from ase.geometry import find_mic

    if len(frame) < 2:
        return None
    i, j = np.triu_indices(len(frame), k=1)
    vectors, distances = find_mic(frame.positions[j] - frame.positions[i], frame.cell, frame.pbc)
    ratios = distances / (COVALENT_RADII[frame.numbers[i]] + COVALENT_RADII[frame.numbers[j]])
    best = int(np.argmin(ratios))
    x, y, z = (float(value) for value in vectors[best])
    return ClosestPair(int(i[best]), int(j[best]), (x, y, z), float(distances[best]), float(ratios[best]))


def centred(frame: Frame, pair: ClosestPair) -> Array:
    """Return positions wrapped so that the middle of the pair is the middle of the cell."""
    middle = frame.positions[pair.i] + 0.5 * np.array(pair.vector)
    positions = frame.positions - middle
    if frame.pbc.any() and frame.volume > 0:
        scaled = np.linalg.solve(frame.cell.T, positions.T).T
        scaled -= np.where(frame.pbc, np.round(scaled), 0.0)
        positions = scaled @ frame.cell
    return positions


def best_view(positions: Array, frame: Frame, pair: ClosestPair) -> Array:
    """Return the rotation (3, 3), rows are right, up and towards the reader, in which the pair is seen best."""
    return max(_views(), key=lambda view: _visibility(positions @ view.T, frame, pair, view))


def _views() -> list[Array]:
    """Return views along the axes of space, each turned and tilted a little, as a crystallographer draws them."""
    views = []
    for axis, turn, tilt in product(range(3), (-25, -12, 12, 25, 40, -40), (8, 18, -12)):
        basis = np.roll(np.eye(3), axis, axis=0)
        a, b = np.radians(turn), np.radians(tilt)
        about_up = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
        about_right = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
        views.append(about_right @ about_up @ basis)
    return views


def _visibility(seen: Array, frame: Frame, pair: ClosestPair, view: Array) -> float:
    """Return how much of the pair's distance lies in the picture, less what hides it."""
    x, y, _ = view @ np.array(pair.vector)
    in_plane = float(np.hypot(x, y)) / max(pair.distance, 1e-9)
    hidden = sum(
        float(
            np.maximum(0, COVALENT_RADII[frame.numbers] - np.linalg.norm(seen[:, :2] - seen[end, :2], axis=1))[
                front
            ].sum()
        )
        for end in (pair.i, pair.j)
        for front in [(seen[:, 2] > seen[end, 2]) & ~np.isin(np.arange(len(frame)), (pair.i, pair.j))]
    )
    return in_plane - 0.25 * hidden


@styled
def failure_figure(network: str, strategy: str, frame: Frame) -> ReportFigure:
    """The structure just before a run failed, its closest pair marked; atoms in front of the pair are glassy."""
    figure, axes = new_figure(height=3.5)
    axes.set_axis_off()
    axes.set_aspect("equal")
    pair = closest_pair(frame)
    assert pair is not None
    positions = centred(frame, pair)
    view = best_view(positions, frame, pair)
    seen = positions @ view.T
    draw_cell(axes, frame, view, seen)
    draw_atoms(axes, frame, seen, pair)
    mark_pair(axes, frame, seen, pair)
    draw_legend(axes, frame)
    names = f"{symbol(int(frame.numbers[pair.i]))}–{symbol(int(frame.numbers[pair.j]))}"
    cause, time = str(frame.info.get("cause", "failure")), frame.info.get("time_fs")
    when = f" at {float(time):g} fs" if time is not None else ""
    return ReportFigure(
        name=slug("failure", network, strategy),
        title=f"{strategy}: {cause}{when}",
        caption=f"Closest pair: {names}, {pair.distance:.2f} Å, {100 * pair.ratio:.0f} % of the sum of their covalent "
        f"radii. {len(frame)} atoms; started from {frame.info.get('start', 'a test structure')}.",
        alt=f"Structure of {len(frame)} atoms before the failure of a {strategy} run{when} ({cause}); {names} at "
        f"{pair.distance:.2f} angstrom is marked.",
        figure=figure,
        data={
            "element": [symbol(int(z)) for z in frame.numbers],
            **{axis: positions[:, k] for k, axis in enumerate("xyz")},
            "closest_pair": [index in (pair.i, pair.j) for index in range(len(frame))],
        },
        on_paper=True,
    )


def draw_cell(axes: object, frame: Frame, view: Array, seen: Array) -> None:
    """Draw the edges of the cell around the atoms: those behind the middle before the atoms, the others above."""
    if not frame.volume > 0:
        return
    corners = np.array(list(product((-0.5, 0.5), repeat=3))) @ frame.cell @ view.T
    for a, b in ((a, b) for a in range(8) for b in range(a) if bin(a ^ b).count("1") == 1):
        behind = (corners[a, 2] + corners[b, 2]) < 2 * float(seen[:, 2].mean())
        axes.plot(  # type: ignore[attr-defined]
            corners[[a, b], 0], corners[[a, b], 1], color="#57606a" if not behind else "#b1bac4", linewidth=0.8,
            zorder=-1e6 if behind else 1e5,
        )  # fmt: skip


def draw_atoms(axes: object, frame: Frame, seen: Array, pair: ClosestPair) -> None:
    """Draw every atom as a ball, the far ones first and paler; those that hide the pair become glassy."""
    from ase.data.colors import jmol_colors
    from matplotlib.patches import Circle

    depth = (seen[:, 2] - seen[:, 2].min()) / max(float(np.ptp(seen[:, 2])), 1e-9)
    ends = np.array([pair.i, pair.j])
    for index in np.argsort(seen[:, 2]):
        radius = float(COVALENT_RADII[frame.numbers[index]])
        gaps = np.linalg.norm(seen[ends, :2] - seen[index, :2], axis=1) - radius - COVALENT_RADII[frame.numbers[ends]]
        glassy = index not in ends and bool((gaps < 0).any()) and seen[index, 2] > seen[ends, 2].min()
        fade = 0.0 if index in ends else 0.55 * (1.0 - float(depth[index]))
        colour = (1.0 - fade) * jmol_colors[frame.numbers[index]] + fade
        alpha = 0.16 if glassy else 1.0
        edge = "#24292e" if index in ends else str(0.25 + 0.5 * fade)
        z = float(seen[index, 2])
        axes.add_patch(  # type: ignore[attr-defined]
            Circle(tuple(seen[index, :2]), radius, facecolor=(*colour, alpha), edgecolor=edge, linewidth=0.5, zorder=z)
        )
        if not glassy:
            shine = tuple(seen[index, :2] + 0.35 * radius * np.array([-0.7, 0.8]))
            axes.add_patch(Circle(shine, 0.28 * radius, color="white", alpha=0.35, linewidth=0, zorder=z + 1e-6))  # type: ignore[attr-defined]


def mark_pair(axes: object, frame: Frame, seen: Array, pair: ClosestPair) -> None:
    """Ring both atoms of the pair, join them, and write their distance."""
    from matplotlib.patches import Circle

    ends = [pair.i, pair.j]
    for end in ends:
        radius = float(COVALENT_RADII[frame.numbers[end]])
        axes.add_patch(Circle(tuple(seen[end, :2]), radius, fill=False, edgecolor=MARK, linewidth=1.8, zorder=2e5))  # type: ignore[attr-defined]
    axes.plot(*seen[ends, :2].T, color=MARK, linewidth=1.8, marker=".", markersize=5, zorder=2e5)  # type: ignore[attr-defined]
    top = max(float(seen[end, 1]) + float(COVALENT_RADII[frame.numbers[end]]) for end in ends)
    axes.annotate(  # type: ignore[attr-defined]
        f"{pair.distance:.2f} Å", (float(seen[ends, 0].mean()), top), (0, 6), textcoords="offset points", ha="center",
        fontsize=9, fontweight="bold", color=MARK, zorder=3e5,
        bbox={"facecolor": PAPER, "alpha": 0.85, "edgecolor": "none", "pad": 1.5},
    )  # fmt: skip


def draw_legend(axes: object, frame: Frame) -> None:
    """Name the colours of the elements."""
    from ase.data.colors import jmol_colors
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], linestyle="none", marker="o", markersize=8, color=jmol_colors[z], markeredgecolor="#24292e",
               markeredgewidth=0.5, label=symbol(int(z)))
        for z in np.unique(frame.numbers)
    ]  # fmt: skip
    axes.figure.legend(handles=handles, loc="outside lower center", ncols=6)  # type: ignore[attr-defined]
