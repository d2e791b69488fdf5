"""Any potential as a force of OpenMM: alone, or beside force fields, whose energies add up.

    import openmm
    from keel.interfaces.openmm import openmm_force

    system = openmm.System()                      # a particle with its mass for each atom
    system.addForce(openmm_force("network.safetensors", atoms.numbers, periodic=True))

Forces cross from Python to OpenMM at every step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from keel.atoms.elements import atomic_number
from keel.interfaces.moving import Moving, opened
from keel.potentials.base import Potential
from keel.potentials.external.extras import optional
from keel.potentials.external.opening import Given

NM = 10.0
"""Angstrom in a nanometre."""
KJ_PER_MOL = 96.48533212331
"""kJ/mol in an eV (CODATA 2018, as OpenMM's constants)."""


def openmm_force(
    potential: Given,
    elements: Sequence[int | str],
    *,
    periodic: bool,
    device: torch.device | str | None = None,
    dtype: torch.dtype | str | None = None,
    skin: float = 0.5,
    trust: bool = False,
) -> Any:
    """Return a potential as an ``openmm.PythonForce`` (OpenMM 8.4 or later) on all particles of a system.

    Parameters
    ----------
    potential
        A potential, or what has or names one (:func:`keel.open_potential`).
    elements
        Symbol or atomic number of each particle.
    periodic
        Whether the box of OpenMM is a period in its three directions.
    device, dtype, skin, trust
        As of :class:`keel.KeelCalculator`.

    Raises
    ------
    UnavailableError
        If OpenMM is not installed.
    """
    openmm = optional("openmm", "keel.interfaces.openmm", "openmm", "openmm")
    model = opened(potential, dtype, device, trust=trust)
    force = openmm.PythonForce(_Computation(model, [atomic_number(e) for e in elements], periodic, skin))
    force.setUsesPeriodicBoundaryConditions(periodic)
    return force


class _Computation:
    """Energy in kJ/mol and forces in kJ/mol/nm of a state of OpenMM."""

    def __init__(self, potential: Potential, numbers: Sequence[int], periodic: bool, skin: float) -> None:
        self.moving = Moving(potential, skin=skin)
        self.numbers, self.pbc = np.array(numbers, dtype=np.int64), np.full(3, periodic)

    def __call__(self, state: Any) -> tuple[float, np.ndarray]:
        positions = NM * np.array(state.getPositions(asNumpy=True)._value, dtype=np.float64)
        box = NM * np.array(state.getPeriodicBoxVectors(asNumpy=True)._value) if self.pbc.all() else np.zeros((3, 3))
        found = self.moving.evaluate(self.numbers, positions, box, self.pbc)
        return KJ_PER_MOL * float(found.energies.sum()), KJ_PER_MOL * NM * found.forces
