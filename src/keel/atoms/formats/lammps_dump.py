"""Text dumps of LAMMPS: structures and forces.

A dump contains no energy, and elements only if LAMMPS was given them. ASE's reader returns an energy of zero, uses
types as atomic numbers, guesses elements from masses and assumes ``units metal`` (ASE 3.29). See
https://docs.lammps.org/dump.html and https://docs.lammps.org/Howto_triclinic.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from keel.atoms.elements import MASSES, atomic_number
from keel.atoms.formats.compression import opened_text
from keel.atoms.frame import Array
from keel.atoms.record import LabelKeys, PendingFrame, Record
from keel.atoms.units import length_factor
from keel.errors import DataError

UNITS: Mapping[str, tuple[LabelKeys, float]] = {
    "metal": (LabelKeys(forces="forces"), 1e3),
    "real": (LabelKeys(forces="forces", forces_unit="kcal/mol/angstrom"), 1.0),
    "electron": (LabelKeys(forces="forces", forces_unit="hartree/bohr", length_unit="bohr"), 1.03275),
}
"""Units of force and length of each style, and its time in fs (https://docs.lammps.org/units.html)."""
ASSUMED = "forces without units: read as eV/angstrom (LAMMPS' `dump_modify units yes` names them)"
POSITIONS = ("x y z", "xu yu zu", "xs ys zs", "xsu ysu zsu")
VELOCITIES, FORCES = "vx vy vz", "fx fy fz"
NO_LABELS = frozenset({"type", "element", "ix", "iy", "iz"})
REALS = frozenset({"id", "mass", *" ".join((*POSITIONS, VELOCITIES, FORCES)).split()})
"""Columns of numbers that are used."""
BOUNDARY = re.compile("[pfsm]{2}")
NO_BOUNDARIES = (
    "it does not say in which directions it is periodic; write these into the line 'ITEM: BOX BOUNDS', as LAMMPS does: "
    "pp pp pp for a crystal"
)
NO_POSITIONS = f"its columns contain no positions; write one of {', '.join(POSITIONS)}"


@dataclass
class _Snapshot:
    """The lines under each ITEM of one snapshot, and the words behind the name of the item."""

    source: str
    units: str | None
    lines: dict[str, list[str]] = field(default_factory=dict)
    words: dict[str, list[str]] = field(default_factory=dict)

    def record(self) -> Record:
        try:
            return _understood(self)
        except DataError as error:
            raise DataError(f"{self.source}: {error}") from None
        except (ValueError, IndexError, KeyError):
            raise DataError(f"{self.source}: the snapshot is damaged or cut off") from None


def dump_frames(path: Path) -> Iterator[PendingFrame]:
    """Yield the snapshots of a dump."""
    with opened_text(path) as stream:
        for index, (units, items) in enumerate(_snapshots(stream)):
            snapshot = _Snapshot(f"{path}, frame {index}", units)
            for heading, lines in items:
                name, words = _heading(heading)
                snapshot.lines[name], snapshot.words[name] = lines, words
            yield PendingFrame(snapshot.source, partial(_Snapshot.record, snapshot))


def _heading(line: str) -> tuple[str, list[str]]:
    name = line.removeprefix("ITEM:").strip()
    known = next((item for item in ("ATOMS", "BOX BOUNDS", "NUMBER OF ATOMS") if name.startswith(item)), name)
    return known, name.removeprefix(known).split()


def _snapshots(stream: TextIO) -> Iterator[tuple[str | None, list[tuple[str, list[str]]]]]:
    """Yield units and items of each snapshot; units precede the first snapshot only."""
    units, items = None, list[tuple[str, list[str]]]()
    for line in stream:
        if not line.startswith("ITEM:"):
            if items:
                items[-1][1].append(line)
            continue
        if items and _heading(items[-1][0])[0] == "ATOMS":
            yield units, items
            items = []
        if line.startswith("ITEM: UNITS"):
            units = stream.readline().strip()
        else:
            items.append((line, []))
    if items:
        yield units, items


def _understood(snapshot: _Snapshot) -> Record:
    usual, time_fs = _style(snapshot.units)
    columns = _columns(snapshot)
    origin, cell, pbc = _box(snapshot)
    numbers, types, typed = _species(columns)
    named = next((names for names in POSITIONS if names.split()[0] in columns), None)
    if named is None:
        raise DataError(NO_POSITIONS)
    positions = _vectors(columns, named)
    arrays: dict[str, Any] = {"mass": columns["mass"]} if "mass" in columns else {}
    if "vx" in columns and not typed:
        weights = columns.get("mass", MASSES[numbers])
        arrays["momenta"] = _momenta(
            _vectors(columns, VELOCITIES), weights, length_factor(usual.length_unit or "angstrom") / time_fs
        )
    if not {"fx", "fy", "fz"}.isdisjoint(columns):
        arrays["forces"] = _vectors(columns, FORCES)
    arrays |= {name: values for name, values in columns.items() if name not in REALS | NO_LABELS}
    return Record(
        numbers=numbers,
        positions=positions @ cell if "s" in named else positions - origin,
        cell=cell,
        pbc=pbc,
        info={"timestep": int(snapshot.lines["TIMESTEP"][0])},
        arrays=arrays,
        source=snapshot.source,
        typed=typed,
        types=types,
        usual=usual,
        remarks=(ASSUMED,) if snapshot.units is None and "forces" in arrays else (),
    )


def _style(units: str | None) -> tuple[LabelKeys, float]:
    if units is not None and units not in UNITS:
        raise DataError(f"its units are {units!r}; run LAMMPS with units {', '.join(UNITS)} or convert the file")
    return UNITS[units or "metal"]


def _columns(snapshot: _Snapshot) -> dict[str, NDArray[Any]]:
    """Return the columns in the order of the atoms' ids: LAMMPS writes atoms as they come."""
    names, count = snapshot.words["ATOMS"], int(snapshot.lines["NUMBER OF ATOMS"][0])
    rows = [line.split() for line in snapshot.lines["ATOMS"] if line.strip()]
    if len(rows) != count or any(len(row) != len(names) for row in rows):
        raise DataError(f"it should have {count} atoms with {len(names)} columns each; it is damaged or cut off")
    table = np.array(rows, dtype=np.str_).reshape(count, len(names))
    columns: dict[str, NDArray[Any]] = {
        name: table[:, k].astype(np.float64) if name in REALS else table[:, k] for k, name in enumerate(names)
    }
    order = np.argsort(columns["id"]) if "id" in columns else np.arange(count)
    return {name: values[order] for name, values in columns.items()}


def _vectors(columns: Mapping[str, NDArray[Any]], names: str) -> Array:
    if missing := [name for name in names.split() if name not in columns]:
        raise DataError(f"it has no column {missing[0]}; write {names}")
    return np.stack([columns[name] for name in names.split()], axis=1)


def _momenta(velocities: Array, masses: Array, angstrom_per_fs: float) -> Array:
    """Return momenta in ASE's units, as in a record."""
    from ase import units

    return np.asarray(velocities * angstrom_per_fs / units.fs * masses[:, None])


def _species(columns: Mapping[str, NDArray[Any]]) -> tuple[NDArray[np.int64], NDArray[np.int64] | None, bool]:
    """Return atomic numbers and types; types in place of the first, and true, if the file does not name elements.

    LAMMPS prints C for all by default.
    """
    words, elements = columns.get("type"), columns.get("element")
    if words is not None and not all(word.isdecimal() for word in words.tolist()):
        # Labels of types may be elements (docs.lammps.org/Howto_type_labels.html).
        words, elements = None, words if elements is None else elements
    types = None if words is None else words.astype(np.int64)
    untold = False
    if elements is not None and types is not None and set(elements) == {"C"}:
        heavy = "mass" in columns and bool(np.abs(columns["mass"] - MASSES[6]).max() > 2.0)
        untold = heavy or len(np.unique(types)) > 1
    if elements is not None and not untold:
        return np.array([atomic_number(str(element)) for element in elements], dtype=np.int64), types, False
    if types is None:
        raise DataError("it has neither a column element nor a column type, so its elements are unknown")
    return types, types, True


def _box(snapshot: _Snapshot) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Return origin, cell and periodicity; bounds of a tilted box are those of the box around it."""
    words = snapshot.words["BOX BOUNDS"]
    bounds = np.array([line.split() for line in snapshot.lines["BOX BOUNDS"][:3]], dtype=np.float64)
    if len(words) < 3 or not all(map(BOUNDARY.fullmatch, words[-3:])):
        raise DataError(NO_BOUNDARIES)
    pbc = np.array([word == "pp" for word in words[-3:]])
    if words[:1] == ["abc"]:
        return bounds[:, 3], bounds[:, :3], pbc
    low, high = bounds[:, 0].copy(), bounds[:, 1].copy()
    xy, xz, yz = bounds[:, 2] if bounds.shape[1] == 3 else np.zeros(3)
    tilts = (0.0, xy, xz, xy + xz)
    low -= [min(tilts), min(0.0, yz), 0.0]
    high -= [max(tilts), max(0.0, yz), 0.0]
    x, y, z = high - low
    return low, np.array([[x, 0.0, 0.0], [xy, y, 0.0], [xz, yz, z]]), pbc
