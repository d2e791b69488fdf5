"""Perturbing and labelling with an EAM, against another source tree of keel, and what it adds to a pretraining step.

    OMP_NUM_THREADS=1 python benchmarks/labelling.py ../shared/data/silica/zeolites-pbe-d3.extxyz --against OTHER/src

Energy, forces and stress at 8 angstrom. ``fresh lists`` labels frames whose neighbours are searched for, ``perturb``
makes and labels 7 children of each frame, ``new parents`` builds the lists of parents in a stream, ``parents' lists``
has them. Process time, one thread, denormal numbers flushed on both sides, which take turns piece by piece.

``--steps`` instead: the time of pretraining steps of a small CGCNN, batches of 4, with the stream against batches that
are there already; wall time, because the stream works in another thread, and process time.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
PIECES = ("fresh lists", "perturb", "new parents", "parents' lists")
CUTOFF, STUDENT, STEPS = 8.0, 5.0, 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--against", type=Path, help="source folder of another keel")
    parser.add_argument("--steps", action="store_true", help="the stream's share of a pretraining step")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(pretraining(options.data) if options.steps else labelling(options.data))
        return
    from interleaved import machine

    sources = {"keel": HERE.parents[1] / "src"} | ({"other": options.against} if options.against else {})
    workers = {name: Worker(source, options.data, options.steps) for name, source in sources.items()}
    rows = steps(workers, options.rounds) if options.steps else pieces(workers, options.rounds)
    for row in rows:
        print(json.dumps(row), flush=True)
    for worker in workers.values():
        worker.process.kill()
    if options.out:
        options.out.write_text(json.dumps({"rows": rows, "machine": machine()}, indent=1) + "\n")


def pieces(workers: dict[str, Worker], rounds: int) -> list[dict[str, Any]]:
    """Return atoms/s of each piece, and how many times faster than the other keel."""
    from interleaved import ratio, seconds

    rows = []
    for piece in PIECES:
        times = seconds({name: lambda w=w, p=piece: w.ask(p)["cpu"] for name, w in workers.items()}, rounds)
        speeds = {f"{name}, atoms/s": round(1.0 / sorted(t)[len(t) // 2]) for name, t in times.items()}
        faster = {"times faster": ratio(times["other"], times["keel"])} if "other" in times else {}
        rows.append({"piece": piece, **speeds, **faster})
    return rows


def steps(workers: dict[str, Worker], rounds: int) -> list[dict[str, Any]]:
    """Return by how much the stream makes a step longer."""
    import numpy as np
    from interleaved import ratio

    rows = []
    answers: dict[str, dict[str, list[dict[str, float]]]] = {name: {"with": [], "without": []} for name in workers}
    for round_ in range(rounds + 1):
        for name, worker in workers.items():
            for kind in ("with", "without"):
                answer = worker.ask(kind)
                answers[name][kind] += [answer] * (round_ > 0)
    for name, kinds in answers.items():
        for clock in ("wall", "cpu"):
            found = {kind: np.array([answer[clock] for answer in list_]) for kind, list_ in kinds.items()}
            milliseconds = {f"ms {kind}": round(1000.0 * float(np.median(t)), 3) for kind, t in found.items()}
            rows.append({"of": name, "clock": clock, **milliseconds, "ratio": ratio(found["with"], found["without"])})
    if "other" in answers:
        ours, other = (np.array([a["cpu"] for a in answers[name]["with"]]) for name in ("keel", "other"))
        rows.append({"of": "keel / other, with the stream", "clock": "cpu", "ratio": ratio(ours, other)})
    return rows


class Worker:
    """A process with one source tree that does a piece of work when told to."""

    def __init__(self, source: Path, data: Path, steps: bool) -> None:
        command = [sys.executable, str(HERE), str(data), "--serve", *["--steps"] * steps]
        environment = {**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, piece: str) -> dict[str, float]:
        """Return seconds per atom, or per step."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(piece + "\n")
        self.process.stdin.flush()
        answer: dict[str, float] = json.loads(self.process.stdout.readline())
        return answer


def serve(work: dict[str, Callable[[], int]]) -> None:
    """Do what standard input names; answer with seconds of wall and process time for each unit of work."""
    for line in sys.stdin:
        cpu, wall = time.process_time(), time.perf_counter()
        units = work[line.strip()]()
        spent = {"cpu": (time.process_time() - cpu) / units, "wall": (time.perf_counter() - wall) / units}
        print(json.dumps(spent), flush=True)


def prepared(data: Path) -> tuple[list[Any], Any]:
    """Return frames and a plausible EAM of their elements."""
    import torch

    import keel

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    warnings.simplefilter("ignore")
    frames = list(keel.read(data))
    frames = frames[:: max(1, len(frames) // 60)]
    return frames, keel.EAM.from_elements(sorted({int(z) for f in frames for z in f.numbers}), CUTOFF)


def labelling(data: Path) -> dict[str, Callable[[], int]]:
    """Return pieces of work that return how many atoms they labelled."""
    from itertools import count

    import torch

    import keel
    from keel.perturbation import PerturbationSettings, PerturbationStream, perturb
    from keel.potentials import batches

    frames, teacher = prepared(data)
    settings, seed = PerturbationSettings(force_cap=None, energy_cap=None), count()
    single = copy.deepcopy(teacher).float()

    def fresh() -> int:
        if hasattr(batches, "predictions"):
            return sum(graph.n_atoms for graph, _ in batches.predictions(frames, teacher))
        found = batches.batches(frames, single)
        return sum(len(single(graph.to(dtype=torch.float32)).atomic_energies) for graph in found)

    def stream() -> PerturbationStream:
        return PerturbationStream(frames, teacher, settings, cutoff=STUDENT, batch_atoms=432)

    def new() -> int:
        made = stream()
        return sum(made.batch(step).n_atoms for step in range(4))

    warm = stream()
    for step in range(60):
        warm.batch(step)
    keel.process.keep_freed_memory()
    return {
        "fresh lists": fresh,
        "perturb": lambda: sum(len(f) for f in perturb(frames[::6], teacher, settings, seed=next(seed))),
        "new parents": new,
        "parents' lists": lambda: sum(warm.batch(next(seed)).n_atoms for _ in range(20)),
    }


def pretraining(data: Path) -> dict[str, Callable[[], int]]:
    """Return pretraining with the stream, and with batches that are there already."""
    import torch

    import keel
    from keel.perturbation import PerturbationStream
    from keel.training.strategies import Strategy

    # Earlier builds have it elsewhere.
    name = "preparation" if find_spec("keel.training.preparation") else "stages"
    preparation = import_module(f"keel.training.{name}")

    frames, teacher = prepared(data)
    settings = keel.TrainingSettings(steps=STEPS, batch_size=4, compile=True)
    strategy = Strategy(pretrain_share=1.0 - 1.0 / STEPS)
    streams: list[PerturbationStream] = []
    ready: dict[int, Any] = {}

    def stream_of(*given: Any, **options: Any) -> PerturbationStream:
        """Return the same stream for all trainings: what it prepares once is not counted."""
        streams[:] = streams or [PerturbationStream(*given, **options)]
        return streams[0]

    class Ready:
        def batch(self, step: int, rank: int = 0, stage: str = "pretrain") -> Any:
            if step not in ready:
                ready[step] = streams[0].batch(step, rank, stage)
            return ready[step]

    def train(source: Any) -> int:
        preparation.PerturbationStream = source  # type: ignore[attr-defined]
        torch.manual_seed(0)
        network = keel.CGCNN(teacher.elements, STUDENT, preset="small")
        keel.train(network, frames, strategy=strategy, teacher=teacher, settings=settings)
        return STEPS

    return {"with": lambda: train(stream_of), "without": lambda: train(lambda *_, **__: Ready())}


if __name__ == "__main__":
    main()
