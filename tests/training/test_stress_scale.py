"""What the loss divides stress by: the number of the force scale, or the stresses of the training frames."""

import numpy as np
import pytest
import torch

import keel
from keel.launch import launched
from keel.potentials.base import Prediction
from keel.training import LossSettings, Strategy
from keel.training.checkpoint import TrainingState
from keel.training.delta import remainder
from keel.training.ema import MovingAverage
from keel.training.loop import validate
from keel.training.losses import Objective, loss
from keel.training.preparation import prepare, stress_scale
from small_training import ARGON, SHORT, argon, network

OWN, AS_FORCES = LossSettings(stress_scale="own"), LossSettings(stress_scale="force")


def rms(values):
    return float(np.sqrt(np.mean(np.square(values))))


def test_it_is_the_rms_of_what_is_labelled_and_defined():
    frames = argon(4)
    others = [frames[0].replace(pbc=np.zeros(3, bool)), frames[1].replace(stress=None)]
    expected = rms([frame.stress for frame in frames])
    assert stress_scale([*frames, *others], OWN) == pytest.approx(expected)
    assert stress_scale(frames, AS_FORCES) is None


@pytest.mark.parametrize("stress", [None, np.zeros((3, 3)), 1e-8 * np.eye(3)], ids=["none", "zero", "relaxed"])
def test_without_stress_it_is_that_of_forces(stress):
    """There may be labels of a teacher all the same."""
    assert stress_scale([frame.replace(stress=stress) for frame in argon(3)], OWN) is None


def test_each_part_in_its_own_unit():
    graph = keel.batch(argon(2), 5.0)
    labels = graph.labels
    off = Prediction(labels.energy + 8 * 0.3, labels.forces + 0.2, labels.stress - 0.1, labels.energy)
    parts = loss(off, graph, 2.0, LossSettings(kind="l1", force_falloff=None), stress_scale=0.05)
    assert [float(x) for x in (parts.energy, parts.forces, parts.stress)] == pytest.approx([0.15, 0.1, 2.0], rel=1e-5)
    assert float(parts.total) == pytest.approx(2.25, rel=1e-5)


def test_a_network_with_the_same_relative_errors_has_the_same_loss_in_any_unit_of_volume():
    """Stresses of a tenth, with errors of a tenth."""
    frames = argon(4)
    small = [frame.replace(stress=0.1 * frame.stress) for frame in frames]
    found = []
    for some, share in ((frames, 1.0), (small, 0.1)):
        graph = keel.batch(some, 5.0)
        labels = graph.labels
        off = Prediction(labels.energy, labels.forces, labels.stress * 1.3, labels.energy)
        found.append(float(loss(off, graph, 1.0, OWN, stress_scale=stress_scale(some, OWN)).stress))
        assert stress_scale(some, OWN) == pytest.approx(share * stress_scale(frames, OWN))
    assert found[0] == pytest.approx(found[1], rel=1e-4)


def test_validation_has_the_units_of_training():
    frames, net = argon(4), network()
    prepare(net, frames)
    state = TrainingState(net, MovingAverage(net, 0.0))
    graph, scale = keel.batch(frames, 5.0), stress_scale(frames, OWN)
    expected = loss(net(graph), graph, net.scale, OWN, stress_scale=scale)
    own, other = (
        validate(launched("cpu"), state, [graph], Objective(net, *of))["validation"]
        for of in ((OWN, scale), (AS_FORCES,))
    )
    assert own == pytest.approx(float(expected.total))
    assert abs(other - float(expected.total)) > 0.01


@pytest.mark.parametrize("strategy", [Strategy(), Strategy(base="zbl", pretrain_share=0.5)], ids=["plain", "on a core"])
def test_training_divides_by_what_the_base_leaves(strategy):
    """The first step's loss differs in the part of stress alone, by what the scales differ by."""
    frames, first = argon(3), {}
    for name in ("force", "own"):
        settings = SHORT.replace(loss=LossSettings(kind="l1", stress_scale=name))
        result = keel.train(network(), frames, strategy=strategy, teacher=ARGON, settings=settings)
        first[name] = result.history[0]
    left = remainder(frames, keel.ZBL(elements=["Ar"]) if strategy.base else None)
    ratio = rms([f.forces for f in left]) / rms([f.stress for f in left])
    assert first["own"]["energy"] == first["force"]["energy"] and first["own"]["forces"] == first["force"]["forces"]
    assert first["own"]["stress"] == pytest.approx(ratio * first["force"]["stress"], rel=1e-5)


def test_a_killed_one_goes_on_with_the_same_numbers(tmp_path):
    settings = SHORT.replace(loss=OWN)
    whole = keel.train(network(), argon(4), validation=argon(2, 1), settings=settings)

    def stop(row):
        if row["taken"] == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        keel.train(network(), argon(4), validation=argon(2, 1), settings=settings, folder=tmp_path, loggers=[stop])
    resumed = keel.train(network(), argon(4), validation=argon(2, 1), settings=settings, folder=tmp_path)
    assert resumed.history == whole.history
    for name, weights in whole.potential.state_dict().items():
        assert torch.equal(resumed.potential.state_dict()[name], weights)


def test_a_trained_network_keeps_its_force_scale_and_takes_the_stress_scale_of_its_new_frames():
    first = keel.train(network(), argon(4), settings=SHORT.replace(loss=OWN)).potential
    before = float(first.scale)
    again = keel.train(first, argon(4, seed=5), settings=SHORT.replace(loss=OWN))
    assert float(again.potential.scale) == before
    assert again.history[0]["stress"] > 0
