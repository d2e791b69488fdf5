"""Into keel and back: files of mace-torch, matgl and torchmd-net that the packages themselves load."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import keel
from keel.atoms import as_frame
from keel.atoms.write import write
from keel.cli import app
from keel.potentials.external import MACE, MatglPotential, TorchMDNetPotential
from keel.potentials.external.extras import quiet, trusting
from keel.potentials.external.recognised import modules_in
from peer_models import mace_model, matgl_potential, silica, torchmdnet_model

pytestmark = pytest.mark.oracle

DTYPES = (torch.float64, torch.float32)


@pytest.fixture(autouse=True)
def _installed(request):
    if find_spec(request.cls.module) is None and os.environ.get("CI") != "true":
        pytest.skip(f"{request.cls.module} is not installed")


def keel_command(*arguments) -> str:
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert done.exit_code == 0, f"{done.output} {done.exception!r}"
    return done.output


def assert_same(potential, atoms, tolerance=1e-6):
    """Compare with the calculator of the atoms, by default to 1e-6 eV/atom and 1e-5 eV/angstrom."""
    found = potential(atoms)
    assert float(found.energy) == pytest.approx(atoms.get_potential_energy(), abs=tolerance * len(atoms))
    np.testing.assert_allclose(found.forces.numpy(), atoms.get_forces(), rtol=0, atol=10 * tolerance)


def assert_equal_networks(a, b):
    graph = keel.batch(silica(2), a.cutoff, dtype=torch.float64)
    for x, y in zip(a.double()(graph).__dict__.values(), b.double()(graph).__dict__.values(), strict=True):
        torch.testing.assert_close(x, y, rtol=1e-12, atol=1e-10)


def mended(start: Path, folder: Path, *options: str) -> Path:
    """Train a few steps on structures that an EAM has labelled, as `repair-only` does."""
    rng, frames = np.random.default_rng(0), []
    eam = keel.EAM.from_elements(["Si", "O"], 4.0)
    for _ in range(4):
        atoms = silica(2)[:24]
        atoms.positions += rng.normal(0, 0.05, (24, 3))
        found = eam(atoms)
        frames.append(as_frame(atoms).replace(energy=float(found.energy), forces=found.forces.numpy()))
    write(folder / "train.extxyz", frames)
    budget = ("--strategy", "repair-only", "--steps", "10", "--batch-size", "1", "--validation", "0.25")
    keel_command("train", folder / "train.extxyz", "--start", start, "--out", folder / "out", *budget, *options)
    return folder / "out" / "potential.safetensors"


class TestMACE:
    module = "mace"

    def calculator(self, path, dtype):
        from mace.calculators import MACECalculator

        with quiet(), trusting():
            return MACECalculator(model_paths=str(path), device="cpu", default_dtype=str(dtype).split(".")[1])

    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("heads", [["Default"], ["first", "second"]])
    def test_its_calculator_gives_the_energies_of_before(self, dtype, heads, tmp_path):
        torch.save(mace_model(dtype, heads=heads), tmp_path / "a.model")
        head = ["--head", "second"] if len(heads) > 1 else []
        keel_command("import", tmp_path / "a.model", "--trust", "--out", tmp_path / "a.safetensors", *head)
        told = keel_command("export", tmp_path / "a.safetensors", "--out", tmp_path / "b.model")
        # The sum of E0 and shift is a number of float64.
        assert "MACE for mace, float64" in told and "elements O Si; energies in eV" in told
        atoms, network = silica(), keel.load(tmp_path / "a.safetensors")
        atoms.calc = self.calculator(tmp_path / "b.model", torch.float64)
        assert_same(network.double(), atoms)
        assert atoms.calc.models[0].heads == heads[-1:]
        assert not [m for m in modules_in(tmp_path / "b.model") if m.startswith("keel")]
        assert_equal_networks(network, keel.open_potential(tmp_path / "b.model", trust=True))

    def test_in_the_precision_that_is_asked_for(self, tmp_path):
        MACE.from_model(mace_model(torch.float64)).save(str(tmp_path / "a.safetensors"))
        keel_command(
            "export", tmp_path / "a.safetensors", "--to", "mace", "--precision", "float32", "--out", tmp_path / "b.pt"
        )
        atoms = silica()
        atoms.calc = self.calculator(tmp_path / "b.pt", torch.float32)
        assert atoms.calc.models[0].r_max.dtype == torch.float32
        # Energies of 1e3 eV leave float32 no more digits.
        assert_same(keel.load(tmp_path / "a.safetensors"), atoms, tolerance=3e-4)

    def test_its_file_for_lammps(self, tmp_path, monkeypatch, capsys):
        from mace.cli.create_lammps_model import main

        network = MACE.from_model(mace_model(torch.float64))
        network.save(str(tmp_path / "a.safetensors"))
        keel_command("export", tmp_path / "a.safetensors", "--out", tmp_path / "b.model")
        monkeypatch.setattr(sys, "argv", ["mace_create_lammps_model", str(tmp_path / "b.model")])
        with trusting():
            main()
        assert "Only one head found in the model: Default" in capsys.readouterr().out
        compiled = torch.jit.load(str(tmp_path / "b.model-lammps.pt"))
        graph = keel.batch(silica(), network.cutoff, dtype=torch.float64)
        batch = {
            "node_attrs": torch.nn.functional.one_hot(network.species(graph), 2).double(),
            "positions": graph.positions.clone().requires_grad_(),
            "shifts": graph.edge_vectors()
            - (graph.positions[graph.edge_index[1]] - graph.positions[graph.edge_index[0]]),
            "unit_shifts": graph.edge_shift,
            "cell": graph.cell[0],
            "edge_index": graph.edge_index,
            "batch": graph.batch,
            "ptr": torch.tensor([0, graph.n_atoms]),
        }
        found, ours = compiled(batch, torch.ones(graph.n_atoms, dtype=torch.float64)), network(graph)
        torch.testing.assert_close(found["total_energy_local"].detach(), ours.energy, rtol=0, atol=1e-9)
        torch.testing.assert_close(found["forces"], ours.forces, rtol=0, atol=1e-9)

    def test_mended_on_the_way(self, tmp_path):
        torch.save(mace_model(torch.float32), tmp_path / "a.model")
        trained = mended(tmp_path / "a.model", tmp_path, "--trust")
        keel_command("export", trained, "--out", tmp_path / "b.model")
        atoms, network = silica(), keel.load(trained)
        atoms.calc = self.calculator(tmp_path / "b.model", torch.float64)
        assert_same(network.double(), atoms)
        before = keel.open_potential(tmp_path / "a.model", trust=True)
        assert float((before(atoms).forces - network.float()(atoms).forces).abs().max()) > 1e-3

    def test_heads_are_chosen_as_in_its_calculator(self, tmp_path):
        torch.save(mace_model(torch.float32, heads=["a", "b"]), tmp_path / "a.model")
        with pytest.raises(keel.DataError, match="the model has the heads a, b; choose one"):
            keel.open_potential(tmp_path / "a.model", trust=True)
        with pytest.raises(keel.DataError, match="no head 'c'; choose from a, b"):
            keel.open_potential(tmp_path / "a.model", {"head": "c"}, trust=True)
        assert keel.open_potential(tmp_path / "a.model", {"head": "b"}, trust=True).head == 1
        assert MACE.from_model(mace_model(torch.float32, heads=["default", "b"])).head == 0


class TestMatgl:
    module = "matgl"

    def calculator(self, folder, dtype):
        import matgl
        from matgl.ext.ase import PESCalculator

        matgl.set_default_dtype("float", 64 if dtype == torch.float64 else 32)
        try:
            return PESCalculator(matgl.load_model(folder), stress_unit="eV/A3")
        finally:
            matgl.set_default_dtype("float", 32)

    @pytest.mark.parametrize("model", ["TensorNet", "CHGNet", "M3GNet"])
    def test_its_calculator_gives_the_energies_of_before(self, model, tmp_path):
        theirs, atoms = matgl_potential(model), silica()
        theirs.save(tmp_path / "a")
        keel_command("import", tmp_path / "a", "--out", tmp_path / "a.safetensors")
        told = keel_command("export", tmp_path / "a.safetensors", "--to", "matgl", "--out", tmp_path / "b")
        assert "float32; elements O Si; energies in eV" in told
        network = keel.load(tmp_path / "a.safetensors")
        assert isinstance(network, keel.M3GNet if model == "M3GNet" else MatglPotential)
        atoms.calc = self.calculator(tmp_path / "b", torch.float32)
        # Energies of 1e3 eV leave float32 no more digits.
        assert_same(network, atoms, tolerance=1e-4)
        assert_equal_networks(network, keel.open_potential(tmp_path / "b"))
        again = atoms.copy()
        again.calc = self.calculator(tmp_path / "a", torch.float32)
        assert again.get_potential_energy() == atoms.get_potential_energy()

    def test_float64(self, tmp_path):
        MatglPotential.from_model(matgl_potential("TensorNet", torch.float64)).save(str(tmp_path / "a.safetensors"))
        told = keel_command("export", tmp_path / "a.safetensors", "--to", "matgl", "--out", tmp_path / "b")
        assert 'matgl.set_default_dtype("float", 64)' in told
        atoms = silica()
        atoms.calc = self.calculator(tmp_path / "b", torch.float64)
        # matgl's converter rounds coordinates to float32.
        assert_same(keel.load(tmp_path / "a.safetensors"), atoms, tolerance=1e-6)

    @pytest.mark.parametrize(
        "options",
        [
            {"mode": "reference"},
            {"mode": "reference", "three_body_cutoff": 3.0, "activation": "softplus2", "max_n": 2, "max_l": 4},
            {"mode": "smooth", "smooth_basis": True, "activation": "tanh", "blocks": 1},
        ],
        ids=str,
    )
    @pytest.mark.parametrize("dtype", DTYPES)
    def test_m3gnet_of_keel(self, options, dtype, tmp_path):
        torch.manual_seed(0)
        network = keel.M3GNet(["Si", "O"], preset="small", cutoff=4.0, **options).to(dtype)
        network.scale.fill_(1.7)
        network.set_offsets({8: -4.0, 14: 3.5})
        network.save(str(tmp_path / "a.safetensors"))
        keel_command("export", tmp_path / "a.safetensors", "--to", "matgl", "--out", tmp_path / "b")
        atoms = silica()
        atoms.calc = self.calculator(tmp_path / "b", dtype)
        assert_same(network, atoms, tolerance=1e-6 if dtype == torch.float64 else 1e-5)
        assert_equal_networks(network, keel.open_potential(tmp_path / "b"))

    @pytest.mark.parametrize("model", ["TensorNet", "M3GNet"])
    def test_mended_on_the_way(self, model, tmp_path):
        matgl_potential(model).save(tmp_path / "a")
        trained = mended(tmp_path / "a", tmp_path)
        keel_command("export", trained, "--to", "matgl", "--out", tmp_path / "a", "--precision", "float64")
        atoms = silica()
        atoms.calc = self.calculator(tmp_path / "a", torch.float64)
        assert_same(keel.load(trained).double(), atoms)


class TestTorchMDNet:
    module = "torchmdnet"

    @pytest.mark.parametrize("unit", [1.0, 0.0433641])
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("model", ["tensornet", "equivariant-transformer"])
    def test_load_model_gives_the_energies_of_before(self, model, dtype, unit, tmp_path):
        from torchmdnet.models.model import load_model

        theirs, hyper_parameters = torchmdnet_model(model, dtype)
        state = {f"model.{k}": v for k, v in theirs.state_dict().items()}
        hyper_parameters |= {"prior_model": "Atomref", "prior_args": {"max_z": 20}}
        torch.save({"hyper_parameters": hyper_parameters, "state_dict": state}, tmp_path / "a.ckpt")
        units = ["--energy-unit", unit]
        keel_command("import", tmp_path / "a.ckpt", "--out", tmp_path / "a.safetensors", "--elements", "Si,O", *units)
        told = keel_command("export", tmp_path / "a.safetensors", "--out", tmp_path / "b.ckpt", *units)
        assert f"elements O Si; energies in {'eV' if unit == 1.0 else '0.0433641 eV'}, lengths in Å" in told
        network = keel.load(tmp_path / "a.safetensors")
        assert isinstance(network, TorchMDNetPotential if model == "tensornet" else keel.TorchMDET)
        back = load_model(str(tmp_path / "b.ckpt"))
        graph = keel.batch(silica(2), 4.0, dtype=network.dtype)
        arguments = graph.numbers, graph.positions.to(next(back.parameters()).dtype)
        energy, forces = back(*arguments, batch=graph.batch, box=graph.cell[0].to(arguments[1].dtype))
        tolerance = {torch.float64: 1e-9, torch.float32: 1e-5}[dtype]
        ours = network.to(arguments[1].dtype)(graph)
        assert unit * float(energy) == pytest.approx(float(ours.energy), rel=tolerance)
        assert torch.allclose(unit * forces, ours.forces, rtol=0, atol=tolerance * float(forces.abs().max()))
        assert bool(back(torch.tensor([14, 6]), torch.eye(3, dtype=arguments[1].dtype)[:2])[0].isnan())
        keel_command("import", tmp_path / "b.ckpt", "--out", tmp_path / "c.safetensors", *units)
        again = keel.load(tmp_path / "c.safetensors")
        assert again.elements == (8, 14)
        assert_equal_networks(network, again)

    def test_its_ase_calculator_runs_it(self, tmp_path):
        from torchmdnet.calculators import TMDNETCalculator

        network = TorchMDNetPotential(["Si", "O"], 4.0, embedding_dimension=16, num_rbf=8)
        network.save(str(tmp_path / "a.safetensors"))
        keel_command("export", tmp_path / "a.safetensors", "--out", tmp_path / "b.ckpt")
        atoms = silica(2)
        # It asks for a charge, and uses none.
        atoms.info["charge"] = 0
        atoms.calc = TMDNETCalculator(str(tmp_path / "b.ckpt"), max_num_neighbors=100)
        assert_same(network, atoms, tolerance=1e-5)

    @pytest.mark.parametrize("model", ["tensornet", "equivariant-transformer"])
    def test_mended_on_the_way(self, model, tmp_path):
        from torchmdnet.models.model import load_model

        theirs, hyper_parameters = torchmdnet_model(model, torch.float64)
        network = TorchMDNetPotential.from_model(theirs, hyper_parameters, ["Si", "O"])
        network.save(str(tmp_path / "a.safetensors"))
        trained = mended(tmp_path / "a.safetensors", tmp_path)
        keel_command("export", trained, "--out", tmp_path / "b.ckpt")
        graph = keel.batch(silica(2), 4.0, dtype=torch.float64)
        energy, forces = load_model(str(tmp_path / "b.ckpt"))(
            graph.numbers, graph.positions.clone(), batch=graph.batch, box=graph.cell[0]
        )
        ours = keel.load(trained).double()(graph)
        assert float(energy) == pytest.approx(float(ours.energy), abs=1e-6 * graph.n_atoms)
        torch.testing.assert_close(forces, ours.forces, rtol=0, atol=1e-5)
