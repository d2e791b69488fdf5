"""The training loop: one stage, step by step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from keel.atoms.frame import Frame
from keel.atoms.graph import AtomGraph, collate
from keel.atoms.neighbours import graph_of
from keel.potentials.batches import groups
from keel.training.checkpoint import TrainingState
from keel.training.losses import Objective, label_weights
from keel.training.metrics import Metrics, Row
from keel.training.sam import ascended
from keel.training.settings import TrainingSettings
from keel.training.strategies import Stage

if TYPE_CHECKING:
    from lightning.fabric import Fabric

USUAL_DECAY = 0.95
"""Weight in the running mean of gradient norms: about the last twenty DFT batches."""


def run_stage(
    fabric: Fabric,
    state: TrainingState,
    objective: nn.Module,
    optimizer: torch.optim.Optimizer,
    stage: Stage,
    settings: TrainingSettings,
    batches: Iterator[Sequence[AtomGraph]],
    validation: Callable[[], Row] | None,
    report: Callable[[Row], object],
    save: Callable[[], None],
) -> None:
    """Take the remaining optimiser steps of a stage, fewer if it has lost patience.

    ``objective`` is the :class:`~keel.training.losses.Objective` of the network of ``state``, wrapped by Fabric;
    ``batches`` are those of each remaining step; ``validation`` returns what :func:`validate` does; None without
    frames. ``report`` is called with the metrics of each step, ``save`` when a checkpoint is due.
    """
    metrics = Metrics(fabric, state, report)
    stopped = has_lost_patience(state.history, settings.patience)
    while state.step < stage.steps and not stopped:
        started = time.perf_counter()
        rate = learning_rate(stage, settings, state.step)
        for group in optimizer.param_groups:
            group["lr"] = rate
        graphs = [fabric.to_device(graph) for graph in next(batches)]
        parts, norm = step(fabric, state, objective, optimizer, graphs, stage, settings)
        state.average.update(state.step)
        state.step += 1
        last = state.step == stage.steps
        found: Row = {}
        if validation and (last or state.step % settings.validate_every == 0):
            found = validation()
            if stage.name == "train":
                keep_best(state, found["validation"])
        state.seconds += time.perf_counter() - started
        due = state.step % settings.checkpoint_every == 0
        row = {"stage": stage.name, "step": state.step, "learning_rate": rate}
        metrics.add(row, parts, norm, found, at_once=last or due or bool(found))
        if found:
            stopped = has_lost_patience(state.history, settings.patience)
        if due:
            save()


def step(
    fabric: Fabric,
    state: TrainingState,
    objective: nn.Module,
    optimizer: torch.optim.Optimizer,
    graphs: Sequence[AtomGraph],
    stage: Stage,
    settings: TrainingSettings,
) -> tuple[dict[str, Tensor], Tensor]:
    """Take one optimiser step and return the loss before it with its parts, and the norm of its gradient.

    ``graphs`` are batches of this rank whose gradients are taken one after the other and add up. Means are those over
    all of them on all ranks: each loss divides by the mean of what they would divide by, so that the mean of the
    losses, and of the gradients, is that of one batch of all structures. Only then is the gradient clipped, and only
    after all of them does a sharpness-aware step ascend.

    Teacher batches among DFT ones remind the network of what it would forget. Late in training, gradients from
    teacher-labelled batches are tens of times larger, because they contain atoms that nearly touch, and would otherwise
    dominate; therefore they are clipped to a share of the usual norm of DFT batches.
    """
    over, count = None, len(graphs)
    if count * fabric.world_size > 1:
        weights = torch.stack([label_weights(graph, settings.loss) for graph in graphs])
        over = fabric.all_reduce(weights.mean(dim=0), reduce_op="mean")

    def part(graph: AtomGraph, last: bool) -> dict[str, Tensor]:
        # Ranks synchronise in the last of them only.
        with fabric.no_backward_sync(objective, enabled=not last):
            parts: dict[str, Tensor] = objective(lambda: (graph, over))
            fabric.backward(parts["total"] / count)
        return {name: value.detach() / count for name, value in parts.items()}

    def gradient() -> dict[str, Tensor]:
        found = [part(graph, last=k + 1 == count) for k, graph in enumerate(graphs)]
        state.gradient_evaluations += 1
        return {name: torch.stack([parts[name] for parts in found]).sum(dim=0) for name in found[0]}

    optimizer.zero_grad()
    parts = gradient()
    if stage.sam_rho is not None:
        # The gradient of the sharp point nearby, applied to the weights as they were.
        with ascended(state.network, stage.sam_rho):
            gradient()
    from_teacher = stage.from_teacher(state.step)
    gradients = [p.grad for p in state.average.parameters if p.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    limit = norm.new_full((), settings.clip_norm or math.inf)
    if from_teacher and state.usual_norm is not None:
        limit = limit.clamp(max=settings.replay_clip * state.usual_norm)
    torch._foreach_mul_(gradients, (limit / (norm + 1e-6)).clamp(max=1.0))
    if not from_teacher:
        used = torch.minimum(norm, limit).double()
        before = used if state.usual_norm is None else state.usual_norm
        state.usual_norm = USUAL_DECAY * before + (1.0 - USUAL_DECAY) * used
    optimizer.step()
    return parts, norm


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


def has_lost_patience(history: Sequence[Row], patience: int | None) -> bool:
    """Whether this many validations have passed in the last stage since the one with the lowest loss."""
    if patience is None:
        return False
    scores = [row["validation"] for row in history if row["stage"] == "train" and "validation" in row]
    finite = [score for score in scores if math.isfinite(score)]
    since_best = len(scores) - (scores.index(min(finite)) + 1 if finite else 0)
    return since_best >= patience


def validate(fabric: Fabric, state: TrainingState, graphs: Sequence[AtomGraph], objective: Objective) -> Row:
    """Return the mean validation loss of the averaged weights, and their errors, NaN where there is no label.

    ``graphs`` are the batches of this rank; the result is over all ranks, the same in each.
    """
    # Sums over batches and labels, and how many these are.
    sums = torch.zeros(3, 2, dtype=torch.float64, device=fabric.device)
    with state.average.applied(state.network):
        for graph in graphs:
            prediction = state.network(graph)
            labels = graph.labels
            assert labels is not None
            energies = (prediction.energy - labels.energy).abs() / graph.atoms_per_structure
            forces = (prediction.forces - labels.forces).abs()
            for row, values in enumerate((
                objective.of(prediction, graph).total[None],
                energies[labels.energy_mask],
                forces[labels.forces_mask],
            )):  # fmt: skip
                sums[row, 0] += values.sum(dtype=torch.float64)
                sums[row, 1] += values.numel()
    sums = fabric.all_reduce(sums, reduce_op="sum")
    names = ("validation", "validation_energy_mae", "validation_force_mae")
    # All ranks keep the same weights and stop at the same step, even if their sums differ in the last digit.
    found: Row = fabric.broadcast(dict(zip(names, (sums[:, 0] / sums[:, 1]).tolist(), strict=True)))
    return found


def keep_best(state: TrainingState, score: float) -> None:
    """Remember the averaged weights if their validation loss is the lowest so far."""
    if math.isfinite(score) and (state.best_score is None or score < state.best_score):
        state.best_score = score
        state.best_weights = {k: v.clone() for k, v in state.average.weights.items()}


def validation_batches(
    frames: Sequence[Frame], cutoff: float, rank: int = 0, ranks: int = 1, most_atoms: int = 400
) -> list[AtomGraph]:
    """Return one rank's share of the frames, in batches of a bounded number of atoms."""
    shares = list(groups(frames, len, most_atoms))[rank::ranks]
    return [collate([graph_of(frame, cutoff) for frame in members]) for members in shares]
