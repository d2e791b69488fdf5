"""The runs of one simulation, part by part and batch by batch."""

from __future__ import annotations

import bisect
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path

import torch

from keel.atoms.frame import Frame
from keel.dynamics.batch import RunningBatch
from keel.dynamics.beside import Beside
from keel.dynamics.criteria import Criterion
from keel.dynamics.parts import begun_parts, part_of
from keel.dynamics.recorder import Recorder, identity
from keel.dynamics.results import Snapshot, Trajectory
from keel.dynamics.settings import ComputeSettings, Schedule
from keel.dynamics.spread import Ranks, dealt
from keel.errors import KeelWarning
from keel.kernels import kernels_if_they_pay
from keel.potentials.base import Potential
from keel.potentials.batches import atoms_at_once, groups
from keel.potentials.compiling.compiled import compiling
from keel.potentials.convert import converted

Callback = Callable[[int, int], None]


@dataclass(frozen=True)
class Job:
    """All runs of one call of :func:`keel.dynamics.simulate`, with its arguments.

    Its parts are what one process does at a time, each with a file of its own if there is one to write.
    """

    potential: Potential
    states: Sequence[Frame | Snapshot]
    runs: Sequence[int]
    settings: Schedule
    criteria: Sequence[Criterion]
    compute: ComputeSettings
    out: Path | None
    checkpoint_every: int
    beside: Sequence[Potential] = ()

    @cached_property
    def frames(self) -> list[Frame]:
        """The structures that the runs start from."""
        return [s.frame if isinstance(s, Snapshot) else s for s in self.states]

    def run(self, ranks: Ranks, callback: Callback | None) -> list[Trajectory]:
        """Do the share of this process, and return its results."""
        potential = self._in_precision(self.potential)
        beside = Beside([self._in_precision(p) for p in self.beside], self.settings) if self.beside else None
        limit = self.settings.max_atoms or atoms_at_once(potential.device)
        parts = self._parts(self._count(ranks, limit), limit)
        own = [k for k in ranks.own(len(parts)) if parts[k]]
        progress = _Progress(callback, self.settings.steps * sum(len(batch) for k in own for batch in parts[k]))
        # All atoms, not those of this process: whether code is compiled can change the last digits.
        work = self.settings.steps * sum(map(len, self.frames))
        results: list[Trajectory] = []
        with compiling(potential, self.compute.compile, work), kernels_if_they_pay(work):
            for k in own:
                recorder = self._recorder(potential, parts[k], k, len(parts), limit)
                for index, members in enumerate(parts[k]):
                    batch = self._batch(potential, members, index, recorder, beside)
                    for steps in batch.run():
                        progress.at(steps)
                    progress.add(self.settings.steps * len(members))
                    results += batch.trajectories()
        return results

    def _in_precision(self, potential: Potential) -> Potential:
        """Return a potential as it is simulated: closed forms on CPU in float64, as their kernels compute anyway."""
        device = self.compute.device or self.potential.device.type
        exact = potential.closed_form and str(device) == "cpu"
        return converted(potential, torch.float64 if exact else self.compute.dtype, device)

    def _count(self, ranks: Ranks, limit: int) -> int:
        """Return the number of parts: as many as were begun, else one for each process that has work."""
        everything = range(len(self.states))
        pieces = len(everything) if self.settings.max_atoms is None else len(self._batched(everything, limit))
        begun = None if self.out is None else begun_parts(self.out)
        count = begun or min(ranks.size, pieces)
        if count < min(ranks.size, len(everything)) and ranks.rank == 0:
            reason = f"{self.out} was begun in {begun} parts" if begun else f"max_atoms makes {pieces} batches"
            warnings.warn(
                f"{ranks.size - count} of {ranks.size} processes are idle: {reason}", KeelWarning, stacklevel=2
            )
        return count

    def _parts(self, count: int, limit: int) -> list[list[list[int]]]:
        """Return the batches of each part, and the runs of each batch (indices)."""
        everything = range(len(self.states))
        if self.settings.max_atoms is None:
            return [self._batched(members, limit) for members in dealt([self._work(k) for k in everything], count)]
        # Whole batches: sums are rounded differently in other batches.
        batches = self._batched(everything, limit)
        shares = dealt([sum(map(self._work, batch)) for batch in batches], count)
        return [[batches[k] for k in share] for share in shares]

    def _batched(self, members: Sequence[int], limit: int) -> list[list[int]]:
        sizes, steps = [len(self.frames[m]) for m in members], [_step(self.states[m]) for m in members]
        return [[members[k] for k in batch] for batch in batched(sizes, steps, limit)]

    def _work(self, member: int) -> int:
        return len(self.frames[member]) * max(1, self.settings.steps - _step(self.states[member]))

    def _batch(
        self,
        potential: Potential,
        members: Sequence[int],
        index: int,
        recorder: Recorder | None,
        beside: Beside | None,
    ) -> RunningBatch:
        starts, runs, checkpoint = [self.states[m] for m in members], [self.runs[m] for m in members], None
        if recorder is not None:
            begun = {self.runs[m]: self.frames[m] for m in members}
            checkpoint = recorder.begin(index, begun, self.settings, potential.device)
        return RunningBatch(potential, starts, runs, self.settings, self.criteria, recorder, checkpoint, beside)

    def _recorder(
        self, potential: Potential, batches: Sequence[Sequence[int]], part: int, parts: int, limit: int
    ) -> Recorder | None:
        if self.out is None:
            return None
        members = [m for batch in batches for m in batch]
        inputs = identity(
            self.potential,
            [self.states[m] for m in members],
            [self.runs[m] for m in members],
            self.settings,
            self.criteria,
            self.compute,
            max_atoms=limit,
            device=potential.device.type,
            beside=self.beside,
        )
        return Recorder(part_of(self.out, part, parts), self.checkpoint_every, inputs)


def batched(sizes: Sequence[int], steps: Sequence[int], max_atoms: int) -> list[list[int]]:
    """Return batches of consecutive structures of one step with at most ``max_atoms`` atoms, or one larger structure.

    There are as few as possible, and the largest has as few atoms as possible.
    """
    batches: list[list[int]] = []
    for members in _of_one_step(steps):
        own = [sizes[k] for k in members]
        fewest = len(_filled(own, max_atoms))
        # More atoms never need more batches: the smallest limit that needs no more than the largest.
        limit = bisect.bisect_left(range(max_atoms), True, key=lambda limit: len(_filled(own, limit)) <= fewest)
        batches += [[members[k] for k in batch] for batch in _filled(own, limit)]
    return batches


def _filled(sizes: Sequence[int], limit: int) -> list[list[int]]:
    return list(groups(range(len(sizes)), sizes.__getitem__, limit))


def _of_one_step(steps: Sequence[int]) -> list[list[int]]:
    return [list(members) for _, members in groupby(range(len(steps)), steps.__getitem__)]


def _step(start: Frame | Snapshot) -> int:
    return start.step if isinstance(start, Snapshot) else 0


class _Progress:
    """Structure-steps done by this process."""

    def __init__(self, callback: Callback | None, total: int) -> None:
        self.callback, self.total, self.before = callback, total, 0

    def at(self, steps: int) -> None:
        if self.callback is not None:
            self.callback(self.before + steps, self.total)

    def add(self, steps: int) -> None:
        self.before += steps
