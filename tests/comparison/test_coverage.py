"""Stated intervals hold the truth, a few repeats of each case; benchmarks/interval_coverage.py asks a hundred times."""

import numpy as np
import pytest

from coverage_cases import Case, cases

REPEATS = 30


CASES = list({case.interval: case for case in cases()}.values())
"""One of each interval."""


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.interval}: {case.data}")
def test_intervals_hold_the_truth(case: Case):
    """Of 30 intervals at 95 % fewer than 25 are one in a hundred; several in one repeat are not independent."""
    held = [np.mean(case.repeat(np.random.default_rng([7, k]))) for k in range(REPEATS)]
    assert np.mean(held) >= 25 / REPEATS
