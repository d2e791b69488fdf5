"""Combining run folders: which of them belong to one system, and the status of each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from keel.errors import DataError
from keel.files import by_number
from keel.reporting.run.sections import important_pairs
from keel.reporting.run.skill import skills
from keel.results.run import Record, RunResults, TrialResults, load_results

MOST_PAIRS = 12
"""Pairs of elements of a system that are kept, those of its common elements; run folders have all."""


@dataclass(frozen=True, eq=False)
class System:
    """Runs on the same data, no two with the same network, strategy and seed."""

    name: str
    runs: tuple[RunResults, ...]

    @property
    def records(self) -> tuple[Record, ...]:
        """The records of all runs, under the name of the system."""
        return tuple(replace(record, system=self.name) for run in self.runs for record in run.records)

    @property
    def trials(self) -> tuple[TrialResults, ...]:
        """The trials of all runs."""
        return tuple(trial for run in self.runs for trial in run.trials)

    def groups(self) -> dict[tuple[str, str], list[TrialResults]]:
        """Return the trials of each network and strategy."""
        found: dict[tuple[str, str], list[TrialResults]] = {}
        for trial in self.trials:
            found.setdefault((trial.network, trial.strategy), []).append(trial)
        return found

    def pairs(self, names: Sequence[str]) -> list[str]:
        """Return the most important of some pairs of elements, the most important first."""
        return important_pairs(names, self.runs[0])[:MOST_PAIRS]


def numbered(name: str) -> tuple[str, int] | None:
    """Divide ``silica-20`` into its prefix and its number; None where it does not end in one."""
    found = re.fullmatch(r"(.+)-(\d+)", name)
    return (found[1], int(found[2])) if found else None


def run_folders(folder: Path) -> list[Path]:
    """Return the folders in which a run has begun; ``silica`` precedes ``silica-20``."""
    found = {path.parent for name in ("config.yaml", "results.json") for path in folder.glob(f"*/{name}")}
    return sorted(found, key=lambda path: by_number(path.name))


def collect(folder: Path) -> tuple[tuple[System, ...], list[dict[str, Any]]]:
    """Read all run folders in a folder.

    Returns
    -------
    tuple
        The systems, with finished trials only, and the status of every run that has begun (see :func:`describe`).

    Raises
    ------
    DataError
        If a file of a run is damaged.
    """
    begun = run_folders(folder)
    runs = {path: load_results(path) for path in begun if (path / "results.json").is_file()}
    systems: dict[str, list[RunResults]] = {}
    for run in runs.values():
        systems.setdefault(_system_of(run, systems), []).append(run)
    names = {run.folder: name for name, members in systems.items() for run in members}
    described = [describe(path, runs.get(path), names.get(path, path.name)) for path in begun]
    return tuple(System(name, tuple(members)) for name, members in systems.items()), described


def _system_of(run: RunResults, systems: dict[str, list[RunResults]]) -> str:
    """Return the name of a run's system: trials are pooled only where nothing but the network differs.

    The name of its system; ``NAME-FRAMES`` if it has another number of training frames than the run that came before;
    the name of its folder, or both, if another run contains the same trials.
    """
    first = systems.get(run.name)
    frames = run.records[0].train_frames
    name = run.name if first is None or first[0].records[0].train_frames == frames else f"{run.name}-{frames}"
    own = {r.key for r in run.records}

    def is_free(name: str) -> bool:
        return not own & {r.key for other in systems.get(name, ()) for r in other.records}

    return next(filter(is_free, (name, run.folder.name, f"{name} ({run.folder.name})")))


def describe(folder: Path, run: RunResults | None, system: str) -> dict[str, Any]:
    """Return the entry of ``runs.json`` for a run, which may not have finished a trial yet."""
    text = run.configuration if run else _text(folder / "config.yaml")
    one_by_one = ("sources", "groups", "leaks")
    split = {key: value for key, value in (run.split if run else {}).items() if key not in one_by_one}
    fit = run.teacher.fit if run and run.teacher else {}
    keys = ("frames", "atoms", "elements")
    return {
        "folder": folder.name,
        "system": system,
        "description": run.description if run else "",
        "cells": len(run.records) if run else 0,
        "planned": _planned(text, folder),
        "data": {key: run.census[key] for key in keys if key in run.census} if run else {},
        "split": split,
        "teacher": {part: fit[part] for part in ("train", "test") if part in fit},
        "skills": [asdict(skill) for skill in skills(run.trials)] if run else [],
        "versions": dict(run.versions) if run else {},
        "configuration": text,
    }


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _planned(configuration: str, folder: Path) -> int | None:
    """Return how many trials a configuration contains; None where that is not stated."""
    try:
        content = yaml.safe_load(configuration)
    except yaml.YAMLError:
        raise DataError(f"{folder / 'config.yaml'} is not YAML; run `keel run` again to rewrite it") from None
    if not isinstance(content, dict):
        return None
    networks, strategies, seeds = (content.get(key) or () for key in ("networks", "strategies", "seeds"))
    fewer = content.get("fewer_seeds") or {}
    return len(networks) * sum(min(len(seeds), fewer.get(name, len(seeds))) for name in strategies) or None
