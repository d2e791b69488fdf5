"""Verlet lists: the neighbour lists of moving structures, rebuilt only when atoms have moved far enough."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from keel.atoms.frame import Frame
from keel.atoms.graph import AtomGraph, squared_lengths
from keel.atoms.kernels.skin_pairs import SkinPairs
from keel.atoms.linked import ordered_pairs
from keel.atoms.neighbours import states_of
from keel.errors import DataError, naming
from keel.kernels import kernels_run
from keel.parallel import plain

MAX_DISPLACEMENT = 1e3
"""An atom that moved further than this between two lists (angstrom) has left the simulation; no list can follow it."""

MOST_NEIGHBOURS = 50_000
"""Mean number of neighbours per atom; a cell that has collapsed this far would exhaust the memory."""


class VerletList:
    """Neighbour lists of B moving structures.

    Each structure's list contains all pairs within ``cutoff + skin`` and is rebuilt when one of *its own* atoms has
    moved more than ``skin / 2`` since the last time (Verlet, Phys. Rev. 159, 98 (1967)); every graph is filtered to the
    cutoff. If a structure has been scaled by s since then, an atom may have moved from its scaled place by (s (cutoff +
    skin) - cutoff) / 2: no pair from beyond the list has come within the cutoff. Positions are never wrapped. Edges are
    in the order of (i, j, shift), so that the graph depends on the positions only and not on when a list was built.

    Parameters
    ----------
    frames
        The structures; N atoms in all.
    cutoff
        Graphs contain every pair closer than this, in angstrom.
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

    _pairs: SkinPairs | None
    _edge_index: Tensor
    _offset_of: Tensor
    _offsets: Tensor
    _shifts: Tensor
    _shift_batch: Tensor

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
        self._follow(positions, cell)
        within = self._within_by_kernel if self._by_kernels else self._within
        edge_index, vectors, self.squared, edge_shift = within(positions)
        graph = AtomGraph(
            numbers=self._numbers,
            positions=positions.to(self.dtype),
            cell=self._cell,
            pbc=self._pbc,
            batch=self._batch,
            edge_index=edge_index,
            edge_shift=edge_shift,
            cutoff=self.cutoff,
            half_list=self.half_list,
            states=self._states,
        )
        return graph, vectors

    def _follow(self, positions: Tensor, cell: Tensor | None) -> None:
        """Make sure that the list contains every pair within the cutoff."""
        if cell is None:
            if self._by_kernels and not self._moved_by_kernel(positions):
                return
            moved = squared_lengths(positions - self._reference)
            stale = moved > (0.5 * self.skin) ** 2
        else:
            self._set_cell(cell)
            scale = ((cell.det() / self._listed_cell.det()).abs() ** (1 / 3)).nan_to_num(nan=1.0)
            scaled = self._reference * scale.index_select(0, self._batch)[:, None]
            moved = squared_lengths(positions - scaled)
            allowed = 0.5 * (scale * (self.cutoff + self.skin) - self.cutoff).clamp(min=0.0)
            stale = moved > allowed.square().index_select(0, self._batch)
        if bool(stale.any()):
            self._rebuild(positions, moved, self._batch[stale].unique().tolist())

    @property
    def _by_kernels(self) -> bool:
        return self.device.type == "cpu" and kernels_run()

    def pairs(self, positions: Tensor, cell: Tensor | None = None) -> SkinPairs:
        """Return all pairs of a half list after it has followed the atoms; arguments as :meth:`update`."""
        self._follow(positions, cell)
        if self._pairs is None:
            i, j = plain(self._edge_index)
            self._pairs = SkinPairs.of(i, j, plain(self._offset_of), plain(self._batch), plain(self._numbers))
        self._pairs.offsets = plain(self._offsets)
        return self._pairs

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

    def _within(self, positions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return ends, vectors, squared lengths and shifts of the pairs within the cutoff."""
        i, j = self._edge_index
        offsets = self._offsets.index_select(0, self._offset_of)
        vectors = positions.index_select(0, j).sub_(positions.index_select(0, i)).add_(offsets)
        squared = squared_lengths(vectors)
        near = (squared < self.cutoff**2).nonzero()[:, 0]
        shifts = self._shifts.to(self.dtype).index_select(0, self._offset_of.index_select(0, near))
        ends = self._edge_index.index_select(1, near)
        return ends, vectors.index_select(0, near), squared.index_select(0, near), shifts

    def _within_by_kernel(self, positions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        from keel.atoms.kernels.within import within

        room = self._edge_index.shape[1] + 1
        edges, vectors = np.empty((2, room), dtype=np.int64), np.empty((room, 3))
        squared, shifts = np.empty(room), np.empty((room, 3))
        i, j = plain(self._edge_index)
        pairs = i, j, plain(self._offset_of), plain(self._offsets), plain(self._shifts)
        n = within(plain(positions), pairs, self.cutoff**2, (edges, vectors, squared, shifts))
        ends, lengths = torch.from_numpy(edges[:, :n]), torch.from_numpy(squared[:n])
        return ends, torch.from_numpy(vectors[:n]), lengths, torch.from_numpy(shifts[:n]).to(self.dtype)

    def _moved_by_kernel(self, positions: Tensor) -> bool:
        from keel.atoms.kernels.moved import moved_beyond

        return moved_beyond(plain(positions), plain(self._reference), (0.5 * self.skin) ** 2)

    def _set_cell(self, cell: Tensor) -> None:
        self._cell64, self._cell = cell, cell.to(self.dtype)
        self._offsets = torch.bmm(self._shifts[:, None, :], cell.index_select(0, self._shift_batch))[:, 0]

    def _build(self, frame: Frame, positions: np.ndarray, cell: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        """Return ends (2, E), the place of each pair's shift (E,), and the shifts (S, 3)."""
        radius = self.cutoff + self.skin
        volume = abs(np.linalg.det(cell))
        neighbours = len(frame) * 4.19 * radius**3 / volume if frame.pbc.all() and volume > 0 else 0.0
        if neighbours > MOST_NEIGHBOURS:
            raise DataError(
                f"{frame.source}: its atoms have more than {MOST_NEIGHBOURS} neighbours within {radius:g} A"
            )
        with naming(frame.source):
            edges, places, shifts = ordered_pairs(positions, cell, frame.pbc, radius, half=self.half_list)
        return torch.from_numpy(edges), torch.from_numpy(places), torch.from_numpy(shifts)

    def _rebuild(self, positions: Tensor, moved: Tensor, structures: list[int]) -> None:
        for b in structures:
            start, stop = self._bounds[b], self._bounds[b + 1]
            # A structure that blew up (also to infinity) keeps its list: the caller must notice and stop it.
            if not bool(moved[start:stop].max() < MAX_DISPLACEMENT**2):
                continue
            cell = self._cell64[b].cpu().numpy()
            self._lists[b] = self._build(self._frames[b], positions[start:stop].cpu().numpy(), cell)
            self._reference[start:stop] = positions[start:stop]
            self._listed_cell[b] = self._cell64[b]
            self.rebuilds += 1
        self._join_edges()

    def _join_structures(self) -> None:
        sizes, self._states = [len(f) for f in self._frames], states_of(self._frames)
        self._bounds = np.cumsum([0, *sizes]).tolist()
        self._numbers = torch.as_tensor(np.concatenate([f.numbers for f in self._frames]), device=self.device).long()
        self._batch = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes)).to(self.device)
        self._pbc = torch.as_tensor(np.stack([f.pbc for f in self._frames]), device=self.device)

    def _join_edges(self) -> None:
        self._pairs = None
        self._edge_index = torch.cat(
            [edges + start for (edges, *_), start in zip(self._lists, self._bounds, strict=False)], dim=1
        ).to(self.device)
        # Few shifts serve many pairs: those of all structures in one table, and the place of each pair's in it.
        tables = [shifts for _, _, shifts in self._lists]
        sizes = torch.tensor([len(shifts) for shifts in tables])
        starts = (sizes.cumsum(0) - sizes).tolist()
        places = [places + start for (_, places, _), start in zip(self._lists, starts, strict=True)]
        self._shifts, self._offset_of = torch.cat(tables).to(self.device), torch.cat(places).to(self.device)
        self._shift_batch = torch.repeat_interleave(torch.arange(len(sizes)), sizes).to(self.device)
        self._set_cell(self._cell64)

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.tensor(array, dtype=torch.float64, device=self.device)
