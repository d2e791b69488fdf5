"""``input.data`` of RuNNer and n2p2, whose files do not state their units.

RuNNer's own units are bohr and hartree, n2p2 accepts any, and many files have angstrom and eV. Distances of neighbours
decide: they are about the sum of two covalent radii, which in bohr is a number 1.89 times as large.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from keel.atoms.elements import COVALENT_RADII, atomic_number
from keel.atoms.formats.compression import opened
from keel.atoms.formats.parts import blocks, table, words_of
from keel.atoms.frame import Frame
from keel.atoms.record import LabelKeys, PendingFrame, Record
from keel.atoms.soundness.frames import closest_pair
from keel.atoms.units import BOHR
from keel.errors import DataError, naming

BEGIN = rb"(?i)\s*begin\b"
ENOUGH = 50
"""Number of frames from which the units of a file are determined."""
NOBLE_GASES = frozenset({2, 10, 18, 36, 54, 86})
"""Elements without bonds."""
BOUNDARY = BOHR**-0.5
"""Nearest distance in units of the sum of covalent radii, halfway (as a ratio) between angstrom and bohr."""
ATOMIC = LabelKeys(length_unit="bohr", energy_unit="hartree", forces_unit="hartree/bohr")
METRIC = LabelKeys(length_unit="angstrom", energy_unit="eV", forces_unit="eV/angstrom")
COLUMNS = ("x", "y", "z", "element", "charge", "unused", "fx", "fy", "fz")
OPTIONS = "(if that is wrong: --length-unit, --energy-unit, --forces-unit)"
IN_BOHR = f"distances typical of neighbours in bohr: read in bohr, hartree and hartree/bohr {OPTIONS}"
IN_ANGSTROM = f"distances typical of neighbours in angstrom: read in angstrom and eV {OPTIONS}"
UNTOLD = f"no bond to distinguish bohr from angstrom: read in RuNNer's bohr and hartree {OPTIONS}"


def runner_frames(path: Path) -> Iterator[PendingFrame]:
    """Yield the structures of a file, all in the units determined from the first ones."""
    with opened(path) as stream:
        found = blocks(stream, BEGIN)
        first = list(islice(found, ENOUGH))
        usual, remark = _units(first, str(path))
        for index, lines in enumerate(chain(first, found)):
            source = f"{path}, frame {index}"
            record = partial(_with_units, lines, source, usual, remark)
            yield PendingFrame(source, record, b"".join(lines))


def _with_units(lines: list[bytes], source: str, usual: LabelKeys, remark: str) -> Record:
    return replace(_record(lines, source), usual=usual, remarks=(remark,))


def _units(first: list[list[bytes]], path: str) -> tuple[LabelKeys, str]:
    """Return the units in which the nearest neighbours are at the distance of neighbours."""
    ratios = []
    for lines in first:
        try:
            ratio = _nearest(_record(lines, path))
        except DataError:  # said when the frame is read
            continue
        ratios += [] if ratio is None else [ratio]
    if not ratios:
        return ATOMIC, UNTOLD
    return (ATOMIC, IN_BOHR) if np.median(ratios) > BOUNDARY else (METRIC, IN_ANGSTROM)


def _nearest(record: Record) -> float | None:
    """Return the smallest distance in units of the sum of covalent radii, with the numbers as they are."""
    if len(record.numbers) < 2 or NOBLE_GASES.issuperset(record.numbers.tolist()):
        return None
    frame = Frame(record.numbers, record.positions, record.cell, record.pbc)
    closest = closest_pair(frame, cutoff=4.5 * float(COVALENT_RADII[record.numbers].max()))
    return None if closest is None else closest.ratio


def _record(lines: list[bytes], source: str) -> Record:
    with naming(source):
        return _understood(words_of(lines), source)


def _understood(rows: list[list[str]], source: str) -> Record:
    if rows[-1][0].lower() != "end" and all(row[0].lower() != "end" for row in rows):
        raise DataError("it has no line 'end'; the file is cut off")
    named = {key: [row[1:] for row in rows if row[0].lower() == key] for key in ("lattice", "atom", "energy", "charge")}
    columns = _columns(rows[0][1:])
    atoms = [dict(zip(columns, row, strict=False)) for row in named["atom"]]
    if not atoms:
        raise DataError("it has no atoms")
    if len(named["lattice"]) not in (0, 3):
        raise DataError(f"it should have 3 lines 'lattice' or none but has {len(named['lattice'])}")
    info: dict[str, Any] = {
        key: float(table(named[key][:1], 1, key).sum()) for key in ("energy", "charge") if named[key]
    }
    comment = " ".join(word for row in rows if row[0].lower() == "comment" for word in row[1:])
    return Record(
        numbers=np.array([atomic_number(atom.get("element", "")) for atom in atoms], dtype=np.int64),
        positions=_of_atoms(atoms, ("x", "y", "z"), "positions"),
        cell=table(named["lattice"], 3, "lattice vectors") if named["lattice"] else np.zeros((3, 3)),
        pbc=np.full(3, bool(named["lattice"])),
        info={**info, **({"comment": comment} if comment else {})},
        arrays={"forces": _of_atoms(atoms, ("fx", "fy", "fz"), "forces")} if "fz" in atoms[0] else {},
        source=source,
    )


def _columns(names: list[str]) -> list[str]:
    """Return what the words of an atom's line are: RuNNer's usual ones, or those that newer files name in ``begin``."""
    if not names:
        return list(COLUMNS)
    vectors = {"position": COLUMNS[:3], "positions": COLUMNS[:3], "force": COLUMNS[6:], "forces": COLUMNS[6:]}
    columns: list[str] = []
    for name in names:
        stem, _, width = name.rstrip(")").partition("(")
        columns += vectors.get(stem) or [f"{stem}{k}" if k else stem for k in range(int(width or 1))]
    return columns


def _of_atoms(atoms: list[dict[str, str]], columns: tuple[str, ...], what: str) -> Any:
    return table([[atom[c] for c in columns if c in atom] for atom in atoms], len(columns), what)
