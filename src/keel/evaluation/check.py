"""What every probe of a potential answers with."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from keel.atoms.frame import Array, Frame

Outcome = Literal["passed", "failed", "noted", "skipped"]
"""``noted``: numbers to look at, for which there is no limit; ``skipped``: the probe does not apply, and says why."""


@dataclass(frozen=True)
class Metric:
    """A number that a probe found.

    Parameters
    ----------
    name
        As it stands in tables.
    value
        In ``unit``; NaN if it could not be found.
    unit
        Empty for pure numbers.
    limit
        The largest absolute value that passes; None if there is no limit.
    """

    name: str
    value: float
    unit: str = ""
    limit: float | None = None

    @property
    def passed(self) -> bool:
        """Whether the value keeps to its limit; NaN does not."""
        return self.limit is None or bool(abs(self.value) <= self.limit)


@dataclass(frozen=True, eq=False)
class Curve:
    """A curve to draw.

    Parameters
    ----------
    name
        In the legend.
    x, y
        Values, shape (K,).
    x_label, y_label
        With units.
    low, high
        A band around y, shape (K,).
    """

    name: str
    x: Array
    y: Array
    x_label: str
    y_label: str
    low: Array | None = None
    high: Array | None = None


@dataclass(frozen=True, eq=False)
class Film:
    """Structures to play one after the other, or one to look at.

    Parameters
    ----------
    name
        What happens in it.
    frames
        All of the same atoms.
    times
        Of each frame in fs, shape (K,); empty if they are no times.
    """

    name: str
    frames: tuple[Frame, ...]
    times: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class Sample:
    """What was found of each structure, so that two potentials can be compared pair by pair.

    Parameters
    ----------
    name, unit
        Of the values, e.g. ``"time to failure"`` in ``"fs"``.
    values
        Shape (K,).
    structures
        The :func:`digest` of the structure of each value.
    condition
        Under which, e.g. ``"3000 K"``; may be empty.
    settings
        What else fixes the values, such as the seed of velocities and noise, JSON-compatible.
    causes
        Of times to failure: why each run failed, None for those that survived to their time.
    weights
        How much each value counts in a mean, e.g. the number of its atoms, shape (K,); None: all the same.
    """

    name: str
    unit: str
    values: Array
    structures: tuple[str, ...]
    condition: str = ""
    settings: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    causes: tuple[str | None, ...] = ()
    weights: Array | None = None

    @property
    def mean(self) -> float:
        """The weighted mean."""
        return float(np.average(self.values, weights=self.weights))

    def pairs_with(self, other: Sample) -> bool:
        """Whether value k of both is of the same structure, found in the same way."""

        def found(sample: Sample) -> tuple[Any, ...]:
            return sample.name, sample.unit, sample.structures, sample.condition, dict(sample.settings)

        return found(self) == found(other)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON; what is not finite becomes None."""
        weights = None if self.weights is None else self.weights.tolist()
        values = [_finite(x) for x in self.values.tolist()]
        return {**vars(self), "values": values, "settings": dict(self.settings), "weights": weights}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Sample:
        """Return the sample that :meth:`to_dict` made plain."""
        arrays = {k: None if content[k] is None else _numbers(content[k]) for k in ("values", "weights")}
        return cls(**{**content, **arrays, **{k: tuple(content[k]) for k in ("structures", "causes")}})


@dataclass(frozen=True, eq=False)
class CheckResult:
    """What a probe found out about a potential.

    Parameters
    ----------
    name
        Of the probe, e.g. ``"equation of state"``.
    metrics
        Numbers, the most telling first.
    curves
        To draw.
    outcome
        See :data:`Outcome`.
    verdict
        One plain sentence with the number that decided.
    films
        To play, e.g. the last moments before a failure.
    samples
        Values of single structures that are behind the metrics.
    """

    name: str
    metrics: tuple[Metric, ...]
    curves: tuple[Curve, ...]
    outcome: Outcome
    verdict: str
    films: tuple[Film, ...] = ()
    samples: tuple[Sample, ...] = ()

    def __getitem__(self, name: str) -> float:
        """Return the value of a metric."""
        return {metric.name: metric.value for metric in self.metrics}[name]

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as plain data for JSON, without films; what is not finite becomes None."""
        return {
            "name": self.name,
            "outcome": self.outcome,
            "verdict": self.verdict,
            "metrics": [{**vars(m), "value": _finite(m.value), "passed": m.passed} for m in self.metrics],
            "curves": [
                {k: [_finite(x) for x in v.tolist()] if isinstance(v, np.ndarray) else v for k, v in vars(c).items()}
                for c in self.curves
            ],
            "samples": [sample.to_dict() for sample in self.samples],
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any], films: Sequence[Film] = ()) -> CheckResult:
        """Return the result that :meth:`to_dict` made plain."""
        metrics = tuple(Metric(m["name"], _number(m["value"]), m["unit"], m["limit"]) for m in content["metrics"])
        curves = tuple(
            Curve(
                name=c["name"],
                x=_numbers(c["x"]),
                y=_numbers(c["y"]),
                x_label=c["x_label"],
                y_label=c["y_label"],
                low=None if c["low"] is None else _numbers(c["low"]),
                high=None if c["high"] is None else _numbers(c["high"]),
            )
            for c in content["curves"]
        )
        samples = tuple(map(Sample.from_dict, content.get("samples", ())))
        return cls(content["name"], metrics, curves, content["outcome"], content["verdict"], tuple(films), samples)


def judged(name: str, metrics: Sequence[Metric], curves: Sequence[Curve], good: str, bad: str) -> CheckResult:
    """Return a result that passes if every metric keeps to its limit.

    Parameters
    ----------
    good
        The verdict if it passes.
    bad
        The verdict if it fails; the metrics that do not keep to their limits are added.
    """
    broken = [m for m in metrics if not m.passed]
    if not broken:
        return CheckResult(name, tuple(metrics), tuple(curves), "passed", good)
    found = ", ".join(f"{m.name} {m.value:.3g} {m.unit}".rstrip() + f" (at most {m.limit:.3g})" for m in broken)
    return CheckResult(name, tuple(metrics), tuple(curves), "failed", f"{bad}: {found}")


def digest(frame: Frame) -> str:
    """Return twelve letters that tell a structure from others, whatever file it lies in."""
    parts = (frame.numbers.astype(np.int64), frame.positions.astype(float), frame.cell.astype(float), frame.pbc)
    return hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()[:12]


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _numbers(values: Sequence[float | None]) -> Array:
    return np.array([_number(value) for value in values], dtype=np.float64)
