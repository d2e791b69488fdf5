"""What keel's molecular dynamics adds to the evaluation of the potential.

After every ten steps the potential is evaluated ten times on the graph of the last: the bare evaluation. All else that
a step takes is overhead: integrator, neighbour list, criteria, recording every tenth step to extended XYZ, which is
written at the end of the run. What a run takes once, until its first ten steps are done, is told apart. A last run,
with clocks around its parts, tells where the overhead goes.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.io import read

import keel
from keel.atoms.verlet import VerletList
from keel.dynamics import ComputeSettings, MDSettings, batch, motion, recorder, simulate

PARTS = (
    (VerletList, "update", "neighbour list"),
    (batch, "first_cause", "criteria"),
    (motion.Motion, "moment", "criteria"),
    (motion.Motion, "step", "integrator"),
    (motion.Noise, "at", "noise"),
    (motion.Motion, "_predicted", "calling the potential"),
    (batch.RunningBatch, "_examine", "recording and writing"),
    (recorder.Recorder, "__init__", "recording and writing"),
    (recorder.Recorder, "commit", "recording and writing"),
    (batch.RunningBatch, "__init__", "set-up"),
)


BLOCK = 10
"""Steps, or bare evaluations, in a row."""


class Simulation:
    """Runs of one structure; ``bare`` and ``steps`` are (CPU, wall) seconds of the blocks of the last run."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.network = keel.load(spec["network"])
        self.frame: Atoms = read(spec["frames"])
        self.step_count = spec["steps"]
        self.settings = MDSettings(
            temperature=spec["temperature"], length_fs=spec["steps"], timestep_fs=1.0, record_every=10
        )
        self.bare: list[np.ndarray] = []
        self.steps: list[np.ndarray] = []
        self.network.register_forward_pre_hook(self._remember, with_kwargs=True)

    def _remember(self, _: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        self.last = arguments[0], options["vectors"]

    def evaluate(self, step: int, _: int) -> None:
        """Evaluate the potential on a prepared graph; called after each step."""
        if step % BLOCK:
            return
        self.steps.append(clocks() - self.start)
        graph, vectors = self.last[0], self.last[1].to(self.network.dtype)
        start = clocks()
        for _ in range(BLOCK):
            self.network.forward(graph, vectors=vectors)
        self.bare.append(clocks() - start)
        self.start = clocks()

    def run(self, callback: Callable[[int, int], None] | None = None) -> np.ndarray:
        """Simulate; return the (CPU, wall) seconds after the last call of the callback, or of all."""
        self.bare.clear()
        self.steps.clear()
        with tempfile.TemporaryDirectory() as folder:
            self.start, out = clocks(), Path(folder) / "run.extxyz"
            compute = ComputeSettings(compile=True)
            (run,) = simulate(self.network, [self.frame], self.settings, compute=compute, callback=callback, out=out)
            seconds = clocks() - self.start
        if not run.survived:
            raise RuntimeError(f"the run failed of {run.cause}")
        return seconds


def measure(spec: dict[str, Any]) -> dict[str, Any]:
    """Return milliseconds a step, and overheads with quartiles over the runs."""
    simulation = Simulation(spec)
    simulation.run(simulation.evaluate)
    steps, bares, once = [], [], []
    for _ in range(spec["repeats"]):
        end = simulation.run(simulation.evaluate)
        steps.append((np.sum(simulation.steps[1:], axis=0) + end) / (spec["steps"] - BLOCK))
        bares.append(np.mean(simulation.bare, axis=0) / BLOCK)
        # Before the first step the potential is evaluated already.
        once.append(simulation.steps[0] - BLOCK * steps[-1] - bares[-1])
    record: dict[str, Any] = {"steps": spec["steps"], "repeats": spec["repeats"]}
    for k, clock in enumerate(("cpu", "wall")):
        step, bare = np.array(steps)[:, k], np.array(bares)[:, k]
        low, median, high = (round(float(q), 4) for q in np.quantile(step / bare - 1, [0.25, 0.5, 0.75]))
        record[clock] = {
            "step_ms": round(1e3 * float(np.median(step)), 3),
            "bare_ms": round(1e3 * float(np.median(bare)), 3),
            "overhead_of_bare": {"median": median, "quartiles": [low, high]},
            "share_of_step": round(float(np.median(1 - bare / step)), 4),
            "once_ms": round(1e3 * float(np.median(np.array(once)[:, k])), 1),
        }
    return {**record, "parts_cpu_ms": parts(simulation)}


def parts(simulation: Simulation) -> dict[str, float]:
    """Return CPU milliseconds a step of each part, without those of the parts inside it."""
    spent: dict[str, float] = {}
    stack: list[float] = []
    evaluation = (type(simulation.network), "forward", "evaluation of the potential")
    for owner, name, part in (*PARTS, evaluation):
        setattr(owner, name, timed(getattr(owner, name), part, spent, stack))
    simulation.run()
    spent.clear()
    total, _ = simulation.run()
    steps = simulation.step_count
    told = {part: seconds / steps for part, seconds in spent.items()}
    told["rest"] = total / steps - sum(told.values())
    return {part: round(1e3 * float(seconds), 4) for part, seconds in told.items()}


def timed(function: Callable[..., Any], part: str, spent: dict[str, float], stack: list[float]) -> Callable[..., Any]:
    """Return the function with a clock; ``stack`` holds the time of what has been called inside."""

    def call(*arguments: Any, **options: Any) -> Any:
        start = time.process_time()
        stack.append(0.0)
        try:
            return function(*arguments, **options)
        finally:
            whole = time.process_time() - start
            spent[part] = spent.get(part, 0.0) + whole - stack.pop()
            if stack:
                stack[-1] += whole

    return call


def clocks() -> np.ndarray:
    """CPU and wall seconds."""
    return np.array([time.process_time(), time.perf_counter()])


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    print(json.dumps(measure(json.loads(sys.argv[1]))))
