"""Has a network learnt the forces at all? Its typical error beside the typical force."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keel.evaluation.labels.skill import WORTH, typical
from keel.potentials.accuracy import over_zero
from keel.reporting.strategies import number
from keel.results.run import TrialResults
from keel.training.known import BASELINE

REMEDY = "First try more data, more steps, a larger network or squared errors (training: loss: kind: l2)."
"""Where nothing was learnt."""


@dataclass(frozen=True)
class Skill:
    """How well a plainly trained network knows the forces of the test frames.

    Medians, because a few forces of tens of eV/angstrom make most of a mean. But where most atoms are at rest, as in
    crystals of high symmetry among hot ones, a typical error may well be above a typical force: then means decide.

    Parameters
    ----------
    network
        Its name.
    error
        Median of |predicted - label| over the components of all seeds, in meV/angstrom.
    force
        Median of |label|, in meV/angstrom: the error of a network that predicts no force anywhere.
    left
        Error over that of predicting no force, by MAE or RMSE, the larger of the two; 1 where it is not known.
    """

    network: str
    error: float
    force: float
    left: float = 1.0

    @property
    def is_none(self) -> bool:
        """Whether predicting no force anywhere would be about as good."""
        return self._errs_typically and self.left >= WORTH

    @property
    def is_of_atoms_at_rest(self) -> bool:
        """Whether only typical forces are predicted no better than by zero, because they are almost zero."""
        return self._errs_typically and not self.is_none

    @property
    def _errs_typically(self) -> bool:
        return self.error >= WORTH * self.force

    @property
    def sentence(self) -> str:
        """What to know before reading anything else."""
        return (
            f"The median force error of {self.network} ({number(self.error)} meV/Å) is about as large as the median "
            f"force ({number(self.force)} meV/Å), and so is the mean error (MAE or RMSE). Such a "
            "network has not learnt these structures, and how long its simulations last says little."
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
            error, force = 1e3 * typical(errors), 1e3 * typical(labels)
            found.append(Skill(network, error, force, over_zero(errors, labels)))
    return found
