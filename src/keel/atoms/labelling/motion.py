"""What a file says of how atoms move: what is fixed, masses, velocities, and which forces are labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from keel.atoms.elements import MASSES
from keel.atoms.frame import Array
from keel.atoms.labelling.numbers import floats, truths
from keel.atoms.motion_columns import NO_MASSES, NOT_NUMBERS
from keel.atoms.record import Record
from keel.errors import DataError, naming

LIGHTEST, HEAVIEST = 0.1, 1000.0
"""Limits in u of masses: of a muonium, and far beyond all elements."""
HELD_AT_ZERO = "forces of exactly zero on fixed atoms: these forces are not used"


def motion_of(record: Record) -> tuple[dict[str, Any], set[str], list[str]]:
    """Return what the file says of how atoms move, the columns used for it, and remarks.

    Raises
    ------
    DataError
        If a mask is not T or F of each atom.
    """
    from ase import units as ase_units

    n, used = len(record.numbers), set[str]()

    def column(name: str, *shapes: tuple[int, ...]) -> NDArray[Any] | None:
        values = record.arrays.get(name)
        if values is None or np.shape(values) not in shapes:
            return None
        used.add(name)
        return np.asarray(values)

    def marks(name: str, *shapes: tuple[int, ...]) -> NDArray[np.bool_] | None:
        values = column(name, *shapes)
        if values is None and name in record.arrays:
            raise DataError(f"{name} should be T or F, of each atom, not {str(record.arrays[name])[:40]}")
        return None if values is None else truths(values, name)

    with naming(record.source):
        mask, free = marks("forces_mask", (n,), (n, 1)), marks("move_mask", (n,), (n, 1), (n, 3))
    remarks: list[str] = []

    def numbers(name: str, *shape: int) -> Array | None:
        values = column(name, shape)
        try:
            found = None if values is None else floats(values, name)
        except DataError:
            found = None
        if values is None or (found is not None and np.isfinite(found).all()):
            return found
        remarks.append(f"{NOT_NUMBERS} ({name}): not used")
        return None

    masses = next((m for m in (numbers(name, n) for name in ("masses", "mass")) if m is not None), None)
    if masses is not None and not ((masses > LIGHTEST) & (masses < HEAVIEST)).all():
        remarks.append(f"{NO_MASSES} (from {masses.min():g} to {masses.max():g}): not used")
        masses = None
    momenta = numbers("momenta", n, 3)
    fixed = record.fixed if free is None else ~np.broadcast_to(free.reshape(n, -1), (n, 3))
    # What keel wrote itself is known to be in angstrom/fs.
    velocities = numbers("velocities", n, 3) if {"run", "step", "time_fs"} <= record.info.keys() else None
    if momenta is not None:
        weights = MASSES[record.numbers] if masses is None else masses
        velocities = momenta / weights[:, None] * ase_units.fs
    motion = {
        "forces_mask": None if mask is None else mask.reshape(n),
        "fixed": fixed if fixed is not None and fixed.any() else None,
        "masses": masses,
        "velocities": velocities,
    }
    return motion, used, remarks


def held_at_zero(forces: Array, fixed: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
    """Return which atoms have no forces because a constraint has removed them, shape (N,), or None.

    ASE, VASP and most codes keep the forces on fixed atoms; data stored from ``get_forces()`` have zeros in the fixed
    components. If every force is zero, symmetry may be the reason, and nothing is removed.
    """
    if fixed is None or not forces.any():
        return None
    held = np.asarray((fixed & (forces == 0.0)).any(axis=1) & ~(fixed & (forces != 0.0)).any(axis=1))
    return held if held.any() else None
