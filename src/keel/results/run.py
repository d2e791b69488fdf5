"""A run folder: what `keel run` found, as frozen objects that are written by the run and read by figures and tables.

``results.json`` is the index: it names the folders of the tasks. ``summary.json`` has a row for each trial.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from keel.atoms.frame import Frame
from keel.errors import DataError
from keel.formats import Format
from keel.potentials.accuracy import Parity
from keel.records import checked, read_json, read_object, read_text, write_json
from keel.results.curves import REMEDY
from keel.results.made import DataDescription, RungChoice, Teacher, TrainingCurve
from keel.results.measured import Dimer, Dimers, Errors, RadialDistribution, RadialDistributions, StabilityRuns

RUN = Format("run folder", steps=(dict, dict))
"""Covers every file of a run folder; the number stands in ``results.json``.

2: ``census.json`` says more of the checks, and what is not used; readers take what is absent as nothing.
3: errors by contact stand beside the others (``by_contact.csv``), those of the teacher too (``teacher_accuracy``).
"""
TASKS = ("train", "accuracy", "stability", "rdf", "dimers")
"""Of a trial, in this order."""

Part = TypeVar("Part")


class OfTrial:
    """What belongs to one network trained with one strategy from one seed."""

    network: str
    strategy: str
    seed: int

    @property
    def key(self) -> tuple[str, str, int]:
        """What tells trials apart."""
        return self.network, self.strategy, self.seed


@dataclass(frozen=True)
class TrialFolders(OfTrial):
    """Where the tasks of a trial left their results, from the run folder; None for one that was not done."""

    network: str
    strategy: str
    seed: int
    train: str | None = None
    accuracy: str | None = None
    stability: str | None = None
    rdf: str | None = None
    dimers: str | None = None


@dataclass(frozen=True)
class RunIndex:
    """The content of ``results.json``: folders of tasks, from the run folder."""

    name: str
    description: str
    data: str | None
    teacher: str | None
    rungs: Mapping[str, str]
    cells: Sequence[TrialFolders]
    teacher_accuracy: str | None = None

    def write(self, root: Path) -> None:
        """Leave it in a run folder."""
        write_json(root / "results.json", {**RUN.stamp, **asdict(self)})

    @classmethod
    def read(cls, root: Path) -> RunIndex:
        """Read what :meth:`write` left; DataError if it is absent or damaged."""
        path = root / "results.json"
        if not path.is_file():
            raise DataError(f"{root} is not a finished run: it has no results.json; finish it with `keel run`")
        content = RUN.upgraded(read_object(path, ("name", "cells"), REMEDY), path)
        if not isinstance(content["cells"], list):
            raise DataError(f"{path}: cells must be a list; {REMEDY}")
        known, where = [f.name for f in fields(TrialFolders)], f"{path}, a cell"
        entries = [checked(entry, ("network", "strategy", "seed"), where, REMEDY) for entry in content["cells"]]
        return cls(
            name=str(content["name"]),
            description=str(content.get("description") or ""),
            data=content.get("data") or None,
            teacher=content.get("teacher") or None,
            rungs={name: folder for name, folder in (content.get("rungs") or {}).items() if folder},
            cells=[TrialFolders(**{k: v for k, v in entry.items() if k in known}) for entry in entries],
            teacher_accuracy=content.get("teacher_accuracy") or None,
        )


def refuse_newer(root: Path) -> None:
    """Raise a DataError if a newer keel has written this run folder, which is not to be written over."""
    path = root / "results.json"
    try:
        content = read_json(path, REMEDY)
    except DataError:  # absent, or damaged: it will be written
        return
    RUN.refuse_newer(content, path)


@dataclass(frozen=True)
class Record(OfTrial):
    """One trial in ``summary.json``; a survivor has ``md_length_fs`` and the cause None.

    ``wall_seconds`` is the time of all its training, ``cell_seconds`` that of its own tasks, evaluation included.
    ``close_contacts_per_1000_atoms``: see :func:`keel.evaluation.close_contacts`. ``sources``, which the summary does
    not tell, names the structure from which each run started; empty where that is not known.
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
class TrialResults(OfTrial):
    """All that is known of one network trained with one strategy from one seed; a task that was not done is None."""

    network: str
    strategy: str
    seed: int
    training: TrainingCurve | None = None
    accuracy: Errors | None = None
    stability: StabilityRuns | None = None
    rdf: RadialDistributions | None = None
    dimers: Dimers | None = None

    @property
    def parity(self) -> Mapping[str, Parity]:
        """Predictions beside labels, by quantity."""
        return self.accuracy.parity if self.accuracy else {}

    @property
    def rdf_curves(self) -> Mapping[str, RadialDistribution]:
        """g(r) by pair."""
        return self.rdf.curves if self.rdf else {}

    @property
    def dimer_curves(self) -> Mapping[str, Dimer]:
        """Dimer curves by pair."""
        return self.dimers.curves if self.dimers else {}

    @property
    def dimer_metrics(self) -> Mapping[str, Mapping[str, float | None]]:
        """Metrics of dimer curves by pair."""
        return self.dimers.metrics if self.dimers else {}

    @property
    def failures(self) -> Sequence[Frame]:
        """The frames before the failure of each MD run that failed."""
        return self.stability.failures if self.stability else ()


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
    rungs: Mapping[str, RungChoice]
    trials: tuple[TrialResults, ...]
    versions: Mapping[str, Any]
    configuration: str
    teacher_accuracy: Errors | None = None

    @property
    def networks(self) -> tuple[str, ...]:
        """Names of the networks in the order of the run."""
        return tuple(dict.fromkeys(record.network for record in self.records))

    def trials_of(self, network: str, strategy: str | None = None) -> tuple[TrialResults, ...]:
        """Return the trials of a network, and of one strategy where it is given."""
        return tuple(t for t in self.trials if t.network == network and strategy in (None, t.strategy))


Trials = Sequence[TrialResults]


def by_strategy(trials: Iterable[TrialResults]) -> dict[str, list[TrialResults]]:
    """Return the trials of each strategy, in order of appearance."""
    groups: dict[str, list[TrialResults]] = {}
    for trial in trials:
        groups.setdefault(trial.strategy, []).append(trial)
    return groups


def load_results(folder: str | Path) -> RunResults:
    """Read a run folder as `keel run` leaves it.

    Raises
    ------
    DataError
        If the folder is none of a run, or a file that its index names is absent or damaged.
    """
    root = Path(folder)
    index = RunIndex.read(root)
    data = DataDescription.read(root / index.data) if index.data else None
    trials = tuple(_trial(root, entry) for entry in index.cells)
    return RunResults(
        folder=root,
        name=index.name,
        description=index.description,
        records=_with_sources(read_records(root / "summary.json"), trials, root),
        census=data.census if data else {},
        split=data.split if data else {},
        teacher=Teacher.read(root / index.teacher) if index.teacher else None,
        rungs={name: RungChoice.read(root / path) for name, path in index.rungs.items()},
        trials=trials,
        versions=read_object(root / "versions.json", ("keel",), REMEDY),
        configuration=read_text(root / "config.yaml", REMEDY),
        teacher_accuracy=Errors.read(root / index.teacher_accuracy) if index.teacher_accuracy else None,
    )


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Write the ``summary.json`` of a run."""
    write_json(path, [{k: v for k, v in asdict(record).items() if k != "sources"} for record in records])


def read_records(path: str | Path) -> tuple[Record, ...]:
    """Read what :func:`write_records` left; it does not tell from where MD runs started.

    Raises
    ------
    DataError
        If it is absent or damaged.
    """
    path = Path(path)
    content = read_json(path, REMEDY)
    names = [f.name for f in fields(Record) if f.default is MISSING]
    if not isinstance(content, list) or not content:
        raise DataError(f"{path} holds no list of records; {REMEDY}")
    entries = [checked(entry, names, f"{path}, record {number}", REMEDY) for number, entry in enumerate(content)]
    known = {f.name for f in fields(Record)}
    return tuple(_record({name: entry[name] for name in entry if name in known}, path) for entry in entries)


def _record(entry: dict[str, Any], path: Path) -> Record:
    times, causes = entry["time_to_failure_fs"], entry["failure_cause"]
    if not (isinstance(times, list) and isinstance(causes, list) and len(times) == len(causes)):
        who = f"{entry['network']}, {entry['strategy']}, seed {entry['seed']}"
        raise DataError(f"{path}, {who}: time_to_failure_fs and failure_cause must be lists of equal length; {REMEDY}")
    return Record(**{**entry, "time_to_failure_fs": tuple(times), "failure_cause": tuple(causes)})


def _with_sources(records: Sequence[Record], trials: Sequence[TrialResults], root: Path) -> tuple[Record, ...]:
    """Return the records with what the folders of their MD runs tell of the starts."""
    runs = {t.key: t.stability for t in trials}
    found = []
    for record in records:
        stability = runs.get(record.key)
        sources = tuple(stability.sources) if stability else ()
        if len(sources) not in (0, len(record.time_to_failure_fs)):
            raise DataError(f"{root}: sources must name the start of each of the runs in summary.json; {REMEDY}")
        found.append(replace(record, sources=sources))
    return tuple(found)


def _trial(root: Path, folders: TrialFolders) -> TrialResults:
    def read(task: str | None, reader: Callable[[Path], Part]) -> Part | None:
        return reader(root / task) if task else None

    return TrialResults(
        network=str(folders.network),
        strategy=str(folders.strategy),
        seed=int(folders.seed),
        training=read(folders.train, TrainingCurve.read),
        accuracy=read(folders.accuracy, Errors.read),
        stability=read(folders.stability, StabilityRuns.read),
        rdf=read(folders.rdf, RadialDistributions.read),
        dimers=read(folders.dimers, Dimers.read),
    )
