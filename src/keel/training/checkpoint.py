"""Training state on disk: one safetensors file with JSON metadata, written completely or not at all."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from keel.errors import ConfigError, DataError
from keel.files import replace_file
from keel.formats import Format
from keel.potentials.networks.clamped import Learner
from keel.training.ema import MovingAverage, copy_weights

FORMAT = Format("training checkpoint", first=2)
"""No release has written number 1."""


@dataclass
class TrainingState:
    """Everything that changes while a network is trained; with the settings it determines the rest of the run.

    Parameters
    ----------
    network
        The network in training.
    average
        Moving average of its weights.
    stage
        Index of the current stage.
    step
        Optimiser steps done in that stage.
    gradient_evaluations
        Gradients of the loss taken in all stages.
    usual_norm
        Running mean of the norm of the gradient of DFT batches; None before the first.
    best_score, best_weights
        Lowest validation loss so far and the averaged weights that had it.
    history
        Rows of the metrics.
    seconds
        Time spent in this training, over all interruptions.
    """

    network: Learner
    average: MovingAverage
    stage: int = 0
    step: int = 0
    gradient_evaluations: int = 0
    usual_norm: Tensor | float | None = None
    best_score: float | None = None
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0

    _PLAIN = ("stage", "step", "gradient_evaluations", "usual_norm", "best_score", "history", "seconds")


def save_state(path: Path, state: TrainingState, optimizer: torch.optim.Optimizer | None, identity: str) -> None:
    """Write the state; ``identity`` names the settings and data that it belongs to."""
    tensors = {f"network.{k}": v for k, v in state.network.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in state.average.weights.items()}
    tensors |= {f"best.{k}": v for k, v in state.best_weights.items()}
    if optimizer is not None:
        for index, entries in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{k}": torch.as_tensor(v) for k, v in entries.items()}
    metadata = {k: getattr(state, k) for k in TrainingState._PLAIN} | {**FORMAT.stamp, "identity": identity}
    metadata["usual_norm"] = None if state.usual_norm is None else float(state.usual_norm)
    # Cloned: the moving average may share memory with the best weights, which safetensors does not accept.
    tensors = {k: v.detach().cpu().clone().contiguous() for k, v in tensors.items()}
    replace_file(path, lambda temporary: save_file(tensors, temporary, metadata={"keel": json.dumps(metadata)}))


def load_state(path: Path, state: TrainingState, *identities: str) -> dict[int, dict[str, Tensor]]:
    """Fill the state from a file and return the optimiser's entries by parameter index.

    ``identities`` are those that name the settings and data, now and in checkpoints of earlier versions.

    Raises
    ------
    ConfigError
        If the checkpoint belongs to other settings or data.
    DataError
        If the file is damaged, or from a newer version of keel.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = json.loads((file.metadata() or {})["keel"])
            tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118  (not a dict)
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise DataError(f"{path}: the checkpoint is damaged ({error}); delete it to start again") from None
    metadata = FORMAT.upgraded(metadata, path)
    if metadata["identity"] not in identities:
        raise ConfigError(
            f"{path}: the checkpoint belongs to other settings or data; delete it or choose another folder"
        )
    for key in TrainingState._PLAIN:
        setattr(state, key, metadata[key])
    state.network.load_state_dict(_part(tensors, "network."))
    device = next(state.network.parameters()).device
    if state.usual_norm is not None:
        # As it is computed: a plain number would let the limits of the gradient be rounded otherwise.
        state.usual_norm = torch.tensor(state.usual_norm, dtype=torch.float64, device=device)
    state.average.weights = {k: v.to(device) for k, v in _part(tensors, "average.").items()}
    state.best_weights = _part(tensors, "best.")
    entries: dict[int, dict[str, Tensor]] = {}
    for key, value in _part(tensors, "optimizer.").items():
        index, name = key.split(".", 1)
        entries.setdefault(int(index), {})[name] = value
    return entries


def restore_optimizer(optimizer: torch.optim.Optimizer, entries: dict[int, dict[str, Tensor]]) -> None:
    """Give an optimiser the entries that :func:`load_state` returned."""
    optimizer.load_state_dict({"state": entries, "param_groups": optimizer.state_dict()["param_groups"]})


def adopt_best(state: TrainingState) -> None:
    """Give the network its best averaged weights, or the last ones where nothing was validated."""
    copy_weights(state.network, state.best_weights or state.average.weights)


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
