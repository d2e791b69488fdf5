"""Training that ends when its validation loss has ceased to fall."""

import math
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import keel
from keel.cli import app
from keel.errors import ConfigError
from keel.training import Strategy
from keel.training.checkpoint import save_state
from keel.training.loop import has_lost_patience, learning_rate
from keel.training.strategies import stages_of
from small_training import ARGON, SHORT, argon, network
from tiny_run import FEW

IMPATIENT = SHORT.replace(
    steps=40, validate_every=2, patience=2, learning_rate=0.05, schedule="constant", ema_decay=0.0
)
"""Steps so long that the loss soon rises."""
PRETRAINED = Strategy(pretrain_share=0.5)


def rows(*scores, stage="train"):
    return [{"stage": stage, "step": k} | ({} if s is None else {"validation": s}) for k, s in enumerate(scores)]


@pytest.mark.parametrize(
    ("scores", "lost"),
    [
        ((), False),
        ((3.0, None, 2.0, None, 2.0), False),
        ((3.0, 2.0, 2.0, None, 2.5), True),
        ((3.0, 2.0, 4.0, 1.0), False),
        ((1.0, math.nan, math.inf), True),
        ((math.nan, 5.0, math.nan), False),
        ((math.nan, math.nan), True),
    ],
)
def test_validations_since_the_best(scores, lost):
    assert has_lost_patience(rows(*scores), 2) is lost
    assert not has_lost_patience(rows(*scores), None)
    assert not has_lost_patience(rows(*scores, stage="pretrain"), 2)


def go(**changes):
    arguments = {"validation": argon(2, 1), "settings": IMPATIENT, **changes}
    return keel.train(network(), argon(6), **arguments)


def test_it_ends_early_with_the_best_weights_and_says_so():
    whole, ended = go(settings=IMPATIENT.replace(patience=None)), go()
    taken = ended.train_steps
    assert taken == len(ended.history) < whole.train_steps == IMPATIENT.steps
    assert ended.gradient_evaluations == taken
    scores = [row["validation"] for row in ended.history if "validation" in row]
    assert int(np.argmin(scores)) == len(scores) - 1 - IMPATIENT.patience
    # Until then the same, and with the learning rates of all steps.
    for row, other in zip(ended.history, whole.history, strict=False):
        assert row == other


def test_the_schedule_is_that_of_all_steps():
    settings = IMPATIENT.replace(schedule="cosine")
    (stage,) = stages_of(Strategy(), settings)
    ended = go(settings=settings.replace(patience=1))
    assert [row["learning_rate"] for row in ended.history] == [
        learning_rate(stage, settings, step) for step in range(len(ended.history))
    ]


def test_pretraining_is_not_cut():
    ended = go(strategy=PRETRAINED, teacher=ARGON, settings=IMPATIENT.replace(patience=1))
    assert ended.pretrain_steps == 20
    assert 0 < ended.train_steps < 20
    assert [row["stage"] for row in ended.history].count("pretrain") == 20


@pytest.mark.parametrize("strategy", [Strategy(), PRETRAINED], ids=["vanilla", "pretrained"])
def test_a_killed_one_ends_at_the_same_step_with_the_same_numbers(strategy, tmp_path):
    arguments = {"strategy": strategy, "teacher": ARGON}
    whole = go(**arguments)
    last = len(whole.history)
    assert last < IMPATIENT.steps
    for stop in (5, last - 3, last - 1, last):

        def on_step(row, stop=stop):
            if row["taken"] == stop:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            go(folder=tmp_path, loggers=[on_step], **arguments)
    steps = []
    for _ in range(2):  # the second finds it finished
        resumed = go(folder=tmp_path, loggers=[steps.append], **arguments)
        assert resumed.history == whole.history
        for name, weights in whole.potential.state_dict().items():
            assert torch.equal(resumed.potential.state_dict()[name], weights)
    assert len(steps) <= 2
    assert (tmp_path / "metrics.csv").read_text().count("\n") == last + 1


def test_one_killed_after_its_last_step_takes_no_more(tmp_path, monkeypatch):
    whole = go()

    def save(path, state, *rest):
        save_state(path, state, *rest)
        if len(state.history) == len(whole.history):
            raise KeyboardInterrupt

    with monkeypatch.context() as killed:
        killed.setattr(import_module("keel.training.train"), "save_state", save)
        with pytest.raises(KeyboardInterrupt):
            go(folder=tmp_path)
    steps = []
    assert go(folder=tmp_path, loggers=[steps.append]).history == whole.history
    assert not steps


def test_patience_without_validation_is_a_mistake():
    with pytest.raises(ConfigError, match="counts validations, but there are no validation frames; give some"):
        go(validation=())


def test_the_command_hands_it_on_and_says_when_it_has_ended(tmp_path, monkeypatch, capsys):
    given = {}

    def ended(model, frames, **arguments):
        given.update(arguments)
        return SimpleNamespace(history=[{}] * 7, potential=model)

    monkeypatch.setattr("keel.training.train", ended)
    words = ["train", str(FEW), "--out", str(tmp_path), "--strategy", "vanilla", "--preset", "small"]
    app([*words, "--steps", "30", "--patience", "2"], standalone_mode=False)
    assert given["settings"].patience == 2
    assert "stopped after 7 of 30 steps: the validation loss no longer decreased" in capsys.readouterr().err
    app([*words, "--steps", "7"], standalone_mode=False)
    assert given["settings"].patience is None
    assert "stopped" not in capsys.readouterr().err
