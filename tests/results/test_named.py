"""Potentials of a run lie under plain names, whatever made them, and names lead nowhere else."""

import errno
import os
from pathlib import Path

import pytest

from keel.kinds import TRAINED
from keel.results.index import RunIndex, TrialFolders
from keel.results.named import FOLDER, give_name, name_all

NAME = "CGCNN-pretrain-seed0"


def trained(root: Path, task: str, text: str) -> Path:
    """A potential in the folder of a task."""
    path = root / "stages" / "train" / task / TRAINED
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def index(*cells: TrialFolders, teacher: str | None = None) -> RunIndex:
    return RunIndex("run", "", None, teacher, None, None, {}, cells)


def test_a_name_is_the_same_file_and_costs_no_space(tmp_path: Path):
    file = trained(tmp_path, "a", "weights")
    named = give_name(tmp_path, NAME, file)
    assert named == tmp_path / FOLDER / f"{NAME}.safetensors"
    assert named.samefile(file)
    written = named.stat().st_ctime_ns
    assert give_name(tmp_path, NAME, file).stat().st_ctime_ns == written


def test_the_name_passes_to_what_was_trained_last(tmp_path: Path):
    give_name(tmp_path, NAME, trained(tmp_path, "a", "first"))
    named = give_name(tmp_path, NAME, trained(tmp_path, "b", "other"))
    assert named.read_text() == "other"
    assert trained(tmp_path, "a", "first").read_text() == "first"
    assert [path.name for path in named.parent.iterdir()] == [named.name]


def test_a_disk_without_links_gets_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refused(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    file = trained(tmp_path, "a", "weights")
    named = give_name(tmp_path, NAME, file)
    assert named.read_text() == "weights" and not named.samefile(file)
    copied = named.stat().st_ino
    assert give_name(tmp_path, NAME, file).stat().st_ino == copied


def test_all_of_a_run_are_named_and_what_is_not_there_is_left_out(tmp_path: Path):
    file = trained(tmp_path, "a", "weights")
    (tmp_path / "stages" / "teacher").mkdir()
    (tmp_path / "stages" / "teacher" / "teacher.json").write_text("{}")
    found = name_all(
        tmp_path,
        index(
            TrialFolders("CGCNN", "pretrain", 0, train="stages/train/a"),
            TrialFolders("CGCNN", "vanilla", 0, train="stages/train/gone"),
            TrialFolders("CGCNN", "sam", 0),
            teacher="stages/teacher",
        ),
    )
    assert found == {NAME: Path(f"{FOLDER}/{NAME}.safetensors"), "teacher": Path(f"{FOLDER}/teacher.json")}
    assert (tmp_path / found[NAME]).samefile(file)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS])
def test_in_a_folder_that_cannot_be_written_they_stay_where_they_are(tmp_path: Path, monkeypatch, code: int):
    trained(tmp_path, "a", "weights")

    def refused(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("keel.results.named.replace_file", refused)
    found = name_all(tmp_path, index(TrialFolders("CGCNN", "pretrain", 0, train="stages/train/a")))
    assert found == {NAME: Path("stages/train/a") / TRAINED}


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    trained(tmp_path, "a", "weights")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("keel.results.named.replace_file", full)
    with pytest.raises(OSError, match="No space left"):
        name_all(tmp_path, index(TrialFolders("CGCNN", "pretrain", 0, train="stages/train/a")))


@pytest.mark.parametrize("name", ["../../elsewhere", "/etc/passwd", ".hidden", 'a "b" c', "<img src=x>", "../"])
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str):
    root = tmp_path / "run"
    named = give_name(root, name, trained(root, "a", "weights"))
    assert named.parent == root / FOLDER
    assert not named.name.startswith(".") and not set(named.name) & set(' "<>/')
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
