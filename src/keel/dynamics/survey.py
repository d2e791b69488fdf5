"""The result of one check of all atoms: usually, that nothing has failed."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, sqrt

import numpy as np
import torch
from torch import Tensor

from keel.atoms.graph import squared_lengths
from keel.dynamics.integrators import ACCELERATION, kinetic_energy
from keel.dynamics.state import State
from keel.parallel import plain


@dataclass(frozen=True, eq=False)
class Survey:
    """The result for a batch of B structures.

    Parameters
    ----------
    finite
        Whether positions, velocities, forces and energies are finite.
    largest_force
        On any atom, in eV/angstrom, where all is finite.
    kinetic
        Kinetic energy of each structure in eV, shape (B,).
    """

    finite: bool
    largest_force: float
    kinetic: Tensor

    @classmethod
    def of(cls, state: State, masses: Tensor, batch: Tensor) -> Survey:
        """Check N atoms of ``masses`` (N, 1) in structures ``batch`` (N,)."""
        # NaN and infinity survive a sum, so one number covers all.
        numbers = torch.stack([t.sum() for t in (state.positions, state.velocities, state.forces, state.energy)]).sum()
        largest = squared_lengths(state.forces).max().sqrt()
        kinetic = kinetic_energy(state.velocities, masses, batch, len(state.energy))
        total, force = torch.stack([numbers, largest]).tolist()
        return cls(isfinite(total), force, kinetic)

    @classmethod
    def by_kernel(cls, state: State, masses: Tensor, batch: Tensor) -> Survey:
        """Do the same in one pass on a CPU."""
        from keel.dynamics.survey_kernel import survey

        doubled = np.zeros(len(state.energy))
        positions, velocities, forces = plain(state.positions), plain(state.velocities), plain(state.forces)
        total, squared = survey(positions, velocities, forces, plain(masses), plain(batch), doubled)
        finite = isfinite(total + float(state.energy.sum()))
        return cls(finite, sqrt(squared), torch.from_numpy(doubled * (0.5 / ACCELERATION)))
