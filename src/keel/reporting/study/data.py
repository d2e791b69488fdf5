"""A study in memory: its tables as they were read, and what is derived from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from keel.errors import DataError
from keel.records import read_json
from keel.reporting.strategies import StrategyResult, compare
from keel.reporting.study.collect import numbered
from keel.reporting.study.columns import RECORD, REMEDY, STUDY, TABLES, Columns, empty_table, read_table
from keel.results.run import Record

COUNTS = ("seed", "train_frames", "pretrain_steps", "train_steps", "gradient_evaluations")
FEWEST_SIZES = 3
"""Numbers of training frames from which a curve over them is drawn."""


@dataclass(frozen=True, eq=False)
class Study:
    """Tables of a study by name, see :data:`~keel.reporting.study.columns.TABLES`, and ``runs.json``."""

    tables: Mapping[str, Columns]
    runs: tuple[Mapping[str, Any], ...]

    @cached_property
    def records(self) -> tuple[Record, ...]:
        """Every trial with its MD runs."""
        trials = self.tables["cells"]
        return tuple(
            self._record({name: column[row] for name, column in trials.columns.items()}) for row in range(len(trials))
        )

    def _record(self, trial: Mapping[str, Any]) -> Record:
        keys = {name: trial[name] for name in ("system", "network", "strategy", "seed")}
        runs = self.tables["lifetimes"].where(**keys)
        names: dict[str, Any] = {name: str(keys[name]) for name in ("system", "network", "strategy")}
        numbers: dict[str, Any] = {name: int(trial[name]) if name in COUNTS else _known(trial[name]) for name in RECORD}
        return Record(
            **names,
            **numbers,
            time_to_failure_fs=tuple(runs["time_fs"].tolist()),
            failure_cause=tuple(cause or None for cause in runs["cause"].tolist()),
            sources=tuple(start for start in runs["start"].tolist() if start),
        )

    @cached_property
    def all_systems(self) -> list[str]:
        """Names of all systems, in order of appearance."""
        return self.tables["cells"].different("system")

    @property
    def systems(self) -> list[str]:
        """Names of the systems, except those that are another one with a different number of training frames."""
        return [s for s in self.all_systems if (parts := numbered(s)) is None or parts[0] not in self.all_systems]

    def networks(self, system: str) -> list[str]:
        """Return the networks of a system in order of appearance."""
        return self.tables["cells"].where(system=system).different("network")

    def run(self, system: str) -> Mapping[str, Any]:
        """Return the entry of ``runs.json`` for the first run of a system; empty if it does not name one."""
        return next((run for run in self.runs if run.get("system") == system), {})

    def strategies(self, system: str, network: str) -> tuple[StrategyResult, ...]:
        """Return the strategies of a network of a system in order of appearance."""
        return compare([record for record in self.records if record.system == system], network)

    def over_frames(self) -> dict[str, Columns]:
        """Return, by system, the trials of networks and strategies that were trained on at least three sizes."""
        families: dict[str, list[str]] = {}
        for system in self.all_systems:
            families.setdefault((numbered(system) or (system,))[0], []).append(system)
        trials = self.tables["cells"]
        found = {}
        for name, members in families.items():
            family = trials.any_of("system", members)
            curves = zip(family["network"], family["strategy"], strict=True)
            sizes = [len(family.where(network=n, strategy=s).different("train_frames")) for n, s in curves]
            chosen = family.rows(np.array(sizes) >= FEWEST_SIZES)
            if len(chosen):
                found[name] = chosen
        return found


def read_study(folder: Path) -> Study:
    """Read the tables of a study.

    Raises
    ------
    DataError
        If one is absent or damaged.
    """
    content = read_json(folder / "runs.json", REMEDY)
    index = STUDY.upgraded(content, folder / "runs.json")
    runs, absent = index.get("runs"), index.get("absent", ())
    if not isinstance(runs, list) or not all(isinstance(run, dict) and "folder" in run for run in runs):
        raise DataError(f"{folder / 'runs.json'} is not a list of runs; {REMEDY}")
    tables = {name: empty_table(name) if name in absent else read_table(folder, name) for name in TABLES}
    return Study(tables, tuple(runs))


def _known(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)
