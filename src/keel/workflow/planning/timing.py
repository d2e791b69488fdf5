"""Timings of the steps of a run on this machine: a few optimiser steps, steps of MD, evaluations."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from keel.atoms.frame import Frame
from keel.atoms.neighbours import graph_of
from keel.atoms.splits import evenly
from keel.config import NetworkSettings
from keel.dynamics import simulate
from keel.dynamics.settings import ComputeSettings, SimulationSettings
from keel.errors import KeelWarning
from keel.evaluation import accuracy, dimers, squeeze
from keel.potentials import Potential
from keel.training import Strategy, TrainingSettings, train
from keel.training.metrics import READ_EVERY
from keel.workflow import make

if TYPE_CHECKING:
    from collections.abc import Iterator

    from keel.training.metrics import Row
    from keel.workflow.pipeline import Pipeline

STEPS = 8
"""Timed optimiser steps of each kind, and steps of MD."""
FIRST = 3
"""Warm-up steps: these load code and allocate memory that later ones reuse."""
LENGTHS = 4
"""Number of lengths of a squeezed crystal."""


@dataclass(frozen=True)
class Costs:
    """Time of the work with one network in seconds, uncompiled.

    Parameters
    ----------
    labelled_step, taught_step
        An optimiser step on frames of the data, and on structures that the teacher labels; one gradient.
    preparation
        Of a training frame: its neighbours are found.
    prediction
        Of a frame of average size.
    md_step
        Of one simulated structure.
    squeeze
        Of all crystals.
    dimer
        Of one pair of elements.
    """

    labelled_step: float
    taught_step: float
    preparation: float
    prediction: float
    md_step: float
    squeeze: float
    dimer: float


class Stopwatch:
    """Records when each step of training was reported, by stage.

    Parameters
    ----------
    skipped
        First steps of each stage that do not count: those that load code, or are read together.
    """

    def __init__(self, skipped: int) -> None:
        self.skipped = skipped
        self.seen: dict[str, list[float]] = {}

    def __call__(self, row: Row) -> None:
        """Record a step."""
        self.seen.setdefault(row["stage"], []).append(time.perf_counter())

    def step(self, stage: str) -> float:
        """Return the mean seconds of a step of a stage; 0 if there is none."""
        seen = self.seen.get(stage, [])[self.skipped - 1 :]
        return (seen[-1] - seen[0]) / (len(seen) - 1) if seen else 0.0


def measure(pipeline: Pipeline, network: NetworkSettings) -> Costs:
    """Measure the time of the work with a network, by doing a little of each part.

    The teacher has been fitted; training frames, test frames and starts are those of the run.
    """
    config, split = pipeline.config, pipeline.split
    with _quiet():
        watch, potential = _trained(pipeline, network)
        some = representative(split.test, STEPS)
        accuracy(potential, some[:1])  # loads code
        return Costs(
            labelled_step=watch.step("train"),
            taught_step=watch.step("pretrain"),
            preparation=_seconds(lambda: [graph_of(f, potential.cutoff) for f in some]) / len(some),
            prediction=_seconds(lambda: accuracy(potential, some)) / len(some),
            md_step=md_step(potential, evenly(split.test, config.md.runs), config.md, min(config.md.temperatures)),
            squeeze=_squeeze(potential, pipeline.crystals),
            dimer=_seconds(lambda: dimers(potential, pairs=pipeline.pairs[:1])) if pipeline.pairs else 0.0,
        )


def representative(frames: Sequence[Frame], number: int) -> list[Frame]:
    """Return some frames with the same spread of sizes as all."""
    return evenly(sorted(frames, key=len), number)


def md_step(potential: Potential, starts: Sequence[Frame], md: SimulationSettings, temperature: float) -> float:
    """Return the seconds that a step of one simulated structure takes, in batches of these starts."""
    settings = md.md(temperature, (FIRST + STEPS) * md.timestep_of(starts))
    seen: list[tuple[int, float]] = []
    simulate(
        potential,
        starts,
        settings,
        criteria=[],
        compute=ComputeSettings(compile=False),
        callback=lambda done, _: seen.append((done, time.perf_counter())),
    )
    # Runs that end at once have only their first steps.
    (first, started), (last, ended) = seen[min(FIRST, len(seen)) - 1], seen[-1]
    return (ended - started) / (last - first) if last > first else 0.0


def _trained(pipeline: Pipeline, network: NetworkSettings) -> tuple[Stopwatch, Potential]:
    """Take a few steps of each kind and return their times and the result."""
    config, strategies = pipeline.config, [pipeline.config.strategy(name) for name in pipeline.config.strategies]
    settings, learning = config.training_of(network), [s for s in strategies if s.learns_from_teacher]
    teacher = make.load_teacher(pipeline.teacher(), config.teacher) if learning else None
    model = make.build_network(pipeline.located(network), make.elements_of(pipeline.split), seed=0)
    base = learning[0].base if learning and not model.trained else None
    clamped = base is not None and learning[0].clamped
    watch = Stopwatch(skipped=FIRST if training_device(settings).type == "cpu" else READ_EVERY)
    steps = watch.skipped + STEPS
    found = train(
        model,
        representative(pipeline.split.train, (FIRST + STEPS) * settings.batch_size * settings.accumulate),
        strategy=Strategy(pretrain_share=0.5, base=base, clamped=clamped) if learning else Strategy(),
        teacher=teacher,
        settings=settings.replace(steps=2 * steps if learning else steps, patience=None, compile=False, loggers=[]),
        perturbation=config.perturbation,
        loggers=[watch],
    )
    # Elsewhere in a run it is read from its file, which leaves it on the CPU.
    return watch, found.potential.cpu()


def training_device(settings: TrainingSettings) -> torch.device:
    """Return where a network trains."""
    kinds = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    found = next((kind for kind, there in kinds.items() if there), "cpu")
    return torch.device(found if settings.device == "auto" else settings.device)


def _squeeze(potential: Potential, crystals: Sequence[Frame]) -> float:
    from keel.evaluation.equilibrium.squeeze import STEPS as FULL

    if not crystals:
        return 0.0
    return _seconds(lambda: squeeze(potential, crystals, steps=LENGTHS - 1)) * (FULL + 1) / LENGTHS


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress warnings, which the real training and simulation will give."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", KeelWarning)
        yield
