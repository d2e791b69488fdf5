"""A teacher that describes labels no better than nothing is found out, and so are frames on which it goes wild."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from salts import CUTOFF, labelled, rock_salt, salt
from typer.testing import CliRunner

import keel
from keel.atoms.frame import Frame
from keel.cli import app
from keel.fitting.held_out import EACH
from keel.fitting.worth import NONE, _share, doubts


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    return labelled(salt(), [rock_salt(seed) for seed in range(12)])


def turned(frames: list[Frame], **factors: float) -> list[Frame]:
    """Labels times a factor."""
    return [f.replace(**{name: factor * getattr(f, name) for name, factor in factors.items()}) for f in frames]


def test_a_good_teacher_is_not_doubted(frames):
    assert doubts(salt(), frames, "these frames") == []
    assert doubts(salt(), [f.replace(stress=None) for f in frames], "these frames") == []


def test_each_label_that_is_not_described_is_named_with_its_measure(frames):
    (sentence,) = doubts(salt(), turned(frames, forces=-1.0), "the validation frames")
    assert "forces (2 times the error of no force) of the validation frames" in sentence
    assert "energies" not in sentence.split(";")[0]
    assert "pretrain-forces" in sentence
    (sentence,) = doubts(salt(), turned(frames, forces=-1.0, stress=-1.0), "the validation frames")
    assert "forces (2 times the error of no force) and stresses (2 times the error of no stress)" in sentence


def test_energies_are_compared_beyond_one_for_each_element(frames):
    """Another zero of energy of an element is no error; energies that vary the other way are."""
    shifted = [
        f.replace(energy=f.energy + 7.0 * int((f.numbers == 11).sum()) - 3.0 * int((f.numbers == 17).sum()))
        for f in frames
    ]
    assert doubts(salt(), shifted, "these frames") == []
    model = salt()
    predicted = [float(model(keel.batch(f, CUTOFF, dtype=torch.float64)).energy) for f in frames]
    opposite = [f.replace(energy=-e) for f, e in zip(frames, predicted, strict=True)]
    (sentence,) = doubts(model, opposite, "these frames")
    assert "energies (2 times the error of one energy for each element)" in sentence


def test_small_forces_count_as_well_as_large_ones():
    """By RMSE, which the large ones make, a teacher may seem to know something that by MAE it does not."""
    forces = np.full((1000, 3), 0.1)
    forces[:10] = 10.0
    error = np.full((1000, 3), 0.25)
    rms = np.sqrt(np.mean(error**2) / np.mean(forces**2))
    assert rms < 0.3 and _share(error, forces) > NONE
    assert _share(error, forces) == pytest.approx(0.25 / forces.mean())
    assert _share(error, np.zeros_like(forces)) == 0.0


def test_frames_on_which_it_goes_wild_are_named(frames):
    rng = np.random.default_rng(0)
    noisy = [f.replace(forces=f.forces + rng.normal(0, 0.01, f.forces.shape)) for f in frames]
    noisy[4] = noisy[4].replace(forces=-noisy[4].forces, source="a.extxyz, frame 4")
    (sentence,) = doubts(salt(), noisy, "the frames")
    assert "fails on 1 of the frames" in sentence
    assert "a.extxyz, frame 4 (" in sentence


def test_atoms_without_a_force_do_not_count(frames):
    mask = np.zeros(len(frames[0]), dtype=bool)
    mask[:2] = True
    forces = np.where(mask[:, None], frames[0].forces, 0.0)
    partial = frames[0].replace(forces=forces, forces_mask=mask)
    assert doubts(salt(), [partial, *frames[1:]], "the frames") == []


def test_the_command_says_so(frames, tmp_path):
    keel.write(tmp_path / "train.extxyz", frames)
    # Sound by themselves: forces and energies of the opposite potential.
    other = keel.SumPotential([salt()], [-1.0])
    keel.write(tmp_path / "test.extxyz", labelled(other, frames))
    arguments = ["fit", str(tmp_path / "train.extxyz"), "--cutoff", str(CUTOFF), "--out", str(tmp_path / "eam.json")]
    done = CliRunner().invoke(app, [*arguments, "--test", str(tmp_path / "test.extxyz"), "--json"])
    assert done.exit_code == 0, done.output
    assert any(
        "of the test frames; check units and signs first (keel census); then fit a three-body term too" in warning
        for warning in json.loads(done.stdout)["warnings"]
    )
    plain = CliRunner().invoke(app, arguments)
    assert "does not describe" not in plain.output


def test_without_test_frames_the_command_judges_by_frames_held_out(frames, tmp_path, monkeypatch):
    """The labels of one in five contradict the others, which only a fit without them can tell."""
    other = keel.SumPotential([salt()], [-1.0])
    mixed = [labelled(other, [f])[0] if k % EACH == 0 else f for k, f in enumerate(frames)]
    keel.write(tmp_path / "train.extxyz", mixed)
    monkeypatch.setattr("keel.fitting.judge.faults", lambda frames: [])
    arguments = ["fit", str(tmp_path / "train.extxyz"), "--cutoff", str(CUTOFF), "--out", str(tmp_path / "eam.json")]
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["force_mae_mev_per_angstrom"] == told["training"]["force_mae_mev_per_angstrom"]
    assert (told["held_out"]["frames"], told["training"]["frames"]) == (3, 12)
    assert any("of frames held out of a fit to the others; check units" in warning for warning in told["warnings"])
    assert "held out" in CliRunner().invoke(app, arguments).output
