"""How much does the disagreement of potentials say: are forces wrong where they differ, and by how much?

Both are lengths of vectors: the disagreement d about an atom (:mod:`keel.disagreement`) and the error e = |F -
F_label|. The rank correlation (Spearman) says whether larger disagreement goes with larger error. Large forces have
large errors anyway, so the correlation with the size |F| of the predicted force, which needs no other potential, is
given beside it. Bins with equal numbers of atoms compare root mean squares of e and d; where their ratio is the same in
all, it turns d into a calibrated error. Source of such bins: Levi, Gispan, Giladi & Fetaya, Sensors 22, 5540 (2022).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from keel.atoms.conversion import Structures, as_frames
from keel.atoms.frame import Array, Frame
from keel.atoms.isolated import is_isolated
from keel.atoms.neighbours import labelled_atoms
from keel.comparison.statistics import Interval, clustered_mean
from keel.disagreement import check_beside, disagreement, forces_of, potentials_beside
from keel.errors import DataError
from keel.potentials.accuracy import Accuracy
from keel.potentials.external.opening import Given
from keel.showing import Facts, Shown
from keel.wording import number

MOST_BINS, FEWEST_ATOMS = 8, 25
"""Bins, and atoms in each; with fewer atoms there are fewer bins."""
RESAMPLES = 400


@dataclass(frozen=True, eq=False, repr=False)
class Bins(Shown):
    """Atoms sorted by disagreement, in bins of equal numbers; eV/angstrom, columns of shape (bins,).

    Parameters
    ----------
    lower, upper
        The least and the largest disagreement in the bin.
    atoms
        Their number.
    disagreement, error
        Root mean squares; the error is that of the force vector, 3^(1/2) times that of a component.
    low, high
        The 95 % interval of the error over frames; an open end infinite.
    """

    lower: Array
    upper: Array
    atoms: NDArray[np.int64]
    disagreement: Array
    error: Array
    low: Array
    high: Array

    @property
    def ratio(self) -> Array:
        """Error / disagreement; infinite where nothing is disputed and yet wrong."""
        with np.errstate(divide="ignore", invalid="ignore"):
            found: Array = self.error / self.disagreement
        return found

    @property
    def rows(self) -> list[dict[str, float]]:
        """Each bin as an object."""
        columns = {f.name: getattr(self, f.name).tolist() for f in fields(self)} | {"ratio": self.ratio.tolist()}
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


@dataclass(frozen=True, eq=False, repr=False)
class ErrorsByDisagreement(Shown):
    """How well disagreement predicts errors of forces.

    Parameters
    ----------
    frames, atoms
        Their numbers; only atoms with a label count.
    rank, rank_of_size
        Spearman's correlation of the error with the disagreement, and with the size of the predicted force; NaN where
        all are equal. Intervals of 95 %, over resampled frames.
    more
        The first minus the second, over the same frames.
    ratio
        Root mean square error / root mean square disagreement of all atoms.
    bins
        The same in bins.
    """

    frames: int
    atoms: int
    rank: Interval
    rank_of_size: Interval
    more: Interval
    ratio: float
    bins: Bins

    def facts(self) -> Facts:
        """See :class:`~keel.showing.Shown`."""
        return {
            "rank correlation with the error": _with_interval(self.rank),
            "of the force itself": _with_interval(self.rank_of_size),
            "error / disagreement": number(self.ratio, 3),
            "of": f"{self.frames} frames, {self.atoms} atoms",
        }

    @property
    def verdict(self) -> str:
        """One sentence on what the disagreement is good for."""
        if np.isnan(self.rank.low) and not np.isnan(self.rank.value):
            return "What the disagreement predicts is unknown: forces or errors hardly vary between the structures"
        if not self.rank.low > 0:
            return "The disagreement predicts nothing: errors are as large where it is small"
        lowest, highest = (number(float(end), 2) for end in (self.bins.ratio.min(), self.bins.ratio.max()))
        size = (
            "better than" if self.more.low > 0 else "worse than" if self.more.high < 0 else "apparently no better than"
        )
        return (
            f"Larger disagreement goes with larger errors and predicts them {size} the size of the force; the error is "
            f"{lowest} to {highest} times the disagreement"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data."""
        ranks = {"rank_correlation": self.rank, "rank_correlation_of_size": self.rank_of_size, "difference": self.more}
        return {
            "frames": self.frames,
            "atoms": self.atoms,
            **{name: [found.value, found.low, found.high] for name, found in ranks.items()},
            "error_over_disagreement": self.ratio,
            "unit": "eV/angstrom",
            "bins": self.bins.rows,
            "verdict": self.verdict,
        }


def errors_by_disagreement(
    found: Accuracy, beside: Given | Sequence[Given], frames: Structures
) -> ErrorsByDisagreement:
    """Compare the errors of forces with the disagreement of other potentials about the same atoms.

    Intervals are percentiles over frames resampled with all their atoms; where frames of one run resemble each other,
    they are too narrow.

    Parameters
    ----------
    found
        The result of :func:`~keel.potentials.accuracy.accuracy` for these frames.
    beside
        The others, see :func:`keel.disagreement.force_disagreement`.
    frames
        In the same order.

    Raises
    ------
    DataError
        If no forces are labelled, a potential beside does not know an element, or a force is not finite.
    """
    others = potentials_beside(beside)
    members = [f for f in as_frames(frames) if not is_isolated(f) and labelled_atoms(f).any()]
    if not members or not others:
        what = "no frame has labelled forces" if others else "no potential is given"
        raise DataError(f"{what} to compare with")
    check_beside(others, members)
    chosen = np.concatenate([labelled_atoms(f) for f in members])
    theirs = [np.concatenate(forces_of(other, members))[chosen] for other in others]
    own, labels = found.forces.prediction, found.forces.reference
    apart, error, size = disagreement(own, theirs), disagreement(own, [labels]), np.linalg.norm(own, axis=1)
    _refuse_infinite(members, chosen, apart + error)
    structure = np.repeat(np.arange(len(members)), [int(labelled_atoms(f).sum()) for f in members])
    rank, of_size, more = _correlations(error, (apart, size), structure)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = float(np.divide(_rms(error), _rms(apart)))
    bins = _binned(apart, error, structure)
    return ErrorsByDisagreement(len(members), len(error), rank, of_size, more, ratio, bins)


def _refuse_infinite(frames: Sequence[Frame], chosen: NDArray[np.bool_], values: Array) -> None:
    if not np.isfinite(values).all():
        atom = int(np.flatnonzero(chosen)[np.flatnonzero(~np.isfinite(values))[0]])
        k = int(np.searchsorted(np.cumsum([len(f) for f in frames]), atom, side="right"))
        raise DataError(f"{frames[k].source}: a force that is predicted for it is not finite; leave it out")


def _correlations(error: Array, others: tuple[Array, Array], structure: NDArray[np.int64]) -> list[Interval]:
    """Return Spearman's correlation of the error with each of two quantities, and the difference of both."""

    def both(atoms: NDArray[np.int64]) -> list[float]:
        ranks = rankdata(error[atoms])
        one, other = (_correlation(rankdata(values[atoms]), ranks) for values in others)
        return [one, other, one - other]

    atoms_of = np.split(np.arange(len(error)), np.flatnonzero(np.diff(structure)) + 1)
    rng = np.random.default_rng(0)
    draws = (rng.integers(len(atoms_of), size=len(atoms_of)) for _ in range(RESAMPLES))
    drawn = np.array([both(np.concatenate([atoms_of[k] for k in draw])) for draw in draws])
    # Nothing varies where only symmetric structures were drawn.
    defined = drawn[np.isfinite(drawn).all(axis=1)]
    ends = np.quantile(defined, [0.025, 0.975], axis=0) if len(defined) else np.full((2, 3), np.nan)
    if len(atoms_of) == 1:
        ends = np.outer([-1.0, 1.0], [1.0, 1.0, 2.0])
    return [Interval(*values) for values in zip(both(np.arange(len(error))), *ends.tolist(), strict=True)]


def _correlation(a: Array, b: Array) -> float:
    varies = np.ptp(a) > 0 and np.ptp(b) > 0
    return float(np.corrcoef(a, b)[0, 1]) if varies else np.nan


def _binned(apart: Array, error: Array, structure: NDArray[np.int64]) -> Bins:
    order = np.argsort(apart, kind="stable")
    rows = []
    for atoms in np.array_split(order, min(MOST_BINS, max(1, len(order) // FEWEST_ATOMS))):
        square = clustered_mean(np.square(error[atoms]), structure[atoms])
        own = apart[atoms]
        ends = np.sqrt(np.maximum([square.low, square.high], 0.0))
        rows.append((own[0], own[-1], len(atoms), _rms(own), np.sqrt(square.value), *ends))
    lower, upper, atoms, *rest = np.array(rows).T
    return Bins(lower, upper, atoms.astype(np.int64), *rest)


def _rms(values: Array) -> float:
    return float(np.sqrt(np.square(values).mean()))


def _with_interval(found: Interval) -> str:
    return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"
