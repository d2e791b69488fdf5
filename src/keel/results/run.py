"""A run folder: the results of `keel run`, as frozen objects that the run writes and figures and tables read.

``summary.json`` has a row for each trial; :mod:`keel.results.index` is the index of everything else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from keel.atoms.frame import Frame
from keel.dynamics.results import has_failed
from keel.errors import DataError
from keel.evaluation.equilibrium.squeeze import Squeezed
from keel.evaluation.labels.by_contact import ContactErrors
from keel.potentials.accuracy import Parity
from keel.records import checked, read_json, read_object, read_text, write_json
from keel.results.assessment import GroupResults
from keel.results.curves import REMEDY
from keel.results.index import OfTrial, RunIndex, TrialFolders
from keel.results.made import DataDescription, RungChoice, Teacher, TrainingCurve
from keel.results.measured import (
    Contacts,
    Dimer,
    Dimers,
    Errors,
    RadialDistribution,
    RadialDistributions,
    Squeeze,
    StabilityRuns,
)
from keel.showing import Facts, Shown, first_rows, table

Part = TypeVar("Part")


@dataclass(frozen=True)
class Record(OfTrial):
    """One trial in ``summary.json``; a survivor has ``md_length_fs`` and the cause None.

    ``wall_seconds`` is the time of all its training, ``cell_seconds`` that of its own tasks, evaluation included.
    ``close_contacts_per_1000_atoms``: see :func:`keel.evaluation.close_contacts`; ``squeeze``: see
    :func:`keel.results.squeezed.summary_of`. ``sources``, which is not in the summary, names the structure from which
    each run started; empty if unknown.
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
    squeeze: Mapping[str, Any] | None = None
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False, repr=False)
class TrialResults(Shown, OfTrial):
    """All results of one network trained with one strategy from one seed; a task that was not done is None."""

    network: str
    strategy: str
    seed: int
    training: TrainingCurve | None = None
    accuracy: Errors | None = None
    stability: StabilityRuns | None = None
    rdf: RadialDistributions | None = None
    dimers: Dimers | None = None
    squeeze: Squeeze | None = None
    contacts: Contacts | None = None
    probes: Mapping[str, GroupResults] = field(default_factory=dict)

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
    def squeezed(self) -> Sequence[Squeezed]:
        """The crystals under compression."""
        return self.squeeze.crystals if self.squeeze else ()

    @property
    def by_contact(self) -> Mapping[str, ContactErrors]:
        """Errors by how close atoms are, by quantity."""
        return self.contacts.quantities if self.contacts else {}

    @property
    def failures(self) -> Sequence[Frame]:
        """The frames before the failure of each MD run that failed."""
        return self.stability.failures if self.stability else ()


@dataclass(frozen=True, eq=False, repr=False)
class RunResults(Shown):
    """All content of a run folder that a report shows; parts that the run does not have are None or empty."""

    folder: Path
    name: str
    description: str
    records: tuple[Record, ...]
    census: Mapping[str, Any]
    split: Mapping[str, Any]
    teacher: Teacher | None
    teacher_squeeze: Squeeze | None
    teacher_contacts: Contacts | None
    rungs: Mapping[str, RungChoice]
    trials: tuple[TrialResults, ...]
    versions: Mapping[str, Any]
    configuration: str

    def facts(self) -> Facts:
        """See :class:`~keel.showing.Shown`."""
        strategies = dict.fromkeys(record.strategy for record in self.records)
        return {
            "of": self.name,
            "networks": ", ".join(self.networks),
            "strategies": ", ".join(strategies),
            "trials": str(len(self.records)),
            "in": str(self.folder),
        }

    def _repr_html_(self) -> str:
        """Show each trial in a row."""
        header = ("trial", "force MAE (meV/Å)", "failed runs", "MD at (K)", "close contacts per 1000 atoms")
        rows = [
            (
                f"{r.network}, {r.strategy}, seed {r.seed}",
                _number(r.force_mae_mev_per_angstrom, ".0f"),
                f"{sum(map(has_failed, r.failure_cause))} of {len(r.failure_cause)}",
                _number(r.md_temperature_k, "g"),
                _number(r.close_contacts_per_1000_atoms, ".2g"),
            )
            for r in self.records
        ]
        return table(first_rows(rows, len(rows)), title=f"Run {self.name}", header=header)

    @property
    def networks(self) -> tuple[str, ...]:
        """Names of the networks in the order of the run."""
        return tuple(dict.fromkeys(record.network for record in self.records))

    def trials_of(self, network: str, strategy: str | None = None) -> tuple[TrialResults, ...]:
        """Return the trials of a network, and of one strategy where it is given."""
        return tuple(t for t in self.trials if t.network == network and strategy in (None, t.strategy))


def _number(value: float | None, how: str) -> str:
    return "" if value is None else format(value, how)


Trials = Sequence[TrialResults]


def by_strategy(trials: Iterable[TrialResults]) -> dict[str, list[TrialResults]]:
    """Return the trials of each strategy, in order of appearance."""
    groups: dict[str, list[TrialResults]] = {}
    for trial in trials:
        groups.setdefault(trial.strategy, []).append(trial)
    return groups


def load_results(folder: str | Path) -> RunResults:
    """Read a run folder written by `keel run`.

    Raises
    ------
    DataError
        If the folder is not a run folder, or a file named in its index is absent or damaged.
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
        teacher_squeeze=Squeeze.read(root / index.teacher_squeeze) if index.teacher_squeeze else None,
        teacher_contacts=Contacts.read(root / index.teacher_contacts) if index.teacher_contacts else None,
        rungs={name: RungChoice.read(root / path) for name, path in index.rungs.items()},
        trials=trials,
        versions=read_object(root / "versions.json", ("keel",), REMEDY),
        configuration=read_text(root / "config.yaml", REMEDY),
    )


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Write the ``summary.json`` of a run."""
    write_json(path, [{k: v for k, v in asdict(record).items() if k != "sources"} for record in records])


def read_records(path: str | Path) -> tuple[Record, ...]:
    """Read the file of :func:`write_records`, which does not include the starts of MD runs.

    Raises
    ------
    DataError
        If it is absent or damaged.
    """
    path = Path(path)
    content = read_json(path, REMEDY)
    names = [f.name for f in fields(Record) if f.default is MISSING]
    if not isinstance(content, list) or not content:
        raise DataError(f"{path} is not a list of records; {REMEDY}")
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
    """Return the records with the starts of their MD runs from the task folders."""
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
        squeeze=read(folders.squeeze, Squeeze.read),
        contacts=read(folders.contacts, Contacts.read),
        probes={name: GroupResults.read(root / place) for name, place in folders.probes.items()},
    )
