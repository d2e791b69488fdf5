r"""Long simulations with the networks of a study: how many fail in 100 ps, and what lasts.

    python benchmarks/long_runs.py runs/study/silica --config examples/study/laptop/silica.yaml --network CGCNN \
        --temperatures 1000,3000

Simulates the test structures that the run itself started from, eight by default, with one of its networks, and adds a
row per temperature to ``long.csv``: failed runs, the first failure, close contacts per 1000 atoms in the second half,
and seconds of the last command. An interrupted simulation continues where it stopped; existing rows stay.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Sequence
from pathlib import Path

import keel
from keel.atoms.splits import evenly
from keel.config import read_config
from keel.dynamics.simulate import simulate
from keel.dynamics.trajectory_files import read_trajectories
from keel.evaluation.stability.contacts import close_contacts
from keel.workflow.pipeline import Pipeline

COLUMNS = ("system", "network", "temperature_k", "ps", "runs", "failed", "first_failure_ps", "contacts", "seconds")
RECORD_FS = 500.0
CHECKPOINT_EVERY = 5000


def main() -> None:
    """Simulate and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--config", type=Path, required=True, help="the configuration of the run")
    parser.add_argument("--network", required=True)
    parser.add_argument("--strategy", default="pretrain")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--temperatures", default="1000,3000")
    parser.add_argument("--ps", type=float, default=100.0)
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--out", type=Path, default=Path("docs/results/long"))
    given = parser.parse_args()

    table = given.out / "long.csv"
    done = list(csv.DictReader(table.open())) if table.is_file() else []
    name = f"{given.network}-{given.strategy}-seed{given.seed}"
    potential = keel.load(given.run / "potentials" / f"{name}.safetensors")
    config = read_config(given.config)
    starts = evenly(Pipeline(config, given.run, given.config.parent).split.test, given.runs)
    for temperature in map(float, given.temperatures.split(",")):
        key = (given.run.name, name, f"{temperature:g}", f"{given.ps:g}")
        if any(tuple(row[c] for c in COLUMNS[:4]) == key for row in done):
            continue
        settings = config.md.md(temperature, 1000.0 * given.ps)
        file = given.run / "long" / f"{name}-{temperature:g}K-{given.ps:g}ps.extxyz"
        file.parent.mkdir(exist_ok=True)
        began = time.perf_counter()
        settings = settings.replace(record_every=round(RECORD_FS / settings.timestep_of(starts)))
        runs = simulate(potential, starts, settings, out=file, checkpoint_every=CHECKPOINT_EVERY)
        seconds = time.perf_counter() - began
        states = [state for run in read_trajectories(file).values() for state in run]
        last = max(state.step for state in states)
        contacts = close_contacts(state.frame for state in states if state.step > last / 2)
        failed = [run.time / 1000.0 for run in runs if not run.survived]
        first = f"{min(failed):.3g}" if failed else ""
        add(table, (*key, len(runs), len(failed), first, f"{contacts:.3g}", f"{seconds:.0f}"))


def add(table: Path, row: Sequence[object]) -> None:
    """Append a row to the table, which is begun if it is not there."""
    table.parent.mkdir(parents=True, exist_ok=True)
    begun = table.is_file()
    with table.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([row] if begun else [COLUMNS, row])
    print(*row, flush=True)


if __name__ == "__main__":
    main()
