"""Any potential as a model of torch-sim, which moves and relaxes many structures at once.

    import torch_sim as ts
    from keel.interfaces.torchsim import torch_sim_model

    model = torch_sim_model("network.safetensors")
    final = ts.optimize(structures, model, optimizer=ts.optimizers.fire)

Structures are whatever torch-sim takes, such as a list of ``ase.Atoms``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from keel.atoms.frame import Frame
from keel.atoms.verlet import VerletList
from keel.interfaces.moving import opened
from keel.potentials.base import Potential
from keel.potentials.external.extras import optional
from keel.potentials.external.opening import Given


def torch_sim_model(
    potential: Given,
    *,
    device: torch.device | str | None = None,
    dtype: torch.dtype | str | None = None,
    skin: float = 0.5,
    trust: bool = False,
) -> Any:
    """Return a potential as a ``torch_sim.models.interface.ModelInterface`` with energy, forces and stress.

    States are float64 (``model.dtype``), in which energies are summed; a network computes in its own precision.

    Parameters
    ----------
    potential
        A potential, or what has or names one (:func:`keel.open_potential`).
    device, dtype, skin, trust
        As of :class:`keel.KeelCalculator`.

    Raises
    ------
    UnavailableError
        If torch-sim-atomistic is not installed.
    """
    return _model_class()(opened(potential, dtype, device, trust=trust), skin)


class Evaluator:
    """Evaluates states of torch-sim; the neighbour list is kept while atoms and cells are those of the last call."""

    def __init__(self, potential: Potential, skin: float) -> None:
        self.potential, self.skin = potential, skin
        self._list: VerletList | None = None
        self._listed: tuple[Tensor, ...] = ()

    def __call__(self, state: Any) -> dict[str, Tensor]:
        """Return energy (B,), energies of atoms (N,), forces (N, 3) and stress (B, 3, 3), zero if there is none."""
        graph, vectors = self._neighbours(state).update(state.positions.detach().double())
        found = self.potential(graph, vectors=vectors)
        results = {
            "energy": found.energy,
            "energies": found.atomic_energies,
            "forces": found.forces,
            "stress": found.stress.nan_to_num() if not bool(graph.periodic.all()) else found.stress,
        }
        return {name: value.to(state.positions.dtype) for name, value in results.items()}

    def _neighbours(self, state: Any) -> VerletList:
        pbc = torch.as_tensor(state.pbc, device=state.positions.device).expand(3)
        system = state.atomic_numbers, state.system_idx, state.row_vector_cell, pbc
        same = len(self._listed) and all(map(torch.equal, system, self._listed))
        if self._list is None or not same:
            self._listed = tuple(part.detach().clone() for part in system)
            self._list = VerletList(
                _frames(state, pbc),
                self.potential.cutoff,
                skin=self.skin,
                half_list=self.potential.half_list,
                dtype=self.potential.dtype,
                device=self.potential.device,
            )
        return self._list


def _frames(state: Any, pbc: Tensor) -> list[Frame]:
    numbers, positions, places, cells, periods = (
        t.detach().cpu().numpy()
        for t in (state.atomic_numbers, state.positions.double(), state.system_idx, state.row_vector_cell.double(), pbc)
    )
    return [
        Frame(numbers[places == b].astype(np.int64), positions[places == b], cell * periods[:, None], periods.copy())
        for b, cell in enumerate(cells)
    ]


@cache
def _model_class() -> Any:
    interface = optional("torch_sim.models.interface", "keel.interfaces.torchsim", "torch-sim-atomistic", "torch-sim")

    class KeelModel(interface.ModelInterface):  # type: ignore[name-defined, misc]
        """A potential of keel."""

        def __init__(self, potential: Potential, skin: float) -> None:
            super().__init__()
            self.potential = potential
            self.evaluate = Evaluator(potential, skin)
            self._device, self._dtype = potential.device, torch.float64
            self._compute_stress = self._compute_forces = True
            self._memory_scales_with = "n_atoms_x_density"

        @property
        def compute_stress(self) -> bool:
            return True

        @compute_stress.setter
        def compute_stress(self, compute_stress: bool) -> None:
            """Do nothing: forces and stress cost no more than forces."""

        @property
        def compute_forces(self) -> bool:
            return True

        @compute_forces.setter
        def compute_forces(self, compute_forces: bool) -> None:
            """Do nothing: energies come with forces."""

        def forward(self, state: Any, **_: Any) -> dict[str, Tensor]:
            if isinstance(state, Mapping):
                state = optional("torch_sim", "torch-sim", "torch-sim-atomistic", "torch-sim").SimState(
                    **state, masses=torch.ones_like(state["positions"][:, 0])
                )
            return self.evaluate(state)

    return KeelModel
