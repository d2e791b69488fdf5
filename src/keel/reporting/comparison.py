"""Strategies side by side: pooled runs, means over seeds, and the verdict in one honest sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean, stdev

import numpy as np
from scipy.stats import CensoredData, logrank

from keel.atoms.frame import Array
from keel.dynamics.survival import Survival, kaplan_meier
from keel.reporting.results import Record, RunResults

BASELINE = "vanilla"
METHOD = "pretrain"
SIGNIFICANCE = 0.05


@dataclass(frozen=True, eq=False)
class StrategyResult:
    """All seeds of one strategy of one network; its MD runs are pooled."""

    network: str
    strategy: str
    records: tuple[Record, ...]

    @property
    def times(self) -> Array:
        """Time to failure of each run in fs; a survivor has the run's length."""
        return np.array([time for record in self.records for time in record.time_to_failure_fs], dtype=np.float64)

    @property
    def failed(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Whether each run failed."""
        return np.array([cause is not None for record in self.records for cause in record.failure_cause], dtype=bool)

    @property
    def causes(self) -> tuple[str | None, ...]:
        """Cause of failure of each run, None for survivors."""
        return tuple(cause for record in self.records for cause in record.failure_cause)

    def seeds(self) -> tuple[StrategyResult, ...]:
        """Return the result of each seed alone."""
        return tuple(StrategyResult(self.network, self.strategy, (record,)) for record in self.records)

    @property
    def runs(self) -> int:
        """Number of MD runs."""
        return len(self.times)

    @property
    def failures(self) -> int:
        """Number of runs that failed."""
        return int(self.failed.sum())

    @property
    def length_fs(self) -> float:
        """Length of the longest run in fs."""
        return max(float(record.md_length_fs or 0.0) for record in self.records)

    @cached_property
    def survival(self) -> Survival:
        """Kaplan-Meier estimate of the pooled runs."""
        return kaplan_meier(self.times.tolist(), self.failed.tolist())

    @property
    def median_fs(self) -> float | None:
        """Median time to failure in fs; None if fewer than half of the runs failed (censored)."""
        return self.survival.median if self.runs else None

    def values(self, name: str) -> list[float]:
        """Return a field of the records for each seed that has it."""
        return [float(value) for record in self.records if (value := getattr(record, name)) is not None]

    def mean(self, name: str) -> float | None:
        """Return the mean over seeds of a field, None where no seed has it."""
        values = self.values(name)
        return fmean(values) if values else None

    def spread(self, name: str) -> float | None:
        """Return the sample standard deviation over seeds of a field, None for fewer than two."""
        values = self.values(name)
        return stdev(values) if len(values) > 1 else None


@dataclass(frozen=True)
class Verdict:
    """One comparison in words; ``effect`` is "better", "worse", "unclear" or "untested"."""

    network: str
    strategy: str
    effect: str
    sentence: str


def compare(results: RunResults, network: str) -> tuple[StrategyResult, ...]:
    """Return the strategies of a network in the order of the run."""
    records = [record for record in results.records if record.network == network]
    names = dict.fromkeys(record.strategy for record in records)
    return tuple(StrategyResult(network, name, tuple(r for r in records if r.strategy == name)) for name in names)


def verdicts(strategies: Sequence[StrategyResult]) -> tuple[Verdict, ...]:
    """Compare every strategy with the vanilla one; the method first. Empty where there is nothing to compare."""
    by_name = {s.strategy: s for s in strategies}
    if BASELINE not in by_name:
        return ()
    others = sorted((s for s in strategies if s.strategy != BASELINE), key=lambda s: s.strategy != METHOD)
    return tuple(verdict(by_name[BASELINE], other) for other in others)


def verdict(base: StrategyResult, other: StrategyResult) -> Verdict:
    """Say what ``other`` did to stability and to the force error, compared with ``base``.

    A difference counts as clear where the log-rank test gives p < 0.05.
    """
    effect, clause = _stability(base, other)
    return Verdict(other.network, other.strategy, effect, clause + _force_clause(base, other) + ".")


def log_rank(first: StrategyResult, second: StrategyResult) -> float:
    """Return the p-value of the log-rank test that the runs of two strategies share one survival curve.

    Every run counts as independent (Mantel, Cancer Chemother. Rep. 50, 163, 1966). 1 where no run failed.
    """
    if not (first.failures or second.failures):
        return 1.0
    samples = [CensoredData.right_censored(s.times, ~s.failed) for s in (first, second)]
    with np.errstate(invalid="ignore"):
        p = float(logrank(*samples).pvalue)
    # Not finite where all runs fail at one time: nothing tells them apart.
    return p if np.isfinite(p) else 1.0


def _stability(base: StrategyResult, other: StrategyResult) -> tuple[str, str]:
    subject = subject_of(other.strategy)
    if not (base.runs and other.runs):
        return "untested", f"The stability of {other.strategy} was not compared with {base.strategy}'s: no MD runs"
    if not (base.failures or other.failures):
        return "untested", (
            f"{subject} could not be tested for stability: none of the runs failed, with {base.strategy} or "
            f"{other.strategy} {conditions(base, other)}"
        )
    if (p := log_rank(base, other)) >= SIGNIFICANCE:
        return "unclear", (
            f"{subject} made no clear difference to stability ({p_text(p)}): {_against(base, other)} "
            f"{conditions(base, other)}"
        )
    horizon = _common_length(base, other)
    better = other.survival.restricted_mean(horizon) > base.survival.restricted_mean(horizon)
    return ("better" if better else "worse"), f"{subject} {_change(base, other, better)} {conditions(base, other)}"


def _change(base: StrategyResult, other: StrategyResult, better: bool) -> str:
    """Say what changed by the plainest number that agrees with the survival curves as a whole."""
    medians = [np.inf if s.median_fs is None else s.median_fs for s in (base, other)]
    if medians[0] != medians[1] and (medians[1] > medians[0]) == better:
        verb = "lengthened" if better else "shortened"
        return f"{verb} the median time to failure from {median_text(base)} to {median_text(other)}"
    if (other.failures * base.runs < base.failures * other.runs) == better:
        verb = "lowered" if better else "raised"
        return (
            f"{verb} the number of failing runs from {base.failures} of {base.runs} to {other.failures} of {other.runs}"
        )
    horizon = _common_length(base, other)
    means = [number(s.survival.restricted_mean(horizon)) for s in (base, other)]
    return f"{'lengthened' if better else 'shortened'} the mean time survived from {means[0]} to {means[1]} fs"


def _against(base: StrategyResult, other: StrategyResult) -> str:
    failures = (
        f"{other.failures} of {other.runs} runs failed, against {base.failures} of {base.runs} with {base.strategy}"
    )
    if base.median_fs is None and other.median_fs is None:
        return failures
    return f"median time to failure {median_text(other)} against {median_text(base)}"


def _common_length(base: StrategyResult, other: StrategyResult) -> float:
    return min(base.length_fs, other.length_fs)


def _force_clause(base: StrategyResult, other: StrategyResult) -> str:
    before, after = (s.mean("force_mae_mev_per_angstrom") for s in (base, other))
    if before is None or after is None:
        return ""
    if number(before) == number(after):
        return f"; force error unchanged at {number(after)} meV/Å"
    return f"; force error {number(after)} instead of {number(before)} meV/Å"


def conditions(base: StrategyResult, other: StrategyResult) -> str:
    """Return ``(8 runs each of 3000 fs at 3000 K)``."""
    runs = (
        f"{base.runs} run{'s' if base.runs > 1 else ''} each"
        if base.runs == other.runs
        else f"{base.runs} and {other.runs} runs"
    )
    temperatures = sorted(set(base.values("md_temperature_k") + other.values("md_temperature_k")))
    at = " and ".join(f"{t:g}" for t in temperatures)
    return f"({runs} of {_common_length(base, other):g} fs at {at} K)"


def p_text(p: float) -> str:
    """Return a p-value as readers expect it."""
    return "log-rank p < 0.001" if p < 0.001 else f"log-rank p = {p:.2g}"


def subject_of(strategy: str) -> str:
    """Return a strategy as the subject of a sentence."""
    return {"pretrain": "Pretraining", "sam": "SAM training", "vanilla": "Vanilla training"}.get(
        strategy, f"“{strategy}”"
    )


def median_text(result: StrategyResult) -> str:
    """Return ``241 fs``, or ``more than 3000 fs`` where the median is censored."""
    median = result.median_fs
    return f"more than {result.length_fs:g} fs" if median is None else f"{number(median)} fs"


def number(value: float | None) -> str:
    """Return a number with three significant digits, whole from 100 upwards; a dash for None."""
    if value is None or not np.isfinite(value):
        return "–"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
