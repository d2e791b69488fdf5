"""A small picture of a structure as SVG: its cell, and balls in the colours of the elements, far ones first."""

from __future__ import annotations

from html import escape
from itertools import product

import numpy as np
from numpy.typing import NDArray

from keel.atoms.elements import COVALENT_RADII, symbol

BALL = 0.55
"""Radius of a ball relative to the covalent radius."""
MOST_ATOMS = 500
"""Larger structures have no picture, because notebooks store it."""
SIZE = 160
"""Pixels of the longer side."""


def colour_of(number: int) -> str:
    """Return the colour of an element in Jmol's scheme (Jmol, "Colors", jmol.sourceforge.net/jscolors) as #rrggbb."""
    from ase.data.colors import jmol_colors

    return "#" + "".join(f"{round(255 * float(share)):02x}" for share in jmol_colors[number])


def oblique_view() -> NDArray[np.float64]:
    """Return a view in which a cell has three faces; rows point right, up and towards the reader."""
    turn, tilt = np.radians((-25, 15))
    about_up = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
    about_right = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    view: NDArray[np.float64] = about_right @ about_up
    return view


def drawing(numbers: NDArray[np.int64], positions: NDArray[np.float64], cell: NDArray[np.float64], alt: str) -> str:
    """Return the picture; empty where there are no atoms, too many, or some without a finite position."""
    finite = np.isfinite(positions).all() and np.isfinite(cell).all()
    if not finite or not 0 < len(numbers) <= MOST_ATOMS:
        return ""
    view = oblique_view()
    seen, corners = positions @ view.T, np.array(list(product((0, 1), repeat=3))) @ cell @ view.T
    points = np.concatenate([seen, corners] if cell.any() else [seen])[:, :2]
    low, high = points.min(axis=0) - 1.0, points.max(axis=0) + 1.0
    width, height = high - low
    order = np.argsort(seen[:, 2], kind="stable").tolist()
    balls = "".join(_ball(seen[k], int(numbers[k])) for k in order)
    scale = SIZE / max(width, height)
    return (
        f'<svg role="img" aria-label="{escape(alt)}" width="{scale * width:.0f}" height="{scale * height:.0f}" '
        f'viewBox="{low[0]:.2f} {-high[1]:.2f} {width:.2f} {height:.2f}"><title>{escape(alt)}</title>'
        f"{outline(corners) if cell.any() else ''}{balls}</svg>"
    )


def outline(corners: NDArray[np.float64]) -> str:
    """Return the edges of a cell, from its eight corners in the order of ``product((0, 1), repeat=3)``."""
    lines = (
        f"M{corners[a, 0]:.2f} {-corners[a, 1]:.2f}L{corners[b, 0]:.2f} {-corners[b, 1]:.2f}"
        for a, b in product(range(8), repeat=2)
        if a < b and (a ^ b).bit_count() == 1
    )
    return f'<path class="cell" d="{"".join(lines)}" fill="none" stroke="#889" stroke-width="0.06"/>'


def _ball(place: NDArray[np.float64], number: int) -> str:
    radius = BALL * COVALENT_RADII[number]
    return (
        f'<circle cx="{place[0]:.2f}" cy="{-place[1]:.2f}" r="{radius:.2f}" fill="{colour_of(number)}" '
        f'stroke="#334" stroke-width="0.04"><title>{symbol(number)}</title></circle>'
    )
