"""What is wrong with a teacher is said by whoever learns from it, and not where only its walls count."""

import numpy as np
import pytest
from salts import CUTOFF, labelled, rock_salt, salt
from typer.testing import CliRunner

import keel
from keel.cli import app

NO_DATA = "pairs of elements have no or few data ("
POOR = "the teacher does not describe energies"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Frames of a salt, the same with one potassium, and the opposite potential as a teacher."""
    monkeypatch.chdir(tmp_path)
    frames = labelled(salt(), [rock_salt(seed) for seed in range(12)])
    keel.write("salt.extxyz", frames)
    frames[1:1] = [frames[0].replace(numbers=np.array([19, *frames[0].numbers[1:]]))]
    keel.write("mixed.extxyz", frames)
    keel.SumPotential([salt()], [-1.0]).save("opposite.json")
    return tmp_path


def told(*arguments: str) -> str:
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize(("strategy", "relies"), [("pretrain", True), ("eam-delta", True), ("walls-delta", False)])
def test_train_tells_what_the_fit_found(folder, strategy, relies):
    small = ("--steps", "2", "--cutoff", str(CUTOFF), "--strategy", strategy)
    assert (NO_DATA in told("train", "mixed.extxyz", "--validation", "salt.extxyz", "--out", "m", *small)) == relies


@pytest.mark.parametrize(("strategy", "relies"), [("pretrain", True), ("eam-delta", True), ("zbl-delta", False)])
def test_train_judges_every_teacher_that_counts(folder, strategy, relies):
    small = ("--steps", "2", "--cutoff", str(CUTOFF), "--strategy", strategy)
    assert (POOR in told("train", "salt.extxyz", "--teacher", "opposite.json", "--out", "m", *small)) == relies


@pytest.mark.parametrize("strategy", ["pretrain", "vanilla"])
def test_run_tells_it_on_the_terminal(folder, strategy):
    (folder / "run.yaml").write_text(
        f"""name: salt
data: {{files: [salt.extxyz], split: {{by: frame, validation: 4}}}}
teacher: {{file: opposite.json}}
networks: [{{architecture: CGCNN, cutoff: {CUTOFF}, features: 4, convolutions: 1}}]
strategies: [{strategy}]
training: {{steps: 2}}
md: {{temperatures: [300], runs: 1, length_fs: 2}}
evaluation: {{dimers: false}}
"""
    )
    assert (POOR in told("run", "run.yaml", "--out", "r")) == (strategy == "pretrain")
