"""Parquet, as sets of structures come from Hugging Face, ColabFit and the Materials Project; a file or a folder."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from keel.atoms.formats.nested import is_row
from keel.atoms.formats.parts import files_in, optional
from keel.atoms.formats.rows import record_of_row, unknown_layout
from keel.atoms.record import PendingFrame
from keel.errors import DataError

BATCH = 256
"""Number of rows in memory at once."""


def parquet_frames(path: Path) -> Iterator[PendingFrame]:
    """Yield the rows of a file, or of all ``.parquet`` files in a folder."""
    parquet = optional("pyarrow.parquet", path, "pyarrow")
    for file, where in files_in(path, "*.parquet"):
        for index, row in enumerate(_rows(parquet, file)):
            source = f"{path}, frame {where}{index}"
            yield PendingFrame(source, partial(record_of_row, row, source))


def _rows(parquet: Any, file: Path) -> Iterator[dict[str, Any]]:
    # pyarrow fails in ways of its own for each kind of damage.
    try:
        with parquet.ParquetFile(file) as table:
            columns = table.schema_arrow.names
            for batch in table.iter_batches(BATCH) if is_row(columns) else ():
                yield from batch.to_pylist()
    except Exception as error:
        raise DataError(f"{file}: it is damaged or not a parquet file ({str(error).splitlines()[0][:100]})") from None
    if not is_row(columns):
        raise DataError(f"{file}: {unknown_layout(columns)}")
