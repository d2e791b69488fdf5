"""Forces no better than none are told from those that are, whatever most atoms do."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import keel
from keel.atoms.frame import Frame
from keel.evaluation.labels.against_labels import LEFT, errors
from keel.evaluation.labels.skill import WORTH, left, typical
from keel.potentials.accuracy import over_zero
from small_training import argon

STRONG = keel.LennardJones(epsilon=1.0, cutoff=6.0)


def labelled(frame: Frame) -> Frame:
    found = STRONG(keel.batch(frame, 6.0, dtype=torch.float64))
    return frame.replace(energy=float(found.energy), forces=found.forces.numpy(), stress=None)


FRAMES = [labelled(frame) for frame in argon(4)]


@given(st.integers(0, 1000), st.floats(0.01, 100.0))
def test_nothing_is_left_of_what_is_known_and_all_of_what_is_not(seed, scale):
    labels = scale * np.random.default_rng(seed).normal(size=(20, 3))
    assert left(np.zeros_like(labels), labels) == 0.0
    assert left(-labels, labels) == pytest.approx(1.0)
    assert left(0.3 * labels, labels) == pytest.approx(0.3)


def test_atoms_at_rest_do_not_decide():
    """Most forces vanish, so that a typical error is above a typical force; of the others little is left."""
    labels = np.concatenate([np.full(90, 1e-4), np.linspace(1.0, 5.0, 10)])
    wrong = np.full(100, 1e-3)
    assert typical(wrong) > typical(labels)
    assert left(wrong, labels) == over_zero(wrong, labels) < 0.1


def test_wild_forces_do_not_decide_alone():
    """A few huge errors make the mean; a typical one is small."""
    labels, wrong = np.ones(100), np.full(100, 0.1)
    wrong[:3] = 1000.0
    assert left(wrong, labels) == pytest.approx(0.1)


def test_without_forces_nothing_is_known():
    assert left(np.ones(5), np.zeros(5)) == 1.0
    assert np.isnan(left(np.full(5, np.nan), np.ones(5)))


class TestProbe:
    def test_good_forces_are_noted_beside_their_limit(self):
        found = errors(STRONG, FRAMES)
        assert (found.outcome, found[LEFT]) == ("noted", pytest.approx(0.0, abs=1e-6))
        assert next(m.limit for m in found.metrics if m.name == LEFT) == WORTH
        assert found.verdict.startswith("mean absolute errors of 4 frames")

    def test_no_forces_fail(self):
        found = errors(keel.LennardJones(epsilon=1e-9, cutoff=6.0), FRAMES)
        assert found.outcome == "failed" and found[LEFT] == pytest.approx(1.0, abs=1e-3)
        assert found.verdict.startswith("forces are no better than predicting zero (1 of the forces remains as error)")

    def test_forces_that_are_too_small_to_tell_are_not_judged(self):
        still = [f.replace(forces=1e-4 * f.forces) for f in FRAMES]
        found = errors(STRONG, still)
        assert found.outcome == "noted" and LEFT not in {m.name for m in found.metrics}

    def test_nor_are_energies_alone(self):
        bare: list[Frame] = [f.replace(forces=None) for f in FRAMES]
        found = errors(STRONG, bare)
        assert found.outcome == "noted" and LEFT not in {m.name for m in found.metrics}
