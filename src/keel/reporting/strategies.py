"""Strategies side by side: pooled runs, means over seeds, and the verdict in one sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import fmean, stdev

import numpy as np

from keel.atoms.frame import Array
from keel.comparison.lifetimes import Lifetimes
from keel.comparison.paired import Comparison, Effect, compare_forces, compare_lifetimes, force_verdict
from keel.comparison.paired import verdict as in_words
from keel.comparison.statistics import Interval
from keel.dynamics.results import has_failed
from keel.dynamics.survival import Survival, kaplan_meier
from keel.results.run import Record
from keel.training.known import BASELINE, METHOD, subject_of


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
        return np.array([has_failed(cause) for record in self.records for cause in record.failure_cause], dtype=bool)

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

    def lifetimes(self, structures: Sequence[int] | None = None) -> Lifetimes:
        """Return the runs as a table of seeds x runs, which all seeds must have; see :class:`Lifetimes`."""
        times = [record.time_to_failure_fs for record in self.records]
        return Lifetimes.of(times, [record.failure_cause for record in self.records], structures)

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
    effect: Effect
    sentence: str


def compare(records: Sequence[Record], network: str) -> tuple[StrategyResult, ...]:
    """Return the strategies of a network in the order of the run."""
    records = [record for record in records if record.network == network]
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
    """Describe the effect of ``other`` on stability and on the force error, compared with ``base``, run by run.

    See :func:`keel.comparison.paired.compare_lifetimes` for when a difference counts as clear.
    """
    comparison = paired(base, other)
    if comparison is None:
        return Verdict(other.network, other.strategy, "untested", _not_compared(base, other) + ".")
    sentence = in_words(comparison, subject_of(other.strategy), conditions(base, other))
    return Verdict(other.network, other.strategy, comparison.effect, sentence[0].upper() + sentence[1:] + ".")


def counterparts(base: StrategyResult, other: StrategyResult) -> tuple[StrategyResult, StrategyResult]:
    """Return what can be compared run by run: the seeds that both have, with the runs common to all of them."""
    seeds = sorted({r.seed for r in base.records} & {r.seed for r in other.records})
    tables = [[next(r for r in s.records if r.seed == seed) for seed in seeds] for s in (base, other)]
    runs = min((len(r.time_to_failure_fs) for records in tables for r in records), default=0)
    first, second = (
        StrategyResult(s.network, s.strategy, tuple(_cut(r, runs) for r in records))
        for s, records in zip((base, other), tables, strict=True)
    )
    return first, second


def paired(base: StrategyResult, other: StrategyResult) -> Comparison | None:
    """Return the comparison of the counterparts of two strategies; None where there are no MD runs."""
    first, second = counterparts(base, other)
    if not first.runs:
        return None
    structures = _structures((*first.records, *second.records))
    forces = _forces(first, second) or (None, None)
    return compare_lifetimes(
        first.lifetimes(structures), second.lifetimes(structures), base_force=forces[0], other_force=forces[1]
    )


def median_interval(result: StrategyResult) -> Interval:
    """Return the 95 % interval of the median time to failure in fs, as :class:`~keel.evaluation.Lifetimes` has it."""
    alike, _ = counterparts(result, result)
    return alike.lifetimes(_structures(alike.records)).median_interval()


def _structures(records: Sequence[Record]) -> list[int] | None:
    """Return the number of the structure of each run, if all seeds started from the same structures."""
    starts = {record.sources for record in records}
    sources = starts.pop() if len(starts) == 1 else ()
    return [sources.index(source) for source in sources] or None


def conditions(base: StrategyResult, other: StrategyResult) -> str:
    """Return ``8 runs each of 3000 fs at 3000 K``, and which of them have no counterpart and are left out."""
    first, second = counterparts(base, other)
    temperatures = sorted(set(first.values("md_temperature_k") + second.values("md_temperature_k")))
    at = " and ".join(f"{t:g}" for t in temperatures)
    length = min(first.length_fs, second.length_fs)
    absent = [*_left_out(base, first), *_left_out(other, second)]
    without = f", without {' and '.join(absent)}" if absent else ""
    return f"{first.runs} run{'s' if first.runs > 1 else ''} each of {length:g} fs at {at} K{without}"


def _cut(record: Record, runs: int) -> Record:
    times, causes, sources = record.time_to_failure_fs, record.failure_cause, record.sources
    return replace(record, time_to_failure_fs=times[:runs], failure_cause=causes[:runs], sources=sources[:runs])


def _left_out(result: StrategyResult, kept: StrategyResult) -> list[str]:
    """Return the parts of a strategy without a counterpart: seeds, and the last runs of each."""
    seeds = sorted({r.seed for r in result.records} - {r.seed for r in kept.records})
    found = [f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))} of {result.strategy}"] if seeds else []
    runs, most = kept.runs // len(kept.records), max(len(r.time_to_failure_fs) for r in result.records)
    return found if most == runs else [*found, f"the runs of {result.strategy} after the first {runs} of each seed"]


def _forces(base: StrategyResult, other: StrategyResult) -> tuple[Array, Array] | None:
    """Return the force errors of each seed in meV/angstrom; None where one is not known."""
    values = [s.values("force_mae_mev_per_angstrom") for s in (base, other)]
    known = all(len(v) == len(s.records) > 0 for v, s in zip(values, (base, other), strict=True))
    return (np.array(values[0]), np.array(values[1])) if known else None


def _not_compared(base: StrategyResult, other: StrategyResult) -> str:
    first, second = counterparts(base, other)
    why = "no MD runs" if first.records else "no seed in common"
    text = f"The stability of {other.strategy} was not compared with that of {base.strategy}: {why}"
    if (forces := _forces(first, second)) is not None:
        text += "; " + force_verdict(compare_forces(*forces), float(forces[0].mean()))
    return text


def median_text(result: StrategyResult) -> str:
    """Return ``241 fs``, or ``more than 3000 fs`` where the median is censored."""
    median = result.median_fs
    return f"more than {result.length_fs:g} fs" if median is None else f"{number(median)} fs"


def number(value: float | None) -> str:
    """Return a number with three significant digits, whole from 100 upwards; a dash for None."""
    if value is None or not np.isfinite(value):
        return "–"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
