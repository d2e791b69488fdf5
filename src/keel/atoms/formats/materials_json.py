"""JSON of structures: MPtrj's object of materials, MatPES' list of records, one record in each line."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import Any

from keel.atoms.formats.ase_files import ase_frames
from keel.atoms.formats.compression import opened
from keel.atoms.formats.foreign import in_rows
from keel.atoms.formats.json_stream import JsonText
from keel.atoms.formats.nested import POSITIONS
from keel.atoms.formats.rows import COLUMNS, record_of_row
from keel.atoms.record import PendingFrame
from keel.errors import DataError

Row = dict[str, Any]
ENVELOPE = frozenset({"meta", "links", "jsonapi"})
"""Members beside the records in an answer of an OPTIMADE server."""
DEEPEST = 3
"""Nesting depth of objects and lists around a record."""


def json_frames(path: Path) -> Iterator[PendingFrame]:
    """Yield the frames of a JSON file: a database of ASE, or records in objects, in lists or one after another."""
    with opened(path) as stream:
        start = stream.read(2000)
    if any(key in start for key in (b'"unique_id"', b'"ctime"', b"__ndarray__")):
        yield from ase_frames(path)
        return
    if start.lstrip().startswith(b"#") and b'"Dataset"' in start:
        raise DataError(f"{path}: {in_rows(('AtomTypeStyle', 'Data'))}")
    with opened(path) as stream:
        text, numbers = JsonText(stream, path), count()
        while not text.ended():
            for name, row in _rows(text, path):
                source = f"{path}, frame {name or next(numbers)}"
                yield PendingFrame(source, partial(record_of_row, row, source))


def _rows(text: JsonText, path: Path) -> Iterator[tuple[str, Row]]:
    """Yield the records of an object or list with their names, empty where the file gives none."""
    members = text.members()
    for name, value in members:
        if name in ENVELOPE:
            continue
        if name.isdecimal() or not _begins_record(name, value):
            yield from _nested({}, name, value, path)
        else:
            yield from _each("", dict(chain([(name, value)], members)))


def _nested(above: Row, name: str, value: Any, path: Path, depth: int = 0) -> Iterator[tuple[str, Row]]:
    """Yield the records in a value: itself, or those of the objects and lists in it."""
    if not isinstance(value, dict | list) or depth == DEEPEST:
        raise DataError(
            f"{path}: {name!r} should be an object of frames, as in MPtrj, or a list of them; write other JSON as "
            "extended XYZ"
        )
    own = "" if name.isdecimal() else name
    if isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _nested(above, str(number), inner, path, depth + 1)
    elif any(_begins_record(key, inner) for key, inner in value.items()):
        yield from _each(own, {**above, **value})
    else:
        for key, inner in value.items():
            yield from _nested({"mp_id": own} if own else {}, key, inner, path, depth + 1)


def _each(name: str, row: Row) -> Iterator[tuple[str, Row]]:
    """Yield a record, or those of columns: M3GNet's sets have a list of structures and one of each label."""
    count = _structures_in(row)
    if count is None:
        yield name, row
        return
    for k in range(count):
        of_all = {key: value for key, value in row.items() if not isinstance(value, list) or len(value) != count}
        yield f"{name}/{k}" if name else "", {**of_all, **{key: row[key][k] for key in row.keys() - of_all.keys()}}


def _structures_in(row: Row) -> int | None:
    """Return how many structures a record of columns has; None if it is one structure."""
    if isinstance(structures := row.get("structure"), list):
        return len(structures)
    positions = next((row[key] for key in POSITIONS if key in row), None)
    try:
        return len(positions) if isinstance(positions[0][0][0], list | float | int) else None  # type: ignore[index,arg-type]
    except (TypeError, IndexError, KeyError):
        return None


def _begins_record(key: str, value: Any) -> bool:
    """Return whether a member is that of a record, not one of many records."""
    first = value[0] if isinstance(value, list) and value else value
    return key in COLUMNS or not isinstance(first, dict)
