"""The fit of an EAM against another build of keel: CPU time and errors, on frames of the fit and on others.

    python benchmarks/fit.py train.extxyz --against OTHER/src [--test test.extxyz] [--most 200] [--rounds 3]

Each fit runs in a process of its own on one thread, the two builds in turn; their ratios are medians with quartiles.
Without ``--test`` every second frame is held out. Time is that of ``keel.fit_eam``, imports that it causes included.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parents[1] / "src"
NAMES = {
    "energy_mae_mev_per_atom": "energy (meV/atom)",
    "force_mae_mev_per_angstrom": "forces (meV/angstrom)",
    "stress_mae_mev_per_cubic_angstrom": "stress (meV/angstrom^3)",
}
WORK = """
import json, sys, time
import torch
torch.set_num_threads(1)
torch.set_flush_denormal(True)
import keel
from keel.evaluation import accuracy
training, test, most = sys.argv[1:]
frames = keel.read(training)
frames, held = (frames, keel.read(test)) if test else (frames[::2], frames[1::2])
frames = frames[:: max(1, len(frames) // int(most))][: int(most)]
elements = {int(z) for f in frames for z in f.numbers}
held = [f for f in held if elements >= {int(z) for z in f.numbers}]
start = time.process_time()
fit = keel.fit_eam(frames)
seconds = time.process_time() - start
errors = [fit.errors.to_dict(), accuracy(fit.potential, held).to_dict()]
print(json.dumps({"seconds": seconds, "frames": len(frames), "atoms": sum(map(len, frames)), "errors": errors}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path)
    parser.add_argument("--against", type=Path, required=True, help="the folder src of another build")
    parser.add_argument("--test", type=Path, help="frames held out")
    parser.add_argument("--most", type=int, default=1_000_000, help="frames to fit to, evenly chosen")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    builds = {"this": HERE, "other": arguments.against}
    results: dict[str, list[dict]] = {name: [] for name in builds}
    for _ in range(arguments.rounds):
        for name, source in builds.items():
            results[name].append(fitted(source, arguments))
    this, other = results["this"], results["other"]
    ratios = [a["seconds"] / b["seconds"] for a, b in zip(this, other, strict=True)]
    low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
    print(f"{arguments.train.name}: {this[0]['frames']} frames, {this[0]['atoms']} atoms")
    seconds = [float(np.median([r["seconds"] for r in rows])) for rows in (this, other)]
    print(f"CPU time {seconds[0]:.1f} s, the other {seconds[1]:.1f} s: ratio {middle:.3f} [{low:.3f}, {high:.3f}]")
    for part, title in enumerate(("frames of the fit", "frames held out")):
        for key, name in NAMES.items():
            here, there = (rows[-1]["errors"][part][key] for rows in (this, other))
            if here is not None and there is not None:
                print(f"{title:18} {name:24} {here:9.3f}, the other {there:9.3f}")


def fitted(source: Path, arguments: argparse.Namespace) -> dict:
    """Fit with the keel of a folder, in a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", WORK, str(arguments.train), str(arguments.test or ""), str(arguments.most)]
    output = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
    found: dict = json.loads(output.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
