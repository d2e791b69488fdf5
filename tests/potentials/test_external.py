"""Potentials around ASE calculators, and what becomes of the others where their packages are absent."""

import copy
import json
import os
import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import CalculationFailed, Calculator, all_changes
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones

import keel
from keel.atoms.labelling.labelled import frame_from_ase
from keel.config import NetworkSettings, RunSettings, TeacherSettings
from keel.dynamics import MDSettings, simulate
from keel.errors import ConfigError, DataError, KeelWarning, UnavailableError
from keel.perturbation import PerturbationSettings, PerturbationStream
from keel.potentials.external import ASEPotential
from keel.potentials.external.extras import UNSAFE_LOAD, optional
from keel.settings import parse
from keel.testing import PotentialContract
from keel.workflow import run
from keel.workflow.make import build_network
from tiny_run import FEW


def copper(n: int = 2, rattle: float = 0.1) -> Atoms:
    atoms = bulk("Cu", cubic=True).repeat((n, 1, 1))
    atoms.rattle(rattle, seed=0)
    return atoms


class Springs(Calculator):
    """Atoms tied to the origin; no stress, a free energy of its own, and a calculation that fails beyond 5 angstrom."""

    implemented_properties = ("energy", "free_energy", "forces")

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        if np.abs(atoms.positions).max() > 5:
            raise CalculationFailed("not\nconverged")
        energy = 0.5 * float((atoms.positions**2).sum())
        self.results = {"energy": energy + 7, "free_energy": energy, "forces": -atoms.positions}


class Absent:
    """Makes a package impossible to import."""

    def __init__(self, package):
        self.package = package

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == self.package:
            raise ModuleNotFoundError(f"No module named {self.package!r}", name=self.package)


class TestContract(PotentialContract):
    exempt = {"files"}

    @pytest.fixture
    def potential(self):
        arguments = {"epsilon": 0.1, "sigma": 1.5, "rc": 4.0, "smooth": True}
        return ASEPotential("ase.calculators.lj.LennardJones", arguments, cutoff=4.0)


class TestASEPotential:
    @pytest.mark.parametrize("cell", [None, 30.0])
    def test_lennard_jones_equals_that_of_keel(self, cell):
        """Within 0.66 of the cutoff, where neither is switched off."""
        positions = 1.5 * np.random.default_rng(0).permutation(np.mgrid[:2, :2, :2].reshape(3, -1).T)[:6]
        atoms = Atoms("Ar6", positions=positions, cell=cell and [cell] * 3, pbc=cell is not None)
        graph = keel.batch(atoms, 8.0, dtype=torch.float64)
        ours = keel.LennardJones(epsilon=0.1, sigma=1.5, cutoff=8.0)(graph)
        theirs = ASEPotential(LennardJones(epsilon=0.1, sigma=1.5, rc=8.0, smooth=True), cutoff=8.0)(graph)
        assert torch.allclose(theirs.energy, ours.energy, rtol=1e-12)
        assert torch.allclose(theirs.forces, ours.forces, rtol=1e-12)
        assert torch.allclose(theirs.stress, ours.stress, rtol=1e-12, equal_nan=True)

    def test_labels_are_those_of_the_calculator(self):
        frames = [copper(1), copper(2)]
        prediction = ASEPotential(EMT())(keel.batch(frames, 5.0, dtype=torch.float64))
        start = 0
        for k, atoms in enumerate(frames):
            atoms.calc = EMT()
            assert float(prediction.energy[k]) == pytest.approx(atoms.get_potential_energy(), rel=1e-12)
            assert np.allclose(prediction.forces[start : start + len(atoms)], atoms.get_forces(), atol=1e-12)
            assert np.allclose(prediction.stress[k], atoms.get_stress(voigt=False), atol=1e-12)
            start += len(atoms)

    def test_free_energy_and_no_stress(self):
        graph = keel.batch(copper(1), 5.0, dtype=torch.float64)
        prediction = ASEPotential(Springs())(graph)
        assert float(prediction.energy) == pytest.approx(0.5 * float(graph.positions.square().sum()))
        assert bool(prediction.stress.isnan().all())

    def test_a_failed_calculation_is_no_number(self):
        far = copper(1)
        far.positions += 10
        with pytest.warns(KeelWarning, match=r"Springs failed on Cu4 \(not converged\)"):
            prediction = ASEPotential(Springs())(keel.batch([far, copper(1)], 5.0))
        assert prediction.energy.isnan().tolist() == [True, False]
        assert bool(prediction.forces[:4].isnan().all()) and bool(prediction.forces[4:].isfinite().all())

    def test_a_sum_with_a_closed_form(self):
        """As a teacher less the core under its student."""
        emt, core = ASEPotential("ase.calculators.emt.EMT"), keel.ZBL(outer=1.2, elements=["Cu"])
        graph = keel.batch([copper(1), copper(2)], 6.0, dtype=torch.float64)
        whole, parts = keel.SumPotential([emt, core], [1.0, -0.5])(graph), (emt(graph), core(graph))
        for name in ("energy", "forces", "stress"):
            expected = getattr(parts[0], name) - 0.5 * getattr(parts[1], name)
            torch.testing.assert_close(getattr(whole, name), expected)
        nested = keel.SumPotential([keel.SumPotential([emt]), core], [1.0, -0.5])
        torch.testing.assert_close(nested(graph, derivatives=False).energy, whole.energy)

    def test_refusals(self, tmp_path):
        emt = ASEPotential("ase.calculators.emt.EMT")
        graph = keel.batch(copper(1), 5.0)
        with pytest.raises(DataError, match="EMT refuses Si2: NotImplementedError"):
            emt(keel.batch(bulk("Si"), 5.0))
        with pytest.raises(ConfigError, match="cannot be trained"):
            emt.atomic_energies(graph, graph.edge_vectors())
        for suffix in (".safetensors", ".json"):
            with pytest.raises(ConfigError, match="cannot be saved"):
                emt.save(str(tmp_path / f"emt{suffix}"))
        assert not list(tmp_path.iterdir())
        assert emt(graph, derivatives=False).forces is None

    @pytest.mark.parametrize(
        ("path", "arguments", "message"),
        [
            ("no.such.module.EMT", {}, "cannot be imported"),
            ("ase.calculators.emt.Nothing", {}, "cannot be imported"),
            ("EMT", {}, "cannot be imported"),
            ("math.sqrt", {"colour": 1}, "cannot be made with"),
            ("keel.LennardJones", {}, "keel.LennardJones is a potential of keel, not an ASE calculator: save it"),
        ],
    )
    def test_calculators_that_cannot_be_made(self, path, arguments, message):
        with pytest.raises(ConfigError, match=message):
            ASEPotential(path, arguments)

    @pytest.mark.parametrize("wrapped", [False, True])
    def test_a_file_may_not_bring_a_calculator(self, wrapped, tmp_path):
        content = {"potential": "ASEPotential", "config": {"calculator": "os.system", "arguments": {"command": "true"}}}
        if wrapped:
            content = {"potential": "SumPotential", "config": {"members": [content]}}
        path = tmp_path / "potential.json"
        path.write_text(json.dumps({"keel_format": 1, **content}))
        with pytest.raises(UnavailableError, match="cannot be read from a potential file"):
            keel.load(path)

    def test_copies_share_the_calculator(self):
        potential = ASEPotential(EMT(), elements=["Cu"])
        potential.set_offsets({29: -3.0})
        other = copy.deepcopy(potential).float()
        assert other.calculator is potential.calculator
        assert (potential.dtype, other.dtype) == (torch.float64, torch.float32)
        other.set_offsets({})
        assert float(potential.energy_offsets[29]) == -3.0

    def test_molecular_dynamics_conserves_energy(self):
        settings = MDSettings(temperature=300, length_fs=40, ensemble="nve", record_every=5)
        (run,) = simulate(ASEPotential(EMT()), [copper(1)], settings)
        assert run.survived
        mass = 63.546 * 1.0364e2  # u in eV fs^2 / angstrom^2
        # What the energy trades with kinetic energy is much more than what is lost.
        total = [s.frame.energy + 0.5 * mass * (s.velocities**2).sum() for s in run.snapshots]
        assert np.ptp(total) < 0.02 * np.ptp([s.frame.energy for s in run.snapshots])


class TestTeaching:
    def test_stress_that_a_teacher_lacks_is_not_taught(self):
        frames = _frames(2)
        for calculator, taught in ((Springs(), False), (EMT(), True)):
            settings = PerturbationSettings(rounds=2, force_cap=None, energy_cap=None)
            stream = PerturbationStream(frames, ASEPotential(calculator), settings, cutoff=5.0, batch_size=3)
            labels = stream.batch(0).labels
            assert labels.stress_mask.tolist() == [taught] * 3
            assert bool(labels.stress.isfinite().all()) and bool(labels.forces.isfinite().all())

    def test_pretrained_by_a_calculator(self):
        network = keel.CGCNN(["Cu"], cutoff=4.0, features=4, convolutions=1, gaussians=8, hidden=4)
        settings = keel.TrainingSettings(steps=4, batch_size=2)
        strategy, teacher = keel.Strategy(pretrain_share=0.5), ASEPotential(EMT())
        result = keel.train(network, _frames(3), teacher=teacher, strategy=strategy, settings=settings)
        assert result.pretrain_steps == 2
        assert all(np.isfinite(row["total"]) for row in result.history)

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"file": "a.json", "calculator": "ase.calculators.emt.EMT"}, "not both"),
            ({"arguments": {"a": 1}}, "none is named"),
        ],
    )
    def test_contradicting_settings(self, settings, message):
        with pytest.raises(ConfigError, match=message):
            parse(TeacherSettings, settings, "test")


class TestStart:
    """A network that has been trained before is trained on."""

    @pytest.fixture
    def trained(self, tmp_path):
        torch.manual_seed(0)
        network = keel.CGCNN(["Cu", "O"], cutoff=4.0, features=8, convolutions=1, gaussians=8, hidden=8)
        network.scale.fill_(0.3)
        network.set_offsets({29: 5.0, 8: -2.0})
        network.save(str(tmp_path / "own.safetensors"))
        return tmp_path / "own.safetensors"

    def test_what_it_has_learned_stays(self, trained):
        settings = parse(NetworkSettings, {"start": str(trained)}, "test")
        network, frames = build_network(settings, [29], 0), _frames(3)
        before = network(keel.batch(frames, 4.0))
        frozen = keel.TrainingSettings(steps=1, learning_rate=1e-12)
        keel.train(network, frames, settings=frozen)
        after = network(keel.batch(frames, 4.0))
        assert torch.allclose(after.forces, before.forces, atol=1e-6)
        # One element in structures of one size: the shift of its energy brings the mean error to zero.
        labels = np.array([f.energy for f in frames])
        assert float((after.energy.numpy() - labels).mean()) == pytest.approx(0.0, abs=1e-4)
        assert float(network.energy_offsets[8]) == -2.0
        assert settings.label == "own"

    def test_settings(self, trained, tmp_path):
        with pytest.raises(ConfigError, match="architecture and arguments of that file"):
            parse(NetworkSettings, {"start": str(trained), "features": 3}, "test")
        assert parse(NetworkSettings, parse(NetworkSettings, {"start": "a"}, "").model_dump(), "").start == "a"
        keel.LennardJones().save(str(tmp_path / "lj.json"))
        with pytest.raises(DataError, match="a LennardJones cannot be trained"):
            build_network(NetworkSettings(start=str(tmp_path / "lj.json")), [29], 0)


def test_keel_run_with_a_calculator_that_teaches_a_trained_network(tmp_path):
    keel.CGCNN(["P"], cutoff=4.0, features=4, convolutions=1, gaussians=8, hidden=4).save(
        str(tmp_path / "own.safetensors")
    )
    settings = {
        "name": "tiny",
        "data": {"files": [str(FEW)], "split": {"train": 4, "validation": 2, "test": 2}},
        "teacher": {"calculator": "ase.calculators.lj.LennardJones", "arguments": {"sigma": 1.9, "smooth": True}},
        "networks": [{"start": "own.safetensors"}],
        "strategies": ["pretrain"],
        "training": {"steps": 8, "batch_size": 2},
        "md": {"temperatures": [300], "runs": 1, "length_fs": 5, "longest_fs": 5},
        "evaluation": {"dimers": False},
    }
    report = run(parse(RunSettings, settings, "test"), tmp_path / "run", base=tmp_path)
    assert report.is_file()
    assert len(list((tmp_path / "run").glob("stages/train/own-pretrain-seed0-*/potential.safetensors"))) == 1
    (curves,) = (tmp_path / "run").glob("stages/teacher/*/decomposition.csv")
    assert "P-P" in curves.read_text()


class TestExtras:
    @pytest.mark.parametrize(
        ("architecture", "module", "package", "extra"),
        [
            ("MACE", "mace", "mace-torch", "mace"),
            ("MatglPotential", "matgl", "matgl", "matgl"),
            ("TorchMDNetPotential", "torchmdnet", "torchmd-net", "torchmd-net"),
        ],
    )
    def test_a_missing_package_is_one_sentence(self, architecture, module, package, extra, monkeypatch, tmp_path):
        for name in [m for m in sys.modules if m.split(".")[0] == module]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setattr(sys, "meta_path", [Absent(module), *sys.meta_path])
        sentence = rf"{architecture} needs {package}; install it with: pip install 'mlip-keel\[{extra}\]'$"
        with pytest.raises(ConfigError, match=sentence):
            build_network(NetworkSettings(architecture=architecture), [14, 8], 0)
        path = tmp_path / "potential.json"
        path.write_text(json.dumps({"keel_format": 1, "potential": architecture, "config": {"elements": ["Si"]}}))
        with pytest.raises(ConfigError, match=sentence):
            keel.load(path)

    def test_importing_a_package_leaves_no_traces(self, tmp_path, monkeypatch, capsys):
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delenv(UNSAFE_LOAD, raising=False)
        code = f"import os, warnings\nos.environ[{UNSAFE_LOAD!r}] = '1'\nprint('hello')\nwarnings.warn('beware')\n"
        (tmp_path / "sneaky_package.py").write_text(code)
        assert optional("sneaky_package", "This", "sneaky", "sneaky").warnings is warnings
        assert UNSAFE_LOAD not in os.environ
        assert capsys.readouterr().out == ""
        (tmp_path / "broken_package.py").write_text("from math import nothing")
        with pytest.raises(UnavailableError, match="cannot be imported here"):
            optional("broken_package", "This", "broken", "broken")

    def test_warp_speaks_of_errors_only(self, monkeypatch):
        warp = SimpleNamespace(LOG_ERROR=40, config=SimpleNamespace(log_level=20))
        monkeypatch.setitem(sys.modules, "warp", warp)
        optional("json", "This", "json", "json")
        assert warp.config.log_level == 40

    def test_only_what_can_be_built_is_offered(self):
        with pytest.raises(ConfigError, match=r"choose from .*CGCNN, M3GNet, MACE, MatglPotential") as error:
            build_network(NetworkSettings(architecture="Nothing"), [14], 0)
        assert "Foreign" not in str(error.value)


def _frames(n: int) -> list[keel.Frame]:
    frames = []
    for k in range(n):
        atoms = copper(1, 0.05 * (k + 1))
        atoms.calc = EMT()
        atoms.get_forces()
        frames.append(frame_from_ase(atoms))
    return frames
