"""Where batches come from: each is a pure function of (seed, stage, step, rank), so that a killed run goes on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from keel.atoms.frame import Frame
from keel.atoms.graph import AtomGraph, collate
from keel.atoms.neighbours import graph_of
from keel.errors import DataError
from keel.parallel import ahead
from keel.training.strategies import Stage


class BatchSource(Protocol):
    """Anything that gives the labelled batch of a step."""

    def batch(self, step: int, rank: int = 0, stage: str = "train") -> AtomGraph:
        """Return the batch of an optimiser step (from 0) of a stage for one of several data-parallel ranks."""


@dataclass(frozen=True)
class Sources:
    """Where the batches of a training come from.

    Parameters
    ----------
    labelled
        Batches with the labels of the data.
    taught
        Batches labelled by a teacher; None where there is none to learn from.
    """

    labelled: BatchSource
    taught: BatchSource | None = None

    @contextmanager
    def ahead(self, stage: Stage, first: int, rank: int) -> Iterator[Iterator[AtomGraph]]:
        """Offer the batches of a stage from step ``first`` on, made while the network learns from those before."""

        def make(step: int) -> AtomGraph:
            source = self.taught if stage.from_teacher(step) else self.labelled
            assert source is not None
            return source.batch(step, rank, stage.name)

        with closing(ahead(make, range(first, stage.steps))) as batches:
            yield batches


class FrameBatches:
    """Labelled frames in seeded random order, each once in an epoch.

    Parameters
    ----------
    frames
        Labelled frames; their neighbour lists are built once.
    cutoff
        Of the network, in angstrom.
    batch_size
        Structures in a batch of one rank. If there are fewer frames than all ranks take together, all frames are
        shared by the ranks, as evenly as may be, but each has at least one.
    seed
        Of the order.
    ranks
        Number of data-parallel ranks that share an epoch.

    Raises
    ------
    DataError
        If there is no frame, or none has a label.
    """

    def __init__(self, frames: Sequence[Frame], cutoff: float, batch_size: int, seed: int, ranks: int = 1) -> None:
        if not frames:
            raise DataError("there are no frames to train on")
        if all(f.energy is None and f.forces is None and f.stress is None for f in frames):
            raise DataError(f"{frames[0].source}: none of the {len(frames)} frames carries a label to train on")
        self.graphs = [graph_of(f, cutoff, dtype=torch.float32) for f in frames]
        self.step_size = min(batch_size * ranks, max(len(frames), ranks))
        self.seed = seed
        self.ranks = ranks
        self._order: tuple[int, NDArray[np.int64]] | None = None

    def batch(self, step: int, rank: int = 0, stage: str = "train") -> AtomGraph:
        """See :class:`BatchSource`; the order is that of the epochs, in every stage."""
        del stage
        first, last = (k * self.step_size // self.ranks for k in (rank, rank + 1))
        return collate([self.graphs[self._pick(step * self.step_size + k)] for k in range(first, last)])

    def _pick(self, index: int) -> int:
        epoch, place = divmod(index, len(self.graphs))
        if self._order is None or self._order[0] != epoch:
            self._order = (epoch, np.random.default_rng([self.seed, epoch]).permutation(len(self.graphs)))
        return int(self._order[1][place])
