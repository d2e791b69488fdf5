"""Neighbour lists (vesin) and batches of frames.

The list is exact for every cell: skewed, far smaller than the cutoff, periodic in some directions only, or absent.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from vesin import NeighborList

from keel.atoms.frame import Array, Frame
from keel.atoms.graph import AtomGraph, Labels, collate
from keel.errors import DataError

if TYPE_CHECKING:
    from ase import Atoms


def neighbour_list(
    positions: Array, cell: Array, pbc: NDArray[np.bool_], cutoff: float, *, half_list: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return every pair closer than ``cutoff``: edge_index (2, E) sorted by i, and whole cell shifts (E, 3).

    Positions may lie outside the cell. Not periodic directions never have shifts.

    Raises
    ------
    DataError
        If a position, the cell or the cutoff is not finite, or a periodic direction has no extent.
    """
    if not (np.isfinite(positions).all() and np.isfinite(cell).all()):
        raise DataError("positions or cell are not finite; the structure cannot have a neighbour list")
    if not (np.isfinite(cutoff) and cutoff > 0):
        raise DataError(f"the cutoff must be a positive length in angstrom, not {cutoff}")
    if pbc.any() and np.linalg.matrix_rank(cell[pbc]) < pbc.sum():
        raise DataError("the cell has no volume along a periodic direction; set pbc to False or give a cell")
    if len(positions) == 0:
        return np.zeros((2, 0), dtype=np.int64), np.zeros((0, 3), dtype=np.int32)
    pairs, shifts = NeighborList(cutoff=cutoff, full_list=not half_list, sorted=True, n_threads=1).compute(
        points=np.ascontiguousarray(positions, dtype=np.float64),
        box=np.ascontiguousarray(cell, dtype=np.float64),
        periodic=pbc,
        quantities="PS",
    )
    return np.ascontiguousarray(pairs.T.astype(np.int64)), shifts


def graph_of(
    frame: Frame, cutoff: float, *, half_list: bool = False, dtype: torch.dtype | None = None, labels: bool = True
) -> AtomGraph:
    """Return the graph of one frame (see :func:`batch`)."""
    dtype = dtype or torch.get_default_dtype()
    try:
        edge_index, edge_shift = neighbour_list(frame.positions, frame.cell, frame.pbc, cutoff, half_list=half_list)
    except DataError as error:
        raise DataError(f"{frame.source}: {error}") from None
    n = len(frame)
    return AtomGraph(
        numbers=torch.as_tensor(frame.numbers, dtype=torch.int64),
        positions=torch.as_tensor(frame.positions).to(dtype),
        cell=torch.as_tensor(frame.cell).to(dtype)[None],
        pbc=torch.as_tensor(frame.pbc)[None],
        batch=torch.zeros(n, dtype=torch.int64),
        edge_index=torch.from_numpy(edge_index),
        edge_shift=torch.from_numpy(edge_shift).to(dtype),
        cutoff=float(cutoff),
        half_list=half_list,
        labels=_labels(frame, dtype) if labels else None,
    )


def batch(
    frames: Iterable[Frame | Atoms] | Frame | Atoms,
    cutoff: float,
    *,
    half_list: bool = False,
    dtype: torch.dtype | None = None,
) -> AtomGraph:
    """Build the neighbour lists of some frames and join them into one batch.

    Parameters
    ----------
    frames
        Frames or ``ase.Atoms`` (labels are taken from their calculator or ``info``/``arrays``), or one of them.
    cutoff
        Radius of the neighbour list in angstrom; at least that of the potential.
    half_list
        Each pair once instead of twice.
    dtype
        Floating-point dtype of the graph (torch's default dtype if None).

    Raises
    ------
    DataError
        If there is no frame, or a structure cannot have a neighbour list (says which and why).

    Examples
    --------
    >>> import keel
    >>> graph = keel.batch(keel.datasets.phosphorus()[:2], cutoff=5.0)
    >>> graph.n_structures, graph.n_atoms
    (2, 64)
    """
    members = [frames] if isinstance(frames, Frame) or hasattr(frames, "get_positions") else list(frames)
    return collate([graph_of(as_frame(f), cutoff, half_list=half_list, dtype=dtype) for f in members])


def as_frame(structure: Frame | Atoms) -> Frame:
    """Return a frame as it is, and ``ase.Atoms`` as a frame with their labels."""
    if isinstance(structure, Frame):
        return structure
    from keel.atoms.labels import frame_from_ase

    return frame_from_ase(structure)


def _labels(frame: Frame, dtype: torch.dtype) -> Labels:
    def mask(label: object) -> Tensor:
        return torch.tensor([label is not None])

    n = len(frame)
    return Labels(
        energy=torch.tensor([frame.energy or 0.0], dtype=torch.float64),
        energy_mask=mask(frame.energy),
        forces=torch.as_tensor(np.zeros((n, 3)) if frame.forces is None else frame.forces).to(dtype),
        forces_mask=mask(frame.forces),
        stress=torch.as_tensor(np.zeros((3, 3)) if frame.stress is None else frame.stress).to(dtype)[None],
        stress_mask=mask(frame.stress),
    )
