"""Frames from Python become a store, whole or not at all; stores beside other files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import keel
from keel.atoms.store import packing
from keel.config import DataSettings
from keel.errors import DataError, KeelWarning
from keel.workflow.data import read_data
from stored import all_same

FRAMES = keel.datasets.phosphorus()[::60]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Of the first three frames."""
    assert keel.write(tmp_path / "a.keel", FRAMES[:3]) == 3
    return tmp_path / "a.keel"


def shards(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.glob("shard-*.arrow"))]


def test_it_is_the_store_that_packing_makes(tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "SHARD_FRAMES", 4)
    keel.write(tmp_path / "a.extxyz", FRAMES)
    packed = packing.pack([tmp_path / "a.extxyz"], tmp_path / "packed.keel")
    assert keel.write(tmp_path / "written.keel", iter(FRAMES)) == len(FRAMES)
    assert shards(tmp_path / "written.keel") == shards(tmp_path / "packed.keel") and len(FRAMES) > 8
    again = keel.read(tmp_path / "written.keel")
    assert all_same(again, packed) and again[5].source == f"{tmp_path / 'written.keel'}, frame 5"


def test_one_that_is_there_is_replaced_even_by_its_own_frames(store):
    assert keel.write(store, keel.read(store)[::2]) == 2
    assert all_same(keel.read(store), FRAMES[:3:2])
    assert [path.name for path in store.parent.iterdir()] == ["a.keel"]


def test_what_cannot_be_used_leaves_all_as_it_was(store):
    twice = FRAMES[4].replace(positions=np.zeros((len(FRAMES[4]), 3)), source="twice")
    for frames, why in (([], "there are no frames to write"), ([FRAMES[3], twice], "^twice: ")):
        with pytest.raises(DataError, match=why):
            keel.write(store, frames)
    wrong = [f.replace(forces=-f.forces) for f in keel.datasets.phosphorus("black")[:30]]
    with pytest.raises(DataError, match="sign"):
        keel.write(store, wrong)
    assert all_same(keel.read(store), FRAMES[:3])
    assert [path.name for path in store.parent.iterdir()] == ["a.keel"]


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "b.keel").mkdir()
    (tmp_path / "b.keel" / "thesis.txt").touch()
    with pytest.raises(DataError, match="it contains something other than a finished store; choose another name"):
        keel.write(tmp_path / "b.keel", FRAMES[:2])
    assert (tmp_path / "b.keel" / "thesis.txt").is_file()


def test_beside_other_files_its_frames_are_read(store, monkeypatch, recwarn):
    keel.write(store.with_name("b.extxyz"), FRAMES[3:5])
    files = [store, store.with_name("b.extxyz")]
    assert all_same(keel.read(files), FRAMES[:5])
    assert all_same(keel.read(files[::-1]), [*FRAMES[3:5], *FRAMES[:3]])
    settings = DataSettings(files=["a.keel", "b.extxyz"])
    assert all_same(read_data(settings, store.parent)["train"], FRAMES[:5])
    assert not [warning for warning in recwarn if warning.category is KeelWarning]
    monkeypatch.setattr("keel.atoms.read.MOST", 2)
    with pytest.warns(
        KeelWarning, match="a.keel: its 3 frames are read into memory, because other files are read together"
    ):
        read_data(settings, store.parent)
