"""The order of magnitude of forces and stresses in any structure, without a parameter to fit.

Bonds of all elements follow nearly one curve in units of their own length and strength (Rose, Smith, Ferrante, Phys.
Rev. B 28, 1835 (1983)), and bonds are weaker the more of them an atom has (Pauling, J. Am. Chem. Soc. 69, 542
(1947)). That is accurate to a factor of three, while foreign units are off by more than twenty.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keel.atoms.elements import COVALENT_RADII
from keel.atoms.frame import Array, Frame
from keel.atoms.neighbours import neighbour_list

SEARCHED, SEARCHED_AGAIN = 1.8, 2.6
"""In units of the sum of covalent radii; longer if most atoms have no neighbour, as with lengths in bohr."""
DEPTH, USUAL, DECAY = 4.0, 2.3, 1.8
"""eV of the only bond of an atom, if it is as long as this in angstrom (long bonds are weak), and 1/angstrom."""
FULL, END = 1.3, 1.6
"""In units of the nearest neighbours' distance: where the weight of neighbours begins to decrease, and where it
vanishes."""
STEEPEST = 5.0
"""Largest exponent of the repulsion: two atoms nearly in one place must not decide the size of all."""


@dataclass(frozen=True, eq=False)
class Reference:
    """Plausible labels of a structure.

    ``spacing`` is the typical (median) distance of nearest neighbours in units of the sum of their covalent radii,
    infinite if there are none; ``forces`` (N, 3) in eV/angstrom; ``stress`` (3, 3) in eV/angstrom^3, None if the
    structure is not periodic in three directions.
    """

    spacing: float
    forces: Array
    stress: Array | None


def reference(frame: Frame) -> Reference:
    """Return the labels of a universal potential.

    E = sum_ij D L / R / sqrt(Z_i Z_j) (exp(-2 a (r - s R)) - 2 exp(-a (r - s R))), with coordination numbers Z, sums
    of covalent radii R, and s, the typical spacing of the structure itself: forces are comparable even where all bonds
    are longer than covalent radii suggest.
    """
    n = len(frame)
    for reach in (SEARCHED, SEARCHED_AGAIN):
        i, j, vectors, distances, lengths = _pairs(frame, reach)
        nearest = np.full(n, np.inf)
        np.minimum.at(nearest, i, distances / lengths)
        np.minimum.at(nearest, j, distances / lengths)
        if 2 * np.isfinite(nearest).sum() > n:
            break
    bonded = nearest[np.isfinite(nearest)]
    spacing = float(np.median(bonded)) if len(bonded) else float("inf")
    reduced = distances / (spacing * lengths)
    near = np.clip((END - reduced) / (END - FULL), 0.0, 1.0)
    closeness = np.clip((END - reduced) / (END - 1.0), 0.0, 1.0) ** 2
    bonds = np.maximum(np.bincount(i, closeness, n) + np.bincount(j, closeness, n), 1.0)
    decay = np.exp(np.minimum(-DECAY * (distances - spacing * lengths), STEEPEST)) if len(bonded) else distances
    depth = DEPTH * USUAL / lengths / np.sqrt(bonds[i] * bonds[j])
    slope = 2.0 * depth * DECAY * (decay - decay**2) * near
    pulls = (slope / distances)[:, None] * vectors
    forces = np.stack([np.bincount(i, pull, n) - np.bincount(j, pull, n) for pull in pulls.T], axis=1)
    stress = np.asarray(vectors.T @ pulls / frame.volume) if frame.pbc.all() else None
    return Reference(spacing, forces.astype(np.float64), stress)


Indices = NDArray[np.int64]


def _pairs(frame: Frame, reach: float) -> tuple[Indices, Indices, Array, Array, Array]:
    """Return i, j, vectors (P, 3), distances (P,) and the sums of covalent radii (P,) of pairs within reach."""
    radii = COVALENT_RADII[frame.numbers]
    cutoff = reach * 2.0 * float(radii.max())
    (i, j), shifts = neighbour_list(frame.positions, frame.cell, frame.pbc, cutoff, half_list=True)
    vectors = frame.positions[j] + shifts @ frame.cell - frame.positions[i]
    distances, lengths = np.linalg.norm(vectors, axis=1), radii[i] + radii[j]
    within = (distances < reach * lengths) & (distances > 0.0)
    return i[within], j[within], vectors[within], distances[within], lengths[within]
