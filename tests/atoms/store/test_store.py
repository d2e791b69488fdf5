"""A store gives back what was put into it, to the last bit, in whatever order it is asked."""

from __future__ import annotations

import pickle
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow.ipc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import keel
from keel.atoms.store.columns import Table
from keel.atoms.store.frames import open_store
from keel.atoms.store.shards import open_shard, write_shard
from keel.errors import DataError
from stored import all_same, frames, same, stored

FRAMES = st.lists(frames(), min_size=1, max_size=20)


@settings(max_examples=40, deadline=None)
@given(FRAMES, st.integers(1, 9), st.data())
def test_every_frame_comes_back(given_frames, each, data):
    with TemporaryDirectory() as folder:
        found = stored(given_frames, Path(folder) / "a.keel", each)
        assert all_same(given_frames, found)
        assert all_same(given_frames, [found[k] for k in range(len(found))])
        places = data.draw(st.lists(st.integers(0, len(found) - 1), max_size=30))
        assert all_same([given_frames[k] for k in places], found.take(places))
        first, last, step = (data.draw(st.integers(-25, 25)) for _ in range(3))
        part = slice(first, last, step or None)
        assert all_same(given_frames[part], found[part])
        assert all_same(given_frames[part], [found[part][k] for k in range(len(found[part]))])
        assert all_same(given_frames[part][::-1], found[part][::-1])


@settings(max_examples=30, deadline=None)
@given(FRAMES, st.data())
def test_what_is_said_of_many_without_reading_them(given_frames, data):
    with TemporaryDirectory() as folder:
        places = data.draw(st.lists(st.integers(0, len(given_frames) - 1), min_size=1, max_size=20))
        found, own = stored(given_frames, Path(folder) / "a.keel", 4).take(places), [given_frames[k] for k in places]
        assert found.counts().tolist() == list(map(len, own))
        for name in ("energy", "forces", "stress", "masses"):
            assert found.present(name).tolist() == [getattr(frame, name) is not None for frame in own]
        assert set(found.elements) == {z for frame in own for z in frame.numbers.tolist()}
        for numbers, there in found.elements_of_each():
            for k, row in zip(numbers.tolist(), there, strict=True):
                assert set(np.flatnonzero(row).tolist()) == set(own[k].numbers.tolist())
        assert [dict(info).keys() for info in found.infos()] == [frame.info.keys() for frame in own]


def test_frames_without_forces_do_not_shift_others(tmp_path):
    some = keel.datasets.phosphorus()[:40]
    some = [f.replace(forces=None, energy=None) if k % 3 == 1 else f for k, f in enumerate(some)]
    found = stored(some, tmp_path / "a.keel", 16)
    assert all_same(some, found) and all(same(some[k], found[k]) for k in (39, 1, 17, 2))


def test_other_programs_read_the_columns(tmp_path):
    some = keel.datasets.phosphorus()[:5]
    some[2] = some[2].replace(forces=None)
    stored(some, tmp_path / "a.keel")
    with pyarrow.ipc.open_file(tmp_path / "a.keel" / "shard-00000-00000.arrow") as file:
        rows = file.read_all().to_pylist()
    assert rows[2]["forces"] is None
    assert np.array_equal(rows[3]["forces"], some[3].forces) and rows[4]["energy"] == some[4].energy


def test_structures_alone_and_changed_frames(tmp_path):
    some = keel.datasets.phosphorus()[:9]
    found = stored(some, tmp_path / "a.keel", 4)
    bare = found.unlabelled()
    assert not bare.present("energy").any() and all_same([f.unlabelled() for f in some], bare)
    moved = found.changed(lambda f: f.replace(energy=1.0)).changed(lambda f: f.replace(energy=f.energy + 1))
    assert [f.energy for f in moved[2:5]] == [2.0] * 3 and moved[8].energy == 2.0


def test_it_names_its_frames_and_says_what_it_holds(tmp_path):
    found = stored(keel.datasets.phosphorus()[:9], tmp_path / "a.keel", 4)
    assert found[7].source == f"{tmp_path / 'a.keel'}, frame 7" and list(found[5:8])[2].source == found[7].source
    assert "frames 9; atoms 288; elements P; labels energy, forces" in repr(found)
    assert all_same(pickle.loads(pickle.dumps(found)), found)
    with pytest.raises(IndexError):
        found[9]


def test_several_stores_are_one_after_the_other(tmp_path):
    some = keel.datasets.phosphorus()[:12]
    stored(some[:5], tmp_path / "a.keel", 2), stored(some[5:], tmp_path / "b.keel", 3)
    both = keel.read([tmp_path / "a.keel", tmp_path / "b.keel"])
    assert all_same(some, both) and both[6].source == f"{tmp_path / 'b.keel'}, frame 1"


def test_the_same_frames_are_the_same_bytes(tmp_path):
    some = Table.of(keel.datasets.phosphorus()[:9])
    for name in "ab":
        write_shard(tmp_path / f"{name}.arrow", some)
    assert (tmp_path / "a.arrow").read_bytes() == (tmp_path / "b.arrow").read_bytes()


def test_fingerprints_tell_frames_apart(tmp_path):
    one, other = (stored(keel.datasets.phosphorus()[k : k + 9], tmp_path / f"{k}.keel") for k in (0, 1))
    prints = [one, other, one[1:], one.take([1, 0]), one.unlabelled()]
    assert len({frames.fingerprint for frames in prints}) == 5
    assert one.fingerprint == open_store(tmp_path / "0.keel").take(range(9)).fingerprint


@pytest.mark.parametrize("size", [0, 10, 1000, -1000])
def test_a_damaged_shard_is_named(size, tmp_path):
    found = stored(keel.datasets.phosphorus()[:9], tmp_path / "a.keel")
    path = found.store.shards[0].path
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(DataError, match=r"shard-00000-00000\.arrow: the shard is damaged \(.*\); pack the data again$"):
        open_store(tmp_path / "a.keel")
    if size >= 0:
        with pytest.raises(DataError, match="cut off; pack the data again"):
            list(found)


def test_a_parquet_or_foreign_arrow_file_is_no_shard(tmp_path):
    table = pyarrow.table({"numbers": [[1]], "positions": [[0.0]]})
    with pyarrow.ipc.new_file(tmp_path / "a.arrow", table.schema) as file:
        file.write_table(table)
    with pytest.raises(DataError, match="the shard is damaged"):
        open_shard(tmp_path / "a.arrow")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "the store is not finished; run its `keel pack` command again"),
        ("{", "cannot be read"),
        ("{}", "names no shards"),
        ('{"format": 99}', "newer keel"),
    ],
)
def test_a_folder_that_is_no_finished_store(content, said, tmp_path):
    stored(keel.datasets.phosphorus()[:2], tmp_path / "a.keel")
    (tmp_path / "a.keel" / "store.json").unlink()
    if content:
        (tmp_path / "a.keel" / "store.json").write_text(content)
    with pytest.raises(DataError, match=said):
        keel.read(tmp_path / "a.keel")
