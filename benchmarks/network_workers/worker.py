"""What the workers share: a worker prepares one task of one network, and runs it once for each line that it is sent.

Runs in the virtual environment of keel or of a peer; it needs torch, numpy and ase only.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from ase import Atoms, units
from ase.calculators.calculator import Calculator
from ase.io import read
from ase.md.langevin import Langevin
from torch import Tensor, nn

MD_STEPS = 5

Predict = Callable[[], tuple[Tensor, Tensor, Tensor | None]]


@dataclass(frozen=True)
class Task:
    """What to run: ``kind`` is ``train`` or ``md``, ``options`` are the sizes of the network."""

    kind: str
    frames: list[Atoms]
    options: dict[str, Any]
    cutoff: float = 5.0

    @property
    def labels(self) -> tuple[Tensor, Tensor]:
        """Energies (B,) and forces (N, 3)."""
        energy = torch.tensor([a.info["total_energy"] for a in self.frames], dtype=torch.float32)
        return energy, torch.tensor(np.concatenate([a.arrays["dft_forces"] for a in self.frames]), dtype=torch.float32)


def training_step(task: Task, network: nn.Module, predict: Predict) -> Callable[[], None]:
    """One step of Adam on energies, forces and, where the peer has it, stress."""
    optimizer = torch.optim.Adam(network.parameters(), 1e-4)
    energies, forces = task.labels
    sizes = torch.tensor([len(a) for a in task.frames])

    def step() -> None:
        optimizer.zero_grad()
        energy, force, stress = predict()
        loss = ((energy - energies) / sizes).square().mean() + (force - forces).square().mean()
        if stress is not None:
            loss = loss + stress.square().mean()
        loss.backward()
        optimizer.step()

    return step


def md_steps(task: Task, calculator: Calculator) -> Callable[[], None]:
    """Five steps of ASE's Langevin dynamics; short ones, for an untrained network must not explode."""
    atoms = task.frames[0].copy()
    atoms.calc = calculator
    thermostat = {"temperature_K": 300, "friction": 0.01 / units.fs, "rng": np.random.default_rng(0)}
    dynamics = Langevin(atoms, 0.1 * units.fs, **thermostat)
    return lambda: dynamics.run(MD_STEPS)


def serve(prepare: Callable[[Task], Callable[[], object]]) -> None:
    """Answer on stdout, a line of JSON for each line of stdin: CPU and wall seconds, and peak memory in MB."""
    spec = json.loads(sys.argv[1])
    limit = int(spec["memory_gib"] * 2**30)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    torch.set_num_threads(spec["threads"])
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    answers, sys.stdout = sys.stdout, sys.stderr
    try:
        frames = read(spec["frames"], ":")
        run = prepare(Task(spec["kind"], frames, spec["options"]))
        before = memory("VmRSS")
        start = time.perf_counter()
        for _ in range(2):
            run()
        print(json.dumps({"first_seconds": round(time.perf_counter() - start, 1)}), file=answers, flush=True)
        reset_peak()
        for _ in sys.stdin:
            cpu, wall = time.process_time(), time.perf_counter()
            run()
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            answer = {"cpu": cpu, "wall": wall, "peak_mb": round(memory("VmHWM") - before)}
            print(json.dumps(answer), file=answers, flush=True)
    except (RuntimeError, MemoryError) as error:
        print(json.dumps({"error": str(error).splitlines()[0][:200]}), file=answers, flush=True)


def memory(field: str) -> float:
    """Return resident memory (VmRSS) or its maximum (VmHWM) in MB; Linux only."""
    with open("/proc/self/status") as status:
        return next(float(line.split()[1]) / 1024 for line in status if line.startswith(field))


def reset_peak() -> None:
    """Forget the maximum so far, of warming up and compiling."""
    with open("/proc/self/clear_refs", "w") as control:
        control.write("5")
