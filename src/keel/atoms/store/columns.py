"""Many frames as arrays: what the columns of a store are, and how frames become rows and rows frames."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from keel.atoms.frame import Frame
from keel.atoms.labelling.names import UNUSED_COLUMNS


@dataclass(frozen=True)
class Column:
    """A column of a store.

    Parameters
    ----------
    name
        As in :class:`keel.Frame`.
    stored
        Type of its numbers in the file; None: it is text.
    dtype
        Type of its numbers in a frame.
    shape
        Of the value of one frame, or of one atom.
    per_atom
        Whether there is a row for each atom.
    """

    name: str
    stored: DTypeLike | None
    dtype: DTypeLike | None
    shape: tuple[int, ...] = ()
    per_atom: bool = False

    @cached_property
    def width(self) -> int:
        """Numbers in a row."""
        return prod(self.shape)

    @cached_property
    def row_bytes(self) -> int:
        """Bytes of a row in the file."""
        return self.width * np.dtype(self.stored).itemsize


COLUMNS = (
    Column("numbers", np.uint8, np.int64, (), True),
    Column("positions", np.float64, np.float64, (3,), True),
    Column("cell", np.float64, np.float64, (3, 3)),
    Column("pbc", np.uint8, np.bool_, (3,)),
    Column("energy", np.float64, np.float64),
    Column("forces", np.float64, np.float64, (3,), True),
    Column("stress", np.float64, np.float64, (3, 3)),
    Column("forces_mask", np.uint8, np.bool_, (), True),
    Column("fixed", np.uint8, np.bool_, (3,), True),
    Column("masses", np.float64, np.float64, (), True),
    Column("velocities", np.float64, np.float64, (3,), True),
    Column("info", None, None),
    Column("remarks", None, None),
)
"""Every column of a store, in eV, angstrom and fs, with the shapes of :class:`keel.Frame`."""
BY_NAME: Mapping[str, Column] = {column.name: column for column in COLUMNS}
ALWAYS = ("numbers", "positions", "cell", "pbc")
"""Columns that every frame has."""


class Values(NamedTuple):
    """One column of F frames.

    ``rows`` has the values of the frames that have one, those of atoms one below the other; texts are a list.
    ``present``, shape (F,), says which frames these are.
    """

    rows: Any
    present: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Table:
    """Many frames as arrays.

    Parameters
    ----------
    counts
        Atoms of each frame, shape (F,).
    columns
        Values by the name of the column; a column that no frame has may be absent.
    """

    counts: NDArray[np.int64]
    columns: Mapping[str, Values]

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.counts)

    @classmethod
    def of(cls, frames: Sequence[Frame]) -> Table:
        """Return frames as arrays."""
        found = {column.name: _gathered(column, frames) for column in COLUMNS}
        counts = np.array([len(frame) for frame in frames], dtype=np.int64)
        return cls(counts, {name: values for name, values in found.items() if values.present.any()})

    def frames(self, sources: Iterable[str]) -> Iterator[Frame]:
        """Yield the frames, each with where it comes from."""
        parts = {name: _parts(BY_NAME[name], values, self.counts) for name, values in self.columns.items()}
        for source in sources:
            yield frame_of({name: next(values) for name, values in parts.items()}, source)


def frame_of(row: Mapping[str, Any], source: str) -> Frame:
    """Return the frame of a row, whose absent values are None."""
    values = {name: value for name, value in row.items() if value is not None}
    if "energy" in values:
        values["energy"] = float(values["energy"])
    if "info" in values:
        values["info"], values["unused"] = info_of(values["info"])
    if "remarks" in values:
        values["remarks"] = tuple(from_text(values["remarks"]))
    return Frame(**values, source=source)


def _gathered(column: Column, frames: Sequence[Frame]) -> Values:
    given = [getattr(frame, column.name) for frame in frames]
    if column.stored is None:
        if column.name == "info":
            # Unused columns have no column of their own, so that stores of every release are alike.
            given = [{**f.info, UNUSED_COLUMNS: f.unused} if f.unused else f.info for f in frames]
        texts = [as_text(value) if value else None for value in given]
        return Values(texts, np.array([text is not None for text in texts], dtype=bool))
    present = np.array([value is not None for value in given], dtype=bool)
    rows = [np.asarray(value) for value in given if value is not None]
    shape = (-1, *column.shape)
    if not rows:
        joined = np.zeros((0, *column.shape), dtype=column.stored)
    else:
        joined = (np.concatenate(rows) if column.per_atom else np.stack(rows)).astype(column.stored).reshape(shape)
    return Values(joined, present)


def _parts(column: Column, values: Values, counts: NDArray[np.int64]) -> Iterator[Any]:
    """Yield the value of each frame, None where it has none."""
    if column.stored is None:
        yield from values.rows
        return
    rows = values.rows.astype(column.dtype, copy=False)
    at = 0
    for there, count in zip(values.present.tolist(), counts.tolist(), strict=True):
        if not there:
            yield None
        elif column.per_atom:
            yield rows[at : at + count]
            at += count
        else:
            yield rows[at]
            at += 1


def as_text(value: Any) -> str:
    """Return the info or the remarks of a frame as JSON; arrays keep their type and shape."""
    return json.dumps(dict(value) if isinstance(value, Mapping) else list(value), default=_encoded)


def info_of(text: str | None) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the info of a frame, and the names of the columns that are not used."""
    info: dict[str, Any] = from_text(text) if text else {}
    unused = info.pop(UNUSED_COLUMNS, ())
    # Earlier releases joined them.
    return info, tuple(unused.split() if isinstance(unused, str) else unused)


def from_text(text: str) -> Any:
    """Return what :func:`as_text` was given."""
    return json.loads(text, object_hook=_decoded) if "__array__" in text else json.loads(text)


def _encoded(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return {"__array__": value.tolist(), "dtype": str(value.dtype), "shape": list(value.shape)}
    return str(value)


def _decoded(found: dict[str, Any]) -> Any:
    if found.keys() != {"__array__", "dtype", "shape"}:
        return found
    return np.array(found["__array__"], dtype=found["dtype"]).reshape(found["shape"])
