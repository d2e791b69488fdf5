"""The Kaplan-Meier estimator against a published example and against definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keel.dynamics.survival import kaplan_meier, shares_of_causes
from keel.errors import DataError

# Remission times in weeks under 6-MP (Freireich et al., Blood 21, 699 (1963)), of 21 patients.
FAILED_AT = [6, 6, 6, 7, 10, 13, 16, 22, 23]
CENSORED_AT = [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
TIMES = [float(t) for t in FAILED_AT + CENSORED_AT]
FAILED = [True] * len(FAILED_AT) + [False] * len(CENSORED_AT)


def test_published_example():
    curve = kaplan_meier(TIMES, FAILED)
    expected = {0: 1.0, 6: 0.8571, 7: 0.8067, 10: 0.7529, 13: 0.6902, 16: 0.6275, 22: 0.5378, 23: 0.4482, 35: 0.4482}
    for time, survival in expected.items():
        assert curve.at(time) == pytest.approx(survival, abs=5e-5)
    assert curve.at(6.9) == curve.at(6) and curve.at(1e9) == curve.at(35)
    assert curve.median == 23 and curve.median_text == "23"


def test_interval_by_hand():
    """At t = 6: S = 18/21, Greenwood sum 3/(21 18); exp(z sqrt(sum)/|log S|) = 3.1037."""
    curve = kaplan_meier(TIMES, FAILED)
    k = int(np.flatnonzero(curve.times == 6)[0])
    assert (curve.lower[k], curve.upper[k]) == pytest.approx((0.6197, 0.9515), abs=2e-4)
    assert curve.at_risk[k] == 21
    lower, upper = curve.median_interval
    assert lower == 13 and upper is None


def test_all_survive():
    curve = kaplan_meier([600.0] * 8, [False] * 8)
    assert curve.median is None and curve.median_text == "> 600"
    assert curve.restricted_mean() == 600.0
    # The exact binomial limit: a survival of 0.631 would show no failure in 8 runs with probability 0.025.
    assert curve.lower[-1] == pytest.approx(0.025 ** (1 / 8)) and curve.upper[-1] == 1.0


def test_all_fail_at_once():
    curve = kaplan_meier([0.0, 0.0], [True, True])
    assert curve.at(0) == 0.0 and curve.median == 0.0 and curve.restricted_mean(100.0) == 0.0
    assert curve.lower[-1] == 0.0 and 0 < curve.upper[-1] < 1


def test_half_failed_is_a_median():
    curve = kaplan_meier([100.0, 200.0, 600.0, 600.0], [True, True, False, False])
    assert curve.median == 200.0


@given(st.lists(st.floats(0, 1e4), min_size=1, max_size=30), st.floats(1, 2e4))
def test_without_censoring_it_is_the_empirical_distribution(times, horizon):
    curve = kaplan_meier(times, [True] * len(times))
    for t in times:
        assert curve.at(t) == pytest.approx(np.mean(np.array(times) > t), abs=1e-9)
    assert curve.restricted_mean(horizon) == pytest.approx(np.minimum(times, horizon).mean(), rel=1e-9, abs=1e-9)


@given(st.lists(st.tuples(st.floats(0, 1e3), st.booleans()), min_size=1, max_size=30), st.randoms())
def test_curve_falls_within_its_limits_and_does_not_depend_on_the_order(runs, random):
    curve = kaplan_meier(*zip(*runs, strict=True))
    assert (np.diff(curve.survival) <= 1e-12).all() and curve.survival[0] <= 1
    assert (curve.lower <= curve.survival + 1e-12).all() and (curve.survival <= curve.upper + 1e-12).all()
    assert np.isfinite(curve.lower).all() and np.isfinite(curve.upper).all()
    shuffled = list(runs)
    random.shuffle(shuffled)
    np.testing.assert_array_equal(kaplan_meier(*zip(*shuffled, strict=True)).survival, curve.survival)


@pytest.mark.parametrize("times", [[], [-1.0], [float("nan")]])
def test_impossible_times_are_refused(times):
    with pytest.raises(DataError, match="one finite time"):
        kaplan_meier(times, [True] * len(times))


def test_causes_by_share():
    shares = shares_of_causes(["force", None, "fused atoms", "force"])
    assert shares == {"force": 0.5, "fused atoms": 0.25} and list(shares) == ["force", "fused atoms"]
