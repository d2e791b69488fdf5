"""Common parts of probes of recorded trajectories: the frames that count, and a limit from the noise of the reference.

A distribution (of distances, of angles) is averaged over the simulation and over the reference and the two are
compared. Neither is exact. Halves of a reference of n samples differ, by noise alone, by c sqrt(4/n), so a simulation
of m samples is expected to differ from the whole by

    c sqrt(1/n + 1/m) = (difference of the halves) sqrt(1 + n/m) / 2

A sample is an atom in a frame. The halves of the simulation itself are not used: drift would then widen its own limit.
Frames should be recorded about as far apart in time as the reference's, since correlated frames get too much weight.
Bands are 95 % intervals of the reference, from the scatter of successive blocks of its frames
(:func:`keel.comparison.series.series_mean`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from keel.atoms.elements import symbol
from keel.atoms.frame import Array, Frame
from keel.atoms.splits import group_frames
from keel.comparison.series import FEWEST_BLOCKS, NORMAL, mean_of, series_mean
from keel.dynamics.results import Snapshot, Trajectory
from keel.errors import ConfigError, DataError
from keel.evaluation.check import CheckResult, Curve, Metric, judged
from keel.evaluation.structure.rdf import mean_of_known

MOST_BLOCKS = 40
"""A reference is divided into this many blocks of successive frames, a shorter one into its frames."""

Distributions = Mapping[str, Array]
"""Values on a common grid by name, shape (K,) each."""

DISCARD = 0.2
"""Share of each run left out at its beginning, where it still depends on its start."""

NOISE = 3.0
"""A simulation may differ from the reference by this many times the expected noise."""


def settled(trajectory: Trajectory, discard: float) -> tuple[Snapshot, ...]:
    """Return what was recorded after the share ``discard`` of the time of a run.

    Raises
    ------
    ConfigError
        If the share is not within [0, 1).
    DataError
        If nothing was recorded, or a position is not finite.
    """
    if not 0 <= discard < 1:
        raise ConfigError(f"discard must be a share of the run in [0, 1), not {discard:g}")
    snapshots = trajectory.snapshots
    if not snapshots:
        raise DataError(f"run {trajectory.run} recorded no structure; simulate with record_every")
    start = snapshots[0].time + discard * (snapshots[-1].time - snapshots[0].time)
    kept = tuple(s for s in snapshots if s.time >= start)
    for s in kept:
        if not (np.isfinite(s.frame.positions).all() and np.isfinite(s.frame.cell).all()):
            raise DataError(f"{s.frame.source}: positions are not finite; simulate with the default criteria")
    return kept


def settled_frames(trajectories: Sequence[Trajectory], discard: float) -> list[Frame]:
    """Return the structures of all runs that :func:`settled` keeps.

    Raises
    ------
    ConfigError, DataError
        If there is no trajectory; see also :func:`settled`.
    """
    if not trajectories:
        raise DataError("there is no trajectory to judge; give at least one")
    return [s.frame for trajectory in trajectories for s in settled(trajectory, discard)]


def check_reference(frames: Sequence[Frame]) -> None:
    """Raise a DataError if there is no frame."""
    if not frames:
        raise DataError("there is no reference frame for comparison")


def failed_runs(trajectories: Sequence[Trajectory]) -> Metric:
    """Return how many runs ended in a failure; their frames count until then."""
    return Metric("runs that failed", sum(not t.survived for t in trajectories))


@dataclass(frozen=True, eq=False)
class AgainstReference:
    """Distributions of a simulation, of the reference, and of its first and second halves (None if it has none).

    Parameters
    ----------
    blocks
        For each structure of the reference, its distributions in successive blocks of frames.
    scale
        sqrt(1 + n/m) / 2 for n samples of the reference and m of the simulation.
    """

    simulated: Distributions
    reference: Distributions
    halves: tuple[Distributions, Distributions] | None
    blocks: Sequence[Sequence[Distributions]]
    scale: float

    def errors(self, distance: Callable[[Distributions, Distributions], dict[str, float]]) -> dict[str, float]:
        """Return ``distance(reference, simulated)``."""
        return distance(self.reference, self.simulated)

    def noise(self, distance: Callable[[Distributions, Distributions], dict[str, float]]) -> dict[str, float]:
        """Return the distance expected from noise alone; empty if the reference has no halves."""
        found = {} if self.halves is None else distance(*self.halves)
        return {name: self.scale * value for name, value in found.items()}

    def curves(self, names: Sequence[str], x: Array, x_label: str, y_label: str) -> list[Curve]:
        """Return each distribution of the simulation and of the reference, with the 95 % interval of that."""
        found = []
        for name in names:
            zero = np.zeros_like(x)
            found.append(Curve(f"{name} simulated", x, self.simulated.get(name, zero), x_label, y_label))
            curve = Curve(f"{name} reference", x, self.reference.get(name, zero), x_label, y_label)
            if min(map(len, self.blocks)) >= FEWEST_BLOCKS:
                half = self._half_interval(name, zero)
                curve = replace(curve, low=np.maximum(curve.y - half, 0.0), high=curve.y + half)
            found.append(curve)
        return found

    def _half_interval(self, name: str, zero: Array) -> Array:
        """Return half of the 95 % interval of a distribution of the reference at each point."""
        tables = [
            np.stack([b.get(name, zero) for b in blocks]) for blocks in self.blocks if any(name in b for b in blocks)
        ]
        errors = [mean_of([series_mean(table[:, k]) for table in tables]).error for k in range(len(zero))]
        return NORMAL * np.array(errors)


def compared(
    simulated: Sequence[Frame],
    reference: Sequence[Frame],
    measure: Callable[[Sequence[Frame]], Distributions],
    by: str | None,
    *,
    shares: bool = False,
) -> AgainstReference:
    """Measure the distributions of a simulation and of the reference, like with like.

    Parameters
    ----------
    by
        Key in ``Frame.info`` that names the structure, if there are several: only the structures simulated are taken
        from the reference, and each has the same weight in both averages. Without it the halves of a reference that
        holds one structure after the other differ by more than noise.
    shares
        The distributions of a set of frames are shares of a whole, so that one which they lack is zero; otherwise it is
        unknown, as g(r) of elements that are not there.

    Raises
    ------
    DataError
        If there is no reference, or none for a structure or of the elements simulated.
    """
    check_reference(reference)
    runs, references = grouped(simulated, by), grouped(reference, by)
    for name, frames in runs.items():
        what = f"{by} {name}" if by else "the simulation"
        if name not in references:
            raise DataError(f"there is no reference frame for {what}")
        elements, expected = _elements(frames), _elements(references[name])
        if elements != expected:
            raise DataError(f"{what} holds {elements}, but its reference {expected}; they cannot be compared")
    groups = [references[name] for name in runs]
    blocks = [[measure(part) for part in _parts(g)] for g in groups]

    def over(parts: Sequence[Sequence[Frame]]) -> Distributions:
        return (_mean_share if shares else mean_of_known)([measure(frames) for frames in parts])

    halves = None
    if min(map(len, groups)) > 1:
        halves = over([g[: len(g) // 2] for g in groups]), over([g[len(g) // 2 :] for g in groups])
    n, m = (sum(len(f) for group in part for f in group) for part in (groups, runs.values()))
    scale = 0.5 * float(np.sqrt(1.0 + n / m))
    return AgainstReference(over(list(runs.values())), over(groups), halves, blocks, scale)


def noise_limit(floor: float, noise: float | None, largest: float) -> float | None:
    """Return the larger of ``floor`` and :data:`NOISE` times the noise; None if unknown or above ``largest``."""
    limit = max(floor, NOISE * noise) if noise is not None else np.inf
    return limit if limit <= largest else None


def judged_if_possible(
    name: str, errors: Sequence[Metric], others: Sequence[Metric], curves: Sequence[Curve], bad: str
) -> CheckResult:
    """Return a result that names the worst error judged; "noted" if the reference is too noisy to judge any."""
    known = [m for m in errors if m.limit is not None]
    unknown = ", ".join(m.name for m in errors if m.limit is None)
    note = f"not judged, because there are too few frames: {unknown}" if unknown else ""
    if not known:
        return CheckResult(name, (*errors, *others), tuple(curves), "noted", note)
    top = max(known, key=lambda m: m.value)
    good = f"largest of {len(known)} differences from the reference: {top.name} {top.value:.2g} {top.unit}".rstrip()
    return judged(name, [*errors, *others], curves, f"{good}; {note}" if note else good, bad)


def grouped(frames: Sequence[Frame], by: str | None) -> Mapping[str, Sequence[Frame]]:
    """Return the frames of each structure, by the key in ``Frame.info`` that names it; None: all are of one.

    Raises
    ------
    DataError
        If a frame has no such key.
    """
    return {"": list(frames)} if by is None else group_frames(frames, by)


def _parts(frames: Sequence[Frame]) -> list[Sequence[Frame]]:
    """Return successive blocks of frames, as equal as can be."""
    ends = np.linspace(0, len(frames), min(len(frames), MOST_BLOCKS) + 1).round().astype(int).tolist()
    return [frames[a:b] for a, b in pairwise(ends)]


def _elements(frames: Sequence[Frame]) -> str:
    return ", ".join(symbol(int(z)) for z in np.unique(np.concatenate([f.numbers for f in frames])))


def _mean_share(members: Sequence[Distributions]) -> dict[str, Array]:
    """Average each name over the members that have any, with zero where one lacks it."""
    members = [member for member in members if member]
    names = dict.fromkeys(name for member in members for name in member)
    return {n: sum((m[n] for m in members if n in m), np.zeros(1)) / len(members) for n in names}
