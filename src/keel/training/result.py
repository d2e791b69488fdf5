"""A trained network and what it cost."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from keel.potentials.base import Potential
from keel.showing import Facts, Shown, line
from keel.training.checkpoint import TrainingState
from keel.training.metrics import Row
from keel.wording import duration


@dataclass(frozen=True, eq=False, repr=False)
class TrainingResult(Shown):
    """A trained network and what it cost.

    Parameters
    ----------
    potential
        The network with the weights that did best in validation; with a strategy that has a base, the sum of both.
    history
        Metrics of each optimiser step.
    pretrain_steps, train_steps
        Optimiser steps taken on teacher labels first, and afterwards; with patience these may be fewer than planned.
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

    def facts(self) -> Facts:
        """See :class:`~keel.showing.Shown`."""
        before = f", {self.pretrain_steps:,} of them pretraining" if self.pretrain_steps else ""
        errors = [row["validation_force_mae"] for row in self.history if "validation_force_mae" in row]
        return {
            "potential": repr(self.potential),
            "steps": f"{self.pretrain_steps + self.train_steps:,}{before}",
            **({"last force error in validation": f"{1000 * errors[-1]:.4g} meV/angstrom"} if errors else {}),
            "took": duration(self.seconds),
        }

    def picture(self) -> str:
        """See :class:`~keel.showing.Shown`: the loss."""
        losses = [float(row["total"]) for row in self.history if row.get("total")]
        return line(np.log10(losses).tolist(), label="loss of each step, logarithmic")


def result_of(potential: Potential, state: TrainingState) -> TrainingResult:
    """Return the result of a finished training."""
    taken = Counter(row["stage"] for row in state.history)
    return TrainingResult(
        potential=potential,
        history=state.history,
        pretrain_steps=taken["pretrain"],
        train_steps=taken["train"],
        gradient_evaluations=state.gradient_evaluations,
        seconds=state.seconds,
    )
