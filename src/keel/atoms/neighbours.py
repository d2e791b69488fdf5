"""Neighbour lists (vesin) and graphs of frames.

The list is exact for every cell: skewed, far smaller than the cutoff, periodic in some directions only, or absent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from vesin import NeighborList

from keel.atoms.frame import Array, Frame
from keel.atoms.graph import AtomGraph, Labels
from keel.atoms.labelling.stated import charge_and_spin
from keel.errors import DataError, naming

MOST_CUTOFFS = 20_000
"""Longer structures are refused: vesin 0.6 aborts the process somewhere between 30,000 and 100,000 cutoffs."""
MOST_CELLS = 1e5
"""vesin 0.6 divides a structure into at most this many cells about a cutoff wide. Where it would be more it makes them
larger by the same factor in each direction, and divides by zero where fewer than one is left across a flat structure.
"""

FAR = 1000.0
"""Angstrom; of longer coordinates float32 keeps less than four decimals."""

List = tuple[NDArray[np.int64], NDArray[np.int32]]
"""Both ends of each pair (2, E), and whole cell shifts (E, 3)."""


def neighbour_list(
    positions: Array, cell: Array, pbc: NDArray[np.bool_], cutoff: float, *, half_list: bool = False
) -> List:
    """Return every pair closer than ``cutoff``: edge_index (2, E), and whole cell shifts (E, 3).

    A full list is sorted by i, a half list is not.

    Positions may lie outside the cell. Directions that are not periodic never have shifts.

    Parameters
    ----------
    positions
        Cartesian positions in angstrom, shape (N, 3).
    cell, pbc
        Lattice vectors as rows in angstrom, shape (3, 3), and whether each is periodic, shape (3,).
    cutoff
        In angstrom.
    half_list
        Each pair once instead of twice.

    Raises
    ------
    DataError
        If a position, the cell or the cutoff is not finite, a periodic direction has no extent, or the structure
        extends over more than :data:`MOST_CUTOFFS` cutoffs.
    """
    check_list(positions, cell, pbc, cutoff)
    if len(positions) == 0:
        return np.zeros((2, 0), dtype=np.int64), np.zeros((0, 3), dtype=np.int32)
    reach = searched(positions, cell, pbc, cutoff)
    pairs, shifts, *distances = NeighborList(
        cutoff=reach, full_list=not half_list, sorted=not half_list, n_threads=1
    ).compute(
        points=np.ascontiguousarray(positions, dtype=np.float64),
        box=np.ascontiguousarray(cell, dtype=np.float64),
        periodic=pbc,
        quantities="PS" if reach == cutoff else "PSd",
    )
    if distances:
        near = distances[0] < cutoff
        pairs, shifts = pairs[near], shifts[near]
    return np.ascontiguousarray(pairs.T.astype(np.int64)), shifts


def searched(positions: Array, cell: Array, pbc: NDArray[np.bool_], cutoff: float) -> float:
    """Return the cutoff with which vesin is called: a larger one for structures that it cannot divide into cells.

    These are flat and more than some 300 cutoffs wide; see :data:`MOST_CELLS`.
    """
    if _extent(positions, cell, pbc) < np.cbrt(MOST_CELLS) * cutoff:
        return cutoff
    heights = _heights(positions, cell, pbc)
    cells = np.maximum(np.trunc(heights / cutoff), 1.0)
    if cells.min() * np.cbrt(MOST_CELLS / cells.prod()) >= 2.0:
        return cutoff
    while np.maximum(np.trunc(heights / cutoff), 1.0).prod() > MOST_CELLS:
        cutoff *= 1.1
    return cutoff


def _heights(positions: Array, cell: Array, pbc: NDArray[np.bool_]) -> Array:
    """Return the extents in angstrom perpendicular to the faces of the cell; without periodicity those of the atoms."""
    periodic = cell[pbc]
    # Rows that span what is perpendicular to all periodic vectors.
    others = np.linalg.svd(periodic)[2][len(periodic) :] if len(periodic) else np.eye(3)
    return np.concatenate(
        [1.0 / np.linalg.norm(np.linalg.pinv(periodic), axis=0), np.ptp(positions @ others.T, axis=0)]
    )


def check_list(positions: Array, cell: Array, pbc: NDArray[np.bool_], cutoff: float) -> None:
    """Raise the DataError of :func:`neighbour_list` where there can be no list."""
    if not (np.isfinite(positions).all() and np.isfinite(cell).all()):
        raise DataError("positions or cell are not finite; the structure cannot have a neighbour list")
    if not (np.isfinite(cutoff) and cutoff > 0):
        raise DataError(f"the cutoff must be a positive length in angstrom, not {cutoff}")
    periodic = cell[pbc]
    gram = periodic @ periodic.T
    # Squared volume (area, length) against that of a right-angled cell; zero to rounding where vectors are dependent.
    if len(periodic) and np.linalg.det(gram) <= 1e-14 * gram.diagonal().prod():
        raise DataError("the cell has no volume along a periodic direction; set pbc to False or give a cell")
    if len(positions) and (extent := _extent(positions, cell, pbc)) > MOST_CUTOFFS * cutoff:
        raise DataError(f"the structure extends over {extent:.3g} angstrom; an atom has escaped, or the unit is wrong")


def _extent(positions: Array, cell: Array, pbc: NDArray[np.bool_]) -> float:
    """Return the largest length over which a list must look, in angstrom."""
    sides = np.linalg.norm(cell[pbc], axis=1)
    spread = np.zeros(1) if pbc.all() else np.ptp(positions, axis=0)
    return float(max(sides.max(initial=0.0), spread.max()))


def graph_of(
    frame: Frame, cutoff: float, *, half_list: bool = False, dtype: torch.dtype | None = None, labels: bool = True
) -> AtomGraph:
    """Return the graph of one frame (see :func:`keel.batch`)."""
    return _graph([frame], cutoff, half_list, dtype or torch.get_default_dtype(), labels)


def graphs_of(
    frames: Sequence[Frame], cutoff: float, *, half_list: bool = False, dtype: torch.dtype | None = None
) -> AtomGraph:
    """Return the graph of some frames as one batch (see :func:`keel.batch`)."""
    return _graph(frames, cutoff, half_list, dtype or torch.get_default_dtype(), labels=True)


def without_edges(frames: Sequence[Frame], cutoff: float, *, half_list: bool, dtype: torch.dtype) -> AtomGraph:
    """Return some frames with their labels as a batch that has no edges, for what needs no graph."""
    empty = np.zeros((2, 0), dtype=np.int64), np.zeros((0, 3), dtype=np.int32)
    return _joined(frames, [empty] * len(frames), cutoff, half_list, dtype, labels=True)


def _graph(frames: Sequence[Frame], cutoff: float, half_list: bool, dtype: torch.dtype, labels: bool) -> AtomGraph:
    if not frames:
        raise DataError("an empty list of structures cannot be batched; give at least one")
    return _joined(frames, [_list_of(f, cutoff, half_list) for f in frames], cutoff, half_list, dtype, labels)


def _joined(
    frames: Sequence[Frame], lists: Sequence[List], cutoff: float, half_list: bool, dtype: torch.dtype, labels: bool
) -> AtomGraph:
    sizes = np.array([len(f) for f in frames])
    if dtype != torch.float64:
        frames, lists = zip(*map(_near, frames, lists), strict=True)
    start = np.repeat(np.cumsum(sizes) - sizes, [len(shift) for _, shift in lists])
    # Joined as arrays, and then converted once: a tensor for each frame takes as long as its neighbour list.
    return AtomGraph(
        numbers=torch.from_numpy(np.concatenate([f.numbers for f in frames]).astype(np.int64)),
        positions=torch.from_numpy(np.concatenate([f.positions for f in frames])).to(dtype),
        cell=torch.from_numpy(np.stack([f.cell for f in frames])).to(dtype),
        pbc=torch.from_numpy(np.stack([f.pbc for f in frames])),
        batch=torch.from_numpy(np.repeat(np.arange(len(frames)), sizes)),
        edge_index=torch.from_numpy(np.concatenate([index for index, _ in lists], axis=1) + start),
        edge_shift=torch.from_numpy(np.concatenate([shift for _, shift in lists])).to(dtype),
        cutoff=float(cutoff),
        half_list=half_list,
        labels=_labels(frames, dtype) if labels else None,
        states=states_of(frames),
    )


def _near(frame: Frame, found: List) -> tuple[Frame, List]:
    """Return a frame with atoms far from the origin wrapped and moved there, and its list: the same edge vectors."""
    if np.abs(frame.positions).max(initial=0.0) < FAR:
        return frame, found
    periodic, ((i, j), shifts) = frame.cell[frame.pbc], found
    whole = np.zeros((len(frame), 3), dtype=np.int32)
    whole[:, frame.pbc] = np.floor(frame.positions @ np.linalg.pinv(periodic))
    positions = frame.positions - whole @ frame.cell
    return frame.replace(positions=positions - positions.mean(axis=0)), (found[0], shifts + whole[j] - whole[i])


def states_of(frames: Sequence[Frame]) -> tuple[Mapping[str, float], ...]:
    """Return charge and spin of each frame as :class:`AtomGraph` has them."""
    states = tuple(charge_and_spin(f.info) for f in frames)
    return states if any(states) else ()


def _list_of(frame: Frame, cutoff: float, half_list: bool) -> List:
    with naming(frame.source):
        if np.shape(frame.positions) != (len(frame), 3):
            raise DataError(
                f"it has {len(frame)} atomic numbers and positions of the shape {np.shape(frame.positions)}"
            )
        return neighbour_list(frame.positions, frame.cell, frame.pbc, cutoff, half_list=half_list)


def labelled_atoms(frame: Frame) -> NDArray[np.bool_]:
    """Return which atoms have a force, shape (N,)."""
    if frame.forces is None or frame.forces_mask is None:
        return np.full(len(frame), frame.forces is not None)
    return frame.forces_mask


def _labels(frames: Sequence[Frame], dtype: torch.dtype) -> Labels:
    def mask(labels: Sequence[object]) -> Tensor:
        return torch.tensor([label is not None for label in labels])

    energies, stresses = [f.energy for f in frames], [f.stress for f in frames]
    force = [np.zeros((len(f), 3)) if f.forces is None else f.forces for f in frames]
    stress = [np.zeros((3, 3)) if f.stress is None else f.stress for f in frames]
    return Labels(
        energy=torch.tensor([e or 0.0 for e in energies], dtype=torch.float64),
        energy_mask=mask(energies),
        forces=torch.from_numpy(np.concatenate(force)).to(dtype),
        forces_mask=torch.from_numpy(np.concatenate([labelled_atoms(f) for f in frames])),
        stress=torch.from_numpy(np.stack(stress)).to(dtype),
        stress_mask=mask(stresses),
    )
