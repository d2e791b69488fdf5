"""Survival of simulations: the Kaplan-Meier estimator, its intervals, median and restricted mean.

A run that reaches its end has not failed: its time is *censored*, it only says that the time to failure is longer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from keel.atoms.frame import Array
from keel.errors import DataError
from keel.showing import Facts, Shown, line


@dataclass(frozen=True, eq=False, repr=False)
class Survival(Shown):
    """S(t), the share of runs that live longer than t: a step function that changes at ``times``.

    Parameters
    ----------
    times
        0 and every time at which a run failed or was censored, ascending, in fs, shape (K,).
    survival, lower, upper
        S from each time on, and its confidence interval, shape (K,).
    at_risk
        Runs that were still alive just before each time, shape (K,).
    confidence
        Of the interval, e.g. 0.95.
    """

    times: Array
    survival: Array
    lower: Array
    upper: Array
    at_risk: np.ndarray
    confidence: float

    def facts(self) -> Facts:
        """See :class:`~keel.showing.Shown`."""
        mean = f"{self.restricted_mean():.0f} fs"
        return {"runs": f"{int(self.at_risk[0])}", "median": f"{self.median_text} fs", "mean within this length": mean}

    def picture(self) -> str:
        """See :class:`~keel.showing.Shown`: S from 0 on."""
        shares = [self.at(time) for time in np.linspace(0.0, self.end, 111)]
        return line(shares, label="share of the runs that are alive, against time", lowest=0.0)

    @property
    def end(self) -> float:
        """The longest time that was observed, in fs."""
        return float(self.times[-1])

    def at(self, time: float) -> float:
        """Return S(time)."""
        return float(self.survival[np.searchsorted(self.times, time, side="right") - 1])

    @property
    def median(self) -> float | None:
        """The first time at which S is 0.5 or less, in fs; None if censored (more than half of the runs live on)."""
        return _crossing(self.times, self.survival)

    @property
    def median_interval(self) -> tuple[float | None, float | None]:
        """Times at which the limits of S reach 0.5 (Brookmeyer & Crowley, Biometrics 38, 29 (1982))."""
        return _crossing(self.times, self.lower), _crossing(self.times, self.upper)

    @property
    def median_text(self) -> str:
        """The median as it is printed: ``"241"``, or ``"> 1500"`` where it is censored."""
        return f"> {self.end:g}" if self.median is None else f"{self.median:g}"

    def restricted_mean(self, horizon: float | None = None) -> float:
        """Return the area under S up to a horizon (default: the longest time), in fs.

        It is the mean time to failure where times beyond the horizon count as the horizon: 0 if every run fails at
        once, the horizon if none fails. Beyond the last time S is continued as it is.
        """
        horizon = self.end if horizon is None else horizon
        times = np.append(np.minimum(self.times, horizon), horizon)
        return float((self.survival * np.diff(times)).sum())


def kaplan_meier(times: Sequence[float], failed: Sequence[bool], confidence: float = 0.95) -> Survival:
    """Estimate S(t) = prod_{t_i <= t} (1 - d_i / n_i) from times to failure or censoring.

    d_i runs fail at t_i, when n_i are alive (Kaplan & Meier, J. Am. Stat. Assoc. 53, 457 (1958)); a run censored at t_i
    is still alive then. The interval is Greenwood's on the scale log(-log S):

        S^{exp(+- z s)},    s^2 = (1 / log^2 S) sum_{t_i <= t} d_i / (n_i (n_i - d_i))

    (Kalbfleisch & Prentice, The Statistical Analysis of Failure Time Data, 2002, sec. 1.4). If S is 0 or 1 this has no
    width, and the exact binomial interval is used: from [(1 - confidence)/2]^(1/n) to 1 for n of n alive.

    Parameters
    ----------
    times
        Time to failure of each run or, for a survivor, to the end of the run, in fs.
    failed
        Whether each run failed.
    confidence
        Of the intervals.

    Raises
    ------
    DataError
        If there is no run, or a time is negative or not finite.
    """
    t, d = np.asarray(times, dtype=float), np.asarray(failed, dtype=bool)
    if t.size == 0 or t.shape != d.shape or not (np.isfinite(t) & (t >= 0)).all():
        raise DataError("survival needs one finite time for each run, and at least one run")
    unique = np.unique(np.append(0.0, t))
    at_risk = (t[None, :] >= unique[:, None]).sum(axis=1)
    deaths = ((t[None, :] == unique[:, None]) & d).sum(axis=1)
    survival = np.cumprod(1.0 - deaths / np.maximum(at_risk, 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        greenwood = np.cumsum(deaths / (at_risk * (at_risk - deaths)))
        spread = np.exp(NormalDist().inv_cdf(0.5 + confidence / 2) * np.sqrt(greenwood) / np.abs(np.log(survival)))
        lower, upper = survival**spread, survival ** (1 / spread)
    exact = ((1.0 - confidence) / 2.0) ** (1.0 / t.size)
    lower, upper = np.where(survival == 1, exact, lower), np.where(survival == 1, 1.0, upper)
    lower, upper = np.where(survival == 0, 0.0, lower), np.where(survival == 0, 1.0 - exact, upper)
    return Survival(unique, survival, lower, upper, at_risk, confidence)


def shares_of_causes(causes: Sequence[str | None]) -> dict[str, float]:
    """Return the share of all runs that each cause ended, largest first; survivors make up the rest."""
    counts = Counter(cause for cause in causes if cause is not None)
    return {cause: count / len(causes) for cause, count in counts.most_common()}


def _crossing(times: Array, curve: Array) -> float | None:
    # A product of twelve factors such as 23/24 misses 0.5 by rounding.
    below = np.flatnonzero(curve <= 0.5 + 1e-9)
    return float(times[below[0]]) if below.size else None
