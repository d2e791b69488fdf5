"""Times to failure of all seeds of a training, from the same structures, and statistics of resamples of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from keel.atoms.frame import Array
from keel.comparison.statistics import Interval, bootstrap_interval, resampled
from keel.dynamics.results import has_failed
from keel.dynamics.survival import Survival, kaplan_meier
from keel.errors import DataError
from keel.showing import Shown


@dataclass(frozen=True, eq=False, repr=False)
class Lifetimes(Shown):
    """Runs of one strategy: row s has the runs of the network of seed s, column k runs number k of every network.

    Statistics take weights of B resamples, shape (B, S, K): how many times each run counts.

    Parameters
    ----------
    times
        To failure or, of survivors, to the end of the run, in fs, shape (S, K).
    failed
        Whether each run failed, shape (S, K).
    structures
        The number of the structure from which run k starts, shape (K,); None: each run has its own.

    Raises
    ------
    DataError
        If shapes do not agree, there is no run, or a time is negative or not finite.
    """

    times: Array
    failed: NDArray[np.bool_]
    structures: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        """Check the arrays."""
        if self.times.ndim != 2 or self.times.size == 0 or self.times.shape != self.failed.shape:
            raise DataError("lifetimes need a table of times, seeds x runs, and one mark of failure for each")
        if not (np.isfinite(self.times) & (self.times >= 0)).all():
            raise DataError("lifetimes must be finite and not negative")
        if self.structures is not None and len(self.structures) != self.times.shape[1]:
            raise DataError(f"{self.times.shape[1]} runs need the numbers of as many structures")

    @classmethod
    def of(
        cls,
        times: Sequence[Sequence[float]],
        causes: Sequence[Sequence[str | None]],
        structures: Sequence[int] | None = None,
    ) -> Lifetimes:
        """Return the lifetimes of the seeds of a strategy from the times and causes of their runs.

        Parameters
        ----------
        times
            Times to failure or, for survivors, to the end of the run, in fs: a row for each seed.
        causes
            Cause of each failure, None for survivors: a row for each seed. Runs that left the data were stopped before
            they could fail, and count as survivors.
        structures
            Number of the structure from which run k of each seed starts; None: each run has its own.

        Raises
        ------
        DataError
            If the seeds have different numbers of runs.
        """
        if len({len(row) for row in (*times, *causes)}) > 1:
            raise DataError(f"seeds with different numbers of runs, {[len(row) for row in times]}, cannot be compared")
        failed = np.array([[has_failed(cause) for cause in row] for row in causes], dtype=bool)
        starts = None if structures is None else np.array(structures, dtype=np.int64)
        return cls(np.array(times, dtype=np.float64), failed, starts)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of seeds and of runs of each."""
        return self.times.shape[0], self.times.shape[1]

    @property
    def known_until(self) -> float:
        """Time up to which survival is known, in fs: the longest run; infinite if all have failed."""
        return np.inf if self.failed.all() else float(self.times.max())

    @property
    def survival(self) -> Survival:
        """Kaplan-Meier estimate of all runs pooled."""
        return kaplan_meier(self.times.ravel().tolist(), self.failed.ravel().tolist())

    def until(self, horizon: float) -> Lifetimes:
        """Return what would have been observed in runs no longer than the horizon, in fs."""
        failed = self.failed & (self.times <= horizon)
        return Lifetimes(np.minimum(self.times, horizon), failed, self.structures)

    def medians(self, weights: Array) -> Array:
        """Return the Kaplan-Meier median of each resample in fs, infinite where it is censored, shape (B,)."""
        below = self._survival(weights) <= 0.5 + 1e-9
        medians = self.times.ravel()[self._order][below.argmax(axis=1)]
        return np.where(below.any(axis=1), medians, np.inf)

    def median_interval(self, n_resamples: int = 2000, seed: int = 0) -> Interval:
        """Return the median of all runs with its 95 % interval, in fs; a median that is censored is infinite.

        For one seed with a structure for each run the interval is that of Brookmeyer & Crowley
        (:class:`keel.dynamics.Survival`). Runs that share seeds or structures are not independent: then both are drawn
        again (:func:`~keel.comparison.statistics.bootstrap_interval`), on the logarithm, an end beyond the runs being
        open.
        """
        median, end = self.survival.median, float(self.times.max())
        if self.shape[0] == 1 and (self.structures is None or len(np.unique(self.structures)) == self.shape[1]):
            low, high = self.survival.median_interval
            ends = end if low is None else low, np.inf if high is None else high
            return Interval(np.inf if median is None else median, *ends)
        drawn = resampled(self.medians, self.shape, self.structures, n_resamples, seed).both
        if median is None:
            return Interval(np.inf, min(float(np.quantile(drawn, 0.025, method="lower")), end), np.inf)
        least = 0.5 * float(self.times[self.times > 0].min(initial=end or 1.0))

        def within(weights: Array) -> Array:
            return np.clip(self.medians(weights), least, max(end, least))

        found = bootstrap_interval(
            within, self.shape, structures=self.structures, log=True, n_resamples=n_resamples, seed=seed
        )
        # What was lifted for the logarithm is 0.
        value, low, high = (0.0 if end <= least else end for end in (found.value, found.low, found.high))
        value = 0.0 if median == 0.0 else value
        return replace(found, value=value, low=min(low, value), high=np.inf if np.isinf(drawn).mean() > 0.025 else high)

    def means(self, weights: Array) -> Array:
        """Return the area under the survival curve of each resample up to the longest time in fs, shape (B,)."""
        times = np.concatenate([[0.0], self.times.ravel()[self._order]])
        survival = self._survival(weights)
        before = np.concatenate([np.ones((len(survival), 1)), survival[:, :-1]], axis=1)
        means: Array = before @ np.diff(times)
        return means

    def failed_shares(self, weights: Array) -> Array:
        """Return the share of failed runs of each resample, shape (B,)."""
        shares: Array = (weights * self.failed).sum(axis=(1, 2)) / weights.sum(axis=(1, 2))
        return shares

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        # At equal times failures come first: a run censored then was still at risk.
        return np.lexsort((~self.failed.ravel(), self.times.ravel()))

    def _survival(self, weights: Array) -> Array:
        """Return S after each run in the order of time, prod (1 - w_i d_i / sum_{j >= i} w_j), shape (B, S K)."""
        w = weights.reshape(len(weights), -1)[:, self._order]
        at_risk = np.cumsum(w[:, ::-1], axis=1)[:, ::-1]
        deaths = w * self.failed.ravel()[self._order]
        hazards = np.divide(deaths, at_risk, out=np.zeros_like(w), where=at_risk > 0)
        return np.asarray(np.cumprod(1.0 - hazards, axis=1), dtype=np.float64)
