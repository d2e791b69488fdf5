"""The columns of extended XYZ: what ``Properties`` declares for each atom, and the words of a file."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from keel.atoms.formats.comment import TRUTH
from keel.errors import DataError

# Names may hold colons, as those of metatensor do (mtt::aux::charge), but no triplet of their own.
_TRIPLET = re.compile(r"((?:(?!:[A-Za-z]:\d).)+):([RISL]):([1-9]\d{0,2})(?::(?!$)|$)")
_FLAGS = {word.encode(): value for word, value in TRUTH.items()} | {b"1": True, b"0": False}
_GLUED = re.compile(rb"[+-]?\d+\.\d+(?:[+-]\d*\.\d+)+")
"""Numbers without a blank between them, as Fortran's formats print them."""
Rows = Sequence[Sequence[bytes]]


def parse_columns(properties: str, rows: Rows) -> dict[str, Any]:
    """Return the per-atom arrays that ``Properties=name:type:columns:...`` declares.

    Real, whole and logical columns are arrays, (N,) or (N, columns); texts are lists or arrays of ``str``.

    Raises
    ------
    DataError
        If the declaration cannot be understood, or an atom's line does not match it; names the atom.
    """
    fields = fields_of(properties)
    total = sum(width for _, _, width in fields)
    if set(map(len, rows)) != {total}:
        atom, row = next((i, r) for i, r in enumerate(rows) if len(r) != total)
        glued = next((f"; {shown(word)} is several numbers in one" for word in row if _GLUED.fullmatch(word)), "")
        raise DataError(f"atom {atom} has {len(row)} columns but Properties promises {total}{glued}")
    columns, arrays, start = list(zip(*rows, strict=True)), {}, 0
    for name, kind, width in fields:
        arrays[name] = _array(name, kind, columns[start : start + width])
        start += width
    return arrays


@lru_cache
def fields_of(properties: str) -> tuple[tuple[str, str, int], ...]:
    """Return name, kind and number of columns of each property; DataError if that cannot be understood."""
    found = list(_TRIPLET.finditer(properties))
    names = [triplet[1] for triplet in found]
    if "".join(triplet[0] for triplet in found) != properties or not found or len(set(names)) < len(names):
        raise DataError(f"its Properties={properties[:60]!r} should be like species:S:1:pos:R:3:forces:R:3")
    return tuple((name, kind, int(width)) for name, kind, width in (triplet.groups() for triplet in found))


def _array(name: str, kind: str, columns: list[tuple[bytes, ...]]) -> Any:
    """Return the array of one property, whose columns of words are given."""
    convert, dtype = _KINDS[kind]
    try:
        try:
            values = [list(map(convert, column)) for column in columns]
        except ValueError:
            # What is not a number in Python may be one in Fortran.
            values = [list(map(_CAREFUL.get(kind, convert), column)) for column in columns]
        if kind == "S" and len(values) == 1:
            return values[0]
        array = np.array(values, dtype=dtype)
    except (KeyError, ValueError, OverflowError):
        raise DataError(_culprit(name, kind, list(zip(*columns, strict=True)))) from None
    return array[0] if len(columns) == 1 else np.ascontiguousarray(array.T)


def _flag(word: bytes) -> bool:
    return _FLAGS[word]


def _fortran(word: bytes) -> float:
    """Return a number whose exponent may follow a D."""
    return float(word.replace(b"D", b"e").replace(b"d", b"e"))


_KINDS: dict[str, tuple[Callable[[bytes], Any], Any]] = {
    "R": (float, np.float64),
    "I": (int, np.int64),
    "S": (bytes.decode, np.str_),
    "L": (_flag, np.bool_),
}
_CAREFUL: dict[str, Callable[[bytes], Any]] = {"R": _fortran}
_WANTED = {"R": "a number", "I": "a whole number", "S": "text", "L": "T or F"}


def _culprit(name: str, kind: str, rows: Rows) -> str:
    convert = _CAREFUL.get(kind, _KINDS[kind][0])
    for atom, word in ((atom, word) for atom, row in enumerate(rows) for word in row):
        try:
            convert(word)
        except (KeyError, ValueError):
            stars = " (Fortran prints stars for a number that is too long)" if set(word) == {ord("*")} else ""
            return f"the {name} of atom {atom} is {shown(word)}, which is not {_WANTED[kind]}{stars}"
    return f"the column {name} is out of range"


def shown(line: bytes) -> str:
    """Return the beginning of a line or word as it is shown in a message."""
    text = line[:30].decode("ascii", "backslashreplace").rstrip()
    return repr(text + ("..." if len(line) > 30 else ""))
