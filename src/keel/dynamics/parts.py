"""Names of the files that share the trajectories of one simulation: ``hot.0-of-4.extxyz``, ..., for ``hot.extxyz``."""

from __future__ import annotations

import re
from pathlib import Path

from keel.errors import DataError
from keel.kinds import COMPRESSED


def part_of(path: Path, index: int, count: int) -> Path:
    """Return the name of one of several parts; a single part is the file itself."""
    if count == 1:
        return path
    stem, suffix = _split(path)
    return path.with_name(f"{stem}.{index}-of-{count}{suffix}")


def begun_parts(path: Path) -> int | None:
    """Return the number of parts with which a file was begun, according to files and checkpoints; None if it was not.

    Raises
    ------
    DataError
        If there are parts of different simulations.
    """
    stem, suffix = _split(path)
    pattern = re.compile(rf"{re.escape(stem)}\.\d+-of-(\d+){re.escape(suffix)}(\.checkpoint)?")
    names = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    counts = {int(found[1]) for found in map(pattern.fullmatch, names) if found}
    if path.name in names or f"{path.name}.checkpoint" in names:
        counts.add(1)
    if len(counts) > 1:
        found = " and of ".join(map(str, sorted(counts)))
        raise DataError(f"{path}: there are files of simulations in {found} parts; move or delete those of all but one")
    return next(iter(counts), None)


def parts_to_read(path: Path) -> list[Path]:
    """Return the file, or all its parts.

    Raises
    ------
    DataError
        If there is neither, both, or a part is missing.
    """
    count = begun_parts(path)
    paths = [part_of(path, k, count) for k in range(count)] if count else [path]
    for part in paths:
        if not part.is_file():
            what = "there is no such file" if len(paths) == 1 else f"this part of {path.name} does not exist (yet)"
            raise DataError(f"{part}: {what}")
    return paths


def _split(path: Path) -> tuple[str, str]:
    last = path.suffix
    suffix = Path(path.stem).suffix + last if last.lower() in COMPRESSED else last
    return path.name[: len(path.name) - len(suffix)], suffix
