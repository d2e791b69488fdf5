"""Ranges: the same for settings, options and Python functions."""

from __future__ import annotations

from math import inf, nan
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

import keel.ranges
from keel.errors import ConfigError
from keel.ranges import Cutoff, ForceCap, PressureGPa, Range, Share, ShareBelowOne, Steps, Timestep, checked, range_in

NAMED = {name: kind for name, kind in vars(keel.ranges).items() if range_in(kind) is not None}


@pytest.mark.parametrize("name", NAMED)
@given(value=st.floats() | st.integers() | st.booleans() | st.text(max_size=3))
def test_settings_and_functions_agree(name, value):
    kind, allowed = NAMED[name], range_in(NAMED[name])
    by_settings = TypeAdapter(kind).validate_python
    try:
        by_function = checked(kind, value, "it")
    except ConfigError:
        with pytest.raises(ValidationError, match="must"):
            by_settings(value)
    else:
        assert by_settings(value) == by_function
        assert allowed.holds(by_function) and not isinstance(value, bool)


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (Timestep, 0, "must be positive, not 0"),
        (Timestep, nan, "must be a number (fs), not nan"),
        (Timestep, 100, "must be at most 20 fs, not 100"),
        (Timestep, "soon", "must be a number (fs), not 'soon'"),
        (Timestep, True, "must be a number (fs), not True"),
        (Cutoff, -3, "must be positive, not -3"),
        (Share, -1, "must not be negative, but is -1"),
        (Share, nan, "must be a number, not nan"),
        (ShareBelowOne, 1.0, "must be below 1, not 1"),
        (Steps, 0, "must be at least 1, not 0"),
        (Steps, 2.5, "must be a whole number (steps), not 2.5"),
        (Steps, inf, "must be a whole number (steps), not inf"),
        (Steps, 10**9, "must be at most 1e8, not 1e9"),
        (PressureGPa, -1e9, "must be at least -10000 GPa, not -1e9"),
        (PressureGPa, nan, "must be a number (GPa), not nan"),
    ],
)
def test_what_is_said(kind, value, message):
    with pytest.raises(ConfigError) as error:
        checked(kind, value, "it")
    assert str(error.value) == f"it {message}"


def test_what_is_taken():
    assert checked(Steps, "1e4", "steps") == 10_000
    assert checked(Steps, 100.0, "steps") == 100
    assert checked(Timestep, "0.5", "timestep") == 0.5
    assert checked(ForceCap, inf, "cap") == inf
    assert checked(ForceCap | None, None, "cap") is None
    assert checked(bool, True, "flag") is True


def test_in_words():
    words = [str(range_in(kind)) for kind in (Timestep, Share, ShareBelowOne, Steps, Cutoff, ForceCap)]
    assert words == ["0 < x <= 20", "0 <= x <= 1", "0 <= x < 1", "x >= 1", "0 < x <= 100", "x > 0"]


def test_schema():
    assert TypeAdapter(ShareBelowOne).json_schema() == {"type": "number", "minimum": 0, "exclusiveMaximum": 1}
    assert TypeAdapter(ForceCap).json_schema() == {"type": "number", "exclusiveMinimum": 0}


def test_a_range_is_found_within_a_type():
    assert range_in(list[Timestep] | None) == range_in(Timestep) == get_args(Timestep)[1]
    assert range_in(float | None) is None
    assert Range(0, 1).holds(1) and not Range(0, 1, below=True).holds(1) and not Range(0, inf).holds(nan)
