"""Molecular dynamics of many structures: keel against ASE and torch-sim, and what it adds to the potential.

    python benchmarks/stability.py ../shared/data/silica/zeolites-pbe-d3.extxyz --out docs/results/speed/stability.json

Langevin dynamics at 300 K in steps of 1 fs, float32, one thread, denormal numbers flushed on all sides, of networks
that were trained for a moment, so that structures hold together and neighbour lists are rebuilt as often as in
earnest. A simulation is timed as a whole, its set-up included. Sides live in processes of their own that take turns; a
ratio is taken pair by pair. keel examines every step with its default criteria; the others have none.

* CGCNN (`small`): keel's batched dynamics, compiled, against ASE's Langevin loop with keel's calculator, compiled, one
  structure after the other. By default keel moves 1,024 atoms at a time; `keel, one batch` moves all at once.
* torch-sim with the same weights, of MACE (`small`) and of CGCNN (`small`, keel's compiled code on both sides), in a
  virtual environment of its own, made on first use in --environments, by the Python that it needs (python3.12 on PATH);
  once as it is, and once at its best: freed memory kept by the process and 1,024 atoms at a time, as in keel.
* Many: an EAM and CGCNN (`small`), 64 and 1,000 structures of 24 to 36 atoms. Runs of ten steps tell what set-up takes.
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
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase.io import write
from interleaved import ratio
from networks import CGCNN, PEERS, PYTHONS, SUPERCELLS, WORKERS, Worker, cpu, python_of, versions

import keel
from keel.potentials.external import MACE
from keel.training import TrainingSettings

PEERS["torchsim"] = [
    "torch-sim-atomistic==0.6.2", "mace-torch==0.3.16", "vesin", "ase", "safetensors", "pydantic", "PyYAML", "scipy",
    "numba", "threadpoolctl",
]  # fmt: skip
PYTHONS["torchsim"] = "3.12"
TOPOLOGIES = ("sod", "att", "gis", "mon", "jbw", "dft", "oso", "pty", "tho", "nab")  # of 24 to 48 atoms
NETWORKS = {
    "cgcnn-small": lambda: keel.CGCNN(["O", "Si"], preset="small"),
    "cgcnn-100x4": lambda: keel.CGCNN(["O", "Si"], 5.0, **CGCNN),
    "mace-small": lambda: MACE(["O", "Si"], preset="small"),
}
TASKS = {
    "ase": ("cgcnn-small", {1: 400, 4: 200, 16: 100, 64: 50, 256: 25}),
    "torchsim-mace": ("mace-small", {1: 100, 8: 50, 32: 25, 1000: 2}),
    "torchsim-cgcnn": ("cgcnn-small", {1: 400, 8: 100, 32: 50, 1000: 10}),
}
"""The network, and how many steps so many structures do."""
MANY, FEW_STEPS = {"eam": 100, "cgcnn-small": 40}, 10
"""Steps of as many as a thousand structures. With fewer, keel would not load its kernels for 64."""
TEMPERATURE = 300.0


def structures(data: Path, count: int) -> list[keel.Frame]:
    """Return structures of all topologies in turn, as many as wanted."""
    by_topology: dict[str, list[keel.Frame]] = {t: [] for t in TOPOLOGIES}
    for frame in keel.read(data):
        if frame.info.get("topology") in by_topology:
            by_topology[frame.info["topology"]].append(frame)
    return [by_topology[TOPOLOGIES[k % len(TOPOLOGIES)]][k // len(TOPOLOGIES)] for k in range(count)]


def small_structures(data: Path, count: int) -> list[keel.Frame]:
    """Return structures of 24 to 36 atoms: a thousand, or as many as wanted of them, evenly spread."""
    thousand = list(islice((f for f in keel.read(data) if 24 <= len(f) <= 36), 1000))
    return [thousand[k * len(thousand) // count] for k in range(count)]


def trained(name: str, data: Path, folder: Path) -> str:
    """Return the path of a network that was trained for 300 steps, or of an EAM that was fitted."""
    path = folder / f"{name}.safetensors"
    if not path.exists() and name == "eam":
        keel.fit_eam(structures(data, 100)).potential.save(str(path))
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
    peers = {"torch-sim": False, "torch-sim at its best": True}
    theirs = {name: (python, "torchsim", {**options, "best": best}) for name, best in peers.items()}
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


def throughput(task: str, size: int, options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Compare simulations of so many structures."""
    kind, (network, steps_of) = task.split("-")[0], TASKS[task]
    steps, found = steps_of[size], structures if size < 1000 else small_structures
    frames, path = written(found(options.data, size), scratch / f"{size}.extxyz")
    settings = {"network": trained(network, options.data, scratch), "steps": steps, "temperature": TEMPERATURE}
    repeats = options.repeats if size < 64 else max(5, options.repeats // 2)
    with started(sides(kind, settings, options.environments), path, options) as workers:
        compared = compare(workers, size * steps, repeats)
    atoms = sum(map(len, frames))
    return {"task": f"{network} against {kind}", "structures": size, "atoms": atoms, "steps": steps, **compared}


def written(frames: list[keel.Frame], path: Path) -> tuple[list[keel.Frame], Path]:
    """Write structures without labels."""
    write(path, [f.replace(energy=None, forces=None, stress=None, info={}).to_ase() for f in frames])
    return frames, path


@contextmanager
def started(
    sides: dict[str, tuple[str, str, dict[str, Any]]], frames: Path, options: argparse.Namespace
) -> Iterator[dict[str, Worker]]:
    """Start a worker for each side, and stop them in the end."""
    spec = {"kind": "md", "frames": str(frames), "threads": 1, "memory_gib": options.memory}
    workers = {
        name: Worker(python, script, {**spec, "options": chosen}) for name, (python, script, chosen) in sides.items()
    }
    try:
        yield workers
    finally:
        for worker in workers.values():
            worker.stop()


def many(network: str, options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Compare 1,000 structures with 64: set-up in seconds, and structure-steps/s of whole simulations, of CPU time."""
    steps, counts = MANY[network], (64, 1000)
    settings = {"network": trained(network, options.data, scratch), "temperature": TEMPERATURE, "max_atoms": None}
    lengths = {str(n): (sys.executable, "simulate", {**settings, "steps": n}) for n in (FEW_STEPS, steps)}
    with ExitStack() as stack:
        workers: dict[int, list[Worker]] = {}
        for count in counts:
            _, path = written(small_structures(options.data, count), scratch / f"{count}-small.extxyz")
            workers[count] = list(stack.enter_context(started(lengths, path, options)).values())
        errors = [e for some in workers.values() for w in some if (e := w.answer().get("error"))]
        if errors:
            return {"task": f"{network}, many", "errors": errors}
        turns = [{c: [w.run()["cpu"] for w in workers[c]] for c in counts} for _ in range(options.repeats)]
    record: dict[str, Any] = {"task": f"{network}, many", "steps": steps, "repeats": options.repeats}
    rates = {}
    for count in counts:
        short, whole = np.array([turn[count] for turn in turns]).T
        a_step = (whole - short) / (steps - FEW_STEPS)
        rates[count] = count * steps / whole
        record[str(count)] = {
            # Before its first step a simulation evaluates the potential once.
            "setup_s": round(float(np.median(short - (FEW_STEPS + 1) * a_step)), 3),
            "step_us_per_structure": round(1e6 * float(np.median(a_step)) / count, 2),
            "cpu_rate": round(float(np.median(rates[count])), 1),
        }
    return {**record, "rate_of_1000_over_64": ratio(rates[1000], rates[64])}


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
    kinds = ["overhead", "many", *TASKS]
    parser.add_argument("--tasks", nargs="+", default=kinds, choices=kinds)
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
        elif task == "many":
            new = (many(network, options, options.scratch) for network in MANY)
        else:
            new = (throughput(task, size, options, options.scratch) for size in options.sizes or TASKS[task][1])
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
