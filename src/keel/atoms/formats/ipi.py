"""The comment line of i-PI's XYZ files: a cell of one of three kinds, what the columns are, and units.

See https://docs.ipi-code.org/input-format.html. Units that a line does not name are atomic ones.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

from keel.atoms.frame import Array
from keel.atoms.record import LabelKeys
from keel.atoms.units import length_factor
from keel.errors import DataError

_CELL = re.compile(r"#.*\bCELL[(\[{](abcABC|H|GENH)[)\]}]:((?:\s+[-+0-9.eE]+)+)")
_COLUMNS = re.compile(r"\b(?!cell\{)(\w+)\{(\w*)\}")
_CELL_UNIT = re.compile(r"\bcell\{(\w*)\}")
_LENGTHS = {"": "bohr", "automatic": "bohr", "atomic_unit": "bohr", "angstrom": "angstrom", "ase": "angstrom"}
POSITIONS = ("positions", "x_centroid", "x_centroid_even", "x_centroid_odd")
"""Names of columns that are positions of atoms."""


class Box(NamedTuple):
    """Lattice vectors as rows, in the unit of length of the columns, and that unit."""

    cell: Array
    usual: LabelKeys


def box_of(comment: str) -> Box | None:
    """Return the cell of a frame; None if another program wrote the line.

    Raises
    ------
    DataError
        If the columns are no positions, or the cell or a unit is not understood.
    """
    found = _CELL.match(comment)
    if found is None:
        return None
    kind, values = found[1], found[2].split()
    rest = comment[found.end() :]
    columns, unit = next(iter(_COLUMNS.findall(rest)), ("positions", ""))
    if columns not in POSITIONS:
        raise DataError(f"its columns are {columns!r} of i-PI, not positions")
    own = _length(unit)
    scale = length_factor(_length(next(iter(_CELL_UNIT.findall(rest)), ""))) / length_factor(own)
    return Box(scale * _vectors(kind, values), LabelKeys(length_unit=own))


def _length(unit: str) -> str:
    if unit not in _LENGTHS:
        raise DataError(f"its unit of length is {unit!r}; let i-PI write angstrom or atomic_unit")
    return _LENGTHS[unit]


def _vectors(kind: str, words: list[str]) -> Array:
    """Return lattice vectors as rows: lengths and angles in degrees; vectors as columns (H) or rows (GENH)."""
    from ase.geometry import cellpar_to_cell

    expected = 6 if kind == "abcABC" else 9
    try:
        values = np.array(words, np.float64)
    except ValueError:
        values = np.empty(0)
    if len(values) != expected:
        raise DataError(f"its CELL({kind}) should be {expected} numbers, not {' '.join(words)[:40]!r}")
    if kind == "abcABC":
        return np.asarray(cellpar_to_cell(values), np.float64)
    vectors = values.reshape(3, 3)
    return vectors.T if kind == "H" else vectors
