"""torch-sim with the MACE model that is inside a potential of keel."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
import torch_sim as ts
from torch_sim.models.mace import MaceModel
from worker import Task, serve

import keel
from keel.process import keep_freed_memory


def prepare(task: Task) -> Callable[[], object]:
    if task.options["keep_memory"]:
        keep_freed_memory()  # which keel does by itself
    network = keel.load(task.options["network"])
    mace = copy.deepcopy(network.model)
    mace.scale_shift.scale.fill_(float(network.scale))
    # NVT needs no stress; its default neighbour list is vesin's.
    model = MaceModel(mace, device=torch.device("cpu"), dtype=torch.float32, compute_stress=False)
    check(network, model, task)

    def run() -> None:
        ts.integrate(
            task.frames,
            model,
            integrator=ts.integrators.nvt_langevin,
            n_steps=task.options["steps"],
            temperature=task.options["temperature"],
            timestep=0.001,  # ps
            gamma=torch.tensor(10.0 / ts.units.MetalUnits.time, dtype=torch.float32),  # 0.01/fs
        )

    return run


def check(network: keel.Potential, model: MaceModel, task: Task) -> None:
    """Make sure that both sides compute the same forces."""
    expected = network(keel.batch(task.frames, network.cutoff).to(dtype=torch.float32)).forces
    forces = model(ts.initialize_state(task.frames, torch.device("cpu"), torch.float32))["forces"].detach()
    difference = float((forces - expected).norm() / expected.norm())
    if not difference < 1e-4:
        raise RuntimeError(f"the forces of both sides differ by {difference:.1e}")


if __name__ == "__main__":
    serve(prepare)
