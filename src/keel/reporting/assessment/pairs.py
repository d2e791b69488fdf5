"""Potentials compared pair by pair with the first of them: the same starts, random numbers and frames for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from keel.comparison.paired import (
    Comparison,
    Effect,
    difference_text,
    force_verdict,
    points_text,
    stability_verdict,
    times_text,
    verdict,
)
from keel.comparison.samples import Sample, compare_samples, mean_difference
from keel.comparison.statistics import Interval
from keel.evaluation.labels.against_labels import FORCES
from keel.evaluation.stability.md_stability import LIFETIME
from keel.records import plain
from keel.results.assessment import Assessment
from keel.wording import listed, typeset

MANY = 0.5
"""A condition decides if one of the two failed in at least this share of its runs."""


@dataclass(frozen=True, eq=False)
class Simulations:
    """Simulations of both under one condition."""

    condition: str
    temperature: float
    plain: bool
    length: float
    comparison: Comparison

    @property
    def failed_share(self) -> float:
        """The larger share of failed runs of the two potentials."""
        return float(max(lifetimes.failed.mean() for lifetimes in (self.comparison.base, self.comparison.other)))

    @property
    def conditions(self) -> str:
        """Return ``8 runs each of 3000 fs at 3000 K``."""
        runs = self.comparison.base.failed.size
        return f"{runs} run{'s' if runs > 1 else ''} each of {self.length:g} fs at {self.condition}"


@dataclass(frozen=True, eq=False)
class Errors:
    """Errors of both on the same frames: the error of the baseline, and the difference, in ``unit``."""

    name: str
    unit: str
    frames: int
    base: float
    difference: Interval

    @property
    def sentence(self) -> str:
        """How the error changed."""
        if self.name == FORCES:
            return force_verdict(self.difference, self.base)
        return f"{self.name.removeprefix('MAE of ')} error {difference_text(self.difference, typeset(self.unit))}"


@dataclass(frozen=True)
class Row:
    """A line of the table, in words."""

    condition: str
    mean: str
    failed: str
    finding: str


@dataclass(frozen=True, eq=False)
class Versus:
    """A potential compared with the baseline.

    Parameters
    ----------
    baseline, potential
        Names.
    simulations, errors
        What was compared: lifetimes under each condition, and errors on the same frames.
    obstacle
        Why no simulations could be compared, if that is so.
    left_out
        Results that are not from the same structures with the same settings on both sides, or are not finite.
    """

    baseline: str
    potential: str
    simulations: tuple[Simulations, ...]
    errors: tuple[Errors, ...]
    obstacle: str = ""
    left_out: tuple[str, ...] = ()

    @property
    def deciding(self) -> Simulations | None:
        """The lowest temperature at which one of the two failed in half of its runs, or else the highest.

        Either of the two may decide, so that the choice favours neither: if the baseline alone decided, chance would go
        against it. Runs under pressure and from compressed starts do not decide.
        """
        ladder = sorted([r for r in self.simulations if r.plain] or self.simulations, key=lambda r: r.temperature)
        return next((r for r in ladder if r.failed_share >= MANY), ladder[-1] if ladder else None)

    @property
    def choice(self) -> str:
        """How the deciding condition was chosen; empty if there is only one."""
        deciding = self.deciding
        if deciding is None or len(self.simulations) == 1:
            return ""
        if deciding.failed_share >= MANY:
            why = "the lowest temperature at which one of the two failed in at least half of its runs"
        else:
            why = "the highest temperature, because neither failed in half of its runs at any of them"
        return f"Judged at {deciding.condition}: {why}."

    @property
    def effect(self) -> Effect:
        """Effect on stability, in the deciding condition."""
        return self.deciding.comparison.effect if self.deciding else "untested"

    @property
    def verdict(self) -> str:
        """One sentence on stability in the deciding condition, and on the force error."""
        forces = next((e for e in self.errors if e.name == FORCES), None)
        if self.deciding is None:
            why = self.obstacle or "runs had different starts, random numbers or settings"
            text = f"the stability of “{self.potential}” was not compared with that of “{self.baseline}”: {why}"
            text += f"; {forces.sentence}" if forces else ""
        else:
            found = self.deciding.comparison
            if forces is not None:
                found = replace(found, force=forces.difference, base_force=forces.base)
            text = verdict(found, f"“{self.potential}” in place of “{self.baseline}”", self.deciding.conditions)
        return f"{text[0].upper()}{text[1:]}."

    @property
    def rows(self) -> tuple[Row, ...]:
        """The table: a line for each condition, and for each error."""
        stability = [
            Row(r.condition, times_text(c.mean), points_text(c.failed), self._finding(r))
            if (c := r.comparison).effect != "untested"
            else Row(r.condition, "–", "–", self._finding(r))
            for r in self.simulations
        ]
        errors = [
            Row(f"{e.name}, {e.frames} frame{'s' if e.frames > 1 else ''}", "–", "–", e.sentence) for e in self.errors
        ]
        return (*stability, *errors)

    def _finding(self, simulations: Simulations) -> str:
        return stability_verdict(simulations.comparison, f"“{self.potential}”")

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON; ends of intervals that are open are None."""
        return {
            "baseline": self.baseline,
            "potential": self.potential,
            "effect": self.effect,
            "verdict": self.verdict,
            "choice": self.choice,
            "conditions": [
                {
                    "condition": r.condition,
                    "effect": (c := r.comparison).effect,
                    "verdict": self._finding(r),
                    "runs": c.base.failed.size,
                    "failed_runs": [int(lifetimes.failed.sum()) for lifetimes in (c.base, c.other)],
                    "mean_time_ratio": plain(vars(c.mean)),
                    "median_time_ratio": c.median and plain(vars(c.median)),
                    "failed_share_difference": plain(vars(c.failed)),
                }
                for r in self.simulations
            ],
            "errors": [
                {"name": e.name, "unit": e.unit, "baseline": e.base, "difference": plain(vars(e.difference))}
                for e in self.errors
            ],
            "left_out": list(self.left_out),
        }


def comparisons(assessments: Sequence[Assessment]) -> tuple[Versus, ...]:
    """Compare each potential with the first; empty where there is only one, or no values of single structures."""
    if not any(result.samples for a in assessments for result in a.results):
        return ()
    return tuple(versus(assessments[0], other) for other in assessments[1:])


def versus(base: Assessment, other: Assessment) -> Versus:
    """Compare two potentials on everything that was tried in the same way with both."""
    tables = [{(s.name, s.condition): s for result in a.results for s in result.samples} for a in (base, other)]
    pairs = {
        key: (s, tables[1][key]) for key, s in tables[0].items() if key in tables[1] and _paired(s, tables[1][key])
    }
    absent = [a.potential for a, t in zip((base, other), tables, strict=True) if all(name != LIFETIME for name, _ in t)]
    left_out = [key for key in {**tables[0], **tables[1]} if key not in pairs and not (absent and key[0] == LIFETIME)]
    return Versus(
        base.potential,
        other.potential,
        tuple(_simulations(*pair) for (name, _), pair in pairs.items() if name == LIFETIME),
        tuple(_errors(*pair) for (name, _), pair in pairs.items() if name != LIFETIME),
        f"no simulations of {_quoted(absent)} are on record" if absent else "",
        tuple(f"{name} at {condition}" if condition else name for name, condition in left_out),
    )


def _paired(base: Sample, other: Sample) -> bool:
    return base.pairs_with(other) and bool(np.isfinite([base.values, other.values]).all())


def _simulations(base: Sample, other: Sample) -> Simulations:
    s = base.settings
    plain = s["pressure"] is None and s["volume"] == 1.0
    return Simulations(base.condition, s["temperature"], plain, s["length"], compare_samples(base, other))


def _errors(base: Sample, other: Sample) -> Errors:
    return Errors(base.name, base.unit, len(base.values), base.mean, mean_difference(base, other))


def _quoted(names: Sequence[str]) -> str:
    return listed([f"“{name}”" for name in names])
