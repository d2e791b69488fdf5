"""The stages of a run, each of which finds what it needs by asking for the stages before it."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from keel.atoms.census import take_census
from keel.atoms.splits import Split
from keel.config import NetworkSettings, RunSettings
from keel.errors import ConfigError
from keel.potentials import Potential, load
from keel.results.writing import write_json
from keel.workflow import make, measure
from keel.workflow.cache import NotDoneError, StageCache, seconds_of
from keel.workflow.data import describe_split, frequent_pairs, group_key, read_data, split_frames

STAGES = ("train", "accuracy", "stability", "rdf", "dimers")
"""Of a cell, in this order."""
ERRORS = ("energy_mae_mev_per_atom", "force_mae_mev_per_angstrom", "stress_mae_mev_per_cubic_angstrom")

Record = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class Cell:
    """One network trained with one strategy from one seed."""

    network: NetworkSettings
    strategy: str
    seed: int

    @property
    def name(self) -> str:
        """Name of the cell, also of its folders."""
        return cell_name(self.network.label, self.strategy, self.seed)


class Pipeline:
    """The stages of a run. A stage that is done costs nothing but a look at its folder.

    Parameters
    ----------
    config
        What to do.
    root
        The run folder.
    base
        Folder that relative paths in the configuration start from.
    only
        Names of the cells to perform; empty: all.
    """

    def __init__(self, config: RunSettings, root: Path, base: Path, only: tuple[str, ...] = ()) -> None:
        self.config, self.root, self.base, self.only = config, root, base, only
        self.cells = self._chosen()
        for network in config.networks:
            # An argument that does not fit is told before anything is done.
            make.build_network(self._located(network), [1], 0)
        self.cache = StageCache(root)
        self.split = split_frames(read_data(config.data, base), config.data.split)
        self.fingerprint = fingerprint(self.split)
        open_frame = next((f for f in self.split.test if not f.pbc.all()), None)
        if config.evaluation.rdf_temperature is not None and open_frame is not None:
            raise ConfigError(
                f"evaluation.rdf_temperature: {open_frame.source} is not periodic in three directions and has no g(r); "
                "leave the setting out"
            )
        dimers, everything = config.evaluation.dimers, [*self.split.train, *self.split.validation, *self.split.test]
        self.pairs = frequent_pairs(everything, None if isinstance(dimers, bool) else dimers)

    def __reduce__(self) -> tuple[Any, ...]:
        """Other processes read the data themselves."""
        return type(self), (self.config, self.root, self.base, self.only)

    @property
    def networks(self) -> list[NetworkSettings]:
        """The networks of the cells."""
        return [n for n in self.config.networks if any(c.network == n for c in self.cells)]

    def _chosen(self) -> list[Cell]:
        """Return the cells to perform."""
        if unknown := [name for name in self.only if name not in {c.name for c in self._all}]:
            known = ", ".join(c.name for c in self._all)
            raise ConfigError(f"there is no cell {unknown[0]!r}; choose from {known}")
        return [c for c in self._all if not self.only or c.name in self.only]

    @property
    def _all(self) -> list[Cell]:
        c = self.config
        return [Cell(network, s, seed) for network in c.networks for s in c.strategies for seed in c.seeds]

    @property
    def data(self) -> Path:
        """Where the data and their division are described."""
        inputs = {"frames": self.fingerprint}
        return self.cache.stage("data", self.config.name, inputs, self._describe_data)

    def teacher(self) -> Path:
        """Fit the teacher."""
        settings = self.config.teacher
        inputs: dict[str, Any] = {"data": self.data.name, "teacher": settings.model_dump(), "pairs": self.pairs}
        if settings.file is not None:
            settings = settings.model_copy(update={"file": str(self.base / settings.file)})
            inputs["content"] = file_hash(Path(str(settings.file)))
        return self.cache.stage(
            "teacher", self.config.name, inputs, lambda f: make.fit_teacher(f, settings, self.split, self.pairs)
        )

    @property
    def waves(self) -> list[list[Cell]]:
        """The cells, those that go on from trained networks of others after these."""
        depth: dict[str, int] = {}
        for name in self.config.strategies:
            after = self.config.strategy(name).after
            depth[name] = 0 if after is None else depth[after] + 1
        return [[c for c in self.cells if depth[c.strategy] == d] for d in range(max(depth.values()) + 1)]

    def train(self, cell: Cell) -> Path:
        """Train a network."""
        config, strategy, network = self.config, self.config.strategy(cell.strategy), self._located(cell.network)
        before = None if strategy.after is None else self.train(replace(cell, strategy=strategy.after))
        if before is not None:
            started = {"start": str(before / "potential.safetensors"), "name": network.label}
            network = NetworkSettings(**started, training=network.training)
        inputs = {"data": self.data.name, **self._settings_of(cell)}
        if before is not None:
            inputs["before"] = before.name
        elif network.start is not None:
            inputs["start"] = file_hash(Path(network.start))
        teacher = self.teacher() if strategy.needs_teacher else None
        if teacher is not None:
            inputs["teacher"] = teacher.name
        return self.cache.stage(
            "train",
            cell.name,
            inputs,
            lambda f: make.train_network(
                f, config, network, cell.strategy, cell.seed, self.split, teacher=teacher, before=before
            ),
        )

    def rung(self, network: NetworkSettings) -> Path:
        """Choose the temperature at which the strategies are compared: by vanilla, or the first where it is absent."""
        strategies, md = self.config.strategies, self.config.md
        reference = "vanilla" if "vanilla" in strategies else strategies[0]
        folders = [self.train(c) for c in self._all if c.network == network and c.strategy == reference]
        starts = self.split.validation or self.split.test
        return self.cache.stage(
            "rung",
            network.label,
            {"networks": [f.name for f in folders], "md": md.model_dump()},
            lambda f: measure.choose_rung(f, [potential_of(p) for p in folders], starts, md, network.label),
        )

    def evaluate(self, cell: Cell) -> Record:
        """Measure accuracy, stability, RDF and dimers of a trained network; return where they are."""
        config, test, trained = self.config, self.split.test, self.train(cell)
        rung = json.loads((self.rung(cell.network) / "rung.json").read_text())
        evaluation, md = config.evaluation, config.md
        potential = functools.cache(functools.partial(potential_of, trained))  # loaded if a stage asks for it, and once
        inputs: dict[str, Any] = {"potential": trained.name, "data": self.data.name}
        with_md, by = {**inputs, "md": md.model_dump()}, group_key(config.data.split)
        stages = {
            "train": trained,
            "accuracy": self.cache.stage(
                "accuracy", cell.name, inputs, lambda f: measure.measure_accuracy(f, potential(), test)
            ),
            "stability": self.cache.stage(
                "stability",
                cell.name,
                {**with_md, "rung": [rung["temperature_k"], rung["length_fs"]]},
                lambda f: measure.measure_stability(f, potential(), test, rung, md, cell.name),
            ),
        }
        if evaluation.rdf_temperature is not None:
            stages["rdf"] = self.cache.stage(
                "rdf",
                cell.name,
                {**with_md, "evaluation": evaluation.model_dump(), "by": by},
                lambda f: measure.measure_rdf(f, potential(), test, evaluation, md, cell.name, by),
            )
        if evaluation.dimers:
            stages["dimers"] = self.cache.stage(
                "dimers",
                cell.name,
                {**inputs, "pairs": self.pairs},
                lambda f: measure.measure_dimers(f, potential(), self.pairs),
            )
        record: Record = {"network": cell.network.label, "strategy": cell.strategy, "seed": cell.seed}
        return record | {"rdf": None, "dimers": None} | {k: self._relative(v) for k, v in stages.items()}

    def found(self, ask: Callable[[Cell], T], cell: Cell) -> T | None:
        """Return what a stage of a cell gives, without doing anything for it: None if something is still to be done.

        For example ``pipeline.found(pipeline.train, cell)``.
        """
        try:
            with self.cache.looking():
                return ask(cell)
        except NotDoneError:
            return None

    def write_results(self, records: Sequence[Record]) -> None:
        """Write ``results.json`` (where everything is) and ``summary.json`` (a row for each cell)."""
        records = self._with_earlier(records)
        evaluated = {r["network"] for r in records}
        results = {
            "name": self.config.name,
            "description": self.config.description,
            "data": self._relative(self.data),
            "teacher": self._relative(self.teacher()),
            "rungs": {n.label: self._relative(self.rung(n)) for n in self.config.networks if n.label in evaluated},
            "cells": list(records),
        }
        write_json(self.root / "results.json", results)
        write_json(self.root / "summary.json", [self._summary(r) for r in records])

    def _with_earlier(self, records: Sequence[Record]) -> list[Record]:
        """Return records in order, with those of other cells that are finished, with these settings and these data."""
        if not self.only:
            return list(records)
        by_name = {cell_name(r["network"], r["strategy"], r["seed"]): r for r in records}
        found = [by_name.get(cell.name) or self.found(self.evaluate, cell) for cell in self._all]
        return [record for record in found if record is not None]

    def _summary(self, record: Record) -> Record:
        def content(stage: str, name: str) -> dict[str, Any]:
            return dict(json.loads((self.root / record[stage] / name).read_text()))

        training, stability = content("train", "training.json"), content("stability", "stability.json")
        errors = content("accuracy", "accuracy.json")
        return {
            "system": self.config.name,
            "network": record["network"],
            "strategy": record["strategy"],
            "seed": record["seed"],
            "train_frames": len(self.split.train),
            "pretrain_steps": training["pretrain_steps"],
            "train_steps": training["train_steps"],
            **{name: errors[name] for name in ERRORS},
            "gradient_evaluations": training["gradient_evaluations"],
            **{name: stability.get(name) for name in measure.STABILITY_FIELDS},
            "wall_seconds": training["seconds"],
            "cell_seconds": sum(seconds_of(self.root / record[stage]) for stage in STAGES if record[stage]),
            "peak_memory_mb": training["peak_memory_mb"],
        }

    def _describe_data(self, folder: Path) -> None:
        # Read once more: the frames that no part holds, perhaps most, are not kept in memory for it.
        frames = read_data(self.config.data, self.base)
        write_json(folder / "census.json", take_census(frames).to_dict())
        settings = self.config.data.split
        parts = {"train": self.split.train, "validation": self.split.validation, "test": self.split.test}
        content: dict[str, Any] = {name: len(part) for name, part in parts.items()}
        content |= {"by": settings.by, "description": describe_split(settings)}
        content["sources"] = {name: [f.source for f in part] for name, part in parts.items()}
        write_json(folder / "split.json", content)

    def _settings_of(self, cell: Cell) -> dict[str, Any]:
        """Return the settings that the training of a cell depends on."""
        strategy = self.config.strategy(cell.strategy)
        settings: dict[str, Any] = {
            "network": cell.network.model_dump(exclude={"training"}),
            "strategy": strategy.model_dump(),
            "training": self.config.training_of(cell.network).model_dump(),
            "seed": cell.seed,
        }
        return settings | ({"perturbation": self.config.perturbation.model_dump()} if strategy.needs_teacher else {})

    def _located(self, network: NetworkSettings) -> NetworkSettings:
        """Return the settings with the path of the file that the network starts from, if there is one."""
        if network.start is None:
            return network
        return network.model_copy(update={"start": str(self.base / network.start)})

    def _relative(self, folder: Path) -> str:
        return folder.relative_to(self.root).as_posix()


def cell_name(network: str, strategy: str, seed: int) -> str:
    """Return the name of a cell."""
    return f"{network}-{strategy}-seed{seed}"


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
            if not f.pbc.all():
                digest.update(f.pbc.tobytes())
    return digest.hexdigest()


def file_hash(path: Path) -> str:
    """Return a hash of a file's content, empty where there is no file (the stage that reads it says so)."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def potential_of(folder: Path) -> Potential:
    """Return the potential of a training stage."""
    return load(folder / "potential.safetensors")
