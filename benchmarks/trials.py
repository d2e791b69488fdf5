"""Thirty-six short trials on one worker and on two, and on two of another checkout of keel, in turn.

    python benchmarks/trials.py --earlier ../earlier --rounds 3 --out docs/results/speed/trials.json

Each run begins in an empty folder and trains and measures 36 small networks (12 seeds, three strategies); what counts
is the time of the whole command, its start and its report included.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml
from interleaved import machine, ratio, seconds

CONFIG = {
    "name": "phosphorus",
    "data": {"files": ["phosphorus"], "split": {"by": "start", "train": 24, "validation": 12, "test": 24}},
    "networks": [{"architecture": "CGCNN", "cutoff": 4.5, "features": 16, "convolutions": 2}],
    "strategies": ["vanilla", "zbl-delta", "pretrain"],
    "seeds": list(range(12)),
    "training": {"steps": 300, "batch_size": 4},
    "md": {"temperatures": [1000], "runs": 2, "rung_fs": 20, "length_fs": 50, "longest_fs": 50},
    "evaluation": {"rdf_temperature": None, "dimers": False},
}


def run_with(source: Path, workers: int) -> float:
    """Return the seconds of a whole run by the keel in a checkout."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "trials.yaml"
        config.write_text(yaml.safe_dump(CONFIG))
        command = [
            sys.executable,
            "-m",
            "keel",
            "run",
            str(config),
            "--workers",
            str(workers),
            "--out",
            f"{folder}/run",
        ]
        env = {**os.environ, "PYTHONPATH": str((source / "src").resolve()), "OMP_NUM_THREADS": "1"}
        start = time.perf_counter()
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--earlier", type=Path, help="another checkout of keel")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    here = Path(__file__).parents[1]
    work = {"one worker": lambda: run_with(here, 1), "two workers": lambda: run_with(here, 2)}
    if options.earlier:
        work["two workers, earlier"] = lambda: run_with(options.earlier, 2)
    times = seconds(work, options.rounds)
    found = {
        "machine": machine("distributed"),
        "seconds": {name: [round(float(t), 1) for t in values] for name, values in times.items()},
        "one worker / two": ratio(times["one worker"], times["two workers"]),
    }
    if options.earlier:
        found["two workers / two of earlier"] = ratio(times["two workers"], times["two workers, earlier"])
    options.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
