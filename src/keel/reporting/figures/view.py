"""The direction of view from which the closest pair of atoms in a structure is visible."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from keel.atoms.elements import COVALENT_RADII
from keel.atoms.frame import Array, Frame

SMALL = 500
"""Up to this number of atoms all pairs are compared; beyond, only candidates for the closest."""


@dataclass(frozen=True, eq=False)
class ClosestPair:
    """The two atoms of a frame that are closest in units of the sum of their covalent radii.

    Parameters
    ----------
    i, j
        Their indices.
    vector
        From i to the nearest image of j in angstrom, shape (3,).
    distance, ratio
        Length of the vector in angstrom, and divided by the sum of covalent radii.
    """

    i: int
    j: int
    vector: Array
    distance: float
    ratio: float


def closest_pair(frame: Frame) -> ClosestPair:
    """Return the pair with the smallest r_ij / (R_i + R_j), periodic images included, of at least two atoms."""
    from ase.geometry import find_mic

    i, j = np.triu_indices(len(frame), k=1) if len(frame) <= SMALL else _near_pairs(frame)
    vectors, distances = find_mic(frame.positions[j] - frame.positions[i], frame.cell, frame.pbc)
    ratios = distances / (COVALENT_RADII[frame.numbers[i]] + COVALENT_RADII[frame.numbers[j]])
    best = int(np.argmin(ratios))
    return ClosestPair(int(i[best]), int(j[best]), vectors[best], float(distances[best]), float(ratios[best]))


def _near_pairs(frame: Frame) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return pairs i < j among which the closest one is, in time and memory proportional to the number of atoms.

    The best ratio of direct neighbours, without images, bounds how far apart the closest pair can be.
    """
    from ase.geometry import complete_cell, wrap_positions

    cell, radii = np.asarray(complete_cell(frame.cell)), COVALENT_RADII[frame.numbers]
    wrapped = wrap_positions(frame.positions, cell, frame.pbc, eps=0)
    distance, neighbour = cKDTree(wrapped).query(wrapped, k=2)
    reach = 1.001 * float((distance[:, 1] / (radii + radii[neighbour[:, 1]])).min()) * 2.0 * float(radii.max())
    margin = reach * np.linalg.norm(np.linalg.inv(cell), axis=0)
    fractional = wrapped @ np.linalg.inv(cell)
    owners, points = [], []
    # With this many atoms in it no cell is thinner than the distance of the closest two.
    for shift in product(*((-1, 0, 1) if periodic else (0,) for periodic in frame.pbc)):
        moved = fractional + shift
        near = np.flatnonzero((((moved >= -margin) & (moved <= 1.0 + margin)) | ~frame.pbc).all(axis=1))
        owners.append(near)
        points.append(wrapped[near] + np.array(shift) @ cell)
    owner = np.concatenate(owners)
    pairs = owner[cKDTree(np.concatenate(points)).query_pairs(reach, output_type="ndarray")]
    pairs = np.unique(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1), axis=0)
    return pairs[:, 0], pairs[:, 1]


def centred(frame: Frame, pair: ClosestPair) -> Array:
    """Return positions relative to the middle of the pair, wrapped into a cell around it, shape (N, 3)."""
    return wrapped_around(frame, frame.positions[pair.i] + 0.5 * pair.vector)


def wrapped_around(frame: Frame, middle: Array) -> Array:
    """Return positions relative to a point, wrapped into a cell around it along periodic vectors, shape (N, 3)."""
    positions: Array = np.asarray(frame.positions - middle, dtype=np.float64)
    cell = frame.cell * frame.pbc[:, None]
    if not cell.any() or not np.isfinite(cell).all():
        return positions
    # The pseudo-inverse finds the shares along periodic vectors; for a slab only those in its plane.
    wrapped: Array = positions - np.round(positions @ np.linalg.pinv(_completed(frame))) * frame.pbc @ cell
    return wrapped


def _completed(frame: Frame) -> Array:
    from ase.geometry import complete_cell

    completed: Array = np.asarray(complete_cell(frame.cell), dtype=np.float64)
    return completed


def best_view(positions: Array, frame: Frame, pair: ClosestPair) -> Array:
    """Return the rotation in which the pair is seen best; its rows point right, up and towards the reader."""
    return max(_views(), key=lambda view: _visibility(positions @ view.T, frame, pair))


def hiding(seen: Array, frame: Frame, pair: ClosestPair) -> Array:
    """Return how far each atom (N,) that lies before the pair reaches over its atoms, in angstrom; 0 if it does not."""
    radii = COVALENT_RADII[frame.numbers]
    overlap = np.zeros(len(frame))
    for end in (pair.i, pair.j):
        gap = np.linalg.norm(seen[:, :2] - seen[end, :2], axis=1) - radii - radii[end]
        overlap = np.maximum(overlap, np.where(seen[:, 2] > seen[end, 2], -gap, 0.0))
    overlap[[pair.i, pair.j]] = 0.0
    return overlap


def _views() -> list[Array]:
    """Return views along the axes of space, each turned and tilted a little, as crystallographers draw them."""
    views = []
    for axis, turn, tilt in product(range(3), np.radians((-40, -25, -12, 12, 25, 40)), np.radians((-12, 8, 18))):
        about_up = [[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]]
        about_right = [[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]]
        views.append(np.array(about_right) @ np.array(about_up) @ np.roll(np.eye(3), axis, axis=0))
    return views


def _visibility(seen: Array, frame: Frame, pair: ClosestPair) -> float:
    """Return the share of the pair's distance that lies in the plane of the picture, less what hides it."""
    in_plane = float(np.linalg.norm(seen[pair.i, :2] - seen[pair.j, :2])) / max(pair.distance, 1e-9)
    return in_plane - 0.25 * float(hiding(seen, frame, pair).sum())
