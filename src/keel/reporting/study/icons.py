"""Small drawings in the boxes of the schematic: each fills a rectangle around (x, y) of 11 x 4.4."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from keel.reporting.figures.style import INK
from keel.training.known import BASELINE, METHOD, look_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ATOMS = ((-4.2, -0.9), (-1.5, 1.1), (1.2, -1.0), (4.0, 1.0))
MOVES = ((-1.0, 1.3), (1.1, 0.9), (0.4, -1.4), (1.3, -0.7))
OTHER = "#8c959f"


def atoms(axes: Axes, x: float, y: float, colour: str) -> None:
    """Four atoms of two elements."""
    for number, (dx, dy) in enumerate(ATOMS):
        face = colour if number % 2 == 0 else OTHER
        axes.plot(x + dx, y + dy, "o", markersize=7.5, color=face, markeredgecolor="white", zorder=4)


def moves(axes: Axes, x: float, y: float, colour: str) -> None:
    """The atoms with arrows: how they are moved, or the forces on them."""
    for (dx, dy), (ax, ay) in zip(ATOMS, MOVES, strict=True):
        look = {"arrowstyle": "-|>", "color": INK, "lw": 0.9, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 6}
        axes.annotate("", (x + dx + 1.5 * ax, y + dy + 1.2 * ay), (x + dx, y + dy), arrowprops=look, zorder=5)
    atoms(axes, x, y, colour)


def well(axes: Axes, x: float, y: float, colour: str) -> None:
    """A Morse curve."""
    r = np.linspace(0.6, 3.4, 80)
    energy = (1 - np.exp(-2.2 * (r - 1.0))) ** 2 - 1
    axes.plot(x - 5 + 10 * (r - r[0]) / (r[-1] - r[0]), y + 1.9 * energy, color=colour, lw=1.6, zorder=4)
    axes.plot([x - 5, x + 5], [y, y], color=OTHER, lw=0.7, zorder=3)


def labels(axes: Axes, x: float, y: float, colour: str) -> None:
    """The symbols of energy, force and stress."""
    for dx, symbol in ((-4.2, "E"), (0.0, "F"), (4.2, "σ")):
        axes.text(x + dx, y, symbol, ha="center", va="center", fontsize=13, style="italic", color=colour)


def network(axes: Axes, x: float, y: float, colour: str) -> None:
    """Three layers of nodes."""
    layers = [[(x - 4.2 + 4.2 * k, y + height) for height in heights] for k, heights in enumerate(LAYERS)]
    for left, right in pairwise(layers):
        for a, b in ((a, b) for a in left for b in right):
            axes.plot([a[0], b[0]], [a[1], b[1]], color=OTHER, lw=0.7, zorder=3)
    for node in (node for layer in layers for node in layer):
        axes.plot(*node, "o", markersize=4.6, color=colour, markeredgecolor="white", markeredgewidth=0.6, zorder=4)


LAYERS = ((-1.2, 1.2), (-2.0, 0.0, 2.0), (0.0,))


def trajectory(axes: Axes, x: float, y: float, colour: str) -> None:
    """The path of an atom."""
    t = np.linspace(0, 1, 160)
    path = np.sin(19 * t) + 0.6 * np.sin(43 * t + 1) + 0.4 * np.sin(71 * t + 2)
    axes.plot(x - 5 + 10 * t, y + 0.95 * path, color=colour, lw=1.1, zorder=4)


def survival(axes: Axes, x: float, y: float, _: str) -> None:
    """Survival of plainly trained and pretrained networks."""
    steps = np.array([2.0, 1.5, 0.7, -0.1, -1.0, -1.6, -1.6])
    axes.step(x - 5 + 10 * np.arange(7) / 6, y + steps, where="post", color=look_of(BASELINE).colour, lw=1.4, zorder=4)
    axes.plot([x - 5, x + 5], [y + 2.0] * 2, color=look_of(METHOD).colour, lw=1.6, zorder=4)
