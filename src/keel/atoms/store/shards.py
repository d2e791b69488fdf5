"""Shards: Arrow IPC files with one batch of frames each, written at once and read at the places of single frames.

Files are read with ``pread``, not mapped into memory: pages of a mapping count as memory of the process, and a file
that was cut off would end it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keel.atoms.formats.parts import optional
from keel.atoms.store.columns import ALWAYS, BY_NAME, COLUMNS, Column, Table, Values
from keel.errors import DataError
from keel.files import replace_file

SHARD_FRAMES = 8192
"""Number of frames in a shard; the last of a file has fewer."""
OPEN_FILES = 128


@dataclass(frozen=True)
class Place:
    """Place of a column in a file: first bytes of its validity bits, offsets and values.

    ``validity`` and ``offsets`` are None if every frame has a value, and if rows have one length.
    """

    validity: int | None
    offsets: int | None
    values: int


@dataclass(frozen=True, eq=False)
class Shard:
    """One file of a store.

    Parameters
    ----------
    path
        The file.
    frames
        Their number.
    places
        Place of each column; one that no frame has is absent.
    """

    path: Path
    frames: int
    places: Mapping[str, Place]

    def row(self, index: int, names: Sequence[str] = tuple(BY_NAME)) -> dict[str, Any]:
        """Return the values of one frame by column."""
        bounds = self._bounds("numbers", index, index + 1)
        places = self.places
        return {name: self._value(BY_NAME[name], places[name], index, bounds) for name in names if name in places}

    def _value(self, column: Column, place: Place, index: int, atoms: NDArray[np.int32]) -> Any:
        if place.validity is not None and not self._read(place.validity + index // 8, 1)[0] >> index % 8 & 1:
            return None
        if not column.per_atom and column.stored is not None:
            return self._rows(column, place, index, index + 1)[0]
        if place.validity is not None or column.stored is None:
            atoms = self._bounds(column.name, index, index + 1)
        first, last = atoms.tolist()
        if column.stored is None:
            return self._read(place.values + first, last - first).decode()
        return self._rows(column, place, first, last)

    def table(self, first: int, last: int, names: Sequence[str] = tuple(BY_NAME)) -> Table:
        """Return the columns of a range of frames as arrays."""
        counts = np.diff(self._bounds("numbers", first, last)).astype(np.int64)
        there = [name for name in names if name in self.places]
        return Table(counts, {name: self._values(BY_NAME[name], first, last) for name in there})

    def present(self, name: str, first: int, last: int) -> NDArray[np.bool_]:
        """Return which frames of a range have a value in a column."""
        place = self.places.get(name)
        if place is None or place.validity is None:
            return np.full(last - first, place is not None)
        start = first // 8
        found = np.frombuffer(self._read(place.validity + start, (last + 7) // 8 - start), np.uint8)
        return np.unpackbits(found, bitorder="little").astype(bool)[first - 8 * start : last - 8 * start]

    def counts(self, first: int, last: int) -> NDArray[np.int32]:
        """Return the number of atoms of each frame of a range."""
        return np.diff(self._bounds("numbers", first, last))

    def _values(self, column: Column, first: int, last: int) -> Values:
        place, present = self.places[column.name], self.present(column.name, first, last)
        if column.stored is not None and not column.per_atom:
            return Values(self._rows(column, place, first, last)[present], present)
        bounds = self._bounds(column.name, first, last)
        if column.stored is not None:
            return Values(self._rows(column, place, int(bounds[0]), int(bounds[-1])), present)
        text, start = self._read(place.values + int(bounds[0]), int(bounds[-1] - bounds[0])), int(bounds[0])
        ends = (bounds - start).tolist()
        words = zip(ends[:-1], ends[1:], present.tolist(), strict=True)
        return Values([text[a:b].decode() if there else None for a, b, there in words], present)

    def _bounds(self, name: str, first: int, last: int) -> NDArray[np.int32]:
        """Return where the rows of a range of frames begin and where the last ends, shape (last - first + 1,)."""
        offsets = self.places[name].offsets
        assert offsets is not None
        return np.frombuffer(self._read(offsets + 4 * first, 4 * (last - first + 1)), np.int32)

    def _rows(self, column: Column, place: Place, first: int, last: int) -> NDArray[Any]:
        size = column.row_bytes
        read = self._read(place.values + size * first, size * (last - first))
        return np.frombuffer(read, column.stored).reshape(-1, *column.shape).astype(column.dtype)

    def _read(self, place: int, size: int) -> bytes:
        file = _opened(self.path)
        found = os.pread(file.fileno(), size, place)
        while len(found) < size:
            more = os.pread(file.fileno(), size - len(found), place + len(found))
            if not more:
                raise DataError(f"{self.path}: the file is cut off; pack the data again")
            found += more
        return found


@dataclass(frozen=True, eq=False)
class Store:
    """The shards of one store or of several, one after the other.

    Parameters
    ----------
    paths, firsts
        Each store, and the number of its first frame among all.
    shards, starts
        Each shard, and the number of its first frame; ``starts`` ends with the number of frames in all.
    checksum
        Of everything in them.
    """

    paths: tuple[Path, ...]
    firsts: NDArray[np.int64]
    shards: tuple[Shard, ...]
    starts: NDArray[np.int64]
    checksum: str

    def __len__(self) -> int:
        """Return the number of frames."""
        return int(self.starts[-1])

    def shard_of(self, place: int) -> int:
        """Return the number of the shard that contains a frame."""
        return int(np.searchsorted(self.starts, place, side="right")) - 1

    def source(self, place: int) -> str:
        """Return the name of a frame in messages."""
        which = int(np.searchsorted(self.firsts, place, side="right")) - 1
        return f"{self.paths[which]}, frame {place - int(self.firsts[which])}"


@lru_cache(OPEN_FILES)
def _opened(path: Path) -> FileIO:
    """Return an open file; a reader keeps a reference, so that it is not closed meanwhile."""
    try:
        return open(path, "rb", buffering=0)
    except OSError as error:
        raise DataError(f"{path}: it cannot be read ({error.strerror}); pack the data again") from None


def open_shard(path: Path) -> Shard:
    """Find the places of all data in a shard.

    Raises
    ------
    DataError
        If it is damaged.
    """
    arrow = optional("pyarrow", path, "pyarrow")
    ipc = optional("pyarrow.ipc", path, "pyarrow")
    # Another file may have taken the name of one that is still open.
    _opened.cache_clear()
    # pyarrow fails in ways of its own for each kind of damage.
    try:
        with arrow.memory_map(str(path)) as file:
            start = file.read_buffer().address
            reader = ipc.open_file(file)
            if reader.num_record_batches != 1:
                raise ValueError("it has several batches")
            batch = reader.get_batch(0)
            for column in COLUMNS:
                if batch.schema.field(column.name).type != _type(arrow, column):
                    raise ValueError(f"its column {column.name} is of another type")
            places = {column.name: _place(batch.column(column.name), column, start) for column in COLUMNS}
            frames = int(batch.num_rows)
    except (OSError, ValueError, KeyError, IndexError, arrow.ArrowException) as error:
        what = str(error).splitlines()[0][:100]
        raise DataError(f"{path}: the shard is damaged ({what}); pack the data again") from None
    found = {name: place for name, place in places.items() if place is not None}
    if any(name not in found for name in ALWAYS):
        raise DataError(f"{path}: the shard contains no structures; pack the data again")
    return Shard(path, frames, found)


def _place(array: Any, column: Column, start: int) -> Place | None:
    if array.null_count == len(array):
        return None
    buffers = array.buffers()
    offsets = buffers[1].address - start if column.per_atom or column.stored is None else None
    values = next((b.address - start for b in buffers[:1:-1] if b is not None), 0)
    if offsets is None:
        values = buffers[-1].address - start
    return Place(buffers[0].address - start if array.null_count else None, offsets, values)


def write_shard(path: Path, table: Table) -> None:
    """Write frames as a shard, completely or not at all."""
    arrow = optional("pyarrow", path, "pyarrow")
    ipc = optional("pyarrow.ipc", path, "pyarrow")
    arrays = [_array(arrow, column, table) for column in COLUMNS]
    batch = arrow.record_batch(arrays, names=[column.name for column in COLUMNS])

    def write(temporary: Path) -> None:
        with open(temporary, "wb") as file:
            with ipc.new_file(file, batch.schema) as writer:
                writer.write_batch(batch)
            file.flush()
            os.fsync(file.fileno())

    replace_file(path, write)


def _type(arrow: Any, column: Column) -> Any:
    if column.stored is None:
        return arrow.string()
    plain = arrow.from_numpy_dtype(np.dtype(column.stored))
    row = plain if column.width == 1 else arrow.list_(plain, column.width)
    return arrow.list_(row) if column.per_atom else row


def _array(arrow: Any, column: Column, table: Table) -> Any:
    kind, frames = _type(arrow, column), len(table)
    values = table.columns.get(column.name)
    if values is None:
        return arrow.nulls(frames, kind)
    if column.stored is None:
        return arrow.array(values.rows, kind)
    present, rows = values.present, np.ascontiguousarray(values.rows, dtype=column.stored)
    if not column.per_atom and not present.all():
        spread = np.zeros((frames, *column.shape), dtype=column.stored)
        spread[present] = rows
        rows = spread
    validity = None if present.all() else arrow.py_buffer(np.packbits(present, bitorder="little").tobytes())
    flat = arrow.array(rows.reshape(-1))
    inner = flat if column.width == 1 else arrow.FixedSizeListArray.from_arrays(flat, column.width)
    if column.per_atom:
        ends = np.cumsum([0, *np.where(present, table.counts, 0)], dtype=np.int32)
        return arrow.Array.from_buffers(kind, frames, [validity, arrow.py_buffer(ends)], children=[inner])
    if column.width == 1:
        return arrow.Array.from_buffers(kind, frames, [validity, flat.buffers()[1]])
    return arrow.Array.from_buffers(kind, frames, [validity], children=[flat])
