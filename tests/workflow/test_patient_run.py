"""A run whose trainings end where their validation loss has ceased to fall."""

import csv

import pytest

from keel.config import RunSettings
from keel.errors import ConfigError
from keel.reporting import load_results
from keel.settings import parse
from keel.workflow import run
from tiny_run import TINY, tiny

PATIENT = {"validate_every": 2, "patience": 1, "learning_rate": 0.2, "schedule": "constant", "ema_decay": 0.0}


def test_the_summary_has_the_steps_that_were_taken(tmp_path):
    training = {**TINY["training"], **PATIENT, "steps": 60}
    config = tiny(strategies=["vanilla", "pretrain-only"], training=training, evaluation={"dimers": False})
    run(config, tmp_path)
    for record, trial in zip(load_results(tmp_path).records, load_results(tmp_path).trials, strict=True):
        (folder,) = (tmp_path / "stages" / "train").glob(f"*-{record.strategy}-*")
        rows = list(csv.DictReader((folder / "metrics.csv").open()))
        assert record.pretrain_steps == (12 if record.strategy == "pretrain-only" else 0), "pretraining is not cut"
        assert 0 < record.train_steps < 60 - record.pretrain_steps
        assert len(rows) == record.pretrain_steps + record.train_steps == len(trial.training.step)
        assert record.gradient_evaluations == len(rows)


@pytest.mark.parametrize("where", ["training", "networks"])
def test_a_run_without_validation_is_refused_before_it_begins(where):
    split = {**TINY["data"]["split"], "validation": 0}
    patient = {"training": {"patience": 2}} if where == "training" else {}
    networks = [{**TINY["networks"][0], "training": {"patience": 2} if where == "networks" else {}}]
    content = {**TINY, "training": TINY["training"], **patient, "networks": networks}
    content["data"] = {**TINY["data"], "split": split}
    with pytest.raises(ConfigError, match=r"training\.patience counts validations, and data\.split\.validation is 0"):
        parse(RunSettings, content, "test")
