"""Where batches come from: each is a pure function of (seed, stage, step, rank), so that a killed run can continue.

With gradient accumulation one process takes in turn what several ranks would take side by side: ``accumulate`` batches
of each of R ranks are those of ``accumulate`` * R ranks.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from keel.atoms.frame import Frame
from keel.atoms.graph import AtomGraph, collate
from keel.atoms.labelling.names import LABELS
from keel.atoms.neighbours import graph_of, graphs_of
from keel.atoms.selecting import have, sizes
from keel.atoms.store.frames import StoredFrames
from keel.errors import DataError
from keel.parallel import ahead
from keel.training.strategies import Stage


class BatchSource(Protocol):
    """Anything that gives the labelled batch of a step."""

    def batch(self, step: int, rank: int = 0, stage: str = "train") -> AtomGraph:
        """Return the batch of an optimiser step (from 0) of a stage for one of several data-parallel ranks."""


@dataclass(frozen=True)
class Sources:
    """The sources of the batches of a training.

    Parameters
    ----------
    labelled
        Batches with the labels of the data.
    taught
        Batches labelled by a teacher; None if there is none.
    """

    labelled: BatchSource
    taught: BatchSource | None = None

    @contextmanager
    def ahead(self, stage: Stage, first: int, ranks: Sequence[int] = (0,)) -> Iterator[Iterator[list[AtomGraph]]]:
        """Offer the batches of some ranks in each step of a stage, from step ``first`` on.

        They are made while the network learns from earlier ones.
        """

        def make(step: int) -> list[AtomGraph]:
            source = self.taught if stage.from_teacher(step) else self.labelled
            assert source is not None
            return [source.batch(step, rank, stage.name) for rank in ranks]

        with closing(ahead(make, range(first, stage.steps))) as batches:
            yield batches


class FrameBatches:
    """Labelled frames in seeded random order, each once in an epoch.

    Parameters
    ----------
    frames
        Labelled frames; their neighbour lists are built once, for frames of a store whenever needed.
    cutoff
        Of the network, in angstrom.
    batch_size
        Structures in a batch of one rank. If there are fewer frames than all ranks need together, the frames are shared
        by the ranks as evenly as possible, but each has at least one.
    seed
        Of the order.
    ranks
        Number of data-parallel ranks that share an epoch.
    batch_atoms
        Instead of ``batch_size``: a batch has as many of the next structures as have at most this many atoms together,
        at least one; it ends with the epoch.

    Raises
    ------
    DataError
        If there is no frame, or none has a label.
    """

    def __init__(
        self,
        frames: Sequence[Frame],
        cutoff: float,
        batch_size: int | None,
        seed: int,
        ranks: int = 1,
        *,
        batch_atoms: int | None = None,
    ) -> None:
        if not len(frames):
            raise DataError("there are no frames to train on")
        if not any(have(frames, label).any() for label in LABELS):
            raise DataError(f"{frames[0].source}: none of the {len(frames)} frames has a label to train on")
        self.frames, self.cutoff, self.seed, self.ranks = frames, cutoff, seed, ranks
        stays = isinstance(frames, StoredFrames)
        self._graphs = None if stays else [graph_of(f, cutoff, dtype=torch.float32) for f in frames]
        self._order: tuple[int, NDArray[np.int32]] | None = None
        self.step_size = min((batch_size or 1) * ranks, max(len(frames), ranks))
        self._epochs = None if batch_atoms is None else Epochs(sizes(frames), batch_atoms, self._ordered)

    def batch(self, step: int, rank: int = 0, stage: str = "train") -> AtomGraph:
        """See :class:`BatchSource`; the order is that of the epochs, in every stage."""
        del stage
        if self._epochs is not None:
            epoch, first, last = self._epochs.batch(step * self.ranks + rank)
            return self._joined(self._ordered(epoch)[first:last].tolist())
        first, last = (k * self.step_size // self.ranks for k in (rank, rank + 1))
        return self._joined([self._pick(step * self.step_size + k) for k in range(first, last)])

    def _joined(self, numbers: Sequence[int]) -> AtomGraph:
        if self._graphs is not None:
            return collate([self._graphs[k] for k in numbers])
        return graphs_of([self.frames[k] for k in numbers], self.cutoff, dtype=torch.float32)

    def _pick(self, index: int) -> int:
        epoch, place = divmod(index, len(self.frames))
        return int(self._ordered(epoch)[place])

    def _ordered(self, epoch: int) -> NDArray[np.int32]:
        """Return the numbers of the frames in the order of an epoch."""
        if self._order is None or self._order[0] != epoch:
            numbers = np.arange(len(self.frames), dtype=np.int32)
            self._order = epoch, np.random.default_rng([self.seed, epoch]).permutation(numbers)
        return self._order[1]


class Epochs:
    """Where batches of a bounded number of atoms begin and end in the order of each epoch.

    Parameters
    ----------
    sizes
        Atoms of each frame.
    most
        Atoms in a batch.
    ordered
        Returns the order of an epoch.
    """

    def __init__(self, sizes: NDArray[Any], most: int, ordered: Callable[[int], NDArray[np.int32]]) -> None:
        self.sizes, self.most, self.ordered = sizes, most, ordered
        self._begun = [0]
        self._bounds: tuple[int, NDArray[np.int64]] | None = None

    def batch(self, number: int) -> tuple[int, int, int]:
        """Return the epoch of a batch (from 0), and the first of its frames and that after the last in its order."""
        while number >= self._begun[-1]:
            epoch = len(self._begun) - 1
            self._begun.append(self._begun[-1] + len(self._of(epoch)) - 1)
        epoch = bisect_right(self._begun, number) - 1
        first, last = self._of(epoch)[number - self._begun[epoch] :][:2].tolist()
        return epoch, first, last

    def _of(self, epoch: int) -> NDArray[np.int64]:
        """Return where the batches of an epoch begin, and where the last ends."""
        if self._bounds is None or self._bounds[0] != epoch:
            ends = np.cumsum(self.sizes[self.ordered(epoch)], dtype=np.int64)
            bounds = [0]
            while (at := bounds[-1]) < len(ends):
                before = int(ends[at - 1]) if at else 0
                bounds.append(max(at + 1, int(np.searchsorted(ends, before + self.most, side="right"))))
            self._bounds = epoch, np.array(bounds)
        return self._bounds[1]
