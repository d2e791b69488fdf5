"""The training loop: one stage, step by step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from keel.atoms.graph import AtomGraph, collate
from keel.errors import KeelError
from keel.potentials.batches import groups
from keel.training.checkpoint import TrainingState
from keel.training.losses import loss
from keel.training.sam import ascended
from keel.training.settings import TrainingSettings
from keel.training.strategies import Stage

if TYPE_CHECKING:
    from lightning.fabric import Fabric

Row = dict[str, Any]

USUAL_DECAY = 0.95
"""Of the running mean of gradient norms: about the last twenty DFT batches."""


class TrainingError(KeelError):
    """Training cannot go on."""


def run_stage(
    fabric: Fabric,
    state: TrainingState,
    objective: nn.Module,
    optimizer: torch.optim.Optimizer,
    stage: Stage,
    settings: TrainingSettings,
    batches: Iterator[AtomGraph],
    validation: Sequence[AtomGraph],
    after_step: Callable[[Row], None],
) -> None:
    """Take the remaining optimiser steps of a stage.

    ``objective`` is the :class:`~keel.training.losses.Objective` of the network of ``state``, wrapped by Fabric;
    ``batches`` are those of the remaining steps.
    ``after_step`` is called with the metrics of each step.
    """
    while state.step < stage.steps:
        started = time.perf_counter()
        rate = learning_rate(stage, settings, state.step)
        for group in optimizer.param_groups:
            group["lr"] = rate
        graph = fabric.to_device(next(batches))
        parts = step(fabric, state, objective, optimizer, graph, stage, settings)
        state.average.update(state.network, state.step)
        state.step += 1
        row: Row = {
            "taken": len(state.history) + 1,
            "stage": stage.name,
            "step": state.step,
            "learning_rate": rate,
        } | {name: float(value.detach()) for name, value in parts.items()}
        if validation and (state.step % settings.validate_every == 0 or state.step == stage.steps):
            row |= validate(state, validation, settings)
            if stage.name == "train":
                keep_best(state, row["validation"])
        state.seconds += time.perf_counter() - started
        state.history.append(row)
        after_step(row)


def step(
    fabric: Fabric,
    state: TrainingState,
    objective: nn.Module,
    optimizer: torch.optim.Optimizer,
    graph: AtomGraph,
    stage: Stage,
    settings: TrainingSettings,
) -> dict[str, Tensor]:
    """Take one optimiser step and return the loss before it, and its parts.

    Teacher batches among DFT ones shall remind the network of what it would forget, not lead it. Late in training their
    gradients are tens of times larger, because they hold atoms that nearly touch; therefore they are clipped to a share
    of what DFT batches usually have.
    """

    def gradient() -> dict[str, Tensor]:
        parts: dict[str, Tensor] = objective(lambda: graph)
        fabric.backward(parts["total"])
        state.gradient_evaluations += 1
        return parts

    optimizer.zero_grad()
    parts = gradient()
    if stage.sam_rho is not None:
        # The gradient of the sharp point nearby, applied to the weights as they were.
        with ascended(state.network, stage.sam_rho):
            gradient()
    from_teacher = stage.from_teacher(state.step)
    limit = settings.clip_norm or math.inf
    if from_teacher and state.usual_norm is not None:
        limit = min(limit, settings.replay_clip * state.usual_norm)
    norm = torch.nn.utils.clip_grad_norm_(state.network.parameters(), limit)
    if not torch.isfinite(norm):
        raise TrainingError(
            f"the gradient is not finite at step {state.step + 1} of stage {stage.name!r}; "
            "lower the learning rate, or check the data with `keel census`"
        )
    if not from_teacher:
        used = min(float(norm), limit)
        before = used if state.usual_norm is None else state.usual_norm
        state.usual_norm = USUAL_DECAY * before + (1.0 - USUAL_DECAY) * used
    optimizer.step()
    return parts


def learning_rate(stage: Stage, settings: TrainingSettings, step: int) -> float:
    """Return the learning rate of a step (from 0): linear rise, then the schedule down to its final share."""
    warmup = min(settings.warmup_steps, stage.steps // 2)
    if step < warmup:
        return stage.learning_rate * (step + 1) / warmup
    progress = (step - warmup) / max(stage.steps - warmup, 1)
    shape = {
        "cosine": 0.5 * (1.0 + math.cos(math.pi * progress)),
        "linear": 1.0 - progress,
        "constant": 1.0,
    }[settings.schedule]
    floor = settings.final_learning_rate if settings.schedule != "constant" else 1.0
    return stage.learning_rate * (floor + (1.0 - floor) * shape)


def validate(state: TrainingState, graphs: Sequence[AtomGraph], settings: TrainingSettings) -> Row:
    """Return the mean validation loss of the averaged weights, and their errors, NaN where there is no label."""
    scores, energies, forces = [], [], []
    with state.average.applied(state.network):
        for graph in graphs:
            prediction = state.network(graph)
            labels = graph.labels
            assert labels is not None
            scores.append(float(loss(prediction, graph, state.network.scale, settings.loss).total))
            error = (prediction.energy - labels.energy).abs() / graph.atoms_per_structure
            energies.append(error[labels.energy_mask])
            forces.append((prediction.forces - labels.forces).abs()[labels.forces_mask])
    return {
        "validation": sum(scores) / len(scores),
        "validation_energy_mae": float(torch.cat(energies).mean()),
        "validation_force_mae": float(torch.cat(forces).mean()),
    }


def keep_best(state: TrainingState, score: float) -> None:
    """Remember the averaged weights if their validation loss is the lowest so far."""
    if math.isfinite(score) and (state.best_score is None or score < state.best_score):
        state.best_score = score
        state.best_weights = {k: v.clone() for k, v in state.average.weights.items()}


def validation_batches(graphs: Sequence[AtomGraph], most_atoms: int = 400) -> list[AtomGraph]:
    """Join validation graphs into batches of a bounded number of atoms."""
    return [collate(members) for members in groups(graphs, lambda graph: graph.n_atoms, most_atoms)]
