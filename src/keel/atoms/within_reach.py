"""Whether a cutoff suits the structures: it must reach the neighbours of atoms, but not too many of them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from math import pi

import numpy as np

from keel.atoms.frame import Array, Frame
from keel.atoms.neighbours import neighbour_list
from keel.atoms.selecting import select, sizes
from keel.atoms.splits import evenly
from keel.errors import ConfigError, KeelWarning, naming

LOOKED_AT = 20
"""Number of frames in which neighbours are counted, evenly spread over all."""
MANY, MOST = 500, 5000
"""Neighbours of an atom above which a warning is given, and above which the cutoff is refused. At 5 angstrom solids
have about 30."""
ALONE = 0.05
"""Share of atoms without a neighbour above which a warning is given."""


def check_cutoff(frames: Sequence[Frame], cutoff: float, name: str = "the cutoff") -> None:
    """Refuse a cutoff that reaches no neighbour or far too many, and warn of one that is near to that.

    The cost of training is proportional to the number of neighbours.

    Parameters
    ----------
    frames
        Structures that a potential with this cutoff is made for.
    cutoff
        In angstrom.
    name
        What the user calls it: ``--cutoff``, ``networks.0.cutoff``.

    Raises
    ------
    ConfigError
        If no atom of any frame has a neighbour, or atoms have more than :data:`MOST`.
    """
    there = sizes(frames) > 0
    some = evenly(frames if there.all() else select(frames, np.flatnonzero(there)), LOOKED_AT)
    if not some:
        return
    each = float(np.mean([neighbours_at(frame, cutoff) for frame in some]))
    if each > MANY:
        usual = max(float(np.mean([neighbours_at(frame, 5.0) for frame in some])), 1.0)
        said = (
            f"of {cutoff:g} Å gives each atom about {_rounded(each)} neighbours, {_rounded(each / usual)} times as "
            "many as 5 Å, and all work takes that much longer"
        )
        if each > MOST:
            raise ConfigError(f"{name} {said}; choose a shorter one")
        warnings.warn(f"a cutoff {said}", KeelWarning, stacklevel=1)
        return
    alone = float(np.mean(np.concatenate([_alone(frame, cutoff) for frame in some])))
    if alone == 1.0 and all(_alone(frame, cutoff).all() for frame in frames):
        near = f"; the closest two are {nearest:.3g} Å apart" if (nearest := _nearest(some)) else ""
        raise ConfigError(
            f"{name} of {cutoff:g} Å is too short: no atom has a neighbour, and every force would be zero{near}"
        )
    if alone > ALONE:
        said = (
            f"a cutoff of {cutoff:g} Å is short: {100 * alone:.0f} % of the atoms have no neighbour and feel no force"
        )
        warnings.warn(said, KeelWarning, stacklevel=1)


def neighbours_at(frame: Frame, cutoff: float) -> float:
    """Return about how many neighbours each atom has, from the density; without a cell, all others at most."""
    volume = abs(float(np.linalg.det(frame.cell))) if frame.pbc.any() else 0.0
    if volume == 0.0:
        return float(len(frame) - 1)
    inside = 4 / 3 * pi * cutoff**3 * len(frame) / volume
    return inside if frame.pbc.all() else min(inside, 1e3 * len(frame))


def _alone(frame: Frame, cutoff: float) -> Array:
    """Whether each atom has no neighbour, shape (N,)."""
    with naming(frame.source):
        (i, j), _ = neighbour_list(frame.positions, frame.cell, frame.pbc, cutoff, half_list=True)
    alone: Array = np.ones(len(frame), dtype=bool)
    alone[i] = alone[j] = False
    return alone


def _nearest(frames: Sequence[Frame]) -> float | None:
    """Return the shortest distance in some frames, in angstrom, if there is one up to 10."""
    for reach in (2.0, 4.0, 10.0):
        distances = [d for frame in frames for d in _distances(frame, reach)]
        if distances:
            return min(distances)
    return None


def _distances(frame: Frame, reach: float) -> list[float]:
    (i, j), shifts = neighbour_list(frame.positions, frame.cell, frame.pbc, reach, half_list=True)
    apart = frame.positions[j] - frame.positions[i] + shifts @ frame.cell
    return [float(d) for d in np.linalg.norm(apart, axis=1)]


def _rounded(value: float) -> str:
    """Return a number with two significant digits: ``2,800``."""
    return f"{float(f'{value:.2g}'):,.0f}"
