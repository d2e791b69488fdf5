"""What one frame of extended XYZ says: its comment line and the words of its atoms, understood."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from keel.atoms.formats.columns import parse_columns
from keel.atoms.formats.comment import parse_comment
from keel.atoms.formats.ipi import box_of
from keel.atoms.labelling.names import CELLS, PERIODIC, letters_of
from keel.atoms.record import USUAL, Record
from keel.errors import DataError

PLAIN = "species:S:1:pos:R:3"
"""Properties of a file that does not name any."""
IN_HARTREE = re.compile(r"energy:\s+(-?\d+\.\d+)\s+gnorm:|Coordinates from ORCA-job .*\sE\s+(-?\d+\.\d+)$")
"""Comments of xtb and ORCA, in whose text an energy is in hartree."""
NAMELESS = "unnamed columns after the position: they are not read"
TRANSPOSED = "a Lattice in nested brackets: its rows are taken as lattice vectors, as in the specification"


def xyz_record(comment: bytes, rows: list[list[bytes]], source: str) -> Record:
    """Return what the comment line and the words of each atom's line say.

    Raises
    ------
    DataError
        If either is damaged.
    """
    if not rows:
        raise DataError("it has no atoms")
    try:
        text = comment.decode("utf-8").strip()
    except UnicodeDecodeError:
        raise DataError("its comment line is not UTF-8 text") from None
    info, printed = parse_comment(text)
    if "=" not in text and (energy := IN_HARTREE.match(text)):
        # From there it is read if the user asks for it.
        info["energy_hartree"] = float(energy[1] or energy[2])
    remarks = []
    box = box_of(text) if "CELL" in text else None
    cell, usual = box or (_cell(info), USUAL)
    if printed.get("Lattice", "").startswith("[") and (cell != cell.T).any():
        remarks.append(TRANSPOSED)
    pbc = _pbc(info, default=bool(cell.any()))
    if "=" not in text and any(len(row) > 4 for row in rows):
        rows = [row[:4] for row in rows]
        remarks.append(NAMELESS)
    if "Properties" not in info and (odd := [k for k, row in enumerate(rows) if len(row) != 4]):
        raise DataError(
            f"atom {odd[0]} has {len(rows[odd[0]])} columns, and no Properties in the comment line says what they are; "
            "write Properties=species:S:1:pos:R:3:forces:R:3 or whatever they are"
        )
    arrays = parse_columns(str(info.pop("Properties", PLAIN)), rows)
    positions = np.asarray(arrays.pop("pos", None))
    if positions.shape != (len(rows), 3) or positions.dtype.kind not in "if":
        raise DataError("its Properties have no pos:R:3")
    numbers = _numbers(arrays)
    return Record(numbers, positions, cell, pbc, info, arrays, source, printed, usual=usual, remarks=tuple(remarks))


def _cell(info: dict[str, Any]) -> np.ndarray[Any, Any]:
    given = "Lattice" in info
    for key, value in info.items():
        if key.lower() == "cell" or (not given and letters_of(key) in CELLS and np.size(value) in (3, 6, 9)):
            raise DataError(f"the key {key!r} is not understood; name it Lattice, with nine numbers")
    lattice = np.asarray(info.pop("Lattice", np.zeros(9)))
    if lattice.shape not in ((3,), (9,), (3, 3)) or lattice.dtype.kind not in "if":
        raise DataError(f"its Lattice should be nine numbers, not {str(lattice)[:40]!r}")
    return (np.diag(lattice) if lattice.size == 3 else lattice.reshape(3, 3)).astype(np.float64)


def _pbc(info: dict[str, Any], default: bool) -> np.ndarray[Any, np.dtype[np.bool_]]:
    if others := [key for key in info if letters_of(key) in PERIODIC]:
        raise DataError(f'the key {others[0]!r} is not understood; name it pbc, like pbc="T T F"')
    pbc = np.asarray(info.pop("pbc", [default] * 3))
    if pbc.dtype.kind in "i" and set(pbc.ravel().tolist()) <= {0, 1}:
        pbc = pbc.astype(bool)
    if pbc.dtype != bool or pbc.size not in (1, 3):
        raise DataError(f'its pbc should be like "T T F", not {str(pbc)[:40]!r}')
    return np.broadcast_to(pbc.ravel(), 3).copy()


def _numbers(arrays: dict[str, Any]) -> np.ndarray[Any, np.dtype[np.int64]]:
    from ase.data import atomic_numbers

    if "species" in arrays:
        arrays.pop("Z", None)
        species = arrays.pop("species")
        if not isinstance(species, list):
            raise DataError("its species are not symbols of elements, one for each atom; write them as species:S:1")
        numbers = [atomic_numbers.get(s, 0) for s in species]
    elif "Z" in arrays:
        species = np.asarray(arrays.pop("Z"))
        if species.ndim != 1 or species.dtype.kind not in "if":
            raise DataError("its Z are not atomic numbers, one for each atom; write them as Z:I:1")
        numbers = [int(z) if 0 < z <= 118 else 0 for z in species]
    else:
        raise DataError("its Properties have neither species:S:1 nor Z:I:1")
    if 0 in numbers:
        atom = numbers.index(0)
        raise DataError(f"atom {atom} is {str(species[atom])!r}, which is not a chemical element")
    return np.array(numbers, dtype=np.int64)
