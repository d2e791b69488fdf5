"""ASE's Langevin dynamics with keel's calculator, compiled: one structure after the other."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from ase import units
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from worker import Task, serve

import keel


def prepare(task: Task) -> Callable[[], object]:
    calculator = keel.KeelCalculator(task.options["network"], dtype="float32", compile=True)
    temperature, random = task.options["temperature"], np.random.default_rng(0)

    def run() -> None:
        for frame in task.frames:
            atoms = frame.copy()
            atoms.calc = calculator
            MaxwellBoltzmannDistribution(atoms, temperature_K=temperature, rng=random)
            Langevin(atoms, units.fs, temperature_K=temperature, friction=0.01 / units.fs, rng=random).run(
                task.options["steps"]
            )

    return run


if __name__ == "__main__":
    serve(prepare)
