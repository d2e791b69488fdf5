"""Any model of torch-sim as a potential, evaluated for many structures at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from keel.atoms.graph import AtomGraph
from keel.errors import RefusedError
from keel.potentials.external.ase import ASEPotential, in_a_box, structures
from keel.potentials.external.extras import optional


class TorchSimPotential(ASEPotential):
    """Energy, forces and stress of a model of torch-sim (its ``ModelInterface``), which takes whole batches.

    MACE, SevenNet, MatterSim, Orb, fairchem and others come as such models. Structures that are not periodic in three
    directions go into large periodic boxes, as most of these models require.

    Parameters
    ----------
    calculator
        The model, or the import path of its class or of a function that returns one.
    arguments, cutoff, elements
        See :class:`ASEPotential`.

    Raises
    ------
    RefusedError
        When it is used: if the model refuses a batch.
    """

    def _results(self, graph: AtomGraph, *, forces: bool) -> tuple[Tensor, Tensor, Tensor]:
        model: Any = self.calculator
        sim = optional("torch_sim", "a model of torch-sim", "torch-sim-atomistic", "torch-sim")
        atoms = [a if a.pbc.all() else in_a_box(a) for a in structures(graph)]
        if not bool(graph.periodic.all()):
            self._put_in_boxes("is a model of torch-sim")
        name = type(model).__name__
        try:
            with torch.enable_grad(), self._as_made():
                found = model(sim.io.atoms_to_state(atoms, model.device, model.dtype))
        except Exception as error:
            reason = " ".join(str(error).split())
            raise RefusedError(f"{name} refuses a batch of {len(atoms)}: {type(error).__name__}: {reason}") from error
        rows = [found["energy"], found["forces"] if forces else None, found.get("stress") if forces else None]
        shapes = [(graph.n_structures,), (graph.n_atoms, 3), (graph.n_structures, 3, 3)]
        energy, force, stress = (
            torch.full(shape, torch.nan, dtype=torch.float64, device=self.device)
            if row is None
            else row.detach().to(self.device, torch.float64).reshape(shape)
            for row, shape in zip(rows, shapes, strict=True)
        )
        return energy, force, torch.where(graph.periodic[:, None, None], stress, torch.nan)


def around(calculator: Any, arguments: Mapping[str, Any] | None = None) -> ASEPotential:
    """Return a potential around an ASE calculator or a model of torch-sim, or the import path of one.

    Raises
    ------
    UnavailableError, ConfigError
        See :class:`ASEPotential`.
    """
    potential = ASEPotential(calculator, arguments)
    # Recognised without importing torch-sim.
    if all(base.__module__ != "torch_sim.models.interface" for base in type(potential.calculator).__mro__):
        return potential
    batched = TorchSimPotential(potential.calculator)
    batched._default_dtype = potential._default_dtype
    return batched
