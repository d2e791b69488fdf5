"""VASP's training data of machine-learned force fields: ``ML_AB`` and ``ML_ABN``.

Energies in eV, forces in eV/angstrom, stress in kbar with the sign and the order of components of the OUTCAR:
positive under compression, xx yy zz, then xy yz zx (VASP wiki, ML_AB).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from keel.atoms.elements import atomic_number
from keel.atoms.formats.compression import opened
from keel.atoms.formats.parts import blocks, table, words_of
from keel.atoms.record import LabelKeys, PendingFrame, Record
from keel.errors import DataError, naming

BEGIN = rb"\s*Configuration num\."
ATOMS, CELL, POSITIONS = "Atom types and atom numbers", "Primitive lattice vectors", "Atomic positions"
ENERGY, FORCES, STRESS = "Total energy", "Forces", ("XX YY ZZ", "XY YZ ZX")
KEYS = LabelKeys(energy="energy", forces="forces", stress="stress", stress_convention="vasp-kbar")
Sections = dict[str, list[list[str]]]


def ml_ab_frames(path: Path) -> Iterator[PendingFrame]:
    """Yield the configurations of a file."""
    with opened(path) as stream:
        for index, lines in enumerate(blocks(stream, BEGIN)):
            source = f"{path}, frame {index}"
            yield PendingFrame(source, partial(_record, lines, source), b"".join(lines))


def _record(lines: list[bytes], source: str) -> Record:
    sections = _sections(words_of(lines))
    with naming(source):
        numbers = _numbers(_rows(sections, ATOMS))
        energy = float(table(_rows(sections, ENERGY, 1), 1, "energy").sum())
        stress = [table(_rows(sections, title, 1), 3, "stress") for title in STRESS if title in sections]
        return Record(
            numbers=numbers,
            positions=table(_rows(sections, POSITIONS, len(numbers)), 3, "positions"),
            cell=table(_rows(sections, CELL, 3), 3, "lattice vectors"),
            pbc=np.ones(3, dtype=bool),
            info={"energy": energy, **({"stress": np.ravel(stress)} if len(stress) == len(STRESS) else {})},
            arrays={"forces": table(_rows(sections, FORCES, len(numbers)), 3, "forces")},
            source=source,
            usual=KEYS,
        )


def _sections(rows: list[list[str]]) -> Sections:
    """Return the rows under each headline: a line that begins with a letter and is underlined with dashes."""
    sections: Sections = {}
    content: list[list[str]] = []
    for row, following in zip(rows, [*rows[1:], [""]], strict=True):
        if set(row[0]) <= set("-=*") and len(row[0]) > 9:
            continue
        if row[0][0].isalpha() and following[0].startswith("-----"):
            content = sections.setdefault(" ".join(row), [])
        else:
            content.append(row)
    return sections


def _rows(sections: Sections, title: str, number: int | None = None) -> list[list[str]]:
    rows = next((rows for name, rows in sections.items() if name.startswith(title)), None)
    if rows is None:
        raise DataError(f"it has no {title!r}; the file is cut off or not an ML_AB file")
    if number is not None and len(rows) != number:
        raise DataError(f"under {title!r} it should have {number} rows but has {len(rows)}")
    return rows


def _numbers(rows: list[list[str]]) -> NDArray[np.int64]:
    try:
        return np.array([atomic_number(name) for name, count in rows for _ in range(int(count))], dtype=np.int64)
    except ValueError as error:
        reason = error if isinstance(error, DataError) else "each row should be an element and a number"
        raise DataError(f"its atom types are not understood: {reason}") from None
