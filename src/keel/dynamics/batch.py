"""Structures that move together; one that fails leaves, and the others do not notice."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from keel.atoms.elements import MASSES
from keel.atoms.frame import Frame
from keel.atoms.stress_units import GPA
from keel.atoms.verlet import VerletList
from keel.dynamics import barostat
from keel.dynamics import integrators as flow
from keel.dynamics.criteria import Criterion, Moment, first_cause
from keel.dynamics.noise import Noise
from keel.dynamics.results import Snapshot, Trajectory
from keel.potentials.base import Potential

if TYPE_CHECKING:
    from keel.dynamics.settings import MDSettings


@dataclass(frozen=True, eq=False)
class _State:
    """Positions, velocities and what the potential says of them; tensors are never changed in place."""

    step: int
    positions: Tensor
    velocities: Tensor
    cell: Tensor
    energy: Tensor
    forces: Tensor
    stress: Tensor

    def of(self, structures: Tensor, atoms: Tensor) -> _State:
        """Return the state of some structures only."""
        return _State(
            self.step,
            self.positions[atoms],
            self.velocities[atoms],
            self.cell[structures],
            self.energy[structures],
            self.forces[atoms],
            self.stress[structures],
        )


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
    """

    def __init__(
        self,
        potential: Potential,
        starts: Sequence[Frame | Snapshot],
        runs: Sequence[int],
        settings: MDSettings,
        criteria: Sequence[Criterion],
    ) -> None:
        self.potential, self.settings, self.criteria = potential, settings, criteria
        self.runs, self.device = list(runs), potential.device
        self.frames = [s.frame if isinstance(s, Snapshot) else s for s in starts]
        self.first_step = starts[0].step if isinstance(starts[0], Snapshot) else 0
        self.order, self.results = list(runs), dict[int, Trajectory]()
        self.snapshots: dict[int, list[Snapshot]] = {run: [] for run in runs}
        reach = max((c.reach(self.frames) for c in criteria), default=0.0)
        self.lists = VerletList(
            self.frames,
            max(potential.cutoff, reach),
            skin=settings.skin,
            half_list=potential.half_list,
            dtype=potential.dtype,
            device=self.device,
        )
        self.noise = Noise(settings.seed, self.runs, [(len(f), 3) for f in self.frames], self.device)
        self.cell_noise = Noise(settings.seed, self.runs, [(1,) for _ in self.frames], self.device, "barostat")
        self._set_atoms()
        velocities = [
            s.velocities
            if isinstance(s, Snapshot)
            else flow.maxwell_boltzmann(MASSES[s.numbers], settings.temperature, settings.seed, run)
            for s, run in zip(starts, runs, strict=True)
        ]
        positions = self._tensor(np.concatenate([f.positions for f in self.frames]))
        cell = self._tensor(np.stack([f.cell for f in self.frames]))
        self.state = self._evaluated(self.first_step, positions, self._tensor(np.concatenate(velocities)), cell)
        self.recent: deque[_State] = deque(maxlen=settings.recent)

    def run(self) -> Iterator[int]:
        """Simulate; yields the structure-steps done so far (a failed run counts as done) after every step."""
        n_all = len(self.runs)
        with torch.no_grad():
            self._examine()
            while self.runs and self.state.step < self.settings.steps:
                self.state = self._step()
                self._examine()
                yield self.state.step * len(self.runs) + self.settings.steps * (n_all - len(self.runs))
        self._finish()

    def trajectories(self) -> list[Trajectory]:
        """Return the results in the order of the starts."""
        return [self.results[run] for run in self.order]

    def _step(self) -> _State:
        s, settings, dt = self.state, self.settings, self.settings.timestep
        velocities = flow.kick(s.velocities, s.forces, self.masses, 0.5 * dt)
        if settings.ensemble == "nve":
            positions = flow.drift(s.positions, velocities, dt)
        else:
            positions = flow.drift(s.positions, velocities, 0.5 * dt)
            decay = flow.decay_factor(settings.friction, dt)
            noise = self.noise.at(s.step)
            velocities = flow.thermalise(velocities, noise, self.masses, settings.temperature, decay)
            positions = flow.drift(positions, velocities, 0.5 * dt)
        cell = s.cell
        if settings.ensemble == "npt":
            scale = self._scale(s)
            atoms = scale.index_select(0, self.graph.batch)[:, None]
            positions, velocities, cell = positions * atoms, velocities / atoms, cell * scale[:, None, None]
        new = self._evaluated(s.step + 1, positions, velocities, cell)
        return replace(new, velocities=flow.kick(velocities, new.forces, self.masses, 0.5 * dt))

    def _scale(self, state: _State) -> Tensor:
        """Return by how much the barostat stretches each structure in this step, shape (B,)."""
        settings = self.settings
        volume = state.cell.det().abs()
        kinetic = flow.kinetic_energy(state.velocities, self.masses, self.graph.batch, len(self.runs))
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

    def _evaluated(self, step: int, positions: Tensor, velocities: Tensor, cell: Tensor) -> _State:
        self.graph, self.vectors = self.lists.update(positions, cell if self.settings.ensemble == "npt" else None)
        p = self.potential(self.graph, vectors=self.vectors)
        assert p.forces is not None
        assert p.stress is not None
        return _State(step, positions, velocities, cell, p.energy, p.forces.double(), p.stress.double())

    def _examine(self) -> None:
        """Take out what has failed, then remember the state."""
        causes = first_cause(self.criteria, self._moment()) if self.criteria else {}
        if causes:
            for b, cause in causes.items():
                self._store(b, cause)
            self._keep([b for b in range(len(self.runs)) if b not in causes])
        if not self.runs:
            return
        self.recent.append(self.state)
        every = self.settings.record_every
        if every and self.state.step % every == 0 and (self.state.step > self.first_step or self.first_step == 0):
            for b, run in enumerate(self.runs):
                self.snapshots[run].append(self._snapshot(self.state, b))

    def _moment(self) -> Moment:
        s = self.state
        kinetic = flow.kinetic_energy(s.velocities, self.masses, self.graph.batch, len(self.runs))
        return Moment(
            step=s.step,
            timestep=self.settings.timestep,
            runs=self.runs,
            graph=self.graph,
            squared=self.vectors.square().sum(dim=1),
            cutoff=self.potential.cutoff,
            positions=s.positions,
            velocities=s.velocities,
            energy=s.energy,
            forces=s.forces,
            temperature=flow.kinetic_temperature(kinetic, self.sizes),
            target=self.settings.temperature,
        )

    def _store(self, b: int, cause: str | None) -> None:
        run = self.runs[b]
        recent = tuple(self._snapshot(state, b) for state in self.recent)
        here = self._snapshot(self.state, b) if cause is not None or not recent else recent[-1]
        self.results[run] = Trajectory(
            run=run,
            snapshots=tuple(self.snapshots.pop(run)),
            last=recent[-1] if recent else here,
            recent=recent or (here,),
            failed=here if cause is not None else None,
            time=self.state.step * self.settings.timestep,
            cause=cause,
            timestep=self.settings.timestep,
            temperature=self.settings.temperature,
        )

    def _finish(self) -> None:
        for b in range(len(self.runs)):
            self._store(b, None)
        self.runs = []

    def _snapshot(self, state: _State, b: int) -> Snapshot:
        atoms = slice(self.bounds[b], self.bounds[b + 1])
        time = state.step * self.settings.timestep
        start = self.frames[b]
        frame = start.replace(
            positions=state.positions[atoms].cpu().numpy().copy(),
            cell=state.cell[b].cpu().numpy().copy(),
            energy=float(state.energy[b]),
            forces=state.forces[atoms].cpu().numpy().copy(),
            stress=None,
            source=f"{start.source.split(' at ')[0]} at {time:g} fs of run {self.runs[b]}",
        )
        return Snapshot(frame, state.velocities[atoms].cpu().numpy().copy(), state.step, time)

    def _keep(self, structures: list[int]) -> None:
        if not structures:
            self.runs = []
            return
        index = torch.tensor(structures, device=self.device)
        atoms = torch.isin(self.graph.batch, index).nonzero()[:, 0]
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
        self.masses = self._tensor(np.concatenate([MASSES[f.numbers] for f in self.frames]))[:, None]

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.tensor(array, dtype=torch.float64, device=self.device)
