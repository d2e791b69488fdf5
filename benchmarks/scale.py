"""A million synthetic frames: packed, opened, trained from, killed; and extended XYZ read beside ASE.

    OMP_NUM_THREADS=1 python benchmarks/scale.py --out docs/results/scale/scale.json

Frames have 30 atoms with energy, forces and stress. What is compared takes turns; memory is the largest resident size
of a process of its own. The folder (--folder, some 2 GB) is removed afterwards. ``--frames``, ``--kills``, ``--steps``
make it smaller.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

ATOMS, SMALL = 30, 10_000
PIECES = ("reading", "packing", "opening", "steps", "training", "killed_packing", "killed_training")
GRID = np.indices((3, 3, 4)).reshape(3, -1).T[:ATOMS] * 2.5
NUMBERS = np.array([14] * 10 + [8] * 20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--steps", type=int, default=200, help="training steps of each run")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--pieces", nargs="*", default=PIECES, choices=PIECES, help="what to measure; others stay")
    parser.add_argument("--folder", type=Path, default=Path("/tmp/keel-scale"))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    shutil.rmtree(options.folder, ignore_errors=True)
    options.folder.mkdir(parents=True)
    try:
        measure(options)
    finally:
        shutil.rmtree(options.folder)


def measure(options: argparse.Namespace) -> None:
    """Measure one thing after the other, and tell and write each as soon as it is known."""
    from interleaved import machine

    small, large = options.folder / "small.keel", options.folder / "large.keel"
    found: dict[str, Any] = {"frames": options.frames, "atoms": ATOMS}
    if options.out and options.out.exists():
        found = {**json.loads(options.out.read_text()), **found}
    if "packing" not in options.pieces:
        packed(SMALL, small)
    pieces: list[tuple[str, Callable[[], dict[str, Any]]]] = [
        ("reading", lambda: reading(options.folder, options.rounds)),
        ("packing", lambda: {"small": packed(SMALL, small), "large": packed(options.frames, large)}),
        ("opening", lambda: alone("opened", large)),
        ("steps", lambda: alone("steps", small, options.rounds)),
        ("training", lambda: training(small, large, options)),
        ("killed_packing", lambda: killed_packing(options.folder, options.kills)),
        ("killed_training", lambda: killed_training(small, options.folder, options.kills, options.steps)),
    ]
    for name, piece in pieces:
        if name not in options.pieces:
            continue
        found[name] = piece()
        print(name, json.dumps(found[name]), flush=True)
        if options.out:
            options.out.parent.mkdir(parents=True, exist_ok=True)
            options.out.write_text(
                json.dumps({**found, "machine": machine(), "cores": os.cpu_count()}, indent=1) + "\n"
            )


def table(frames: int, rng: np.random.Generator) -> Any:
    """Return frames as the arrays that a program might hold."""
    from keel.atoms.store.columns import Table, Values

    there = np.ones(frames, bool)
    positions = np.tile(GRID, (frames, 1)) + rng.normal(0.0, 0.1, (frames * ATOMS, 3))
    columns = {
        "numbers": np.tile(NUMBERS, frames),
        "positions": positions,
        "cell": np.tile(np.diag([7.5, 7.5, 10.0]), (frames, 1, 1)),
        "pbc": np.ones((frames, 3), bool),
        "energy": -200.0 + rng.normal(size=frames),
        "forces": rng.normal(size=(frames * ATOMS, 3)),
        "stress": symmetric(rng.normal(0.0, 0.01, (frames, 3, 3))),
    }
    return Table(np.full(frames, ATOMS), {name: Values(rows, there) for name, rows in columns.items()})


def symmetric(matrices: np.ndarray) -> np.ndarray:
    return 0.5 * (matrices + np.swapaxes(matrices, 1, 2))


def packed(frames: int, folder: Path) -> dict[str, float]:
    """Write a store from arrays; the making of the arrays does not count."""
    from keel.atoms.store.finishing import finish
    from keel.atoms.store.shards import SHARD_FRAMES, write_shard

    folder.mkdir()
    rng, seconds, paths = np.random.default_rng(0), 0.0, []
    for number, first in enumerate(range(0, frames, SHARD_FRAMES)):
        arrays = table(min(SHARD_FRAMES, frames - first), rng)
        paths.append(folder / f"shard-00000-{number:05d}.arrow")
        started = time.perf_counter()
        write_shard(paths[-1], arrays)
        seconds += time.perf_counter() - started
    started = time.perf_counter()
    finish(folder, paths, {}, None)
    seconds += time.perf_counter() - started
    size = sum(path.stat().st_size for path in folder.iterdir())
    numbers = frames * (ATOMS * (1 + 2 * 24) + 72 + 3 + 8 + 72)
    return {"frames_per_s": frames / seconds, "bytes": size, "bytes_per_number_bytes": size / numbers}


def reading(folder: Path, rounds: int) -> dict[str, float]:
    """Compare the readers of extended XYZ, in turn, on a file that ASE wrote; process time."""
    import ase.io

    from keel.atoms.formats import xyz_files
    from keel.atoms.read import iter_frames

    file, frames = folder / "read.xyz", list(table(2000, np.random.default_rng(1)).frames(map(str, range(2000))))
    ase.io.write(file, [frame.replace(info={"run": "a", "step": 3}).to_ase() for frame in frames], format="extxyz")

    def keel(pays_from: int) -> Iterator[Any]:
        xyz_files.PAYS_FROM = pays_from
        return iter_frames(file)

    readers: dict[str, Callable[[], Iterator[Any]]] = {
        "ase": lambda: ase.io.iread(file, ":"),
        "careful": lambda: keel(1 << 60),
        "keel": lambda: keel(0),
    }
    sum(1 for _ in readers["keel"]())
    times: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(max(3, rounds // 3)):
        for name, reader in readers.items():
            started = time.process_time()
            assert sum(1 for _ in reader()) == 2000
            times[name].append(time.process_time() - started)
    best = {name: min(own) for name, own in times.items()}
    rates = {f"{name}_frames_per_s": 2000 / seconds for name, seconds in best.items()}
    return {**rates, "times_ase": best["ase"] / best["keel"], "times_careful": best["careful"] / best["keel"]}


def alone(what: str, *arguments: object) -> Any:
    """Do a piece in a process of its own."""
    call = f"import json, sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import scale; "
    call += f"print(json.dumps(scale.{what}(*sys.argv[1:])))"
    done = subprocess.run([sys.executable, "-c", call, *map(str, arguments)], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def opened(folder: str) -> dict[str, float]:
    """Return the seconds until the first batch, and of a random frame."""
    import keel
    from keel.training.batches import FrameBatches

    keel.batch(keel.datasets.phosphorus()[:1], 5.0)
    started = time.perf_counter()
    frames = keel.read(folder)
    FrameBatches(frames, 5.0, 4, seed=0).batch(0)
    first = time.perf_counter() - started
    places = np.random.default_rng(0).integers(len(frames), size=3000).tolist()
    started = time.perf_counter()
    for place in places:
        frames[place]
    return {"first_batch_s": first, "random_frame_us": 1e6 * (time.perf_counter() - started) / len(places)}


def steps(folder: str, rounds: str) -> dict[str, float]:
    """Return the time of a training step from memory and from the store, which take turns."""
    import torch

    import keel
    from keel.launch import launched
    from keel.process import prepare_process
    from keel.training.batches import FrameBatches, Sources
    from keel.training.checkpoint import TrainingState
    from keel.training.ema import MovingAverage
    from keel.training.loop import step
    from keel.training.losses import Objective
    from keel.training.strategies import Strategy, stages_of

    prepare_process()
    torch.manual_seed(0)
    settings = keel.TrainingSettings(steps=10**6, device="cpu")
    (stage,) = stages_of(Strategy(), settings)
    network = keel.CGCNN(elements=["Si", "O"], **keel.CGCNN.presets["small"])
    fabric = launched("cpu", 1, 1, "32-true")
    state = TrainingState(network.train(), MovingAverage(network, 0.99))
    objective = fabric.setup_module(Objective(network, settings.loss, None))
    optimizer = fabric.setup_optimizers(torch.optim.AdamW(network.parameters(), lr=1e-5, fused=True))
    stored = keel.read(folder)
    given = {"memory": list(stored), "store": stored}
    sources = {name: FrameBatches(frames, network.cutoff, 4, seed=0) for name, frames in given.items()}
    times: dict[str, list[float]] = {name: [] for name in sources}
    for turn in range(2 * int(rounds)):
        for name in sorted(sources, reverse=bool(turn % 2)):
            with Sources(sources[name]).ahead(stage, 50 * turn) as batches:
                for _ in range(5):
                    step(fabric, state, objective, optimizer, next(batches), stage, settings)
                started = time.perf_counter()
                for _ in range(45):
                    step(fabric, state, objective, optimizer, next(batches), stage, settings)
                times[name].append((time.perf_counter() - started) / 45)
    ratios = np.array(times["store"]) / np.array(times["memory"])
    median = {f"{name}_ms": 1e3 * float(np.median(own)) for name, own in times.items()}
    return {**median, "ratio": float(np.median(ratios))}


def training(small: Path, large: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Return peak memory and time of ``keel train`` from both stores."""
    found: dict[str, Any] = {}
    for name, store in (("small", small), ("large", large)):
        started = time.perf_counter()
        out = options.folder / f"trained-{name}"
        found[name] = {"peak_mb": peak(train_command(store, out, options.steps)), "s": time.perf_counter() - started}
    return {**found, "memory_ratio": found["large"]["peak_mb"] / found["small"]["peak_mb"]}


def train_command(store: Path, out: Path, steps: int) -> list[str]:
    """Return a command that trains a small network."""
    network = ["--network", "CGCNN", "--preset", "small", "--strategy", "vanilla"]
    return [sys.executable, "-m", "keel", "train", str(store), "--out", str(out), *network, "--steps", str(steps)]


def peak(command: list[str]) -> float:
    """Run a command and return the largest resident size of its process in MB."""
    watch = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=sys.stderr); "
    watch += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)"
    done = subprocess.run([sys.executable, "-c", watch, *command], stdout=subprocess.PIPE, check=True)
    return float(done.stdout)


def killed_packing(folder: Path, kills: int, frames: int = 20_000) -> dict[str, int]:
    """Kill packing at random moments, and compare the bytes with those of packing in one go."""
    import keel

    file = folder / "packed.xyz"
    keel.write(file, table(frames, np.random.default_rng(2)).frames(map(str, range(frames))))

    def command(out: Path) -> list[str]:
        return [sys.executable, "-m", "keel", "pack", str(file), "--out", str(out), "--workers", "2"]

    started = time.perf_counter()
    subprocess.run(command(folder / "whole.keel"), check=True, stdout=subprocess.DEVNULL)
    seconds, unfinished = time.perf_counter() - started, 0
    for _ in range(kills):
        kill_after(random.uniform(0.0, seconds), command(folder / "killed.keel"))
        unfinished += not (folder / "killed.keel" / "store.json").exists()
    subprocess.run(command(folder / "killed.keel"), check=True, stdout=subprocess.DEVNULL)
    contents = [{p.name: p.read_bytes() for p in (folder / name).iterdir()} for name in ("whole.keel", "killed.keel")]
    return {"kills": kills, "unfinished_after": unfinished, "same_bytes": contents[0] == contents[1]}


def killed_training(store: Path, folder: Path, kills: int, steps: int) -> dict[str, int]:
    """Kill training at random moments, and compare the weights with those of training in one go."""
    started = time.perf_counter()
    subprocess.run(train_command(store, folder / "whole", steps), check=True, stdout=subprocess.DEVNULL)
    seconds, unfinished = time.perf_counter() - started, 0
    for _ in range(kills):
        kill_after(random.uniform(0.2, 1.0) * seconds, train_command(store, folder / "killed", steps))
        unfinished += not (folder / "killed" / "potential.safetensors").exists()
    subprocess.run(train_command(store, folder / "killed", steps), check=True, stdout=subprocess.DEVNULL)
    weights = [(folder / name / "potential.safetensors").read_bytes() for name in ("whole", "killed")]
    return {"kills": kills, "unfinished_after": unfinished, "same_weights": weights[0] == weights[1]}


def kill_after(seconds: float, command: list[str]) -> None:
    """Start a command and kill it."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)


if __name__ == "__main__":
    random.seed(0)
    main()
