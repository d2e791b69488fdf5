"""The plain tables of a study: which columns each has, how it is written as CSV and read again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keel.formats import Format
from keel.records import read_columns, write_csv

LATER = ("squeeze", "contacts")
"""Tables that studies of the second format do not have."""
STUDY = Format("study", steps=(lambda runs: {"runs": runs}, lambda content: {**content, "absent": LATER}))
"""Covers all tables; the number is in ``runs.json``, which in format 1 was a list of the runs alone.

3: there are tables of crystals under compression and of errors by contact.
"""
REMEDY = "write the study again from its run folders, or put an undamaged copy in its place"

TRIAL = ("system", "network", "strategy")
EFFECTS = ("median_ratio", "mean_ratio", "failed_difference", "force_difference")
"""Each relative to vanilla, with the ends of its 95 % interval in ``NAME_low`` and ``NAME_high``."""
RECORD = (
    "seed",
    "train_frames",
    "pretrain_steps",
    "train_steps",
    "gradient_evaluations",
    "wall_seconds",
    "cell_seconds",
    "peak_memory_mb",
    "energy_mae_mev_per_atom",
    "force_mae_mev_per_angstrom",
    "stress_mae_mev_per_cubic_angstrom",
    "md_temperature_k",
    "md_timestep_fs",
    "md_friction_per_fs",
    "md_length_fs",
    "close_contacts_per_1000_atoms",
)
# Table -> columns of text, columns of numbers.
TABLES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "cells": (("folder", *TRIAL), (*RECORD, "runs", "failed", "median_fs", "restricted_mean_fs", "rdf_failed")),
    "lifetimes": ((*TRIAL, "start", "cause"), ("seed", "run", "temperature_k", "time_fs")),
    "rungs": (("system", "network"), ("temperature_k", "failing_share", "chosen")),
    "comparisons": (
        (*TRIAL, "effect", "median_bound", "sentence"),
        tuple(f"{name}{end}" for name in EFFECTS for end in ("", "_low", "_high")),
    ),
    "rdf": ((*TRIAL, "pair"), ("temperature_k", "r", "reference", "mean", "lowest", "highest")),
    "rdf_errors": ((*TRIAL, "pair"), ("seed", "temperature_k", "fu", "percent", "floor_fu", "floor_percent")),
    "dimers": ((*TRIAL, "pair"), ("seed", "r", "energy")),
    "dimer_metrics": ((*TRIAL, "pair", "metric"), ("seed", "value")),
    "squeeze": ((*TRIAL, "crystal"), ("seed", "first_fall_length", "length", "pressure_gpa", "teacher_gpa")),
    "contacts": ((*TRIAL, "quantity"), ("seed", "lower", "upper", "frames", "values", "error", "low", "high", "label")),
    "eam": (("system", "pair"), ("r", "total", "morse", "embedding", "density", "core")),
}


@dataclass(frozen=True, eq=False)
class Columns:
    """Equally long columns by name: text, or numbers in float64 with NaN where a value is not known."""

    columns: Mapping[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.columns[name]

    def different(self, name: str) -> list[Any]:
        """Return the different values of a column in order of appearance."""
        return list(dict.fromkeys(self[name].tolist()))

    def where(self, **wanted: object) -> Columns:
        """Return the rows in which columns have these values."""
        rows = np.ones(len(self), dtype=bool)
        for name, value in wanted.items():
            rows &= self[name] == value
        return self.rows(rows)

    def any_of(self, name: str, values: Sequence[object]) -> Columns:
        """Return the rows in which a column has one of these values."""
        return self.rows(np.isin(self[name], np.array(values)))

    def rows(self, chosen: NDArray[np.bool_]) -> Columns:
        """Return the rows that are marked."""
        return Columns({name: column[chosen] for name, column in self.columns.items()})

    def groups(self, name: str) -> dict[Any, Columns]:
        """Return the rows of each value of a column, in order of appearance."""
        return {value: self.where(**{name: value}) for value in self.different(name)}


def write_rows(folder: Path, table: str, rows: Iterable[Sequence[object]], digits: int = 7) -> None:
    """Write ``TABLE.csv`` from rows in the order of its columns."""
    text, numbers = TABLES[table]
    write_csv(folder / f"{table}.csv", (*text, *numbers), rows, digits)


def empty_table(table: str) -> Columns:
    """Return a table without a row."""
    text, numbers = TABLES[table]
    none = {name: np.empty(0, dtype=np.str_) for name in text}
    return Columns({**none, **{name: np.empty(0) for name in numbers}})


def read_table(folder: Path, table: str) -> Columns:
    """Read ``TABLE.csv`` of a folder.

    Raises
    ------
    DataError
        If it is absent or damaged.
    """
    text, numbers = TABLES[table]
    words, values = read_columns(folder / f"{table}.csv", text, numbers, REMEDY)
    named = {name: np.array(column, dtype=np.str_) for name, column in zip(text, words, strict=True)}
    return Columns({**named, **values})
