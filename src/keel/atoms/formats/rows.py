"""Structures as rows of named values, as in JSON and parquet files: the meaning of names in published layouts.

A structure is an object of pymatgen under ``structure``, or positions, elements and cell under one of the names below.
The meaning of its labels follows from a column that only this layout has (:data:`LAYOUTS`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keel.atoms.elements import MASSES, atomic_number
from keel.atoms.formats.foreign import in_rows
from keel.atoms.formats.nested import POSITIONS, STRUCTURAL, flattened, is_row
from keel.atoms.frame import Array
from keel.atoms.labelling.names import CELLS as OTHER_CELLS
from keel.atoms.labelling.names import PERIODIC as OTHER_PERIODIC
from keel.atoms.labelling.names import cell_in_parts, is_global, letters_of
from keel.atoms.labelling.numbers import TRUTHS, truths
from keel.atoms.labelling.stated import of_parameters
from keel.atoms.motion_columns import fixed_along
from keel.atoms.record import LabelKeys, Record
from keel.errors import DataError

CELLS = ("cell", "lattice", "lattice_vectors")
ELEMENTS = ("numbers", "atomic_numbers", "species_at_sites", "symbols", "species")
PERIODIC = ("pbc", "dimension_types", "periodic")

MPTRJ_KEYS = LabelKeys(
    energy="uncorrected_total_energy", forces="force", stress="stress", stress_convention="vasp-kbar"
)
"""The DFT labels in MPtrj's JSON: total energy without Materials Project corrections, stress as VASP prints it."""
LEMAT_KEYS = LabelKeys(energy="energy", forces="forces", stress="stress_tensor", stress_convention="vasp-kbar")
COLABFIT_KEYS = LabelKeys(energy="energy", forces="atomic_forces", stress="cauchy_stress", stress_convention="ase")
EMMET_KEYS = LabelKeys(stress="stress", stress_convention="-kbar")
"""Documents of the Materials Project (emmet): VASP's sign, but six numbers in the order xx yy zz yz xz xy."""
PYMATGEN_KEYS = LabelKeys(stress="stress", stress_convention="vasp-kbar")
MLEARN_KEYS = LabelKeys(stress="virial_stress", stress_convention="vasp-kbar")
"""The sets of mlearn, whose code reorders these six numbers from VASP's order (github.com/materialsvirtuallab)."""
LAYOUTS: tuple[tuple[str, LabelKeys], ...] = (
    ("uncorrected_total_energy", MPTRJ_KEYS),
    ("species_at_sites", LEMAT_KEYS),
    ("cauchy_stress", COLABFIT_KEYS),
    ("atomic_forces", COLABFIT_KEYS),
    ("cart_coords", EMMET_KEYS),
    ("abs_forces", EMMET_KEYS),
    ("builder_meta", EMMET_KEYS),
    ("structure", PYMATGEN_KEYS),
)
"""A column that identifies a layout, and its labels; without any: names and units as in extended XYZ."""
COLUMNS = STRUCTURAL.union(CELLS, ELEMENTS, PERIODIC, (column for column, _ in LAYOUTS))
PARAMETERS = frozenset({"parameters", "input", "inputs", "incar", "calculator_parameters", "input_parameters"})
"""Objects that say how a row was computed."""
ORDER = "a stress of six numbers with a pymatgen structure: read as VASP's, in kbar, xx yy zz xy yz zx"
IN_KBAR = "a stress with a pymatgen structure, whose unit is not stated: read as VASP's, in kbar"
MLEARN = "a virial_stress with a pymatgen structure: read as VASP's, in kbar, xx yy zz xy yz zx"
UNSTATED = "a stress_tensor whose unit LeMaterial does not state: read as VASP's, in kbar"
NOT_DIVIDED = "a cauchy_stress that is not divided by the volume: not used"


NOT_UNDERSTOOD = (
    "its structure is not understood; it should be a Structure or Molecule of pymatgen as an object (as_dict()) or its "
    f"text, or one of {', '.join(POSITIONS)} with {', '.join(ELEMENTS)} and {', '.join(CELLS)}, as numbers"
)


def unknown_layout(columns: Iterable[str]) -> str:
    """Say that rows with these columns are not understood."""
    if {"keel_format", "potential"} <= set(columns):
        return "this is a potential of keel, not structures; perhaps two arguments are in the wrong order"
    if whose := in_rows(columns):
        return whose
    if columns and all(map(str.isdecimal, columns)):
        return "this is a table written by columns; write it by rows (pandas: to_json(..., orient='records'))"
    return (
        f"its columns are {', '.join(sorted(columns))}, in which keel finds no structure: it looks for 'structure' "
        f"(pymatgen), or one of {', '.join(POSITIONS)} with {', '.join(ELEMENTS)} and {', '.join(CELLS)}; rename them"
    )


def record_of_row(row: Mapping[str, Any], source: str) -> Record:
    """Return what a row says.

    Raises
    ------
    DataError
        If it has no structure, or one that is not understood.
    """
    row, beside = flattened(row)
    if not is_row(row):
        raise DataError(f"{source}: {unknown_layout(row)}")
    try:
        numbers, positions, cell, pbc, used = _structure(row)
        info, arrays = _beside(row)
        free = arrays.pop("selective_dynamics", None)
        held = None if free is None else ~truths(free, "selective_dynamics").reshape(-1, 3)
        fixed, lost = fixed_along(held, cell)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        reason = str(error) if isinstance(error, DataError) else NOT_UNDERSTOOD
        raise DataError(f"{source}: {reason}") from None
    for key in PARAMETERS.intersection(row):
        if isinstance(row[key], Mapping):
            info |= of_parameters(row[key])
    usual, remarks = _labels(row)
    for key, value in row.items():
        if value is not None and key not in used:
            (arrays if is_per_atom(key, value, len(numbers)) else info)[key] = value
    remarks = (*remarks, *lost, *beside)
    return Record(numbers, positions, cell, pbc, info, arrays, source, usual=usual, fixed=fixed, remarks=remarks)


def is_per_atom(key: str, value: Any, atoms: int) -> bool:
    """Return whether a value has a row for each atom rather than one for the structure."""
    if is_global(key) or not isinstance(value, list | np.ndarray) or len(value) != atoms:
        return False
    try:
        shape = np.shape(value)
    except ValueError:  # lists of different lengths, as of neighbours
        return False
    return "force" in key.lower() or (len(shape) < 3 and shape not in ((3, 3), (6,)))


def _labels(row: Mapping[str, Any]) -> tuple[LabelKeys, tuple[str, ...]]:
    usual = next((keys for column, keys in LAYOUTS if column in row), LabelKeys())
    stress = row.get(usual.stress or "")
    if usual is PYMATGEN_KEYS and stress is not None:
        return usual, (ORDER if len(stress) == 6 else IN_KBAR,)
    if usual is PYMATGEN_KEYS and stress is None and row.get("virial_stress") is not None:
        return MLEARN_KEYS, (MLEARN,)
    if usual is LEMAT_KEYS and stress is not None:
        return usual, (UNSTATED,)
    if usual is COLABFIT_KEYS and stress is not None and row.get("cauchy_stress_volume_normalized") is False:
        return replace(usual, stress=None, stress_convention=None), (NOT_DIVIDED,)
    return usual, ()


_Structure = tuple[NDArray[np.int64], Array, Array, NDArray[np.bool_], set[str]]


def _structure(row: Mapping[str, Any]) -> _Structure:
    return _pymatgen(row) if "structure" in row or "sites" in row else _plain(row)


def _plain(row: Mapping[str, Any]) -> _Structure:
    """Return elements, positions, cell and periodicity from columns, and the names of these."""
    names = [next((n for n in known if row.get(n) is not None), "") for known in (POSITIONS, ELEMENTS, CELLS, PERIODIC)]
    if not names[1]:
        raise DataError(unknown_layout(row))
    if names[1] == "species_at_sites" and any(len(kind["chemical_symbols"]) > 1 for kind in row.get("species") or ()):
        # OPTIMADE says there what may be at a site.
        raise DataError("it has partly occupied sites, which cannot be simulated")
    _refuse_other_names(row, names)
    cell = _cell(row[names[2]]) if names[2] else np.zeros((3, 3))
    pbc = _periodic(row[names[3]]) if names[3] else np.full(3, cell.any())
    positions = np.array(row[names[0]], dtype=np.float64).reshape(-1, 3)
    if isinstance(row[names[1]], str):
        raise DataError(f"its {names[1]} are the text {row[names[1]]!r:.40}; write a list, with one for each atom")
    return _numbers(row[names[1]]), positions, cell, np.broadcast_to(pbc, 3).copy(), set(names)


def _refuse_other_names(row: Mapping[str, Any], names: Sequence[str]) -> None:
    """Raise a DataError if a cell or its periodicity is under a name that is not read."""
    given = [key for key, value in row.items() if value is not None and key not in names]
    cells = [key for key in given if letters_of(key) in OTHER_CELLS] or cell_in_parts(given)
    if cells and not names[2]:
        raise DataError(
            f"the cell under {', '.join(cells)} is not understood; name it cell, with three rows of numbers"
        )
    if periodic := [key for key in given if letters_of(key) in OTHER_PERIODIC and not names[3]]:
        raise DataError(f"the column {periodic[0]!r} is not understood; name it pbc, with three times true or false")


def _cell(value: Any) -> Array:
    try:
        return np.array(value, dtype=np.float64).reshape(3, 3)
    except (TypeError, ValueError):
        raise DataError(
            f"its cell, {value!r:.80}, is not understood; write it as three rows of three numbers"
        ) from None


def _periodic(value: Any) -> NDArray[np.bool_]:
    """Return in which directions a structure is periodic; a text is not true because it is not empty."""
    words = value.replace(",", " ").split() if isinstance(value, str) else np.atleast_1d(np.asarray(value)).tolist()
    known = [TRUTHS.get(str(word).strip("[]() ").lower()) for word in words]
    if len(known) not in (1, 3) or None in known:
        raise DataError(f"its periodicity, {value!r:.80}, is not understood; write three times true or false")
    return np.array(known, dtype=bool)


def _object(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the Structure or Molecule of pymatgen in a row, or its text."""
    structure = row.get("structure", row)
    found: Mapping[str, Any] = json.loads(structure) if isinstance(structure, str) else structure
    return found


def _beside(row: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what an object of pymatgen says beside the structure: charge and spin, and columns of its sites.

    Columns are the properties that every site has; velocities (angstrom/fs) become momenta in ASE's unit.
    """
    from ase import units

    if "structure" not in row and "sites" not in row:
        return {}, {}
    structure = _object(row)
    info = {name: value for name in ("charge", "spin_multiplicity") if (value := structure.get(name))}
    sites: Sequence[Mapping[str, Any]] = structure["sites"]
    properties = [site.get("properties") or {} for site in sites]
    names = [name for name in properties[0] if all(p.get(name) is not None for p in properties)] if sites else []
    columns: dict[str, Any] = {name: [p[name] for p in properties] for name in names}
    if "velocities" in columns:
        masses = MASSES[_numbers([site["species"][0]["element"] for site in sites])]
        columns["momenta"] = np.array(columns.pop("velocities"), np.float64) * masses[:, None] / units.fs
    return info, columns


def _pymatgen(row: Mapping[str, Any]) -> _Structure:
    """Return the same from a Structure or Molecule of pymatgen, or its text."""
    structure = _object(row)
    sites, lattice = structure["sites"], structure.get("lattice")
    if any(len(site["species"]) != 1 or site["species"][0].get("occu", 1) != 1 for site in sites):
        raise DataError("it has partly occupied sites, which cannot be simulated")
    numbers = _numbers([site["species"][0]["element"] for site in sites])
    used = {"structure", "sites", "lattice"}
    if lattice is None:
        positions = np.array([site["xyz"] for site in sites], dtype=np.float64).reshape(-1, 3)
        return numbers, positions, np.zeros((3, 3)), np.zeros(3, dtype=bool), used
    cell = np.array(lattice["matrix"], dtype=np.float64).reshape(3, 3)
    positions = np.array([site["abc"] for site in sites], dtype=np.float64).reshape(-1, 3) @ cell
    return numbers, positions, cell, np.array(lattice.get("pbc") or (True,) * 3, dtype=bool), used


def _numbers(elements: Iterable[Any]) -> NDArray[np.int64]:
    return np.array([atomic_number(e) if isinstance(e, str) else int(e) for e in elements], dtype=np.int64)
