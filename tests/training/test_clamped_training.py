"""Networks that are trained on walls are given clamped distances, then and later."""

from __future__ import annotations

import copy
import warnings
from itertools import pairwise

import pytest
import torch
from ase import Atoms

import keel
from keel.errors import ConfigError, KeelWarning
from keel.potentials.networks.clamped import ClampedNetwork
from keel.training import Strategy
from keel.training.delta import clamped_at, on_top_of, taken_apart
from keel.training.known import STRATEGIES, strategy_of
from keel.training.preparation import prepare
from small_training import ARGON, SHORT, argon, network

CONTACT, PUSH = 3.0, 2.0
PUSHED = keel.ContactRepulsion({"Ar-Ar": {"contact": CONTACT, "push": PUSH}})
CORE = keel.ZBL(outer=0.6, elements=["Ar"])
TEACHER = keel.SumPotential([ARGON, PUSHED, CORE])


def trained(start: keel.Potential, strategy: str | Strategy = "pretrain", **more) -> keel.Potential:
    return keel.train(start, argon(4), strategy=strategy, teacher=TEACHER, settings=SHORT, **more).potential


@pytest.fixture(scope="module")
def pretrained() -> keel.Potential:
    return trained(network())


def test_walls_are_all_that_acts_between_two_atoms_far_below_their_contact(pretrained):
    assert repr(pretrained).startswith("SumPotential(of clamped CGCNN, ContactRepulsion, ZBL; ")
    clamped, *walls = pretrained.members
    assert clamped.config()["contacts"] == {"Ar-Ar": CONTACT}
    assert [type(wall) for wall in walls] == [keel.ContactRepulsion, keel.ZBL]
    exact, core = (copy.deepcopy(potential).double() for potential in (pretrained, CORE))
    for r in (0.8, 1.5, 2.3):
        atoms = Atoms("Ar2", positions=[[0, 0, 0], [r, 0, 0]])
        assert float(exact(atoms).forces[0, 0] - core(atoms).forces[0, 0]) == pytest.approx(-PUSH, rel=1e-9)


def test_all_strategies_with_walls_are_clamped():
    assert {s.base == "walls" for s in STRATEGIES.values() if s.clamped} == {True}
    assert {s.clamped for s in STRATEGIES.values() if s.base == "walls"} == {True}


def test_it_stays_clamped_whatever_it_is_trained_with_later(pretrained):
    for strategy in ("vanilla", "pretrain", "sam"):
        again = trained(copy.deepcopy(pretrained), strategy)
        assert [type(m).__name__ for m in again.members] == ["ClampedNetwork", "ContactRepulsion", "ZBL"]
        assert again.members[0].config() == pretrained.members[0].config()
        found, before = (p(argon(1, seed=5)).forces for p in (again, pretrained))
        assert not torch.equal(found, before)


def test_repair_clamps_a_network_that_is_on_walls_without_being_clamped():
    walls = trained(network(), Strategy(base="walls", pretrain_share=0.5))
    assert [type(m).__name__ for m in walls.members] == ["CGCNN", "ContactRepulsion", "ZBL"]
    repaired = trained(walls, "repair")
    assert type(repaired.members[0]) is ClampedNetwork
    assert repaired.members[1].config() == PUSHED.config()


def test_a_teacher_without_contacts_clamps_nothing():
    strategy = strategy_of("pretrain")
    found = keel.train(network(), argon(3), strategy=strategy, teacher=ARGON, settings=SHORT).potential
    assert [type(m).__name__ for m in found.members] == ["CGCNN", "ZBL"]


def test_contacts_beyond_the_cutoff_of_the_network_are_left_as_they_are():
    far = keel.SumPotential([ARGON, keel.ContactRepulsion({"Ar-Ar": {"contact": 7.0, "push": 1.0}})])
    found = keel.train(network(), argon(3), strategy="pretrain", teacher=far, settings=SHORT).potential
    assert [type(m).__name__ for m in found.members] == ["CGCNN", "ContactRepulsion"]


def test_an_interrupted_training_ends_with_the_same_weights(tmp_path):
    def stop(row):
        if row["step"] == 9:
            raise KeyboardInterrupt

    whole = trained(network(), folder=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        trained(network(), folder=tmp_path / "parts", loggers=[stop])
    parts = trained(network(), folder=tmp_path / "parts")
    for ours, theirs in zip(parts.parameters(), whole.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_energies_of_elements_are_those_of_the_network_when_it_is_taken_apart(pretrained):
    potential = copy.deepcopy(pretrained)
    potential.energy_offsets[18] += 0.5
    potential.members[0].energy_offsets[18] += 0.25
    before = potential(argon(1))
    assert float(before.energy - pretrained(argon(1)).energy) == pytest.approx(0.75 * 8)
    learner, base = taken_apart(potential)
    torch.testing.assert_close(on_top_of(base, learner)(argon(1)).energy, before.energy)
    assert float(learner.network.energy_offsets[18]) == pytest.approx(float(learner.offsets()[18]))


def test_what_is_saved_is_what_was_trained(pretrained, tmp_path):
    pretrained.save(str(tmp_path / "p.safetensors"))
    again = keel.load(tmp_path / "p.safetensors")
    for r, s in pairwise((1.0, 2.0, 2.8, 3.5)):
        atoms = Atoms("Ar3", positions=[[0, 0, 0], [r, 0, 0], [0, s, 0]])
        assert torch.equal(again(atoms).forces, pretrained(atoms).forces)


def test_clamping_needs_contacts():
    for base in (None, "zbl"):
        with pytest.raises(ValueError, match="clamped distances need the contacts of a teacher; add base: walls"):
            Strategy(base=base, clamped=True)


@pytest.fixture(scope="module")
def file(pretrained, tmp_path_factory):
    path = tmp_path_factory.mktemp("clamped") / "p.safetensors"
    pretrained.save(str(path))
    return path


class TestFromAFile:
    """What a training returned, saved and read, continues as it does in memory."""

    @pytest.mark.parametrize("strategy", ["vanilla", "repair", "pretrain"])
    def test_the_network_in_it_is_trained(self, file, pretrained, strategy):
        found, expected = trained(keel.load(file), strategy), trained(copy.deepcopy(pretrained), strategy)
        scale = pretrained.members[0].scale
        assert torch.equal(found.members[0].scale, scale) and torch.equal(expected.members[0].scale, scale)
        assert torch.equal(found(argon(1, seed=5)).forces, expected(argon(1, seed=5)).forces)
        assert found.trained_by.startswith("pretrain (12 steps, 4 frames), then ")

    def test_its_weights_name_the_training(self, file, tmp_path):
        """So that a training of other weights is not continued."""
        trained(keel.load(file), "vanilla", folder=tmp_path)
        other = keel.load(file)
        with torch.no_grad():
            other.members[0].network.readout[0].weight += 0.1
        with pytest.raises(ConfigError, match="belongs to other settings or data"):
            trained(other, "vanilla", folder=tmp_path)

    def test_the_teacher_cannot_be_put_under_it(self, file):
        with pytest.raises(ConfigError, match="already trained network"):
            trained(keel.load(file), "eam-delta")


class TestOtherData:
    """Atoms of other data may come closer."""

    CLOSER = keel.SumPotential([ARGON, keel.ContactRepulsion({"Ar-Ar": {"contact": 2.5, "push": 5.0}})])

    def test_walls_and_clamp_become_those_of_the_new_teacher(self, pretrained):
        for strategy in ("repair", "pretrain"):
            found = keel.train(
                copy.deepcopy(pretrained), argon(4), strategy=strategy, teacher=self.CLOSER, settings=SHORT
            ).potential
            clamped, *walls = found.members
            assert clamped.contacts == {"Ar-Ar": 2.5}
            assert [wall.config() for wall in walls] == [self.CLOSER.members[1].config()]

    def test_what_else_is_under_the_network_stays(self):
        on_teacher = trained(network(), "eam-delta")
        found = trained(on_teacher, "repair")
        assert [m.called() for m in found.members] == ["clamped CGCNN", "LennardJones", "ContactRepulsion", "ZBL"]
        core = trained(network(), "zbl-delta")
        repaired = trained(core, "repair")
        assert [m.called() for m in repaired.members] == ["clamped CGCNN", "ContactRepulsion", "ZBL"]
        assert repaired.members[2].config() == CORE.config()

    def test_a_teacher_without_contacts_takes_no_clamp_away(self, pretrained):
        found = keel.train(
            copy.deepcopy(pretrained), argon(3), strategy="pretrain", teacher=ARGON, settings=SHORT
        ).potential
        assert [m.called() for m in found.members] == ["clamped CGCNN", "ContactRepulsion", "ZBL"]

    def test_plain_training_on_closer_atoms_warns(self, pretrained):
        close = [f.replace(positions=0.72 * f.positions, cell=0.72 * f.cell) for f in argon(3)]
        with pytest.warns(
            KeelWarning, match=r"atoms are closer \(Ar-Ar 2\.\d+ angstrom\) than where .* \(3 angstrom\)"
        ):
            keel.train(copy.deepcopy(pretrained), close, settings=SHORT)
        with warnings.catch_warnings():
            warnings.simplefilter("error", KeelWarning)
            keel.train(copy.deepcopy(pretrained), argon(3), settings=SHORT)

    def test_the_zero_of_energy_is_that_of_the_clamped_network(self, pretrained):
        close = [f.replace(positions=0.72 * f.positions, cell=0.72 * f.cell) for f in argon(3)]
        learner, _ = taken_apart(copy.deepcopy(pretrained))
        prepare(learner, close)
        error = learner(close).energy - torch.tensor([f.energy for f in close])
        assert float(error.mean().abs()) < 1e-4 * 8


def test_pairs_that_the_network_does_not_know_are_left_out():
    salt = keel.ContactRepulsion({"Ar-Ar": {"contact": 3.0, "push": 1.0}, "Ne-Ar": {"contact": 2.5, "push": 1.0}})
    assert clamped_at(salt, network()).contacts == {"Ar-Ar": 3.0}
