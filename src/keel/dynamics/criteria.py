"""When has a simulation failed? First-passage criteria with named causes.

A criterion checks the :class:`Moment` of a batch and returns which structures have failed. A run ends at the first step
at which any criterion is met; if several are met at once, the first in the list names the cause.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from keel.atoms.elements import COVALENT_RADII
from keel.atoms.frame import Frame
from keel.atoms.graph import AtomGraph, squared_lengths


@dataclass(frozen=True, eq=False)
class Moment:
    """A batch of B running structures after one step.

    Parameters
    ----------
    step
        Number of steps done.
    timestep_fs
        In fs.
    runs
        The number of each run (B).
    largest_radius
        The largest covalent radius of any atom in angstrom.
    batch
        Structure of each atom, shape (N,).
    look
        Returns what :attr:`graph` and :attr:`squared` are; they may take longer than the step itself.
    nearest
        Smallest squared distance in angstrom^2 of any two atoms within the potential's cutoff; None: not known.
    met
        Atoms that are known to have a neighbour within the potential's cutoff, bool, shape (N,); None: not known.
    cutoff
        Of the potential in angstrom, infinite where it is not known; some edges may be longer.
    positions, velocities
        Unwrapped, angstrom and angstrom/fs, float64, shape (N, 3).
    energy, forces
        Of the potential, eV, shape (B,), and eV/angstrom, shape (N, 3).
    finite
        Whether all of these are finite.
    largest_force
        On any atom in eV/angstrom, where all is finite.
    temperature
        Kinetic temperature in K, shape (B,).
    target
        The target temperature in K.
    """

    step: int
    timestep_fs: float
    runs: Sequence[int]
    largest_radius: float
    batch: Tensor
    look: Callable[[], tuple[AtomGraph, Tensor]]
    nearest: float | None
    met: Tensor | None
    cutoff: float
    positions: Tensor
    velocities: Tensor
    energy: Tensor
    forces: Tensor
    finite: bool
    largest_force: float
    temperature: Tensor
    target: float

    @cached_property
    def graph(self) -> AtomGraph:
        """Structures with their neighbours, at least within the potential's cutoff."""
        return self._seen[0]

    @cached_property
    def squared(self) -> Tensor:
        """Squared length of the edges in angstrom^2, float64, shape (E,)."""
        return self._seen[1]

    @cached_property
    def _seen(self) -> tuple[AtomGraph, Tensor]:
        return self.look()

    def with_atoms(self, atoms: Tensor) -> Tensor:
        """Return which structures some atoms (indices, or bool (N,)) belong to, bool, shape (B,)."""
        structures = torch.zeros(len(self.runs), dtype=torch.bool, device=atoms.device)
        return structures.index_fill_(0, self.batch[atoms], True)


class Criterion(Protocol):
    """What every criterion offers."""

    @property
    def cause(self) -> str:
        """Name of the failure."""

    def reach(self, frames: Sequence[Frame]) -> float:
        """Return the distance in angstrom up to which the criterion must see neighbours.

        Parameters
        ----------
        frames
            The structures of the simulation.
        """

    def failed(self, moment: Moment) -> Tensor | None:
        """Return which structures have failed, bool, shape (B,), or None if none has.

        Finding that none has failed should take few operations: a step of a small structure leaves no time for many.

        Parameters
        ----------
        moment
            The batch after a step.
        """


@runtime_checkable
class Remembering(Protocol):
    """What a criterion offers besides if it judges more than a moment."""

    def remembers(self, step: int, timestep_fs: float) -> bool:
        """Return whether what it has seen until this step will count later; no checkpoint is made meanwhile."""


class _LocalCriterion:
    """A criterion that needs no neighbours."""

    def reach(self, frames: Sequence[Frame]) -> float:
        """See :class:`Criterion`."""
        return 0.0


@dataclass(frozen=True)
class NonFinite(_LocalCriterion):
    """A position, velocity, force or energy is NaN or infinite."""

    cause: str = "non-finite"

    def failed(self, moment: Moment) -> Tensor | None:
        """See :class:`Criterion`."""
        if moment.finite:
            return None
        vectors = moment.positions + moment.velocities + moment.forces
        return moment.with_atoms(~vectors.isfinite().all(dim=1)) | ~moment.energy.isfinite()


@dataclass(frozen=True)
class Overheated(_LocalCriterion):
    """T > T0 + ``excess`` or T > ``factor`` T0 > 0, T the kinetic and T0 the target temperature in K."""

    excess: float = 1e4
    factor: float = 10.0
    cause: str = "temperature"

    def failed(self, moment: Moment) -> Tensor | None:
        """See :class:`Criterion`."""
        limits = [moment.target + self.excess]
        if moment.target > 0:
            limits.append(self.factor * moment.target)
        hot = moment.temperature > min(limits)
        return hot if bool(hot.any()) else None


@dataclass(frozen=True)
class FusedAtoms:
    """Two atoms, periodic images included, are closer than ``fraction`` of the sum of their covalent radii."""

    fraction: float = 0.5
    cause: str = "fused atoms"

    def reach(self, frames: Sequence[Frame]) -> float:
        """See :class:`Criterion`."""
        return 2.0 * self.fraction * max((COVALENT_RADII[f.numbers].max() for f in frames if len(f)), default=0.0)

    def failed(self, moment: Moment) -> Tensor | None:
        """See :class:`Criterion`."""
        # Usually no two atoms are closer than even the largest pair of atoms may be.
        nearest_allowed = (2.0 * self.fraction * moment.largest_radius) ** 2
        if moment.nearest is not None and moment.nearest >= nearest_allowed:
            return None
        graph = moment.graph
        if not graph.n_edges or float(moment.squared.min()) >= nearest_allowed:
            return None
        i, j = graph.edge_index
        radii = _radii(graph.numbers.device).index_select(0, graph.numbers)
        allowed = self.fraction * (radii.index_select(0, i) + radii.index_select(0, j))
        return moment.with_atoms(i[moment.squared < allowed.square()])


@dataclass(frozen=True)
class ForceCap(_LocalCriterion):
    """|F| of an atom exceeds ``cap`` in eV/angstrom.

    At 5000 K (kT = 0.43 eV) a collision would need tens of eV to meet such a force on a physical repulsive wall, so the
    default of 100 eV/angstrom is never met by a healthy potential at the temperatures of a stability ladder.
    """

    cap: float = 100.0
    cause: str = "force"

    def failed(self, moment: Moment) -> Tensor | None:
        """See :class:`Criterion`."""
        if moment.largest_force <= self.cap:
            return None
        above = squared_lengths(moment.forces) > self.cap**2
        return moment.with_atoms(above) if bool(above.any()) else None


@dataclass(frozen=True)
class AtomsLost(_LocalCriterion):
    """An atom of several has no neighbour left within the potential's cutoff: no force can bring it back.

    Not judged for calculators that do not say how far their forces reach.
    """

    cause: str = "atoms lost"

    def failed(self, moment: Moment) -> Tensor | None:
        """See :class:`Criterion`."""
        if math.isinf(moment.cutoff) or (moment.met is not None and bool(moment.met.all())):
            return None
        alone = torch.ones(moment.graph.n_atoms, dtype=torch.bool, device=moment.positions.device)
        edges = moment.graph.edge_index
        if moment.graph.cutoff > moment.cutoff:
            edges = edges[:, moment.squared < moment.cutoff**2]
        alone.index_fill_(0, edges.flatten(), False)
        return moment.with_atoms(alone) & (moment.graph.atoms_per_structure > 1) if bool(alone.any()) else None


def default_criteria(force_cap: float = 100.0) -> tuple[Criterion, ...]:
    """Return the criteria that need no reference data, in the order in which they name a cause.

    Parameters
    ----------
    force_cap
        Largest force in eV/angstrom, see :class:`ForceCap`.
    """
    return NonFinite(), Overheated(), FusedAtoms(), ForceCap(force_cap), AtomsLost()


def first_cause(criteria: Sequence[Criterion], moment: Moment) -> dict[int, str]:
    """Return the cause of failure of each failed structure, by its index in the batch."""
    causes: dict[int, str] = {}
    for criterion in criteria:
        failed = criterion.failed(moment)
        if failed is not None:
            for b in failed.nonzero()[:, 0].tolist():
                causes.setdefault(b, criterion.cause)
    return dict(sorted(causes.items()))


_RADII: dict[torch.device, Tensor] = {}


def _radii(device: torch.device) -> Tensor:
    if device not in _RADII:
        _RADII[device] = torch.tensor(COVALENT_RADII, dtype=torch.float64, device=device)
    return _RADII[device]
