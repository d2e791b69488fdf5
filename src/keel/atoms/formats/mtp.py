"""Configurations of moment tensor potentials, the ``.cfg`` files of MLIP-2 and MLIP-3.

Energies in eV, forces in eV/angstrom. ``PlusStress`` is -V times the stress, in eV: positive under compression, as
the virial of other formats (Novikov, Gubaev, Podryabinkin, Shapeev, Mach. Learn.: Sci. Technol. 2, 025002 (2021));
``Stress`` of old files has the other sign. Atoms have types 0, 1, ... without the names of their elements.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from keel.atoms.formats.ase_files import ase_frames
from keel.atoms.formats.compression import opened
from keel.atoms.formats.parts import blocks, table, words_of
from keel.atoms.frame import Array
from keel.atoms.labelling.convergence import UNCONVERGED
from keel.atoms.record import PendingFrame, Record
from keel.errors import DataError, naming

BEGIN = rb"\s*BEGIN_CFG\b"
SIGNS = {"plusstress:": 1.0, "stress:": -1.0}
HEADS = frozenset({"begin_cfg", "size", "supercell", "atomdata:", "energy", "virial:", "features:", *SIGNS})
VIRIAL = "a block 'Virial', which MLIP divides by the volume: not used as stress"
NOT_CONVERGED = "not_converged"
"""In the feature ``EFS_by``, where MLIP took energy, forces and stress from an OUTCAR at the last of NELM steps."""
Sections = dict[str, tuple[list[str], list[list[str]]]]


def mtp_frames(path: Path) -> Iterator[PendingFrame]:
    """Yield the configurations of a file; the ``.cfg`` of AtomEye is left to ASE."""
    index = 0
    with opened(path) as stream:
        for lines in blocks(stream, BEGIN):
            source = f"{path}, frame {index}"
            yield PendingFrame(source, partial(_record, lines, source), b"".join(lines))
            index += 1
    if not index:
        yield from ase_frames(path)


def _record(lines: list[bytes], source: str) -> Record:
    with naming(source):
        return _understood(words_of(lines), source)


def _understood(rows: list[list[str]], source: str) -> Record:
    sections, features = _sections(rows)
    atoms = _atoms(sections)
    rows_of_cell = table(sections.get("supercell", ([], []))[1][:3], 3, "lattice vectors")
    cell = np.zeros((3, 3))
    cell[: len(rows_of_cell)] = rows_of_cell
    if "type" not in atoms:
        raise DataError("its AtomData have no column 'type'")
    forces = [atoms.pop(name) for name in ("fx", "fy", "fz") if name in atoms]
    return Record(
        numbers=atoms.pop("type").astype(np.int64) + 1,
        positions=_positions(atoms, cell),
        cell=cell,
        pbc=np.arange(3) < len(rows_of_cell),
        info={**features, **_labels(sections)},
        arrays={**({"forces": np.stack(forces, axis=1)} if len(forces) == 3 else {}), **atoms},
        source=source,
        typed=True,
        remarks=(VIRIAL,) if "virial:" in sections else (),
        unconverged=UNCONVERGED if NOT_CONVERGED in features.get("EFS_by", "").lower() else None,
    )


def _sections(rows: list[list[str]]) -> tuple[Sections, dict[str, str]]:
    """Return what follows each headline, and in its line; and the features, of which there may be many."""
    sections: Sections = {}
    features: dict[str, str] = {}
    content: list[list[str]] = []
    for row in rows:
        head = row[0].lower()
        if head == "end_cfg":
            return sections, features
        if head == "feature":
            features[" ".join(row[1:2])] = " ".join(row[2:])
        elif head in HEADS:
            content = []
            sections[head] = row[1:], content
        else:
            content.append(row)
    raise DataError("it has no END_CFG; the file is cut off")


def _atoms(sections: Sections) -> dict[str, Array]:
    """Return the columns of the atoms by name, without their running numbers."""
    columns, rows = sections.get("atomdata:", ([], []))
    size = sections.get("size", ([], []))[1]
    if not rows:
        raise DataError("it has no atoms")
    if size and size[0] != [str(len(rows))]:
        raise DataError(f"it should have {size[0][0]} atoms but has {len(rows)}")
    values = table(rows, len(columns), "AtomData")
    return {name: values[:, k] for k, name in enumerate(columns) if name != "id"}


def _positions(atoms: dict[str, Array], cell: Array) -> Array:
    for kind in ("cartes", "direct"):
        names = [f"{kind}_{axis}" for axis in "xyz"]
        if all(name in atoms for name in names):
            values: Array = np.stack([atoms.pop(name) for name in names], axis=1)
            return values if kind == "cartes" else values @ cell
    raise DataError("its AtomData have neither cartes_x cartes_y cartes_z nor direct_x direct_y direct_z")


def _labels(sections: Sections) -> dict[str, Any]:
    labels: dict[str, Any] = {}
    if "energy" in sections:
        labels["energy"] = float(table(sections["energy"][1][:1], 1, "energy").sum())
    for head, sign in SIGNS.items():
        if head in sections:
            names, rows = sections[head]
            named = dict(zip(names, table(rows[:1], len(names), "stress").ravel(), strict=False))
            if not named.keys() >= {"xx", "yy", "zz", "yz", "xz", "xy"}:
                raise DataError(f"its {head} does not name the components xx yy zz yz xz xy")
            labels["virial"] = sign * np.array([named[name] for name in ("xx", "yy", "zz", "yz", "xz", "xy")])
    return labels
