"""Potentials that are evaluated beside the one that moves the atoms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from keel.atoms.elements import symbol
from keel.atoms.frame import Array, Frame
from keel.disagreement import disagreement, forces_of
from keel.dynamics.results import Snapshot
from keel.dynamics.settings import MDSettings
from keel.potentials.base import Potential


class Beside:
    """Compares the forces in moving structures with those of other potentials.

    Parameters
    ----------
    potentials
        The others, in the precision and on the device of the simulation.
    settings
        Settings of the simulation: when to compare, and the disagreement that ends a run.
    """

    def __init__(self, potentials: Sequence[Potential], settings: MDSettings) -> None:
        self.potentials, self.limit, self.every = potentials, settings.stop_above, settings.compare_every

    def due(self, step: int) -> bool:
        """Return whether a run may have to end after this many steps."""
        return self.limit is not None and step % self.every == 0

    def compared(self, snapshots: Sequence[Snapshot]) -> list[Snapshot]:
        """Return the states with the disagreement about each atom, infinite where a potential refuses a structure."""
        frames = [s.frame for s in snapshots]
        others = [_forces(potential, frames) for potential in self.potentials]
        found = [disagreement(_known(f), theirs) for f, *theirs in zip(frames, *others, strict=True)]
        return [replace(s, disagreement=d) for s, d in zip(snapshots, found, strict=True)]

    def objection(self, snapshot: Snapshot) -> str:
        """Return why a run has to end in this state; empty if it may continue."""
        assert snapshot.disagreement is not None
        assert self.limit is not None
        atom = int(np.argmax(snapshot.disagreement))  # NaN, of which nothing is known, counts as the largest
        value = float(snapshot.disagreement[atom])
        if value <= self.limit:
            return ""
        others = [potential.called() for potential in self.potentials]
        whose = f"that of the {others[0]}" if len(others) == 1 else f"those of the {len(others)} potentials"
        differs = f"differs by {value:.3g} eV/angstrom from" if np.isfinite(value) else "cannot be compared with"
        return f"the force on atom {atom} ({symbol(int(snapshot.frame.numbers[atom]))}) {differs} {whose} beside"


def _known(frame: Frame) -> Array:
    assert frame.forces is not None
    return frame.forces


def _forces(potential: Potential, frames: Sequence[Frame]) -> list[Array]:
    try:
        return forces_of(potential, frames)
    # A potential may raise anything for a structure that it was not made for; only that structure is affected.
    except Exception:
        if len(frames) == 1:
            return [np.full((len(frames[0]), 3), np.inf)]
        return [_forces(potential, [frame])[0] for frame in frames]
