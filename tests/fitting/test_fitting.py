"""Fitting an EAM, its wall, per-element offsets and errors against labels."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from salts import CUTOFF, labelled, rock_salt, salt
from typer.testing import CliRunner

import keel
from keel.atoms.frame import Frame
from keel.cli import app
from keel.evaluation import accuracy
from keel.fitting import fit_offsets
from keel.fitting.data import caution, fit_data
from keel.fitting.eam import choose
from keel.fitting.objective import Objective
from keel.fitting.parameters import Parametrisation
from keel.fitting.start import expected
from keel.fitting.walls import wall_positions, weak_walls
from keel.potentials.classical.dimer import dimer

pytestmark = pytest.mark.xdist_group("fitting")


@pytest.fixture(scope="module")
def salt_frames() -> list[Frame]:
    return labelled(salt(), [rock_salt(seed) for seed in range(40)])


@pytest.fixture(scope="module")
def salt_fit(salt_frames):
    return keel.fit_eam(salt_frames, CUTOFF)


def test_labels_of_an_eam_are_reproduced(salt_frames, salt_fit):
    force = float(np.mean(np.abs(np.concatenate([f.forces for f in salt_frames]))))
    unseen = labelled(salt(), [rock_salt(seed) for seed in range(100, 110)])
    for errors in (salt_fit.errors, accuracy(salt_fit.potential, unseen)):
        assert errors.forces.mae < 0.06 * force
        assert errors.energy.mae < 0.015
    assert salt_fit.pairs_without_data == ()


def test_same_frames_and_seed_give_the_same_potential(salt_frames, salt_fit):
    again = keel.fit_eam(salt_frames, CUTOFF)
    assert again.potential.config() == salt_fit.potential.config()
    assert torch.equal(again.potential.offsets(), salt_fit.potential.offsets())


def test_mean_electron_density_is_one(salt_frames, salt_fit):
    data = fit_data(salt_frames, salt_fit.eam, 5.0, 0.3)
    par = Parametrisation(salt_fit.eam, salt_fit.eam.pair_radius)
    values = {k: v.detach() for k, v in salt_fit.eam.values().items()}
    assert Objective(data, par, expected(par)).mean_density(values) == pytest.approx(1.0, abs=1e-9)


@pytest.fixture(scope="module")
def objective(salt_frames) -> Objective:
    model = salt()
    par = Parametrisation(model, 0.6 * model.pair_radius)
    return Objective(fit_data(salt_frames[:6], model, 5.0, 0.3), par, expected(par))


def test_values_come_back_from_theta(objective):
    par = objective.parametrisation
    theta = expected(par) + torch.linspace(-0.5, 0.5, 21, dtype=torch.float64)
    values = par.values(theta)
    values["slack"] = values["repulsion"] - par.least_repulsion(values)
    again = par.values(par.theta(values))
    for name in ("alpha", "beta", "density", "embedding", "attraction", "repulsion"):
        torch.testing.assert_close(again[name], values[name], rtol=1e-8, atol=0)


@settings(max_examples=40)
@given(st.lists(st.floats(-4, 4), min_size=21, max_size=21))
def test_whatever_the_parameters_two_atoms_repel_each_other(numbers):
    model = keel.EAM.from_elements(["H", "Pb"], cutoff=8.0)
    par = Parametrisation(model, 0.6 * model.pair_radius)
    values = par.values(expected(par) + torch.tensor(numbers, dtype=torch.float64))
    config = model.config()
    for table, names in (("elements", model.symbols), ("pairs", model.pair_names)):
        for name, row in zip(names, config[table].values(), strict=True):
            k = names.index(name)
            row |= {key: float(values[key][k]) for key in row if key in values}
    assert weak_walls(keel.EAM(**config)) == []


def test_a_pair_that_attracts_at_short_range_is_found():
    config = keel.EAM.from_elements(["P"], cutoff=6.0).config()
    config["pairs"]["P-P"] |= {"repulsion": 0.0}
    attracting = keel.EAM(**config)
    assert wall_positions(attracting) == {"P-P": 0.0}
    assert weak_walls(attracting) == ["P-P"]
    assert wall_positions(keel.EAM.from_elements(["P"], 6.0))["P-P"] > 1.3


def test_a_pair_without_data_is_marked_and_gets_a_wall(tmp_path):
    first = [rock_salt(s, 11, 17) for s in range(12)]
    second = [rock_salt(s, 12, 8) for s in range(12)]
    teacher = keel.EAM.from_elements([8, 11, 12, 17], CUTOFF)
    result = keel.fit_eam(labelled(teacher, first + second), CUTOFF, max_atoms=100_000)
    assert set(result.pairs_without_data) == {"O-Na", "O-Cl", "Na-Mg", "Mg-Cl"}
    assert any("4 of 10 pairs" in w for w in result.warnings)
    assert weak_walls(result.potential) == []
    walls = wall_positions(result.potential)
    assert all(walls[name] > 0.75 * bond for name, bond in {"O-Na": 2.32, "Mg-Cl": 2.43}.items())
    result.potential.save(str(tmp_path / "eam.json"))
    again = keel.load(tmp_path / "eam.json")
    assert again.config() == result.potential.config()
    assert torch.equal(again.offsets(), result.potential.offsets())


def test_offsets_that_composition_cannot_tell_apart_are_noted():
    frames = [rock_salt(s) for s in range(8)]
    always_equal = [f.replace(numbers=np.array([11, 17] * 4)[: len(f)]) for f in frames if len(f) != 7]
    result = keel.fit_eam(labelled(salt(), always_equal), CUTOFF)
    assert any("do not determine an energy offset for each of Na, Cl" in w for w in result.warnings)
    assert result.errors.energy.mae < 0.03


def test_frames_without_forces_are_refused():
    with pytest.raises(keel.DataError, match="needs frames with forces"):
        keel.fit_eam([rock_salt(0).replace(energy=1.0)])


def test_a_stress_of_zero_throughout_has_no_weight(salt_frames):
    """Whatever a file says where it knows no stress, the fit is that of energies and forces."""
    few = salt_frames[:12]
    without = keel.fit_eam([f.replace(stress=None) for f in few], CUTOFF)
    zero = keel.fit_eam([f.replace(stress=np.zeros((3, 3))) for f in few], CUTOFF)
    assert zero.potential.config() == without.potential.config()
    assert {*zero.warnings} - {*without.warnings} == {"every stress is exactly zero: there is nothing in it to fit"}


def test_frames_with_nothing_but_zeros_are_refused(salt_frames):
    still = [f.replace(forces=np.zeros((len(f), 3)), stress=np.zeros((3, 3))) for f in salt_frames[:3]]
    with pytest.raises(keel.DataError, match="those of all frames are exactly zero"):
        keel.fit_eam(still, CUTOFF)


def test_crystals_without_forces_are_fitted_to_energy_and_stress():
    crystals = [
        rock_salt(0).replace(positions=np.zeros((1, 3)), numbers=np.array([11]), cell=a * np.eye(3))
        for a in np.linspace(2.6, 4.0, 15)
    ]
    frames = labelled(salt(), crystals)
    assert not any(np.round(f.forces, 9).any() for f in frames)
    fit = keel.fit_eam([f.replace(forces=np.zeros((1, 3))) for f in frames], CUTOFF)
    assert fit.errors.energy.mae < 0.05 * np.ptp([f.energy for f in frames])
    assert any("every force is exactly zero" in w for w in fit.warnings)


def test_forces_alone_suffice(salt_frames):
    result = keel.fit_eam([f.replace(energy=None, stress=None) for f in salt_frames[:8]], CUTOFF)
    assert np.isfinite(result.errors.forces.mae)
    assert result.errors.to_dict()["energy_mae_mev_per_atom"] is None
    assert not bool(result.potential.offsets().any())


@settings(max_examples=30)
@given(st.integers(1, 400), st.integers(0, 5))
def test_a_choice_of_frames_holds_every_element(atoms, seed):
    frames = [rock_salt(s, 11, 17) for s in range(20)] + [rock_salt(0, 3, 9)]
    chosen = choose(frames, atoms, seed)
    assert {int(z) for f in chosen for z in f.numbers} == {3, 9, 11, 17}
    assert [id(f) for f in chosen] == [id(f) for f in choose(frames, atoms, seed)]
    assert sum(map(len, chosen)) <= max(atoms + 8, 32)


def test_an_extreme_force_does_not_outvote_the_others():
    forces = np.array([[1.0, 0, 0], [0, 3.0, 0], [0, 40.0, 30.0]])
    np.testing.assert_allclose(caution(forces)[:, 0], [1.0, 1.0, 0.08])


@settings(max_examples=30)
@given(st.lists(st.floats(-1e4, 10), min_size=3, max_size=3), st.integers(0, 100))
def test_offsets_explain_energies_that_composition_gives(offsets, seed):
    rng = np.random.default_rng(seed)
    eps = dict(zip((1, 8, 79), offsets, strict=True))
    frames = [Frame(rng.choice([1, 8, 79], n), rng.normal(size=(n, 3))) for n in (1, 2, 3, 5, 8, 13, 9, 9)]
    frames = [f.replace(energy=sum(eps[int(z)] for z in f.numbers)) for f in frames]
    found = fit_offsets(frames)
    for f in frames:
        assert sum(found[int(z)] for z in f.numbers) == pytest.approx(f.energy, abs=1e-6)


def test_inseparable_offsets_have_minimum_norm():
    frames = [Frame(np.array([14, 8, 8] * n), np.zeros((3 * n, 3)), energy=-30.0 * n) for n in (1, 2)]
    found = fit_offsets(frames)
    # Of all solutions of x + 2 y = -30 the one along (1, 2).
    assert found == pytest.approx({14: -6.0, 8: -12.0})
    with pytest.raises(keel.DataError, match="none of the frames has one"):
        fit_offsets([f.replace(energy=None) for f in frames])


def test_errors_are_what_they_say(salt_frames):
    shifted = [
        f.replace(energy=f.energy + 0.01 * len(f), forces=f.forces + 0.002, stress=f.stress - 0.003)
        for f in salt_frames
    ]
    for batch_atoms in (1, 100):
        errors = accuracy(salt(), shifted, max_atoms=batch_atoms)
        assert errors.energy.mae == pytest.approx(0.01)
        assert errors.forces.rmse == pytest.approx(0.002)
        assert errors.stress.mae == pytest.approx(0.003)
        assert (errors.n_frames, errors.n_atoms) == (40, sum(map(len, shifted)))


def test_command_fits_and_reports(tmp_path, salt_frames):
    from keel.atoms.write import write

    write(tmp_path / "train.extxyz", salt_frames[:10])
    write(tmp_path / "test.extxyz", salt_frames[10:15])
    arguments = ["fit", str(tmp_path / "train.extxyz"), "--test", str(tmp_path / "test.extxyz"), "--cutoff", "4"]
    arguments += ["--out", str(tmp_path / "eam.json")]
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout)
    errors = accuracy(keel.load(tmp_path / "eam.json"), keel.read(tmp_path / "test.extxyz")).to_dict()
    for name in ("energy_mae_mev_per_atom", "force_mae_mev_per_angstrom", "stress_mae_mev_per_cubic_angstrom"):
        assert printed[name] == printed["test"][name] == pytest.approx(errors[name], rel=1e-6)
    readable = CliRunner().invoke(app, arguments)
    assert readable.exit_code == 0, readable.output
    assert "Na-Cl" in readable.stdout
    assert f"{errors['force_mae_mev_per_angstrom']:.4g}" in readable.stdout
    assert "size of forces" in readable.stdout


def test_without_energies_only_forces_are_fitted():
    frames = keel.datasets.phosphorus()[::40]
    (warning,) = keel.fit_eam([f.replace(energy=None) for f in frames]).warnings
    assert "no frame has an energy" in warning
    assert "--energy-key" in warning


def test_silica(data_dir):
    frames = keel.read(data_dir / "silica" / "zeolites-pbe-d3.extxyz", index="::120")
    result = keel.fit_eam(frames[::2])
    errors = accuracy(result.potential, frames[1::2])
    assert errors.forces.mae < 0.25
    assert errors.energy.mae < 0.015
    assert any("minimum norm" in w for w in result.warnings)
    assert weak_walls(result.potential) == []


def test_molybdenum(data_dir):
    frames, test = (keel.read(data_dir / "metals" / f"mo-{part}.extxyz") for part in ("train", "test"))
    usual, light = (keel.fit_eam(frames, max_atoms=3000, energy_weight=weight) for weight in (None, 1.0))
    errors = accuracy(usual.potential, test)
    assert errors.forces.mae < 0.34
    assert errors.energy.mae < 0.055
    # With energies that count less the forces are better, but two atoms bind each other far too strongly.
    assert accuracy(light.potential, test).forces.mae < 0.9 * errors.forces.mae
    assert usual.potential.config() != light.potential.config()


def test_all_walls_at_once_are_those_of_dimers(salt_fit):
    potential = keel.SumPotential([salt_fit.eam, keel.ZBL(elements=[11, 17])])
    for name, position in wall_positions(potential).items():
        around = torch.tensor([0.1, position - 0.02, position, position + 0.02], dtype=torch.float64)
        energy = dimer(potential, *name.split("-"), around).total
        assert energy[1] > energy[2] < energy[3], name
