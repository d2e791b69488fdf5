"""The order of the stages: what ``keel run`` does."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from keel import __version__
from keel.atoms.census import take_census
from keel.atoms.splits import Split
from keel.config import NetworkSettings, RunSettings, dump_yaml
from keel.files import replace_file
from keel.potentials import Potential, load
from keel.workflow import steps
from keel.workflow.cache import StageCache, write_json
from keel.workflow.data import describe_split, read_data, split_frames


@dataclass(frozen=True)
class Cell:
    """One network trained with one strategy from one seed."""

    network: NetworkSettings
    strategy: str
    seed: int

    @property
    def name(self) -> str:
        """Name of the cell, also of its folders."""
        return f"{self.network.label}-{self.strategy}-seed{self.seed}"


def run(config: RunSettings, folder: str | Path, *, base: str | Path = ".") -> Path:
    """Perform all stages of a run and write its report.

    Stages that a run in this folder has done before, with the same inputs, are not done again; a run that was
    interrupted goes on where it stopped. ``results.json`` and ``summary.json`` grow with each finished cell.

    Parameters
    ----------
    config
        What to do.
    folder
        The run folder.
    base
        Folder that relative paths in the configuration start from.

    Returns
    -------
    Path
        The HTML report.

    Raises
    ------
    ConfigError, DataError
        If a setting is impossible or the data cannot be used.
    """
    from keel.reporting import write_report

    root = Path(folder)
    root.mkdir(parents=True, exist_ok=True)
    text = dump_yaml(config)
    replace_file(root / "config.yaml", lambda temporary: temporary.write_text(text))
    write_json(root / "versions.json", versions())
    Run(config, root, Path(base)).perform()
    return write_report(root)


class Run:
    """A run in progress: the data, the stages done so far, and what comes next.

    Parameters
    ----------
    config
        What to do.
    root
        The run folder.
    base
        Folder that relative paths in the configuration start from.
    """

    def __init__(self, config: RunSettings, root: Path, base: Path) -> None:
        self.config = config
        self.cache = StageCache(root)
        self.root = root
        self.frames = read_data(config.data, base)
        self.split = split_frames(self.frames, config.data.split)
        self.data = self.cache.stage("data", config.name, {"frames": fingerprint(self.split)}, self._describe_data)
        self.results: dict[str, Any] = {
            "name": config.name,
            "description": config.description,
            "data": self.cache.relative(self.data),
            "rungs": {},
            "cells": [],
        }

    def perform(self) -> None:
        """Fit the teacher, train every cell, choose the temperature, evaluate every cell."""
        teacher = self._stage(
            "teacher",
            self.config.name,
            {"data": self.data.name, "teacher": self.config.teacher.model_dump()},
            lambda f: steps.fit_teacher(f, self.config.teacher, self.split),
        )
        self.results["teacher"] = self.cache.relative(teacher)
        for network in self.config.networks:
            cells = [Cell(network, s, n) for s in self.config.strategies for n in self.config.seeds]
            trained = {cell: self._train(cell, teacher) for cell in cells}
            rung = self._rung(network, [trained[c] for c in cells if c.strategy == self._reference()])
            self.results["rungs"][network.label] = self.cache.relative(rung)
            for cell in cells:
                self._evaluate(cell, trained[cell], rung)

    def _reference(self) -> str:
        """The strategy that chooses the temperature: vanilla, or the first where it is absent."""
        return "vanilla" if "vanilla" in self.config.strategies else self.config.strategies[0]

    def _stage(self, kind: str, name: str, inputs: dict[str, Any], work: Any) -> Path:
        return self.cache.stage(kind, name, inputs, work)

    def _train(self, cell: Cell, teacher: Path) -> Path:
        config = self.config
        strategy = config.strategy(cell.strategy)
        inputs = {
            "data": self.data.name,
            "network": cell.network.model_dump(),
            "strategy": strategy.model_dump(),
            "training": config.training.model_dump(),
            "seed": cell.seed,
        }
        if strategy.needs_teacher:
            inputs |= {"teacher": teacher.name, "perturbation": config.perturbation.model_dump()}
        return self._stage(
            "train",
            cell.name,
            inputs,
            lambda f: steps.train_network(f, config, cell.network, cell.strategy, cell.seed, self.split, teacher),
        )

    def _rung(self, network: NetworkSettings, folders: Sequence[Path]) -> Path:
        inputs = {"networks": [f.name for f in folders], "md": self.config.md.model_dump()}
        starts = self.split.validation or self.split.test
        return self._stage(
            "rung",
            network.label,
            inputs,
            lambda f: steps.choose_rung(f, [_potential(p) for p in folders], starts, self.config.md, network.label),
        )

    def _evaluate(self, cell: Cell, trained: Path, rung: Path) -> None:
        config, test, potential = self.config, self.split.test, _potential(trained)
        found = json.loads((rung / "rung.json").read_text())
        record = {
            "network": cell.network.label,
            "strategy": cell.strategy,
            "seed": cell.seed,
            "train": self.cache.relative(trained),
        }
        inputs: dict[str, Any] = {"potential": trained.name, "data": self.data.name}
        folder = self._stage("accuracy", cell.name, inputs, lambda f: steps.measure_accuracy(f, potential, test))
        record["accuracy"] = self.cache.relative(folder)
        md = config.md.model_dump()
        folder = self._stage(
            "stability",
            cell.name,
            {**inputs, "md": md, "rung": [found["temperature_k"], found["length_fs"]]},
            lambda f: steps.measure_stability(f, potential, test, found, config.md, cell.name),
        )
        record["stability"] = self.cache.relative(folder)
        record["rdf"] = None
        if config.evaluation.rdf_temperature is not None:
            folder = self._stage(
                "rdf",
                cell.name,
                {**inputs, "md": md, "evaluation": config.evaluation.model_dump()},
                lambda f: steps.measure_rdf(f, potential, test, config.evaluation, config.md, cell.name),
            )
            record["rdf"] = self.cache.relative(folder)
        record["dimers"] = None
        if config.evaluation.dimers:
            folder = self._stage("dimers", cell.name, inputs, lambda f: steps.measure_dimers(f, potential))
            record["dimers"] = self.cache.relative(folder)
        self.results["cells"].append(record)
        write_json(self.root / "results.json", self.results)
        write_json(self.root / "summary.json", [self._summary(r) for r in self.results["cells"]])

    def _summary(self, record: dict[str, Any]) -> dict[str, Any]:
        """Gather what a reader of tables wants to know of a cell."""

        def content(stage: str, name: str) -> dict[str, Any]:
            return dict(json.loads((self.root / record[stage] / name).read_text()))

        training, stability = content("train", "training.json"), content("stability", "stability.json")
        errors = content("accuracy", "accuracy.json")
        names = ("energy_mae_mev_per_atom", "force_mae_mev_per_angstrom", "stress_mae_mev_per_cubic_angstrom")
        return {
            "system": self.config.name,
            "network": record["network"],
            "strategy": record["strategy"],
            "seed": record["seed"],
            "train_frames": len(self.split.train),
            "pretrain_steps": training["pretrain_steps"],
            "train_steps": training["train_steps"],
            **{name: errors[name] for name in names},
            "gradient_evaluations": training["gradient_evaluations"],
            **{name: stability[name] for name in steps.STABILITY_FIELDS},
            "wall_seconds": training["seconds"],
            "peak_memory_mb": training["peak_memory_mb"],
        }

    def _describe_data(self, folder: Path) -> None:
        write_json(folder / "census.json", take_census(self.frames).to_dict())
        settings = self.config.data.split
        parts = {"train": self.split.train, "validation": self.split.validation, "test": self.split.test}
        content: dict[str, Any] = {name: len(frames) for name, frames in parts.items()}
        content |= {
            "by": settings.by,
            "description": describe_split(settings),
            "sources": {name: [f.source for f in frames] for name, frames in parts.items()},
        }
        write_json(folder / "split.json", content)


def versions() -> dict[str, Any]:
    """Return what the numbers of a run may depend on besides its inputs."""
    packages = ("torch", "numpy", "scipy", "ase", "vesin", "lightning")
    return {
        "keel": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "started": time.strftime("%Y-%m-%d %H:%M:%S %z"),
    }


def fingerprint(split: Split) -> str:
    """Return a hash of the frames of a split and their order."""
    digest = hashlib.sha256()
    for part in (split.train, split.validation, split.test):
        digest.update(b"part")
        for f in part:
            digest.update(f.numbers.tobytes() + f.positions.tobytes() + f.cell.tobytes() + repr(f.energy).encode())
            digest.update(
                (b"" if f.forces is None else f.forces.tobytes()) + (b"" if f.stress is None else f.stress.tobytes())
            )
    return digest.hexdigest()


def _potential(folder: Path) -> Potential:
    return load(folder / "potential.safetensors")
