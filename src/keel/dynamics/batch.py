"""Structures that move together; one that fails leaves, and the others do not notice."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from keel.atoms.elements import COVALENT_RADII, MASSES
from keel.atoms.frame import Frame
from keel.atoms.stress_units import GPA
from keel.atoms.verlet import VerletList
from keel.dynamics import barostat
from keel.dynamics import integrators as flow
from keel.dynamics.checkpoint import Checkpoint
from keel.dynamics.criteria import Criterion, Moment, first_cause
from keel.dynamics.noise import Noise
from keel.dynamics.recorder import Recorder
from keel.dynamics.results import Snapshot, Trajectory
from keel.dynamics.state import State, alone, snapshot_of, unknown
from keel.errors import KeelWarning
from keel.potentials.base import Potential

if TYPE_CHECKING:
    from keel.dynamics.settings import MDSettings


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
        Takes what is recorded, and checkpoints; None keeps the snapshots in memory.
    checkpoint
        Where to go on, with ``starts`` and ``runs`` as they were at the beginning.
    """

    def __init__(
        self,
        potential: Potential,
        starts: Sequence[Frame | Snapshot],
        runs: Sequence[int],
        settings: MDSettings,
        criteria: Sequence[Criterion],
        recorder: Recorder | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        self.potential, self.settings, self.criteria, self.recorder = potential, settings, criteria, recorder
        self.order, self.device = list(runs), potential.device
        self.first_step = starts[0].step if isinstance(starts[0], Snapshot) else 0
        self.snapshots: dict[int, list[Snapshot]] = {run: [] for run in runs}
        self.results = dict[int, Trajectory]() if checkpoint is None else dict(checkpoint.results)
        self.runs = list(runs) if checkpoint is None else list(checkpoint.runs)
        frames = {run: s.frame if isinstance(s, Snapshot) else s for run, s in zip(runs, starts, strict=True)}
        self.frames = [frames[run] for run in self.runs]
        self.tried: tuple[int, Tensor, Tensor, Tensor] | None = None
        self.recent: deque[State] = deque(() if checkpoint is None else checkpoint.recent, maxlen=settings.recent)
        if not self.runs:
            return
        self._set_atoms()
        self.noise = Noise(settings.seed, self.runs, [(len(f), 3) for f in self.frames], self.device)
        self.cell_noise = Noise(settings.seed, self.runs, [(1,) for _ in self.frames], self.device, "barostat")
        if self.recent:
            self.state = self.recent[-1]
            self.lists = self._lists([self._snapshot(self.state, b).frame for b in range(len(self.runs))])
        else:
            self.lists = self._lists(self.frames)
            self.state = self._first_state(starts)

    def _lists(self, frames: Sequence[Frame]) -> VerletList:
        reach = max((c.reach(frames) for c in self.criteria), default=0.0)
        return VerletList(
            frames,
            max(self.potential.cutoff, reach),
            skin=self.settings.skin,
            half_list=self.potential.half_list,
            dtype=self.potential.dtype,
            device=self.device,
        )

    def _first_state(self, starts: Sequence[Frame | Snapshot]) -> State:
        settings = self.settings
        velocities = [
            s.velocities
            if isinstance(s, Snapshot)
            else flow.maxwell_boltzmann(MASSES[s.numbers], settings.temperature, settings.seed, run)
            for s, run in zip(starts, self.runs, strict=True)
        ]
        positions = self._tensor(np.concatenate([f.positions for f in self.frames]))
        cell = self._tensor(np.stack([f.cell for f in self.frames]))
        moving = self._tensor(np.concatenate(velocities))
        return State(self.first_step, positions, moving, cell, *self._predicted(positions, cell))

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
        """Try a step; if it cannot be done, take out the runs that are to blame and return False."""
        self.tried = None
        try:
            self.state = self._step()
            return True
        # A potential may raise anything for a structure that blew up.
        except Exception:
            tried = self.state if self.tried is None else unknown(*self.tried)
            reasons = alone(self._evaluate_alone, tried, self.bounds, self.frames)
            if not reasons:
                raise
        for b, reason in reasons.items():
            warnings.warn(
                f"run {self.runs[b]} ended after {self.state.step} steps: {reason}", KeelWarning, stacklevel=2
            )
            self._store(b, EVALUATION_ERROR, tried)
        self._keep([b for b in range(len(self.runs)) if b not in reasons])
        return False

    def _evaluate_alone(self, frame: Frame) -> None:
        graph, vectors = self._lists([frame]).update(self._tensor(frame.positions))
        self.potential(graph, vectors=vectors)

    def _step(self) -> State:
        s, settings, dt = self.state, self.settings, self.settings.timestep
        velocities = flow.kick(s.velocities, s.forces, self.masses, 0.5 * dt)
        if settings.ensemble == "nve":
            positions = flow.drift(s.positions, velocities, dt)
        else:
            positions = flow.drift(s.positions, velocities, 0.5 * dt)
            decay = flow.decay_factor(settings.friction, dt)
            velocities = flow.thermalise(velocities, self.noise.at(s.step), self.spread, decay)
            positions = flow.drift(positions, velocities, 0.5 * dt)
        cell = s.cell
        if settings.ensemble == "npt":
            scale = self._scale(s)
            atoms = scale.index_select(0, self.batch)[:, None]
            positions, velocities, cell = positions * atoms, velocities / atoms, cell * scale[:, None, None]
        self.tried = (s.step + 1, positions, velocities, cell)
        energy, forces, stress = self._predicted(positions, cell)
        velocities = flow.kick(velocities, forces, self.masses, 0.5 * dt)
        return State(s.step + 1, positions, velocities, cell, energy, forces, stress)

    def _scale(self, state: State) -> Tensor:
        """Return by how much the barostat stretches each structure in this step, shape (B,)."""
        settings = self.settings
        volume = state.cell.det().abs()
        kinetic = flow.kinetic_energy(state.velocities, self.masses, self.batch, len(self.runs))
        new = barostat.new_volume(
            volume,
            barostat.internal_pressure(kinetic, state.stress, volume),
            self.cell_noise.at(state.step),
            target=settings.pressure_at(state.step) * GPA,
            temperature=settings.temperature,
            rate=settings.compressibility / GPA / settings.pressure_time,
            timestep=settings.timestep,
        )
        return (new / volume) ** (1 / 3)

    def _predicted(self, positions: Tensor, cell: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        self.graph, self.vectors = self.lists.update(positions, cell if self.settings.ensemble == "npt" else None)
        p = self.potential(self.graph, vectors=self.vectors)
        assert p.forces is not None
        assert p.stress is not None
        return p.energy, p.forces.double(), p.stress.double()

    def _examine(self) -> None:
        """Take out what has failed, then remember the state."""
        causes = first_cause(self.criteria, self._moment()) if self.criteria else {}
        if causes:
            for b, cause in causes.items():
                self._store(b, cause, self.state)
            self._keep([b for b in range(len(self.runs)) if b not in causes])
        if not self.runs:
            return
        self.recent.append(self.state)
        if self._is_recorded(self.state.step):
            for b, run in enumerate(self.runs):
                self._record(run, self._snapshot(self.state, b))

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
        if self.recorder is not None and not ends and self.recorder.due(self.state.step):
            self._save()

    def _save(self) -> None:
        if self.recorder is not None:
            self.recorder.commit(Checkpoint(self.runs, tuple(self.recent), self.results))

    def _moment(self) -> Moment:
        s = self.state
        kinetic = flow.kinetic_energy(s.velocities, self.masses, self.batch, len(self.runs))
        return Moment(
            step=s.step,
            timestep=self.settings.timestep,
            runs=self.runs,
            largest_radius=self.largest_radius,
            graph=self.graph,
            squared=self.lists.squared,
            cutoff=self.potential.cutoff,
            positions=s.positions,
            velocities=s.velocities,
            energy=s.energy,
            forces=s.forces,
            temperature=flow.kinetic_temperature(kinetic, self.sizes),
            target=self.settings.temperature,
        )

    def _store(self, b: int, cause: str | None, state: State) -> None:
        """Keep what became of a run, which failed in this state if there is a cause."""
        run = self.runs[b]
        recent = tuple(self._snapshot(s, b) for s in self.recent)
        here = self._snapshot(state, b) if cause is not None or not recent else recent[-1]
        last = recent[-1] if recent else here
        if self.recorder is not None and not (recent and self._is_recorded(last.step)):
            self.recorder.add(run, last)
        self.results[run] = Trajectory(
            run=run,
            snapshots=tuple(self.snapshots.pop(run)),
            last=last,
            recent=recent or (here,),
            failed=here if cause is not None else None,
            time=state.step * self.settings.timestep,
            cause=cause,
            timestep=self.settings.timestep,
            temperature=self.settings.temperature,
        )

    def _finish(self) -> None:
        for b in range(len(self.runs)):
            self._store(b, None, self.state)
        self.runs = []
        self._save()

    def _snapshot(self, state: State, b: int) -> Snapshot:
        atoms = slice(self.bounds[b], self.bounds[b + 1])
        return snapshot_of(state, b, atoms, self.frames[b], self.runs[b], self.settings.timestep)

    def _keep(self, structures: list[int]) -> None:
        if not structures:
            self.runs = []
            return
        index = torch.tensor(structures, device=self.device)
        atoms = torch.isin(self.batch, index).nonzero()[:, 0]
        self.state = self.state.of(index, atoms)
        self.recent = deque((s.of(index, atoms) for s in self.recent), maxlen=self.settings.recent)
        self.runs = [self.runs[b] for b in structures]
        self.frames = [self.frames[b] for b in structures]
        self.noise.keep(structures)
        self.cell_noise.keep(structures)
        self.lists.keep(structures)
        self._set_atoms()

    def _set_atoms(self) -> None:
        sizes = [len(f) for f in self.frames]
        self.bounds = np.cumsum([0, *sizes]).tolist()
        self.sizes = self._tensor(np.array(sizes))
        self.batch = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes)).to(self.device)
        numbers = np.concatenate([f.numbers for f in self.frames])
        self.masses, self.largest_radius = self._tensor(MASSES[numbers])[:, None], float(COVALENT_RADII[numbers].max())
        self.spread = flow.thermal_spread(self.masses, self.settings.temperature)

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.tensor(array, dtype=torch.float64, device=self.device)
