"""Databases of ASE: SQLite, and LMDB as fairchem's sets (OMat24, OC20, OMol25) come, a file or a folder of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from keel.atoms.formats.ase_files import guarded
from keel.atoms.formats.parts import files_in, optional
from keel.atoms.formats.rows import is_per_atom
from keel.atoms.frame import Frame
from keel.atoms.labelling.labelled import record_of_ase
from keel.atoms.labelling.stated_units import StatedUnits, states_units
from keel.atoms.record import USUAL, LabelKeys, PendingFrame, Record
from keel.errors import DataError


def db_frames(path: Path) -> Iterator[PendingFrame]:
    """Yield the rows of an ASE database; key-value pairs and data are searched for labels too."""
    import ase.db

    yield from _frames(guarded(lambda: ase.db.connect(str(path), use_lock_file=False), path), path, "")


def lmdb_frames(path: Path) -> Iterator[PendingFrame]:
    """Yield the rows of an LMDB database of ASE, or of all ``.aselmdb`` files in a folder."""
    backend = optional("ase_db_backends.aselmdb", path, "ase-db-backends")
    lmdb = optional("lmdb", path, "ase-db-backends")
    for file, where in files_in(path, "*.aselmdb"):
        _check_whole(lmdb, file)
        # Opened in any other way the file must be writable, and a lock file is left beside it.
        database = guarded(partial(backend.LMDBDatabase, file, readonly=True, use_lock_file=False), file)
        yield from _frames(database, path, where)


def write_db(path: Path, frames: Iterable[Frame]) -> int:
    """Write frames as an ASE database and return their number."""
    import ase.db

    with ase.db.connect(str(path), type="db", use_lock_file=False) as database:
        return sum(1 for frame in frames if database.write(frame.to_ase(), data=_data(frame)))


def _data(frame: Frame) -> dict[str, Any]:
    """Return what a row has no place for otherwise."""
    mask = {} if frame.forces_mask is None else {"forces_mask": frame.forces_mask}
    return {**frame.info, **mask}


def _check_whole(lmdb: Any, file: Path) -> None:
    """Refuse a file that is not ASE's, or ends before its last page: reading a missing page kills the process."""
    try:
        with lmdb.open(str(file), subdir=False, readonly=True, lock=False) as database:
            needed = (database.info()["last_pgno"] + 1) * database.stat()["psize"]
            entries = database.stat()["entries"] if file.stat().st_size >= needed else 0
            if entries:
                with database.begin() as transaction:
                    others = transaction.get(b"nextid") is None  # has the number of the next row in ASE's
    except lmdb.Error as error:
        raise DataError(f"{file}: it is damaged or not an LMDB file ({error})") from None
    if file.stat().st_size < needed:
        raise DataError(f"{file}: it has {file.stat().st_size:,} bytes of {needed:,}; the file is cut off")
    if entries and others:
        raise DataError(
            f"{file}: this LMDB file was not written by ASE; one of pickled structures, as ocpmodels wrote them (S2EF, "
            "IS2RE), is not opened because that could run any code: write its structures as extxyz or .aselmdb"
        )


def _frames(database: Any, path: Path, where: str) -> Iterator[PendingFrame]:
    stated = _stated(guarded(lambda: dict(database.metadata), path))
    keys = StatedUnits(stated, USUAL).understood()
    rows = guarded(lambda: iter(database.select()), path)
    while True:
        row = guarded(lambda: next(rows, None), path)
        if row is None:
            return
        source = f"{path}, row {where}{row.id}"
        yield PendingFrame(source, partial(_row_record, row, source, keys, stated))


def _stated(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the units that the metadata state, as SchNetPack's do.

    Its databases have ``{"_property_unit_dict": {"energy": "Ha", "forces": "Ha/Bohr"}, "_distance_unit": "Ang"}``
    (github.com/atomistic-machine-learning/schnetpack, src/schnetpack/data/atoms.py); a number is a factor to ASE's.
    """
    stated = {}
    for key, value in metadata.items():
        if states_units(key) and value != 1:
            stated[key] = {k: v for k, v in value.items() if v != 1} if isinstance(value, Mapping) else value
    return stated


def _row_record(row: Any, source: str, keys: LabelKeys, stated: Mapping[str, Any]) -> Record:
    atoms = guarded(row.toatoms, source)
    if atoms.calc is not None:
        # ASE leaves these behind.
        atoms.calc.parameters.update(row.get("calculator_parameters") or {})
    atoms.info.update(row.key_value_pairs)
    for key, value in row.data.items():
        if key not in atoms.info and key not in atoms.arrays:
            (atoms.arrays if is_per_atom(key, value, len(atoms)) else atoms.info)[key] = value
    # What is not understood is refused there.
    atoms.info.update(stated)
    return replace(record_of_ase(atoms, source), usual=USUAL if keys == USUAL else keys)
