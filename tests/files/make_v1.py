"""Small files of every format that keel 0.1.0 writes, for later versions to read.

Made with keel 0.1.0, commit fe50e08; every random choice has a seed. From a checkout of that commit:

    OMP_NUM_THREADS=1 PYTHONPATH=CHECKOUT/src python tests/files/make_v1.py

All goes to ``v1`` beside this file, which is emptied first. What is large and never read again is left out: figures and
HTML pages. Files of HDF5, mostly empty, are packed with their checkpoints in ``trajectories/hdf5.zip``;
ASE's database and the table for LAMMPS are compressed. The name of the machine's system is left out as well.

Wall times, memory, dates and the ``unique_id`` of ASE's database are others each time, and last digits of computed
numbers may be on another machine.
"""

# ruff: noqa: I001  (modules are imported from where they were at that commit)

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import nullcontext, redirect_stdout, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import yaml

import keel
from keel.atoms.frame import Frame
from keel.cli import app
from keel.config import read_config
from keel.dynamics import Trajectory, simulate
from keel.dynamics.results import Snapshot
from keel.potentials.base import Potential
from keel.potentials.network import Network
from keel.reporting.study import write_study
from keel.training.stages import prepare
from keel.workflow.run import run

HERE = Path(__file__).resolve().parent / "v1"
COMMIT, SOURCES = "fe50e08", "af917ec279f368b776e23ac6d3d87e7f3174becc8154124d57a53b4c2db2da4e"
"""The commit, and a hash of the package's code at it."""
COMMANDS = Path("commands.txt")
"""Every command line whose output is kept, one a line; they were given in ``v1``."""

# --- Potentials ------------------------------------------------------------------------------------------------------

CGCNN = {"cutoff": 4.0, "features": 4, "convolutions": 1, "gaussians": 8, "hidden": 4}
M3GNET = {"cutoff": 4.0, "node_features": 4, "edge_features": 4, "units": 4, "blocks": 1, "three_body_cutoff": 3.0}
TORCHMD = {"cutoff": 4.0, "channels": 4, "layers": 1, "heads": 2, "num_rbf": 8}
OTHER_OPTIONS: dict[str, tuple[type[Network], dict[str, Any]]] = {
    "cgcnn-switch": (keel.CGCNN, {**CGCNN, "convolutions": 2, "switch_from": 0.5}),
    "m3gnet-smooth-basis": (keel.M3GNet, {**M3GNET, "smooth_basis": True, "activation": "softplus2"}),
    "torchmdet-gauss": (
        keel.TorchMDET,
        {**TORCHMD, "rbf_type": "gauss", "trainable_rbf": True, "output_model": "Scalar", "neighbor_embedding": False},
    ),
}


def phosphorus() -> list[Frame]:
    """Return six frames of each phase, early ones first."""
    return [*keel.datasets.phosphorus("black")[:6], *keel.datasets.phosphorus("liquid-P4")[:6]]


def network(cls: type[Network], seed: int = 0, dtype: torch.dtype = torch.float32, **options: Any) -> Network:
    """Return a network with random weights, twice the usual so that forces are large; offsets and scale as trained."""
    torch.manual_seed(seed)
    new = cls(elements=["P"], **options)
    with torch.no_grad():
        for weights in (p for p in new.parameters() if p.ndim == 2):
            weights.mul_(2.0)
    prepare(new, phosphorus())
    return new.to(dtype)


def networks() -> dict[str, Potential]:
    """Return small networks by the names of their files."""
    found: dict[str, Potential] = {}
    for cls, options in ((keel.CGCNN, CGCNN), (keel.M3GNet, M3GNET), (keel.TorchMDET, TORCHMD)):
        for mode in ("smooth", "reference"):
            for dtype in (torch.float32, torch.float64):
                name = f"{cls.__name__.lower()}-{mode}-{str(dtype).removeprefix('torch.')}.safetensors"
                found[name] = network(cls, dtype=dtype, mode=mode, **options)
    others = {f"{name}.safetensors": network(cls, **options) for name, (cls, options) in OTHER_OPTIONS.items()}
    return found | others


def closed_forms() -> dict[str, Potential]:
    """Return potentials without weights by the names of their files."""
    eam = keel.fit_eam(phosphorus(), cutoff=5.0).potential
    cored = keel.fit_eam(phosphorus(), cutoff=5.0, zbl=True).potential
    argon = keel.LennardJones(epsilon=0.02, sigma=2.2, cutoff=5.0)
    argon.set_offsets({15: -1.25})
    difference = keel.SumPotential([eam, argon], weights=[1.0, -0.5])
    difference.set_offsets({15: 0.75})
    return {
        "eam.json": eam,
        "eam.safetensors": eam,
        "eam-start.json": keel.EAM.from_elements(["P"], cutoff=4.5),
        "eam-oxide.json": keel.EAM.from_elements(["O", "P"], cutoff=4.5),
        "zbl.json": keel.ZBL(),
        "zbl-pairs.json": keel.ZBL(inner=0.5, outer=1.0, pairs=[("P", "P", 1.2), ("O", "P")], elements=["O", "P"]),
        "zbl.safetensors": keel.ZBL(elements=["P"]),
        "lennard-jones.json": argon,
        "lennard-jones.safetensors": argon,
        "sum-eam-zbl.json": cored,
        "sum-difference.json": difference,
        "sum-difference.safetensors": difference,
    }


def sums_with_networks(eam: Potential) -> dict[str, Potential]:
    """Return networks on other potentials by the names of their files."""
    zbl = keel.ZBL(elements=["P"])
    inner = keel.SumPotential([network(keel.CGCNN, **CGCNN), eam], weights=[1.0, 0.5])
    return {
        "sum-zbl-cgcnn.safetensors": keel.SumPotential([zbl, network(keel.CGCNN, **CGCNN)]),
        "sum-zbl-cgcnn-float64.safetensors": keel.SumPotential(
            [zbl, network(keel.CGCNN, dtype=torch.float64, **CGCNN)]
        ),
        "sum-nested.safetensors": keel.SumPotential([inner, zbl]),
    }


def compressed(frame: Frame, factor: float) -> Frame:
    """Return the frame with all lengths times a factor, so that atoms are close enough for nuclear repulsion."""
    return frame.unlabelled().replace(positions=factor * frame.positions, cell=factor * frame.cell)


def prediction(path: Path, frame: Frame) -> dict[str, Any]:
    """Return what a potential file says of a structure, in its own precision."""
    potential = keel.load(path)
    found = potential(keel.batch(frame, cutoff=potential.cutoff, dtype=potential.dtype))
    return {
        "class": type(potential).__name__,
        "dtype": str(potential.dtype).removeprefix("torch."),
        "energy": found.energy.item(),
        "forces": found.forces.tolist(),
        "stress": found.stress[0].tolist(),
    }


def make_potentials(folder: Path) -> None:
    """Write a file of each class and kind, and what is read from it gives for one structure."""
    frame = compressed(keel.datasets.phosphorus("liquid-P4")[30], 0.75)
    keel.write(folder / "structure.extxyz", frame)
    members = closed_forms()
    members |= networks() | sums_with_networks(members["eam.json"])
    for name, potential in members.items():
        potential.save(str(folder / name))
    members["eam.json"].float().save(str(folder / "eam-float32.safetensors"))
    files = sorted(p for p in folder.iterdir() if p.name != "structure.extxyz")
    write_json(folder / "expected.json", {p.name: prediction(p, frame) for p in files})


# --- Runs and what is made of them -----------------------------------------------------------------------------------

SPLIT = {"by": "start", "group": "phase", "train": 3, "validation": 1, "test_frames": 2}
TINY: dict[str, Any] = {
    "name": "phosphorus",
    "description": "Black phosphorus and liquid P4 on a tiny scale.",
    "data": {"files": ["phosphorus"], "split": SPLIT},
    "teacher": {"cutoff": 5.0},
    "networks": [{"architecture": "CGCNN", **CGCNN}],
    "training": {"steps": 20, "batch_size": 2, "validate_every": 10, "checkpoint_every": 2, "warmup_steps": 2},
    "md": {"temperatures": [500, 60000], "runs": 2, "length_fs": 20, "longest_fs": 40},
    "evaluation": {"rdf_temperature": 500, "rdf_length_fs": 20, "rdf_runs": 1},
}
GENTLE = {"pretrain_share": 0.3, "replay_share": 0.1, "teacher_energies": False, "sam_rho": 0.01, "rate": 0.5}
RUNS: dict[str, dict[str, Any]] = {
    "run": {
        "strategies": ["vanilla", "pretrain", "repair", "zbl-delta", "eam-delta", "gentle"],
        "custom_strategies": {"gentle": GENTLE},
    },
    "run-teacher-file": {
        "teacher": {"file": "potentials/eam.json"},
        "networks": [
            {"architecture": "M3GNet", **M3GNET, "training": {"steps": 12, "loss": {"kind": "l2", "stress": 0.0}}},
            {"start": "potentials/torchmdet-smooth-float32.safetensors", "name": "trained"},
        ],
        "strategies": ["vanilla", "pretrain"],
        "perturbation": {"rounds": 3, "strain": 0.02},
        "evaluation": {"rdf_temperature": None, "dimers": False},
    },
    "run-teacher-calculator": {
        "teacher": {
            "calculator": "ase.calculators.lj.LennardJones",
            "arguments": {"sigma": 2.0, "epsilon": 0.1, "rc": 5.0},
        },
        "strategies": ["pretrain"],
        "seeds": [1],
        "evaluation": {"dimers": False},
    },
}


STOPPED = {"extends": "run.yaml", "strategies": ["vanilla"]}
"""A run whose first training is interrupted; the finished run has the same stage."""


def make_run(name: str) -> None:
    """Perform the tiny run of ``NAME.yaml``."""
    write_yaml(Path(f"{name}.yaml"), {**TINY, **RUNS[name]})
    command("run", f"{name}.yaml", "--out", name)
    leave_out_pages(Path(name))


def make_stopped_run(name: str) -> None:
    """Interrupt a run while it trains, at a step that has no checkpoint."""
    write_yaml(Path(f"{name}.yaml"), STOPPED)

    def stop(taken: int, *_: object) -> None:
        if taken == 9:
            raise KeyboardInterrupt

    with patch("keel.workflow.make.bar", lambda *_: nullcontext(stop)), suppress(KeyboardInterrupt):
        run(read_config(f"{name}.yaml"), name)
        raise AssertionError("it was not interrupted")


def make_folders(path: Path) -> None:
    """Write the names of the finished stages of each run and of the assessment."""
    roots = (*RUNS, "run-stopped", "assessment")
    stages = {
        root: sorted(p.parent.relative_to(root).as_posix() for p in Path(root).rglob("done.json")) for root in roots
    }
    path.write_text(json.dumps(stages, indent=1) + "\n")


def make_assessment(folder: Path) -> None:
    """Assess two potentials side by side; at the highest temperature runs fail, of which there are films."""
    write_small(Path("structures.extxyz"))
    command(
        *("assess", "potentials/cgcnn-smooth-float32.safetensors", "potentials/eam.json"),
        *("--data", "structures.extxyz", "--out", str(folder), "--probes", "stability,accuracy,clusters"),
        *("--starts", "2", "--length-fs", "10", "--temperatures", "300,60000", "--seed", "1"),
    )
    leave_out_pages(folder)


def make_study(folder: Path) -> None:
    """Put the runs together, the interrupted one too."""
    write_study(".", folder)
    leave_out_pages(folder)


def leave_out_pages(folder: Path) -> None:
    """Delete figures and HTML: they are large, and nothing reads them."""
    shutil.rmtree(folder / "figures", ignore_errors=True)
    for page in folder.glob("*.html"):
        page.unlink()


# --- Simulations -----------------------------------------------------------------------------------------------------

TETRAHEDRON = 0.79 * np.array([[1.0, 1.0, 1.0], [1.0, -1.0, -1.0], [-1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]])
SUFFIXES = ("extxyz", "h5", "traj", "extxyz.gz")
MD: dict[str, Any] = {
    "temperature": 300.0,
    "steps": 40,
    "timestep": 1.0,
    "friction": 0.02,
    "seed": 5,
    "record_every": 4,
    "max_atoms": 8,
    "checkpoint_every": 5,
}
NPT = {**MD, "ensemble": "npt", "pressure": (0.0, 1.0), "pressure_time": 200.0, "runs": [3, 4, 8]}
INTERRUPTED_AT = 57
"""Steps that were done, of 40 in the first batch and 40 in the second, which then has one run that failed."""


def write_small(path: Path) -> None:
    """Write two tetrahedra, each in a box, with made-up labels."""
    cell, pbc = 9.0 * np.eye(3), np.ones(3, dtype=bool)
    rng = np.random.default_rng(3)
    frames = [
        Frame(
            numbers=np.full(4, 15),
            positions=4.5 + TETRAHEDRON + 0.03 * rng.normal(size=(4, 3)),
            cell=cell,
            pbc=pbc,
            energy=-716.0 - 0.25 * k,
            forces=np.round(rng.normal(size=(4, 3)), 3),
            stress=-1e-3 * (k + 1) * np.eye(3),
            info={"phase": "tetrahedron", "number": k},
        )
        for k in range(2)
    ]
    keel.write(path, frames)


def write_starts(path: Path) -> None:
    """Write the starts of simulations: two tetrahedra, and two atoms on the repulsive wall, whose run soon fails."""
    doomed = Frame(np.full(2, 15), np.array([[0.0, 0, 0], [1.85, 0, 0]]), 9.0 * np.eye(3), np.ones(3, dtype=bool))
    keel.write(path, [*(frame.unlabelled() for frame in keel.read("structures.extxyz")), doomed])


def md_command(name: str, devices: int = 1) -> None:
    """Simulate from the command line, on several devices in as many processes."""
    command(
        *("md", "potentials/eam.json", "trajectories/starts.extxyz", "-T", str(MD["temperature"]), "--timestep", "1"),
        *("--length-fs", str(MD["steps"]), "--friction", str(MD["friction"]), "--seed", str(MD["seed"])),
        *("--record-every", str(MD["record_every"]), "--max-atoms", str(MD["max_atoms"])),
        *("--checkpoint-every", str(MD["checkpoint_every"]), "--out", f"trajectories/{name}"),
        *("--device", "cpu", "--devices", str(devices)),
        here=devices == 1,
    )


def make_trajectories(folder: Path) -> None:
    """Write finished and interrupted simulations in each format, and how they end."""
    write_starts(folder / "starts.extxyz")
    for suffix in SUFFIXES:
        md_command(f"finished.{suffix}")
    md_command("parts.extxyz", devices=2)
    told = {f"interrupted.{suffix}": MD for suffix in SUFFIXES} | {"interrupted-npt.extxyz": NPT}
    for name, arguments in told.items():
        interrupt(folder / name, arguments)
    told |= dict.fromkeys((*(f"finished.{suffix}" for suffix in SUFFIXES), "parts.extxyz"), MD)
    used = {"potential": "potentials/eam.json", "starts": "trajectories/starts.extxyz"}
    kinds = {"nvt": (MD, ends(MD)), "npt": (NPT, ends(NPT))}
    files = {name: "npt" if arguments is NPT else "nvt" for name, arguments in told.items()}
    results = {kind: {"arguments": arguments, "results": found} for kind, (arguments, found) in kinds.items()}
    write_json(folder / "expected.json", {**used, "files": files, **results})
    pack(folder / "hdf5.zip", folder.glob("*.h5*"))


def pack(archive: Path, members: Iterable[Path]) -> None:
    """Move files and folders into an archive."""
    room = archive.with_suffix("")
    room.mkdir()
    for member in sorted(members):
        member.rename(room / member.name)
    shutil.make_archive(str(room), "zip", room)
    shutil.rmtree(room)


def simulated(arguments: dict[str, Any], **more: Any) -> list[Trajectory]:
    """Simulate from the stored starts."""
    starts = keel.read("trajectories/starts.extxyz", require=())
    return simulate(keel.load("potentials/eam.json"), starts, **arguments, **more)


def interrupt(path: Path, arguments: dict[str, Any]) -> None:
    """Simulate until some steps are done."""
    calls = iter(range(INTERRUPTED_AT))

    def stop(*_: int) -> None:
        if next(calls, None) is None:
            raise KeyboardInterrupt

    with suppress(KeyboardInterrupt):
        simulated(arguments, out=path, callback=stop)
        raise AssertionError("it was not interrupted")


def ends(arguments: dict[str, Any]) -> list[dict[str, Any]]:
    """Return how each run ends if nothing interrupts it."""
    return [
        {"run": t.run, "time": t.time, "cause": t.cause, "last": state(t.last), "failed": t.failed and state(t.failed)}
        for t in simulated(arguments)
    ]


def state(snapshot: Snapshot) -> dict[str, Any]:
    """Return a state as plain numbers."""
    frame = snapshot.frame
    arrays = {"positions": frame.positions, "velocities": snapshot.velocities, "cell": frame.cell}
    return {"step": snapshot.step, "energy": frame.energy, **{k: v.tolist() for k, v in arrays.items()}}


# --- Training --------------------------------------------------------------------------------------------------------

TRAINING = {"steps": 24, "batch_size": 2, "validate_every": 4, "checkpoint_every": 3, "warmup_steps": 2}
CALL: dict[str, Any] = {
    "network": {"class": "CGCNN", "elements": ["P"], **CGCNN, "seed": 7},
    "frames": "training/train.extxyz",
    "validation": "training/validation.extxyz",
    "teacher": "potentials/eam.json",
    "strategy": "pretrain",
    "settings": {**TRAINING, "device": "cpu"},
    "seed": 3,
}
INTERRUPTIONS = {"fine-tuning": ("train", 11), "between-stages": ("train", 1), "pretraining": ("pretrain", 4)}
"""Stage and step, not done any more, at which training was interrupted; checkpoints are older."""


def make_training(folder: Path) -> None:
    """Write interrupted trainings, and the network and metrics with which they end."""
    frames = phosphorus()
    keel.write(folder / "train.extxyz", frames[:2] + frames[6:8])
    keel.write(folder / "validation.extxyz", [frames[5], frames[11]])
    train(folder / "finished").save(str(folder / "finished" / "potential.safetensors"))
    for name, (stage, step) in INTERRUPTIONS.items():
        with suppress(KeyboardInterrupt):
            train(folder / name, stopper(stage, step))
            raise AssertionError("it was not interrupted")
    write_json(folder / "arguments.json", {**CALL, "interrupted": INTERRUPTIONS})
    command(
        *("train", "training/train.extxyz", "--out", "training/command", "--strategy", "repair", "--steps", "20"),
        *("--start", "potentials/cgcnn-smooth-float32.safetensors", "--teacher", "potentials/eam.json"),
        *("--batch-size", "2", "--validation", "0.25", "--device", "cpu"),
    )


def train(folder: Path, on_step: Callable[[dict[str, Any]], None] | None = None) -> Potential:
    """Train with the arguments that are stored."""
    told = dict(CALL["network"])
    torch.manual_seed(told.pop("seed"))
    new = getattr(keel, told.pop("class"))(**told)
    return keel.train(
        new,
        keel.read(CALL["frames"]),
        validation=keel.read(CALL["validation"]),
        teacher=keel.load(CALL["teacher"]),
        strategy=CALL["strategy"],
        settings=keel.TrainingSettings(**CALL["settings"]),
        seed=CALL["seed"],
        folder=folder,
        on_step=on_step,
    ).potential


def stopper(stage: str, step: int) -> Callable[[dict[str, Any]], None]:
    """Return what interrupts training at a step."""

    def stop(row: dict[str, Any]) -> None:
        if (row["stage"], row["step"]) == (stage, step):
            raise KeyboardInterrupt

    return stop


# --- Structures and text ---------------------------------------------------------------------------------------------

STRUCTURES = ("extxyz", "extxyz.gz", "extxyz.xz", "xyz.bz2", "npz", "db")


def make_structures(folder: Path) -> None:
    """Write frames in each format, one without labels and one that is not periodic, and perturbed ones."""
    frames = [*keel.read("structures.extxyz"), keel.read("trajectories/starts.extxyz", require=())[2]]
    frames.append(frames[0].replace(pbc=np.zeros(3, dtype=bool), cell=np.zeros((3, 3)), stress=None))
    for suffix in STRUCTURES:
        keel.write(folder / f"frames.{suffix}", frames)
    compress(folder / "frames.db")
    perturb = ("perturb", "structures.extxyz", "--teacher", "potentials/eam.json", "--rounds", "2", "--seed", "4")
    for suffix in ("extxyz", "npz"):
        command(*perturb, "--out", f"structures/perturbed.{suffix}")


def make_texts(folder: Path) -> None:
    """Write tables for other programs, and what commands print as JSON."""
    command("export", "potentials/eam-start.json", "--out", f"{folder}/eam.alloy")
    compress(folder / "eam.alloy")
    command("census", "structures.extxyz", "structures/frames.npz", "--json", told=folder / "census.json")
    command("fit", "training/train.extxyz", "--cutoff", "5", "--out", f"{folder}/fit-potential.json", "--json",
            told=folder / "fit.json")  # fmt: skip
    command("evaluate", "potentials/eam.json", "training/train.extxyz", "--json", told=folder / "evaluate.json")
    command("md", "potentials/eam.json", "trajectories/starts.extxyz", "-T", "300", "--length-fs", "10", "--json",
            told=folder / "md.json")  # fmt: skip
    command("dimers", "potentials/eam.json", "--out", str(folder), "--json", told=folder / "dimers.json")
    (folder / "dimers.png").unlink()


def compress(path: Path) -> None:
    """Replace a file by its compressed copy."""
    Path(f"{path}.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    path.unlink()


# --- All of it -------------------------------------------------------------------------------------------------------


def command(*arguments: str, told: Path | None = None, here: bool = True) -> None:
    """Run a command of keel, in this process if ``here``, and note it; with ``told`` its output goes to this file."""
    line = shlex.join(("keel", *arguments)) + ("" if told is None else f" > {told}")
    with COMMANDS.open("a") as file:
        file.write(f"{line}\n")
    print(line, flush=True)
    if not here:
        subprocess.run([sys.executable, "-m", "keel", *arguments], check=True)
        return
    if told is None:
        app(arguments, standalone_mode=False)
        return
    with told.open("w", encoding="utf-8") as file, redirect_stdout(file):
        app(arguments, standalone_mode=False)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write JSON with all digits of every number, an entry a line."""
    path.write_text("{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in content.items()) + "\n}\n")


def write_yaml(path: Path, content: dict[str, Any]) -> None:
    """Write a configuration."""
    path.write_text(yaml.safe_dump(content, sort_keys=False))


def sources(package: Path) -> str:
    """Return a hash of the code of a package."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def check(root: Path, forbidden: Iterable[str]) -> None:
    """Raise if a file names the place where it was made."""
    words = [word.encode() for word in forbidden]
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        if found := [word for word in words if word in path.read_bytes()]:
            raise AssertionError(f"{path} holds {found[0].decode()}")


def main() -> None:
    """Make everything."""
    package = Path(keel.__file__).parent
    if sources(package) != SOURCES:
        raise SystemExit(f"{package}: this is not the code of commit {COMMIT}")
    shutil.rmtree(HERE, ignore_errors=True)
    for name in ("potentials", "trajectories", "training", "structures", "text"):
        (HERE / name).mkdir(parents=True)
    os.chdir(HERE)  # files name others as they were given: all paths are relative
    os.environ["USER"] = "keel"  # ASE writes it into databases
    with patch("platform.platform", lambda: "Linux"), patch("platform.processor", lambda: "x86_64"):
        make()
    check(Path(), (str(HERE.parent), str(package), f"{Path.home()}/"))


def make() -> None:
    """Make everything in the working directory."""
    make_potentials(Path("potentials"))
    make_assessment(Path("assessment"))
    make_trajectories(Path("trajectories"))
    make_training(Path("training"))
    make_structures(Path("structures"))
    make_texts(Path("text"))
    for name in RUNS:
        make_run(name)
    make_stopped_run("run-stopped")
    make_study(Path("study"))
    make_folders(Path("folders.json"))


if __name__ == "__main__":
    main()
