"""The front door: what one command opens, every other does, and so do YAML, Python and the ASE calculator."""

import hashlib
import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
import typer.main
from ase.build import bulk
from ase.calculators.calculator import Calculator, PropertyNotImplementedError, all_changes
from typer.testing import CliRunner

import keel
from doors import DOORS, LJ, STARTS, TWO_SIGMA, matgl_folder, pickled_model, silica, write_potentials
from keel.atoms.conversion import as_frame
from keel.cli import app
from keel.errors import ConfigError, DataError, KeelError, UnavailableError
from keel.kinds import POTENTIALS
from keel.potentials.accuracy import accuracy
from keel.potentials.external import MACE
from keel.potentials.external.opening import Opening, open_potential
from small_potentials import cgcnn, eam

KINDS = ["json", "safetensors", "matgl", "pickled", "calculator"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    keel.write(tmp_path / "data.extxyz", silica())
    return tmp_path


def command(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, list(map(str, arguments)))
    return done.exit_code, done.output + str(done.exception or "")


class TestOpening:
    def test_files_and_calculators(self, tmp_path):
        eam().save(str(tmp_path / "eam.json"))
        assert isinstance(open_potential(str(tmp_path / "eam.json")), keel.EAM)
        emt = open_potential("ase.calculators.emt.EMT", {"asap_cutoff": True})
        assert emt(keel.batch(as_frame(bulk("Cu", cubic=True)), 5.0)).forces.shape == (4, 3)

    def test_what_runs_code_must_be_trusted(self, tmp_path):
        (tmp_path / "mace.model").write_bytes(b"no model")
        with pytest.raises(ConfigError, match="runs the code in it; use --trust"):
            open_potential(str(tmp_path / "mace.model"))
        with pytest.raises((DataError, UnavailableError), match=r"can be read|needs mace-torch"):
            open_potential(str(tmp_path / "mace.model"), trust=True)

    @pytest.mark.slow
    @pytest.mark.skipif(find_spec("mace") is None, reason="needs mace-torch")
    def test_mace_models_are_read_in_a_process_that_knows_nothing_of_mace(self, tmp_path):
        torch.save(MACE(["P"], preset="small").model, tmp_path / "my.model")
        call = f"open_potential('{tmp_path}/my.model', trust=True)"
        program = f"from keel.potentials.external.opening import open_potential; print({call})"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert done.stdout.startswith("MACE("), done.stderr

    def test_arguments_are_for_calculators(self, tmp_path):
        eam().save(str(tmp_path / "eam.json"))
        with pytest.raises(ConfigError, match="arguments belong to a calculator"):
            open_potential(str(tmp_path / "eam.json"), {"a": 1})

    def test_checkpoints_of_torchmd_net_are_imported_first(self):
        with pytest.raises(ConfigError, match="keel import"):
            open_potential("model.ckpt")

    def test_the_folder_of_a_run_is_answered_with_a_network_in_it(self, tmp_path):
        (tmp_path / "potentials").mkdir()
        (tmp_path / "potentials" / "CGCNN-vanilla-seed0.safetensors").touch()
        with pytest.raises(DataError, match=r"name .*/potentials/CGCNN-vanilla-seed0\.safetensors$"):
            open_potential(tmp_path)

    @pytest.mark.parametrize(
        ("name", "sentence"),
        [
            ("nowhere.json", r"nowhere\.json: there is no such file$"),
            ("eam.jsn", "'eam.jsn' cannot be imported .*, and there is no file with this name"),
            ("eam", f"eam: there is no such file; name {re.escape(POTENTIALS)}"),
            ("data.extxyz", f"this is not a potential; name {re.escape(POTENTIALS)}"),
            ("model", r"this folder is not a matgl model; name .*model/potential\.safetensors"),
            (".", "this folder is not a matgl model; name a file of keel"),
        ],
    )
    def test_what_is_no_potential_is_told_what_is_one(self, name, sentence, folder, monkeypatch):
        monkeypatch.chdir(folder)
        (folder / "model").mkdir()
        cgcnn().save(str(folder / "model" / "potential.safetensors"))
        (folder / "model" / "checkpoint.safetensors").touch()  # of keel train
        with pytest.raises(KeelError, match=sentence) as error:
            open_potential(name)
        assert "\n" not in str(error.value)

    def test_a_path_is_never_a_calculator(self):
        assert open_potential(LJ, {"sigma": 2.0})
        with pytest.raises(DataError, match="there is no such file"):
            open_potential(Path(LJ))

    def test_what_comes_from_a_file_is_trained(self, folder, monkeypatch):
        names = write_potentials(folder, monkeypatch)
        assert open_potential(names["matgl"][0]).trained and open_potential(names["json"][0]).trained

    def test_a_file_that_holds_something_else_is_named(self, tmp_path, monkeypatch):
        monkeypatch.setattr("keel.potentials.external.extras.optional", lambda *_: None)
        torch.save(torch.nn.Linear(1, 1), tmp_path / "a.model")
        with pytest.raises(DataError, match=r"a\.model: MACE: the model must be a ScaleShiftMACE, not a Linear"):
            open_potential(tmp_path / "a.model", trust=True)


class TestIdentity:
    """What results of earlier releases were found by."""

    def test_of_files_folders_and_calculators(self, tmp_path):
        def of(path: Path) -> str:
            return hashlib.sha256(path.read_bytes()).hexdigest()

        eam().save(str(tmp_path / "eam.json"))
        folder = matgl_folder(tmp_path / "matgl")
        content = [of(tmp_path / "eam.json")]
        assert Opening(str(tmp_path / "eam.json")).identity == {"name": "eam.json", "arguments": {}, "content": content}
        assert Opening(str(folder)).identity["content"] == [of(folder / "model.json"), of(folder / "state.pt")]
        calculator = {"name": LJ, "arguments": {"sigma": 2.0}, "content": []}
        assert Opening(LJ, {"sigma": 2.0}).identity == calculator

    @pytest.mark.parametrize(
        ("name", "label"),
        [
            ("a/b/mo.json", "mo"),
            ("/nowhere/mo.json", "mo"),
            ("folder", "folder"),
            (LJ, LJ),
            ("/runs/repaired/potential.safetensors", "repaired"),
        ],
    )
    def test_of_names(self, name, label):
        assert Opening(name).label == label

    def test_trust_does_not_change_a_result(self, tmp_path):
        assert Opening("a.model", trust=True).identity == Opening("a.model").identity


class TestDoors:
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("door", DOORS)
    def test_every_door_opens_everything(self, door, kind, folder, monkeypatch):
        DOORS[door](folder, write_potentials(folder, monkeypatch)[kind])

    @pytest.mark.parametrize("kind", ["safetensors", "matgl", "pickled"])
    @pytest.mark.parametrize("door", STARTS)
    def test_every_network_is_trained_on(self, door, kind, folder, monkeypatch):
        STARTS[door](folder, write_potentials(folder, monkeypatch)[kind])

    @pytest.mark.parametrize("door", DOORS)
    def test_every_door_refuses_in_the_same_words(self, door, folder, monkeypatch):
        (folder / "mo.json").write_text("{}")
        for potential, sentence in (
            ([str(pickled_model(folder / "my.model", monkeypatch))], "runs the code in it; use --trust"),
            ([str(folder / "nowhere.safetensors")], "there is no such file"),
            ([str(folder / "mo.json")], "this is not a keel potential"),
        ):
            with pytest.raises(KeelError, match=sentence):
                DOORS[door](folder, potential)

    @pytest.mark.parametrize("door", [name for name in DOORS if name not in ("KeelCalculator", "open_potential")])
    def test_arguments_of_what_takes_none(self, door, folder):
        eam().save(str(folder / "eam.json"))
        with pytest.raises(ValueError, match="arguments belong to a calculator"):
            DOORS[door](folder, [str(folder / "eam.json"), "--arguments", '{"a": 1}'])

    def test_all_commands_ask_alike(self):
        commands = typer.main.get_command(app).commands
        told = {
            option.name: {p.help for c in commands.values() for p in c.params if p.name == option.name}
            for option in commands["md"].params
            if option.name in ("potential", "arguments", "trust")
        }
        assert {name: len(helps) for name, helps in told.items()} == {"potential": 2, "arguments": 1, "trust": 1}
        assert POTENTIALS[1:] in next(p.help for p in commands["md"].params if p.name == "potential")
        asking = {name for name, c in commands.items() if {"arguments", "trust"} <= {p.name for p in c.params}}
        assert asking == {"assess", "dimers", "evaluate", "fit", "md", "perturb", "train"}


class TestOptions:
    def test_arguments_go_to_the_calculators_among_several(self, folder):
        eam().save(str(folder / "eam.json"))
        code, text = command(
            "assess", folder / "eam.json", LJ, "--arguments", TWO_SIGMA, "--data", folder / "data.extxyz",
            "--probes", "accuracy", "--out", folder / "out",
        )  # fmt: skip
        assert code == 0, text
        done = {p.parent.parent.parent.parent.name: json.loads(p.read_text()) for p in folder.rglob("done.json")}
        given = {name: content["inputs"]["potential"]["arguments"] for name, content in done.items()}
        assert given == {"eam": {}, LJ: json.loads(TWO_SIGMA)}

    @pytest.mark.parametrize("options", [["--trust"], ["--arguments", '{"a": 1}']])
    @pytest.mark.parametrize("name", ["fit", "train"])
    def test_options_of_a_potential_that_is_not_named(self, name, options, folder):
        code, text = command(name, folder / "data.extxyz", "--out", folder / "out.json", *options)
        assert code != 0 and "--arguments and --trust belong to a potential, but none is named" in text

    def test_errors_of_another_potential_stand_beside_those_of_a_fit(self, folder):
        keel.write(folder / "test.extxyz", silica(6)[4:])
        eam().save(str(folder / "eam.json"))
        arguments = [folder / "data.extxyz", "--out", folder / "fit.json", "--test", folder / "test.extxyz"]
        plain = json.loads(command("fit", *arguments, "--cutoff", 4, "--json")[1])
        both = json.loads(command("fit", *arguments, "--cutoff", 4, "--json", "--beside", folder / "eam.json")[1])
        beside = both.pop("beside")
        assert both == plain
        assert beside.pop("potential") == str(folder / "eam.json")
        for part, file in (("training", "data.extxyz"), ("test", "test.extxyz")):
            expected = accuracy(keel.load(folder / "eam.json"), keel.read(folder / file)).to_dict()
            assert beside[part] == expected
        assert beside["force_mae_mev_per_angstrom"] == beside["test"]["force_mae_mev_per_angstrom"] < 1e-6
        shown = command("fit", *arguments, "--cutoff", 4, "--beside", folder / "eam.json")[1]
        assert shown.count("training") == 2 and shown.count("eam.json") == 2

    @pytest.mark.parametrize("name", [LJ, "my.model", "matgl"])
    def test_export_says_what_it_takes(self, name, folder):
        code, text = command("export", name, "--out", folder / "a.alloy")
        assert code != 0 and f"{name}: setfl needs an EAM in a file of keel (.safetensors or .json)" in text

    def test_import_makes_a_file_of_keel_of_what_is_trusted(self, folder, monkeypatch):
        model = pickled_model(folder / "my.model", monkeypatch)
        assert "use --trust" in command("import", model, "--out", folder / "own.safetensors")[1]
        code, text = command("import", model, "--trust", "--out", folder / "own.safetensors")
        assert code == 0 and "CGCNN of 2 elements" in text
        assert keel.load(folder / "own.safetensors").config() == cgcnn().config()
        eam().save(str(folder / "eam.json"))
        assert (
            "class EAM, not a network" in command("import", folder / "eam.json", "--out", folder / "b.safetensors")[1]
        )


class TestCalculator:
    """An ASE calculator in one of keel's is of little use, but works."""

    def test_wrapped_twice_is_the_same(self):
        for atoms in (bulk("Cu", cubic=True), bulk("Cu").repeat(2)):
            atoms.rattle(0.05, seed=1)
            other = atoms.copy()
            atoms.calc = keel.KeelCalculator("ase.calculators.emt.EMT")
            other.calc = keel.KeelCalculator(open_potential("ase.calculators.emt.EMT"))
            assert atoms.get_potential_energy() == other.get_potential_energy()
            np.testing.assert_allclose(atoms.get_forces(), other.get_forces())
            np.testing.assert_allclose(atoms.get_stress(), other.get_stress())

    def test_a_calculator_without_stress(self):
        class Origin(Calculator):
            """Atoms tied to the origin."""

            implemented_properties = ("energy", "forces")

            def calculate(self, atoms=None, properties=None, system_changes=all_changes):
                super().calculate(atoms, properties, system_changes)
                self.results = {"energy": 0.5 * float((atoms.positions**2).sum()), "forces": -atoms.positions}

        atoms = bulk("Cu")
        atoms.calc = keel.KeelCalculator(keel.potentials.ASEPotential(Origin()))
        assert atoms.get_forces().shape == (1, 3) and atoms.get_potential_energy() == 0
        with pytest.raises(PropertyNotImplementedError, match="has no stress"):
            atoms.get_stress()
