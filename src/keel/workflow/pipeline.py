"""The tasks of a run, each of which obtains what it needs by calling earlier tasks."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Self, TypeVar

from keel.atoms.partial import LabelledSet
from keel.atoms.selecting import any_stay, in_memory
from keel.config import NetworkSettings, RunSettings
from keel.errors import ConfigError
from keel.evaluation import various_crystals
from keel.evaluation.battery import groups_of
from keel.identity import of_settings, of_split
from keel.kinds import TRAINED
from keel.locks import locked
from keel.potentials import Potential
from keel.results.index import RunIndex, TrialFolders
from keel.results.made import DataDescription, RungChoice
from keel.results.measured import Squeeze
from keel.results.run import write_records
from keel.training import BASELINE
from keel.workflow import make, measure
from keel.workflow.cache import NotDoneError, TaskCache
from keel.workflow.cutoffs import check_cutoffs
from keel.workflow.data import check_periodic, everything, frequent_pairs, read_data
from keel.workflow.division import described, described_anew, divide, group_key
from keel.workflow.probes import probing
from keel.workflow.summary import record_of
from keel.workflow.trial import Trial

T = TypeVar("T")
Item = TypeVar("Item", Trial, NetworkSettings)


class Pipeline:
    """The tasks of a run. A finished task costs no more than a look at its folder.

    Parameters
    ----------
    config
        The configuration.
    root
        The run folder.
    base
        Folder that relative paths in the configuration start from.
    only
        Names of the trials to perform; empty: all.
    """

    def __init__(self, config: RunSettings, root: Path, base: Path, only: tuple[str, ...] = ()) -> None:
        self.config, self.root, self.base, self.only = config, root, base, only
        self.trials = self._chosen()
        # An invalid argument is reported before anything is done.
        built = [make.build_network(self.located(network), [1], 0) for network in config.networks]
        if config.evaluation.probes:
            groups_of(config.evaluation.probes)
        self.cache = TaskCache(root)
        material = read_data(config.data, base)
        self.division = divide(material, config.data.split)
        sets = [everything(material)] if len(material) == 1 or not any_stay(material.values()) else material.values()
        self.notes = [*(note for frames in sets for note in LabelledSet(frames).notes), *self.division.notes]
        self.split = self.division.split
        self.fingerprint = of_split(self.split.parts.values())
        if config.evaluation.rdf_temperature is not None:
            check_periodic(self.split.test)
        check_cutoffs(config.teacher, self.split.train, [network.cutoff for network in built])
        self.crystals = various_crystals(self.split.test)
        dimers, what = config.evaluation.dimers, "pairs of elements are those of"
        used = everything({part: in_memory(frames, what) for part, frames in self.split.divided.items()})
        self.pairs = frequent_pairs(used, None if isinstance(dimers, bool) else dimers)

    def changed(self, config: RunSettings) -> Self:
        """Return the tasks of another configuration on the same data, divided in the same way."""
        other = copy.copy(self)
        other.config = config
        other.trials = other._chosen()
        return other

    @property
    def networks(self) -> list[NetworkSettings]:
        """The networks of the trials."""
        return [n for n in self.config.networks if any(t.network == n for t in self.trials)]

    def _chosen(self) -> list[Trial]:
        """Return the trials to perform."""
        if unknown := [name for name in self.only if name not in {t.name for t in self._all}]:
            known = ", ".join(t.name for t in self._all)
            raise ConfigError(f"there is no trial {unknown[0]!r}; choose from {known}")
        return [t for t in self._all if not self.only or t.name in self.only]

    @property
    def _all(self) -> list[Trial]:
        c = self.config
        return [Trial(network, s, seed) for network in c.networks for s in c.strategies for seed in c.seeds_of(s)]

    @property
    def data(self) -> Path:
        """Where the data and their division are described."""

        # Read once more: the frames that no part holds, perhaps most, are not kept in memory for it.
        def describe(folder: Path) -> None:
            described(self.division, everything(read_data(self.config.data, self.base))).write(folder)

        return self.cache.task("data", self.config.name, {"frames": self.fingerprint}, describe)

    def divided(self) -> DataDescription:
        """Return the description of the data as this run divides them."""
        return described_anew(self.data, self.division)

    def teacher(self) -> Path:
        """Fit the teacher."""
        settings = self.config.teacher
        inputs: dict[str, Any] = {"data": self.data.name, "teacher": of_settings(settings), "pairs": self.pairs}
        inputs |= make.code_of(settings)
        if settings.file is not None:
            settings = settings.model_copy(update={"file": str(self.base / settings.file)})
            inputs["content"] = make.content_of(Path(str(settings.file)))
        return self.cache.task(
            "teacher", self.config.name, inputs, lambda f: make.fit_teacher(f, settings, self.split, self.pairs)
        )

    def teacher_contacts(self) -> Path:
        """Divide the errors of the teacher on the test frames by how close atoms are."""
        return self._of_teacher("contacts", lambda f, p: measure.measure_contacts(f, p, self.split.test))

    def teacher_squeeze(self) -> Path | None:
        """Squeeze the crystals of the test part with the teacher; None if there are none."""
        of_teacher, crystals = self._of_teacher, self.crystals
        return of_teacher("squeeze", lambda f, p: measure.measure_squeeze(f, p, crystals)) if crystals else None

    def _of_teacher(self, kind: str, measured: Callable[[Path, Potential], None]) -> Path:
        teacher, settings = self.teacher(), self.config.teacher
        inputs = {"potential": teacher.name, "data": self.data.name}
        return self.cache.task(
            kind, self.config.name, inputs, lambda f: measured(f, make.load_teacher(teacher, settings))
        )

    @property
    def waves(self) -> list[list[Trial]]:
        """The trials; those that continue from the networks of others come later."""
        depth: dict[str, int] = {}
        for name in self.config.strategies:
            after = self.config.before(name)
            depth[name] = 0 if after is None else depth[after] + 1
        return [[t for t in self.trials if depth[t.strategy] == d] for d in range(max(depth.values()) + 1)]

    def train(self, trial: Trial) -> Path:
        """Train a network."""
        config, strategy, network = self.config, self.config.strategy(trial.strategy), self.located(trial.network)
        after = config.before(trial.strategy)
        before = None if after is None else self.train(replace(trial, strategy=after))
        inputs = {"data": self.data.name, **self._settings_of(trial)}
        if before is not None:
            started = {"start": str(before / TRAINED), "name": network.label}
            network = NetworkSettings(**started, training=network.training)
            inputs["before"] = before.name
        elif network.start is not None:
            inputs["start"] = make.content_of(Path(network.start))
        teacher = self.teacher() if strategy.needs_teacher else None
        if teacher is not None:
            inputs["teacher"] = teacher.name
        order = make.TrainingOrder(config, network, trial.strategy, trial.seed, teacher, before)
        return self.cache.task("train", trial.name, inputs, lambda f: make.train_network(f, order, self.split))

    def rung(self, network: NetworkSettings) -> Path:
        """Choose the temperature at which the strategies are compared, see :meth:`_reference`."""
        md, starts = self.config.md, self.split.validation or self.split.test
        names, potentials = self._reference(network)
        return self.cache.task(
            "rung",
            network.label,
            {"networks": names, "md": of_settings(md)},
            lambda f: measure.choose_rung(f, potentials(), starts, md, network.label),
        )

    def _reference(self, network: NetworkSettings) -> tuple[list[Any], Callable[[], list[Potential]]]:
        """Return what chooses the temperature: vanilla, or the first strategy, or the network that is repaired."""
        strategies = self.config.strategies
        name = BASELINE if BASELINE in strategies else strategies[0]
        if self.config.strategy(name).after is not None:
            given = self.located(network)
            content = make.content_of(Path(str(given.start)))
            return [self.data.name, content], lambda: [make.build_network(given, [], 0)]
        folders = [self.train(t) for t in self._all if t.network == network and t.strategy == name]
        return [f.name for f in folders], lambda: [make.potential_of(p) for p in folders]

    def evaluate(self, trial: Trial) -> TrialFolders:
        """Measure accuracy, stability, RDF, dimers and squeeze of a trained network; return where they are."""
        test, by = self.split.test, group_key(self.division.settings)
        evaluation, md, trained = self.config.evaluation, self.config.md, self.train(trial)
        rung = RungChoice.read(self.rung(trial.network))
        potential = cache(lambda: make.potential_of(trained))  # loaded if a task needs it, and only once
        inputs: dict[str, Any] = {"potential": trained.name, "data": self.data.name}
        with_md = {**inputs, "md": of_settings(md)}

        def task(kind: str, inputs: dict[str, Any], work: Callable[[Path], None], more: str = "") -> str:
            return self._relative(self.cache.task(kind, f"{trial.name}{more}", inputs, work))

        return TrialFolders(
            *trial.key,
            train=self._relative(trained),
            accuracy=task("accuracy", inputs, lambda f: measure.measure_accuracy(f, potential(), test)),
            stability=task(
                "stability",
                {**with_md, "rung": [rung.temperature_k, rung.length_fs]},
                lambda f: measure.measure_stability(f, potential(), test, rung, md, trial.name),
            ),
            rdf=None
            if evaluation.rdf_temperature is None
            else task(
                "rdf",
                {**with_md, "evaluation": of_settings(evaluation), "by": by},
                lambda f: measure.measure_rdf(f, potential(), test, evaluation, md, trial.name, by),
            ),
            dimers=None
            if not evaluation.dimers
            else task(
                "dimers",
                {**inputs, "pairs": self.pairs},
                lambda f: measure.measure_dimers(f, potential(), self.pairs),
            ),
            squeeze=None
            if not self.crystals
            else task("squeeze", inputs, lambda f: measure.measure_squeeze(f, potential(), self.crystals)),
            contacts=task("contacts", inputs, lambda f: measure.measure_contacts(f, potential(), test)),
            probes={
                group: task("probes", *probing(group, inputs, potential, test, evaluation, by))
                for group in evaluation.probes
            },
        )

    def found(self, ask: Callable[[Item], T], trial: Item) -> T | None:
        """Return the result of a task of a trial or network if it is done, else None; nothing is computed.

        For example ``pipeline.found(pipeline.train, trial)``.
        """
        try:
            with self.cache.looking():
                return ask(trial)
        except NotDoneError:
            return None

    def alone(self) -> AbstractContextManager[None]:
        """Keep other processes from writing the files of all trials in the run folder while a block runs."""
        return locked(self.root / ".results")

    def write_results(self, finished: Sequence[TrialFolders]) -> None:
        """Write ``results.json`` (where everything is) and ``summary.json`` (a row for each trial)."""
        finished = self._with_earlier(finished)
        evaluated, squeeze = {folders.network for folders in finished}, self.teacher_squeeze()
        index = RunIndex(
            name=self.config.name,
            description=self.config.description,
            data=self._relative(self.data),
            teacher=self._relative(self.teacher()),
            teacher_squeeze=None if squeeze is None else self._relative(squeeze),
            teacher_contacts=self._relative(self.teacher_contacts()),
            rungs={n.label: self._relative(self.rung(n)) for n in self.config.networks if n.label in evaluated},
            cells=finished,
        )
        index.write(self.root)
        frames, teacher = len(self.split.train), None if squeeze is None else Squeeze.read(squeeze)
        records = (record_of(self.root, self.config.name, frames, folders, teacher) for folders in finished)
        write_records(self.root / "summary.json", records)

    def _with_earlier(self, finished: Sequence[TrialFolders]) -> list[TrialFolders]:
        """Return these in order, with other trials that are finished with these settings and these data."""
        if not self.only:
            return list(finished)
        own = {folders.key: folders for folders in finished}
        found = [own.get(trial.key) or self.found(self.evaluate, trial) for trial in self._all]
        return [folders for folders in found if folders is not None]

    def _settings_of(self, trial: Trial) -> dict[str, Any]:
        """Return the settings that the training of a trial depends on."""
        strategy = self.config.strategy(trial.strategy)
        perturbation = {"perturbation": of_settings(self.config.perturbation)} if strategy.needs_teacher else {}
        return {
            "network": of_settings(trial.network, exclude=("training",)),
            **make.code_of(trial.network),
            "strategy": of_settings(strategy),
            "training": of_settings(self.config.training_of(trial.network)),
            "seed": trial.seed,
            **perturbation,
        }

    def located(self, network: NetworkSettings) -> NetworkSettings:
        """Return the settings with the path of the file that the network starts from, if there is one."""
        if network.start is None:
            return network
        return network.model_copy(update={"start": str(self.base / network.start)})

    def _relative(self, folder: Path) -> str:
        return folder.relative_to(self.root).as_posix()
