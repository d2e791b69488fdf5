"""Atoms alone and frames that lack labels: the zero of energy, what is learnt from, what is said."""

import json

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from typer.testing import CliRunner

import keel
from keel.atoms.isolated import energies_alone, is_isolated, set_apart
from keel.atoms.labelling.labelled import frame_from_ase
from keel.atoms.partial import LabelledSet
from keel.cli import app
from keel.config import SplitSettings
from keel.errors import DataError
from keel.fitting import fit_offsets
from keel.identity import of_split
from keel.potentials.accuracy import accuracy
from keel.training import TrainingSettings
from keel.training.preparation import prepare
from keel.workflow.division import divide
from tiny_run import TINY


def crystal(seed: int, symbol: str = "Cu") -> keel.Frame:
    atoms = bulk(symbol, cubic=True)
    atoms.rattle(0.15, seed=seed)
    atoms.calc = EMT()
    atoms.get_stress()
    return frame_from_ase(atoms, f"set.extxyz, frame {seed}")


def alone(symbol: str = "Cu", energy: float | None = 3.5, **info: str) -> keel.Frame:
    frame = frame_from_ase(Atoms(symbol, cell=np.eye(3) * 12, pbc=True), f"set.extxyz, {symbol}")
    return frame.replace(energy=energy, info=info)


CRYSTALS = [crystal(seed) for seed in range(12)]
SMALL = {"features": 8, "convolutions": 1, "hidden": 8, "gaussians": 8, "cutoff": 4.0}


class TestIsolated:
    @pytest.mark.parametrize(
        ("atoms", "info", "expected"),
        [
            (Atoms("Cu"), {}, True),
            (Atoms("Cu", cell=np.eye(3) * 12, pbc=True), {}, True),
            (Atoms("Cu", cell=np.eye(3) * 5, pbc=True), {}, False),
            (Atoms("Cu", cell=np.eye(3) * 5, pbc=True), {"config_type": "isolatedATOM"}, True),
            (Atoms("Cu", cell=[2.5, 20, 20], pbc=True), {}, False),
            (Atoms("Cu", cell=[2.5, 20, 20], pbc=[False, True, True]), {}, True),
            (Atoms("Cu2", positions=[[0, 0, 0], [0, 0, 40]]), {"config_type": "IsolatedAtom"}, False),
            (bulk("Cu"), {}, False),
        ],
    )
    def test_one_atom_that_says_so_or_has_no_image_near(self, atoms, info, expected):
        assert is_isolated(frame_from_ase(atoms).replace(info=info)) is expected

    def test_of_several_the_lowest_counts(self):
        atoms = [alone(energy=2.0), alone(energy=1.0), alone("Ni", 5.0), alone("Au", None)]
        assert energies_alone(atoms) == {29: 1.0, 28: 5.0}
        assert set_apart([CRYSTALS[0], *atoms]) == ([CRYSTALS[0]], atoms)


class TestOffsets:
    def test_compositions_decide_what_they_can(self):
        assert fit_offsets([*CRYSTALS, alone()]) == fit_offsets(CRYSTALS)

    def test_and_atoms_alone_the_rest(self):
        oxide = [keel.Frame(np.array([14, 8, 8]), np.eye(3) * k, energy=-100.0 - 0.1 * k) for k in (1, 2, 3)]
        found = fit_offsets([*oxide, alone("Si", -40.0), alone("O", -20.0)])
        assert found[14] + 2 * found[8] == pytest.approx(-100.2)
        # Silicon and oxygen keep their difference but for the binding energy, which is shared 1:2.
        assert found[14] == pytest.approx(-40 - 20.2 / 5) and found[8] == pytest.approx(-20 - 2 * 20.2 / 5)
        without = fit_offsets(oxide)
        assert fit_offsets([*oxide, alone("Si", -40.0)]) == pytest.approx(without)

    def test_atoms_alone_are_enough(self):
        assert fit_offsets([alone(), alone("Ni", 4.0)]) == {29: 3.5, 28: 4.0}


class TestLabelledSet:
    def test_what_is_used_for_what(self):
        bare, cold = CRYSTALS[1].unlabelled(), CRYSTALS[2].replace(forces=None)
        material = LabelledSet([alone(), CRYSTALS[0], bare, cold, alone("Ni", None)])
        assert material.labelled == [CRYSTALS[0], cold] and len(material.atoms) == 1
        assert material.notes == [
            "1 frame without forces: their other labels are used",
            "2 isolated atoms: used for the zero of energy, not for training or tests",
            "1 frame without any label: left out",
        ]
        assert LabelledSet(CRYSTALS).notes == []

    @pytest.mark.parametrize(("label", "name"), [("energy", "an energy"), ("forces", "forces")])
    def test_a_label_that_no_frame_has_is_asked_for(self, label, name):
        material = LabelledSet([alone(), *(f.replace(**{label: None}) for f in CRYSTALS)])
        message = f"set.extxyz: none of the 13 frames for training has {name}; if the name is unusual .* --{label}-key"
        with pytest.raises(DataError, match=message):
            material.require(("energy", "forces"))

    def test_divisions_of_sets_without_atoms_alone_stay(self):
        settings = SplitSettings(by="start", train=6, validation=3)
        plain, more = (divide({"train": frames}, settings).split for frames in (CRYSTALS, [alone(), *CRYSTALS]))
        assert of_split(plain.parts.values()) == of_split([plain.train, plain.validation, plain.test])
        assert [more.train, more.validation, more.test] == [plain.train, plain.validation, plain.test]
        assert list(more.parts) == ["train", "validation", "test", "atoms"] and len(more.atoms) == 1


class TestFit:
    def test_the_offset_is_the_energy_of_the_atom_alone(self):
        fit = keel.fit_eam([alone(), *CRYSTALS])
        assert float(fit.potential.offsets()[29]) == 3.5 and fit.frames_used == 12
        assert fit.errors.n_frames == 12 and fit.errors.alone.mae == pytest.approx(0, abs=1e-9)
        assert fit.errors.forces.mae < 0.05 * fit.errors.forces.mean_absolute_label
        assert any("the offset of Cu is the energy of the isolated atom" in warning for warning in fit.warnings)

    def test_elements_without_an_atom_alone_are_fitted_as_ever(self):
        frames = [*CRYSTALS[:6], *(crystal(seed, "Ni") for seed in range(6))]
        offsets = keel.fit_eam([alone(), *frames], 5.0).potential.offsets()
        assert float(offsets[29]) == 3.5 and float(offsets[28]) not in (0.0, 3.5)


class TestErrors:
    def test_atoms_alone_are_beside_the_average(self):
        potential = keel.fit_eam(CRYSTALS, 5.0).potential
        plain, more = accuracy(potential, CRYSTALS), accuracy(potential, [alone(), *CRYSTALS])
        told = more.to_dict()
        assert told.pop("isolated_atoms") == 1 and told.pop("isolated_atom_mae_mev") == pytest.approx(
            1e3 * more.alone.mae
        )
        assert told == plain.to_dict() and more.alone.mae > 0.1
        assert accuracy(potential, [alone()]).to_dict()["energy_mae_mev_per_atom"] is None


class TestTraining:
    def train(self, frames, **options):
        torch.manual_seed(0)
        network = keel.CGCNN(elements=["Cu"], **SMALL)
        return keel.train(
            network, frames, strategy="vanilla", settings=TrainingSettings(steps=3, batch_size=4), **options
        ).potential

    def test_atoms_alone_change_nothing_where_compositions_decide(self):
        plain, more = self.train(CRYSTALS), self.train([alone(), *CRYSTALS, alone("Ni", 4.0)], validation=[alone()])
        for name, value in plain.state_dict().items():
            assert torch.equal(value, more.state_dict()[name]), name

    def test_they_decide_the_offsets_where_compositions_do_not(self):
        network = keel.CGCNN(elements=["Si", "O"], **SMALL)
        oxide = [keel.Frame(np.array([14, 8, 8]), np.eye(3) * k, energy=-100.0 - 0.1 * k) for k in (1, 2, 3)]
        prepare(network, oxide, [alone("Si", -40.0), alone("O", -20.0)])
        assert float(network.offsets()[14]) == pytest.approx(-44.04)

    def test_every_frame_is_learnt_from_for_what_it_has(self):
        partly = [f.replace(forces=None) if k % 2 else f.replace(energy=None) for k, f in enumerate(CRYSTALS)]
        whole, found = self.train(CRYSTALS), self.train(partly)
        assert any(not torch.equal(v, found.state_dict()[k]) for k, v in whole.state_dict().items())
        assert all(v.isfinite().all() for v in found.state_dict().values() if v.is_floating_point())


class TestCommands:
    @pytest.fixture
    def path(self, tmp_path):
        frames = [f.replace(forces=None, stress=None) if k == 3 else f for k, f in enumerate(CRYSTALS)]
        path = tmp_path / "set.extxyz"
        keel.write(
            path,
            [
                alone(config_type="IsolatedAtom"),
                *frames,
                CRYSTALS[0].replace(positions=CRYSTALS[1].positions).unlabelled(),
            ],
        )
        return path

    def test_train(self, path, tmp_path):
        arguments = ["train", str(path), "--preset", "small", "--strategy", "vanilla", "--steps", "2"]
        shown = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "m")])
        told = " ".join(shown.output.split())
        assert shown.exit_code == 0, shown.output
        for note in (
            "1 frame without forces",
            "1 isolated atom: used for the zero",
            "1 frame without any label: left out",
        ):
            assert note in told
        keel.write(tmp_path / "cold.extxyz", [f.replace(forces=None, stress=None) for f in CRYSTALS])
        arguments[1] = str(tmp_path / "cold.extxyz")
        refused = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "n")])
        assert "none of the 12 frames for training has forces" in str(refused.exception)

    def test_fit_and_evaluate(self, path, tmp_path):
        out = str(tmp_path / "eam.json")
        shown = CliRunner().invoke(app, ["fit", str(path), "--out", out, "--json"])
        told = json.loads(shown.stdout)
        assert told["isolated_atoms"] == 1 and len(told["data_notes"]) == 3 and told["frames"] == 13 - 1
        shown = CliRunner().invoke(app, ["evaluate", out, str(path)])
        assert "isolated atoms" in shown.output and "13 frames" in shown.output

    def test_run(self, path, tmp_path):
        data = {"files": [str(path)], "split": {"by": "start", "train": 6, "validation": 3}}
        md = {"temperatures": [300], "runs": 1, "length_fs": 2, "longest_fs": 2}
        settings = {**TINY, "data": data, "md": md, "evaluation": {"dimers": False}, "strategies": ["vanilla"]}
        (tmp_path / "run.yaml").write_text(json.dumps(settings))
        shown = CliRunner().invoke(app, ["run", str(tmp_path / "run.yaml"), "--out", str(tmp_path / "run")])
        told = " ".join(shown.output.split())
        assert shown.exit_code == 0, shown.output
        assert "1 isolated atom: used for the zero of energy, not for training or tests" in told
        (written,) = (tmp_path / "run").rglob("split.json")
        split = json.loads(written.read_text())
        assert (split["train"], split["validation"], split["test"], split["atoms"]) == (6, 3, 3, 1)
