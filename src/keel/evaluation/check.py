"""The result of a probe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from keel.atoms.frame import Array, Frame
from keel.comparison.samples import Sample
from keel.records import number, numbers, plain
from keel.showing import Facts, Shown, first_rows, line, table
from keel.wording import SYMBOLS, typeset
from keel.wording import number as rounded

Outcome = Literal["passed", "failed", "noted", "skipped"]
"""``noted``: for information, without a limit; ``skipped``: the probe does not apply, and the verdict gives the
reason."""


@dataclass(frozen=True)
class Metric:
    """A number that a probe found.

    Parameters
    ----------
    name
        Name in tables.
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
        """Whether the value is within its limit; NaN is not."""
        return self.limit is None or bool(abs(self.value) <= self.limit)


@dataclass(frozen=True, eq=False, repr=False)
class Curve(Shown):
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

    def facts(self) -> Facts:
        """See :class:`~keel.showing.Shown`."""
        return {"of": self.name, "points": f"{len(self.x):,}", "y": self.y_label, "against": self.x_label}

    def picture(self) -> str:
        """See :class:`~keel.showing.Shown`."""
        return line(self.y.tolist(), label=f"{self.name}: {self.y_label} against {self.x_label}")


@dataclass(frozen=True, eq=False, repr=False)
class Film(Shown):
    """Structures to play one after the other, or one to look at.

    Parameters
    ----------
    name
        What happens in it.
    frames
        All of the same atoms.
    times
        Time of each frame in fs, shape (K,); empty if frames are not ordered in time.
    """

    name: str
    frames: tuple[Frame, ...]
    times: tuple[float, ...] = ()

    def facts(self) -> Facts:
        """See :class:`~keel.showing.Shown`."""
        return {"of": self.name, "frames": f"{len(self.frames):,}"}

    def picture(self) -> str:
        """See :class:`~keel.showing.Shown`."""
        return self.frames[-1].picture() if self.frames else ""


@dataclass(frozen=True, eq=False, repr=False)
class CheckResult(Shown):
    """The result of a probe of a potential.

    Parameters
    ----------
    name
        Of the probe, e.g. ``"equation of state"``.
    metrics
        Numbers, the most important first.
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

    def facts(self) -> Facts:
        """See :class:`~keel.showing.Shown`."""
        return {"probe": self.name, "outcome": self.outcome, "verdict": self.verdict}

    def _repr_html_(self) -> str:
        """Show the verdict, and every metric in a row."""
        rows = [
            (m.name, f"{rounded(m.value)} {typeset(m.unit)}", "" if m.limit is None else rounded(m.limit))
            for m in self.metrics
        ]
        title = f"{SYMBOLS[self.outcome]} {self.name}: {self.verdict}"
        return table(first_rows(rows, len(rows)), title=title, header=("metric", "value", "limit"))

    def __getitem__(self, name: str) -> float:
        """Return the value of a metric."""
        return {metric.name: metric.value for metric in self.metrics}[name]

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as plain data for JSON, without films; what is not finite becomes None."""
        content: dict[str, Any] = plain(
            {
                "name": self.name,
                "outcome": self.outcome,
                "verdict": self.verdict,
                "metrics": [{**vars(m), "passed": m.passed} for m in self.metrics],
                "curves": [vars(c) for c in self.curves],
                "samples": [vars(sample) for sample in self.samples],
            }
        )
        return content

    @classmethod
    def from_dict(cls, content: dict[str, Any], films: Sequence[Film] = ()) -> CheckResult:
        """Return the result that :meth:`to_dict` made plain.

        Parameters
        ----------
        content
            The plain data.
        films
            Films, which plain data do not contain.
        """
        metrics = tuple(Metric(m["name"], number(m["value"]), m["unit"], m["limit"]) for m in content["metrics"])
        curves = tuple(
            Curve(
                name=c["name"],
                x=numbers(c["x"]),
                y=numbers(c["y"]),
                x_label=c["x_label"],
                y_label=c["y_label"],
                low=None if c["low"] is None else numbers(c["low"]),
                high=None if c["high"] is None else numbers(c["high"]),
            )
            for c in content["curves"]
        )
        samples = tuple(map(Sample.from_dict, content.get("samples", ())))
        return cls(content["name"], metrics, curves, content["outcome"], content["verdict"], tuple(films), samples)


def judged(name: str, metrics: Sequence[Metric], curves: Sequence[Curve], good: str, bad: str) -> CheckResult:
    """Return a result that passes if every metric is within its limit.

    Parameters
    ----------
    name, metrics, curves
        See :class:`CheckResult`.
    good
        The verdict if it passes.
    bad
        The verdict if it fails; the metrics beyond their limits are added.
    """
    broken = [m for m in metrics if not m.passed]
    if not broken:
        return CheckResult(name, tuple(metrics), tuple(curves), "passed", good)
    found = ", ".join(f"{m.name} {m.value:.3g} {m.unit}".rstrip() + f" (at most {m.limit:.3g})" for m in broken)
    return CheckResult(name, tuple(metrics), tuple(curves), "failed", f"{bad}: {found}")
