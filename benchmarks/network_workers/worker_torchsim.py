"""torch-sim with the network of keel: of MACE the model inside it, other networks in a wrapper, compiled."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
import torch_sim as ts
from torch import Tensor
from torch_sim.autobatching import BinningAutoBatcher
from torch_sim.models.interface import ModelInterface
from torch_sim.models.mace import MaceModel
from torch_sim.neighbors import torchsim_nl
from worker import Task, serve

import keel
from keel.atoms.graph import AtomGraph
from keel.potentials.batches import atoms_at_once
from keel.potentials.compiling.compiled import compiling
from keel.process import keep_freed_memory

CPU = torch.device("cpu")


class Wrapped(ModelInterface):
    """A potential of keel as torch-sim wants it, with torch-sim's neighbour list; atoms of a structure follow each
    other."""

    def __init__(self, potential: keel.Potential) -> None:
        super().__init__()
        self.potential = potential
        self._device, self._dtype = CPU, torch.float32
        self._compute_stress, self._compute_forces = False, True

    def forward(self, state: ts.SimState, **_: object) -> dict[str, Tensor]:
        """Return energies and forces."""
        cell, cutoff = state.row_vector_cell, self.potential.cutoff
        pbc = state.pbc.expand(len(cell), 3)
        edges, _, shifts = torchsim_nl(state.positions, cell, pbc, cutoff, state.system_idx)
        order = edges[0].argsort(stable=True)
        graph = AtomGraph(
            numbers=state.atomic_numbers.long(),
            positions=state.positions,
            cell=cell,
            pbc=pbc,
            batch=state.system_idx,
            edge_index=edges[:, order],
            edge_shift=shifts[order],
            cutoff=cutoff,
        )
        prediction = self.potential(graph)
        return {"energy": prediction.energy.float(), "forces": prediction.forces}


def prepare(task: Task) -> Callable[[], object]:
    best = task.options["best"]
    if best:
        keep_freed_memory()  # which keel does by itself
    network = keel.load(task.options["network"])
    model = model_of(network)
    check(network, model, task)

    def run() -> None:
        with compiling(network, True, 0):
            ts.integrate(
                task.frames,
                model,
                integrator=ts.Integrator.nvt_langevin,
                n_steps=task.options["steps"],
                temperature=task.options["temperature"],
                timestep=0.001,  # ps
                gamma=10.0,  # per ps
                autobatcher=batches(model) if best else False,
            )

    return run


def model_of(network: keel.Potential) -> ModelInterface:
    """Return the network for torch-sim, without stress, which NVT does not need."""
    if not isinstance(network, keel.potentials.external.MACE):
        return Wrapped(network)
    mace = copy.deepcopy(network.model)
    mace.scale_shift.scale.fill_(float(network.scale))
    return MaceModel(mace, device=CPU, dtype=torch.float32, compute_stress=False)


def batches(model: ModelInterface) -> BinningAutoBatcher:
    """Return batches of as many atoms as in keel."""
    return BinningAutoBatcher(model, memory_scales_with="n_atoms", max_memory_scaler=atoms_at_once(CPU))


def check(network: keel.Potential, model: ModelInterface, task: Task) -> None:
    """Make sure that both sides compute the same forces."""
    expected = network(keel.batch(task.frames, network.cutoff).to(dtype=torch.float32)).forces
    forces = model(ts.initialize_state(task.frames, CPU, torch.float32))["forces"].detach()
    difference = float((forces - expected).norm() / expected.norm())
    if not difference < 1e-4:
        raise RuntimeError(f"the forces of both sides differ by {difference:.1e}")


if __name__ == "__main__":
    serve(prepare)
