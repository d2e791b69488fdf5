"""Metrics of a training in loggers of Lightning Fabric: each step once, whatever happens on the way."""

import csv
import json
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lightning.fabric.utilities.rank_zero import rank_zero_only

import keel
from keel.cli import app
from keel.errors import ConfigError, UnavailableError
from keel.identity import of_settings, of_training
from keel.training import TrainingSettings
from keel.training import loggers as module
from keel.workflow import run
from small_training import ARGON, SHORT, argon, network
from tiny_run import FEW, tiny

SETTINGS = SHORT.replace(checkpoint_every=3)
"""Twelve steps, validated at every fourth."""
FRAMES = argon(4)


class Recorder:
    """A logger of Lightning, as far as keel asks."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, dict[str, float]]] = []
        self.written, self.ended = 0, ""

    def log_metrics(self, metrics, step=None):
        self.rows.append((step, metrics))

    def save(self):
        self.written = len(self.rows)

    def finalize(self, status):
        self.ended = status


def go(folder=None, names=(), loggers=(), stop_at=None, **options):
    def stop(row):
        if row["taken"] == stop_at:
            raise KeyboardInterrupt

    return keel.train(
        network(), FRAMES, validation=argon(2, 1), settings=SETTINGS.replace(loggers=list(names)), folder=folder,
        loggers=[stop, *loggers], **options,
    )  # fmt: skip


def interrupted(folder, stop_at, *names, **options):
    with pytest.raises(KeyboardInterrupt):
        go(folder, names, stop_at=stop_at, **options)


def test_names_stages_and_steps():
    recorder = Recorder()
    result = go(loggers=[recorder], strategy="pretrain-only", teacher=ARGON)
    assert [step for step, _ in recorder.rows] == list(range(1, 13)) and recorder.written == 12
    for (_, metrics), row in zip(recorder.rows, result.history, strict=True):
        assert metrics == {f"{row['stage']}/{k}": v for k, v in row.items() if k not in ("stage", "step", "taken")}
    names = set().union(*(metrics for _, metrics in recorder.rows))
    assert {"pretrain/total", "train/total", "train/learning_rate", "train/validation_force_mae"} < names
    assert recorder.ended == "success"


def test_no_step_twice_when_a_training_goes_on(tmp_path):
    """Those after the last checkpoint are taken again."""
    recorder = Recorder()
    for stop in (2, 5, 11):
        interrupted(tmp_path, stop, loggers=[recorder])
        assert (len(recorder.rows), recorder.ended) == (stop // 3 * 3, "failed")
    go(tmp_path, loggers=[recorder])
    assert [step for step, _ in recorder.rows] == list(range(1, 13)) and recorder.ended == "success"


def test_without_a_folder_every_step_is_there(tmp_path):
    recorder = Recorder()
    interrupted(None, 5, loggers=[recorder])
    assert [step for step, _ in recorder.rows] == [1, 2, 3, 4, 5]


def test_csv_after_a_kill_is_that_without(tmp_path, recwarn):
    written = []
    for folder, stops in ((tmp_path / "whole", ()), (tmp_path / "killed", (4, 9))):
        for stop in stops:
            interrupted(folder, stop, "csv")
        go(folder, ["csv"])
        go(folder, ["csv"])  # nothing is left to do
        written.append((folder / "logs" / "csv" / "metrics.csv").read_text())
    assert written[0] == written[1]
    rows = list(csv.DictReader(written[0].splitlines()))
    assert [int(row["step"]) for row in rows] == list(range(1, 13))
    assert [row["step"] for row in rows if row["train/validation"]] == ["4", "8", "12"]
    assert not [warning for warning in recwarn if "deleted" in str(warning.message)]


def test_a_process_alone_is_the_first_whatever_slurm_says(tmp_path, monkeypatch):
    monkeypatch.setattr(rank_zero_only, "rank", 3)
    go(tmp_path, ["csv"])
    assert (tmp_path / "logs" / "csv" / "metrics.csv").read_text().count("\n") == 13


def test_loggers_have_no_part_in_what_a_training_is(tmp_path):
    with_csv = SETTINGS.replace(loggers=["csv"])
    assert of_settings(with_csv) == of_settings(SETTINGS)
    named = [of_training(("CGCNN", {}), [], [], (settings,)) for settings in (with_csv, SETTINGS)]
    assert named[0] == named[1]
    interrupted(tmp_path, 5, "csv")
    assert go(tmp_path).history == go(None).history


def test_what_cannot_be_is_said_before_any_work(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="the logger csv writes into the folder of the training; give one: folder="):
        go(None, ["csv"])
    with pytest.raises(ConfigError, match="'csv' is neither a logger of Lightning Fabric nor a function"):
        go(tmp_path, loggers=["csv"])
    with pytest.raises(ConfigError, match=r"loggers.*csv"):
        TrainingSettings(loggers="cvs")
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    sentence = r"the logger tensorboard needs its package; install it: pip install 'mlip-keel\[tensorboard\]'"
    with pytest.raises(UnavailableError, match=sentence):
        go(tmp_path / "run", ["csv", "tensorboard"])
    # Neither the data nor the teacher is looked at.
    with pytest.raises(UnavailableError, match=sentence):
        run(tiny(data={"files": ["none.extxyz"]}, training={"loggers": "tensorboard"}), tmp_path / "run")
    words = ["train", "none.extxyz", "--out", str(tmp_path / "model"), "--logger"]
    with pytest.raises(UnavailableError, match=sentence.replace("tensorboard", "wandb")):
        app([*words, "wandb"], standalone_mode=False)
    with pytest.raises(ConfigError, match=r"--logger.*csv"):
        app([*words, "cvs"], standalone_mode=False)
    assert not (tmp_path / "run" / "stages").exists() and not (tmp_path / "model").exists()


def test_the_command_hands_them_on(tmp_path):
    words = ["train", str(FEW), "--out", str(tmp_path), "--strategy", "vanilla", "--preset", "small", "--steps", "2"]
    app([*words, "--logger", "csv", "--accumulate", "2", "--device", "cpu"], standalone_mode=False)
    assert (tmp_path / "logs" / "csv" / "metrics.csv").read_text().count("\n") == 3


@pytest.mark.oracle
def test_tensorboard_shows_each_step_once(tmp_path):
    """Also steps that were written before a checkpoint which was then never written."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    interrupted(tmp_path, 8, "tensorboard")
    with module._tensorboard(tmp_path / "logs", [{}] * 6) as logger:
        logger.log_metrics({"train/total": 1.0}, 7)
        logger.finalize("failed")
    result = go(tmp_path, ["tensorboard"])
    shown = EventAccumulator(str(tmp_path / "logs" / "tensorboard"))
    shown.Reload()
    losses = shown.Scalars("train/total")
    assert [event.step for event in losses] == list(range(1, 13))
    assert [event.value for event in losses] == pytest.approx([row["total"] for row in result.history])
    assert [event.step for event in shown.Scalars("train/validation_energy_mae")] == [4, 8, 12]


@pytest.mark.oracle
def test_wandb_goes_on_with_its_run(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    interrupted(tmp_path, 8, "wandb")
    name = (tmp_path / "logs" / "wandb-run").read_text()
    go(tmp_path, ["wandb"])
    assert (tmp_path / "logs" / "wandb-run").read_text() == name
    steps = [row.get("trainer/global_step") for path in files_of(tmp_path, name) for row in rows_in(path)]
    assert steps == list(range(1, 13))


@pytest.mark.oracle
def test_wandb_without_a_login_is_one_sentence(tmp_path, monkeypatch):
    import wandb

    def refused(**_):
        raise wandb.errors.UsageError("No API key configured.")

    monkeypatch.setattr("wandb.init", refused)
    with pytest.raises(ConfigError, match=r"wandb cannot begin \(No API key configured\); log in, or set WANDB_MODE="):
        go(tmp_path, ["wandb"])


def files_of(folder: Path, name: str) -> list[Path]:
    return sorted(folder.glob(f"logs/wandb/offline-run-*/run-{name}.wandb"), key=os.path.getmtime)


def rows_in(path: Path) -> Iterator[dict[str, Any]]:
    """Yield what was logged into a file of W&B: records in blocks of 32 KiB, as LevelDB writes its log."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, place, record = path.read_bytes(), 7, b""
    while place + 7 <= len(content):
        if 32768 - place % 32768 < 7:
            place += 32768 - place % 32768
        length, part = struct.unpack("<HB", content[place + 4 : place + 7])
        record, place = record + content[place + 7 : place + 7 + length], place + 7 + length
        if part in (1, 4):  # a whole one, or the last part of one
            history = Record.FromString(record).history.item
            record = b""
            if len(history):
                yield {".".join(item.nested_key) or item.key: json.loads(item.value_json) for item in history}
