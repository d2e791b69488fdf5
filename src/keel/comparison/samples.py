"""Two potentials on the same structures: how do their simulations and their errors differ, pair by pair?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keel.atoms.frame import Array
from keel.comparison.lifetimes import Lifetimes
from keel.comparison.paired import Comparison, compare_lifetimes
from keel.comparison.statistics import Interval, clustered_mean
from keel.errors import DataError
from keel.records import numbers, plain
from keel.showing import Shown


@dataclass(frozen=True, eq=False, repr=False)
class Sample(Shown):
    """Values found for each structure, so that two potentials can be compared pair by pair.

    Parameters
    ----------
    name, unit
        Of the values, e.g. ``"time to failure"`` in ``"fs"``.
    values
        Shape (K,).
    structures
        The :func:`~keel.identity.of_geometry` of the structure of each value.
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
        content: dict[str, Any] = plain(vars(self))
        return content

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Sample:
        """Return the sample that :meth:`to_dict` made plain.

        Parameters
        ----------
        content
            The plain data.
        """
        arrays = {k: None if content[k] is None else numbers(content[k]) for k in ("values", "weights")}
        return cls(**{**content, **arrays, **{k: tuple(content[k]) for k in ("structures", "causes")}})


def compare_samples(base: Sample, other: Sample) -> Comparison:
    """Compare the times to failure of two potentials; each is one training, so seeds are not varied.

    Raises
    ------
    DataError
        If the samples are not pairs, or not of times to failure.
    """
    _check(base, other)
    if not base.causes:
        raise DataError(f"{base.name} has no causes of failure, so it is not a lifetime")
    starts = _numbered(base.structures).tolist()
    first, second = (Lifetimes.of([s.values.tolist()], [s.causes], starts) for s in (base, other))
    return compare_lifetimes(first, second)


def mean_difference(base: Sample, other: Sample, confidence: float = 0.95) -> Interval:
    """Return the difference of weighted means, other - base, with the t interval over structures.

    See :func:`~keel.comparison.statistics.clustered_mean`. No resampling, so that any number of frames will do.

    Raises
    ------
    DataError
        If the samples are not pairs, or a value is not finite.
    """
    _check(base, other)
    difference = other.values - base.values
    if not np.isfinite(difference).all():
        raise DataError(f"{base.name}: values that are not finite cannot be compared")
    return clustered_mean(difference, _numbered(base.structures), base.weights, confidence, in_order=True)


def _numbered(structures: Sequence[str]) -> NDArray[np.int64]:
    """Return a number for each structure, equal for equal ones, in order of appearance."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(s, len(numbers)) for s in structures], dtype=np.int64)


def _check(base: Sample, other: Sample) -> None:
    if not base.pairs_with(other):
        raise DataError(f"{base.name} was not found on the same structures with the same settings on both sides")
