"""keel's networks against those of their authors: time and memory of a training step and of an MD step.

    python benchmarks/networks.py ../shared/data/silica/zeolites-pbe-d3.extxyz --out docs/results/speed/networks.json

Each peer lives in a virtual environment of its own, made on first use in --environments. Both sides run float32 with
denormal numbers flushed, in processes that take turns, step by step; a ratio is taken pair by pair. Training: 4 frames
of 108 atoms, or one larger frame; energy, forces and stress (the equivariant transformer's peer has no stress).
MD: five steps of ASE's Langevin dynamics with either side's own ASE calculator. Sodalite, cutoff 5 angstrom.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase.io import read, write

HERE = Path(__file__).resolve().parent
WORKERS = HERE / "network_workers"
SUPERCELLS = {108: (3, 1, 1), 864: (6, 2, 2), 6912: (12, 4, 4), 24192: (12, 8, 7), 48384: (24, 8, 7)}
PEERS = {
    "pyg": ["torch-geometric==2.8.*", "vesin", "ase"],
    "matgl": ["matgl==4.1.2", "ase"],
    "torchmdnet": ["torchmd-net==3.1.0", "ase"],
}
PYTHONS: dict[str, str] = {}
"""Versions of Python that peers need where this one does not do, found on PATH."""
CGCNN = {"features": 100, "convolutions": 4, "gaussians": 50, "hidden": 128}
NETWORKS: dict[str, tuple[dict[str, Any], str, dict[str, Any]]] = {
    "CGCNN": ({"network": "CGCNN", **CGCNN}, "pyg", CGCNN),
    "M3GNet": ({"network": "M3GNet", "preset": "paper"}, "matgl", {}),
    "TorchMD-ET 64x4": (
        {"network": "TorchMDET", "channels": 64, "layers": 4, "output_model": "Scalar"},
        "torchmdnet",
        {"channels": 64, "layers": 4},
    ),
    "TorchMD-ET 128x8": (
        {"network": "TorchMDET", "channels": 128, "layers": 8, "output_model": "Scalar"},
        "torchmdnet",
        {"channels": 128, "layers": 8},
    ),
}


class Worker:
    """A process that runs one task when told to."""

    def __init__(self, python: str, script: str, spec: dict[str, Any]) -> None:
        threads = str(spec["threads"])
        limits = {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "OMP_WAIT_POLICY": "PASSIVE"}
        self.process = subprocess.Popen(
            [python, str(WORKERS / f"worker_{script}.py"), json.dumps(spec)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **limits},
        )

    def answer(self) -> dict[str, Any]:
        """Wait for a line; an error if the process has died (of memory, as a rule)."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        while line and not line.startswith("{"):  # what a package says of itself when it is imported
            line = self.process.stdout.readline()
        return json.loads(line) if line else {"error": f"the process ended with {self.process.wait()}"}

    def run(self) -> dict[str, Any]:
        """Run the task once."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write("run\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        return self.answer()

    def stop(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()


def python_of(peer: str, environments: Path) -> str:
    """Return the interpreter of a peer's virtual environment, which is made if it is not there."""
    folder = environments / peer
    python = str(folder / "bin" / "python")
    if not folder.exists():
        print(f"installing {peer} into {folder}", flush=True)
        subprocess.run([interpreter(peer), "-m", "venv", folder], check=True)
        torch = os.environ.get("TORCH", "torch==2.13.0")
        for packages in ([torch], PEERS[peer]):
            subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
    return python


def interpreter(peer: str) -> str:
    """Return the Python that a peer needs."""
    if peer not in PYTHONS:
        return sys.executable
    name = f"python{PYTHONS[peer]}"
    found = shutil.which(name)
    if found is None or subprocess.run([found, "--version"], capture_output=True).returncode:
        raise SystemExit(f"{peer} needs {name}, which is not on PATH: install it, or add its folder to PATH")
    return found


def write_frames(data: Path, folder: Path, atoms: int, kind: str) -> Path:
    """Write sodalite frames of so many atoms, with labels; four for a training step of small frames."""
    target = folder / f"{atoms}-{kind}.extxyz"
    if not target.exists():
        count = 4 if kind == "train" and atoms < 500 else 1
        found = [a for a in read(data, ":") if a.info.get("topology") == "sod"]
        frames = []
        for a in found[:: len(found) // count][:count]:
            copies = atoms // len(a)
            big = a.repeat(SUPERCELLS[atoms])
            big.info = {"total_energy": copies * a.get_potential_energy()}
            big.set_array("dft_forces", np.tile(a.get_forces(), (copies, 1)))
            frames.append(big)
        write(target, frames)
    return target


def compare(keel: Worker, peer: Worker | None, repeats: int) -> dict[str, Any]:
    """Run both in turn; medians in ms, ratios keel / peer of each pair."""
    workers = {"keel": keel} | ({} if peer is None else {"peer": peer})
    record: dict[str, Any] = {}
    for name, worker in workers.items():
        first = worker.answer()
        record[name] = dict(first)
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in workers}
    for _ in range(repeats):
        for name, worker in workers.items():
            if "error" not in record[name]:
                answer = worker.run()
                runs[name].append(answer)
                if "error" in answer:
                    record[name] = answer
    for name, answers in runs.items():
        if "error" not in record[name]:
            for kind in ("cpu", "wall"):
                record[name][f"{kind}_ms"] = round(1e3 * float(np.median([a[kind] for a in answers])), 2)
            record[name]["peak_mb"] = max(a["peak_mb"] for a in answers)
    if len(workers) == 2 and not any("error" in r for r in record.values()):
        for kind in ("cpu", "wall"):
            ratio = [k[kind] / p[kind] for k, p in zip(runs["keel"], runs["peer"], strict=True)]
            quartiles = [round(float(q), 3) for q in np.quantile(ratio, [0.25, 0.75])]
            record[f"{kind}_ratio"] = {"median": round(float(np.median(ratio)), 3), "quartiles": quartiles}
    return {**record, "repeats": repeats}


def versions(python: str) -> dict[str, str]:
    """Return the versions of what matters in an environment."""
    code = (
        "import importlib.metadata as m, json\nout = {}\n"
        "for n in ('torch', 'mlip-keel', 'torch-geometric', 'matgl', 'torchmd-net',\n"
        "          'torch-sim-atomistic', 'mace-torch', 'vesin', 'ase'):\n"
        "    try: out[n] = m.version(n)\n    except m.PackageNotFoundError: pass\nprint(json.dumps(out))"
    )
    return dict(json.loads(subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="zeolites-pbe-d3.extxyz")
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--kinds", nargs="+", default=["train", "md"], choices=["train", "md"])
    parser.add_argument("--sizes", nargs="+", type=int, default=[108, 864, 6912], choices=list(SUPERCELLS))
    parser.add_argument("--threads", nargs="+", type=int, default=[1])
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--memory", type=float, default=14.0, help="that a process may use, in GiB")
    parser.add_argument("--alone", action="store_true", help="keel without its peers")
    parser.add_argument("--eager", action="store_true", help="keel without compiled code")
    parser.add_argument("--environments", type=Path, default=Path(tempfile.gettempdir()) / "keel-peers")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    rows: list[dict[str, Any]] = []
    environments = {"keel": versions(sys.executable)}
    with tempfile.TemporaryDirectory() as scratch:
        for name in options.networks:
            ours, peer_name, theirs = NETWORKS[name]
            python = "" if options.alone else python_of(peer_name, options.environments)
            if python:
                environments[peer_name] = versions(python)
            for threads, kind, atoms in (
                (t, k, a) for t in options.threads for k in options.kinds for a in options.sizes
            ):
                frames = str(write_frames(options.data, Path(scratch), atoms, kind))
                spec = {"kind": kind, "frames": frames, "threads": threads, "memory_gib": options.memory}
                keel = Worker(sys.executable, "keel", {**spec, "options": {**ours, "eager": options.eager}})
                peer = Worker(python, peer_name, {**spec, "options": theirs}) if python else None
                repeats = options.repeats if atoms < 5000 else max(3, options.repeats // 3)
                row = {"network": name, "against": peer_name, "kind": kind, "atoms": atoms, "threads": threads}
                row |= {"eager": options.eager, **compare(keel, peer, repeats)}
                for worker in filter(None, (keel, peer)):
                    worker.stop()
                rows.append(row)
                print(json.dumps(row), flush=True)
    if options.out:
        machine = {"python": platform.python_version(), "platform": platform.platform(), "cpu": cpu()}
        record = {"rows": rows, "versions": environments, "machine": machine}
        options.out.write_text(json.dumps(record, indent=1) + "\n")


def cpu() -> str:
    """Return the processor's name."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


if __name__ == "__main__":
    main()
