"""Molecular dynamics of FHI-aims, of which ASE 3.29 reads crystals as clusters and velocities in a wrong unit.

Of each step FHI-aims prints positions and velocities (angstrom/ps), and the cell only once, before the first; ASE looks
for the cell in each step, and takes the velocities for its own unit (ase/io/aims.py).
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from ase import units

from keel.atoms.frame import Array

if TYPE_CHECKING:
    from keel.atoms.record import Record

_CELL = re.compile(r"\| Unit cell:[^\n]*\n((?:[^\S\n]*\|(?:[^\S\n]+[-+.\d]+){3}[^\S\n]*\n){3})")
ANGSTROM_PER_PS = 1 / (1000 * units.fs)


def first_cell(text: str) -> Array:
    """Return the cell that an output states before its first step, (3, 3) in angstrom; zeros for a cluster."""
    found = _CELL.search(text)
    return np.zeros((3, 3)) if found is None else np.array(found[1].replace("|", " ").split(), float).reshape(3, 3)


def of_dynamics(record: Record, cell: Array) -> Record:
    """Return what a step says, with the cell of its run where it states none, and velocities in their unit.

    A step of molecular dynamics is known by its velocities.
    """
    if "momenta" not in record.arrays:
        return record
    arrays = {**record.arrays, "momenta": record.arrays["momenta"] * ANGSTROM_PER_PS}
    cell = record.cell if record.cell.any() else cell
    return replace(record, cell=cell, pbc=np.full(3, cell.any()), arrays=arrays)
