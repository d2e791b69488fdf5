"""What readers of files in parts have in common: folders of files, blocks of lines, packages that are optional."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import IO, Any

import numpy as np

from keel.atoms.frame import Array
from keel.errors import DataError, UnavailableError
from keel.files import by_number

LONGEST_PIECE = 1 << 20
"""Largest number of bytes of a line that are read at once."""


def optional(module: str, path: Path, package: str) -> Any:
    """Return a module of a package that only this format needs.

    Raises
    ------
    UnavailableError
        If it is not installed.
    """
    try:
        return import_module(module)
    except ImportError:
        command = "pip install 'mlip-keel[formats]'"
        raise UnavailableError(f"{path}: reading it requires {package}; install it with {command}") from None


def files_in(path: Path, pattern: str) -> Iterator[tuple[Path, str]]:
    """Yield a file, or those of a folder in order of their names, each with what its frames are called before a number.

    A frame is called ``path, frame 3`` in a file and ``path, frame sub/name/3`` in a folder.
    """
    if path.is_file():
        yield path, ""
        return
    for file in sorted(path.rglob(pattern), key=lambda file: by_number(str(file.relative_to(path)))):
        yield file, f"{file.relative_to(path).as_posix()}/"


def blocks(stream: IO[bytes], begin: bytes) -> Iterator[list[bytes]]:
    """Yield the lines from each that matches a regular expression up to the next; what is before the first is left."""
    found: list[bytes] = []
    for line in iter(partial(stream.readline, LONGEST_PIECE), b""):
        if re.match(begin, line):
            if found:
                yield found
            found = [line]
        elif found:
            found.append(line)
    if found:
        yield found


def words_of(lines: list[bytes]) -> list[list[str]]:
    """Return the words of each line that has any."""
    return [line.decode("utf-8", "replace").split() for line in lines if line.strip()]


def table(rows: list[list[str]], columns: int, what: str) -> Array:
    """Return rows of numbers as an array, shape (rows, columns).

    Raises
    ------
    DataError
        If a row has another number of words, or one of them is not a number.
    """
    for row in rows:
        if len(row) != columns:
            raise DataError(f"its {what} should have {columns} numbers in a row, not {' '.join(row)[:40]!r}")
    try:
        return np.array(rows, dtype=np.float64).reshape(len(rows), columns)
    except ValueError as error:
        raise DataError(f"its {what} are not all numbers ({error})") from None
