"""Curves of pairs of elements as CSV, and what to do where a file of a run is damaged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from keel.records import read_groups, write_csv

REMEDY = "run `keel run` again to rewrite it"
"""For files of the whole run, which every command writes anew."""

Curve = TypeVar("Curve")


def redo(folder: Path) -> str:
    """Return what to do where a file in the folder of a finished task is damaged: only without it it is done again."""
    return f"delete {folder} and run `keel run` again"


def write_curves(path: Path, kind: type[Any], curves: Mapping[str, Any]) -> None:
    """Write curves of one kind, a dataclass of equally long columns, by the name of their pair of elements."""
    names = [f.name for f in fields(kind)]
    rows: Iterable[tuple[object, ...]] = (
        (pair, *row) for pair, c in curves.items() for row in np.stack([getattr(c, name) for name in names]).T
    )
    write_csv(path, ("pair", *names), rows)


def read_curves(path: Path, kind: type[Curve]) -> dict[str, Curve]:
    """Read what :func:`write_curves` left; DataError if the file is absent or damaged."""
    names = [f.name for f in fields(kind)]  # type: ignore[arg-type]  # a dataclass
    return {pair: kind(**columns) for pair, columns in read_groups(path, "pair", names, redo(path.parent)).items()}
