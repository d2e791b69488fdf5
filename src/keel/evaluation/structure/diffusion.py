"""Mean-squared displacement and diffusion coefficient of each element."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keel.atoms.conversion import Structures, as_frames
from keel.atoms.elements import symbol
from keel.atoms.frame import Array, Frame
from keel.atoms.mobility import masses_of
from keel.comparison.series import mean_of
from keel.dynamics.results import Trajectory
from keel.errors import ConfigError, DataError
from keel.evaluation.check import CheckResult, Curve, Metric, judged
from keel.evaluation.structure.brownian import Lags, diffusive_lag, slope
from keel.evaluation.structure.recorded import DISCARD, failed_runs, settled

NAME = "diffusion"
UNIT = "angstrom^2/fs"
CM2_PER_S = 0.1
"""1 angstrom^2/fs in cm^2/s."""

SHORTEST = 20
"""Fewest frames of a run that separate diffusion from what precedes it."""

LONGEST = 3
"""No lag is longer than this share of a run, except the first two."""
MOST_LAGS = 8
"""Lags of a window through which a line is fitted."""

FACTOR = 0.5
"""Share by which a diffusion coefficient may differ from the reference's, ..."""
VIBRATION = 0.5
"""... or by this many angstrom^2 of displacement over the longest lag: less is not diffusion."""


@dataclass(frozen=True, eq=False)
class Diffusion:
    """Diffusion of one element: mean-squared displacement (K,) in angstrom^2 at lags (K,) in fs, and its growth.

    Parameters
    ----------
    coefficient, error
        D and its standard error in angstrom^2/fs: 1.96 errors to either side are the 95 % interval.
    exponent
        Of the lag: 1 for diffusion, 2 for free flight, 0 for atoms bound to their sites.
    """

    lags: Array
    msd: Array
    coefficient: float
    error: float
    exponent: float


def diffusion(
    trajectories: Sequence[Trajectory],
    *,
    reference: Structures | None = None,
    reference_interval_fs: float | None = None,
    discard: float = DISCARD,
    window: tuple[float, float] | None = None,
) -> CheckResult:
    """Measure the mean-squared displacement <|r(t0 + t) - r(t0)|^2>, and D = MSD / (6 t) (Einstein relation).

    The average is over the atoms of an element, all time origins t0, and runs; the drift of the centre of mass is
    subtracted. D is the slope of the straight line through the MSD from the lag on at which displacements separated by
    one such interval are no more correlated than noise allows
    (:func:`~keel.evaluation.structure.brownian.diffusive_lag`): ballistic motion and vibration are then over. That lag
    does not grow with the run, so that errors fall as 1/sqrt(length). Line and error allow for the correlation of the
    MSD with itself (:func:`~keel.evaluation.structure.brownian.slope`), and for atoms that hop together. What differs
    between runs beyond this, such as their structures, is not in the error. Runs count by atoms times length.
    Displacements are relative to the centre of mass: for n independent, equal atoms D is smaller by 1/n than that of
    one.

    D is judged only with a reference trajectory: D must not differ by more than half of the reference's, nor three
    standard errors, nor 0.5 angstrom^2 over the longest lag, whichever is largest.

    Parameters
    ----------
    trajectories
        Recorded at even intervals, of the same elements; runs of fewer than 20 frames are counted and left out.
    reference
        One trajectory in order of time, in which no atom moves by half a cell from frame to frame.
    reference_interval_fs
        Time between its frames.
    discard
        Share of each run (not of the reference) that is left out at its beginning.
    window
        Lags to fit the line through, as shares of the length of a run; None: chosen by correlation.

    Raises
    ------
    ConfigError, DataError
        If the window is empty, a reference has no interval, nothing was recorded or not at even intervals.
    """
    reference = None if reference is None else as_frames(reference, labels=False)
    if window is not None and not 0 < window[0] < window[1] < 1:
        raise ConfigError(f"window must be two rising shares of a run's length in (0, 1), not {window}")
    if reference is not None and not (reference_interval_fs or 0) > 0:
        raise ConfigError("give the time between the reference's frames in fs as reference_interval_fs")
    if not trajectories:
        raise DataError("there is no trajectory to judge; give at least one")
    runs = [_paths(trajectory, discard) for trajectory in trajectories]
    usable = [run for run in runs if len(run.positions) >= SHORTEST]
    if not usable:
        return CheckResult(
            NAME, (), (), "skipped", f"no run has the {SHORTEST} recorded frames that are needed to see diffusion"
        )
    found, expected = diffusion_by_element(usable, window), None
    if reference is not None and reference_interval_fs is not None:
        expected = diffusion_by_element([paths_of(unwrapped(reference), reference_interval_fs)], window)
    counts = (Metric("runs too short", len(runs) - len(usable)), failed_runs(trajectories))
    return _judge(found, expected, counts)


@dataclass(frozen=True, eq=False)
class Paths:
    """Positions (T, N, 3) in angstrom without drift, each ``interval_fs``, of atoms with numbers (N,)."""

    numbers: np.ndarray
    positions: Array
    interval_fs: float

    @property
    def work(self) -> float:
        """Atoms times time: the weight of a run."""
        return float(self.positions.shape[0] * self.positions.shape[1] * self.interval_fs)

    def of(self, number: int) -> Paths:
        """Return those of one element."""
        chosen = self.numbers == number
        return Paths(self.numbers[chosen], self.positions[:, chosen], self.interval_fs)

    def is_like(self, other: Paths) -> bool:
        """Whether both have the same lags."""
        return len(self.positions) == len(other.positions) and bool(np.isclose(self.interval_fs, other.interval_fs))


def paths_of(frames: Sequence[Frame], interval_fs: float) -> Paths:
    """Return the paths of the atoms of a trajectory with unwrapped positions, without the drift of the centre of mass.

    Where a barostat changes the cell, displacements are those in the mean cell: its rescaling is not motion.
    """
    cells, positions = np.stack([f.cell for f in frames]), np.stack([f.positions for f in frames])
    if np.ptp(cells, axis=0).any():
        positions = positions @ np.linalg.inv(cells) @ cells.mean(axis=0)
    masses = masses_of(frames[0])
    centre = np.einsum("n,tnd->td", masses, positions) / masses.sum()
    return Paths(frames[0].numbers, positions - centre[:, None], interval_fs)


def unwrapped(frames: Sequence[Frame]) -> list[Frame]:
    """Return a trajectory in which every atom moves on to its nearest image (in the cell's own coordinates)."""
    if len(frames) < SHORTEST:
        raise DataError(f"a reference trajectory needs at least {SHORTEST} frames to see diffusion")
    if any(not np.array_equal(f.numbers, frames[0].numbers) for f in frames):
        raise DataError("the frames of the reference are not of the same atoms; it must be one trajectory")
    result = [frames[0]]
    for frame in frames[1:]:
        cell = frame.cell * frame.pbc[:, None]
        step = frame.positions - result[-1].positions
        result.append(frame.replace(positions=frame.positions - np.round(step @ np.linalg.pinv(cell)) @ cell))
    return result


def mean_squared_displacement(positions: Array) -> Array:
    """Return the mean over time origins of |r(t0 + m) - r(t0)|^2 for every atom, shape (T, N).

        MSD(m) = S(m) / (T - m) - 2 C(m) / (T - m)
        S(m) = sum_k |r(k)|^2 + |r(k + m)|^2,   C(m) = sum_k r(k) . r(k + m),   k = 0 .. T - m - 1

    C by fast Fourier transform of the positions padded with zeros, in O(T log T) (Kneller et al., Comput. Phys.
    Commun. 91, 191 (1995)).

    Parameters
    ----------
    positions
        Shape (T, N, 3).
    """
    n = len(positions)
    r = positions - positions.mean(axis=0)
    power = np.abs(np.fft.rfft(r, 2 * n, axis=0)) ** 2
    correlation = np.fft.irfft(power, 2 * n, axis=0)[:n].sum(axis=2)
    squares = np.cumsum(np.square(r).sum(axis=2), axis=0)
    left = squares[::-1]  # sum over k < T - m
    right = squares[-1] - np.concatenate([np.zeros_like(squares[:1]), squares[:-1]])  # sum over k >= m
    msd: Array = (left + right - 2 * correlation) / (n - np.arange(n))[:, None]
    return msd


def diffusion_by_element(runs: Sequence[Paths], window: tuple[float, float] | None = None) -> dict[str, Diffusion]:
    """Return the diffusion of each element, averaged over runs; see :func:`diffusion`."""
    elements = {int(z) for run in runs for z in run.numbers}
    return {symbol(z): _diffusion([r.of(z) for r in runs if (r.numbers == z).any()], window) for z in sorted(elements)}


def _diffusion(runs: Sequence[Paths], window: tuple[float, float] | None) -> Diffusion:
    msds = [mean_squared_displacement(run.positions).mean(axis=1) for run in runs]
    longest = max(runs, key=lambda run: len(run.positions))
    alike = [k for k, run in enumerate(runs) if run.is_like(longest)]
    msd = np.mean([msds[k] for k in alike], axis=0)
    first = diffusive_lag(msd, sum(runs[k].positions.shape[1] for k in alike)) * longest.interval_fs
    chosen = [_lags(run, first, window) for run in runs]
    slopes = [
        slope(run.positions, m, lags, round(first / run.interval_fs))
        for run, m, lags in zip(runs, msds, chosen, strict=True)
    ]
    mean = mean_of([s.over(6.0 * r.interval_fs) for s, r in zip(slopes, runs, strict=True)], [r.work for r in runs])
    exponent = np.average(
        [_exponent(m, lags) for m, lags in zip(msds, chosen, strict=True)], weights=[r.work for r in runs]
    )
    lags = longest.interval_fs * np.arange(len(msd), dtype=np.float64)
    return Diffusion(lags, msd, mean.value, mean.error, float(exponent))


def _lags(run: Paths, first: float, window: tuple[float, float] | None) -> Lags:
    """Return the lags in frames through which a line is fitted: one, twice it, four times ..., or some of a window."""
    last = len(run.positions) - 1
    if window is None:
        lag = min(max(1, round(first / run.interval_fs)), last // 2)
        return np.array([lag * 2**k for k in range(20) if k < 2 or lag * 2**k <= last // LONGEST], dtype=np.int64)
    low, high = max(1, np.ceil(window[0] * last)), np.floor(window[1] * last)
    lags = np.unique(np.linspace(low, high, MOST_LAGS).round().astype(np.int64))
    if high <= low:
        raise ConfigError(f"the window {window} contains fewer than two lags of a run of {last + 1} frames")
    return lags


def _exponent(msd: Array, lags: Lags) -> float:
    ends = msd[lags[:2]]
    return float(np.log(ends[1] / ends[0]) / np.log(lags[1] / lags[0])) if (ends > 0).all() else 0.0


def _paths(trajectory: Trajectory, discard: float) -> Paths:
    kept = settled(trajectory, discard)
    steps = np.diff([s.time for s in kept])
    if len(steps) and not np.allclose(steps, steps[0], rtol=1e-6):
        raise DataError(f"run {trajectory.run} was not recorded at even intervals; the displacements need them")
    return paths_of([s.frame for s in kept], float(steps[0]) if len(steps) else 1.0)


def _judge(
    found: dict[str, Diffusion], expected: dict[str, Diffusion] | None, counts: tuple[Metric, ...]
) -> CheckResult:
    metrics, curves = [], []
    for element, d in found.items():
        metrics += [Metric(f"D of {element}", d.coefficient, UNIT), Metric(f"D of {element} +-", d.error, UNIT)]
        metrics.append(Metric(f"exponent of {element}", d.exponent))
        curves.append(_curve(f"{element}: D = {_in_cm(d)}", d))
    said = ", ".join(f"{element} {_in_cm(d)}" for element, d in found.items())
    if expected is None:
        return CheckResult(NAME, (*metrics, *counts), tuple(curves), "noted", f"diffusion coefficients: {said}")
    if set(expected) != set(found):
        raise DataError(f"the reference contains {', '.join(expected)}, the simulation {', '.join(found)}")
    for element, d in expected.items():
        metrics.append(_difference(element, found[element], d))
        curves.append(_curve(f"{element} reference: D = {_in_cm(d)}", d))
    good = f"diffusion coefficients are the reference's within their errors: {said}"
    return judged(NAME, [*metrics, *counts], curves, good, "atoms do not diffuse as in the reference")


def _difference(element: str, found: Diffusion, expected: Diffusion) -> Metric:
    errors = np.nan_to_num([found.error, expected.error])
    bound = VIBRATION / (6.0 * min(found.lags[-1], expected.lags[-1]))
    limit = max(FACTOR * abs(expected.coefficient), 3.0 * float(np.hypot(*errors)), bound)
    return Metric(f"D of {element} minus the reference's", found.coefficient - expected.coefficient, UNIT, limit)


def _curve(name: str, d: Diffusion) -> Curve:
    # Beyond half the run few time origins are left, and the curve is noise.
    shown = slice(0, max(2, (len(d.lags) + 1) // 2))
    return Curve(name, d.lags[shown], d.msd[shown], "lag (fs)", "mean-squared displacement (angstrom^2)")


def _in_cm(d: Diffusion) -> str:
    return f"{CM2_PER_S * d.coefficient:.2g} +- {CM2_PER_S * d.error:.1g} cm^2/s"
