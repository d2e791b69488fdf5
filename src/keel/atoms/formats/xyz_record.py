"""What one frame of extended XYZ says: its comment line and the words of its atoms, understood."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from keel.atoms.elements import no_element
from keel.atoms.formats.columns import parse_columns
from keel.atoms.formats.comment import parse_comment
from keel.atoms.formats.ipi import box_of
from keel.atoms.labelling.names import CELLS, PERIODIC, cell_in_parts, letters_of
from keel.atoms.record import USUAL, Record
from keel.atoms.units import spelled
from keel.errors import DataError

PLAIN = "species:S:1:pos:R:3"
"""Properties of a file that does not name any."""
IN_HARTREE = re.compile(r"energy:\s+(-?\d+\.\d+)\s+gnorm:|Coordinates from ORCA-job .*\sE\s+(-?\d+\.\d+)$")
"""Comments of xtb and ORCA, in whose text an energy is in hartree."""
IN_TEXT = re.compile(
    r"(?i)\b(?:energy|etot|toten)\s*(?:[(\[]([\w/]+)[)\]])?\s*:?\s+(-?\d+\.\d+(?:[ed][+-]?\d+)?)\s*([a-z][\w/]*)?"
)
"""An energy in the text of a comment, and the unit before or behind it."""
NUMBER = re.compile(r"[+-]?\d*\.?\d+(?:[eEdD][+-]?\d+)?")
ALONE = re.compile(r"-\d+\.\d+(?:[eEdD][+-]?\d+)?")
"""A comment that is nothing but a negative number, as in sGDML's files of MD17: an energy."""
NUMBERS = "a comment of nothing but {0} numbers: not used (if they are the cell, write Lattice, with nine numbers)"
NAMELESS = "unnamed columns after the position: they are not read"
OPENMX = re.compile(r"time=.*\(fs\)\s+Energy=.*\(Hartree\)")
ANY_CASE = "symbols of elements in another case than usual, read as elements"
CELLESS = re.compile(r"Atoms\. Timestep: \d|i = +\d+, time = ")
"""Comments of LAMMPS' dump xyz and of CP2K's trajectories, which simulate crystals too and write no cell."""
NO_CELL = "files of this kind (LAMMPS' dump xyz, CP2K's PROJECT-pos-1.xyz) hold no cell: read as molecules"
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
    if OPENMX.match(text):
        raise DataError(
            "it is a frame of OpenMX (.md), in hartree and bohr, which keel does not read; convert it with dpdata: "
            'dpdata.LabeledSystem(FILE_WITHOUT_SUFFIX, fmt="openmx/md").to("quip/gap/xyz", "train.extxyz")'
        )
    info, printed = parse_comment(text)
    # From there it is read if the user asks for it.
    info |= _energy_in(text)
    remarks: list[str] = []
    box = box_of(text) if "CELL" in text else None
    cell, usual = box or (_cell(info), USUAL)
    if printed.get("Lattice", "").lstrip("\"'").startswith("[") and (cell != cell.T).any():
        remarks.append(TRANSPOSED)
    if "=" not in text and len(words := text.split()) in (3, 6, 9) and all(map(NUMBER.fullmatch, words)):
        remarks.append(NUMBERS.format(len(words)))
    if not cell.any() and CELLESS.match(text):
        remarks.append(NO_CELL)
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
        raise DataError(f"its Properties have no pos:R:3{_instead(arrays, 'positions, in angstrom,', 'pos:R:3')}")
    numbers = _numbers(arrays, remarks)
    return Record(numbers, positions, cell, pbc, info, arrays, source, printed, usual=usual, remarks=tuple(remarks))


def _energy_in(text: str) -> dict[str, float]:
    """Return the energy that is in the text of a comment, under a name that has its unit."""
    if "=" not in text and (found := IN_HARTREE.match(text)):
        return {"energy_hartree": float(found[1] or found[2])}
    if found := IN_TEXT.search(text):
        unit = next((word for word in (found[1], found[3]) if word and spelled("energy", word)), "")
        return {f"comment_energy_{unit}".rstrip("_"): float(found[2].lower().replace("d", "e"))}
    return {"comment_energy": float(text.lower().replace("d", "e"))} if ALONE.fullmatch(text) else {}


def _cell(info: dict[str, Any]) -> np.ndarray[Any, Any]:
    given = "Lattice" in info
    if not given and (parts := cell_in_parts(info)):
        raise DataError(
            f"the keys {', '.join(parts)} are not understood; write the cell as Lattice, with nine numbers, or remove "
            "them"
        )
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


def _numbers(arrays: dict[str, Any], remarks: list[str]) -> np.ndarray[Any, np.dtype[np.int64]]:
    from ase.data import atomic_numbers

    if "species" in arrays:
        arrays.pop("Z", None)
        species = arrays.pop("species")
        if not isinstance(species, list):
            raise DataError("its species are not symbols of elements, one for each atom; write them as species:S:1")
        numbers = [atomic_numbers.get(s) or atomic_numbers.get(s.capitalize(), 0) for s in species]
        odd = sorted({s for s, z in zip(species, numbers, strict=True) if z and s not in atomic_numbers})
        if odd:
            remarks.append(f"{ANY_CASE}: {', '.join(odd)}")
    elif "Z" in arrays:
        species = np.asarray(arrays.pop("Z"))
        if species.ndim != 1 or species.dtype.kind not in "if":
            raise DataError("its Z are not atomic numbers, one for each atom; write them as Z:I:1")
        numbers = [int(z) if 0 < z <= 118 else 0 for z in species]
    else:
        instead = _instead(arrays, "elements", "species:S:1 (symbols) or Z:I:1 (atomic numbers)")
        raise DataError(f"its Properties have neither species:S:1 nor Z:I:1{instead}")
    if 0 in numbers:
        atom = numbers.index(0)
        raise DataError(f"atom {atom} is {no_element(str(species[atom]))}")
    return np.array(numbers, dtype=np.int64)


def _instead(arrays: dict[str, Any], wanted: str, name: str) -> str:
    """Say what the columns are and how the one that is missing should be called."""
    return f" but {', '.join(sorted(arrays)) or 'nothing else'}; name the column of the {wanted} {name}"
