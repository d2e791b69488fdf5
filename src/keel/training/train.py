"""Train a network: all stages of a strategy, resumable."""

from __future__ import annotations

import copy
import csv
import hashlib
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from keel.atoms.frame import Frame
from keel.atoms.neighbours import graph_of
from keel.errors import ConfigError, DataError
from keel.files import replace_file
from keel.fitting.offsets import fit_offsets
from keel.launch import launched, size_of_job
from keel.perturbation import PerturbationSettings, PerturbationStream
from keel.potentials.base import Potential
from keel.potentials.compiling.compiled import compiling
from keel.potentials.external import ASEPotential
from keel.potentials.networks.network import Network
from keel.process import give_back_freed_memory, keep_freed_memory
from keel.training.batches import BatchSource, FrameBatches
from keel.training.checkpoint import TrainingState, adopt_best, load_state, restore_optimizer, save_state
from keel.training.delta import base_of, on_top_of, remainder, taught_remainder
from keel.training.ema import MovingAverage
from keel.training.loop import Row, run_stage, validation_batches
from keel.training.losses import Objective
from keel.training.settings import LossSettings, TrainingSettings
from keel.training.strategies import Stage, Strategy, stages_of, strategy_of

if TYPE_CHECKING:
    from lightning.fabric import Fabric


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """A trained network and what it cost.

    Parameters
    ----------
    potential
        The network with the weights that did best in validation; with a strategy that has a base, the sum of both.
    history
        Metrics of each optimiser step.
    pretrain_steps, train_steps
        Optimiser steps on teacher labels first, and afterwards.
    gradient_evaluations
        Gradients of the loss taken (sharpness-aware steps take two).
    seconds
        Wall time of the steps.
    """

    potential: Potential
    history: list[Row]
    pretrain_steps: int
    train_steps: int
    gradient_evaluations: int
    seconds: float


def train(
    network: Network,
    frames: Sequence[Frame],
    *,
    strategy: str | Strategy = "vanilla",
    teacher: Potential | None = None,
    validation: Sequence[Frame] = (),
    settings: TrainingSettings | None = None,
    perturbation: PerturbationSettings | None = None,
    seed: int = 0,
    folder: str | Path | None = None,
    fresh: bool = True,
    on_step: Callable[[Row], None] | None = None,
) -> TrainingResult:
    """Train a network on DFT-labelled frames, with or without pretraining.

    The network's energy offsets are fitted to the labels, and its scale is set to the root mean square of the force
    components of ``frames``; both stay as they are through all stages. A teacher's zero of energy is aligned with
    that of the DFT labels element by element, so that it never leaks into the network.

    Parameters
    ----------
    network
        The network; it is trained in place (use the result's potential if the strategy has a base).
    frames
        Training frames. With a teacher they are also the parents of the perturbed structures.
    strategy
        A name of :data:`~keel.training.strategies.STRATEGIES` (``"vanilla"``, ``"sam"``, ``"pretrain"``, ...), or a
        :class:`Strategy`.
    teacher
        Labels the perturbed structures, usually ``keel.fit_eam(frames).potential``.
    validation
        Frames that choose the weights to keep: the averaged weights with the lowest loss. Without them the last ones.
    settings, perturbation
        Settings; defaults if None.
    seed
        Of batches and perturbations. (Seed the weights with ``torch.manual_seed`` before building the network.)
    folder
        For ``checkpoint.safetensors`` and ``metrics.csv``. A run that was killed goes on from there when it is
        called again with the same arguments, and ends with the same numbers.
    fresh
        False if the network has been trained before, here or elsewhere: its scale stays as it is, and its energies
        are moved, element by element, to the zero of the labels.
    on_step
        Called with the metrics of each step.

    Raises
    ------
    ConfigError
        If the strategy needs a teacher and there is none, or settings contradict each other.
    DataError
        If there are no labels to learn from or to choose the weights by, or the network does not know an element.

    Examples
    --------
    >>> import keel
    >>> frames = keel.datasets.phosphorus()[:8]
    >>> network = keel.CGCNN(elements=["P"], features=16, convolutions=1)
    >>> settings = keel.TrainingSettings(steps=3, batch_size=2)
    >>> keel.train(network, frames, settings=settings).train_steps
    3
    """
    keep_freed_memory()
    settings = settings or TrainingSettings()
    devices, nodes = size_of_job(settings.devices, settings.nodes)
    settings = settings.model_copy(update={"devices": devices, "nodes": nodes})
    strategy = strategy_of(strategy)
    if fresh and strategy.after is not None:
        raise ConfigError(f"this strategy goes on from a network trained with {strategy.after!r}; give it as a start")
    if not fresh and strategy.base == "teacher":
        raise ConfigError("a network that is trained already has learnt what the teacher under it gives; start anew")
    if strategy.needs_teacher and teacher is None:
        raise ConfigError("this strategy needs a teacher; give teacher=keel.fit_eam(frames).potential")
    stages = stages_of(strategy, settings)
    _check_elements(network, [*frames, *validation])
    _check_labels(validation, settings.loss)
    base = base_of(strategy, network, teacher)
    frames, validation, teacher = (
        remainder(frames, base),
        remainder(validation, base),
        taught_remainder(teacher, base),
    )
    prepare(network, frames, fresh)
    fabric = launched(settings.device, devices, nodes, settings.precision)
    sources = _sources(network, frames, strategy, teacher, settings, perturbation, seed, fabric.world_size)
    state = TrainingState(fabric.to_device(network).train(), MovingAverage(network, settings.ema_decay))
    checkpoint = None if folder is None else Path(folder) / "checkpoint.safetensors"
    moves = perturbation if strategy.learns_from_teacher else None
    # Weights to go on from are an input; those of a new network follow from its seed.
    used = (None if fresh else network, teacher if strategy.learns_from_teacher else None, base)
    potentials = [potential for potential in used if potential is not None]
    identity = _identity(network, potentials, [*frames, *validation], strategy, settings, moves, seed)
    entries = load_state(checkpoint, state, identity) if checkpoint and checkpoint.is_file() else {}
    graphs = [fabric.to_device(g) for g in validation_batches([graph_of(f, network.cutoff) for f in validation])]
    objective = fabric.setup_module(Objective(network, settings.loss))
    work = sum(stage.steps for stage in stages) * settings.batch_size * sum(map(len, frames)) / len(frames)
    while state.stage < len(stages):
        stage = stages[state.stage]
        optimizer = _optimizer(fabric, network, settings)
        if entries:
            restore_optimizer(optimizer, entries)
            entries = {}

        def after_step(row: Row, optimizer: torch.optim.Optimizer = optimizer) -> None:
            if on_step is not None:
                on_step(row)
            if checkpoint and fabric.is_global_zero and state.step % settings.checkpoint_every == 0:
                save_state(checkpoint, state, optimizer, identity)

        with compiling(network, settings.compile, work):
            run_stage(fabric, state, objective, optimizer, stage, settings, sources, graphs, after_step)
        state.stage, state.step = state.stage + 1, 0
        if checkpoint and fabric.is_global_zero:
            save_state(checkpoint, state, None, identity)
    adopt_best(state)
    if checkpoint and fabric.is_global_zero:
        write_metrics(checkpoint.with_name("metrics.csv"), state.history)
    give_back_freed_memory()
    return _result(on_top_of(base, network.eval()), state, stages)


def prepare(network: Network, frames: Sequence[Frame], fresh: bool = True) -> None:
    """Fit the network's energy offsets to the labels and set its scale to the RMS force component of the frames.

    Neither is done to a network that is not fresh; its zero of energy is moved to that of the labels.
    """
    labels = fit_offsets([f for f in frames if f.energy is not None])
    if not fresh:
        network.energy_offsets.copy_(aligned(network, frames, labels).energy_offsets)
        return
    network.set_offsets(labels)
    forces = [f.forces for f in frames if f.forces is not None]
    if forces:
        rms = float(np.sqrt(np.mean(np.concatenate(forces) ** 2)))
        # Frames at rest have no force to measure by.
        network.scale.fill_(rms if rms > 1e-3 else 1.0)


def aligned(teacher: Potential, frames: Sequence[Frame], offsets: dict[int, float]) -> Potential:
    """Return a copy of the teacher with its zero of energy moved, element by element, to that of the DFT labels.

    The offsets of the teacher's own energies of the frames are fitted as those of the labels are; their difference
    is added. What the network learns from the teacher then continues in the DFT labels without a step.
    """
    energies = np.array([float(teacher(graph_of(f, teacher.cutoff).to(teacher.device)).energy) for f in frames])
    known = np.isfinite(energies)
    own = fit_offsets([f for f, k in zip(frames, known, strict=True) if k], energies[known])
    teacher = copy.deepcopy(teacher)
    for number, value in offsets.items():
        teacher.energy_offsets[number] += value - own.get(number, value)
    return teacher


def write_metrics(path: Path, history: Sequence[Row]) -> None:
    """Write the metrics of each step as CSV."""
    columns = list(dict.fromkeys(key for row in history for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    replace_file(path, lambda temporary: temporary.write_text(text.getvalue()))


def _sources(
    network: Network,
    frames: Sequence[Frame],
    strategy: Strategy,
    teacher: Potential | None,
    settings: TrainingSettings,
    perturbation: PerturbationSettings | None,
    seed: int,
    ranks: int,
) -> dict[bool, BatchSource]:
    sources: dict[bool, BatchSource] = {False: FrameBatches(frames, network.cutoff, settings.batch_size, seed, ranks)}
    if strategy.learns_from_teacher:
        assert teacher is not None
        offsets = fit_offsets([f for f in frames if f.energy is not None])
        sources[True] = PerturbationStream(
            frames,
            aligned(teacher, frames, offsets),
            perturbation or PerturbationSettings(),
            cutoff=network.cutoff,
            batch_size=settings.batch_size,
            forces_only=not strategy.teacher_energies,
            seed=seed,
        )
    return sources


def _optimizer(fabric: Fabric, network: Network, settings: TrainingSettings) -> Any:
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, betas=(0.9, 0.99)
    )
    return fabric.setup_optimizers(optimizer)


def _check_elements(network: Network, frames: Sequence[Frame]) -> None:
    for frame in frames:
        unknown = sorted(set(frame.numbers.tolist()) - set(network.elements or ()))
        if unknown:
            from keel.atoms.elements import symbol

            raise DataError(
                f"{frame.source}: the network does not know {', '.join(map(symbol, unknown))}; "
                "name all elements of the data when building it"
            )


def _check_labels(validation: Sequence[Frame], weights: LossSettings) -> None:
    used = [name for name in ("energy", "forces", "stress") if getattr(weights, name)]
    if validation and all(getattr(frame, name) is None for frame in validation for name in used):
        raise DataError(
            f"none of the {len(validation)} validation frames has {' or '.join(used)} to choose the weights by; "
            "give labelled ones, or none"
        )


def _identity(network: Network, potentials: Sequence[Potential], frames: Sequence[Frame], *settings: Any) -> str:
    """Return a hash of everything that determines the course of training."""
    digest = hashlib.sha256(json.dumps([type(network).__name__, network.config()]).encode())
    for potential in potentials:
        # Of a calculator no more is known than that it is one.
        config = None if isinstance(potential, ASEPotential) else potential.config()
        digest.update(json.dumps([type(potential).__name__, config], default=str).encode())
        for name, tensor in potential.state_dict().items():
            digest.update(name.encode() + tensor.cpu().numpy().tobytes())
    for frame in frames:
        digest.update(frame.numbers.tobytes() + frame.positions.tobytes() + frame.cell.tobytes() + frame.pbc.tobytes())
        digest.update(repr(frame.energy).encode())
        for label in (frame.forces, frame.stress):
            digest.update(b"-" if label is None else label.tobytes())
    for part in settings:
        digest.update((part.model_dump_json() if hasattr(part, "model_dump_json") else repr(part)).encode())
    return digest.hexdigest()


def _result(potential: Potential, state: TrainingState, stages: Sequence[Stage]) -> TrainingResult:
    return TrainingResult(
        potential=potential,
        history=state.history,
        pretrain_steps=sum(s.steps for s in stages if s.name == "pretrain"),
        train_steps=sum(s.steps for s in stages if s.name == "train"),
        gradient_evaluations=state.gradient_evaluations,
        seconds=state.seconds,
    )
