"""Reading the JSON and CSV files of a run folder, with one clear sentence where one is absent or damaged."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keel.atoms.frame import Array, Frame
from keel.errors import DataError

REMEDY = "run `keel run` again to rewrite it"


def read_text(path: Path) -> str:
    """Return the text of a file.

    Raises
    ------
    DataError
        If it is absent or not text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError(f"{path} is absent; {REMEDY}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read ({error}); {REMEDY}") from None


def read_json(path: Path, required: Iterable[str] = ()) -> Any:
    """Return the content of a JSON file; with ``required`` it must be an object that has these keys.

    Raises
    ------
    DataError
        If it is absent, no JSON, or lacks a key.
    """
    try:
        content = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise DataError(f"{path} is not valid JSON (line {error.lineno}); {REMEDY}") from None
    return checked(content, required, str(path)) if required else content


def checked(content: Any, required: Iterable[str], where: str) -> dict[str, Any]:
    """Return ``content`` if it is an object with the required keys."""
    if not isinstance(content, dict):
        raise DataError(f"{where} holds no JSON object; {REMEDY}")
    missing = [key for key in required if key not in content]
    if missing:
        raise DataError(f"{where} lacks {', '.join(map(repr, missing))}; {REMEDY}")
    return content


def read_columns(path: Path, text: Sequence[str], numbers: Sequence[str]) -> tuple[list[list[str]], dict[str, Array]]:
    """Return the named columns of a CSV file: text columns as lists, numbers as float64 (empty cells are NaN).

    Raises
    ------
    DataError
        If the file is absent, lacks a column, has a ragged row or holds something that is no number.
    """
    lines = csv.reader(read_text(path).splitlines())
    header = next(lines, [])
    missing = [name for name in (*text, *numbers) if name not in header]
    if missing:
        raise DataError(f"{path} lacks the column {', '.join(map(repr, missing))}; {REMEDY}")
    rows = [row for row in lines if row]
    for line, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise DataError(f"{path}, line {line}, has {len(row)} columns instead of {len(header)}; {REMEDY}")
    columns = {name: [row[index] for row in rows] for index, name in enumerate(header)}
    return [columns[name] for name in text], {name: _floats(columns[name], name, path) for name in numbers}


def _floats(values: Sequence[str], name: str, path: Path) -> Array:
    try:
        return np.array([float(value) if value else np.nan for value in values], dtype=np.float64)
    except ValueError as error:
        raise DataError(f"{path}, column {name!r}: {error}; {REMEDY}") from None


def read_groups(path: Path, key: str, numbers: Sequence[str]) -> dict[str, dict[str, Array]]:
    """Return the number columns of a CSV file for each value of its text column ``key``, in order of appearance."""
    (keys,), columns = read_columns(path, [key], numbers)
    codes = {name: code for code, name in enumerate(dict.fromkeys(keys))}
    group = np.array([codes[name] for name in keys], dtype=np.int64)
    order = np.argsort(group, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(group, minlength=len(codes)))[:-1])
    return {name: {n: column[rows] for n, column in columns.items()} for name, rows in zip(codes, parts, strict=False)}


def read_frames(path: Path) -> tuple[Frame, ...]:
    """Return the structures of an extxyz file, which may be empty; labels are left out."""
    import ase.io

    if not read_text(path).strip():
        return ()
    try:
        images = ase.io.read(path, index=":", format="extxyz")
    except Exception as error:  # ASE raises many kinds for a damaged file
        raise DataError(f"{path} is not a readable extxyz file ({error}); {REMEDY}") from None
    return tuple(
        Frame(
            numbers=atoms.numbers,
            positions=atoms.positions,
            cell=np.asarray(atoms.cell),
            pbc=np.asarray(atoms.pbc),
            info=dict(atoms.info),
            source=f"{path}, frame {index}",
        )
        for index, atoms in enumerate(images)
    )
