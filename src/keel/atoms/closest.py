"""How close atoms are, in units of the sum of the covalent radii of each pair."""

from __future__ import annotations

import numpy as np

from keel.atoms.elements import COVALENT_RADII
from keel.atoms.frame import Array, Frame
from keel.atoms.neighbours import List, neighbour_list
from keel.errors import naming


def close_pairs(frame: Frame, share: float) -> tuple[List, Array]:
    """Return a half list of every pair closer than ``share`` bonds, and the length of each pair in bonds.

    A bond is the sum of the covalent radii of the two atoms. The list also holds some pairs that are farther apart.

    Raises
    ------
    DataError
        If the structure cannot have a neighbour list; it is named.
    """
    radii = COVALENT_RADII[frame.numbers]
    reach = 2.0 * share * float(radii.max(initial=0.1))
    with naming(frame.source):
        pairs, shifts = neighbour_list(frame.positions, frame.cell, frame.pbc, reach, half_list=True)
    i, j = pairs
    distances = np.linalg.norm(frame.positions[j] - frame.positions[i] + shifts @ frame.cell, axis=1)
    return (pairs, shifts), distances / (radii[i] + radii[j])


def closest_contacts(frame: Frame, share: float) -> Array:
    """Return how far the nearest neighbour of each atom is in bonds, infinite from ``share`` bonds on, shape (N,).

    The nearest neighbour is the one at the least distance in units of the sum of covalent radii; images of an atom
    itself count.
    """
    ((i, j), _), lengths = close_pairs(frame, share)
    closest = np.full(len(frame), np.inf)
    near = lengths < share
    np.minimum.at(closest, i[near], lengths[near])
    np.minimum.at(closest, j[near], lengths[near])
    return closest
