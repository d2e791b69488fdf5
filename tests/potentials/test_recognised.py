"""Well-known models of other packages: told by name or content, without running them, with what to do."""

from __future__ import annotations

import collections
import json
import os
import pickle
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import keel
from doors import matgl_folder, silica
from keel.cli import app
from keel.errors import ConfigError, DataError, KeelError
from keel.interfaces.setfl import write_setfl
from keel.potentials.external.opening import open_potential
from keel.potentials.external.recognised import MODELS, direction, modules_in


class Exploding:
    """A pickle that leaves a mark where it is read."""

    def __reduce__(self):
        return os.mkdir, ("executed",)


def archive(path: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)


def pickled(module: str) -> bytes:
    """Return a pickle in protocol 2 of a class that is not there."""
    return b"\x80\x02c" + module.encode() + b"\nModel\nq\x00)\x81q\x01."


FILES: dict[str, tuple[bytes | dict[str, bytes], str]] = {
    "graph.pb": (b"\n\x12descrpt_attr/type", 'deepmd.calculator.DP --arguments \'{"model": "graph.pb"}\''),
    "frozen.pth": ({"m/code/__torch__/deepmd/pt/model.py": b""}, "deepmd.calculator.DP"),
    "oam.nequip.zip": ({"oam/nequip/model.py": b""}, "nequip-compile --target ase, then name its ASE calculator"),
    "oam.nequip.pth": ({"oam/code/x.py": b""}, '{"compile_path": "oam.nequip.pth"}'),
    "exported.pt": ({"e/extra/metatomic-version": b"0.1.19"}, "metatomic_ase.MetatomicCalculator"),
    "deployed.pth": ({"d/extra/nequip_version": b"0.6"}, "nequip.ase.NequIPCalculator.from_deployed_model"),
    "last.ckpt": ({"last/data.pkl": pickled("nequip.train.lightning")}, "nequip-compile"),
    "checkpoint_best.pth": ({"c/data.pkl": pickle.dumps({"model_type": "E3_equivariant_model"})}, "SevenNetCalculator"),
    "chgnet_0.3.0.pth.tar": (b"\x80\x02", "chgnet.model.dynamics.CHGNetCalculator.from_file"),
    "mattersim-v1.0.0-1M.pth": (b"\x80\x02", "mattersim.forcefield.MatterSimCalculator"),
    "uma-s-1p1.pt": ({"u/data.pkl": pickled("fairchem.core.units")}, "FAIRChemCalculator.from_model_checkpoint"),
    "orb-v2-20241011.ckpt": (b"\x80\x02", "mine.FUNCTION with --plugin mine.py"),
    "best_model": (pickled("schnetpack.model.base"), "a model of SchNetPack"),
    "mace-lammps.pt": ({"m/code/__torch__/mace/calculators.py": b""}, "give the .model file that it was made from"),
    "other.pt": ({"o/code/__torch__.py": b""}, r"compiled network (TorchScript) of an unknown package"),
    "matgl.pt": ({"m/data.pkl": pickled("matgl.apps.pes")}, "model.save(FOLDER)"),
    "gp.xml": (b'<Potential>\n<GAP_params label="x">', '"args_str": "IP GAP"'),
    "Cu.yace": (b"elements: [Cu]", "pyace.PyACECalculator"),
    "output_potential.yaml": (b"species:\n  - speciesblock: Cu\n    radbasename: SBessel", "pyace.PyACECalculator"),
    "pot.mtp": (b"MTP\nversion = 1.1.0", "a moment tensor potential"),
    "nep.txt": (b"nep4 2 Te Pb\n", 'calorine.calculators.CPUNEP --arguments \'{"model_filename": "nep.txt"}\''),
    "SiC.tersoff": (b"# Tersoff", "pair_coeff * * SiC.tersoff ELEMENTS"),
    "input.nn": (b"number_of_elements 1", "pair_style hdnnp"),
    "calculators.py": (b"def mine(): ...", "calculators.FUNCTION with --plugin calculators.py"),
}


@pytest.mark.parametrize("name", FILES)
def test_every_kind_is_told_what_to_do(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content, words = FILES[name]
    archive(Path(name), content) if isinstance(content, dict) else Path(name).write_bytes(content)
    for trust in (False, True):
        with pytest.raises(DataError) as error:
            open_potential(name, trust=trust)
        assert str(error.value).startswith(f"{name}: this is ") and words in str(error.value)
        assert "\n" not in str(error.value)


def test_all_kinds_are_tried(tmp_path):
    told = []
    for name, (content, _) in [*FILES.items(), ("Cu.eam.alloy", (b"table", ""))]:
        path = tmp_path / name
        archive(path, content) if isinstance(content, dict) else path.write_bytes(content)
        told.append(direction(path))
    assert not [m.name for m in MODELS if not any(sentence.startswith(f"this is {m.name};") for sentence in told)]


def test_names_that_are_no_files_and_folders(tmp_path):
    kim = "SW_StillingerWeber_1985_Si__MO_405512056662_006"
    with pytest.raises(
        DataError, match=r"the name of a model of OpenKIM; name its ASE calculator .*ase\.calculators\.kim\.KIM"
    ):
        open_potential(kim)
    (tmp_path / "saved_model.pb").touch()
    with pytest.raises(
        DataError, match="this folder contains a model of GRACE or another of TensorFlow; name tensorpotential"
    ):
        open_potential(tmp_path)


def test_nothing_is_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(Exploding(), "zipped.pt")
    torch.save(Exploding(), "legacy.pt", _use_new_zipfile_serialization=False)
    Path("plain.pkl").write_bytes(pickle.dumps(Exploding()))
    for name in ("zipped.pt", "legacy.pt", "plain.pkl"):
        assert modules_in(Path(name)) == {"posix"}
        with pytest.raises(KeelError, match=r"use --trust|this is not a potential"):
            open_potential(name)
    assert not Path("executed").exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_weights_alone_are_no_model(zipped, tmp_path):
    weights = collections.OrderedDict(layer=torch.zeros(3))
    torch.save({"state": weights}, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(DataError, match="it contains weights without their network; build the network in its own"):
        open_potential(tmp_path / "a.pt", trust=True)


def test_damaged_files_are_nothing_known(tmp_path):
    for number, content in enumerate((b"", b"PK\x03\x04 damaged", b"\x80\x02", b"\x00" * 50)):
        path = tmp_path / f"{number}.bin"
        path.write_bytes(content)
        assert direction(path) is None and not modules_in(path)


def test_files_of_keel_and_of_matgl_are_not_taken_for_others(tmp_path):
    keel.LennardJones().save(str(tmp_path / "chgnet.json"))
    assert isinstance(open_potential(tmp_path / "chgnet.json"), keel.LennardJones)
    (tmp_path / "like-chgnet.pt").write_bytes(pickled("mace.modules.models"))
    with pytest.raises(ConfigError, match="this is a MACE model, and reading it runs the code in it; use --trust"):
        open_potential(tmp_path / "like-chgnet.pt")
    folder = matgl_folder(tmp_path / "M3GNet-chgnet")
    assert isinstance(open_potential(folder), keel.M3GNet)
    (folder / "model.pt").touch()
    with pytest.raises(DataError, match=f"state.pt: this is a part of a model of matgl; name its folder, {folder}"):
        open_potential(folder / "state.pt")


def test_import_tells_the_same(tmp_path):
    (tmp_path / "orb-v2.ckpt").write_bytes(b"\x80\x02")
    arguments = ["import", str(tmp_path / "orb-v2.ckpt"), "--out", str(tmp_path / "a.safetensors")]
    assert "this is an Orb model" in str(CliRunner().invoke(app, arguments).exception)


def advised(path: Path) -> tuple[str, dict]:
    """Return the calculator and its arguments that a user is told to name."""
    calculator, arguments = re.search(r": ([\w.]+) --arguments '(.*)'", direction(path)).groups()
    return calculator, json.loads(arguments)


@pytest.mark.parametrize("name", ["p.eam.alloy", "p.setfl"])
def test_the_advice_for_a_table_of_an_eam_is_right(name, tmp_path):
    frames = keel.read(Path(__file__).parents[1] / "files" / "phosphorus.extxyz.xz")[:6]
    eam = keel.fit_eam(frames, 5.0, contacts=False).potential
    write_setfl(eam, tmp_path / name)
    calculator, arguments = advised(tmp_path / name)
    graph = keel.batch(frames[0], 5.0)
    theirs = open_potential(calculator, arguments)(graph).forces
    torch.testing.assert_close(theirs, eam(graph).forces, rtol=0, atol=0.02)


def test_a_calculator_may_be_made_by_a_method_of_a_class(tmp_path, monkeypatch):
    """As those of NequIP, CHGNet and fairchem are."""
    text = (
        "from ase.calculators.lj import LennardJones\n"
        "class Made(LennardJones):\n"
        "    @classmethod\n"
        "    def from_file(cls, path):\n"
        "        return cls(sigma=float(open(path).read()), smooth=True)\n"
    )
    (tmp_path / "made_by_method.py").write_text(text)
    (tmp_path / "sigma").write_text("2.0")
    monkeypatch.syspath_prepend(tmp_path)
    made = open_potential("made_by_method.Made.from_file", {"path": str(tmp_path / "sigma")})
    same = open_potential("ase.calculators.lj.LennardJones", {"sigma": 2.0, "smooth": True})
    graph = keel.batch(silica(1), 5.0)
    assert np.array_equal(made(graph).forces.numpy(), same(graph).forces.numpy())
    for name in ("made_by_method.Made.nothing", "made_by_method.Nothing.at_all", "nowhere.at.all"):
        with pytest.raises(ConfigError, match="cannot be imported"):
            open_potential(name)


def test_a_program_in_the_working_folder_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_program.py").touch()
    with pytest.raises(ConfigError, match=r"no file with this name; name the program with --plugin own_program\.py"):
        open_potential("own_program.calculator")
