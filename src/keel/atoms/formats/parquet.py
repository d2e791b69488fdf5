"""Parquet, as sets of structures come from Hugging Face, ColabFit and the Materials Project; a file or a folder."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from keel.atoms.formats.nested import is_row
from keel.atoms.formats.parts import files_in, optional
from keel.atoms.formats.rows import record_of_row, unknown_layout
from keel.atoms.labelling.lookalikes import is_like, quantity_of
from keel.atoms.labelling.names import LABELS, letters_of
from keel.atoms.labelling.stated_units import states_units
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
            columns, stated = table.schema_arrow.names, _stated(table.schema_arrow)
            for batch in table.iter_batches(BATCH) if is_row(columns) else ():
                yield from ({**stated, **row} for row in batch.to_pylist())
    except Exception as error:
        raise DataError(f"{file}: it is damaged or not a parquet file ({str(error).splitlines()[0][:100]})") from None
    if not is_row(columns):
        raise DataError(f"{file}: {unknown_layout(columns)}")


def _stated(schema: Any) -> dict[str, Any]:
    """Return the units that the metadata of a schema and of its columns state, as a row would state them."""
    stated = _texts(schema.metadata)
    of_columns = {}
    for column in schema:
        unit = next((said for key, said in _texts(column.metadata).items() if letters_of(key) in ("unit", "units")), "")
        label = next((label for label in LABELS if is_like(label, column.name)), None)
        if unit:
            of_columns[quantity_of(label, column.name) if label else column.name] = unit
    return stated | ({"property_units": of_columns} if of_columns else {})


def _texts(metadata: Mapping[bytes, bytes] | None) -> dict[str, Any]:
    """Return the metadata that state units, objects of JSON as such."""
    texts = {key.decode("utf-8", "replace"): said.decode("utf-8", "replace") for key, said in (metadata or {}).items()}
    return {key: _object(said) if said.startswith("{") else said for key, said in texts.items() if states_units(key)}


def _object(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
