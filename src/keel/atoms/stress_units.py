"""Foreign conventions of the stress, each with one named converter to eV/angstrom^3 with ASE's sign."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from keel.atoms.frame import Array
from keel.errors import DataError

GPA = 1.0 / 160.21766208
"""1 GPa in eV/angstrom^3."""


def stress_from_virial(virial: Array, volume: float) -> Array:
    """Stress = -virial/V, for a virial in eV with the sign of LAMMPS, QUIP and most extended XYZ files."""
    return np.asarray(-virial / volume)


def stress_from_gpa(stress: Array) -> Array:
    """Stress in eV/angstrom^3 from GPa, ASE's sign."""
    return stress * GPA


def stress_from_vasp_kbar(stress: Array) -> Array:
    """Stress in eV/angstrom^3 with ASE's sign from VASP's "in kB" (compressed = positive), as in MPtrj's JSON."""
    return -0.1 * GPA * stress


def matrix_from_voigt(values: Any, order: str = "xx yy zz yz xz xy") -> Array:
    """Return a symmetric (3, 3) tensor from 3 x 3, 9 or 6 numbers.

    Six numbers stand in ASE's order unless another is given (VASP: ``"xx yy zz xy yz xz"``).

    Raises
    ------
    DataError
        If the shape is another, or the tensor is plainly not symmetric.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.size == 6:
        tensor = np.zeros((3, 3))
        for value, name in zip(values.ravel(), order.split(), strict=True):
            i, j = ("xyz".index(axis) for axis in name)
            tensor[i, j] = tensor[j, i] = value
        return tensor
    if values.size != 9:
        raise DataError(f"it has {values.size} numbers instead of 6 or 9")
    matrix: Array = values.reshape(3, 3)
    if np.abs(matrix - matrix.T).max() > 1e-6 + 1e-2 * np.abs(matrix).max():
        raise DataError("it is not symmetric")
    return matrix


STRESS_CONVENTIONS: dict[str, Callable[[Any, float], Array]] = {
    "ase": lambda s, _: matrix_from_voigt(s),
    "virial": lambda s, volume: stress_from_virial(matrix_from_voigt(s), volume),
    "gpa": lambda s, _: stress_from_gpa(matrix_from_voigt(s)),
    "vasp-kbar": lambda s, _: stress_from_vasp_kbar(matrix_from_voigt(s, "xx yy zz xy yz xz")),
}
"""How a stress label is turned into eV/angstrom^3 with ASE's sign, by the name of the foreign convention."""
