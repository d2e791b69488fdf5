"""What the front door opens, one of each kind, and every place in which a user names a potential."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from typer.testing import CliRunner

import keel
from keel.atoms.frame import Frame
from keel.cli import app
from keel.config import NetworkSettings, TeacherSettings
from keel.workflow.make import build_network, given_teacher
from small_potentials import cgcnn, eam

LJ = "ase.calculators.lj.LennardJones"
TWO_SIGMA = json.dumps({"sigma": 2.0, "smooth": True})


def silica(n: int = 4) -> list[Frame]:
    """Return small crystals of Si and O with the labels of an EAM."""
    rng, frames = np.random.default_rng(0), []
    for _ in range(n):
        positions = np.array([[0.0, 0, 0], [1.7, 0, 0], [0, 1.8, 0], [2.1, 2.2, 2.0]]) + rng.normal(0, 0.05, (4, 3))
        frame = Frame(np.array([14, 8, 8, 14]), positions, 4.2 * np.eye(3), np.ones(3, dtype=bool))
        p = eam()(keel.batch(frame, 5.0, dtype=torch.float64))
        frames.append(frame.replace(energy=float(p.energy), forces=p.forces.numpy(), stress=p.stress[0].numpy()))
    return frames


def matgl_folder(folder: Path) -> Path:
    """Write an M3GNet as matgl does; return its folder."""
    arrays = np.load(Path(__file__).parent / "reference" / "m3gnet.npz")
    folder.mkdir()
    (folder / "model.json").write_text(str(arrays["bessel/description"]))
    prefix = "bessel/state/"
    state = {k.removeprefix(prefix): torch.from_numpy(arrays[k]) for k in arrays if k.startswith(prefix)}
    torch.save(state, folder / "state.pt")
    return folder


def pickled_model(path: Path, monkeypatch) -> Path:
    """Write a file that runs code when it is read, and let what is in it stand for a MACE model."""
    monkeypatch.setattr("keel.potentials.external.extras.optional", lambda *_: None)
    monkeypatch.setattr("keel.potentials.external.mace.MACE.from_model", lambda model, head: model.eval())
    network = cgcnn()
    network.trained = True
    torch.save(network, path)
    return path


def write_potentials(folder: Path, monkeypatch) -> dict[str, list[str]]:
    """Return for each kind of potential its name and the options that open it."""
    eam().save(str(folder / "eam.json"))
    cgcnn().save(str(folder / "net.safetensors"))
    return {
        "json": [str(folder / "eam.json")],
        "safetensors": [str(folder / "net.safetensors")],
        "matgl": [str(matgl_folder(folder / "matgl"))],
        "pickled": [str(pickled_model(folder / "my.model", monkeypatch)), "--trust"],
        "calculator": [LJ, "--arguments", TWO_SIGMA],
    }


def _command(*before: str, option: str | None = None) -> Callable[[Path, list[str]], None]:
    """Return what calls a command with a potential, first of all or as an option; it raises what the command does."""

    def call(folder: Path, potential: list[str]) -> None:
        name, *options = potential
        named = [name] if option is None else [option, name]
        command, *rest = (str(folder / part) if "." in part and part[0].isalpha() else part for part in before)
        arguments = [command, *named, *rest, *options] if option is None else [command, *rest, *named, *options]
        done = CliRunner().invoke(app, arguments)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == 0, done.output

    return call


def _calculator(folder: Path, potential: list[str]) -> None:
    atoms = silica()[0].to_ase()
    atoms.calc = keel.KeelCalculator(potential[0], **_keywords(potential))
    assert np.isfinite(atoms.get_forces()).all() and atoms.get_stress().shape == (6,)


def _python(folder: Path, potential: list[str]) -> None:
    assert keel.open_potential(potential[0], **_keywords(potential))(keel.batch(silica(), 5.0)).forces.shape == (16, 3)


def _teacher(folder: Path, potential: list[str]) -> None:
    given = _keywords(potential)
    name = {"calculator" if potential[0] == LJ else "file": potential[0]}
    assert given_teacher(TeacherSettings(**name, **given))(keel.batch(silica(), 5.0)).energy.shape == (4,)


def _start(folder: Path, potential: list[str]) -> None:
    settings = NetworkSettings(start=potential[0], **{k: v for k, v in _keywords(potential).items() if k == "trust"})
    assert build_network(settings, [8, 14], 0).trained


def _keywords(potential: list[str]) -> dict:
    options = potential[1:]
    if "--arguments" in options:
        return {"arguments": json.loads(options[options.index("--arguments") + 1])}
    return {"trust": True} if "--trust" in options else {}


DOORS: dict[str, Callable[[Path, list[str]], None]] = {
    "md": _command("md", "data.extxyz", "-T", "50", "--length-fs", "2", "--runs", "1"),
    "dimers": _command("dimers", "--elements", "O"),
    "evaluate": _command("evaluate", "data.extxyz", "--json"),
    "perturb": _command("perturb", "data.extxyz", "--out", "children.extxyz", "--rounds", "2", option="--teacher"),
    "fit": _command("fit", "data.extxyz", "--out", "fitted.json", "--cutoff", "4", option="--beside"),
    "train": _command(
        "train", "data.extxyz", "--out", "model.d", "--preset", "small", "--cutoff", "4", "--validation", "0.25",
        "--steps", "10", option="--teacher",
    ),
    "assess": _command("assess", "--data", "data.extxyz", "--probes", "accuracy", "--out", "assessed.d"),
    "KeelCalculator": _calculator,
    "open_potential": _python,
    "teacher": _teacher,
}  # fmt: skip
"""Each opens a potential and uses it; the folder holds ``data.extxyz``."""
STARTS: dict[str, Callable[[Path, list[str]], None]] = {
    "networks": _start,
    "train": _command(
        "train",
        "data.extxyz",
        "--out",
        "model.d",
        "--strategy",
        "vanilla",
        "--validation",
        "0.25",
        "--steps",
        "2",
        option="--start",
    ),
}
"""Those that train on what they open."""
