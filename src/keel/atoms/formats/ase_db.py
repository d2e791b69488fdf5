"""Databases of ASE: SQLite, and others for which a backend is installed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from keel.atoms.formats.ase_files import guarded
from keel.atoms.frame import Frame
from keel.atoms.labels import record_of_ase
from keel.atoms.record import PendingFrame, Record


def db_frames(path: Path) -> Iterator[PendingFrame]:
    """Yield the rows of an ASE database; key-value pairs and data are searched for labels too."""
    import ase.db

    rows = guarded(lambda: iter(ase.db.connect(str(path), use_lock_file=False).select()), path)
    while True:
        row = guarded(lambda: next(rows, None), path)
        if row is None:
            return
        source = f"{path}, row {row.id}"
        yield PendingFrame(source, partial(_row_record, row, source))


def write_db(path: Path, frames: Iterable[Frame]) -> int:
    """Write frames as an ASE database and return their number."""
    import ase.db

    with ase.db.connect(str(path), type="db", use_lock_file=False) as database:
        return sum(1 for frame in frames if database.write(frame.to_ase(), data=dict(frame.info)))


def _row_record(row: Any, source: str) -> Record:
    atoms = guarded(row.toatoms, source)
    atoms.info.update(row.key_value_pairs)
    for key, value in row.data.items():
        if key not in atoms.info and key not in atoms.arrays:
            per_atom = np.ndim(value) == 2 and len(value) == len(atoms) and np.shape(value) != (3, 3)
            (atoms.arrays if per_atom or "force" in key.lower() else atoms.info)[key] = value
    return record_of_ase(atoms, source)
