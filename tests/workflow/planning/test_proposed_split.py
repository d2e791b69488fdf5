"""How frames are divided of which nobody says how."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import keel
from keel.atoms.frame import Frame
from keel.config import SplitSettings
from keel.errors import DataError
from keel.workflow.division import divide
from keel.workflow.planning import proposed_split as rules
from keel.workflow.planning.proposed_split import displacement, is_run, proposed_split

CELL = 4.0 * np.eye(3)


def frames(number, info=lambda k: {}, positions=lambda k: np.zeros((2, 3))):
    """Frames of two atoms that differ in what is said of them, and in where the second atom is."""
    apart = np.array([[0.0, 0.0, 0.0], [2.0, 2.0, 2.0]])
    everywhere = np.array([True, True, True])
    return [
        Frame(np.array([14, 8]), apart + positions(k), CELL, everywhere, float(k), np.zeros((2, 3)) + 0.1, info=info(k))
        for k in range(number)
    ]


def walk(k):
    """Positions of a run: the second atom moves on."""
    return np.array([[0.0, 0.0, 0.0], [0.01 * k, 0.0, 0.0]])


def parts(all_frames):
    found = proposed_split(all_frames)
    return divide({"train": all_frames}, SplitSettings(**found.settings)).split, found


def test_frames_that_say_what_they_are_for_are_believed():
    names = ["finetune"] * 6 + ["val"] * 2 + ["test"] * 2
    split, found = parts(frames(10, lambda k: {"part": names[k], "topology": str(k)}))
    assert found.settings == {"by": "part", "train": "finetune", "validation": "val", "test": "test"}
    assert [len(part) for part in split.divided.values()] == [6, 2, 2]


def test_a_part_that_they_do_not_name_is_drawn_from_those_that_train():
    split, found = parts(frames(20, lambda k: {"split": "test" if k < 5 else "train"}))
    assert found.settings["validation"] == rules.VALIDATION
    assert [len(part) for part in split.divided.values()] == [13, 2, 5]


def test_one_value_divides_nothing():
    _, found = parts(frames(12, lambda k: {"split": "train", "config_type": "all"}))
    assert found.settings["by"] == "frame"


@pytest.mark.parametrize("key", ["topology", "mptrj_traj_id", "src", "config_type"])
def test_groups_stay_whole(key):
    split, found = parts(frames(40, lambda k: {key: f"g{k // 4}"}))
    assert found.settings == {"by": key, "train": 7, "validation": 1, "test": 2}
    assert key in found.reason
    held = [{f.info[key] for f in part} for part in split.divided.values()]
    assert not (held[0] & held[1] or held[0] & held[2] or held[1] & held[2])


def test_files_may_name_groups_by_different_keys():
    """What all frames share tells nothing, and every frame must be in some group."""
    mixed = frames(20, lambda k: {"mptrj_traj_id": f"a{k // 2}"} if k < 10 else {"src": f"b{k // 2}"})
    assert proposed_split(mixed).settings["by"] == ["mptrj_traj_id", "src"]
    some = frames(20, lambda k: {"topology": f"a{k // 2}"} if k < 10 else {})
    assert proposed_split(some).settings["by"] == "frame"


@pytest.mark.parametrize(
    "group",
    [lambda k: f"g{k // 10}", lambda k: f"g{max(0, k - 30)}"],
    ids=["too few", "one holds most frames"],
)
def test_groups_that_would_not_divide_well_are_left(group):
    assert proposed_split(frames(40, lambda k: {"group": group(k)})).settings["by"] == "frame"


def test_one_run_is_cut_in_time():
    run = frames(100, positions=walk)
    split, found = parts(run)
    assert found.settings == {"by": "start", "train": 70, "validation": 10, "gap": 5}
    assert split.train == run[:70] and split.test == run[85:]


def test_several_runs_are_each_cut_in_time():
    split, found = parts(frames(60, lambda k: {"phase": "a" if k < 20 else "b"}, walk))
    assert found.settings == {"by": "start", "group": "phase", "train": 14, "validation": 2, "gap": 1}
    assert [f.info["phase"] for f in split.train] == ["a"] * 14 + ["b"] * 14


def test_phosphorus_is_two_runs():
    assert proposed_split(keel.datasets.phosphorus()[::3]).settings["group"] == "phase"


def test_rattled_structures_and_short_runs_are_no_runs():
    rng = np.random.default_rng(0)
    assert not is_run(frames(40, positions=lambda k: rng.normal(0, 0.1, (2, 3))))
    assert not is_run(frames(rules.SHORTEST_RUN - 1, positions=walk))
    assert not is_run(frames(40))
    assert is_run(frames(40, positions=walk))
    assert proposed_split(frames(40, positions=lambda k: rng.normal(0, 0.1, (2, 3)))).settings["by"] == "frame"


def test_an_atom_that_leaves_the_cell_has_not_gone_far():
    inside, outside = frames(2, positions=lambda k: np.array([[0.0, 0.0, 0.0], [1.99 - 4.0 * k, 0.0, 0.0]]))
    assert displacement(inside, outside) == pytest.approx(0.0, abs=1e-12)


def test_what_is_drawn_at_random_says_so():
    assert "drawn at random" in proposed_split(frames(10)).reason


@given(st.integers(3, 60))
def test_every_part_has_a_frame_and_none_is_lost(number):
    split, _ = parts(frames(number))
    assert all(split.divided.values())
    assert sum(map(len, split.divided.values())) == number


def test_few_frames_are_refused():
    with pytest.raises(DataError, match="2 labelled frames are too few to train, validate and test"):
        proposed_split(frames(2))


def test_only_so_many_frames_are_taken_and_it_says_so(monkeypatch):
    monkeypatch.setattr(rules, "MOST_FRAMES", {"train": 10, "validation": 50, "test": 5})
    split, found = parts(frames(40))
    assert [len(part) for part in split.divided.values()] == [10, 4, 5]
    assert "10 of the 28 training frames and 5 of the 8 test frames are used" in found.reason
    assert "validation_frames" not in found.settings
