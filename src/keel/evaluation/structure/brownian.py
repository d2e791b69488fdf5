"""The uncertainty of the slope of a mean-squared displacement, whose values at different lags come from the same path.

A path of T frames has T - m displacements over a lag of m frames. They overlap, and those of different lags have steps
in common, so that the mean-squared displacements (MSD) at different lags are strongly correlated. For Brownian motion
seen through white noise, x_k = B_k + xi_k with Var(B_(k+1) - B_k) = 2 D dt and Var(xi) = s^2 along each axis,
displacements over m from frame k and over n from frame l have the covariance

    c_mn(k, l) = 2 D dt |[k, k + m] n [l, l + n]| + s^2 (d(k+m, l+n) - d(k+m, l) - d(k, l+n) + d(k, l))
    Cov(MSD_m, MSD_n) = 3 * 2 sum_kl c_mn(k, l)^2 / ((T - m) (T - n))

with the length of the overlap | n | in frames and Kronecker's d (Qian, Sheetz & Elson, Biophys. J. 60, 910 (1991);
Michalet, Phys. Rev. E 82, 041914 (2010)). Generalised least squares with it give the best straight line, as in kinisi
(McCluskey et al., J. Chem. Theory Comput. 21, 79 (2025)). Without noise, lags beyond twice the shortest add almost
nothing to its slope (Vestergaard, Blainey & Flyvbjerg, Phys. Rev. E 89, 022726 (2014)); if atoms vibrate more than they
diffuse, long lags contribute most.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from keel.atoms.frame import Array
from keel.comparison.series import Estimate

DIMENSIONS = 3
MOST_SHARE = 20
"""The variance of growths is determined at a lag that fits this many times into the run."""

ROUNDS = 3
"""The covariance depends on the result; this many iterations converge it."""

PRIOR = 10.0
"""Degrees of freedom that Brownian motion is given in advance."""

Lags = NDArray[np.int64]


def msd_covariance(lags: Lags, n_frames: int, step: float, noise: float) -> Array:
    """Return the covariance in angstrom^4 of the MSD of one atom at lags (L,) in frames, shape (L, L).

    Parameters
    ----------
    n_frames
        Length T of the path, longer than each lag.
    step, noise
        2 D dt and s^2, both in angstrom^2 along each axis.
    """
    covariance = np.empty((len(lags), len(lags)))
    for a, m in enumerate(lags):
        for b, n in enumerate(lags[: a + 1]):
            later = np.arange(-n, m + 1)  # l - k of displacements that have steps in common
            first, last = np.maximum(0, -later), np.minimum(n_frames - m, n_frames - n - later)
            overlap = np.minimum(m, later + n) - np.maximum(0, later)
            ends = 1.0 * (later == m - n) - (later == m) - (later == -n) + (later == 0)
            pairs = np.square(step * overlap + noise * ends) * np.maximum(0, last - first)
            covariance[a, b] = covariance[b, a] = 2.0 * pairs.sum() / ((n_frames - m) * (n_frames - n))
    return DIMENSIONS * covariance


def line_weights(lags: Lags, covariance: Array) -> Array:
    """Return weights (L,) whose product with the MSD is the slope of the line of generalised least squares."""
    design = np.stack([lags, np.ones(len(lags))], axis=1)
    weighted = np.linalg.solve(covariance, design)
    weights: Array = np.linalg.solve(design.T @ weighted, weighted.T)[0]
    return weights


def components(lags: Lags, msd: Array) -> tuple[float, float]:
    """Return 2 D dt and s^2 of an MSD (L,) = 3 (2 D dt m + 2 s^2), neither negative, and right at the first lag."""
    return _components(float(msd[0]), int(lags[0]), float(np.polyfit(lags, msd, 1)[0]))


def _components(first: float, lag: int, value: float) -> tuple[float, float]:
    """Return the same from the first value of an MSD, its lag, and a slope."""
    step = min(max(value / DIMENSIONS, 0.0), first / DIMENSIONS / lag)
    return step, max(0.0, 0.5 * (first / DIMENSIONS - step * lag))


def slope(positions: Array, msd: Array, lags: Lags, diffusive: int) -> Estimate:
    """Return the slope of the MSD of atoms between lags, and its uncertainty.

    Its variance is that of Brownian motion (:func:`msd_covariance`), times the ratio of an observed variance to that of
    Brownian motion, both at the lags l and 2 l. Observed is, with the T - 2 l growths over a lag l

        g_k = (1/N) sum_i |r_i(k + 2 l) - r_i(k)|^2 - |r_i(k + l) - r_i(k)|^2

    which have no steps in common if they are more than 2 l apart, the variance of their mean,
    (c_0 + 2 sum_(t <= 2 l) c_t) / (T - 2 l), from their autocovariance c_t. Atoms that move together, or rarely, or
    some of which do not move at all, make it larger. With M values summed it has (T - 2 l) / (2 M - 1) degrees of
    freedom; Brownian motion counts as :data:`PRIOR` more, so that a short run is assumed to be Brownian.

    Parameters
    ----------
    positions
        Shape (T, N, 3) in angstrom, unwrapped.
    msd
        Mean over the atoms and all origins at every lag, shape (T,).
    lags
        Two or more, in frames, rising, shape (L,).
    diffusive
        The lag l; at most a twentieth of the run, so that there are enough independent growths.
    """
    lag = max(1, min(diffusive, len(positions) // MOST_SHARE))
    value, expected = _brownian(msd, lags, positions.shape)
    _, usual = _brownian(msd, lag * np.arange(1, 3), positions.shape)
    if not usual > 0:
        return Estimate(value, 0.0, np.inf)
    growth = _squares(positions, 2 * lag) - _squares(positions, lag)[: -lag or None]
    found, freedom = _variance_of_mean(growth, 2 * lag)
    excess = (freedom * found / lag**2 / usual + PRIOR) / (freedom + PRIOR)
    return Estimate(value, expected * excess, freedom + PRIOR)


def _brownian(msd: Array, lags: Lags, shape: tuple[int, ...]) -> tuple[float, float]:
    """Return the slope of the best line, and its variance for Brownian motion."""
    step, noise = components(lags[:2], msd[lags[:2]])
    value = variance = 0.0
    for _ in range(ROUNDS):
        if step == noise == 0:
            break
        covariance = msd_covariance(lags, shape[0], step, noise)
        weights = line_weights(lags, covariance)
        value, variance = float(weights @ msd[lags]), float(weights @ covariance @ weights) / shape[1]
        step, noise = _components(float(msd[lags[0]]), int(lags[0]), value)
    return value, variance


def _squares(positions: Array, lag: int) -> Array:
    """Return the squared displacement over a lag from each frame on, averaged over the atoms, shape (T - lag,)."""
    squares: Array = np.square(positions[lag:] - positions[:-lag]).sum(axis=2).mean(axis=1)
    return squares


def _variance_of_mean(series: Array, reach: int) -> tuple[float, float]:
    """Return the variance of the mean of a series (K,), and its degrees of freedom.

    Members are independent if further apart than ``reach``; the sum of the autocovariance ends earlier where two
    successive members add up to less than zero (Geyer, Stat. Sci. 7, 473 (1992)). Subtracting the mean of the series is
    corrected for.
    """
    rest, n = series - series.mean(), len(series)
    power = np.abs(np.fft.rfft(rest, 2 * n)) ** 2
    covariances = np.fft.irfft(power, 2 * n)[: reach + 1] / n
    pairs = np.add.reduceat(covariances, np.arange(0, reach + 1, 2))
    summed = min(2 * int(np.argmax([*(pairs <= 0), True])), reach + 1)
    total = float(2 * covariances[:summed].sum() - covariances[0]) if summed else float(covariances[0])
    width = max(2 * summed - 1, 1)
    return total / (n - width), n / width


def straight(msd: Array, lag: int, n_frames: int, n_paths: int) -> bool:
    """Whether an MSD is a straight line beyond a lag, within its noise.

    Displacements over m that are separated by one such interval are correlated by (MSD_3m - 2 MSD_2m + MSD_m) / 2, zero
    for a straight line; it may be twice what it would be for Brownian motion by chance.
    """
    lags = lag * np.arange(1, 4)
    bend = np.array([1.0, -2.0, 1.0])
    covariance = msd_covariance(lags, n_frames, *components(lags, msd[lags])) / n_paths
    return bool((bend @ msd[lags]) ** 2 <= 4.0 * (bend @ covariance @ bend))


def diffusive_lag(msd: Array, n_paths: int) -> int:
    """Return the lag in frames from which on an MSD (T,) over a number of paths is diffusive.

    Three times the shortest of 1, 2, 4, ... from which on it is :func:`straight`: correlation too small to be seen
    there has then decayed further. Where it never is, the longest lag that fits six times into the run.
    """
    n_frames = len(msd)
    rungs = [1 << k for k in range(n_frames.bit_length()) if 1 << k <= max(1, n_frames // 6)]
    found = [straight(msd, m, n_frames, n_paths) for m in rungs]
    for k, m in enumerate(rungs[:-1]):
        if found[k] and found[k + 1]:
            return 3 * m
    return rungs[-1]
