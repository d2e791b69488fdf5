"""What commands cost beside their work: start-up, and more workers, against another build of keel.

    OMP_NUM_THREADS=1 python benchmarks/commands.py --against OTHER/src

``md`` is `keel md` of one step on 36 atoms of copper, ``census`` is `keel census` of the same file, ``help`` is
`keel --help`. ``run`` is a small `keel run` on the embedded phosphorus with two workers against one. CPU time of the
command and of all that it starts, in turn.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from ase.build import bulk
from ase.io import write
from interleaved import machine, ratio, seconds

import keel

HERE = Path(__file__).parents[1] / "src"
PR_SET_CHILD_SUBREAPER = 36
SMALL = """
name: small
data: {files: [phosphorus], split: {by: start, group: phase, train: 4, validation: 2, test_frames: 6}}
networks: [{architecture: CGCNN, cutoff: 4.0, features: 16, convolutions: 2, hidden: 16}]
strategies: [vanilla, pretrain]
seeds: [0, 1]
training: {steps: 150, batch_size: 2, validate_every: 50, warmup_steps: 2}
teacher: {cutoff: 5.0}
md: {temperatures: [500, 2000], runs: 2, length_fs: 200, longest_fs: 400}
evaluation: {rdf_temperature: 500, rdf_length_fs: 100, rdf_runs: 1}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, required=True, help="the folder src of another build")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    # Processes that outlive the one that started them come to this one, so that their time is counted too.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for title, arguments in commands(folder).items():
            work = {build: partial(cpu, source, arguments) for build, source in builds(options).items()}
            rows.append(row(title, work, options.rounds))
        for build, source in builds(options).items():
            work = {f"{n} workers": partial(run, source, folder, n) for n in (2, 1)}
            rows.append(row(f"run, {build} build", work, 3))
    if options.out:
        options.out.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")


def builds(options: argparse.Namespace) -> dict[str, Path]:
    """Return the folders of source of this build and of the other."""
    return {"this": HERE, "other": options.against}


def commands(folder: Path) -> dict[str, list[str]]:
    """Write what the commands need, and return their arguments."""
    copper, potential = folder / "cu.extxyz", folder / "cu.json"
    write(copper, bulk("Cu", cubic=True) * (3, 3, 1))
    keel.EAM.from_elements(["Cu"], 5.5).save(str(potential))
    md = ["md", str(potential), str(copper), "-T", "300", "--length-fs", "1"]
    return {"md": md, "census": ["census", str(copper)], "help": ["--help"]}


def cpu(source: Path, arguments: list[str]) -> float:
    """Return the CPU seconds of a command and of all that it started."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"}
    if "--out" in arguments:
        shutil.rmtree(arguments[arguments.index("--out") + 1], ignore_errors=True)
    subprocess.run([sys.executable, "-m", "keel", *arguments], env=environment, check=True, capture_output=True)
    while True:
        try:
            os.wait()
        except ChildProcessError:
            break
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def run(source: Path, folder: Path, workers: int) -> float:
    """Return the CPU seconds of a small run anew."""
    settings = folder / "small.yaml"
    settings.write_text(SMALL)
    return cpu(source, ["run", str(settings), "--out", str(folder / "run"), "--workers", str(workers)])


def row(title: str, work: dict[str, Callable[[], float]], rounds: int) -> dict[str, Any]:
    """Do two pieces of work in turn; return and print their medians in seconds and the ratio of first to second."""
    times = seconds(work, rounds)
    first, second = times
    found = {"task": title, **{name: round(float(np.median(t)), 3) for name, t in times.items()}}
    found |= {f"{first} / {second}": ratio(times[first], times[second])}
    print(json.dumps(found), flush=True)
    return found


if __name__ == "__main__":
    main()
