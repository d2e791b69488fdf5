"""A run that fits a time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keel.errors import ConfigError
from keel.workflow.planning import budget as rules
from keel.workflow.planning.budget import fitted, remember, remembered, seconds_in, with_length, with_steps
from tiny_run import TINY, tiny

USUAL = {"training": {"steps": 1500}, "md": {"rung_fs": 500, "length_fs": 2000, "longest_fs": 2000}}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("30min", 1800),
        ("30 min", 1800),
        ("45m", 2700),
        ("2h", 7200),
        ("1h30", 5400),
        ("1h30min", 5400),
        ("1.5H", 5400),
        ("1min30s", 90),
    ],
)
def test_times_as_people_write_them(text, seconds):
    assert seconds_in(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "soon", "-5min", "0s", "nan", "1e9", "5 days", "min"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(ConfigError, match="--budget") as error:
        seconds_in(text)
    assert repr(text) in str(error.value)


def linear(start, step, fs):
    """Seconds that a run takes whose steps and simulated times each have a price."""
    return lambda config: start + step * config.training.steps + fs * (config.md.length_fs + config.md.rung_fs)


@given(st.floats(0, 60), st.floats(1e-3, 1.0), st.floats(1e-5, 1.0), st.floats(60, 1e5))
def test_a_budget_is_kept_and_used(start, step, fs, budget):
    needed, config = linear(start, step, fs), tiny(**USUAL)
    shortest = needed(with_length(with_steps(config, rules.FEWEST_STEPS / 1500), 0.0))
    if shortest > budget:
        with pytest.raises(ConfigError, match="too short: with 100 steps"):
            fitted(config, budget, needed)
        return
    found = fitted(config, budget, needed)
    assert needed(found) <= budget
    assert rules.FEWEST_STEPS - 1 <= found.training.steps <= rules.MOST_STEPS
    assert rules.SHORTEST_FS <= found.md.length_fs <= 2000
    assert found.training.steps == rules.MOST_STEPS or needed(found) + 2 * step > budget


def test_simulations_are_left_where_they_take_little():
    found = fitted(tiny(**USUAL), 3600, linear(10, 1.0, 1e-3))
    assert found.md == tiny(**USUAL).md
    assert found.training.steps == pytest.approx(3587, abs=2)


def test_networks_with_steps_of_their_own_keep_their_share():
    networks = [TINY["networks"][0], {**TINY["networks"][0], "name": "long", "training": {"steps": 3000}}]
    found = with_steps(tiny(networks=networks, **USUAL), 0.5)
    assert [found.training_of(n).steps for n in found.networks] == [750, 1500]


def test_short_simulations_stay_as_short():
    assert with_length(tiny(), 0.0).md == tiny().md


def test_the_same_budget_comes_to_the_same(tmp_path):
    config, found = tiny(), with_steps(tiny(), 3.0)
    assert remembered(tmp_path, config, 60.0) is None
    remember(tmp_path, config, 60.0, found)
    assert remembered(tmp_path, config, 60.0) == found
    assert remembered(tmp_path, config, 61.0) is None
    assert remembered(tmp_path, tiny(seeds=[1]), 60.0) is None
    (tmp_path / rules.FILE).write_text("{")
    assert remembered(tmp_path, config, 60.0) is None
