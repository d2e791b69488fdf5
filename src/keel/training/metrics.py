"""The metrics of the steps of a training."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from keel.errors import KeelError
from keel.training.checkpoint import TrainingState

if TYPE_CHECKING:
    from lightning.fabric import Fabric

Row = dict[str, Any]

READ_EVERY = 20
"""Number of steps on an accelerator between two readings of its metrics."""


class TrainingError(KeelError):
    """Training cannot continue."""


class Metrics:
    """The metrics of steps, means over all ranks: they are added to the history and reported, in order.

    Reading a number from an accelerator means waiting until it has done all its work. Numbers are therefore kept there
    for a while, and read together.

    Parameters
    ----------
    fabric
        The job.
    state
        Of the training, with its history.
    report
        Called with the row of each step.
    """

    def __init__(self, fabric: Fabric, state: TrainingState, report: Callable[[Row], object]) -> None:
        self._fabric, self._state, self._report = fabric, state, report
        self._every = 1 if fabric.device.type == "cpu" else READ_EVERY
        self._unread: list[tuple[Row, dict[str, Tensor], Row]] = []

    def add(self, row: Row, parts: dict[str, Tensor], norm: Tensor, validation: Row, *, at_once: bool) -> None:
        """Add a step: what is known about it, the parts of its loss, the norm of its gradient, and its validation.

        Raises
        ------
        TrainingError
            If the norm is not finite, when it is read.
        """
        self._unread.append((row, {**parts, "norm": norm}, validation))
        if at_once or len(self._unread) >= self._every:
            self._read()

    def _read(self) -> None:
        tensors = torch.stack([torch.stack([x.detach().double() for x in t.values()]) for _, t, _ in self._unread])
        if self._fabric.world_size > 1:
            tensors = self._fabric.all_reduce(tensors, reduce_op="mean")
        unread, self._unread = self._unread, []
        for (row, names, validation), values in zip(unread, tensors.tolist(), strict=True):
            numbers = dict(zip(names, values, strict=True))
            if not math.isfinite(numbers.pop("norm")):
                raise TrainingError(
                    f"the gradient is not finite at step {row['step']} of stage {row['stage']!r}; "
                    "lower the learning rate, or check the data with `keel census`"
                )
            self._state.history.append({"taken": len(self._state.history) + 1, **row, **numbers, **validation})
            self._report(self._state.history[-1])
