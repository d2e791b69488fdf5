"""Two strategies on the same structures with the same random numbers: how much longer do simulations last?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from keel.atoms.frame import Array
from keel.comparison.lifetimes import Lifetimes
from keel.comparison.statistics import Interval, Statistic, bootstrap_interval, mean_interval, resampled
from keel.errors import DataError
from keel.showing import Shown

Effect = Literal["better", "worse", "unclear", "untested"]
EFFECTS: dict[Effect, str] = {
    "better": "more stable",
    "worse": "less stable",
    "unclear": "no clear difference",
    "untested": "not tested",
}
"""What a comparison found, as a label."""
UNCHANGED = 0.05
"""A force error counts as unchanged if its difference is certainly below this share of it."""


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Shown):
    """What a strategy did, compared with a baseline.

    Parameters
    ----------
    base, other
        Lifetimes up to the time to which both are known.
    median
        Ratio of the Kaplan-Meier medians, other over base; None if both are censored. A median that is censored counts
        as the end of the runs (see ``bound``); an end of the interval at which it would be is open.
    bound
        What the ratio is: exact, or ``"at least"`` or ``"at most"`` where one of the medians is censored.
    mean
        Ratio of the restricted mean times to failure.
    failed
        Difference of the shares of failed runs.
    force
        Difference of force errors in meV/angstrom; None if they are not known.
    base_force
        Force error of the baseline in meV/angstrom.
    mean_is_clear, failed_is_clear
        Whether each differs from no effect at half of the error that is allowed, so that together they err as rarely as
        one would (Bonferroni).
    """

    base: Lifetimes
    other: Lifetimes
    median: Interval | None
    bound: Literal["", "at least", "at most"]
    mean: Interval
    failed: Interval
    force: Interval | None = None
    base_force: float | None = None
    mean_is_clear: bool = False
    failed_is_clear: bool = False

    @property
    def effect(self) -> Effect:
        """Clear if the mean time survived or the share of failed runs is, and they do not contradict each other.

        Mean times do not show how much longer survivors would have lasted, and shares of failed runs show nothing if
        all fail sooner or later: each shows what the other does not.
        """
        if not (self.base.failed.any() or self.other.failed.any()):
            return "untested"
        found = self._found(self.mean_is_clear, self.failed_is_clear)
        if len(found) != 1:
            return "unclear"
        return "better" if found.pop() else "worse"

    @property
    def is_likely(self) -> bool:
        """Whether it would be clear if only one of the two had been tested: its own interval excludes no effect."""
        return len(self._found(not self.mean.covers(1.0), not self.failed.covers(0.0))) == 1

    def _found(self, by_mean: bool, by_failed: bool) -> set[bool]:
        """Return whether simulations last longer, according to each measure that counts."""
        return ({self.mean.value > 1} if by_mean else set()) | ({self.failed.value < 0} if by_failed else set())


def compare_lifetimes(
    base: Lifetimes,
    other: Lifetimes,
    *,
    base_force: Array | None = None,
    other_force: Array | None = None,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    seed: int = 0,
) -> Comparison:
    """Compare two strategies, pair by pair: row s is the same seed, column k the same start and noise in both.

    Seeds and structures are drawn again for both strategies at once, so that what they share cancels; intervals are
    those of :func:`~keel.comparison.statistics.bootstrap_interval`, of ratios on the logarithm. A time of zero counts
    as half of the shortest that is not.

    Restricted means: Royston & Parmar, BMC Med. Res. Methodol. 13, 152 (2013).

    Parameters
    ----------
    base, other
        Lifetimes of both strategies, in fs, shape (S, K).
    base_force, other_force
        Force errors in meV/angstrom of each seed, shape (S,), or of each seed and structure.

    Raises
    ------
    DataError
        If the tables do not have the same shape.
    """
    if base.shape != other.shape:
        raise DataError(f"lifetimes of {base.shape} and {other.shape} seeds x runs cannot be compared pair by pair")
    horizon = min(base.known_until, other.known_until)
    base, other = base.until(horizon), other.until(horizon)
    settings: dict[str, Any] = {"confidence": confidence, "n_resamples": n_resamples, "seed": seed}
    table: dict[str, Any] = {"shape": base.shape, "structures": base.structures, **settings}
    limits = _limits(np.concatenate([base.times, other.times]))

    def ratio(first: Statistic, second: Statistic) -> Statistic:
        return lambda w: np.clip(second(w), *limits) / np.clip(first(w), *limits)

    median = bootstrap_interval(ratio(base.medians, other.medians), log=True, **table)
    mean = bootstrap_interval(ratio(base.means, other.means), log=True, **table)

    def share(weights: Array) -> Array:
        return other.failed_shares(weights) - base.failed_shares(weights)

    least = _least_variance(base, other)
    failed = bootstrap_interval(share, least_variance=least, **table)
    stricter = {**table, "confidence": 0.5 + 0.5 * confidence}
    mean_is_clear = not bootstrap_interval(ratio(base.means, other.means), log=True, **stricter).covers(1.0)
    failed_is_clear = not bootstrap_interval(share, least_variance=least, **stricter).covers(0.0)
    # Shares lie between 0 and 1, whatever t says of a few seeds.
    failed = replace(failed, low=max(-1.0, failed.low), high=min(1.0, failed.high))
    censored = [_censored(lifetimes, n_resamples, seed) for lifetimes in (base, other)]
    rare = 0.5 - confidence / 2
    median = replace(
        median, low=0.0 if censored[0] > rare else median.low, high=np.inf if censored[1] > rare else median.high
    )
    open_ends = [lifetimes.survival.median is None for lifetimes in (base, other)]
    force = None if base_force is None or other_force is None else compare_forces(base_force, other_force, **settings)
    return Comparison(
        base,
        other,
        None if all(open_ends) else median,
        "at most" if open_ends[0] else "at least" if open_ends[1] else "",
        mean,
        failed,
        force,
        None if base_force is None else float(np.mean(base_force)),
        mean_is_clear,
        failed_is_clear,
    )


def compare_forces(base: Array, other: Array, **settings: Any) -> Interval:
    """Return the difference of force errors in meV/angstrom, other - base; see :func:`compare_lifetimes`.

    Raises
    ------
    DataError
        If the arrays do not have the same shape.
    """
    if base.shape != other.shape:
        raise DataError(f"force errors of shapes {base.shape} and {other.shape} cannot be compared pair by pair")
    return mean_interval(other - base, **settings)


def verdict(comparison: Comparison, subject: str = "pretraining", conditions: str = "") -> str:
    """Describe in one sentence what the subject did to stability and to the force error, and how sure that is.

    Parameters
    ----------
    conditions
        How that was measured, e.g. ``"8 runs each of 3000 fs at 3000 K"``.
    """
    c = comparison
    force = "" if c.force is None or c.base_force is None else "; " + force_verdict(c.force, c.base_force)
    return _with_conditions(stability_verdict(c, subject), conditions) + force + _seeds_clause(c)


def force_verdict(force: Interval, base_force: float) -> str:
    """Describe the change of a force error, from its difference and its value before, in meV/angstrom."""
    if not np.isfinite(force.low):
        return f"force error {force.value:+.2g} meV/Å, without an interval"
    found = difference_text(force, "meV/Å")
    if not force.covers(0.0):
        return f"force error {'larger' if force.value > 0 else 'smaller'} ({found})"
    if max(-force.low, force.high) <= UNCHANGED * base_force:
        return f"force error unchanged ({found})"
    return f"no difference in force error can be shown ({found})"


def stability_verdict(c: Comparison, subject: str = "pretraining") -> str:
    """Describe what the subject did to stability alone; see :func:`verdict`."""
    runs, counts = c.base.failed.size, [int(lifetimes.failed.sum()) for lifetimes in (c.base, c.other)]
    if c.effect == "untested":
        return f"the effect of {subject} on stability could not be tested: none of {runs} runs failed on either side"
    if c.effect == "unclear":
        said = f"with {subject} the mean time survived is {times_text(c.mean)}, and {counts[1]} of {runs} runs failed "
        said += f"instead of {counts[0]}"
        if c.is_likely:
            return f"a difference in stability is likely, but not certain: {said} ({points_text(c.failed)})"
        return f"no difference in stability can be shown: {said}"
    better = c.effect == "better"
    if c.median is not None and _clear(c.median, 1.0, better):
        return f"{subject} {_changed('the median time to failure', c.median, better, c.bound)}"
    if _clear(c.failed, 0.0, not better):
        verb = "lowered" if better else "raised"
        return (
            f"{subject} {verb} the number of failed runs from {counts[0]} to {counts[1]} of {runs} "
            f"({points_text(c.failed)})"
        )
    return f"{subject} {_changed('the mean time survived', c.mean, better)}"


def _changed(what: str, ratio: Interval, better: bool, bound: str = "") -> str:
    return f"{'lengthened' if better else 'shortened'} {what} {'' if better else 'to '}{times_text(ratio, bound)}"


def _with_conditions(text: str, conditions: str) -> str:
    if not conditions:
        return text
    return f"{text[:-1]}; {conditions})" if text.endswith(")") else f"{text} ({conditions})"


def _seeds_clause(c: Comparison) -> str:
    if c.base.shape[0] > 1:
        return ""
    return "; seeds were not varied, so another training may behave differently"


def _limits(times: Array) -> tuple[float, float]:
    """Return what counts as a time of zero, and the longest time, in fs."""
    positive = times[times > 0]
    return (0.5 * float(positive.min()), float(positive.max())) if positive.size else (1.0, 1.0)


def _least_variance(base: Lifetimes, other: Lifetimes) -> float:
    """Return the variance of the difference of failed shares of n independent pairs, which is never zero.

        V = ((b + c) - (b - c)^2 / N) / N^2,   N = n + 2

    with b and c the pairs of which one side failed only, half a pair added to each: if all or none of a few runs
    failed, it does not follow that all or none always will. Source: Agresti & Min, Stat. Med. 24, 729 (2005).
    """
    n = base.failed.size + 2
    b, c = (0.5 + float((one.failed & ~two.failed).sum()) for one, two in ((base, other), (other, base)))
    return ((b + c) - (b - c) ** 2 / n) / n**2


def _censored(lifetimes: Lifetimes, n_resamples: int, seed: int) -> float:
    """Return the share of resamples with a censored median."""
    drawn = resampled(lifetimes.medians, lifetimes.shape, lifetimes.structures, n_resamples, seed)
    return float(np.isinf(drawn.both).mean())


def _clear(interval: Interval, nothing: float, larger: bool) -> bool:
    return interval.low > nothing if larger else interval.high < nothing


def times_text(ratio: Interval, bound: str = "") -> str:
    """Return a ratio and its interval, e.g. ``at least 4.1x [2.9 or more]``."""
    ends = [_digits(ratio.low), _digits(ratio.high)]
    if ratio.low <= 0 and np.isinf(ratio.high):
        limits = "no interval"
    elif np.isinf(ratio.high):
        limits = f"{ends[0]} or more"
    else:
        limits = f"{ends[1]} or less" if ratio.low <= 0 else ", ".join(ends)
    return f"{bound} {_digits(ratio.value)}x [{limits}]".lstrip()


def points_text(share: Interval) -> str:
    """Return a difference of shares and its interval, e.g. ``-92 percentage points [-100, -54]``."""
    points = replace(share, value=100 * share.value, low=100 * share.low, high=100 * share.high)
    return difference_text(points, "percentage points")


def difference_text(difference: Interval, unit: str) -> str:
    """Return a difference and its interval, e.g. ``+0.4 meV/Å [-0.3, 1.1]``."""
    value, low, high = (_digits(x, "") for x in (difference.value, difference.low, difference.high))
    return f"{'+' if difference.value >= 0 else ''}{value} {unit} [{low}, {high}]"


def _digits(value: float, zeros: str = "#") -> str:
    """Return two significant digits, whole numbers from 100 upwards."""
    return f"{value:.0f}" if abs(value) >= 99.5 else f"{value:{zeros}.2g}".rstrip(".")
