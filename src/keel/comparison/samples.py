"""Two potentials on the same structures: how do their simulations and their errors differ, pair by pair?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from keel.comparison.lifetimes import Lifetimes
from keel.comparison.paired import Comparison, compare_lifetimes
from keel.comparison.statistics import Interval
from keel.errors import DataError
from keel.evaluation.check import Sample


def compare_samples(base: Sample, other: Sample) -> Comparison:
    """Compare the times to failure of two potentials; each is one training, so seeds are not varied.

    Raises
    ------
    DataError
        If the samples are no pairs, or none of times to failure.
    """
    _check(base, other)
    if not base.causes:
        raise DataError(f"{base.name} has no causes of failure, so it is no lifetime")
    starts = _numbered(base.structures).tolist()
    first, second = (Lifetimes.of([s.values.tolist()], [s.causes], starts) for s in (base, other))
    return compare_lifetimes(first, second)


def mean_difference(base: Sample, other: Sample, confidence: float = 0.95) -> Interval:
    """Return the difference of weighted means, other - base, with the t interval over structures.

    With differences d_k, weights w_k and R = sum_k w_k d_k / sum_k w_k, of n structures (values of the same one are
    summed first)

        V = n / (n - 1) sum_k (w_k (d_k - R))^2 / (sum_k w_k)^2,   R +- t_(n-1) sqrt(V)

    for equal weights the standard error of the mean. Open for one structure. Source: Cochran, Sampling Techniques
    (1977), sec. 2.11. No resampling, so that any number of frames will do.

    Raises
    ------
    DataError
        If the samples are no pairs, or a value is not finite.
    """
    _check(base, other)
    difference = other.values - base.values
    if not np.isfinite(difference).all():
        raise DataError(f"{base.name}: values that are not finite cannot be compared")
    weights = np.ones(len(difference)) if base.weights is None else base.weights
    mean = float(np.average(difference, weights=weights))
    parts = np.bincount(_numbered(base.structures), weights * (difference - mean)) / weights.sum()
    n = len(parts)
    if n == 1:
        return Interval(mean, -np.inf, np.inf, confidence)
    error = np.sqrt(n / (n - 1) * np.square(parts).sum())
    half = float(student.ppf(0.5 + confidence / 2, n - 1) * error)
    return Interval(mean, mean - half, mean + half, confidence)


def _numbered(structures: Sequence[str]) -> NDArray[np.int64]:
    """Return a number for each structure, the same for the same."""
    return np.asarray(np.unique(structures, return_inverse=True)[1], dtype=np.int64)


def _check(base: Sample, other: Sample) -> None:
    if not base.pairs_with(other):
        raise DataError(f"{base.name} was not found on the same structures with the same settings on both sides")
