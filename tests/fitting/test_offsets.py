"""Offsets that make the sum of absolute residuals least."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from keel.fitting.offsets import least_absolute, minimum_norm


def loss(matrix, target, x) -> float:
    return float(np.abs(target - matrix @ x).sum())


def test_a_single_offset_is_the_median():
    target = np.array([1.0, 2.0, 4.0, 50.0, -3.0])
    np.testing.assert_allclose(least_absolute(np.ones((5, 1)), target), [2.0], atol=1e-4)


@settings(max_examples=30)
@given(st.integers(0, 10**6))
def test_as_small_as_linear_programming_finds(seed):
    rng = np.random.default_rng(seed)
    matrix, target = rng.dirichlet(np.ones(3), 25), rng.standard_cauchy(25)
    found = loss(matrix, target, least_absolute(matrix, target))
    ones = np.eye(25)
    bounds = np.hstack([matrix, -ones]), np.hstack([-matrix, -ones])
    best = linprog(
        np.r_[np.zeros(3), np.ones(25)], np.vstack(bounds), np.r_[target, -target], bounds=[(None, None)] * 28
    )
    assert best.fun - 1e-6 <= found <= best.fun * 1.01 + 1e-3
    assert found <= loss(matrix, target, minimum_norm(matrix, target)) + 1e-6


def test_wild_values_do_not_move_the_others():
    rng = np.random.default_rng(0)
    matrix, truth = rng.dirichlet(np.ones(2), 30), np.array([-430.0, -110.0])
    target = matrix @ truth
    target[3] += 1e4
    np.testing.assert_allclose(least_absolute(matrix, target), truth, atol=1e-2)
    assert np.abs(minimum_norm(matrix, target) - truth).max() > 10


def test_what_the_data_do_not_see_stays_zero():
    matrix = np.column_stack([np.full(8, 1 / 3), np.full(8, 2 / 3), np.zeros(8)])
    found = least_absolute(matrix, np.full(8, -20.0))
    assert found[2] == 0.0
    np.testing.assert_allclose(matrix @ found, -20.0, atol=1e-6)
    assert np.isclose(found[1], 2 * found[0])
