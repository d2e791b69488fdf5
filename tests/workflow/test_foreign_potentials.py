"""Potentials of other packages as teachers and students of a run."""

from pathlib import Path

import pytest
import torch

import keel
from doors import LJ, matgl_folder, pickled_model, silica
from keel.config import NetworkSettings, RunSettings, TeacherSettings
from keel.errors import ConfigError
from keel.settings import parse
from keel.workflow import run
from keel.workflow.make import content_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    keel.write(tmp_path / "data.extxyz", silica())
    return tmp_path


@pytest.mark.parametrize(
    ("model", "settings", "message"),
    [
        (TeacherSettings, {"trust": True}, "trust is for a file, but none is named"),
        (TeacherSettings, {"trust": True, "calculator": LJ}, "trust is for a file, but none is named"),
        (NetworkSettings, {"trust": True}, "trust is for a file to start from, but none is named"),
        (NetworkSettings, {"trust": True, "start": "a.model", "features": 3}, "architecture and arguments of that"),
    ],
)
def test_trust_without_a_file(model, settings, message):
    with pytest.raises(ConfigError, match=message):
        parse(model, settings, "test")


def test_trust_is_no_argument_of_a_network():
    assert parse(NetworkSettings, {"start": "a.model", "trust": True}, "test").arguments == {}


def test_a_run_with_foreign_teacher_and_network(folder, monkeypatch):
    """The teacher is kept as a file of keel, and read back from there."""
    model = pickled_model(folder / "my.model", monkeypatch)
    matgl_folder(folder / "matgl")
    settings = {
        "name": "tiny",
        "data": {"files": ["data.extxyz"], "split": {"train": 2, "validation": 1, "test": 1}},
        "teacher": {"file": "my.model", "trust": True},
        "networks": [{"start": "matgl", "name": "mine"}],
        "strategies": ["pretrain"],
        "training": {"steps": 10, "batch_size": 2},
        "md": {"temperatures": [50], "runs": 1, "length_fs": 2, "longest_fs": 2},
        "evaluation": {"dimers": False},
    }
    run(parse(RunSettings, settings, "test"), folder / "run", base=folder)
    (kept,) = (folder / "run").glob("*/teacher/*/teacher.safetensors")
    torch.testing.assert_close(keel.load(kept).state_dict(), torch.load(model, weights_only=False).state_dict())
    assert len(list((folder / "run").glob("*/train/mine-pretrain-seed0-*/potential.safetensors"))) == 1


def test_a_run_tells_the_networks_of_a_folder_apart(tmp_path):
    """And those of files as before."""
    folder = matgl_folder(tmp_path / "matgl")
    before = content_of(folder)
    assert content_of(folder) == before and content_of(folder / "state.pt") == before[1]
    (folder / "state.pt").write_bytes(b"other weights")
    assert content_of(folder) != before


def test_a_file_that_is_not_trusted_ends_the_run(folder, monkeypatch):
    pickled_model(folder / "my.model", monkeypatch)
    data = {"files": ["data.extxyz"], "split": {"train": 2, "validation": 1}}
    settings = parse(RunSettings, {"name": "x", "data": data, "networks": [{"start": "my.model"}]}, "test")
    with pytest.raises(ConfigError, match="trust: true in YAML"):
        run(settings, folder / "run", base=folder)
