"""How sure is a number that rests on a few trainings and a few structures?

A table has a row for each SEED of a training and a column for each run from a STRUCTURE. Both are samples: another
seed and another structure would have given other values. Seeds and structures are drawn again independently of each
other, and the entry of a pair counts as often as the product of both draws says, w_s v_k: the pigeonhole bootstrap
(Owen, Ann. Appl. Stat. 1, 386 (2007)).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from keel.atoms.frame import Array
from keel.comparison.series import Estimate, series_mean
from keel.errors import ConfigError, DataError

Statistic = Callable[[Array], Array]
"""From the weights of B resamples, shape (B, S, K), to one number for each, shape (B,)."""
Method = Literal["t", "percentile"]


@dataclass(frozen=True)
class Interval:
    """An estimate and its confidence interval; an open end is infinite.

    Parameters
    ----------
    value
        The estimate.
    low, high
        Ends of the interval.
    confidence
        Its confidence level.
    """

    value: float
    low: float
    high: float
    confidence: float = 0.95

    def covers(self, value: float) -> bool:
        """Return whether the interval contains a value."""
        return self.low <= value <= self.high


@dataclass(frozen=True, eq=False)
class Resamples:
    """Values of a statistic where seeds, structures, or both were drawn again.

    Parameters
    ----------
    value
        From every entry once.
    seeds, structures, both
        Values for each resample, shape (B,).
    n_seeds, n_structures
        Number of seeds and of structures.
    """

    value: float
    seeds: Array
    structures: Array
    both: Array
    n_seeds: int
    n_structures: int

    @property
    def variances(self) -> tuple[float, float, float]:
        """Variance of the statistic from seeds, structures, and their interaction, each without bias for a mean.

        V_sk is the variance of the effect of both draws beyond the sum of each: theta_both - theta_s - theta_k + theta.
        The variances of n resampled entries are too small by (n - 1) / n; corrected, those of a mean are

            V_s = MS_s / SK,   V_k = MS_k / SK,   V_sk = MS_sk / SK

        with the mean squares MS of the two-way analysis of variance.
        """
        s, k = (_bessel(n) for n in (self.n_seeds, self.n_structures))
        interaction = self.both - self.seeds - self.structures
        return s * float(np.var(self.seeds)), k * float(np.var(self.structures)), s * k * float(np.var(interaction))

    @property
    def variance(self) -> float:
        """V = V_s + V_k - V_sk, at least the larger of the first two: the share common to both is counted once."""
        v_s, v_k, v_sk = self.variances
        return max(v_s + v_k - v_sk, v_s, v_k)

    @property
    def degrees_of_freedom(self) -> float:
        """Those of V: V^2 / [(V_s^2 - V_sk^2) / nu_s + (V_k^2 - V_sk^2) / nu_k + V_sk^2 / nu_sk].

        After Satterthwaite, Biometrics Bull. 2, 110 (1946), except that what seeds and structures share, the noise of
        single runs, is known from all of them: where neither matters there are as many degrees of freedom as the
        interaction has, where one explains everything, its own. Differences are at least zero and V_sk at most V,
        because resampling overestimates it for medians, which jump.
        """
        (v_s, v_k, v_sk), nu_s, nu_k = self.variances, self.n_seeds - 1, self.n_structures - 1
        squares = max(v_s, v_sk) ** 2 - v_sk**2, max(v_k, v_sk) ** 2 - v_sk**2, min(v_sk, self.variance) ** 2
        parts = [v / nu for v, nu in zip(squares, (nu_s, nu_k, nu_s * nu_k), strict=True) if nu > 0]
        return self.variance**2 / sum(parts) if sum(parts) > 0 else float(max(nu_s, nu_k))


def bootstrap_interval(
    statistic: Statistic,
    shape: tuple[int, int],
    *,
    structures: NDArray[np.int64] | None = None,
    method: Method = "t",
    log: bool = False,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    seed: int = 0,
    least_variance: float = 0.0,
) -> Interval:
    """Return a statistic of a table with an interval that covers another draw of seeds and of structures.

    ``"t"``: theta +- t sqrt(V), V the variance by resampling and t the quantile of Student's distribution
    (:class:`Resamples`). ``"percentile"``: quantiles of theta where both are drawn again (Efron & Tibshirani, An
    Introduction to the Bootstrap, 1993, ch. 13); it never reaches beyond the seeds at hand, and where the spread comes
    from n seeds it covers at most 1 - 2^(1 - n), 75 % for three. A source with a single member does not count; if that
    holds for both, the interval is open.

    Parameters
    ----------
    statistic
        See :data:`Statistic`.
    shape
        Number of seeds S and of runs K.
    structures
        The number of the structure of each run, shape (K,): its runs are drawn together; None: each run has its own.
    log
        Build the t interval on the logarithm: for ratios, which must be positive.
    n_resamples, seed
        Number of resamples, and what fixes them.
    least_variance
        What V is at least, where entries that happen to be equal would make it zero.

    Raises
    ------
    ConfigError
        If the method is unknown, the confidence not between 0 and 1, or there are fewer than two resamples.
    """
    if method not in ("t", "percentile") or not 0 < confidence < 1 or n_resamples < 2:
        raise ConfigError(
            "an interval needs the method t or percentile, a confidence in (0, 1), and at least two resamples"
        )
    scaled = (lambda weights: np.log(statistic(weights))) if log else statistic
    drawn = resampled(scaled, shape, structures, n_resamples, seed)
    if max(drawn.n_seeds, drawn.n_structures) == 1 or not np.isfinite(drawn.value):
        low, high = -np.inf, np.inf
    elif method == "percentile":
        low, high = np.quantile(drawn.both, [0.5 - confidence / 2, 0.5 + confidence / 2])
    else:
        half = stdtrit(drawn.degrees_of_freedom, 0.5 + confidence / 2)
        half *= np.sqrt(max(drawn.variance, least_variance))
        low, high = drawn.value - half, drawn.value + half
    ends = np.array([drawn.value, low, high])
    with np.errstate(over="ignore"):
        value, low, high = (np.exp(ends) if log else ends).tolist()
    return Interval(value, low, high, confidence)


def mean_interval(values: Array, *, confidence: float = 0.95, n_resamples: int = 2000, seed: int = 0) -> Interval:
    """Return the mean of a table (S, K), or of one value for each seed (S,), with its t interval."""
    table = values.reshape(len(values), -1)

    def mean(weights: Array) -> Array:
        means: Array = (weights * table).sum(axis=(1, 2)) / weights.sum(axis=(1, 2))
        return means

    n_seeds, n_runs = table.shape
    return bootstrap_interval(mean, (n_seeds, n_runs), confidence=confidence, n_resamples=n_resamples, seed=seed)


def clustered_mean(
    values: Array,
    clusters: NDArray[np.int64],
    weights: Array | None = None,
    confidence: float = 0.95,
    *,
    in_order: bool = False,
) -> Interval:
    """Return a weighted mean with an interval, for values that are not independent within a cluster.

    The atoms of one structure are such a cluster. With values x_k, weights w_k and the mean R = sum_k w_k x_k / sum_k
    w_k, of n clusters c

        V = n / (n - 1) sum_c (sum_(k in c) w_k (x_k - R))^2 / (sum_k w_k)^2,   R +- t_(n-1) sqrt(V)

    for equal weights and clusters of one the standard error of the mean. Open for one cluster, or where a value is not
    finite. Source: Cochran, Sampling Techniques (1977), sec. 2.11. Clusters in order may be successive frames of a run;
    V then grows with their correlation (:func:`~keel.comparison.series.series_mean`).

    Parameters
    ----------
    values
        Shape (K,), at least one.
    clusters
        Number of the cluster of each, shape (K,).
    weights
        Shape (K,); None: all the same.
    in_order
        The numbers of the clusters are their order in time, or may be.
    """
    weights = np.ones(len(values)) if weights is None else weights
    mean = float(np.average(values, weights=weights))
    numbered = np.unique(clusters, return_inverse=True)[1]
    n = int(numbered.max()) + 1
    if n == 1 or not np.isfinite(mean):
        return Interval(mean, -np.inf, np.inf, confidence)
    parts = np.bincount(numbered, weights * (values - mean)) / weights.sum()
    sums = series_mean(n * parts) if in_order else Estimate(0.0, n / (n - 1) * float(np.square(parts).sum()), n - 1)
    half = float(stdtrit(sums.freedom, 0.5 + confidence / 2) * np.sqrt(sums.variance))
    return Interval(mean, mean - half, mean + half, confidence)


def resampled(
    statistic: Statistic,
    shape: tuple[int, int],
    structures: NDArray[np.int64] | None = None,
    n_resamples: int = 2000,
    seed: int = 0,
) -> Resamples:
    """Draw seeds, structures and both again; see :func:`bootstrap_interval`."""
    rng = np.random.default_rng(seed)
    columns = np.arange(shape[1]) if structures is None else np.unique(structures, return_inverse=True)[1]
    n_structures = int(columns.max()) + 1
    rows = _draws(shape[0], n_resamples, rng)[:, :, None]
    runs = _draws(n_structures, n_resamples, rng)[:, columns][:, None, :]
    ones = np.ones((1, *shape))
    return Resamples(
        float(statistic(ones)[0]),
        statistic(rows * ones),
        statistic(ones * runs),
        statistic(rows * runs),
        shape[0],
        n_structures,
    )


@dataclass(frozen=True)
class VarianceComponents:
    """Variances of y_sk = mu + a_s + b_k + e_sk: of seeds a, structures b, and the rest e, with their interaction."""

    seeds: float
    structures: float
    residual: float

    @property
    def shares(self) -> dict[str, float]:
        """Share of each in the variance of a single entry; NaN if nothing varies."""
        total = self.seeds + self.structures + self.residual
        return {name: part / total if total > 0 else np.nan for name, part in vars(self).items()}


def variance_components(values: Array) -> VarianceComponents:
    """Split the spread of a table (S, K) by the two-way analysis of variance with random effects.

        sigma_s^2 = (MS_s - MS_e) / K,   sigma_k^2 = (MS_k - MS_e) / S,   sigma_e^2 = MS_e

    MS are the mean squares of seeds, structures and residual; a negative estimate counts as zero. Times to failure are
    best given as logarithms, those of survivors as the length of the run: their spread is then a lower bound.

    Source: Searle, Casella & McCulloch, Variance Components (1992), sec. 4.4 (one entry per pair).

    Parameters
    ----------
    values
        A row for each seed, a column for each structure, shape (S, K).

    Raises
    ------
    DataError
        If there are fewer than two seeds or structures, or a value is not finite.
    """
    if values.ndim != 2 or min(values.shape) < 2 or not np.isfinite(values).all():
        raise DataError("variance components need a table of finite values of two or more seeds x structures")
    n_seeds, n_runs = values.shape
    rows, columns = values.mean(axis=1), values.mean(axis=0)
    rest = values - rows[:, None] - columns + values.mean()
    residual = float(np.square(rest).sum()) / ((n_seeds - 1) * (n_runs - 1))
    seeds = max(0.0, float(np.var(rows, ddof=1)) - residual / n_runs)
    return VarianceComponents(seeds, max(0.0, float(np.var(columns, ddof=1)) - residual / n_seeds), residual)


def _draws(n: int, n_resamples: int, rng: np.random.Generator) -> Array:
    """Return how often each of n is drawn in n draws, shape (B, n)."""
    return rng.multinomial(n, np.full(n, 1.0 / n), size=n_resamples).astype(np.float64)


def _bessel(n: int) -> float:
    return n / (n - 1) if n > 1 else 1.0
