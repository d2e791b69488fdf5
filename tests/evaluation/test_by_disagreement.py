"""What disagreement is worth: known errors, disagreement that says nothing, the command."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from typer.testing import CliRunner

import keel
from keel.cli import app
from keel.disagreement import force_disagreement
from keel.errors import DataError
from keel.evaluation import accuracy, errors_by_disagreement
from simulated import Given, molecule
from small_potentials import eam
from small_training import ARGON, argon

FRAMES = argon(12)


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr("keel.evaluation.labels.by_disagreement.RESAMPLES", 80)


def lj(factor: float) -> keel.LennardJones:
    return keel.LennardJones(epsilon=factor * float(ARGON.epsilon), cutoff=6.0)


def divided(potential, beside, frames=FRAMES):
    return errors_by_disagreement(accuracy(potential, frames), beside, frames)


def noise(size: float, seed: int) -> Given:
    """Return an argon whose forces are wrong by random vectors, the same at each call."""
    return Given(
        lambda g: ARGON(g).forces + size * torch.randn(g.n_atoms, 3, generator=torch.Generator().manual_seed(seed)), 6.0
    )


def test_an_error_that_is_half_the_disagreement():
    found = divided(lj(1.1), lj(1.3))
    assert found.ratio == pytest.approx(0.5, rel=1e-5) and found.bins.ratio == pytest.approx(0.5, rel=1e-5)
    assert (found.frames, found.atoms, found.bins.atoms.sum()) == (12, 96, 96)
    assert found.bins.lower[1:] == pytest.approx(found.bins.upper[:-1], rel=0.5) and len(found.bins.rows) == 3
    assert np.ptp(found.bins.atoms) <= 1 and (found.bins.low <= found.bins.error).all()
    # All three grow with the force, so that the other potential adds nothing to what the force says.
    assert found.rank.value == pytest.approx(1) and found.more.value == pytest.approx(0, abs=1e-9)
    assert "no better than" in found.verdict and "0.5 to 0.5 times" in found.verdict


def test_ranks_are_those_of_scipy_and_intervals_hold_them():
    wrong, other = noise(0.05, 1), lj(1.2)
    found = divided(wrong, [other, lj(0.9)])
    apart = np.concatenate(force_disagreement(wrong, [other, lj(0.9)], FRAMES))
    own = accuracy(wrong, FRAMES).forces
    error = np.linalg.norm(own.prediction - own.reference, axis=1)
    assert found.rank.value == pytest.approx(spearmanr(apart, error).statistic)
    size = spearmanr(np.linalg.norm(own.prediction, axis=1), error).statistic
    assert found.rank_of_size.value == pytest.approx(size)
    assert found.more.value == pytest.approx(found.rank.value - size)
    for interval in (found.rank, found.rank_of_size, found.more):
        assert interval.covers(interval.value) and interval.low < interval.high


def test_a_teacher_that_is_right_foretells_all_and_one_that_is_noise_nothing():
    assert divided(noise(0.05, 1), ARGON).rank.value == pytest.approx(1, abs=1e-6)
    assert "better than the size" in divided(noise(0.05, 1), ARGON).verdict
    nothing = divided(lj(1.01), noise(3.0, 2))
    assert nothing.rank.covers(0) and nothing.verdict.startswith("The disagreement predicts nothing")
    same = divided(lj(1.1), lj(1.1))
    assert np.isnan(same.rank.value) and same.verdict.startswith("The disagreement predicts nothing")
    one = divided(lj(1.1), lj(1.3), FRAMES[:1])
    assert (one.rank.low, one.rank.high) == (-1, 1) and np.isinf(one.bins.high).all()


def test_atoms_at_rest_take_no_interval_away():
    """Resamples that draw nothing else have no correlation."""
    alone = molecule([[0, 0, 0], [20.0, 0, 0]], [18, 18]).replace(energy=0.0, forces=np.zeros((2, 3)))
    found = divided(lj(1.1), lj(1.3), [alone, *FRAMES[1:4]])
    assert found.rank.low > 0.9 and "no better than" in found.verdict


def test_only_labelled_atoms_count():
    masked = [f.replace(forces_mask=np.arange(8) < 3) for f in FRAMES[:6]]
    alone = molecule([[0, 0, 0]], [18]).replace(energy=0.0, forces=np.zeros((1, 3)))
    silent = FRAMES[7].replace(forces=None)
    found = divided(lj(1.1), lj(1.3), [alone, *masked[:2], silent, *masked[2:]])
    assert (found.frames, found.atoms) == (6, 18) and found.ratio == pytest.approx(0.5, rel=1e-5)


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(DataError, match="no frame has labelled forces"):
        divided(ARGON, lj(2), [f.replace(forces=None) for f in FRAMES])
    with pytest.raises(DataError, match=r"argon, frame 0: the EAM beside knows O, Si but the structures contain Ar"):
        divided(ARGON, eam())
    broken = Given(lambda g: torch.where(g.batch[:, None] == 1, torch.nan, ARGON(g).forces), 6.0)
    with pytest.raises(DataError, match=r"argon, frame 1: a force that is predicted for it is not finite"):
        divided(ARGON, broken, FRAMES[:3])


def test_the_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, factor in (("lj", 1.1), ("teacher", 1.3)):
        lj(factor).save(f"{name}.json")
    keel.write("test.extxyz", FRAMES)
    given = ["evaluate", "lj.json", "test.extxyz", "--beside", "teacher.json"]
    told = CliRunner().invoke(app, given)
    assert told.exit_code == 0 and "disagreement with teacher.json" in told.output
    assert "Error / disagreement: 0.5." in told.output and "Larger disagreement goes with" in told.output
    as_json = json.loads(CliRunner().invoke(app, [*given, "--by", "contact", "--json"]).output)
    assert as_json["by_disagreement"]["error_over_disagreement"] == pytest.approx(0.5, rel=1e-5)
    assert "by_contact" in as_json and len(as_json["by_disagreement"]["bins"]) == 3
