"""Axes that energies, errors and distances need."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from keel.atoms.elements import COVALENT_RADII, pair_numbers
from keel.atoms.frame import Array
from keel.errors import DataError
from keel.reporting.figures.style import QUIET

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINEAR_EV = 0.2
"""Energies are drawn as asinh(E / this): linear well below, logarithmic well above."""
HIGHEST_EV = 1e4
TICKS_EV = (-1e4, -1e3, -100, -10, -1, 0, 1, 10, 100, 1e3, 1e4)


def energy_axis(axes: Axes, curves: Iterable[Array]) -> None:
    """Scale the axes of a dimer's curves so that both a well of 0.1 eV and a wall of 10 keV are seen."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    lowest = min((float(np.min(c, where=np.isfinite(c), initial=0.0)) for c in curves), default=0.0)
    bottom = -1.5 if lowest > -1.2 else max(3 * lowest, -HIGHEST_EV)
    axes.set_yscale("asinh", linear_width=LINEAR_EV)
    axes.set(xlabel="r (Å)", ylabel="energy (eV)", xlim=(0, 8.05), ylim=(bottom, HIGHEST_EV))
    axes.yaxis.set_major_locator(FixedLocator([t for t in TICKS_EV if bottom <= t <= HIGHEST_EV]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}".replace("-", "−")))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.axhline(0, color=QUIET, linewidth=0.7)


def clipped(energy: Array) -> Array:
    """Return energies near the drawn range, and NaN for those that are not finite."""
    return np.where(np.isfinite(energy), np.clip(energy, -10 * HIGHEST_EV, 10 * HIGHEST_EV), np.nan)


def mark_contact(axes: Axes, pair: str) -> None:
    """Mark the sum of the covalent radii of a pair of elements, and shade what is closer than half of it."""
    try:
        contact = float(COVALENT_RADII[list(pair_numbers(pair))].sum())
    except DataError:
        return
    axes.axvspan(0, 0.5 * contact, color=QUIET, alpha=0.16, linewidth=0)
    axes.axvline(contact, color=QUIET, linewidth=0.8, linestyle=":")


def plain_log_ticks(axes: Axes, *, decades: bool = False) -> None:
    """Write the ticks of a logarithmic y axis as plain numbers: 1, 2, 5, 10, or every other decade."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axes.yaxis.set_major_locator(LogLocator(numticks=4) if decades else LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
