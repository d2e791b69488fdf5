"""Files that say what their frames are for are understood, and others are left alone."""

import numpy as np
import pytest

from keel.atoms.frame import Frame
from keel.atoms.usual_splits import KEYS, UsualSplit, part_called, sort_names, usual_split


def frames(*values: str, key: str = "part", atoms: int = 2) -> list[Frame]:
    positions = np.arange(3.0 * atoms).reshape(atoms, 3)
    return [Frame(np.full(atoms, 1), positions, info={key: value}, source=f"f, frame {value}") for value in values]


@pytest.mark.parametrize(
    ("value", "part"),
    [
        *((name, "train") for name in ("train", "Training", "finetune", "fine-tune", "train_1", "TRAIN.a", "train2")),
        *((name, "validation") for name in ("val", "valid", "validation", "dev", "val_ood", "VAL")),
        *((name, "test") for name in ("test", "holdout", "held-out", "hold_out", "test-id", " testing ")),
        *((name, None) for name in ("", "trainable", "valence", "tested", "device", "silica", "fitness", "latest")),
    ],
)
def test_what_parts_are_called(value, part):
    assert part_called(value) == part


@pytest.mark.parametrize("key", [*KEYS, "Split", "DATA-SPLIT"])
def test_a_file_that_divides_itself(key):
    found = usual_split(frames("val", "finetune", "test", "val", "finetune", key=key))
    assert found == UsualSplit(key, ("finetune",), ("val",), ("test",))
    assert str(found) == f"{{by: {key}, train: finetune, validation: val, test: test}}"


def test_several_names_of_a_part_and_names_of_none():
    found = usual_split(frames("train", "test_id", "test_ood", "extra"))
    assert found == UsualSplit("part", ("train",), (), ("test_id", "test_ood"), ("extra",))
    assert str(found) == "{by: part, train: train, test: [test_id, test_ood]}"
    assert found.parts == {"train": ("train",), "test": ("test_id", "test_ood")}


def test_files_that_bring_no_division():
    assert usual_split([]) is None
    assert usual_split(frames("train", "train")) is None
    assert usual_split(frames("val", "test")) is None
    assert usual_split(frames("edi", "sod")) is None
    assert usual_split(frames("train", "test", key="config_type")) is None
    assert usual_split([*frames("train", "test"), *frames("none", key="other")]) is None
    assert sort_names("config_type", ["train", "test"]) is not None


def test_atoms_alone_need_no_part():
    alone = frames("none", key="config", atoms=1)
    assert usual_split([*alone, *frames("train", "test")]) == UsualSplit("part", ("train",), (), ("test",))


def test_of_two_keys_the_usual_one_counts():
    both = [f.replace(info={**f.info, "set": f.info["part"], "split": "a"}) for f in frames("train", "test")]
    found = usual_split(both)
    assert found is not None
    assert found.by == "part"
