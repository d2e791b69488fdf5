"""How long a run takes: the seconds of each task, predicted from timings of small parts, and what is left."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from keel.errors import DataError
from keel.potentials.compiling.compiled import worth_compiling
from keel.training.known import BASELINE
from keel.training.strategies import stages_of
from keel.workflow.cache import seconds_of
from keel.workflow.pipeline import Pipeline
from keel.workflow.planning.timing import Costs, training_device
from keel.workflow.probes import probes_end, settings_of
from keel.workflow.trial import Trial

Task = tuple[str, str]
"""Kind and name, as in the run folder."""

RUNG, FAILING = 0.75, 0.75
"""Share of the longest search for a temperature, and of vanilla's simulations at it, that is actually simulated, since
failed runs stop early."""
HOT = 1.15
"""Time of a step of hot MD, in units of an initial one: atoms come close, and neighbour lists are rebuilt more
often."""
SECOND_GRADIENT = 1.9
"""Time of a sharpness-aware step, in units of a plain one."""
COMPILED = {"train": 0.6, "md": 0.6}
"""Time of compiled steps in units of uncompiled ones."""
COMPILING = {"train": 50.0, "md": 12.0}
"""Seconds in each task; code already cached on disk takes less."""
REPORT = 10.0
"""Seconds for each network, mostly for the figures."""


@dataclass(frozen=True)
class Forecast:
    """The seconds of each task that is still to be done.

    Parameters
    ----------
    root
        The run folder.
    seconds
        By kind and name of the tasks.
    workers
        Processes that share them.
    begun
        When the forecast was made, as :func:`time.time`.
    networks
        Number of networks in the report.
    """

    root: Path
    seconds: Mapping[Task, float]
    workers: int = 1
    begun: float = field(default_factory=time.time)
    networks: int = 1

    @property
    def total(self) -> float:
        """Seconds of the whole run."""
        return self._shared(self.seconds)

    def left(self) -> float:
        """Return the seconds that are left, judged by those that finished tasks have taken."""
        done = {task: taken for task in self.seconds if (taken := self._taken(task)) is not None}
        pace = _paces(self.seconds, done)
        return self._shared({t: pace[t[0]] * s for t, s in self.seconds.items() if t not in done})

    def by_kind(self) -> dict[str, float]:
        """Return the seconds of training, of simulations and of the rest."""
        found = {"training": 0.0, "MD": 0.0, "everything else": self._report}
        for (kind, _), seconds in self.seconds.items():
            found[{"train": "training", "rung": "MD", "stability": "MD", "rdf": "MD"}.get(kind, "everything else")] += (
                seconds
            )
        return found

    @property
    def _report(self) -> float:
        return REPORT * self.networks

    def _shared(self, seconds: Mapping[Task, float]) -> float:
        """Return how long the processes take together; a task is done by one."""
        total = self._report
        for training in (True, False):
            parts = [s for (kind, _), s in seconds.items() if (kind == "train") == training]
            total += max([sum(parts) / self.workers, *parts])
        return total

    def _taken(self, task: Task) -> float | None:
        """Return the seconds that a task has taken since; None if it is not done."""
        kind, name = task
        for done in self.root.glob(f"stages/{kind}/{name}-*/done.json"):
            if done.stat().st_mtime >= self.begun:
                try:
                    return seconds_of(done.parent)
                except DataError:  # being written
                    return None
        return None


def _paces(expected: Mapping[Task, float], taken: Mapping[Task, float]) -> Mapping[str, float]:
    """Return by kind how much longer tasks take than expected; kinds without a finished task count as the others do."""
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for task, seconds in taken.items():
        for key in (task[0], ""):
            sums[key][0] += seconds
            sums[key][1] += expected[task]
    over = {key: a / b for key, (a, b) in sums.items() if b > 0}
    default = over.get("", 1.0)
    return defaultdict(lambda: default, over)


def forecast_of(pipeline: Pipeline, costs: Mapping[str, Costs], workers: int = 1) -> Forecast:
    """Return the forecast of a run from the costs of each network, by its name in tables.

    Finished tasks, and networks without costs, are left out.
    """
    seconds: dict[Task, float] = {}
    for network in pipeline.networks:
        if network.label in costs and pipeline.found(pipeline.rung, network) is None:
            seconds["rung", network.label] = _rung(pipeline, costs[network.label])
    for trial in pipeline.trials:
        if (cost := costs.get(trial.network.label)) is None or pipeline.found(pipeline.evaluate, trial) is not None:
            continue
        if pipeline.found(pipeline.train, trial) is None:
            seconds["train", trial.name] = _training(pipeline, trial, cost)
        seconds |= {(kind, trial.name): s for kind, s in _evaluation(pipeline, trial, cost).items()}
        for group in pipeline.config.evaluation.probes:
            seconds["probes", f"{trial.name}{probes_end(group)}"] = _probing(pipeline, group, cost)
    return Forecast(pipeline.root, seconds, workers, networks=len(pipeline.networks))


def _training(pipeline: Pipeline, trial: Trial, cost: Costs) -> float:
    config, split = pipeline.config, pipeline.split
    strategy, settings = config.strategy(trial.strategy), config.training_of(trial.network)
    seconds, steps = 0.0, 0
    for stage in stages_of(strategy, settings):
        taught = sum(stage.from_teacher(step) for step in range(stage.steps))
        plain = taught * cost.taught_step + (stage.steps - taught) * cost.labelled_step
        seconds += plain * (SECOND_GRADIENT if stage.sam_rho else 1.0)
        steps += stage.steps
    work = steps * settings.accumulate * settings.batch_size * sum(map(len, split.train)) / len(split.train)
    device = training_device(settings)
    if settings.compile if settings.compile is not None else worth_compiling(device, work):
        seconds = _compiled("train", seconds)
    seconds += (steps // settings.validate_every + 1) * len(split.validation) * cost.prediction
    return seconds + len(split.train) * cost.preparation


def _rung(pipeline: Pipeline, cost: Costs) -> float:
    md = pipeline.config.md
    length = (md.rung_fs or md.length_fs) * len(md.temperatures)
    return RUNG * _md(pipeline, cost, md.runs, length, compiled_by=md.rung_fs or md.length_fs)


def _evaluation(pipeline: Pipeline, trial: Trial, cost: Costs) -> dict[str, float]:
    md, evaluation, judged = pipeline.config.md, pipeline.config.evaluation, len(pipeline.split.test) * cost.prediction
    runs = _md(pipeline, cost, md.runs, md.length_fs)
    found = {"accuracy": judged, "contacts": judged}
    found["stability"] = runs * (FAILING if trial.strategy == BASELINE else 1.0)
    if evaluation.rdf_temperature is not None:
        found["rdf"] = _md(pipeline, cost, evaluation.rdf_runs, evaluation.rdf_length_fs)
    if evaluation.dimers:
        found["dimers"] = len(pipeline.pairs) * cost.dimer
    return found | ({"squeeze": cost.squeeze} if pipeline.crystals else {})


def _probing(pipeline: Pipeline, group: str, cost: Costs) -> float:
    """Return the seconds of a group of probes; 0 for a group that is not known here, such as a plugin's."""
    settings, judged = settings_of(pipeline.config.evaluation), len(pipeline.split.test) * cost.prediction
    simulated = _md(pipeline, cost, settings.starts, settings.length_fs)
    known = {
        "stability": len(settings.temperatures) * simulated,
        "structure": simulated,
        "density": simulated,
        "accuracy": judged,
        "contacts": judged,
        "clusters": len(pipeline.pairs) * cost.dimer,
        "compression": cost.squeeze,
        "equilibrium": cost.squeeze,
    }
    return known.get(group, 0.0)


def _md(pipeline: Pipeline, cost: Costs, runs: int, length_fs: float, compiled_by: float | None = None) -> float:
    """Return the seconds of some simulations; whether they run compiled depends on the length of each."""
    timestep = pipeline.config.md.timestep_of(pipeline.split.test)
    atoms = sum(map(len, pipeline.split.test)) / len(pipeline.split.test)
    work = runs * atoms * (compiled_by or length_fs) / timestep
    seconds = HOT * runs * length_fs / timestep * cost.md_step
    return _compiled("md", seconds) if worth_compiling(torch.device("cpu"), work) else seconds


def _compiled(kind: str, seconds: float) -> float:
    """Return the time of uncompiled work when it is compiled."""
    return COMPILED[kind] * seconds + COMPILING[kind]
