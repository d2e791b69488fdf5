"""Whether a network has learnt the forces at all."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keel.reporting.run.skill import Skill, skills
from keel.results.run import Parity


def cell(network, strategy, labels, predictions, quantity="forces"):
    parity = {quantity: Parity(np.array(labels, dtype=float), np.array(predictions, dtype=float))}
    return SimpleNamespace(network=network, strategy=strategy, seed=0, parity=parity)


def test_medians_of_plain_training_over_all_seeds():
    cells = [
        cell("A", "vanilla", [0.1, -0.2, 0.3], [0.0, -0.2, 0.35]),
        cell("A", "vanilla", [0.4, 50.0], [0.4, 0.0]),
        cell("A", "pretrain", [0.1], [9.0]),
        cell("B", "pretrain", [0.1], [0.2]),
        cell("C", "vanilla", [1.0], [1.0], quantity="energy"),
    ]
    found = {skill.network: skill for skill in skills(cells)}
    assert set(found) == {"A", "B"}
    assert (found["A"].error, found["A"].force) == pytest.approx((50.0, 300.0))
    assert not found["A"].is_none
    assert (found["B"].error, found["B"].force) == pytest.approx((100.0, 100.0))
    assert found["B"].is_none


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=20))
def test_to_predict_no_force_is_no_skill(labels):
    (found,) = skills([cell("A", "vanilla", labels, np.zeros(len(labels)))])
    assert found.is_none
    assert found.error == found.force


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def at_rest_among_hot(rng, at_rest=900, hot=100):
    """Forces as of InP: of most atoms a few meV/angstrom, of those of hot frames hundreds."""
    return np.concatenate([rng.normal(0.0, 0.003, at_rest), rng.normal(0.0, 1.0, hot)])


def test_noise_on_atoms_at_rest_is_no_lack_of_skill_where_hot_ones_are_described(rng):
    labels = at_rest_among_hot(rng)
    (found,) = skills([cell("A", "vanilla", labels, labels * 0.9 + rng.normal(0.0, 0.006, labels.size))])
    assert found.error > found.force and found.left < 0.2
    assert not found.is_none


def test_neither_atoms_at_rest_nor_hot_ones(rng):
    labels = at_rest_among_hot(rng)
    (found,) = skills([cell("A", "vanilla", labels, rng.normal(0.0, 0.006, labels.size))])
    assert found.left == pytest.approx(1.0, abs=0.05)
    assert found.is_none


@pytest.mark.parametrize("wild", [1.0, 40.0], ids=["mean", "root mean square"])
def test_both_means_must_be_better_than_no_force(rng, wild):
    """One component is predicted so badly that RMSE says nothing is known, or most so that MAE does."""
    labels = at_rest_among_hot(rng)
    predictions = labels + (rng.normal(0.0, 0.1, labels.size) if wild == 1.0 else rng.normal(0.0, 0.006, labels.size))
    predictions[0] += wild
    (found,) = skills([cell("A", "vanilla", labels, predictions)])
    assert found.is_none


def test_without_means_medians_decide():
    """As in tables that were written before."""
    assert Skill("CGCNN", 71.8, 38.2).is_none and not Skill("CGCNN", 30.0, 38.2).is_none


@pytest.mark.parametrize(("error", "none"), [(38.0, True), (37.0, True), (36.0, False)])
def test_hardly_better_than_no_force_is_no_skill(error, none):
    assert Skill("CGCNN", error, 38.2).is_none is none


def test_sentence_has_both_numbers():
    text = Skill("CGCNN", 71.8, 38.2).sentence
    assert "force error of CGCNN (71.8 meV/Å" in text
    assert "force (38.2 meV/Å)" in text
