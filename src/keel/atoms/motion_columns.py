"""Masses, velocities, label masks and what is fixed, as ASE and files that it writes have them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from ase import units
from numpy.typing import NDArray

from keel.atoms.elements import MASSES

if TYPE_CHECKING:
    from ase.constraints import FixAtoms, FixCartesian

Array = NDArray[np.float64]

NOT_KEPT = "constraints that are not kept"
NO_MASSES = "masses that cannot be in u"
NOT_NUMBERS = "masses or velocities that are not all numbers"
HELD_ALONG_LATTICE = "atoms held along lattice vectors that are not Cartesian axes: they count as free"


def reals(numbers: NDArray[np.int64], masses: Array | None, velocities: Array | None) -> dict[str, Array]:
    """Return masses and momenta by their names in files, (N, 1) and (N, 3), where known.

    Velocities are in angstrom/fs, momenta in ASE's unit.
    """
    columns = {} if masses is None else {"masses": masses[:, None]}
    if velocities is not None:
        columns["momenta"] = (MASSES[numbers] if masses is None else masses)[:, None] * velocities / units.fs
    return columns


def marks(forces_mask: NDArray[np.bool_] | None, fixed: NDArray[np.bool_] | None) -> dict[str, NDArray[np.bool_]]:
    """Return which forces are labels and which components move, by their names in files, each (N, 1) or (N, 3)."""
    found = {} if forces_mask is None else {"forces_mask": forces_mask[:, None]}
    if fixed is None:
        return found
    whole = bool((fixed == fixed[:, :1]).all())
    return found | {"move_mask": ~fixed[:, : 1 if whole else 3]}


def held_along(held: NDArray[np.bool_], cell: Array) -> NDArray[np.bool_]:
    """Return the Cartesian components that are fixed where coordinates along lattice vectors are, both (N, 3).

    An atom moves along the vectors that are left to it. It counts as free if these are not as many Cartesian axes.
    """
    fixed = np.zeros_like(held)
    for mask in np.unique(held, axis=0):
        axes = np.all(np.abs(cell[~mask]) < 1e-8, axis=0)
        if axes.sum() == mask.sum():
            fixed[(held == mask).all(axis=1)] = axes
    return fixed


def fixed_along(held: NDArray[np.bool_] | None, cell: Array) -> tuple[NDArray[np.bool_] | None, tuple[str, ...]]:
    """Return the Cartesian components that selective dynamics fixes, (N, 3) or None, and what it cannot."""
    if held is None or not held.any():
        return None, ()
    fixed = held_along(held, cell)
    lost = bool((held.any(axis=1) & ~fixed.any(axis=1)).any())
    return (fixed if fixed.any() else None), ((HELD_ALONG_LATTICE,) if lost else ())


def constraints(fixed: NDArray[np.bool_] | None) -> list[FixAtoms | FixCartesian]:
    """Return what is fixed, (N, 3), as ASE's constraints."""
    if fixed is None:
        return []
    from ase.constraints import FixAtoms, FixCartesian

    masks, which = np.unique(fixed, axis=0, return_inverse=True)
    atoms = [(mask, np.flatnonzero(which.ravel() == k)) for k, mask in enumerate(masks) if mask.any()]
    return [FixAtoms(indices) if mask.all() else FixCartesian(indices, mask.tolist()) for mask, indices in atoms]
