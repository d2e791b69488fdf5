"""Parts by the names of their groups: everybody is where the names say, and mistakes are told with what there is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keel.atoms.frame import Frame
from keel.atoms.leaks import shared_runs, shared_structures
from keel.atoms.named_parts import check_counted, split_by_name, whereabouts
from keel.atoms.splits import Split, split
from keel.errors import ConfigError, DataError
from stored import stored


def structure(seed: int, **info: str) -> Frame:
    rng = np.random.default_rng(seed)
    return Frame(np.full(4, 29), rng.uniform(0, 6, (4, 3)), info=info, source=f"a.extxyz, frame {seed}")


def grouped(*names: str) -> list[Frame]:
    return [structure(k, part=name) for k, name in enumerate(names)]


def names_of(frames: list[Frame]) -> set[str]:
    return {frame.info["part"] for frame in frames}


FRAMES = grouped("finetune", "val", "finetune", "test", "extra", "finetune", "test", "finetune")


def test_groups_are_where_their_names_say_in_order() -> None:
    parts = split_by_name(FRAMES, "part", train="finetune", validation="val", test=["test", "extra"])
    assert [frame.source[-1] for frame in parts.train] == ["0", "2", "5", "7"]
    assert (names_of(parts.validation), names_of(parts.test)) == ({"val"}, {"test", "extra"})


def test_what_is_not_named_goes_where_nothing_is() -> None:
    assert names_of(split_by_name(FRAMES, "part", train=["finetune", "val"]).test) == {"test", "extra"}
    assert names_of(split_by_name(FRAMES, "part", test="test").train) == {"finetune", "val", "extra"}
    nothing_else = split_by_name(FRAMES, "part", train="finetune", test="test")
    assert nothing_else.validation == [] and len(nothing_else.train) == 4


@given(st.integers(0, 9), st.sampled_from([1, 2, 0.25, 0.5]))
def test_a_number_or_share_is_drawn_from_what_trains(seed: int, size: float) -> None:
    parts = split_by_name(FRAMES, "part", train="finetune", validation=size, test="test", seed=seed)
    assert len(parts.validation) == (size if size >= 1 else 4 * size)
    assert names_of(parts.train) == names_of(parts.validation) == {"finetune"}
    assert len({id(f) for f in (*parts.train, *parts.validation)}) == 4
    again = split_by_name(FRAMES, "part", train="finetune", validation=size, test="test", seed=seed)
    assert [id(f) for f in again.validation] == [id(f) for f in parts.validation]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            {"train": "finetunes", "test": "val"},
            r"train: no frame has part 'finetunes'; there are finetune \(4 frames\), val \(1\), test \(2\) and extra",
        ),
        ({"train": "finetune", "test": ["test", "nil"]}, "test: no frame has part 'nil'"),
        ({"train": "finetune", "test": "finetune"}, "the group 'finetune' of part is in two parts of the split"),
        ({"validation": "val"}, "part: name the groups for training or for testing; there are finetune"),
        ({"train": ["finetune", "val", "test", "extra"]}, "part: no group is left for the test part"),
        ({"train": "val", "validation": 1, "test": "test"}, "none of the 1 frames for training"),
        ({"train": "val", "validation": 3, "test": "test"}, "more than the 1 frames"),
    ],
)
def test_mistakes_are_told_with_what_there_is(names, message) -> None:
    with pytest.raises(ConfigError, match=message):
        split_by_name(FRAMES, "part", **names)


def test_a_frame_without_the_key_is_named() -> None:
    with pytest.raises(DataError, match="frame 9: it has no 'part' to group by; its keys are phase"):
        split_by_name([*FRAMES, structure(9, phase="a")], "part", train="finetune")


def test_many_groups_are_not_all_told() -> None:
    many = grouped(*(f"g{k}" for k in range(30)))
    with pytest.raises(ConfigError, match=r"g18 \(1\) and 11 more$"):
        split_by_name(many, "part", train="h")


class TestCounted:
    def counted(self, frames: list[Frame], by: str, seed: int) -> Split:
        return split(frames, 1, 1, 1, by=by, seed=seed)

    def test_names_of_parts_are_never_trained_on_by_chance(self) -> None:
        frames, outcomes = grouped("finetune", "val", "test"), set()
        for seed in range(20):
            parts = self.counted(frames, "part", seed)
            try:
                notes = check_counted(parts, "part")
            except ConfigError as error:
                assert "{by: part, train: finetune, validation: val, test: test}" in str(error)  # noqa: PT017
                assert names_of(parts.train) != {"finetune"}
                outcomes.add("refused")
                continue
            assert names_of(parts.train) == {"finetune"}
            assert bool(notes) == (names_of(parts.test) != {"test"})
            outcomes.add("told" if notes else "as called")
        assert outcomes == {"refused", "told", "as called"}

    def test_other_names_are_counted_as_ever(self) -> None:
        assert check_counted(self.counted(grouped("edi", "sod", "rho"), "part", 0), "part") == []


def test_whereabouts() -> None:
    parts = split_by_name(FRAMES, "part", train=["finetune", "extra"], validation="val", test="test")
    assert whereabouts(parts, lambda frame: frame.info["part"]) == [
        {"part": "train", "name": "finetune", "frames": 4},
        {"part": "train", "name": "extra", "frames": 1},
        {"part": "validation", "name": "val", "frames": 1},
        {"part": "test", "name": "test", "frames": 2},
    ]


class TestLeaks:
    def test_parts_without_a_common_structure_are_clean(self) -> None:
        parts = Split([structure(0), structure(1)], [structure(2)], [structure(3), structure(4)])
        assert list(shared_structures(parts)) == [] == list(shared_runs(parts))

    def test_every_two_parts_are_compared(self) -> None:
        same = structure(0)
        turned = same.replace(positions=same.positions[::-1], source="b.extxyz, frame 0")
        parts = Split(
            [structure(1), same], [same.replace(source="v")], [turned, turned.replace(source="c"), structure(2)]
        )
        told = list(shared_structures(parts))
        assert told[0].startswith(
            "the test part has 2 frames of structures that are also in the training part, such as b.e"
        )
        assert [line.split(" part,")[0] for line in told[1:]] == [
            "the test part has 2 frames of structures that are also in the validation",
            "the validation part has 1 frame of structures that are also in the training",
        ]

    @pytest.mark.parametrize("whole", [True, False], ids=["one store", "beside files"])
    def test_in_a_store_they_are_found_too(self, whole, tmp_path) -> None:
        """Rounded, in another order, and several times."""
        members = [structure(k, traj_id=f"run {k // 4}") for k in range(12)]
        for k, first in ((7, 0), (8, 0), (10, 2), (11, 9)):
            moved = np.round(members[first].positions[::-1], 7)
            members[k] = members[first].replace(positions=moved, info=members[k].info)
        store = stored(members, tmp_path / "a.keel", 5)
        for frames in (store, store.take([3, 5, 7, 0, 1, 2, 9, 10, 8, 11, 4, 6])):
            parts = Split(frames[:6], frames[6:8] if whole else list(frames[6:8]), frames[8:])
            known = Split(*map(list, (parts.train, parts.validation, parts.test)))
            assert [*shared_structures(parts)] == [*shared_structures(known)]
            assert len([*shared_structures(parts)]) >= 2
            assert [*shared_runs(parts)] == [*shared_runs(known)] != []

    def test_repeats_within_a_part_are_none(self) -> None:
        same = structure(0)
        assert list(shared_structures(Split([same, same.replace()], [], [structure(1)]))) == []

    @pytest.mark.parametrize("key", ["traj_id", "mptrj_traj_id", "run", "Trajectory", "relaxation_id"])
    def test_runs_in_two_parts_are_told(self, key) -> None:
        train = [structure(0, **{key: "a"}), structure(1, **{key: "b"})]
        parts = Split(train, [], [structure(2, **{key: "b"}), structure(3, **{key: "c"})])
        (told,) = shared_runs(parts)
        assert told.startswith(f"the test part has 1 frame of runs that are also in the training part, such as {key} b")

    @pytest.mark.parametrize("key", ["config_type", "runner", "ldau", "structure"])
    def test_other_keys_may_be_shared(self, key) -> None:
        train = [structure(0, **{key: "a"}), structure(1, **{key: "b"})]
        assert list(shared_runs(Split(train, [], [structure(2, **{key: "b"})]))) == []

    def test_one_run_that_is_divided_in_time_is_no_leak(self) -> None:
        frames = [structure(k, run="a") for k in range(3)]
        assert list(shared_runs(Split(frames[:2], [], frames[2:]))) == []
