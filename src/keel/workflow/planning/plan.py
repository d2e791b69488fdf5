"""The plan that a run prints before it starts: what it will do, and how long that takes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from keel.config import NetworkSettings, RunSettings
from keel.progress import console
from keel.showing import number_of
from keel.training.known import BASELINE, subject_of
from keel.wording import duration, listed
from keel.workflow.data import everything
from keel.workflow.pipeline import Pipeline
from keel.workflow.planning.budget import fitted, remember, remembered
from keel.workflow.planning.forecast import Forecast, forecast_of
from keel.workflow.planning.proposal import facts
from keel.workflow.planning.timing import measure


def planned(pipeline: Pipeline, budget: float | None = None, workers: int = 1) -> Pipeline:
    """Print what a run will do and how long it takes; return its tasks, with training steps that fit a budget.

    Steps of the work ahead are timed, for which the teacher is fitted. If everything is done, nothing is timed.

    Parameters
    ----------
    pipeline
        The tasks.
    budget
        Seconds that the run may take, from now on; None: as many as it takes.
    workers
        Processes that will share the tasks.

    Raises
    ------
    ConfigError
        If the budget is too small.
    """
    started, asked = time.perf_counter(), pipeline.config
    divided = pipeline.division.to_dict()["description"]
    _say("plan", *facts(everything(pipeline.split.divided)), f"{divided[0].lower()}{divided[1:].rstrip('.')}")
    earlier = remembered(pipeline.root, pipeline.config, budget) if budget else None
    if earlier is not None:
        pipeline = pipeline.changed(earlier)
        _say("plan", f"{_fit(pipeline, budget, asked)}, as determined before")
    if all(pipeline.found(pipeline.evaluate, trial) is not None for trial in pipeline.trials):
        _say("plan", *_work(pipeline), "everything is done; the report is written again")
        return pipeline
    forecast, pipeline = _measured(pipeline, budget if earlier is None else None, workers, started)
    if budget and earlier is None:
        _say("plan", _fit(pipeline, budget, asked))
    _say("plan", *_work(pipeline))
    _say("time", _in_words(forecast))
    pipeline.cache.left = forecast.left
    return pipeline


def _measured(pipeline: Pipeline, budget: float | None, workers: int, started: float) -> tuple[Forecast, Pipeline]:
    """Return how long a run takes, and its tasks, fitted to the budget if there is one."""
    pipeline.teacher()
    with _threads_of(workers):
        costs = {network.label: measure(pipeline, network) for network in _unfinished(pipeline)}
    if budget is not None:
        spent = time.perf_counter() - started

        def needed(config: RunSettings) -> float:
            return spent + forecast_of(pipeline.changed(config), costs, workers).total

        found = fitted(pipeline.config, budget, needed)
        remember(pipeline.root, pipeline.config, budget, found)
        pipeline = pipeline.changed(found)
    return forecast_of(pipeline, costs, workers), pipeline


def _unfinished(pipeline: Pipeline) -> list[NetworkSettings]:
    """Return the networks for which something is to be done."""
    open_trials = [trial for trial in pipeline.trials if pipeline.found(pipeline.evaluate, trial) is None]
    return [network for network in pipeline.networks if any(trial.network == network for trial in open_trials)]


@contextmanager
def _threads_of(workers: int) -> Iterator[None]:
    """Compute on as many threads as each of the processes will."""
    before = torch.get_num_threads()
    torch.set_num_threads(before if workers == 1 else 1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _say(kind: str, *sentences: str) -> None:
    for sentence in sentences:
        console.print(f"{kind:>9}  {sentence}", soft_wrap=True)


def _work(pipeline: Pipeline) -> list[str]:
    """Return descriptions of what is trained and simulated."""
    config, trials = pipeline.config, pipeline.trials
    networks, strategies, seeds = (list(dict.fromkeys(names)) for names in zip(*(t.key for t in trials), strict=True))
    training = f"{listed(networks)} trained with {listed(strategies)}"
    training += f" from {len(seeds)} seed{'s' * (len(seeds) != 1)}, {_steps(pipeline)} each"
    md = config.md
    simulations = f"MD: {number_of(md.runs, 'run')} of {md.length_fs / 1000:g} ps with each network, at"
    lowest, highest = min(md.temperatures), max(md.temperatures)
    if lowest == highest:
        return [training, f"{simulations} {lowest:g} K"]
    return [training, f"{simulations} the lowest of {lowest:g} to {highest:g} K at which {subject_of(BASELINE)} fails"]


def _fit(pipeline: Pipeline, budget: float | None, asked: RunSettings) -> str:
    """Return how a budget has changed the configuration."""
    length, before = pipeline.config.md.length_fs, asked.md.length_fs
    shortened = f", simulations shortened from {before / 1000:g} to {length / 1000:g} ps" if length < before else ""
    return f"--budget: {_steps(pipeline)} of training fit {duration(budget or 0.0)}{shortened}"


def _steps(pipeline: Pipeline) -> str:
    """Return ``1,500 steps``, ``1,500 to 3,000 steps`` where networks have their own; with patience ``at most``."""
    settings = [pipeline.config.training_of(network) for network in pipeline.networks]
    steps = sorted({s.steps for s in settings})
    at_most = "at most " if any(s.patience is not None for s in settings) else ""
    return at_most + " to ".join(f"{number:,}" for number in sorted({steps[0], steps[-1]})) + " steps"


def _in_words(forecast: Forecast) -> str:
    """Return the time in words, and its parts."""
    parts = [f"{name} {rounded(seconds)}" for name, seconds in forecast.by_kind().items() if seconds]
    until = time.strftime("%H:%M", time.localtime(time.time() + forecast.total))
    return f"about {rounded(forecast.total)}, until {until} ({listed(parts)})"


def rounded(seconds: float) -> str:
    """Return a predicted time with no more digits than are known."""
    unit = next(unit for least, unit in ((3600, 600), (600, 60), (60, 10), (0, 5)) if seconds >= least)
    return duration(max(unit, unit * round(seconds / unit)))
