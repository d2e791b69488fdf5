"""Speed of perturbing and labelling: atoms per second of CPU time, single thread, float32.

    OMP_NUM_THREADS=1 python benchmarks/labelling.py ../shared/data/silica/zeolites-pbe-d3.extxyz

Three figures: ``fresh`` builds the neighbour list of every child, ``first`` includes building each parent's list,
``shared`` reuses it.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable

import torch

import keel
from keel.perturbation import PerturbationSettings, PerturbationStream, perturb


def rate(work: Callable[[int], int], repeats: int) -> float:
    """Return the best atoms per second of CPU time over some repetitions."""
    best = 0.0
    for repeat in range(repeats):
        start = time.process_time()
        atoms = work(repeat)
        best = max(best, atoms / (time.process_time() - start))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--teacher", help="a potential file (default: a plausible EAM with a cutoff of 8 angstrom)")
    parser.add_argument("--student-cutoff", type=float, default=5.0)
    parser.add_argument("--batch-atoms", type=int, default=432)
    parser.add_argument("--parents", type=int, default=60)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    warnings.simplefilter("ignore")
    frames = list(keel.read(arguments.file))
    frames = frames[:: len(frames) // arguments.parents]
    elements = sorted({int(z) for f in frames for z in f.numbers})
    teacher = keel.load(arguments.teacher) if arguments.teacher else keel.EAM.from_elements(elements, 8.0)
    settings = PerturbationSettings(force_cap=None, energy_cap=None)

    def stream() -> PerturbationStream:
        return PerturbationStream(
            frames, teacher, settings, cutoff=arguments.student_cutoff, batch_atoms=arguments.batch_atoms
        )

    def fresh(repeat: int) -> int:
        return sum(len(f) for f in perturb(frames, teacher, settings, seed=repeat))

    def first(_: int) -> int:
        new = stream()
        return sum(new.batch(step).n_atoms for step in range(4))

    warm = stream()
    for step in range(100):
        warm.batch(step)

    def shared(repeat: int) -> int:
        return sum(warm.batch(20 * repeat + step).n_atoms for step in range(20))

    result = {
        "fresh_atoms_per_second": round(rate(fresh, 8)),
        "first_atoms_per_second": round(rate(first, 10)),
        "shared_atoms_per_second": round(rate(shared, 20)),
        "batch_atoms": arguments.batch_atoms,
        "torch": torch.__version__,
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
