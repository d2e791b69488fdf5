"""What a simulation leaves behind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keel.atoms.frame import Array, Frame
from keel.atoms.mobility import degrees_of_freedom, masses_of
from keel.dynamics.integrators import ACCELERATION, BOLTZMANN
from keel.showing import Facts, Shown

LEFT_THE_DATA = "left the data"
"""Cause of the end of a run whose forces other potentials dispute: it has not failed, but is not reliable."""


def has_failed(cause: str | None) -> bool:
    """Whether a run that ended for this cause failed: not if it survived, or was stopped before it could."""
    return cause not in (None, LEFT_THE_DATA)


@dataclass(frozen=True, eq=False, repr=False)
class Snapshot(Shown):
    """A structure in motion; a simulation can start from it, and so continue where another stopped.

    Parameters
    ----------
    frame
        Unwrapped positions, with the energy and forces of the potential that moved them.
    velocities
        In angstrom/fs, shape (N, 3).
    step
        Steps done since the run began.
    time
        Since the run began, in fs.
    disagreement
        How far potentials beside disagree about the force on each atom (:mod:`keel.disagreement`), in eV/angstrom,
        shape (N,); None where they were not evaluated.
    """

    frame: Frame
    velocities: Array
    step: int
    time: float
    disagreement: Array | None = None

    def facts(self) -> Facts:
        """See :class:`~keel.showing.Shown`."""
        return {
            "of": self.frame.formula,
            "at": f"{self.time:g} fs",
            "temperature": f"{self.temperature:.0f} K",
            "total energy": f"{self.total_energy:.4f} eV",
        }

    def picture(self) -> str:
        """See :class:`~keel.showing.Shown`."""
        return self.frame.picture()

    def __repr__(self) -> str:
        """Say where it is."""
        return f"Snapshot({self.frame.formula} at {self.time:g} fs, {self.temperature:.0f} K)"

    @property
    def kinetic_energy(self) -> float:
        """sum_i m_i v_i^2 / 2 in eV."""
        return float(0.5 * (masses_of(self.frame)[:, None] * np.square(self.velocities)).sum() / ACCELERATION)

    @property
    def total_energy(self) -> float:
        """Potential plus kinetic energy in eV."""
        return float("nan") if self.frame.energy is None else self.frame.energy + self.kinetic_energy

    @property
    def temperature(self) -> float:
        """2 E_kin / (n k) in K, n the number of components that can move (3 N, if none is fixed)."""
        return 2.0 * self.kinetic_energy / (degrees_of_freedom(self.frame) * BOLTZMANN)

    def to_write(self, run: int) -> Frame:
        """Return the structure with ``run``, ``step``, ``time_fs`` and ``temperature_k`` in ``info``.

        Labels that are not finite are left out.
        """
        info = {"run": run, "step": self.step, "time_fs": self.time, "temperature_k": round(self.temperature, 3)}
        frame = self.frame.replace(info={**self.frame.info, **info})
        finite = frame.forces is not None and bool(np.isfinite(frame.forces).all() and np.isfinite(self.total_energy))
        return frame if finite else frame.replace(energy=None, forces=None)


@dataclass(frozen=True, eq=False, repr=False)
class Trajectory(Shown):
    """One run.

    Parameters
    ----------
    run
        Its number; with the seed it fixes velocities and noise.
    snapshots
        What was recorded, in order of time; empty where it was written to a file.
    last
        The last state before failure, or the end of the run.
    recent
        A few states that lead up to ``last``, oldest first, ``last`` included.
    failed
        The state that met a criterion or could not be evaluated; positions may be anything; None for a survivor.
    time
        Time to failure in fs, or the length of the run.
    cause
        Why it failed, or :data:`LEFT_THE_DATA`; None for a survivor.
    timestep_fs, temperature
        Time step; the target, in K.
    """

    run: int
    snapshots: tuple[Snapshot, ...]
    last: Snapshot
    recent: tuple[Snapshot, ...]
    failed: Snapshot | None
    time: float
    cause: str | None
    timestep_fs: float
    temperature: float

    def facts(self) -> Facts:
        """See :class:`~keel.showing.Shown`."""
        return {
            "run": str(self.run),
            "lived": f"{self.time:g} fs at {self.temperature:g} K",
            "ended by": self.cause or "nothing",
            "recorded": f"{len(self.snapshots)} structures",
        }

    def picture(self) -> str:
        """See :class:`~keel.showing.Shown`: the last structure before failure, or at the end."""
        return self.last.picture()

    def __repr__(self) -> str:
        """Describe its outcome."""
        ending = "survived" if self.cause is None else self.cause
        return f"Trajectory(run {self.run}, {self.time:g} fs, {ending}, {len(self.snapshots)} snapshots)"

    @property
    def survived(self) -> bool:
        """True if no criterion was met."""
        return self.cause is None

    @property
    def frames(self) -> list[Frame]:
        """The recorded structures."""
        return [s.frame for s in self.snapshots]

    def to_write(self) -> list[Frame]:
        """Return the recorded structures and the last, see :meth:`Snapshot.to_write`."""
        return [s.to_write(self.run) for s in {s.step: s for s in (*self.snapshots, self.last)}.values()]

    @property
    def times(self) -> Array:
        """Time of each recorded structure in fs."""
        return np.array([s.time for s in self.snapshots])

    @property
    def total_energies(self) -> Array:
        """Potential plus kinetic energy of each recorded structure in eV."""
        return np.array([s.total_energy for s in self.snapshots])
