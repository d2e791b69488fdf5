"""Packing: any files become a store, with any number of workers, and after any kill, with the same bytes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import keel
from keel.atoms.read import BadFrames
from keel.atoms.record import LabelKeys
from keel.atoms.store import packing
from keel.atoms.store.packing import pack
from keel.cli import app
from keel.errors import ConfigError, DataError
from stored import all_same

FRAMES = keel.datasets.phosphorus()[:60]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    keel.write(tmp_path / "p.extxyz", FRAMES)
    return tmp_path / "p.extxyz"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards of seven frames, and every file is large."""
    monkeypatch.setattr(packing, "SHARD_FRAMES", 7)
    monkeypatch.setattr(packing, "LARGE", 100)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_store_is_read_as_the_files_are(file, small, tmp_path):
    stored = pack([file, file], tmp_path / "p.keel")
    assert len(stored.store.shards) == 18
    assert all_same([*keel.read(file), *keel.read(file)], keel.read(tmp_path / "p.keel"))
    assert all_same(keel.read(file, index="5:40:3"), keel.read(tmp_path / "p.keel", index="5:40:3"))
    assert all_same(keel.read(file, labels=False), keel.read(tmp_path / "p.keel", labels=False)[:60])
    assert all_same(
        keel.atoms.iter_frames(file), keel.atoms.iter_frames([tmp_path / "p.keel"]).__class__ and stored[:60]
    )


def test_a_store_is_packed_again_with_files(file, small, tmp_path):
    pack([file], tmp_path / "a.keel")
    pack([tmp_path / "a.keel", file], tmp_path / "b.keel")
    assert all_same([*keel.read(file)] * 2, keel.read(tmp_path / "b.keel"))


def test_shares_of_workers_make_the_same_bytes(file, small, tmp_path):
    pack([file], tmp_path / "a.keel")
    packer = packing.Packer(tmp_path / "b.keel", LabelKeys(), (), False)
    packer.folder.mkdir()
    for work in packing._works([file]):
        shares = packing._shares(work, 3)
        assert len(shares) == 3 and {packer(share) for share in reversed(shares)} == {60}
    made = {name: text for name, text in contents(packer.folder).items() if name.startswith("shard")}
    assert made == {name: text for name, text in contents(tmp_path / "a.keel").items() if name.startswith("shard")}


def test_progress_is_told(file, small, tmp_path):
    told: list[int] = []
    pack([file], tmp_path / "a.keel", advance=lambda done, total, remark: told.append(done))
    assert told == list(range(7, 64, 7))


def test_small_files_share_a_shard(tmp_path):
    files = [tmp_path / f"{k}.extxyz" for k in range(5)]
    for k, own in enumerate(files):
        keel.write(own, FRAMES[3 * k : 3 * k + 3])
    assert len(pack(files, tmp_path / "a.keel").store.shards) == 1
    assert all_same(keel.read(files), keel.read(tmp_path / "a.keel"))


def test_what_is_finished_is_not_done_again(file, tmp_path, monkeypatch):
    pack([file], tmp_path / "p.keel")
    before = contents(tmp_path / "p.keel")
    monkeypatch.setattr(packing, "_do", None)
    (tmp_path / "p.keel" / "plan.json").touch()
    pack([file], tmp_path / "p.keel")
    assert contents(tmp_path / "p.keel") == before


def test_a_store_of_other_files_is_not_replaced(file, tmp_path):
    pack([file], tmp_path / "p.keel")
    file.write_bytes(file.read_bytes() + file.read_bytes())
    with pytest.raises(ConfigError, match="it contains a store made of other files; remove it or choose another name"):
        pack([file], tmp_path / "p.keel")
    (tmp_path / "p.keel" / "store.json").unlink()
    with pytest.raises(ConfigError, match=r"it contains other files, such as shard-00000-00000\.arrow"):
        pack([file], tmp_path / "p.keel")


def test_bad_frames_are_refused_or_set_aside(file, small, tmp_path):
    lines = file.read_text().splitlines(keepends=True)
    lines[34 * 10 + 4] = "P 1 2 nan 0 0 0\n"
    lines[34 * 40 + 4] = "P 1 2\n"
    file.write_text("".join(lines))
    with pytest.raises(DataError, match="frame 10: its positions are not finite"):
        pack([file], tmp_path / "a.keel")
    with pytest.raises(ConfigError, match="it was begun with other files or options"):
        pack([file], tmp_path / "a.keel", skip_bad=tmp_path / "bad.xyz")
    bad, usual = BadFrames(tmp_path / "bad.xyz"), BadFrames(tmp_path / "usual.xyz")
    stored = pack([file], tmp_path / "b.keel", skip_bad=bad)
    assert len(stored) == 58 and all_same(keel.read(file, skip_bad=usual), stored)
    assert bad.reasons == usual.reasons and bad.path.read_bytes() == usual.path.read_bytes()


def test_labels_that_contradict_each_other_are_refused(file, tmp_path):
    keel.write(file, [f.replace(forces=-f.forces) for f in keel.datasets.phosphorus()])
    with pytest.raises(DataError, match="the forces contradict the energies"):
        keel.read(file)
    with pytest.raises(DataError, match="the forces contradict the energies"):
        pack([file], tmp_path / "a.keel")


def test_numbers_that_are_no_labels_are_left_out(file, tmp_path):
    zero = np.zeros_like(FRAMES[0].forces)
    keel.write(file, [f.replace(energy=0.0, forces=zero) if k % 4 == 0 else f for k, f in enumerate(FRAMES)])
    usual = keel.read(file)
    assert usual[0].energy is None and usual[0].forces is None
    assert all_same(usual, pack([file], tmp_path / "a.keel"))


def test_names_and_units_of_a_file(file, tmp_path):
    file.write_text(file.read_text().replace(" energy=", " E_dft="))
    assert all_same(FRAMES, pack([file], tmp_path / "a.keel", keys=LabelKeys(energy="E_dft")))
    with pytest.raises(DataError, match="the key 'E_DFT' named for the energy is absent"):
        pack([file], tmp_path / "b.keel", keys=LabelKeys(energy="E_DFT"))


@pytest.mark.parametrize("arguments", [[], ["--workers", "2"]], ids=["in this process", "by two workers"])
def test_the_command(arguments, file, small, tmp_path):
    done = CliRunner().invoke(app, ["pack", str(file), str(file), "--out", str(tmp_path / "a.keel"), *arguments])
    assert done.exit_code == 0, done.output
    assert "frames  120" in done.output and "labels  energy, forces" in done.output
    assert all_same([*keel.read(file), *keel.read(file)], keel.read(tmp_path / "a.keel"))


def test_mistakes_are_told_in_one_sentence(file, tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.xyz: there is no such file"):
        pack([tmp_path / "nowhere.xyz"], tmp_path / "a.keel")
    with pytest.raises(DataError, match="no file to pack was given"):
        pack([], tmp_path / "a.keel")
    with pytest.raises(ConfigError, match="'force' is not a label; require energy, forces or stress"):
        pack([file], tmp_path / "a.keel", require=["force"])
    with pytest.raises(ConfigError, match="cannot be written to the file that is being read"):
        pack([file], tmp_path / "a.keel", skip_bad=file)
    with pytest.raises(ConfigError, match="workers must be at least 1"):
        pack([file], tmp_path / "a.keel", workers=0)
    (tmp_path / "empty.extxyz").touch()
    with pytest.raises(DataError, match="the file is empty"):
        pack([tmp_path / "empty.extxyz"], tmp_path / "b.keel")
    with pytest.raises(DataError, match=r"b\.keel: the store is not finished"):
        keel.read(tmp_path / "b.keel")
    done = CliRunner().invoke(app, ["pack", str(file), "--out", str(tmp_path / "a.arrow")])
    assert str(done.exception) == "--out must end in .keel, not a.arrow"


KILLED = """
import random, sys
sys.path.insert(0, sys.argv[3])
from keel.atoms.store import packing
from waiting import killed

packing.SHARD_FRAMES, packing.LARGE = 3, 100
write, moments = packing.write_shard, random.Random(1)

def work(step):
    packing.write_shard = lambda path, table: (step(), write(path, table))
    packing.pack([sys.argv[1]], sys.argv[2])

print([killed(work, moments.randint(1, 4), moments.random() * 0.01) for _ in range(3)])
"""


def test_killed_at_any_moment_it_ends_with_the_same_bytes(file, tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "SHARD_FRAMES", 3)
    monkeypatch.setattr(packing, "LARGE", 100)
    pack([file], tmp_path / "whole.keel")
    command = [sys.executable, "-c", KILLED, str(file), str(tmp_path / "killed.keel"), str(Path(__file__).parents[2])]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[True, True, True]\n"
    assert not (tmp_path / "killed.keel" / "store.json").exists()
    pack([file], tmp_path / "killed.keel")
    assert contents(tmp_path / "killed.keel") == contents(tmp_path / "whole.keel")
