"""The error of a diffusion coefficient is its scatter, however atoms move, and falls with the root of the length."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keel.errors import ConfigError
from keel.evaluation.structure.brownian import (
    components,
    diffusive_lag,
    line_weights,
    msd_covariance,
    slope,
)
from keel.evaluation.structure.diffusion import Diffusion, Paths, diffusion_by_element, mean_squared_displacement
from walks import WALKS, D, paths


def of(runs: list[Paths], window: tuple[float, float] | None = None) -> Diffusion:
    return diffusion_by_element(runs, window)["Li"]


def test_covariances_are_those_of_walks():
    """Also where the walk is seen through noise: 4000 paths along three axes."""
    rng, lags, n, noise = np.random.default_rng(0), np.array([1, 2, 3, 7, 12]), 25, 0.4
    walks = rng.normal(size=(n, 4000, 3)).cumsum(axis=0) + np.sqrt(noise) * rng.normal(size=(n, 4000, 3))
    found = np.cov(mean_squared_displacement(walks)[lags])
    expected = msd_covariance(lags, n, 1.0, noise)
    np.testing.assert_allclose(found, expected, rtol=0.25, atol=0.02 * expected.max())
    np.testing.assert_allclose(expected, expected.T)


@given(st.integers(1, 8), st.integers(3, 6), st.integers(12, 20))
@settings(max_examples=20, deadline=None)
def test_a_line_is_found_again_and_in_a_long_run_lags_beyond_twice_the_first_add_nothing(first, number, length):
    lags = first * np.arange(1, number + 1)
    n = int(lags[-1]) * length
    covariance = msd_covariance(lags, n, 0.7, 0.0)
    weights = line_weights(lags, covariance)
    assert weights @ (3.0 * lags + 5.0) == pytest.approx(3.0)
    two = msd_covariance(lags[:2], n, 0.7, 0.0)
    alone = line_weights(lags[:2], two)
    best, usual = weights @ covariance @ weights, alone @ two @ alone
    assert best <= usual * (1 + 1e-9)
    assert usual <= 1.1 * best


def test_step_and_noise_of_a_line():
    lags = np.array([2, 4, 6])
    assert components(lags, 3 * (0.5 * lags + 2 * 0.2)) == pytest.approx((0.5, 0.2))
    assert components(lags, np.full(3, 1.2)) == pytest.approx((0.0, 0.2))
    assert components(lags, 1.0 * lags**2) == pytest.approx((4 / 6, 0.0))


@pytest.mark.parametrize("kind", ["brownian", "hops", "caged hops", "hops of four", "some at rest", "bound"])
def test_the_error_of_one_run_is_its_scatter(kind):
    """40 seeds of known D; with 38 expected within the 95 % interval, fewer than 34 are one in a hundred."""
    runs = [paths(kind, 300, 32, seed) for seed in range(40)]
    found = [of([run]) for run in runs]
    truth = WALKS[kind].truth(32)
    inside = [abs(f.coefficient - truth) < 1.96 * f.error for f in found]
    assert sum(inside) >= 34
    scatter = np.std([f.coefficient for f in found])
    assert 0.6 < np.sqrt(np.mean(np.square([f.error for f in found]))) / scatter < 1.7


def test_a_window_that_is_given_has_its_own_larger_error():
    runs = [paths("brownian", 300, 32, seed) for seed in range(40)]
    chosen, given_window = ([of([run], window) for run in runs] for window in (None, (0.1, 0.5)))
    scatters = [np.std([f.coefficient for f in found]) for found in (chosen, given_window)]
    assert scatters[1] > 2 * scatters[0]
    assert sum(abs(f.coefficient - D * (1 - 1 / 32)) < 1.96 * f.error for f in given_window) >= 34
    with pytest.raises(ConfigError, match="fewer than two lags"):
        of([runs[0]], (0.1, 0.1001))


def test_longer_runs_and_more_of_them_tell_more():
    """Scatter and error both fall as 1/sqrt(length) and as 1/sqrt(runs)."""
    scatters, errors = {}, {}
    for name, length, runs in (("short", 200, 1), ("long", 3200, 1), ("many", 200, 16)):
        found = [of([paths("brownian", length, 16, 100 * s + k) for k in range(runs)]) for s in range(24)]
        scatters[name] = np.std([f.coefficient for f in found])
        errors[name] = np.mean([f.error for f in found])
    for name in ("long", "many"):
        assert scatters["short"] / scatters[name] == pytest.approx(4.0, rel=0.4)
        assert errors["short"] / errors[name] == pytest.approx(4.0, rel=0.4)


def test_the_lag_is_that_at_which_motion_has_forgotten_itself():
    """And it does not grow with the run: in 12 frames a walk that remembers for 3 has lost all but e^-4."""
    for length in (800, 3200):
        assert diffusive_lag(msd_of(paths("persistent", length, 64, 0)), 64) in (12, 24, 48)
        assert diffusive_lag(msd_of(paths("brownian", length, 64, 0)), 64) <= 12
    flight = np.arange(200.0) ** 2
    assert diffusive_lag(flight, 10) == 32
    assert diffusive_lag(np.zeros(30), 3) == 3


def msd_of(run: Paths) -> np.ndarray:
    return mean_squared_displacement(run.positions).mean(axis=1)


def test_atoms_that_do_not_move_have_neither_slope_nor_error():
    run = Paths(np.full(4, 3), np.zeros((50, 4, 3)), 1.0)
    assert (of([run]).coefficient, of([run]).error) == (0.0, 0.0)
    assert slope(run.positions, np.zeros(50), np.array([1, 2]), 1).variance == 0.0


@pytest.mark.oracle
def test_kinisi_finds_the_same():
    """D and its error of three walks, kinisi's from the lag on that keel takes; its covariances are approximations."""
    pytest.importorskip("kinisi")
    from kinisi_reference import diffusion_of

    for seed in range(3):
        run = paths("brownian", 400, 32, seed)
        found = of([run])
        lag = diffusive_lag(msd_of(run), 32) * run.interval_fs
        coefficient, error = diffusion_of(run.positions, run.interval_fs, lag)
        assert abs(found.coefficient - coefficient) < 2 * np.hypot(found.error, error)
        assert 0.5 < found.error / error < 2.0
