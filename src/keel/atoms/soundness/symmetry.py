"""Which forces the symmetry of a structure demands to be zero."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from keel.atoms.elements import COVALENT_RADII
from keel.atoms.frame import Array, Frame
from keel.atoms.neighbours import neighbour_list

REACH = 1.8
"""In units of the sum of covalent radii: farther neighbours are assumed not to contribute to a force."""
VANISHING = 5e-4
"""Relative to the sum of all weights: more than rounding of positions leaves of a vector that vanishes by symmetry.

Measured: at most 7e-6 on 12,000 atoms of MPtrj, Li-Mn-O and Cu with forces of exactly zero; above 5e-5 on nearly all
others, typically 0.03.
"""
LEAST = 1e-2
"""Weight below which an atom counts as isolated; a bond has about 1."""


def demanded_zero(frame: Frame) -> NDArray[np.bool_]:
    """Return which components of the forces may be zero by symmetry, shape (N, 3).

    A force is a vector that turns with the surroundings of its atom; where their symmetry makes every such vector
    vanish, it makes  p_i = sum_j w(r_ij / (R_i + R_j)) r_ij / |r_ij|  vanish, with covalent radii R and any weight w.
    Where p_i does not vanish, an exactly zero force is not due to symmetry. Atoms without neighbours have none.
    """
    vectors, total = polarity(frame)
    return np.asarray((np.abs(vectors) < VANISHING * total[:, None]) | (total < LEAST)[:, None])


def is_alone(frame: Frame) -> bool:
    """Return whether no two atoms are within reach of each other."""
    return bool(len(frame) == 0 or polarity(frame)[1].max() < LEAST)


def polarity(frame: Frame) -> tuple[Array, Array]:
    """Return p_i (N, 3) and the sum of the weights (N,)."""
    radii = COVALENT_RADII[frame.numbers]
    cutoff = 2.0 * REACH * float(radii.max())
    (i, j), shifts = neighbour_list(frame.positions, frame.cell, frame.pbc, cutoff, half_list=True)
    vectors = frame.positions[j] + shifts @ frame.cell - frame.positions[i]
    distances = np.maximum(np.linalg.norm(vectors, axis=1), 1e-6)
    # Smooth at its end, so that no neighbour enters by rounding; between unlike atoms of one distance it differs.
    weight = np.maximum(1.0 - distances / (REACH * (radii[i] + radii[j])), 0.0) ** 2 * (REACH / (REACH - 1.0)) ** 2
    parts = weight[:, None] * vectors / distances[:, None]
    n = len(frame)
    total = np.bincount(i, weight, n) + np.bincount(j, weight, n)
    sums = [np.bincount(i, part, n) - np.bincount(j, part, n) for part in parts.T]
    return np.stack(sums, axis=1).astype(np.float64), total.astype(np.float64)
