"""An ASE calculator of a few lines that differentiates with torch, as those of graph networks do."""

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.neighborlist import neighbor_list


class TorchMorse(Calculator):
    """Morse pairs; optionally with the habits of others: it wants a cell, takes few atoms, or sets torch's dtype.

    It computes in ``inside``, whatever is asked of it.
    """

    implemented_properties = ("energy", "forces", "stress")
    cutoff = 5.0

    def __init__(
        self,
        *,
        wants_cell: bool = False,
        most_atoms: int | None = None,
        dtype: str | None = None,
        inside: torch.dtype = torch.float64,
    ):
        super().__init__()
        self.wants_cell, self.most_atoms, self.inside = wants_cell, most_atoms, inside
        self.seen: list[Atoms] = []
        if dtype:
            torch.set_default_dtype(getattr(torch, dtype))

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.seen.append(atoms.copy())
        if self.wants_cell and not atoms.pbc.all():
            raise ValueError("Lattice is singular")
        if self.most_atoms is not None and len(atoms) > self.most_atoms:
            raise RuntimeError(f"no more than {self.most_atoms} atoms")
        i, j, shifts = neighbor_list("ijS", atoms, self.cutoff)
        positions = torch.tensor(atoms.positions, dtype=self.inside, requires_grad=True)
        strain = torch.zeros(3, 3, dtype=self.inside, requires_grad=True)
        vectors = positions[j] - positions[i] + torch.from_numpy(shifts @ atoms.cell.array).to(self.inside)
        r = (vectors + vectors @ strain).norm(dim=1)
        well = (1 - torch.exp(-1.5 * (r - 2.6))) ** 2 - 1
        energy = 0.5 * (0.3 * well * torch.where(r < self.cutoff, (1 - (r / self.cutoff) ** 2) ** 3, 0)).sum()
        slopes = torch.autograd.grad(energy, (positions, strain), allow_unused=True, materialize_grads=True)
        virial = slopes[1].numpy()
        self.results = {"energy": energy.item(), "forces": -slopes[0].numpy()}
        if atoms.pbc.all():
            stress = 0.5 * (virial + virial.T) / atoms.get_volume()
            self.results["stress"] = stress.ravel()[[0, 4, 8, 5, 2, 1]]


def pair_energy(r: float) -> float:
    """Return the energy of two atoms in eV."""
    return 0.3 * ((1 - np.exp(-1.5 * (r - 2.6))) ** 2 - 1) * (1 - (r / TorchMorse.cutoff) ** 2) ** 3
