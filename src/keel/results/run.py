"""A run folder in memory: what `keel run` found, as frozen objects that figures and tables read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from keel.atoms.frame import Array, Frame
from keel.errors import DataError
from keel.results.reading import REMEDY, checked, read_columns, read_frames, read_groups, read_json, read_text


@dataclass(frozen=True)
class Record:
    """One network x strategy x seed of ``summary.json``; a survivor has ``md_length_fs`` and the cause None.

    ``wall_seconds`` is the time of all its training, ``cell_seconds`` that of its own stages, evaluation included.
    ``close_contacts_per_1000_atoms``: see :mod:`keel.evaluation.stability.contacts`. ``sources`` names the structure
    from which each run started; empty where that is not known.
    """

    system: str
    network: str
    strategy: str
    seed: int
    train_frames: int
    pretrain_steps: int
    train_steps: int
    energy_mae_mev_per_atom: float | None
    force_mae_mev_per_angstrom: float | None
    stress_mae_mev_per_cubic_angstrom: float | None
    gradient_evaluations: int
    md_temperature_k: float | None
    md_timestep_fs: float | None
    md_friction_per_fs: float | None
    md_length_fs: float | None
    time_to_failure_fs: tuple[float, ...]
    failure_cause: tuple[str | None, ...]
    wall_seconds: float | None
    peak_memory_mb: float | None
    cell_seconds: float | None = None
    close_contacts_per_1000_atoms: float | None = None
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Decomposition:
    """The teacher's dimer of one pair: energies in eV and the dimensionless density against r in angstrom."""

    r: Array
    total: Array
    morse: Array
    embedding: Array
    density: Array
    core: Array


@dataclass(frozen=True, eq=False)
class Dimer:
    """A dimer curve: energy in eV and force in eV/angstrom against r in angstrom."""

    r: Array
    energy: Array
    force: Array


@dataclass(frozen=True, eq=False)
class RadialDistribution:
    """g(r) of one pair of elements, reference (DFT) and simulation, against r in angstrom."""

    r: Array
    reference: Array
    simulation: Array


@dataclass(frozen=True, eq=False)
class Training:
    """One value for each optimiser step; NaN where there was no validation. ``step`` runs through all stages."""

    step: Array
    total: Array
    validation: Array
    validation_force_mae: Array
    pretrain_steps: int


@dataclass(frozen=True, eq=False)
class Parity:
    """Predictions against reference labels of one quantity, in the units of the labels."""

    reference: Array
    prediction: Array


@dataclass(frozen=True, eq=False)
class Teacher:
    """The fitted EAM: what the fit reported, and its dimer curves by pair."""

    fit: Mapping[str, Any]
    decomposition: Mapping[str, Decomposition]


@dataclass(frozen=True, eq=False)
class Cell:
    """All that is known of one network x strategy x seed; a stage that did not run is None.

    ``failures`` are the frames before the failure of each MD run that failed; the runs themselves are in the record.
    """

    network: str
    strategy: str
    seed: int
    training: Training | None
    accuracy: Mapping[str, Any] | None
    parity: Mapping[str, Parity]
    failures: tuple[Frame, ...]
    rdf: Mapping[str, RadialDistribution] | None
    rdf_details: Mapping[str, Any]
    dimers: Mapping[str, Dimer] | None
    dimer_metrics: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, eq=False)
class RunResults:
    """Everything that a report tells of a run folder."""

    folder: Path
    name: str
    description: str
    records: tuple[Record, ...]
    census: Mapping[str, Any]
    split: Mapping[str, Any]
    teacher: Teacher | None
    rungs: Mapping[str, Mapping[str, Any]]
    cells: tuple[Cell, ...]
    versions: Mapping[str, Any]
    configuration: str

    @property
    def networks(self) -> tuple[str, ...]:
        """Names of the networks in the order of the run."""
        return tuple(dict.fromkeys(record.network for record in self.records))

    def cells_of(self, network: str, strategy: str | None = None) -> tuple[Cell, ...]:
        """Return the cells of a network, and of one strategy where it is given."""
        return tuple(c for c in self.cells if c.network == network and strategy in (None, c.strategy))


def by_strategy(cells: Iterable[Cell]) -> dict[str, list[Cell]]:
    """Return the cells of each strategy, in order of appearance."""
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(cell.strategy, []).append(cell)
    return groups


def load_results(folder: str | Path) -> RunResults:
    """Read a run folder as `keel run` leaves it.

    Raises
    ------
    DataError
        If the folder is none of a run, or a file that its index names is absent or damaged.
    """
    folder = Path(folder)
    if not (folder / "results.json").is_file():
        raise DataError(f"{folder} is not a finished run: it has no results.json; finish it with `keel run`")
    index = read_json(folder / "results.json", ("name", "cells"))
    if not isinstance(index["cells"], list):
        raise DataError(f"{folder / 'results.json'}: cells must be a list; {REMEDY}")
    data = folder / index["data"] if index.get("data") else None
    return RunResults(
        folder=folder,
        name=str(index["name"]),
        description=str(index.get("description") or ""),
        records=_with_sources(read_records(folder / "summary.json"), folder, index["cells"]),
        census=read_json(data / "census.json", ("frames",)) if data else {},
        split=read_json(data / "split.json", ("train", "test")) if data else {},
        teacher=_teacher(folder / index["teacher"]) if index.get("teacher") else None,
        rungs={
            name: read_json(folder / path / "rung.json", ("temperature_k",))
            for name, path in (index.get("rungs") or {}).items()
            if path
        },
        cells=tuple(_cell(folder, entry) for entry in index["cells"]),
        versions=read_json(folder / "versions.json", ("keel",)),
        configuration=read_text(folder / "config.yaml"),
    )


def read_records(path: str | Path) -> tuple[Record, ...]:
    """Read the ``summary.json`` of a run; it does not tell from where MD runs started.

    Raises
    ------
    DataError
        If it is absent or damaged.
    """
    path = Path(path)
    content = read_json(path)
    names = [f.name for f in fields(Record) if f.default is MISSING]
    if not isinstance(content, list) or not content:
        raise DataError(f"{path} holds no list of records; {REMEDY}")
    entries = [checked(entry, names, f"{path}, record {number}") for number, entry in enumerate(content)]
    known = {f.name for f in fields(Record)}
    return tuple(_record({name: entry[name] for name in entry if name in known}, path) for entry in entries)


def _record(entry: dict[str, Any], path: Path) -> Record:
    times, causes = entry["time_to_failure_fs"], entry["failure_cause"]
    if not (isinstance(times, list) and isinstance(causes, list) and len(times) == len(causes)):
        who = f"{entry['network']}, {entry['strategy']}, seed {entry['seed']}"
        raise DataError(f"{path}, {who}: time_to_failure_fs and failure_cause must be lists of equal length; {REMEDY}")
    return Record(**{**entry, "time_to_failure_fs": tuple(times), "failure_cause": tuple(causes)})


def _with_sources(records: Sequence[Record], root: Path, cells: Sequence[Any]) -> tuple[Record, ...]:
    """Return the records with what the folders of their MD runs tell of the starts."""
    files = {
        tuple(cell.get(key) for key in ("network", "strategy", "seed")): root / cell["stability"] / "stability.json"
        for cell in cells
        if isinstance(cell, dict) and cell.get("stability")
    }
    paths = [files.get((record.network, record.strategy, record.seed)) for record in records]
    return tuple(r if p is None else _with_starts(r, p) for r, p in zip(records, paths, strict=True))


def _with_starts(record: Record, path: Path) -> Record:
    sources = checked(read_json(path), (), str(path)).get("sources") or []
    if not isinstance(sources, list) or len(sources) not in (0, len(record.time_to_failure_fs)):
        raise DataError(f"{path}: sources must name the start of each of the runs in summary.json; {REMEDY}")
    return replace(record, sources=tuple(map(str, sources)))


def _teacher(folder: Path) -> Teacher:
    curves = read_groups(folder / "decomposition.csv", "pair", [f.name for f in fields(Decomposition)])
    return Teacher(
        fit=read_json(folder / "fit.json", ("train",)),
        decomposition={pair: Decomposition(**columns) for pair, columns in curves.items()},
    )


def _cell(root: Path, entry: Any) -> Cell:
    entry = checked(entry, ("network", "strategy", "seed"), f"{root / 'results.json'}, a cell")
    stages = ("train", "accuracy", "stability", "rdf", "dimers")
    folders: dict[str, Path] = {stage: root / entry[stage] for stage in stages if entry.get(stage)}
    train, accuracy, stability, rdf, dimers = (folders.get(stage) for stage in stages)
    return Cell(
        network=str(entry["network"]),
        strategy=str(entry["strategy"]),
        seed=int(entry["seed"]),
        training=_training(train / "metrics.csv") if train else None,
        accuracy=read_json(accuracy / "accuracy.json", ("force_mae_mev_per_angstrom",)) if accuracy else None,
        parity=_parity(accuracy / "parity.csv") if accuracy else {},
        failures=read_frames(stability / "failures.extxyz") if stability else (),
        rdf=_rdf(rdf / "rdf.csv") if rdf else None,
        rdf_details=read_json(rdf / "rdf.json", ("errors",)) if rdf else {},
        dimers=_dimers(dimers / "dimers.csv") if dimers else None,
        dimer_metrics=checked(read_json(dimers / "dimers.json"), (), str(dimers / "dimers.json")) if dimers else {},
    )


def _training(path: Path) -> Training:
    names = ("step", "total", "validation", "validation_force_mae")
    (stages,), columns = read_columns(path, ["stage"], names)
    pretraining = np.array([stage == "pretrain" for stage in stages], dtype=bool)
    pretrain_steps = int(columns["step"][pretraining].max(initial=0))
    # Each stage counts its own steps from 1.
    step = np.where(pretraining, columns["step"], columns["step"] + pretrain_steps)
    return Training(**{**columns, "step": step}, pretrain_steps=pretrain_steps)


def _parity(path: Path) -> dict[str, Parity]:
    groups = read_groups(path, "quantity", ["reference", "prediction"])
    return {name: Parity(**columns) for name, columns in groups.items()}


def _rdf(path: Path) -> dict[str, RadialDistribution]:
    groups = read_groups(path, "pair", ["r", "reference", "simulation"])
    return {pair: RadialDistribution(**columns) for pair, columns in groups.items()}


def _dimers(path: Path) -> dict[str, Dimer]:
    return {pair: Dimer(**columns) for pair, columns in read_groups(path, "pair", ["r", "energy", "force"]).items()}
