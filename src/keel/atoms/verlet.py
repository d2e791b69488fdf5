"""Verlet lists: the neighbour lists of moving structures, rebuilt only when atoms have moved far enough."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from keel.atoms.frame import Frame
from keel.atoms.graph import AtomGraph, squared_lengths
from keel.atoms.neighbours import neighbour_list
from keel.errors import DataError, naming

MAX_DISPLACEMENT = 1e3
"""An atom that moved further than this between two lists (angstrom) has left the simulation; no list can follow it."""

MOST_NEIGHBOURS = 50_000
"""Of an atom on average; a cell that has collapsed so far would exhaust the memory."""


class VerletList:
    """Neighbour lists of B moving structures.

    Each structure's list holds all pairs within ``cutoff + skin`` and is rebuilt when one of *its own* atoms has moved
    more than ``skin / 2`` since the last time (Verlet, Phys. Rev. 159, 98 (1967)); every graph is filtered to the
    cutoff. Where a structure has been scaled by s since then, an atom may have moved from its scaled place by
    (s (cutoff + skin) - cutoff) / 2: no pair from beyond the list has come within the cutoff. Positions are never
    wrapped. Edges are in the order of (i, j, shift), so that the graph depends on the positions only and not on when
    a list was built.

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

    Attributes
    ----------
    squared
        Squared lengths of the edges of the last graph in angstrom^2, float64, shape (E,).

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
        self.squared = torch.empty(0, dtype=torch.float64)
        self._cell64 = self._tensor(np.stack([f.cell for f in frames]))
        self._listed_cell = self._cell64.clone()
        self._frames = list(frames)
        self._lists = [self._build(frame, frame.positions, frame.cell) for frame in self._frames]
        self._reference = self._tensor(np.concatenate([f.positions for f in self._frames]))
        self._join_structures()
        self._join_edges()

    def update(self, positions: Tensor, cell: Tensor | None = None) -> tuple[AtomGraph, Tensor]:
        """Return the graph of new positions (float64, shape (N, 3)) and its edge vectors, float64, shape (E, 3).

        ``cell`` (float64, shape (B, 3, 3)) are the new cells, scaled like the positions; None: those of before.

        The vectors are more precise than those of a float32 graph, and need not be computed again:
        ``potential(graph, vectors=vectors)``. Structures whose positions are not finite keep their old list; their
        edges drop out.
        """
        if cell is None:
            moved = (positions - self._reference).square().sum(dim=1)
            stale = moved > (0.5 * self.skin) ** 2
        else:
            self._set_cell(cell)
            scale = ((cell.det() / self._listed_cell.det()).abs() ** (1 / 3)).nan_to_num(nan=1.0)
            scaled = self._reference * scale.index_select(0, self._batch)[:, None]
            moved = (positions - scaled).square().sum(dim=1)
            allowed = 0.5 * (scale * (self.cutoff + self.skin) - self.cutoff).clamp(min=0.0)
            stale = moved > allowed.square().index_select(0, self._batch)
        if bool(stale.any()):
            self._rebuild(positions, moved, self._batch[stale].unique().tolist())
        i, j = self._edge_index
        vectors = positions.index_select(0, j).sub_(positions.index_select(0, i)).add_(self._offsets)
        squared = squared_lengths(vectors)
        within = (squared < self.cutoff**2).nonzero()[:, 0]
        self.squared = squared.index_select(0, within)
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
        cell, listed = self._cell64[list(structures)], self._listed_cell[list(structures)]
        atoms = torch.isin(self._batch, torch.tensor(list(structures), dtype=torch.int64, device=self.device))
        self._reference = self._reference[atoms]
        self._frames = [self._frames[b] for b in structures]
        self._lists = [self._lists[b] for b in structures]
        self._join_structures()
        self._cell64, self._listed_cell = cell, listed
        self._join_edges()

    def _set_cell(self, cell: Tensor) -> None:
        self._cell64, self._cell = cell, cell.to(self.dtype)
        self._offsets = torch.bmm(self._shifts[:, None, :], cell.index_select(0, self._edge_batch))[:, 0]

    def _build(self, frame: Frame, positions: np.ndarray, cell: np.ndarray) -> tuple[Tensor, Tensor]:
        radius = self.cutoff + self.skin
        volume = abs(np.linalg.det(cell))
        neighbours = len(frame) * 4.19 * radius**3 / volume if frame.pbc.all() and volume > 0 else 0.0
        if neighbours > MOST_NEIGHBOURS:
            raise DataError(
                f"{frame.source}: its atoms have more than {MOST_NEIGHBOURS} neighbours within {radius:g} A"
            )
        with naming(frame.source):
            edges, shifts = neighbour_list(positions, cell, frame.pbc, radius, half_list=self.half_list)
        order = np.lexsort((*shifts.T[::-1], edges[1], edges[0]))
        return torch.from_numpy(edges[:, order]), torch.from_numpy(shifts[order])

    def _rebuild(self, positions: Tensor, moved: Tensor, structures: list[int]) -> None:
        for b in structures:
            start, stop = self._bounds[b], self._bounds[b + 1]
            # A structure that blew up (also to infinity) keeps its list: whoever runs it must notice and stop it.
            if not bool(moved[start:stop].max() < MAX_DISPLACEMENT**2):
                continue
            cell = self._cell64[b].cpu().numpy()
            self._lists[b] = self._build(self._frames[b], positions[start:stop].cpu().numpy(), cell)
            self._reference[start:stop] = positions[start:stop]
            self._listed_cell[b] = self._cell64[b]
            self.rebuilds += 1
        self._join_edges()

    def _join_structures(self) -> None:
        sizes = [len(f) for f in self._frames]
        self._bounds = np.cumsum([0, *sizes]).tolist()
        self._numbers = torch.as_tensor(np.concatenate([f.numbers for f in self._frames]), device=self.device).long()
        self._batch = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes)).to(self.device)
        self._pbc = torch.as_tensor(np.stack([f.pbc for f in self._frames]), device=self.device)

    def _join_edges(self) -> None:
        self._edge_index = torch.cat(
            [edges + start for (edges, _), start in zip(self._lists, self._bounds, strict=False)], dim=1
        ).to(self.device)
        shifts = torch.cat([shifts for _, shifts in self._lists]).to(self.device)
        self._edge_shift, self._shifts = shifts.to(self.dtype), shifts.double()
        self._edge_batch = self._batch.index_select(0, self._edge_index[0])
        self._set_cell(self._cell64)

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.tensor(array, dtype=torch.float64, device=self.device)
