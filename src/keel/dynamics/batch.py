"""Structures that move together; one that fails leaves the batch without affecting the others."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch

from keel.atoms.frame import Frame
from keel.dynamics.beside import Beside
from keel.dynamics.checkpoint import Checkpoint
from keel.dynamics.criteria import Criterion, Remembering, first_cause
from keel.dynamics.motion import Motion
from keel.dynamics.recorder import Recorder
from keel.dynamics.results import LEFT_THE_DATA, Snapshot, Trajectory
from keel.dynamics.state import State, alone, snapshot_of, unknown
from keel.errors import KeelWarning
from keel.potentials.base import Potential

if TYPE_CHECKING:
    from keel.dynamics.settings import Schedule


EVALUATION_ERROR = "evaluation error"
"""Cause of failure of a run whose structure has no neighbour list, or for which the potential raises an error."""


class RunningBatch:
    """B runs in lockstep.

    Parameters
    ----------
    potential
        In the dtype and on the device of the simulation.
    starts
        Frames, or snapshots of one common step.
    runs
        The number of each run.
    settings, criteria
        See :func:`keel.dynamics.simulate`.
    recorder
        Receives what is recorded, and checkpoints; None keeps the snapshots in memory.
    checkpoint
        Where to continue, with ``starts`` and ``runs`` as at the beginning.
    beside
        Compares what is recorded with other potentials, and decides when to stop.
    """

    def __init__(
        self,
        potential: Potential,
        starts: Sequence[Frame | Snapshot],
        runs: Sequence[int],
        settings: Schedule,
        criteria: Sequence[Criterion],
        recorder: Recorder | None = None,
        checkpoint: Checkpoint | None = None,
        beside: Beside | None = None,
    ) -> None:
        self.beside, self.overdue = beside, False
        self.settings, self.criteria, self.recorder, self.order = settings, criteria, recorder, list(runs)
        self.first_step = starts[0].step if isinstance(starts[0], Snapshot) else 0
        self.snapshots: dict[int, list[Snapshot]] = {run: [] for run in runs}
        self.results = dict[int, Trajectory]() if checkpoint is None else dict(checkpoint.results)
        self.runs = list(runs) if checkpoint is None else list(checkpoint.runs)
        frames = {run: s.frame if isinstance(s, Snapshot) else s for run, s in zip(runs, starts, strict=True)}
        self.frames = [frames[run] for run in self.runs]
        self.recent: deque[State] = deque(() if checkpoint is None else checkpoint.recent, maxlen=settings.recent)
        if not self.runs:
            return
        self.motion = Motion(potential, self.runs, self.frames, settings, criteria)
        if self.recent:
            self.state = self.recent[-1]
            self.motion.look_around([self._snapshot(self.state, b).frame for b in range(len(self.runs))])
        else:
            self.state = self.motion.first_state(starts)

    def run(self) -> Iterator[int]:
        """Simulate; yields the structure-steps done so far (a failed run counts as done) after every step."""
        n_all = len(self.order)
        if not self.runs:
            return
        with torch.no_grad():
            if not self.recent:
                self._examine()
            while self.runs and self.state.step < self.settings.steps:
                if self._advanced():
                    self._examine()
                    self._save_if_due()
                yield self.state.step * len(self.runs) + self.settings.steps * (n_all - len(self.runs))
        self._finish()

    def trajectories(self) -> list[Trajectory]:
        """Return the results in the order of the starts."""
        return [self.results[run] for run in self.order]

    def _advanced(self) -> bool:
        """Try a step; if it fails, take out the runs responsible and return False."""
        motion = self.motion
        try:
            self.state = motion.step(self.state)
            return True
        # A potential may raise anything for a structure that blew up.
        except Exception:
            tried = self.state if motion.tried is None else unknown(*motion.tried)
            reasons = alone(motion.evaluate_alone, tried, motion.bounds, self.frames)
            if not reasons:
                raise
        for b, reason in reasons.items():
            warnings.warn(
                f"run {self.runs[b]} ended after {self.state.step} steps: {reason}", KeelWarning, stacklevel=2
            )
            self._store(b, EVALUATION_ERROR, tried)
        self._keep([b for b in range(len(self.runs)) if b not in reasons])
        return False

    def _examine(self) -> None:
        """Take out what has failed, then remember the state."""
        causes = first_cause(self.criteria, self.motion.moment(self.state)) if self.criteria else {}
        if causes:
            for b, cause in causes.items():
                self._store(b, cause, self.state)
            self._keep([b for b in range(len(self.runs)) if b not in causes])
        if not self.runs:
            return
        self.recent.append(self.state)
        recorded = self._is_recorded(self.state.step)
        compared = self.beside is not None and self.beside.due(self.state.step)
        if recorded or compared:
            snapshots = self._compared([self._snapshot(self.state, b) for b in range(len(self.runs))])
            for run, snapshot in zip(self.runs, snapshots, strict=True) if recorded else ():
                self._record(run, snapshot)
            if compared:
                self._stop_those_far_out(snapshots)

    def _compared(self, snapshots: list[Snapshot]) -> list[Snapshot]:
        return snapshots if self.beside is None else self.beside.compared(snapshots)

    def _stop_those_far_out(self, snapshots: Sequence[Snapshot]) -> None:
        """Take out the runs whose forces the potentials beside dispute."""
        assert self.beside is not None
        left = {b: said for b, snapshot in enumerate(snapshots) if (said := self.beside.objection(snapshot))}
        for b, said in left.items():
            warnings.warn(
                f"run {self.runs[b]} left the data after {self.state.step} steps: {said}", KeelWarning, stacklevel=2
            )
            self._store(b, LEFT_THE_DATA, self.state)
        if left:
            self._keep([b for b in range(len(self.runs)) if b not in left])

    def _is_recorded(self, step: int) -> bool:
        every = self.settings.record_every
        return bool(every) and step % every == 0 and (step > self.first_step or self.first_step == 0)

    def _record(self, run: int, snapshot: Snapshot) -> None:
        if self.recorder is None:
            self.snapshots[run].append(snapshot)
        else:
            self.recorder.add(run, snapshot)

    def _save_if_due(self) -> None:
        # The end of the batch has a checkpoint of its own.
        ends = not self.runs or self.state.step == self.settings.steps
        if self.recorder is None or ends:
            return
        step, timestep = self.state.step, self.settings.timestep_fs
        self.overdue = self.overdue or self.recorder.due(step)
        if self.overdue and not any(isinstance(c, Remembering) and c.remembers(step, timestep) for c in self.criteria):
            self._save()
            self.overdue = False

    def _save(self) -> None:
        if self.recorder is not None:
            self.recorder.commit(Checkpoint(self.runs, tuple(self.recent), self.results))

    def _store(self, b: int, cause: str | None, state: State) -> None:
        """Keep the result of a run, which failed in this state if there is a cause."""
        run = self.runs[b]
        recent = tuple(self._snapshot(s, b) for s in self.recent)
        here = self._snapshot(state, b) if cause is not None or not recent else recent[-1]
        (last,) = self._compared([recent[-1] if recent else here])
        if self.recorder is not None and not (recent and self._is_recorded(last.step)):
            self.recorder.add(run, last)
        self.results[run] = Trajectory(
            run=run,
            snapshots=tuple(self.snapshots.pop(run)),
            last=last,
            recent=(*recent[:-1], last),
            failed=here if cause is not None else None,
            time=state.step * self.settings.timestep_fs,
            cause=cause,
            timestep_fs=self.settings.timestep_fs,
            temperature=self.settings.temperature,
        )

    def _finish(self) -> None:
        for b in range(len(self.runs)):
            self._store(b, None, self.state)
        self.runs = []
        self._save()

    def _snapshot(self, state: State, b: int) -> Snapshot:
        atoms = slice(self.motion.bounds[b], self.motion.bounds[b + 1])
        return snapshot_of(state, b, atoms, self.frames[b], self.runs[b], self.settings.timestep_fs)

    def _keep(self, structures: list[int]) -> None:
        if not structures:
            self.runs = []
            return
        index, atoms = self.motion.keep(structures)
        self.state = self.state.of(index, atoms)
        self.recent = deque((s.of(index, atoms) for s in self.recent), maxlen=self.settings.recent)
        self.runs, self.frames = self.motion.runs, self.motion.frames
