"""How a run divides its data: by names, by files, as the data say themselves; and what is said of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keel.atoms.frame import Frame
from keel.atoms.settings import DataSettings, SplitSettings
from keel.errors import ConfigError, DataError
from keel.results.made import parts_in_words
from keel.settings import parse
from keel.workflow.division import divide

NAMED = {"by": "part", "train": "finetune", "validation": "val", "test": "test"}


def frames(*groups: str, key: str = "part", file: str = "a.extxyz", labelled: bool = True) -> list[Frame]:
    rng = np.random.default_rng(len(groups))
    labels = {"energy": 1.0, "forces": np.zeros((2, 3))} if labelled else {}
    return [
        Frame(np.full(2, 29), rng.uniform(0, 5, (2, 3)), info={key: g}, source=f"{file}, frame {k}", **labels)
        for k, g in enumerate(groups)
    ]


OWN = frames(*["finetune"] * 30, *["val"] * 5, *["test"] * 5)
TOPOLOGIES = frames(*["edi", "sod", "rho", "can", "oso"] * 4, key="topology")


def sizes(division) -> list[int]:
    return [len(part) for part in division.split.divided.values()]


class TestNamed:
    def test_groups_and_what_is_told_of_them(self):
        division = divide({"train": OWN}, SplitSettings(**NAMED))
        assert (sizes(division), division.notes) == ([30, 5, 5], ())
        described = division.to_dict()
        assert described["description"] == "Split by part: no test group was trained on."
        assert parts_in_words(described) == [
            "30 frames train: finetune",
            "5 frames choose the weights: val",
            "5 frames test: test",
        ]

    def test_groups_that_nobody_named_are_told(self):
        division = divide({"train": [*OWN, *frames("extra", "odd", "extra")]}, SplitSettings(**NAMED))
        assert division.notes == ("3 frames of 43 are in no part of the split: extra (2 frames) and odd (1)",)

    def test_validation_is_drawn_from_what_trains(self):
        division = divide({"train": OWN}, SplitSettings(by="part", train="finetune", test=["val", "test"]))
        assert sizes(division) == [27, 3, 10]
        assert division.to_dict()["description"] == (
            "Split by part: no test group was trained on. The validation frames were drawn from the training data."
        )
        drawn = divide({"train": OWN}, SplitSettings(by="part", train="finetune", test=4)).to_dict()
        assert (
            drawn["description"] == "Split by part. The validation and test frames were drawn from the training data."
        )

    def test_an_unknown_name_says_which_there_are(self):
        message = (
            r"data\.split: train: no frame has part 'finetunes'; there are finetune \(30 frames\), val \(5\) and test"
        )
        with pytest.raises(ConfigError, match=message):
            divide({"train": OWN}, SplitSettings(**{**NAMED, "train": "finetunes"}))

    def test_names_of_validation_alone_are_not_enough(self):
        with pytest.raises(
            ConfigError, match=r"data\.split: validation names groups, so train or test must name groups"
        ):
            divide({"train": OWN}, SplitSettings(by="part", validation="val"))

    def test_counting_them_is_refused_where_it_would_train_on_the_test(self):
        with pytest.raises(
            ConfigError, match=r"'val' is in the training part; name the groups: {by: part, train: finetune"
        ):
            divide({"train": OWN}, SplitSettings(by="part", train=1, validation=1, test=1))
        swapped = divide({"train": OWN}, SplitSettings(by="part", train=1, validation=1, test=1, seed=1))
        assert "'test' is in the validation part; name the groups" in swapped.notes[0]


class TestStart:
    def test_a_tenth_of_each_run_validates_where_nobody_says_how_much(self):
        runs = frames(*["a"] * 20 + ["b"] * 30, key="run")
        division = divide({"train": runs}, SplitSettings(by="start", group="run"))
        assert sizes(division) == [16 + 24, 2 + 3, 2 + 3]
        assert division.notes == ()
        assert [f.source for f in division.split.train[:16]] == [f.source for f in runs[:16]]

    def test_numbers_are_those_of_each_run(self):
        runs = frames(*["a", "b"] * 10, key="run")
        division = divide({"train": runs}, SplitSettings(by="start", group="run", train=5, validation=2, gap=1))
        assert sizes(division) == [10, 4, 4]
        assert division.to_dict()["groups"] == []


class TestFiles:
    TRAIN, VAL, TEST = (frames(*["x"] * n, file=f"{name}.extxyz") for name, n in (("a", 20), ("b", 4), ("c", 6)))

    def test_each_part_has_its_files(self):
        division = divide({"train": self.TRAIN, "validation": self.VAL, "test": self.TEST}, None)
        assert division.split.divided == {"train": self.TRAIN, "validation": self.VAL, "test": self.TEST}
        assert division.notes == ()
        described = division.to_dict()
        assert parts_in_words(described)[1:] == ["4 frames choose the weights: b.extxyz", "6 frames test: c.extxyz"]
        assert described["description"] == "Split by file: no test group was trained on."

    @pytest.mark.parametrize(
        ("split", "found"),
        [
            (None, [18, 2, 6]),
            ({"validation": 5}, [15, 5, 6]),
            ({"validation": 0.25, "train": 10}, [10, 5, 6]),
            ({"validation": 0}, [20, 0, 6]),
            ({"train_frames": 7, "test_frames": 3}, [7, 2, 3]),
        ],
    )
    def test_a_part_without_files_is_drawn_from_those_that_train(self, split, found):
        division = divide({"train": self.TRAIN, "test": self.TEST}, split and SplitSettings(**split))
        assert sizes(division) == found
        assert {f.source[0] for f in division.split.validation} <= {"a"}
        assert {f.source[0] for f in division.split.test} == {"c"}

    def test_by_groups_of_the_training_files(self):
        division = divide({"train": TOPOLOGIES, "test": self.TEST}, SplitSettings(by="topology", validation="edi"))
        assert sizes(division) == [16, 4, 6]
        counted = divide({"train": TOPOLOGIES, "test": self.TEST}, SplitSettings(by="topology", validation=1))
        assert sizes(counted) == [16, 4, 6]
        assert counted.to_dict()["description"].startswith("Split by file and topology: no test group")

    def test_a_file_without_labels_is_no_test(self):
        bare = frames("x", labelled=False)
        with pytest.raises(DataError, match="no labelled frames are left for the test part"):
            divide({"train": self.TRAIN, "test": bare}, None)


class TestUnsaid:
    def test_what_the_data_say_is_taken_and_told(self):
        division = divide({"train": OWN}, None)
        assert sizes(division) == [30, 5, 5]
        assert division.notes == (f"no split is given; the data contain one, which is used: {written()}",)
        assert division.settings.by == "part"

    def test_a_part_that_they_do_not_name_is_drawn(self):
        assert sizes(divide({"train": OWN[:35]}, None)) == [27, 5, 3]
        assert sizes(divide({"train": [*OWN[:30], *OWN[35:]]}, None)) == [27, 3, 5]

    def test_a_file_of_the_test_goes_before_what_the_data_call_test(self):
        division = divide({"train": OWN, "test": TestFiles.TEST}, None)
        assert sizes(division) == [30, 5, 6]
        assert "5 frames of 40 are in no part of the split: test (5 frames)" in division.notes

    def test_else_at_random_with_the_keys_that_would_keep_groups_whole(self):
        division = divide({"train": TOPOLOGIES}, None)
        assert sizes(division) == [16, 2, 2]
        assert division.notes == (
            "no split is given; at random, a tenth for validation and a tenth for the test; split: {by: topology} "
            "would keep groups whole",
        )

    def test_a_key_alone_gives_a_tenth_of_the_groups_but_one_at_least(self):
        assert sizes(divide({"train": TOPOLOGIES}, SplitSettings(by="topology"))) == [12, 4, 4]

    def test_another_split_than_the_data_bring_is_told(self):
        division = divide({"train": OWN}, SplitSettings(train=20, validation=5))
        assert division.notes == (f"the data contain a split of their own, which is not used: {written()}",)


def written() -> str:
    return "{by: part, train: finetune, validation: val, test: test}"


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 60))
def test_more_frames_than_there_are_is_told_and_no_less(train, validation, test):
    asked = {"train_frames": train, "validation_frames": validation, "test_frames": test}
    division = divide({"train": OWN}, SplitSettings(**NAMED, **asked))
    assert sizes(division) == [min(train, 30), min(validation, 5), min(test, 5)]
    too_many = [name for name, there in zip(asked, (30, 5, 5), strict=True) if asked[name] > there]
    assert [note.split()[0] for note in division.notes] == [f"data.split.{name}" for name in too_many]


def test_more_groups_than_there_are_is_refused():
    with pytest.raises(ConfigError, match="more than the 5 groups of 'topology'"):
        divide({"train": TOPOLOGIES}, SplitSettings(by="topology", train=8, validation=1))


def test_frames_that_are_left_over_are_told():
    division = divide({"train": TOPOLOGIES}, SplitSettings(train=10, validation=2, test=3))
    assert division.notes == ("5 frames of 20 are in no part of the split",)
    by_key = divide({"train": TOPOLOGIES}, SplitSettings(by="topology", train=2, validation=1, test=1))
    assert by_key.notes[0].startswith("4 frames of 20 are in no part of the split: ")


def test_no_frame_left_for_the_test():
    with pytest.raises(DataError, match="no labelled frames are left for the test part"):
        divide({"train": TOPOLOGIES}, SplitSettings(train=15, validation=5))


FILES = {"train": "a.extxyz", "test": ["b.extxyz", "c.extxyz"]}


class TestSettings:
    def test_files_in_every_form(self):
        assert parse(DataSettings, {"files": "a.extxyz"}, "x").files_of == {"train": ["a.extxyz"]}
        assert parse(DataSettings, {"files": ["a", "b"]}, "x").files_of == {"train": ["a", "b"]}
        by_part = parse(DataSettings, {"files": FILES}, "x")
        assert by_part.files_of == {"train": ["a.extxyz"], "test": ["b.extxyz", "c.extxyz"]}
        assert parse(DataSettings, by_part.model_dump(mode="json"), "x") == by_part

    def test_places_of_files(self):
        for files, found in (
            (["a", "phosphorus"], {"train": ["x/a", "phosphorus"]}),
            ({"train": "a"}, {"train": ["x/a"]}),
        ):
            settings = parse(DataSettings, {"files": files}, "x").located(lambda name: f"x/{name}")
            assert settings.files_of == found
            assert isinstance(settings.files, list) == isinstance(files, list)

    @pytest.mark.parametrize(
        ("split", "found"),
        [
            ({"train": 8}, 8),
            ({"train": 80.0}, 80),
            ({"train": 0.5}, 0.5),
            ({"by": "k", "train": "8"}, "8"),
            ({"by": "k", "train": [1, "b"]}, ["1", "b"]),
            ({"train": None}, None),
        ],
    )
    def test_sizes(self, split, found):
        size = SplitSettings(**split).train
        assert (size, type(size)) == (found, type(found))

    @pytest.mark.parametrize("size", [0, -1, 1.5, float("nan"), float("inf"), True, "", " ", [], [1.5], {"a": 1}])
    def test_impossible_sizes(self, size):
        with pytest.raises(
            ConfigError, match=r"split.train: it must be a number of frames or groups, a share such as 0\.1"
        ):
            parse(DataSettings, {"files": ["a"], "split": {"by": "k", "train": size}}, "x")

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            ({"files": []}, "files: it must list files, or contain train"),
            ({"files": 3}, "files: it must list files, or contain train"),
            ({"files": {"test": "a"}}, "files: train must be given"),
            ({"files": {"train": "a", "tets": "b"}}, "files: tets: there is no such setting; did you mean test?"),
            ({"files": {"train": "a", "test": "a"}}, "files: a is named twice; a file belongs to one part"),
            ({"files": FILES, "split": {"test": 3}}, "test is given twice, as files and in split"),
            (
                {"files": FILES, "split": {"by": "start", "train": 3}},
                "by: start tests on the ends of runs, but test has",
            ),
            ({"files": ["a"], "split": {"train": "val"}}, "train names groups, so by must be the key with these names"),
            ({"files": ["a"], "split": {"by": "start", "test": ["a"]}}, "test names groups, so by must be the key"),
            ({"files": ["a"], "split": {**NAMED, "train": 3}}, "validation names groups but train counts them"),
        ],
    )
    def test_mistakes(self, data, message):
        with pytest.raises(ConfigError) as error:
            parse(DataSettings, data, "x")
        assert message in str(error.value)


class TestUnlearnt:
    """Of an element that no training frame holds nothing can be said."""

    def with_gold(self, *parts: str) -> list[Frame]:
        return [*OWN, *(frame.replace(numbers=np.array([29, 79])) for frame in frames(*parts))]

    def test_its_frames_are_set_aside_and_counted(self):
        division = divide({"train": self.with_gold("test", "val", "test")}, SplitSettings(**NAMED))
        assert sizes(division) == [30, 5, 5]
        assert division.notes == (
            "1 frame of the validation part set aside: no training frame contains Au",
            "2 frames of the test part set aside: no training frame contains Au",
        )

    def test_what_trains_is_tested(self):
        assert sizes(divide({"train": self.with_gold("finetune", "test")}, SplitSettings(**NAMED))) == [31, 5, 6]

    def test_a_test_of_nothing_else_is_refused(self):
        gold = [frame.replace(numbers=np.array([79, 79])) for frame in frames("test", "test")]
        with pytest.raises(
            DataError, match=r"each of the 2 frames of the test part contains .*\(Au\).* split the data"
        ):
            divide({"train": OWN, "test": gold}, None)
