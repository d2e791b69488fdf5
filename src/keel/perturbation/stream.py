"""The endless stream of perturbed, teacher-labelled batches."""

from __future__ import annotations

import copy
import warnings
import zlib
from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from keel.atoms.frame import Frame
from keel.atoms.graph import AtomGraph, collate
from keel.errors import ConfigError, DataError, KeelWarning
from keel.perturbation.children import Children, Pairs, find_pairs, make_children
from keel.perturbation.labels import Counts, beyond_caps, labels_of, select_structures, without_energies
from keel.perturbation.parents import Parent, ParentCache, prepare
from keel.perturbation.settings import PerturbationSettings
from keel.potentials.base import Potential, Prediction

MAX_ATTEMPTS = 20


class PerturbationStream:
    """Perturbed structures labelled by a teacher, as many as are asked for; nothing is stored.

    The batch of a step is a pure function of (seed, stage, step, rank): a run that was killed goes on with the batches
    that it would have seen. Parents are drawn uniformly, and so is the round of each child. Children beyond a cap are
    set aside, counted in :attr:`counts`, and replaced by other draws.

    Parameters
    ----------
    parents
        Structures of the training split.
    teacher
        Labels the children; a copy in ``dtype`` is used.
    settings
        How children are made.
    cutoff
        The batches hold every pair closer than this (a full list), in angstrom: the student's.
    seed
        Of everything random.
    batch_size
        Structures in a batch.
    batch_atoms
        Instead of ``batch_size``: as many structures as have at most so many atoms together, at least one.
    forces_only
        Leave energies and stress out of the labels.
    dtype
        Of the batches.
    cache_bytes
        Memory for the parents' neighbour lists; the least recently used are built anew when it is not enough.

    Raises
    ------
    ConfigError
        If the batch size is given twice or not at all, or the caps set nearly every child aside.
    DataError
        If there are no parents, or the teacher does not know one of their elements.

    Warns
    -----
    KeelWarning
        If the teacher sees further than the student.
    """

    def __init__(
        self,
        parents: Sequence[Frame],
        teacher: Potential,
        settings: PerturbationSettings | None = None,
        *,
        cutoff: float,
        seed: int = 0,
        batch_size: int | None = None,
        batch_atoms: int | None = None,
        forces_only: bool = False,
        dtype: torch.dtype = torch.float32,
        cache_bytes: float = 1e9,
    ) -> None:
        if (batch_size is None) == (batch_atoms is None) or (batch_size or batch_atoms or 0) < 1:
            raise ConfigError("give either batch_size or batch_atoms, at least 1")
        check_parents(parents, teacher)
        if teacher.cutoff > cutoff:
            warnings.warn(
                f"the teacher sees atoms up to {teacher.cutoff:g} angstrom, the student up to {cutoff:g} only: "
                "what lies between it can learn on average at best",
                KeelWarning,
                stacklevel=2,
            )
        self.settings = settings or PerturbationSettings()
        self.teacher = copy.deepcopy(teacher).to(dtype).eval().requires_grad_(False)
        self.cutoff, self.seed, self.dtype = float(cutoff), seed, dtype
        self.batch_size, self.batch_atoms, self.forces_only = batch_size, batch_atoms, forces_only
        self.counts = Counts.zero(self.settings.rounds)
        self._sizes = np.array([len(p) for p in parents])
        self._energies = np.full(len(parents), np.nan)
        precision = np.float64 if dtype == torch.float64 else np.float32
        radius = max(self.cutoff, teacher.cutoff)
        build = partial(prepare, radius=radius, settings=self.settings, dtype=precision)
        self._parents = ParentCache(parents, build, cache_bytes)

    def batch(self, step: int, rank: int = 0, stage: str = "pretrain") -> AtomGraph:
        """Return the labelled batch of a step, with the energies in the teacher's zero (its offsets included)."""
        graphs: list[AtomGraph] = []
        missing = 0
        for attempt in range(MAX_ATTEMPTS):
            rng = np.random.default_rng([self.seed, zlib.crc32(stage.encode()), step, rank, attempt])
            chosen = self._draw(rng) if attempt == 0 else rng.integers(len(self._sizes), size=missing)
            missing = missing or len(chosen)
            graph, keep = self._labelled(chosen, rng)
            missing -= int(keep.sum())
            graphs.append(graph if keep.all() else select_structures(graph, torch.from_numpy(keep)))
            if missing == 0:
                return collate([g for g in graphs if g.n_structures])
        raise ConfigError(
            f"the caps set aside nearly every perturbed structure ({self.counts}); raise force_cap or energy_cap"
        )

    def _draw(self, rng: np.random.Generator) -> NDArray[np.int64]:
        if self.batch_size is not None:
            return rng.integers(len(self._sizes), size=self.batch_size)
        limit = self.batch_atoms or 1
        chosen = rng.integers(len(self._sizes), size=limit // int(self._sizes.min()) + 1)
        return chosen[: max(1, int(np.searchsorted(np.cumsum(self._sizes[chosen]), limit, side="right")))]

    def _labelled(self, chosen: NDArray[np.int64], rng: np.random.Generator) -> tuple[AtomGraph, NDArray[np.bool_]]:
        """Return children of the chosen parents with labels, and which of them to keep."""
        parents = [self._parents[k] for k in chosen.tolist()]
        rounds = rng.integers(self.settings.rounds, size=len(chosen))
        periodic = np.array([p.frame.pbc.all() for p in parents])
        children = make_children(
            [p.partners for p in parents], self._sizes[chosen], periodic, rounds, self.settings, rng
        )
        graph, prediction = self._evaluate(parents, children)
        labels = labels_of(prediction, graph.periodic)
        excess = labels.energy - torch.from_numpy(self._parent_energies(chosen, parents))
        excess = excess / torch.from_numpy(self._sizes[chosen])
        strong, high = beyond_caps(labels, graph.batch, excess, self.settings)
        self.counts.add(rounds, strong, high)
        labels = without_energies(labels) if self.forces_only else labels
        return graph.replace(labels=labels), ~(strong | high)

    def _parent_energies(self, chosen: NDArray[np.int64], parents: Sequence[Parent]) -> NDArray[np.float64]:
        """Return the teacher's energies of the parents themselves, computed once for each."""
        new = np.flatnonzero(np.isnan(self._energies[chosen]))
        if len(new) and self.settings.energy_cap is not None:
            some = [parents[k] for k in new.tolist()]
            unmoved = _unmoved(some, self._sizes[chosen[new]])
            self._energies[chosen[new]] = self._evaluate(some, unmoved)[1].energy.numpy()
        return self._energies[chosen] if self.settings.energy_cap is not None else np.zeros(len(chosen))

    def _evaluate(self, parents: Sequence[Parent], children: Children) -> tuple[AtomGraph, Prediction]:
        """Return the student's graph of the children and what the teacher says of them."""
        pairs = find_pairs(parents, children)
        graph = structures(parents, children, self.dtype)
        half, vectors = half_graph(graph, pairs, self.teacher.cutoff)
        prediction = self.teacher(half, vectors=vectors)
        return full_graph(graph, pairs, self.cutoff), prediction


def check_parents(parents: Sequence[Frame], teacher: Potential) -> None:
    """Refuse an empty list of parents, and elements that the teacher does not know."""
    if not parents:
        raise DataError("there are no parent structures to perturb")
    known = None if teacher.elements is None else list(teacher.elements)
    for parent in parents:
        if len(parent) == 0:
            raise DataError(f"{parent.source}: a structure without atoms cannot be perturbed")
        if known is not None and not np.isin(parent.numbers, known).all():
            raise DataError(f"{parent.source}: {parent.formula} holds an element that the teacher does not know")


def structures(parents: Sequence[Parent], children: Children, dtype: torch.dtype) -> AtomGraph:
    """Return the children as a graph without edges."""
    sizes = np.diff(children.offsets)
    child = np.repeat(np.arange(len(parents)), sizes)
    positions = np.concatenate([p.frame.positions for p in parents])
    positions = np.einsum("ni,nij->nj", positions, children.deformation[child]) + children.displacement
    cell = np.stack([p.frame.cell for p in parents]) @ children.deformation
    return AtomGraph(
        numbers=torch.from_numpy(np.concatenate([p.frame.numbers for p in parents])),
        positions=torch.from_numpy(positions).to(dtype),
        cell=torch.from_numpy(cell).to(dtype),
        pbc=torch.from_numpy(np.stack([p.frame.pbc for p in parents])),
        batch=torch.from_numpy(child),
        edge_index=torch.zeros(2, 0, dtype=torch.int64),
        edge_shift=torch.zeros(0, 3, dtype=dtype),
        cutoff=0.0,
    )


def half_graph(graph: AtomGraph, pairs: Pairs, cutoff: float) -> tuple[AtomGraph, Tensor]:
    """Return the graph with each pair within ``cutoff`` once, and its edge vectors."""
    half = graph.replace(
        edge_index=torch.from_numpy(pairs.ends),
        edge_shift=torch.from_numpy(pairs.shifts),
        cutoff=pairs.radius,
        half_list=True,
    )
    vectors = torch.from_numpy(pairs.vectors).T
    if cutoff < pairs.radius:
        edges = torch.from_numpy(np.flatnonzero(pairs.squared < cutoff**2))
        return half.select_edges(edges, cutoff=cutoff), vectors.index_select(0, edges)
    return half, vectors


def full_graph(graph: AtomGraph, pairs: Pairs, cutoff: float) -> AtomGraph:
    """Return the graph with each pair within ``cutoff`` twice, sorted by its first atom."""
    edges = np.flatnonzero(pairs.squared < cutoff**2)
    ends, shifts = pairs.ends.take(edges, axis=1), pairs.shifts.take(edges, axis=0)
    ends = np.concatenate([ends, ends[::-1]], axis=1)
    # numpy sorts 16-bit integers by counting, ten times faster than wider ones.
    order = ends[0].astype(np.uint16 if graph.n_atoms < 2**16 else np.int64).argsort(kind="stable")
    return graph.replace(
        edge_index=torch.from_numpy(ends.take(order, axis=1)),
        edge_shift=torch.from_numpy(np.concatenate([shifts, -shifts])).index_select(0, torch.from_numpy(order)),
        cutoff=cutoff,
    )


def _unmoved(parents: Sequence[Parent], sizes: NDArray[np.int64]) -> Children:
    dtype = parents[0].distance.dtype
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    return Children(
        rounds=np.zeros(len(parents), dtype=np.int64),
        offsets=offsets,
        deformation=np.broadcast_to(np.eye(3, dtype=dtype), (len(parents), 3, 3)),
        displacement=np.zeros((int(offsets[-1]), 3), dtype=dtype),
        pairs=np.zeros((2, 0), dtype=np.int64),
        pair_lengths=np.zeros(0, dtype=dtype),
    )
