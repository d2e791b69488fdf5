"""The mean of successive numbers and its uncertainty, where neighbours resemble each other.

Successive values are averaged in pairs, and those again, as long as a correlation r of neighbours is visible and ten
blocks or more remain (Flyvbjerg & Petersen, J. Chem. Phys. 91, 461 (1989); when to stop after Jonsson, Phys. Rev. E 98,
043304 (2018)). The correlation that may be left among the b blocks is taken to be that of x' = r x + noise, for which a
mean of k has the variance

    V_k = [(1 + r) / (1 - r) - 2 r (1 - r^k) / (k (1 - r)^2)] / k

in units of that of a single value, while b blocks scatter with (V_1 - V_b) b / (b - 1) about their mean. The interval
follows from Student's t with b - 1 degrees of freedom. Independent values keep the usual standard error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from keel.atoms.frame import Array

NORMAL = 1.959963984540054
"""95 % of a normal distribution lies within this many standard deviations."""

FEWEST_BLOCKS = 5
"""Values are averaged in pairs while at least this many blocks remain."""


@dataclass(frozen=True)
class Estimate:
    """A value, its variance, and the degrees of freedom of that."""

    value: float
    variance: float
    freedom: float

    @property
    def error(self) -> float:
        """The standard error, widened as Student's t is: 1.96 of it to either side are the 95 % interval."""
        return float(np.sqrt(self.variance) * stdtrit(self.freedom, 0.975) / NORMAL)

    def over(self, divisor: float) -> Estimate:
        """Return the estimate divided by a number."""
        return Estimate(self.value / divisor, self.variance / divisor**2, self.freedom)


def mean_of(estimates: Sequence[Estimate], weights: Sequence[float] | None = None) -> Estimate:
    """Return the weighted mean of independent estimates; degrees of freedom by Welch and Satterthwaite."""
    shares = np.ones(len(estimates)) if weights is None else np.array(weights, dtype=np.float64)
    shares = shares / shares.sum()
    variances = np.square(shares) * [e.variance for e in estimates]
    freedoms = np.array([e.freedom for e in estimates])
    total, spread = float(variances.sum()), float((np.square(variances) / freedoms).sum())
    freedom = total**2 / spread if spread > 0 else float(freedoms.sum())
    return Estimate(float(shares @ [e.value for e in estimates]), total, freedom)


def series_mean(values: Array) -> Estimate:
    """Return the mean of a series in order, shape (K,), two values or more."""
    blocks = np.asarray(values, dtype=np.float64)
    correlation = _correlation(blocks)
    while len(blocks) >= 2 * FEWEST_BLOCKS and abs(correlation) > 1.0 / np.sqrt(len(blocks)):
        # The odd value at the end is left out of the variance, not of the mean.
        blocks = blocks[len(blocks) % 2 :].reshape(-1, 2).mean(axis=1)
        correlation = _correlation(blocks)
    b = len(blocks)
    left = _mean_variance(float(np.clip(correlation * (1 + 3 / b), 0.0, max(0.0, 1 - 2 / b))), b)
    variance = float(np.var(blocks)) * left / (1.0 - left) if left < 1 else float("nan")
    return Estimate(float(np.mean(values)), variance, b - 1.0)


def _correlation(values: Array) -> float:
    """Return the correlation of neighbours, without the bias -1/K from subtracting the mean."""
    rest = values - values.mean()
    square = float(rest @ rest)
    return float(rest[1:] @ rest[:-1]) / square + 1.0 / len(values) if square > 0 else 0.0


def _mean_variance(r: float, k: int) -> float:
    """Return V_k in units of V_1."""
    return ((1 + r) / (1 - r) - 2 * r * (1 - r**k) / (k * (1 - r) ** 2)) / k
