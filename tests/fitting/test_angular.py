"""A three-body term is fitted together with the EAM; weights of energies are found on held-out frames."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from salts import CUTOFF, labelled, rock_salt, salt
from typer.testing import CliRunner

import keel
from keel.atoms.frame import Frame
from keel.cli import app
from keel.evaluation import squeeze
from keel.fitting.angular import unfitted
from keel.fitting.data import fit_data
from keel.fitting.held_out import ENERGY_WEIGHT, LIGHT, best_energy_weight
from keel.fitting.objective import Objective
from keel.fitting.parameters import Parametrisation
from keel.fitting.remarks import remarks
from keel.fitting.start import expected
from keel.fitting.walls import DEEPEST, LEAST_COHESION, cohesion_per_bond, deep_wells
from keel.fitting.worth import doubts
from keel.potentials.accuracy import accuracy
from keel.potentials.classical.dimer import dimer
from keel.potentials.classical.three_body import three_body_term

# One process makes the fixtures of this file.
pytestmark = pytest.mark.xdist_group("angular")


def bent_salt(frames: list[Frame]) -> keel.Potential:
    """The salt with angles, whose functions of distance rest where these frames' contacts are."""
    closest = np.array([min(contact(f, a, b) for f in frames) for a, b in ((11, 11), (11, 17), (17, 17))])
    config = unfitted(salt(), closest).config()
    config["elements"] = {"Na": [[0.1, 0.3, 0.6], [0.05, 0.0, 0.1]], "Cl": [[0.2, -0.1, 0.1], [0.0, 0.1, 0.2]]}
    return keel.SumPotential([salt(), keel.ThreeBody(**config)])


def contact(frame: Frame, a: int, b: int) -> float:
    graph = keel.batch([frame], CUTOFF, dtype=torch.float64)
    ends = graph.numbers[graph.edge_index]
    of_pair = ((ends[0] == a) & (ends[1] == b)).numpy()
    return float(graph.edge_vectors().norm(dim=1).numpy()[of_pair].min(initial=np.inf))


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    bare = [rock_salt(seed) for seed in range(40)]
    return labelled(bent_salt(bare), bare)


@pytest.fixture(scope="module")
def fit(frames: list[Frame]) -> keel.fitting.EAMFit:
    return keel.fit_eam(frames, CUTOFF, three_body=True)


def test_labels_of_an_eam_with_angles_are_reproduced(frames, fit):
    plain = keel.fit_eam(frames, CUTOFF)
    assert fit.errors.forces.mae < 0.05 * plain.errors.forces.mae
    term = three_body_term(fit.potential)
    assert term is not None
    # Both functions of distance end at this short cutoff: only the sum of their coefficients is known.
    np.testing.assert_allclose(np.sum(term.legendre["Na"], axis=0), [0.15, 0.3, 0.7], rtol=0.1)


def test_files_bring_it_back(fit, frames, tmp_path):
    fit.potential.save(str(tmp_path / "bent.json"))
    again = keel.load(tmp_path / "bent.json")
    graph = keel.batch(frames[:5], again.cutoff, dtype=torch.float64)
    assert torch.equal(again.double()(graph).energy, fit.potential.double()(graph).energy)


def test_the_same_frames_give_the_same_term(fit, frames):
    assert keel.fit_eam(frames, CUTOFF, three_body=True).potential.config() == fit.potential.config()


@pytest.fixture(scope="module")
def objective(frames: list[Frame]) -> Objective:
    """With a third element, so that no chunk of one frame has all columns."""
    some = [*frames[:3], *labelled(keel.EAM.from_elements([8, 11], CUTOFF), [rock_salt(s, 8, 11) for s in range(2)])]
    model = keel.EAM.from_elements([8, 11, 17], CUTOFF)
    term = unfitted(model, np.full(6, 2.0))
    par = Parametrisation(model, 0.6 * model.pair_radius, term)
    data = fit_data(some, model, 5.0, 0.3, angular=term)
    return Objective(data, par, expected(par))


def test_gradient_is_the_difference_of_losses(objective):
    theta = expected(objective.parametrisation).numpy()
    theta = theta + np.random.default_rng(0).normal(0, 0.3, len(theta))
    _, gradient = objective(theta)
    for k, step in enumerate(1e-5 * np.eye(len(theta))):
        difference = (objective(theta + step)[0] - objective(theta - step)[0]) / 2e-5
        assert gradient[k] == pytest.approx(difference, rel=1e-5, abs=1e-6), k


def test_normal_equations_have_the_same_gradient(objective):
    theta = expected(objective.parametrisation).numpy()
    loss, gradient = objective(theta)
    equations = objective.normal(theta)
    assert equations.loss == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(2.0 * equations.gradient, gradient, rtol=1e-8, atol=1e-10)


def test_columns_are_the_potential(frames):
    """Energies, forces and virials are linear in the shares that are fitted."""
    bent = three_body_term(bent_salt(frames))
    assert bent is not None
    (chunk,) = fit_data(frames[:3], salt(), 5.0, 0.3, angular=bent).chunks
    rows = torch.tensor([bent.legendre[e] for e in bent.symbols], dtype=torch.float64)
    shares = torch.stack([rows[..., 0], rows[..., 0] + rows[..., 1], rows[..., 2]], dim=-1).flatten()
    energy, forces, virial = chunk.angular.times(shares.numpy())
    found = bent(keel.batch(frames[:3], CUTOFF, dtype=torch.float64))
    np.testing.assert_allclose(energy, found.energy.numpy(), rtol=1e-10)
    np.testing.assert_allclose(forces, found.forces.numpy(), atol=1e-10)
    np.testing.assert_allclose(virial / chunk.volume, found.stress.numpy(), atol=1e-10)


def test_the_command_fits_it_and_a_plain_fit_names_it(frames, tmp_path):
    keel.write(tmp_path / "bent.extxyz", frames)
    arguments = ["fit", str(tmp_path / "bent.extxyz"), "--cutoff", str(CUTOFF), "--json", "--out"]
    errors = {}
    for name, more in {"plain": [], "bent": ["--three-body"]}.items():
        done = CliRunner().invoke(app, [*arguments, str(tmp_path / f"{name}.json"), *more])
        assert done.exit_code == 0, done.output
        errors[name] = json.loads(done.stdout)["force_mae_mev_per_angstrom"]
        assert (three_body_term(keel.load(tmp_path / f"{name}.json")) is not None) == (name == "bent")
    assert errors["bent"] < 0.1 * errors["plain"]


def test_the_remedy_of_an_eam_that_gets_forces_badly_wrong_is_a_three_body_term(frames):
    half = [f.replace(forces=0.5 * f.forces) for f in labelled(salt(), frames)]
    (sentence,) = doubts(salt(), half, "these frames")
    assert "the forces of these frames wrong by 1 of their size" in sentence or "no force" in sentence
    assert "three_body: true" in sentence
    almost = [f.replace(forces=f.forces / 0.55) for f in labelled(salt(), frames)]
    (sentence,) = doubts(salt(), almost, "these frames")
    assert "wrong by 0.45 of their size; check units and signs first (keel census); if bonds are covalent" in sentence
    assert doubts(bent_salt(frames), labelled(bent_salt(frames), frames), "these frames") == []


def test_energies_that_say_something_else_than_forces_weigh_less():
    bare = [rock_salt(seed) for seed in range(30)]
    right = labelled(salt(), bare)
    rng = np.random.default_rng(0)
    wrong = [f.replace(energy=f.energy + len(f) * rng.normal(0, 1.0)) for f in right]

    def potential(frames: list[Frame], weight: float) -> keel.Potential:
        return keel.fit_eam(frames, CUTOFF, energy_weight=weight).potential

    assert best_energy_weight(right, potential).weight == ENERGY_WEIGHT
    assert best_energy_weight(wrong, potential).weight == LIGHT
    assert best_energy_weight(wrong[:9], potential).weight == ENERGY_WEIGHT
    chosen, light = keel.fit_eam(wrong, CUTOFF), keel.fit_eam(wrong, CUTOFF, energy_weight=LIGHT)
    assert chosen.potential.config() == light.potential.config()


def test_wells_far_deeper_than_bonds_are_named():
    frames = labelled(salt(), [rock_salt(seed) for seed in range(6)])
    cohesion = cohesion_per_bond(salt(), frames)
    assert cohesion > 0.1
    assert deep_wells(salt(), cohesion) == {}
    config = salt().config()
    config["pairs"]["Na-Na"] |= {"attraction": 60.0, "repulsion": 40.0}
    eam = keel.EAM(**config)
    ((name, (depth, r)),) = deep_wells(eam, cohesion).items()
    curve = dimer(eam, "Na", "Na", torch.arange(1.0, 4.0, 0.001, dtype=torch.float64))
    assert name == "Na-Na"
    assert depth == pytest.approx(-float(curve.total.min()), rel=1e-3)
    assert r == pytest.approx(float(curve.distance[curve.total.argmin()]), abs=0.02)
    assert depth > DEEPEST * LEAST_COHESION
    assert deep_wells(eam, float("nan")) == deep_wells(eam, 0.0) == {name: (depth, r)}


@pytest.mark.parametrize("alone", [False, True])
def test_the_note_on_deep_wells_says_how_deep_and_how_deep_they_may_be(alone):
    config = salt().config()
    config["pairs"]["Na-Na"] |= {"attraction": 60.0, "repulsion": 40.0}
    eam, frames = keel.EAM(**config), labelled(salt(), [rock_salt(seed) for seed in range(6)])
    if alone:  # no bond, and so no cohesion
        single = [Frame(np.array([z]), np.zeros((1, 3))) for z in (11, 17)]
        frames = [f.replace(energy=energy) for f, energy in zip(single, (-1.5, -2.25), strict=True)]
    bond = max(LEAST_COHESION, 0.0 if alone else cohesion_per_bond(eam, frames))
    ((_, (depth, r)),) = deep_wells(eam, bond).items()
    (note,) = [text for text in remarks(eam, frames, (), ()) if "two atoms alone" in text]
    assert "more than 6 times the cohesion per bond of the data" in note
    assert (
        f"({bond:.2g} eV, the least that is assumed)" in note if bond == LEAST_COHESION else f"({bond:.2g} eV)" in note
    )
    assert f": Na-Na by {depth:.2g} eV at {r:.3g} angstrom, {depth / bond:.3g} times as much;" in note


def test_silicon():
    """DFT frames of four structures; examples/phosphorus-cp2k says how they were made."""
    frames = keel.read(Path(__file__).parents[1] / "files" / "silicon.extxyz.xz")
    train, test = [f for k, f in enumerate(frames) if k % 3], frames[::3]
    plain, bent = (keel.fit_eam(train, three_body=angles).potential for angles in (False, True))
    assert accuracy(bent, test).forces.mae < 0.6 * accuracy(plain, test).forces.mae
    assert accuracy(bent, test).energy.mae < 0.3 * accuracy(plain, test).energy.mae
    (sentence,) = doubts(plain, test, "the test frames")
    assert "three_body: true" in sentence
    assert doubts(bent, test, "the test frames") == []
    crystals = [next(f for f in test if f.info["kind"] == kind) for kind in ("diamond", "beta_tin", "simple_cubic")]
    assert [found.first_fall for found in squeeze(bent, crystals)] == [None] * 3
