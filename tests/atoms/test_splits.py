"""No frame is in two parts, no group is divided, the same seed gives the same split."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keel.atoms.frame import Frame
from keel.atoms.splits import Split, group_frames, sample, split, split_in_time
from keel.errors import ConfigError, DataError


def numbered(n: int, groups: int = 1) -> list[Frame]:
    return [
        Frame(np.array([1]), np.zeros((1, 3)), info={"n": k, "run": f"r{k % groups}"}, source=f"f, frame {k}")
        for k in range(n)
    ]


def ids(frames: list[Frame]) -> list[int]:
    return [f.info["n"] for f in frames]


def all_ids(parts: Split) -> list[int]:
    return ids(parts.train) + ids(parts.validation) + ids(parts.test)


@given(st.integers(1, 60), st.floats(0, 1), st.floats(0, 1), st.integers(0, 5))
@settings(max_examples=100)
def test_parts_are_disjoint_and_complete(n: int, train: float, share: float, seed: int) -> None:
    validation = (1.0 - train) * share
    frames = numbered(n)
    try:
        parts = split(frames, train, validation, seed=seed)
    except ConfigError as error:
        assert "empty" in str(error)  # noqa: PT017
        return
    assert sorted(all_ids(parts)) == list(range(n))
    assert abs(len(parts.train) - train * n) <= 1
    for part in (parts.train, parts.validation, parts.test):
        assert ids(part) == sorted(ids(part))
    assert all_ids(split(frames, train, validation, seed=seed)) == all_ids(parts)


def test_numbers_and_seeds() -> None:
    frames = numbered(50)
    parts = split(frames, 10, 5, 20, seed=1)
    assert (len(parts.train), len(parts.validation), len(parts.test)) == (10, 5, 20)
    assert len(set(all_ids(parts))) == 35
    assert all_ids(parts) != all_ids(split(frames, 10, 5, 20, seed=2))
    assert str(parts) == "10 training, 5 validation and 20 test frames"


@given(st.integers(3, 12), st.integers(0, 4))
@settings(max_examples=30)
def test_groups_are_not_divided(groups: int, seed: int) -> None:
    frames = numbered(5 * groups, groups)
    parts = split(frames, 1, 1, by="run", seed=seed)
    names = [{f.info["run"] for f in part} for part in (parts.train, parts.validation, parts.test)]
    assert [len(n) for n in names] == [1, 1, groups - 2]
    assert len(set.union(*names)) == groups
    assert sorted(all_ids(parts)) == list(range(len(frames)))
    again = split(frames[::-1], 1, 1, by="run", seed=seed)
    assert sorted(ids(again.train)) == ids(parts.train)


def test_split_in_time() -> None:
    frames = numbered(20, 2)
    parts = split_in_time(frames, 3, 2, by="run", gap=1)
    assert ids(parts.train) == [0, 2, 4, 1, 3, 5]
    assert ids(parts.validation) == [6, 8, 7, 9]
    assert ids(parts.test) == [12, 14, 16, 18, 13, 15, 17, 19]
    assert ids(split_in_time(frames, 0.5).train) == list(range(10))
    with pytest.raises(ConfigError, match="none left for the test"):
        split_in_time(frames, 8, 2, by="run")


def test_sample_is_even_over_groups() -> None:
    frames = numbered(40, 4)
    chosen = sample(frames, 10, by="run", seed=3)
    assert sorted(Counter(f.info["run"] for f in chosen).values()) == [2, 2, 3, 3]
    assert ids(chosen) == sorted(set(ids(chosen)))
    assert ids(sample(frames, 40)) == list(range(40))
    assert ids(sample(frames, 10, seed=1)) != ids(sample(frames, 10, seed=2))
    with pytest.raises(ConfigError, match="41 frames cannot be drawn from 40"):
        sample(frames, 41)


def test_impossible_splits_are_refused() -> None:
    frames = numbered(10, 2)
    with pytest.raises(DataError, match="no frames to split"):
        split([], 0.5, 0.5)
    with pytest.raises(ConfigError, match="more than the 10 frames"):
        split(frames, 8, 3)
    with pytest.raises(ConfigError, match="neither a share"):
        split(frames, 1.5, 0.1)
    with pytest.raises(ConfigError, match="validation part of the split is empty"):
        split(frames, 0.5, 0.01)
    with pytest.raises(ConfigError, match="more than the 2 groups of 'run'"):
        split(frames, 2, 1, by="run")
    with pytest.raises(DataError, match="frame 0: it has no 'topology' to group by; its keys are n, run"):
        group_frames(frames, "topology")


def test_first_key_there_names_the_group() -> None:
    frames = [f.replace(info={"relaxation" if k < 6 else "run": k // 2}) for k, f in enumerate(numbered(12))]
    groups = group_frames(frames, ["relaxation", "run"])
    assert [len(group) for group in groups.values()] == [2] * 6
    parts = split(frames, 3, 1, by=["relaxation", "run"])
    for part, number in ((parts.train, 6), (parts.validation, 2), (parts.test, 4)):
        assert len(part) == number
    with pytest.raises(DataError, match="no 'relaxation' or 'step' to group by"):
        group_frames(frames, ["relaxation", "step"])
