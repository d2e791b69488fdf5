"""The slope of an energy under strain, by differences."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator


def work_of_strain(atoms: Atoms, calculator: Calculator, a: int, b: int, step: float = 1e-4) -> float:
    """Return dE/d strain by central differences; atoms move with the cell."""
    energies = []
    for sign in (1, -1):
        strain = np.eye(3)
        strain[a, b] += 0.5 * sign * step
        strain[b, a] += 0.5 * sign * step
        strained = atoms.copy()
        strained.set_cell(atoms.cell.array @ strain, scale_atoms=True)
        energies.append(calculator.get_potential_energy(strained))
    return (energies[0] - energies[1]) / (2 * step)
