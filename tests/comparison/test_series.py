"""Means of numbers that follow each other: what is stated covers the truth, and independent numbers pay nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student

from keel.comparison.samples import Sample, mean_difference
from keel.comparison.series import NORMAL, Estimate, mean_of, series_mean
from keel.comparison.statistics import clustered_mean
from walks import remembering

NUMBERS = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=60)


def coverage(length: int, memory: float, noise: float = 0.0, tries: int = 300) -> float:
    rng = np.random.default_rng(0)
    series = remembering(rng, (length, tries), memory) if memory else rng.normal(size=(length, tries))
    series = series + noise * rng.normal(size=series.shape)
    found = [series_mean(column) for column in series.T]
    return float(np.mean([abs(f.value) < NORMAL * f.error for f in found]))


@pytest.mark.parametrize(("length", "memory"), [(10, 0.0), (100, 0.0), (50, 1.0), (100, 3.0), (320, 3.0), (320, 10.0)])
def test_intervals_cover_the_truth(length, memory):
    assert 0.90 <= coverage(length, memory) <= 0.98


def test_also_where_noise_hides_that_neighbours_resemble_each_other():
    assert 0.90 <= coverage(320, 10.0, noise=1.5) <= 0.98


def test_independent_numbers_have_the_usual_error():
    """Nearly always: what looks like correlation by chance widens it a little."""
    rng, errors = np.random.default_rng(1), []
    for _ in range(200):
        values = rng.normal(size=50)
        errors.append(series_mean(values).error / (student.ppf(0.975, 49) / NORMAL * values.std(ddof=1) / np.sqrt(50)))
    assert 1.0 <= np.mean(errors) < 1.1 and np.median(errors) < 1.05


@given(NUMBERS, st.floats(-1e3, 1e3), st.floats(0.1, 10.0))
def test_shift_and_scale(numbers, shift, scale):
    values = np.array(numbers)
    one, other = series_mean(values), series_mean(scale * values + shift)
    assert one.value == pytest.approx(values.mean())
    assert np.isfinite(one.variance) and one.variance >= 0
    if values.std() > 1e-3:
        assert other.variance == pytest.approx(scale**2 * one.variance, rel=1e-3)


@given(NUMBERS)
def test_numbers_that_do_not_change_have_no_error(numbers):
    assert series_mean(np.full(len(numbers), numbers[0])).error == pytest.approx(0.0, abs=1e-9)


def test_means_of_estimates():
    mean = mean_of([Estimate(1.0, 0.04, 10.0), Estimate(3.0, 0.08, 30.0)], [1.0, 3.0])
    assert (mean.value, mean.variance) == (2.5, pytest.approx(0.0625 * 0.04 + 0.5625 * 0.08))
    assert 30 < mean.freedom < 40
    assert Estimate(1.0, 4.0, 1e9).error == pytest.approx(2.0)
    assert Estimate(1.0, 4.0, 5.0).error == pytest.approx(2.623, abs=1e-2)
    assert Estimate(6.0, 9.0, 5.0).over(3.0) == Estimate(2.0, 1.0, 5.0)
    assert mean_of([Estimate(0.0, 0.0, np.inf)] * 2).error == 0.0


def test_successive_frames_of_a_trajectory_count_by_how_much_they_resemble_each_other():
    """Two potentials on 120 frames of one run, where errors last for five; taken as independent a third is off."""
    rng, covered, naive, tries = np.random.default_rng(2), 0, 0, 200
    names = tuple(f"{hash(k):x}" for k in rng.permutation(120).tolist())
    for _ in range(tries):
        change = 3.0 + remembering(rng, (120,), 5.0)
        base = Sample("error", "meV", rng.uniform(5, 9, 120), names)
        other = Sample("error", "meV", base.values + change, names)
        covered += mean_difference(base, other).covers(3.0)
        naive += clustered_mean(change, np.arange(120)).covers(3.0)
    assert 0.88 <= covered / tries <= 0.98 and naive / tries < 0.65
