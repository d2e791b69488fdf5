"""The endless stream of perturbed, teacher-labelled batches."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from keel.atoms.conversion import Structures, as_frames
from keel.atoms.frame import Array, Frame
from keel.atoms.graph import AtomGraph, collate
from keel.atoms.selecting import are_periodic, sizes
from keel.atoms.store.frames import StoredFrames
from keel.errors import ConfigError, DataError
from keel.parallel import plain
from keel.perturbation.children import Children, find_pairs, make_children
from keel.perturbation.graphs import full_graph
from keel.perturbation.labels import Counts, Labeller, beyond_caps, select_structures, without_energies
from keel.perturbation.parents import Parent, ParentCache, prepare
from keel.perturbation.settings import PerturbationSettings
from keel.potentials.base import Potential
from keel.potentials.batches import known_by
from keel.potentials.external.opening import Given, open_potential

MAX_ATTEMPTS = 20

CACHE_BYTES = 1e9
"""Memory for the parents' neighbour lists; if it is not enough, the least recently used are rebuilt when needed."""


class PerturbationStream:
    """Perturbed structures labelled by a teacher, as many as requested; nothing is stored.

    The batch of a step is a pure function of (seed, stage, step, rank): a run that was killed continues with the
    batches that it would have seen. Ranks share the structures that a single one would make: two with a ``batch_size``
    of 4 have the same structures as one with 8. Each makes them all and keeps its part, because only then is it known
    which are set aside. Parents are drawn uniformly, and so is the round of each child; a share of the parents is
    compressed. Children beyond a cap are set aside, counted in :attr:`counts`, and replaced by other draws.

    Parameters
    ----------
    parents
        Structures of the training split.
    teacher
        Labels the children; a copy is used, in double precision if it is a closed form on CPU, else in ``dtype``.
    settings
        How children are made.
    cutoff
        Cutoff of the student in angstrom: batches contain every closer pair (a full list).
    seed
        Seed of all random choices.
    batch_size
        Structures in a batch of one rank.
    batch_atoms
        Instead of ``batch_size``: as many structures as have at most this many atoms together, at least one; each rank
        draws its own.
    forces_only
        Leave energies and stress out of the labels.
    dtype
        Of the batches.
    ranks
        Number of data-parallel ranks.

    Raises
    ------
    ConfigError
        If the batch size is given twice or not at all, or the caps set nearly every child aside.
    DataError
        If there are no parents, or the teacher does not know one of their elements.
    """

    def __init__(
        self,
        parents: Structures,
        teacher: Given,
        settings: PerturbationSettings | Mapping[str, Any] | None = None,
        *,
        cutoff: float,
        seed: int = 0,
        batch_size: int | None = None,
        batch_atoms: int | None = None,
        forces_only: bool = False,
        dtype: torch.dtype = torch.float32,
        ranks: int = 1,
    ) -> None:
        if (batch_size is None) == (batch_atoms is None) or (batch_size or batch_atoms or 0) < 1:
            raise ConfigError("give either batch_size or batch_atoms, at least 1")
        parents, teacher = as_frames(parents), open_potential(teacher)
        check_parents(parents, teacher)
        self.settings = PerturbationSettings.given(settings)
        self._labeller = Labeller(teacher, dtype)
        self.cutoff, self.seed, self.dtype = float(cutoff), seed, dtype
        self.batch_size, self.batch_atoms, self.forces_only = batch_size, batch_atoms, forces_only
        self.ranks = ranks
        self.counts = Counts.zero(self.settings.rounds)
        self._frames = parents
        # Parent k + n * level is frame k, compressed by its level; level 0 is not compressed.
        self._lengths = 1.0, *self.settings.compressions
        self._sizes, self._periodic = sizes(parents), are_periodic(parents)
        self._energies: dict[int, float] = {}
        radius = max(self.cutoff, teacher.cutoff)
        drawn = np.float64 if dtype == torch.float64 else np.float32
        self._prepare = partial(prepare, radius=radius, settings=self.settings, dtype=drawn)
        self._parents = ParentCache(self._parent, CACHE_BYTES)
        self._shared: tuple[tuple[int, str], AtomGraph] | None = None

    def batch(self, step: int, rank: int = 0, stage: str = "pretrain") -> AtomGraph:
        """Return the labelled batch of a step, with the energies in the teacher's zero (its offsets included).

        Parameters
        ----------
        step
            Number of the step, from 0.
        rank
            Number of the data-parallel rank, from 0.
        stage
            Name of the training stage; each has its own random numbers.

        Raises
        ------
        ConfigError
            If there is no such rank.
        """
        if self.batch_size is not None and not 0 <= rank < self.ranks:
            raise ConfigError(
                f"there is no rank {rank} of {self.ranks}: give the number of ranks that share the stream (ranks=...)"
            )
        if self.batch_size is None or self.ranks == 1:
            return self._whole(step, rank, stage)
        if self._shared is None or self._shared[0] != (step, stage):
            self._shared = (step, stage), self._whole(step, 0, stage)
        whole = self._shared[1]
        own = torch.arange(whole.n_structures) // self.batch_size == rank
        return select_structures(whole, own)

    def _whole(self, step: int, rank: int, stage: str) -> AtomGraph:
        graphs: list[AtomGraph] = []
        missing = 0
        for attempt in range(MAX_ATTEMPTS):
            rng = np.random.default_rng([self.seed, zlib.crc32(stage.encode()), step, rank, attempt])
            chosen = self._draw(rng) if attempt == 0 else self._numbers(rng, missing)
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
            return self._numbers(rng, self.batch_size * self.ranks)
        limit = self.batch_atoms or 1
        chosen = self._numbers(rng, limit // int(self._sizes.min()) + 1)
        together = np.cumsum(self._sizes[chosen % len(self._frames)])
        return chosen[: max(1, int(np.searchsorted(together, limit, side="right")))]

    def _numbers(self, rng: np.random.Generator, size: int) -> NDArray[np.int64]:
        """Draw parents, some of them compressed."""
        chosen = rng.integers(len(self._frames), size=size)
        if not self.settings.compressed:
            return chosen
        level = rng.integers(1, len(self._lengths), size=size)
        compressed = (rng.random(size) < self.settings.compressed) & self._periodic[chosen]
        chosen += len(self._frames) * np.where(compressed, level, 0)
        return chosen

    def _parent(self, number: int) -> Parent:
        level, k = divmod(number, len(self._frames))
        return self._prepare(self._frames[k].scaled(self._lengths[level]))

    def _labelled(self, chosen: NDArray[np.int64], rng: np.random.Generator) -> tuple[AtomGraph, NDArray[np.bool_]]:
        """Return children of the chosen parents with labels, and which of them to keep."""
        parents = [self._parents[k] for k in chosen.tolist()]
        rounds = rng.integers(self.settings.rounds, size=len(chosen))
        atoms, periodic = self._sizes[chosen % len(self._frames)], self._periodic[chosen % len(self._frames)]
        partners = [p.partners for p in parents]
        children = make_children(partners, atoms, periodic, rounds, self.settings, rng)
        pairs = find_pairs(parents, children)
        labels, strongest = self._labeller(pairs, children.offsets)
        excess = (plain(labels.energy) - self._parent_energies(chosen, parents, atoms)) / atoms
        strong, high = beyond_caps(strongest, excess, self.settings)
        self.counts.add(rounds, strong, high)
        labels = without_energies(labels) if self.forces_only else labels
        return full_graph(pairs, self.cutoff, self.dtype).replace(labels=labels), ~(strong | high)

    def _parent_energies(self, chosen: NDArray[np.int64], parents: Sequence[Parent], atoms: NDArray[np.int64]) -> Array:
        """Return the teacher's energies of the parents themselves, computed once for each."""
        if self.settings.energy_cap is None:
            return np.zeros(len(chosen))
        new = [k for k, number in enumerate(chosen.tolist()) if number not in self._energies]
        if new:
            still = Children.unmoved(atoms[new])
            labels, _ = self._labeller(find_pairs([parents[k] for k in new], still), still.offsets)
            self._energies.update(zip(chosen[new].tolist(), plain(labels.energy).tolist(), strict=True))
        return np.array([self._energies[number] for number in chosen.tolist()])


def check_parents(parents: Sequence[Frame], teacher: Potential) -> None:
    """Refuse an empty list of parents, and elements that the teacher does not know."""
    if not len(parents):
        raise DataError("there are no parent structures to perturb")
    known = teacher.elements
    if isinstance(parents, StoredFrames) and (known is None or {*known}.issuperset(parents.elements)):
        return
    for parent in parents:
        if len(parent) == 0:
            raise DataError(f"{parent.source}: a structure without atoms cannot be perturbed")
        known_by(teacher, parent, "the teacher")
