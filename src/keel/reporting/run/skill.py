"""Has a network learnt the forces at all? Its typical error beside the typical force."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keel.reporting.strategies import number
from keel.results.run import TrialResults
from keel.training.known import BASELINE

WORTH = 0.95
"""In units of the typical force: a network that has learnt something errs less."""


@dataclass(frozen=True)
class Skill:
    """What a plainly trained network knows of the forces of the test frames.

    Medians, because a few forces of tens of eV/angstrom make most of a mean.

    Parameters
    ----------
    network
        Its name.
    error
        Median of |predicted - label| over the components of all seeds, in meV/angstrom.
    force
        Median of |label|, in meV/angstrom: the error of a network that predicts no force anywhere.
    """

    network: str
    error: float
    force: float

    @property
    def is_none(self) -> bool:
        """Whether predicting no force anywhere would be about as good."""
        return self.error >= WORTH * self.force

    @property
    def sentence(self) -> str:
        """What to know before anything else is read."""
        return (
            f"The typical force error of {self.network} ({number(self.error)} meV/Å, the median) is as large as "
            f"the typical force ({number(self.force)} meV/Å), or nearly. Such a network has not learnt these "
            "structures, and how long its simulations last says little; more data, more steps, a larger network or "
            "squared errors (training: loss: kind: l2) come first."
        )


def skills(trials: Sequence[TrialResults]) -> list[Skill]:
    """Return the skill of every network whose predictions are known: of plain training, or else the first strategy."""
    found = []
    for network in dict.fromkeys(trial.network for trial in trials):
        known = [trial for trial in trials if trial.network == network and "forces" in trial.parity]
        plain = [trial for trial in known if trial.strategy == BASELINE] or known
        parities = [trial.parity["forces"] for trial in plain if trial.strategy == plain[0].strategy]
        if parities and sum(len(p.reference) for p in parities):
            labels = np.concatenate([p.reference for p in parities])
            errors = np.concatenate([p.prediction for p in parities]) - labels
            found.append(Skill(network, *(1e3 * float(np.median(np.abs(v))) for v in (errors, labels))))
    return found
