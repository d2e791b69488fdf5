"""Simulations of a few steps do without machine code and without what it takes to load it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk

import keel
from keel.atoms.conversion import as_frame
from keel.atoms.frame import Frame
from keel.dynamics import MDSettings, Moment, Trajectory, simulate
from keel.kernels import PAYS_FROM, kernels_if_they_pay, kernels_run
from keel.lazy import imported_for_good
from keel.potentials.classical.lennard_jones import LennardJones
from small_potentials import eam

NEEDLESS = ("numba", "scipy.linalg", "scipy.special", "lightning", "matplotlib", "sympy", "torch._dynamo")


def silica(n: int = 2) -> Frame:
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(*[np.arange(2 * n)] * 3), axis=-1).reshape(-1, 3) * 2.3
    cell = 2.3 * 2 * n * np.eye(3)
    return Frame(rng.choice([8, 14], len(grid)), grid + rng.uniform(-0.1, 0.1, grid.shape), cell, np.full(3, True))


class Asked:
    """A criterion that nothing fails and that notes whether kernels run."""

    cause = "none"

    def __init__(self) -> None:
        self.kernels: set[bool] = set()
        self.batches = 0

    def reach(self, frames: Sequence[Frame]) -> float:
        return 0.0

    def failed(self, moment: Moment) -> None:
        self.batches += moment.step == 0
        self.kernels.add(kernels_run())


def run(steps: float, frames: Sequence[Frame], criteria: Sequence[Asked] = (), **settings: int) -> list[Trajectory]:
    md = MDSettings(temperature=300, length_fs=steps, timestep_fs=1, record_every=1, **settings)
    return simulate(eam(), frames, md, criteria=list(criteria))


def test_one_step_is_the_first_of_many():
    frame = silica()
    many = PAYS_FROM // len(frame) + 1
    (one,), (long,) = run(1, [frame]), run(many, [frame])
    first, same = one.last.frame, long.snapshots[1].frame
    assert np.abs(first.positions - same.positions).max() < 1e-9
    assert np.abs(first.forces - same.forces).max() < 1e-5
    assert abs(first.energy - same.energy) < 1e-5


@pytest.mark.parametrize("enough", [False, True])
def test_all_batches_of_a_simulation_are_run_in_one_way(enough):
    frames, asked = [silica()] * 4, Asked()
    steps = PAYS_FROM // (len(frames) * len(frames[0])) + (1 if enough else -1)
    run(steps, frames, [asked], max_atoms=len(frames[0]))
    assert asked.batches == len(frames)
    assert asked.kernels == {enough}
    assert kernels_run()


def test_who_does_without_kernels_does_so_within():
    with kernels_if_they_pay(0):
        with kernels_if_they_pay(PAYS_FROM):
            assert not kernels_run()
        assert not kernels_run()
    assert kernels_run()


def test_a_short_simulation_loads_nothing_needless(tmp_path: Path):
    LennardJones(0.4, 2.3, 5.0).save(str(tmp_path / "cu.json"))
    keel.write(tmp_path / "cu.extxyz", [as_frame(bulk("Cu", cubic=True).repeat((3, 3, 1)))])
    script = (
        "import sys, atexit; from keel.cli import main\n"
        f"atexit.register(lambda: print([name for name in {NEEDLESS} if name in sys.modules]))\nmain()"
    )
    arguments = ["md", "cu.json", "cu.extxyz", "-T", "300", "--length-fs", "1"]
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "1 run at 300 K" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_what_is_there_already_is_not_spared():
    """Garbage that is spared is never found, so that this is done once only."""
    script = (
        "import gc; from keel.lazy import imported_for_good\n"
        "for _ in range(2):\n"
        "    with imported_for_good('decimal'):\n"
        "        print(gc.isenabled()); import decimal\n"
        "    print(gc.isenabled(), gc.get_freeze_count() > 0); gc.unfreeze()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:-1] == ["False", "True True", "True", "True False"]
    with imported_for_good("keel"):
        assert "keel" in sys.modules
