"""Molecular dynamics of many structures: keel against ASE and torch-sim, and what it adds to the potential.

    python benchmarks/stability.py ../shared/data/silica/zeolites-pbe-d3.extxyz --out docs/results/speed/stability.json

Langevin dynamics at 300 K in steps of 1 fs, float32, one thread, denormal numbers flushed on all sides, of networks
that were trained for a moment, so that structures hold together and neighbour lists are rebuilt as often as in
earnest. A simulation is timed as a whole, its set-up included. Sides live in processes of their own that take turns; a
ratio is taken pair by pair. keel examines every step with its default criteria; the others have none.

* CGCNN (`small`): keel's batched dynamics, compiled, against ASE's Langevin loop with keel's calculator, compiled, one
  structure after the other. By default keel moves 1,024 atoms at a time; `keel, one batch` moves all at once.
* MACE (`small`): the same weights in torch-sim, in a virtual environment of its own, made on first use in
  --environments; once as it is, and once with freed memory kept by the process, as keel does.
* Overhead: see network_workers/worker_overhead.py.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase.io import write
from networks import CGCNN, PEERS, SUPERCELLS, WORKERS, Worker, cpu, python_of, versions

import keel
from keel.potentials.external import MACE
from keel.training import TrainingSettings

PEERS["torchsim"] = [
    "torch-sim-atomistic==0.3.0", "mace-torch==0.3.16", "vesin", "ase", "safetensors", "pydantic", "PyYAML", "scipy",
]  # fmt: skip
TOPOLOGIES = ("sod", "att", "gis", "mon", "jbw", "dft", "oso", "pty", "tho", "nab")  # of 24 to 48 atoms
NETWORKS = {
    "cgcnn-small": lambda: keel.CGCNN(["O", "Si"], preset="small"),
    "cgcnn-100x4": lambda: keel.CGCNN(["O", "Si"], 5.0, **CGCNN),
    "mace-small": lambda: MACE(["O", "Si"], preset="small"),
}
SIZES = {"ase": (1, 4, 16, 64, 256), "torchsim": (1, 8, 32)}
STEPS = {1: 400, 4: 200, 8: 50, 16: 100, 32: 25, 64: 50, 256: 25}
MACE_STEPS = {1: 100, 8: 50, 32: 25}
TEMPERATURE = 300.0


def structures(data: Path, count: int) -> list[keel.Frame]:
    """Return structures of all topologies in turn, as many as wanted."""
    by_topology: dict[str, list[keel.Frame]] = {t: [] for t in TOPOLOGIES}
    for frame in keel.read(data):
        if frame.info.get("topology") in by_topology:
            by_topology[frame.info["topology"]].append(frame)
    return [by_topology[TOPOLOGIES[k % len(TOPOLOGIES)]][k // len(TOPOLOGIES)] for k in range(count)]


def trained(name: str, data: Path, folder: Path) -> str:
    """Return the path of a network that was trained for 300 steps."""
    path = folder / f"{name}.safetensors"
    if not path.exists():
        torch.manual_seed(0)
        frames, settings = structures(data, 240), TrainingSettings(steps=300, compile=False, device="cpu")
        keel.train(NETWORKS[name](), frames[20:], validation=frames[:20], settings=settings).potential.save(str(path))
    return str(path)


def sides(kind: str, options: dict[str, Any], environments: Path) -> dict[str, tuple[str, str, dict[str, Any]]]:
    """Return interpreter, worker and options of each side; keel, as it comes, is the first."""
    keel_ = (sys.executable, "simulate", {**options, "max_atoms": None})
    if kind == "ase":
        whole = (sys.executable, "simulate", {**options, "max_atoms": 10**9})
        return {"keel": keel_, "keel, one batch": whole, "ASE": (sys.executable, "langevin", options)}
    python = python_of("torchsim", environments)
    peers = {"torch-sim": False, "torch-sim, memory kept": True}
    theirs = {name: (python, "torchsim", {**options, "keep_memory": kept}) for name, kept in peers.items()}
    return {"keel": (python, *keel_[1:]), **theirs}


def compare(workers: dict[str, Worker], work: int, repeats: int) -> dict[str, Any]:
    """Let all run in turn; structure-steps/s, and the ratio of keel's rate to each of the others'."""
    record: dict[str, dict[str, Any]] = {name: worker.answer() for name, worker in workers.items()}
    errors = {name: r["error"] for name, r in record.items() if "error" in r}
    if errors:
        return {"errors": errors}
    turns = [{name: worker.run() for name, worker in workers.items()} for _ in range(repeats)]
    for name, r in record.items():
        r["peak_mb"] = max(t[name]["peak_mb"] for t in turns)
        for clock in ("cpu", "wall"):
            r[f"{clock}_rate"] = round(work / float(np.median([t[name][clock] for t in turns])), 2)
            ratio = [t[name][clock] / t["keel"][clock] for t in turns]
            low, median, high = (round(float(q), 3) for q in np.quantile(ratio, [0.25, 0.5, 0.75]))
            r[f"{clock}_keel_over_this"] = {"median": median, "quartiles": [low, high]}
    return {"repeats": repeats, "sides": record}


def throughput(kind: str, size: int, options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Compare simulations of so many structures."""
    frames, path = structures(options.data, size), scratch / f"{size}.extxyz"
    write(path, [f.replace(energy=None, forces=None, stress=None, info={}).to_ase() for f in frames])
    network = "cgcnn-small" if kind == "ase" else "mace-small"
    steps = (STEPS if kind == "ase" else MACE_STEPS)[size]
    settings = {"network": trained(network, options.data, scratch), "steps": steps, "temperature": TEMPERATURE}
    spec = {"kind": "md", "frames": str(path), "threads": 1, "memory_gib": options.memory}
    workers = {
        name: Worker(python, script, {**spec, "options": chosen})
        for name, (python, script, chosen) in sides(kind, settings, options.environments).items()
    }
    try:
        repeats = options.repeats if size < 64 else max(5, options.repeats // 2)
        return {
            "task": f"{network} against {kind}",
            "structures": size,
            "atoms": sum(map(len, frames)),
            "steps": steps,
            **compare(workers, size * steps, repeats),
        }
    finally:
        for worker in workers.values():
            worker.stop()


def overhead(network: str, atoms: int, options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Return what molecular dynamics adds to the bare potential."""
    path = scratch / f"{atoms}-atoms.extxyz"
    (frame,) = structures(options.data, 1)
    write(path, frame.replace(energy=None, forces=None, stress=None, info={}).to_ase().repeat(SUPERCELLS[atoms]))
    steps, repeats = (1000, 7) if atoms < 500 else (200, 5)
    settings = {"network": trained(network, options.data, scratch), "frames": str(path), "temperature": TEMPERATURE}
    spec = json.dumps({**settings, "steps": steps, "repeats": repeats})
    command = [sys.executable, str(WORKERS / "worker_overhead.py"), spec]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    answer = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    return {"task": f"overhead of {network}", "atoms": atoms, **json.loads(answer.splitlines()[-1])}


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """Return the tables."""
    lines = ["| task | structures (atoms) | side | structure-steps/s | keel / this | MB |", "|---|---|---|---|---|---|"]
    for row in rows:
        for name, r in row.get("sides", {}).items():
            ratio = r["wall_keel_over_this"]
            shown = "" if name == "keel" else "{:.2f} [{:.2f}, {:.2f}]".format(ratio["median"], *ratio["quartiles"])
            size = f"{row['structures']} ({row['atoms']:,})"
            lines.append(f"| {row['task']} | {size} | {name} | {r['wall_rate']:,.0f} | {shown} | {r['peak_mb']:,} |")
    found = [row for row in rows if "parts_cpu_ms" in row]
    parts = list(found[0]["parts_cpu_ms"]) if found else []
    lines += [
        "",
        f"| | atoms | bare (ms) | step (ms) | overhead | {' | '.join(parts)} |",
        "|---" * (5 + len(parts)) + "|",
    ]
    for row in found:
        cpu_, (low, high) = row["cpu"], row["cpu"]["overhead_of_bare"]["quartiles"]
        shown = f"{cpu_['overhead_of_bare']['median']:.1%} [{low:.1%}, {high:.1%}]"
        cells = [row["task"], row["atoms"], cpu_["bare_ms"], cpu_["step_ms"], shown, *row["parts_cpu_ms"].values()]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="zeolites-pbe-d3.extxyz")
    parser.add_argument("--tasks", nargs="+", default=["overhead", *SIZES], choices=["overhead", *SIZES])
    parser.add_argument("--sizes", nargs="+", type=int, help="structures in a batch, or atoms for the overhead")
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--memory", type=float, default=10.0, help="that a process may use, in GiB")
    parser.add_argument("--environments", type=Path, default=Path(tempfile.gettempdir()) / "keel-peers")
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()) / "keel-stability")
    parser.add_argument("--out", type=Path, help="rows of the same tasks and sizes in it are replaced")
    options = parser.parse_args(arguments)
    options.scratch.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    # Environments of peers have no keel of their own.
    os.environ["PYTHONPATH"] = str(Path(keel.__file__).parents[1])
    rows: list[dict[str, Any]] = json.loads(options.out.read_text())["rows"] if _exists(options.out) else []
    for task in options.tasks:
        if task == "overhead":
            todo = [(n, a) for n in ("cgcnn-100x4", "cgcnn-small") for a in options.sizes or (108, 864)]
            new = (overhead(network, atoms, options, options.scratch) for network, atoms in todo)
        else:
            new = (throughput(task, size, options, options.scratch) for size in options.sizes or SIZES[task])
        for row in new:
            key = [row.get(k) for k in ("task", "structures", "atoms")]
            rows = [r for r in rows if [r.get(k) for k in ("task", "structures", "atoms")] != key] + [row]
            print(json.dumps(row), flush=True)
            if options.out:
                _save(options, rows)
    print(markdown(rows))


def _exists(path: Path | None) -> bool:
    return path is not None and path.exists()


def _save(options: argparse.Namespace, rows: list[dict[str, Any]]) -> None:
    machine = {"python": platform.python_version(), "platform": platform.platform(), "cpu": cpu()}
    machine["cores"] = os.cpu_count()
    environments = {"keel": versions(sys.executable)}
    if any("torchsim" in row["task"] for row in rows):
        environments["torchsim"] = versions(python_of("torchsim", options.environments))
    record = {"rows": rows, "versions": environments, "machine": machine}
    options.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
