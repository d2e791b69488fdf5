"""When has a simulation failed? First-passage criteria with named causes.

A criterion looks at the :class:`Moment` of a batch and says which structures have failed. A run ends at the first
step at which any criterion holds; of several that hold at once the first in the list names the cause.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Protocol

import torch
from torch import Tensor

from keel.atoms.elements import COVALENT_RADII
from keel.atoms.frame import Frame
from keel.atoms.graph import AtomGraph


@dataclass(frozen=True, eq=False)
class Moment:
    """A batch of B running structures after one step.

    Parameters
    ----------
    step
        Steps done.
    timestep_fs
        In fs.
    runs
        The number of each run (B).
    largest_radius
        The largest covalent radius of any atom in angstrom.
    graph
        Structures with their neighbours, at least within the potential's cutoff.
    squared
        Squared length of the edges in angstrom^2, float64, shape (E,).
    cutoff
        Of the potential in angstrom; some edges may be longer.
    positions, velocities
        Unwrapped, angstrom and angstrom/fs, float64, shape (N, 3).
    energy, forces
        Of the potential, eV, shape (B,), and eV/angstrom, shape (N, 3).
    temperature
        Kinetic temperature in K, shape (B,).
    target
        The temperature asked for, in K.
    """

    step: int
    timestep_fs: float
    runs: Sequence[int]
    largest_radius: float
    graph: AtomGraph
    squared: Tensor
    cutoff: float
    positions: Tensor
    velocities: Tensor
    energy: Tensor
    forces: Tensor
    temperature: Tensor
    target: float

    def with_atoms(self, atoms: Tensor) -> Tensor:
        """Return which structures some atoms (indices, or bool (N,)) belong to, bool, shape (B,)."""
        structures = torch.zeros(self.graph.n_structures, dtype=torch.bool, device=atoms.device)
        return structures.index_fill_(0, self.graph.batch[atoms], True)


class Criterion(Protocol):
    """What every criterion offers."""

    @property
    def cause(self) -> str:
        """Name of the failure."""

    def reach(self, frames: Sequence[Frame]) -> float:
        """Return the distance in angstrom up to which the criterion must see neighbours."""

    def failed(self, moment: Moment) -> Tensor | None:
        """Return which structures have failed, bool, shape (B,), or None if none has.

        None should be found out by as few operations as can be: a step of a small structure has time for few.
        """


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
        # NaN and infinity survive a sum, so one number tells of all.
        vectors = moment.positions + moment.velocities + moment.forces
        if isfinite(float(vectors.sum() + moment.energy.sum())):
            return None
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
        graph = moment.graph
        # As a rule no edge is so short that it would be too short between the largest atoms.
        if not graph.n_edges or float(moment.squared.min()) >= (2.0 * self.fraction * moment.largest_radius) ** 2:
            return None
        i, j = graph.edge_index
        radii = _radii(graph.numbers.device).index_select(0, graph.numbers)
        nearest_allowed = self.fraction * (radii.index_select(0, i) + radii.index_select(0, j))
        return moment.with_atoms(i[moment.squared < nearest_allowed.square()])


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
        above = moment.forces.square().sum(dim=1) > self.cap**2
        return moment.with_atoms(above) if bool(above.any()) else None


@dataclass(frozen=True)
class AtomsLost(_LocalCriterion):
    """An atom of several has no neighbour left within the potential's cutoff: no force can bring it back."""

    cause: str = "atoms lost"

    def failed(self, moment: Moment) -> Tensor | None:
        """See :class:`Criterion`."""
        alone = torch.ones(moment.graph.n_atoms, dtype=torch.bool, device=moment.positions.device)
        edges = moment.graph.edge_index
        if moment.graph.cutoff > moment.cutoff:
            edges = edges[:, moment.squared < moment.cutoff**2]
        alone.index_fill_(0, edges.flatten(), False)
        return moment.with_atoms(alone) & (moment.graph.atoms_per_structure > 1) if bool(alone.any()) else None


def default_criteria(force_cap: float = 100.0) -> tuple[Criterion, ...]:
    """Return the criteria that need no reference data, in the order in which they name a cause."""
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
