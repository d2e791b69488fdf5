"""Gradient accumulation: several batches one after the other are one batch of them all."""

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch

import keel
from keel.identity import of_settings
from keel.launch import launched
from keel.training import Strategy
from keel.training.checkpoint import TrainingState
from keel.training.ema import MovingAverage
from keel.training.loop import step
from keel.training.losses import Objective
from keel.training.strategies import Stage
from small_training import ARGON, SHORT, argon, network

FRAMES = argon(9)
FRAMES[1] = FRAMES[1].replace(energy=None, stress=None)
FRAMES[2] = FRAMES[2].replace(forces=None)
CLIPPED = SHORT.replace(steps=8, clip_norm=0.05)
"""So that gradients are longer than they may be."""


def curve(folder: Path | None = None, stop_at: int | None = None, strategy: str | Strategy = "vanilla", **changes):
    """Loss, parts and learning rate of each step, and the weights."""

    def stop(row):
        if row["taken"] == stop_at:
            raise KeyboardInterrupt

    result = keel.train(
        network(), FRAMES, strategy=strategy, teacher=ARGON, settings=CLIPPED.replace(**changes), folder=folder,
        loggers=[stop],
    )  # fmt: skip
    weights = torch.cat([p.detach().flatten() for p in result.potential.parameters()])
    rows = [[row[name] for name in ("total", "energy", "forces", "stress")] for row in result.history]
    return np.array(rows), weights, result


@pytest.mark.parametrize(
    "strategy", [Strategy(), Strategy(sam_rho=0.05), Strategy(pretrain_share=0.5, replay_share=0.5)], ids=str
)
def test_three_batches_are_one_three_times_as_large(strategy):
    """Labels that are missing in some count as in the whole; gradients are clipped, and climbed along, together."""
    (rows, weights, found), (whole, expected, one) = (
        curve(strategy=strategy, batch_size=size, accumulate=count) for size, count in ((1, 3), (3, 1))
    )
    np.testing.assert_allclose(rows, whole, rtol=2e-5, atol=1e-9)
    torch.testing.assert_close(weights, expected, rtol=1e-3, atol=1e-4)
    assert found.gradient_evaluations == one.gradient_evaluations


def test_a_killed_one_ends_with_the_same_numbers(tmp_path):
    options = {"strategy": Strategy(pretrain_share=0.5), "batch_size": 2, "accumulate": 2}
    rows, weights, _ = curve(**options)
    for stop in (2, 6):
        with pytest.raises(KeyboardInterrupt):
            curve(tmp_path, stop, **options)
    again, found, _ = curve(tmp_path, **options)
    assert torch.equal(weights, found) and (rows == again).all()
    with pytest.raises(keel.ConfigError, match="belongs to other settings"):
        curve(tmp_path, **{**options, "accumulate": 1})


def test_batches_by_atoms_are_accumulated_too():
    rows, _, _ = curve(batch_atoms=8, accumulate=2)
    whole, _, _ = curve(batch_atoms=16)
    # An epoch of nine frames ends with a batch of one, not of two.
    np.testing.assert_allclose(rows[:4], whole[:4], rtol=2e-5)


def test_ranks_wait_for_each_other_in_the_last_batch_only(monkeypatch):
    fabric, net, alone = launched("cpu"), network(), []
    monkeypatch.setattr(fabric, "no_backward_sync", lambda _, enabled: alone.append(enabled) or nullcontext())
    state = TrainingState(net, MovingAverage(net, 0.9))
    stage = Stage("train", 10, 1.0, teacher_share=0.0, sam_rho=0.05)
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
    graphs = [keel.batch(frame, 5.0) for frame in argon(3)]
    step(fabric, state, Objective(net, SHORT.loss), optimizer, graphs, stage, SHORT)
    assert alone == 2 * [True, True, False]
    assert state.gradient_evaluations == 2


def test_one_batch_is_what_was_done_before_there_was_a_choice():
    assert "accumulate" not in of_settings(SHORT)
    assert of_settings(SHORT.replace(accumulate=2)) == {**of_settings(SHORT), "accumulate": 2}
