"""How far do atoms wander? Mean-squared displacement and diffusion coefficient of each element."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keel.atoms.conversion import Structures, as_frames
from keel.atoms.elements import symbol
from keel.atoms.frame import Array, Frame
from keel.atoms.mobility import masses_of
from keel.dynamics.results import Trajectory
from keel.errors import ConfigError, DataError
from keel.evaluation.check import CheckResult, Curve, Metric, judged
from keel.evaluation.structure.recorded import DISCARD, failed_runs, settled

NAME = "diffusion"
UNIT = "angstrom^2/fs"
CM2_PER_S = 0.1
"""1 angstrom^2/fs in cm^2/s."""

SHORTEST = 20
"""A run needs so many frames to have a middle of its lags."""

PIECES = 4
"""A single run is cut into so many pieces, to tell how sure its diffusion coefficient is."""

FACTOR = 0.5
"""Share by which a diffusion coefficient may differ from the reference's, ..."""
VIBRATION = 0.5
"""... or by so many angstrom^2 of displacement over the longest lag: so little is no diffusion."""


@dataclass(frozen=True, eq=False)
class Diffusion:
    """Of one element: mean-squared displacement (K,) in angstrom^2 at lags (K,) in fs, and what it grows by.

    Parameters
    ----------
    coefficient, error
        D and its standard error in angstrom^2/fs; the error of a single number is NaN.
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
    window: tuple[float, float] = (0.1, 0.5),
) -> CheckResult:
    """Measure the mean-squared displacement <|r(t0 + t) - r(t0)|^2>, and D = MSD / (6 t) (Einstein relation).

    The average is over the atoms of an element, all time origins t0, and runs; the drift of the centre of mass is
    taken off. D is the slope of a straight line through the middle of the lags: there ballistic motion is over, and
    enough origins are left. Its standard error is from the spread of the runs, or of four pieces of a single one.
    Only with a reference trajectory it is judged: D must not differ by more than half of the reference's, nor three
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
        The middle of the lags, as shares of the length of a run.

    Raises
    ------
    ConfigError, DataError
        If the window is empty, a reference has no interval, nothing was recorded or not at even intervals.
    """
    reference = None if reference is None else as_frames(reference, labels=False)
    if not 0 < window[0] < window[1] <= 1:
        raise ConfigError(f"window must be two rising shares of a run's length in (0, 1], not {window}")
    if reference is not None and not (reference_interval_fs or 0) > 0:
        raise ConfigError("give the time between the reference's frames in fs as reference_interval_fs")
    if not trajectories:
        raise DataError("there is no trajectory to judge; give at least one")
    runs = [_paths(trajectory, discard) for trajectory in trajectories]
    usable = [run for run in runs if len(run.positions) >= SHORTEST]
    if not usable:
        return CheckResult(NAME, (), (), "skipped", f"no run has {SHORTEST} recorded frames to see diffusion in")
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

    def pieces(self, number: int) -> list[Paths]:
        """Return consecutive parts of equal length."""
        size = len(self.positions) // number
        return [Paths(self.numbers, self.positions[k * size : (k + 1) * size], self.interval_fs) for k in range(number)]


def paths_of(frames: Sequence[Frame], interval_fs: float) -> Paths:
    """Return where the atoms of a trajectory with unwrapped positions go, without the drift of the centre of mass.

    Where a barostat changes the cell, displacements are those in the mean cell: its rescaling is no motion.
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
        raise DataError(f"a reference trajectory needs at least {SHORTEST} frames to see diffusion in")
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


def diffusion_by_element(runs: Sequence[Paths], window: tuple[float, float]) -> dict[str, Diffusion]:
    """Return the diffusion of each element, averaged over runs."""
    elements = {int(z) for run in runs for z in run.numbers}
    return {symbol(z): _diffusion(z, [r for r in runs if (r.numbers == z).any()], window) for z in sorted(elements)}


def _diffusion(z: int, runs: Sequence[Paths], window: tuple[float, float]) -> Diffusion:
    def of(run: Paths) -> tuple[Array, Array]:
        msd = mean_squared_displacement(run.positions[:, run.numbers == z]).mean(axis=1)
        lags: Array = run.interval_fs * np.arange(len(msd), dtype=np.float64)
        return lags, msd

    curves = [of(run) for run in runs]
    pieces = runs if len(runs) > 1 else [p for p in runs[0].pieces(PIECES) if len(p.positions) >= SHORTEST]
    spread = [_slope(*of(piece), window) for piece in pieces]
    error = float(np.std(spread, ddof=1) / np.sqrt(len(spread))) if len(spread) > 1 else float("nan")
    slopes = [_slope(lags, msd, window) for lags, msd in curves]
    longest, _ = max(curves, key=lambda curve: len(curve[0]))
    alike = [msd for lags, msd in curves if len(lags) == len(longest)]
    mean = np.mean(alike, axis=0)
    exponents = [_exponent(lags, msd, window) for lags, msd in curves]
    return Diffusion(longest, mean, float(np.mean(slopes)) / 6.0, error / 6.0, float(np.mean(exponents)))


def _middle(lags: Array, window: tuple[float, float]) -> np.ndarray:
    shares = lags / lags[-1]
    return np.asarray((shares >= window[0]) & (shares <= window[1]) & (lags > 0))


def _slope(lags: Array, msd: Array, window: tuple[float, float]) -> float:
    chosen = _middle(lags, window)
    return float(np.polyfit(lags[chosen], msd[chosen], 1)[0])


def _exponent(lags: Array, msd: Array, window: tuple[float, float]) -> float:
    chosen = _middle(lags, window) & (msd > 0)
    return float(np.polyfit(np.log(lags[chosen]), np.log(msd[chosen]), 1)[0]) if chosen.sum() > 1 else 0.0


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
        raise DataError(f"the reference holds {', '.join(expected)}, the simulation {', '.join(found)}")
    for element, d in expected.items():
        metrics.append(_difference(element, found[element], d))
        curves.append(_curve(f"{element} reference: D = {_in_cm(d)}", d))
    good = f"diffusion coefficients are the reference's within their errors: {said}"
    return judged(NAME, [*metrics, *counts], curves, good, "atoms do not wander as the reference's")


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
