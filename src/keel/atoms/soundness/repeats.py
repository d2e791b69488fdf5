"""Repeated structures: equal to 1e-4 angstrom, through other formats, wrapped or not, atoms in any order."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from keel.atoms.frame import Array, Frame

SAME = 1e-4
"""Angstrom: what formats of six decimals and more leave of a position or a lattice vector."""
UNIT_LENGTH = 7.3
"""Angstrom; phases of directions without a period are counted in it."""
FINE = 64
"""Step of the hash grids, in units of the largest difference between marks of one structure."""
AT_ONCE = 512
"""Frames whose marks are computed together."""
_WAVES = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [0, 1, 2]], dtype=np.float64)


def repeats(frames: Sequence[Frame]) -> list[tuple[Frame, Frame]]:
    """Return pairs (first, repeat) of frames that are the same structure, in the order of the repeats.

    Structures are the same if elements and periodicity are equal and lattice vectors and positions agree to
    :data:`SAME`, positions modulo the periodic lattice vectors. Rotated structures, other cells of one crystal and
    shifted origins are not recognised. Frames are sorted by structure factors, which wrapping and order of the atoms
    leave as they are and rounding changes little, so that the time is about linear in the number of frames.
    """
    groups: dict[tuple[bytes, bytes], list[int]] = defaultdict(list)
    for index, frame in enumerate(frames):
        groups[np.sort(frame.numbers).tobytes(), frame.pbc.tobytes()].append(index)
    found = [pair for members in groups.values() if len(members) > 1 for pair in _among(frames, members)]
    return [(frames[first], frames[again]) for first, again in sorted(found, key=lambda pair: pair[1])]


def matching(first: Frame, again: Frame) -> NDArray[np.int64] | None:
    """Return which atom of ``again`` is each atom of ``first``, shape (N,), or None if they are not the same structure.

    Labels of the two are compared with it: ``again.forces[matching(first, again)]``.
    """
    if len(first) != len(again) or not np.array_equal(first.pbc, again.pbc):
        return None
    if np.abs(first.cell - again.cell)[first.pbc].max(initial=0.0) > SAME:
        return None
    as_they_are = np.arange(len(first))
    if _agree(first, again, as_they_are):
        return as_they_are
    from scipy.spatial import cKDTree  # it takes a fifth of a second

    # A tree in coordinates modulo the cell; the nearest there is checked in angstrom.
    own, other = _coordinates(first), _coordinates(again)
    box = np.where(first.pbc, 1.0, 0.0)
    order = cKDTree(_wrapped(other, first.pbc), boxsize=box).query(_wrapped(own, first.pbc))[1]
    return order if len(set(order.tolist())) == len(order) and _agree(first, again, order) else None


def _among(frames: Sequence[Frame], members: Sequence[int]) -> list[tuple[int, int]]:
    """Return pairs (first, repeat) within a group of equal elements and periodicity."""
    marks, slacks = _marks([frames[k] for k in members])
    slack = slacks.max(axis=0)
    # One number for each frame: equal for equal structures, and hardly ever for others.
    weights = np.random.default_rng(0).uniform(0.5, 1.0, marks.shape[1]) / slack
    numbers, width = marks @ weights, float(slack @ weights)
    order = np.argsort(numbers, kind="stable")
    ranks = numbers[order]
    found, repeated = [], np.zeros(len(members), dtype=bool)
    for k, number in enumerate(numbers.tolist()):
        low, high = np.searchsorted(ranks, [number - width, number + width])
        near = np.sort(order[low : high + 1])
        near = near[(near < k) & ~repeated[near]]
        near = near[(np.abs(marks[near] - marks[k]) <= slack).all(axis=1)]
        first = next((j for j in near if matching(frames[members[j]], frames[members[k]]) is not None), None)
        if first is not None:
            repeated[k] = True
            found.append((members[first], members[k]))
    return found


def hashes(frames: Sequence[Frame]) -> Iterator[tuple[int, int]]:
    """Yield two numbers of 64 bits for each frame, at least one of which is the same for the same structures.

    They are hashes of the elements, the periodicity and the marks that :func:`repeats` sorts by, these in steps on two
    grids that are shifted against each other. A repeat is missed only where rounding puts two marks of one structure on
    both sides of steps in both; different structures hardly ever share a hash.
    """
    for first in range(0, len(frames), AT_ONCE):
        block = list(frames[first : first + AT_ONCE])
        marks, slacks = _marks(block)
        steps = marks / (FINE * slacks)
        # A quarter: so that zero and other values common to many structures lie within a step.
        grids = [np.floor(steps + shift).astype(np.int64) for shift in (0.25, 0.75)]
        for k, frame in enumerate(block):
            what = np.sort(frame.numbers).astype(np.int64).tobytes() + frame.pbc.tobytes()
            one, other = (
                int.from_bytes(hashlib.blake2b(what + grid[k].tobytes(), digest_size=8).digest()) for grid in grids
            )
            yield one, other


def _marks(frames: Sequence[Frame]) -> tuple[Array, Array]:
    """Lattice vectors and structure factors  sum_j Z_j exp(2 pi i k s_j) / sum_j Z_j, and how much they may differ.

    Both have a row for each frame; the second is how far the marks of one structure are apart at most.
    """
    inverses = np.linalg.inv(np.stack([_basis(frame) for frame in frames]))
    of_atoms = np.repeat(np.arange(len(frames)), [len(frame) for frame in frames])
    positions = np.concatenate([frame.positions for frame in frames])
    numbers = np.concatenate([frame.numbers for frame in frames]).astype(np.float64)
    phases = 2.0 * np.pi * np.einsum("ni,nij->nj", positions, inverses[of_atoms]) @ _WAVES.T
    shares = numbers / np.bincount(of_atoms, numbers, len(frames))[of_atoms]
    waves = [shares * wave for wave in np.concatenate([np.cos(phases), np.sin(phases)], axis=1).T]
    factors = [np.bincount(of_atoms, wave, len(frames)) for wave in waves]
    cells = np.stack([np.where(frame.pbc[:, None], frame.cell, 0.0).ravel() for frame in frames])
    phase = 2.0 * np.pi * 3.0 * SAME * np.linalg.norm(inverses, axis=1).max(axis=1)
    slacks = np.column_stack([np.full_like(cells, SAME), *[phase] * len(factors)])
    return np.column_stack([cells, *factors]), slacks


def _basis(frame: Frame) -> Array:
    """Lattice vectors of the periodic directions, a fixed length along the normals of the others; rows."""
    if frame.pbc.all():
        return frame.cell
    if not frame.pbc.any():
        return UNIT_LENGTH * np.eye(3)
    periodic = frame.cell[frame.pbc]
    normals = np.linalg.svd(periodic)[2][len(periodic) :]
    basis = frame.cell.copy()
    basis[~frame.pbc] = UNIT_LENGTH * normals
    return basis


def _coordinates(frame: Frame) -> Array:
    return np.asarray(np.linalg.solve(_basis(frame).T, frame.positions.T).T)


def _wrapped(coordinates: Array, pbc: NDArray[np.bool_]) -> Array:
    inside = coordinates % 1.0
    return np.where(pbc, np.where(inside < 1.0, inside, 0.0), coordinates)


def _agree(first: Frame, again: Frame, order: NDArray[np.int64]) -> bool:
    """Whether elements are equal and positions agree, each modulo the cell of the first."""
    if not np.array_equal(first.numbers, again.numbers[order]):
        return False
    moved = _coordinates(again)[order] - _coordinates(first)
    moved = (moved - np.round(moved) * first.pbc) @ _basis(first)
    return bool(np.abs(moved).max() <= SAME)
