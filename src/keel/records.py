"""JSON and CSV, written completely or not at all, and reading them again.

An unknown number, NaN, is null in JSON and an empty cell in CSV. So is infinity in JSON, which cannot represent it.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keel.errors import DataError
from keel.files import replace_file

Array = NDArray[np.float64]


def plain(content: Any) -> Any:
    """Return content as JSON has it: arrays as lists, numbers that are not finite as None."""
    if isinstance(content, Mapping):
        return {str(key): plain(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [plain(value) for value in content]
    if hasattr(content, "tolist"):  # of numpy or torch
        return plain(content.tolist())
    return None if isinstance(content, float) and not math.isfinite(content) else content


def json_text(content: Any, *, compact: bool = False) -> str:
    """Return content as JSON, one value a line or, ``compact``, all in one."""
    return json.dumps(plain(content), indent=None if compact else 1, ensure_ascii=not compact, allow_nan=False)


def write_json(path: Path, content: Any, *, compact: bool = False) -> None:
    """Write content as JSON."""
    text = json_text(content, compact=compact) + "\n"
    replace_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def read_text(path: Path, remedy: str) -> str:
    """Return the text of a file; ``remedy`` is what to do where it is absent or damaged, also below.

    Raises
    ------
    DataError
        If it is absent or not text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError(f"{path} is absent; {remedy}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read ({error}); {remedy}") from None


def read_json(path: Path, remedy: str) -> Any:
    """Return the content of a JSON file.

    Raises
    ------
    DataError
        If it is absent or not JSON.
    """
    try:
        return json.loads(read_text(path, remedy))
    except json.JSONDecodeError as error:
        raise DataError(f"{path} is not valid JSON (line {error.lineno}); {remedy}") from None


def read_object(path: Path, required: Iterable[str], remedy: str) -> dict[str, Any]:
    """Return the content of a JSON file that must be an object with the required keys.

    Raises
    ------
    DataError
        If it is absent, not JSON, not an object, or lacks a key.
    """
    return checked(read_json(path, remedy), required, str(path), remedy)


def checked(content: Any, required: Iterable[str], where: str, remedy: str) -> dict[str, Any]:
    """Return content if it is an object with the required keys.

    Raises
    ------
    DataError
        If it is not.
    """
    if not isinstance(content, dict):
        raise DataError(f"{where} is not a JSON object; {remedy}")
    missing = [key for key in required if key not in content]
    if missing:
        raise DataError(f"{where} lacks {', '.join(map(repr, missing))}; {remedy}")
    return content


def number(value: float | None) -> float:
    """Return a number that was read from JSON, NaN for null."""
    return math.nan if value is None else float(value)


def numbers(values: Iterable[float | None]) -> Array:
    """Return numbers that were read from JSON, NaN for null."""
    return np.array([number(value) for value in values], dtype=np.float64)


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]], digits: int | None = 9) -> None:
    """Write rows as CSV, numbers with this many significant digits; None: with as many as distinguish them."""

    def fill(temporary: Path) -> None:
        with temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(header)
            writer.writerows([_cell(value, digits) for value in row] for row in rows)

    replace_file(path, fill)


def _cell(value: object, digits: int | None) -> object:
    if not isinstance(value, (float, np.floating)):
        return value  # the writer leaves None empty
    if math.isnan(value):
        return ""
    return value if digits is None else f"{value:.{digits}g}"


def read_columns(
    path: Path, text: Sequence[str], numbers: Sequence[str], remedy: str, optional: Sequence[str] = ()
) -> tuple[list[list[str]], dict[str, Array]]:
    """Return the named columns of a CSV file: text columns as lists, numbers as float64 (empty cells are NaN).

    ``optional`` columns are numbers too, NaN throughout where they are absent.

    Raises
    ------
    DataError
        If the file is absent, lacks a column, has a ragged row or contains something that is not a number.
    """
    lines = csv.reader(read_text(path, remedy).splitlines())
    header = next(lines, [])
    missing = [name for name in (*text, *numbers) if name not in header]
    if missing:
        raise DataError(f"{path} lacks the column {', '.join(map(repr, missing))}; {remedy}")
    rows = [row for row in lines if row]
    for line, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise DataError(f"{path}, line {line}, has {len(row)} columns instead of {len(header)}; {remedy}")
    columns = {name: [""] * len(rows) for name in optional}
    columns |= {name: [row[index] for row in rows] for index, name in enumerate(header)}
    found = {name: _floats(columns[name], name, path, remedy) for name in (*numbers, *optional)}
    return [columns[name] for name in text], found


def _floats(values: Sequence[str], name: str, path: Path, remedy: str) -> Array:
    try:
        return np.array([float(value) if value else np.nan for value in values], dtype=np.float64)
    except ValueError as error:
        raise DataError(f"{path}, column {name!r}: {error}; {remedy}") from None


def read_groups(path: Path, key: str, numbers: Sequence[str], remedy: str) -> dict[str, dict[str, Array]]:
    """Return the number columns of a CSV file for each value of its text column ``key``, in order of appearance.

    Raises
    ------
    DataError
        See :func:`read_columns`.
    """
    (keys,), columns = read_columns(path, [key], numbers, remedy)
    codes = {name: code for code, name in enumerate(dict.fromkeys(keys))}
    group = np.array([codes[name] for name in keys], dtype=np.int64)
    order = np.argsort(group, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(group, minlength=len(codes)))[:-1])
    return {name: {n: column[rows] for n, column in columns.items()} for name, rows in zip(codes, parts, strict=False)}
