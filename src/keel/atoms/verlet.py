"""Verlet lists: the neighbour lists of moving structures, rebuilt only when atoms have moved far enough."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from keel.atoms.frame import Frame
from keel.atoms.graph import AtomGraph
from keel.atoms.neighbours import neighbour_list
from keel.errors import DataError

MAX_DISPLACEMENT = 1e3
"""An atom that moved further than this between two lists (angstrom) has left the simulation; no list can follow it."""


class VerletList:
    """Neighbour lists of B moving structures of fixed cell.

    Each structure's list holds all pairs within ``cutoff + skin`` and is rebuilt when one of *its own* atoms has moved
    more than ``skin / 2`` since the last time (Verlet, Phys. Rev. 159, 98 (1967)); every graph is filtered to the
    cutoff. Positions are never wrapped. Edges are in the order of (i, j, shift), so that the graph depends on the
    positions only and not on when a list was built.

    Parameters
    ----------
    frames
        The structures; N atoms in all.
    cutoff
        Graphs hold every pair closer than this, in angstrom.
    skin
        In angstrom.
    half_list
        Each pair once instead of twice.
    dtype, device
        Of the graphs; distances are computed in float64.

    Raises
    ------
    DataError
        If a structure cannot have a neighbour list.
    """

    def __init__(
        self,
        frames: Sequence[Frame],
        cutoff: float,
        *,
        skin: float = 1.0,
        half_list: bool = False,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        self.cutoff, self.skin, self.half_list = float(cutoff), float(skin), half_list
        self.dtype, self.device = dtype, torch.device(device)
        self.rebuilds = 0
        self._frames = list(frames)
        self._lists = [self._build(frame, frame.positions) for frame in self._frames]
        self._reference = self._tensor(np.concatenate([f.positions for f in self._frames]))
        self._join_structures()
        self._join_edges()

    def update(self, positions: Tensor) -> tuple[AtomGraph, Tensor]:
        """Return the graph of new positions (float64, shape (N, 3)) and its edge vectors, float64, shape (E, 3).

        The vectors are more precise than those of a float32 graph, and need not be computed again:
        ``potential(graph, vectors=vectors)``. Structures whose positions are not finite keep their old list; their
        edges drop out.
        """
        moved = (positions - self._reference).square().sum(dim=1)
        stale = moved > (0.5 * self.skin) ** 2
        if bool(stale.any()):
            self._rebuild(positions, moved, self._batch[stale].unique().tolist())
        i, j = self._edge_index
        vectors = positions.index_select(0, j) - positions.index_select(0, i) + self._offsets
        within = (vectors.square().sum(dim=1) < self.cutoff**2).nonzero()[:, 0]
        graph = AtomGraph(
            numbers=self._numbers,
            positions=positions.to(self.dtype),
            cell=self._cell,
            pbc=self._pbc,
            batch=self._batch,
            edge_index=self._edge_index.index_select(1, within),
            edge_shift=self._edge_shift.index_select(0, within),
            cutoff=self.cutoff,
            half_list=self.half_list,
        )
        return graph, vectors.index_select(0, within)

    def keep(self, structures: Sequence[int]) -> None:
        """Keep only these structures (indices in ascending order)."""
        atoms = torch.isin(self._batch, torch.tensor(list(structures), dtype=torch.int64, device=self.device))
        self._reference = self._reference[atoms]
        self._frames = [self._frames[b] for b in structures]
        self._lists = [self._lists[b] for b in structures]
        self._join_structures()
        self._join_edges()

    def _build(self, frame: Frame, positions: np.ndarray) -> tuple[Tensor, Tensor]:
        radius = self.cutoff + self.skin
        try:
            edges, shifts = neighbour_list(positions, frame.cell, frame.pbc, radius, half_list=self.half_list)
        except DataError as error:
            raise DataError(f"{frame.source}: {error}") from None
        order = np.lexsort((*shifts.T[::-1], edges[1], edges[0]))
        return torch.from_numpy(edges[:, order]), torch.from_numpy(shifts[order])

    def _rebuild(self, positions: Tensor, moved: Tensor, structures: list[int]) -> None:
        for b in structures:
            start, stop = self._bounds[b], self._bounds[b + 1]
            # A structure that blew up (also to infinity) keeps its list: whoever runs it must notice and stop it.
            if not bool(moved[start:stop].max() < MAX_DISPLACEMENT**2):
                continue
            self._lists[b] = self._build(self._frames[b], positions[start:stop].cpu().numpy())
            self._reference[start:stop] = positions[start:stop]
            self.rebuilds += 1
        self._join_edges()

    def _join_structures(self) -> None:
        sizes = [len(f) for f in self._frames]
        self._bounds = np.cumsum([0, *sizes]).tolist()
        self._numbers = torch.as_tensor(np.concatenate([f.numbers for f in self._frames]), device=self.device).long()
        self._batch = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes)).to(self.device)
        self._cell64 = self._tensor(np.stack([f.cell for f in self._frames]))
        self._cell = self._cell64.to(self.dtype)
        self._pbc = torch.as_tensor(np.stack([f.pbc for f in self._frames]), device=self.device)

    def _join_edges(self) -> None:
        self._edge_index = torch.cat(
            [edges + start for (edges, _), start in zip(self._lists, self._bounds, strict=False)], dim=1
        ).to(self.device)
        shifts = torch.cat([shifts for _, shifts in self._lists]).to(self.device)
        cell = self._cell64.index_select(0, self._batch.index_select(0, self._edge_index[0]))
        self._edge_shift = shifts.to(self.dtype)
        self._offsets = torch.bmm(shifts.double()[:, None, :], cell)[:, 0]

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.tensor(array, dtype=torch.float64, device=self.device)
