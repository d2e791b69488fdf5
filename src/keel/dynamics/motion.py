"""How structures move together, one step after the other."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from keel.atoms.elements import COVALENT_RADII
from keel.atoms.frame import Array, Frame
from keel.atoms.graph import AtomGraph
from keel.atoms.mobility import degrees_of_freedom, masses_of
from keel.atoms.stressed import stress_volumes
from keel.atoms.units import GPA
from keel.atoms.verlet import VerletList
from keel.dynamics import barostat
from keel.dynamics import integrators as flow
from keel.dynamics.criteria import Criterion, Moment
from keel.dynamics.noise import Noise
from keel.dynamics.results import Snapshot
from keel.dynamics.state import State
from keel.dynamics.survey import Survey
from keel.errors import UnavailableError
from keel.parallel import plain
from keel.potentials.base import Potential
from keel.potentials.classical.along import Along, AlongLists, follows_lists
from keel.potentials.sum import range_of

if TYPE_CHECKING:
    from keel.dynamics.settings import Schedule


class Motion:
    """Takes B structures from one state to the next.

    Parameters
    ----------
    potential
        In the dtype and on the device of the simulation.
    runs, frames
        The number of each run, which fixes its noise, and the structure it starts from.
    settings
        See :class:`keel.dynamics.MDSettings`.
    criteria
        They may look further than the potential.
    """

    def __init__(
        self,
        potential: Potential,
        runs: Sequence[int],
        frames: Sequence[Frame],
        settings: Schedule,
        criteria: Sequence[Criterion],
    ) -> None:
        self.potential, self.settings, self.device = potential, settings, potential.device
        self.range = range_of(potential)
        self.runs, self.frames = list(runs), list(frames)
        self.reaches = [c.reach for c in criteria]
        self.graph: AtomGraph | None = None
        self.nearest: float | None = None
        self.met: Tensor | None = None
        furthest = max((reach(self.frames) for reach in self.reaches), default=0.0)
        self.along: Along | None = None
        self.cell: Tensor | None = None
        self.periodic, self.volume, self.energies_apart = np.empty(0, bool), np.empty(0), np.empty(0)
        if isinstance(potential, AlongLists) and follows_lists(potential) and furthest <= potential.cutoff:
            self.along = potential.along_lists()
        self.tried: tuple[int, Tensor, Tensor, Tensor] | None = None
        self._set_atoms()
        self.noise = Noise(settings.seed, self.runs, [(len(f), 3) for f in self.frames], self.device)
        self.cell_noise = Noise(settings.seed, self.runs, [(1,) for _ in self.frames], self.device, "barostat")

    def look_around(self, frames: Sequence[Frame]) -> None:
        """Find the neighbours of all atoms at their present positions."""
        self.lists = self._lists(frames)

    def first_state(self, starts: Sequence[Frame | Snapshot]) -> State:
        """Return the state in which they start; those that have no velocities draw them."""
        self.look_around(self.frames)
        velocities = [self._velocities(s, run) for s, run in zip(starts, self.runs, strict=True)]
        positions = self._tensor(np.concatenate([f.positions for f in self.frames]))
        cell = self._tensor(np.stack([f.cell for f in self.frames]))
        moving = self._tensor(np.concatenate(velocities))
        step = starts[0].step if isinstance(starts[0], Snapshot) else 0
        energy, forces, stress = self._predicted(positions, cell)
        if self.settings.ensemble == "npt" and bool((energy.isfinite() & stress.isnan().any(dim=(1, 2))).any()):
            raise UnavailableError(
                f"{self.potential.called()} gives no stress, and a simulation at constant pressure needs it; simulate "
                "at constant volume"
            )
        return State(step, positions, moving, cell, energy, forces, stress)

    def step(self, s: State) -> State:
        """Return the state one time step later; ``tried`` is the state to evaluate, kept for errors."""
        self.tried = None
        settings, dt = self.settings, self.settings.timestep_fs
        velocities = flow.kick(s.velocities, s.forces, self.inertia, 0.5 * dt)
        if settings.ensemble == "nve":
            positions = flow.drift(s.positions, velocities, dt)
        else:
            positions = flow.drift(s.positions, velocities, 0.5 * dt)
            decay = flow.decay_factor(settings.friction_per_fs, dt)
            velocities = flow.thermalise(velocities, self.noise.at(s.step), self.spread, decay)
            positions = flow.drift(positions, velocities, 0.5 * dt)
        cell = s.cell
        if settings.ensemble == "npt":
            scale = self._scale(s)
            atoms = scale.index_select(0, self.batch)[:, None]
            positions, velocities, cell = positions * atoms, velocities / atoms, cell * scale[:, None, None]
        self.tried = (s.step + 1, positions, velocities, cell)
        energy, forces, stress = self._predicted(positions, cell)
        velocities = flow.kick(velocities, forces, self.inertia, 0.5 * dt)
        return State(s.step + 1, positions, velocities, cell, energy, forces, stress)

    def moment(self, s: State) -> Moment:
        """Return what criteria check, in the state that was evaluated last."""
        look = Survey.of if self.along is None else Survey.by_kernel
        survey = look(s, self.masses, self.batch)
        return Moment(
            step=s.step,
            timestep_fs=self.settings.timestep_fs,
            runs=self.runs,
            largest_radius=self.largest_radius,
            batch=self.batch,
            look=partial(self._look, s.positions),
            nearest=self.nearest,
            met=self.met,
            cutoff=self.range,
            positions=s.positions,
            velocities=s.velocities,
            energy=s.energy,
            forces=s.forces,
            finite=survey.finite,
            largest_force=survey.largest_force,
            temperature=flow.kinetic_temperature(survey.kinetic, self.sizes),
            target=self.settings.temperature,
        )

    def evaluate_alone(self, frame: Frame) -> None:
        """Raise what the potential raises for one structure."""
        graph, vectors = self._lists([frame]).update(self._tensor(frame.positions))
        self.potential(graph, vectors=vectors)

    def keep(self, structures: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Keep only these structures (ascending); return their indices and those of their atoms."""
        index = torch.tensor(structures, device=self.device)
        atoms = torch.isin(self.batch, index).nonzero()[:, 0]
        self.runs = [self.runs[b] for b in structures]
        self.frames = [self.frames[b] for b in structures]
        self.noise.keep(structures)
        self.cell_noise.keep(structures)
        self.lists.keep(structures)
        self._set_atoms()
        return index, atoms

    def _velocities(self, start: Frame | Snapshot, run: int) -> Array:
        """Return the velocities in which a run begins, (N, 3); what is fixed rests."""
        settings, frame = self.settings, start.frame if isinstance(start, Snapshot) else start
        given = start.velocities if isinstance(start, Snapshot) or settings.velocities == "file" else None
        if given is None:
            return flow.maxwell_boltzmann(masses_of(frame), settings.temperature, settings.seed, run, frame.fixed)
        return given if frame.fixed is None else np.where(frame.fixed, 0.0, given)

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
            rate=settings.compressibility / GPA / settings.pressure_time_fs,
            timestep_fs=settings.timestep_fs,
        )
        return (new / volume) ** (1 / 3)

    def _predicted(self, positions: Tensor, cell: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return energies (B,), forces (N, 3) and stresses (B, 3, 3) in float64."""
        moving_cell = cell if self.settings.ensemble == "npt" else None
        if self.along is not None:
            return self._found(self.along, positions, cell, moving_cell)
        self.graph, vectors = self.lists.update(positions, moving_cell)
        p = self.potential(self.graph, vectors=vectors)
        assert p.forces is not None
        assert p.stress is not None
        return p.energy, p.forces.double(), p.stress.double()

    def _found(
        self, along: Along, positions: Tensor, cell: Tensor, moving_cell: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the same without a graph, and remember which atoms have met."""
        found = along(self.lists.pairs(positions, moving_cell), plain(positions))
        self.graph, self.nearest, self.met = None, found.nearest, torch.from_numpy(found.met)
        if cell is not self.cell:
            self.cell, self.volume = cell, stress_volumes(plain(cell), self.periodic)
        energy = np.add.reduceat(found.energies, self.bounds[:-1]) + self.energies_apart
        return torch.from_numpy(energy), torch.from_numpy(found.forces), torch.from_numpy(found.stress(self.volume))

    def _look(self, positions: Tensor) -> tuple[AtomGraph, Tensor]:
        """Return the graph of the last evaluation, and the squared lengths of its edges."""
        if self.graph is None:
            self.graph, _ = self.lists.update(positions)
        return self.graph, self.lists.squared

    def _lists(self, frames: Sequence[Frame]) -> VerletList:
        reach = max((reach(frames) for reach in self.reaches), default=0.0)
        return VerletList(
            frames,
            max(self.potential.cutoff, reach),
            skin=self.settings.skin,
            half_list=self.potential.half_list,
            dtype=self.potential.dtype,
            device=self.device,
        )

    def _set_atoms(self) -> None:
        sizes = [len(f) for f in self.frames]
        self.bounds = np.cumsum([0, *sizes]).tolist()
        self.sizes = self._tensor(np.array([degrees_of_freedom(f) for f in self.frames]) / 3.0)
        self.batch = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes)).to(self.device)
        numbers = np.concatenate([f.numbers for f in self.frames])
        self.largest_radius = float(COVALENT_RADII[numbers].max())
        self.masses = self._tensor(np.concatenate([masses_of(f) for f in self.frames]))[:, None]
        if self.along is not None:
            self.cell = None
            self.periodic = np.stack([f.pbc for f in self.frames])
            self.energies_apart = np.add.reduceat(plain(self.potential.offsets())[numbers], self.bounds[:-1])
        self.inertia = self._inertia()
        self.spread = flow.thermal_spread(self.inertia, self.settings.temperature)

    def _inertia(self) -> Tensor:
        """Return the masses as forces and noise feel them, infinite where fixed, (N, 3)."""
        fixed = [np.zeros((len(f), 3), dtype=bool) if f.fixed is None else f.fixed for f in self.frames]
        heavy = torch.from_numpy(np.concatenate(fixed)).to(self.device)
        return torch.where(heavy, torch.inf, self.masses)  # whole, as division by (N, 1) is slow

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.tensor(array, dtype=torch.float64, device=self.device)
