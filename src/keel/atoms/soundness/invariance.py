"""Forces and stresses have at least the symmetry of their structure; checked without symmetry operations.

A vector or tensor that any law of nature derives from the surroundings of an atom turns with them. Where symmetry makes
every such quantity vanish, it makes  p_i = sum_j w(r_ij) u_ij  (a vector for each atom) and the elements off the
diagonal of  T = sum_ij w(r_ij) u_ij u_ij^T  vanish. Labels that are large there belong to other atoms or components.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import numpy as np

from keel.atoms.elements import COVALENT_RADII
from keel.atoms.frame import Array, Frame
from keel.atoms.neighbours import neighbour_list

REACH = 2.2
"""Range of neighbours in units of the sum of covalent radii."""
VANISHING = 1e-4
"""Relative to the sum of weights: more than rounding of positions to five digits leaves of a sum that vanishes by
symmetry."""
FORBIDDEN = 0.05
"""Share of the squared labels that broken symmetry (magnetic order, rounding) may put where there should be none."""
FEWEST = 5
"""Fewest frames in which symmetry demands something."""


def forces_against_symmetry(frames: Sequence[Frame]) -> str | None:
    """Say that forces act where the symmetry of structures demands none: they are listed in another order."""
    shares = []
    for frame in frames:
        if frame.forces is None or np.sqrt(np.mean(frame.forces**2)) < 0.02:
            continue
        vectors, weights, _ = surroundings(frame)
        still = (np.abs(vectors) < VANISHING * weights[:, None]).all(axis=1)
        if still.any() and not still.all():
            squares = np.sum(frame.forces**2, axis=1)
            shares.append(float(squares[still].sum() / squares.sum()))
    if len(shares) < FEWEST or np.median(shares) < FORBIDDEN:
        return None
    return (
        f"the forces do not match the atoms: in {sum(s > FORBIDDEN for s in shares)} of {len(shares)} symmetric "
        "structures they act on atoms on which symmetry allows none; check that forces and positions list the atoms in "
        "the same order"
    )


def stress_against_symmetry(frames: Sequence[Frame]) -> str | None:
    """Report that the components of the stress are in another order, if the symmetry of structures shows it."""
    votes = []
    for frame in frames:
        if frame.stress is None or not frame.pbc.all():
            continue
        given = frame.stress[[1, 0, 0], [2, 2, 1]] ** 2
        if given.sum() < 1e-3 * np.sum(frame.stress**2):
            continue
        _, weights, tensor = surroundings(frame)
        none = np.abs(tensor[[1, 0, 0], [2, 2, 1]]) < VANISHING * weights.sum()
        if none.any() and not none.all():
            votes.append([float(given[list(o)][none].sum() / given.sum()) for o in permutations(range(3))])
    if len(votes) < FEWEST:
        return None
    median = np.median(votes, axis=0)
    best = int(np.argmin(np.mean(votes, axis=0)))
    if median[0] < 0.5 or median[best] > FORBIDDEN:
        return None
    names = [("yz", "xz", "xy")[k] for k in list(permutations(range(3)))[best]]
    return (
        f"the stress has its components in another order: in {sum(v[0] > FORBIDDEN for v in votes)} of {len(votes)} "
        f"symmetric structures it shears where symmetry allows none; the values given as {' '.join(names)} behave as "
        "yz xz xy (six numbers must be xx yy zz yz xz xy; VASP writes xx yy zz xy yz xz)"
    )


def surroundings(frame: Frame) -> tuple[Array, Array, Array]:
    """Return p_i (N, 3), the sum of the weights of each atom (N,), and T (3, 3)."""
    radii = COVALENT_RADII[frame.numbers]
    cutoff = 2.0 * REACH * float(radii.max())
    (i, j), shifts = neighbour_list(frame.positions, frame.cell, frame.pbc, cutoff, half_list=True)
    vectors = frame.positions[j] + shifts @ frame.cell - frame.positions[i]
    distances = np.maximum(np.linalg.norm(vectors, axis=1), 1e-6)
    weight = np.maximum(1.0 - distances / (REACH * (radii[i] + radii[j])), 0.0) ** 2
    unit = vectors / distances[:, None]
    n = len(frame)
    sums = [np.bincount(i, weight * part, n) - np.bincount(j, weight * part, n) for part in unit.T]
    total = np.bincount(i, weight, n) + np.bincount(j, weight, n)
    return np.stack(sums, axis=1), np.asarray(total), np.asarray(2.0 * (weight[:, None] * unit).T @ unit)
