"""What metatomic compiles: the module around a potential; :mod:`keel.interfaces.metatomic` writes it.

It is imported only where metatomic-torch is installed.
"""

# Without postponed annotations, with the types of `typing`, and without comments on types: metatomic and TorchScript
# read all of that.
# ruff: noqa: UP006, UP035, UP045

from typing import Any, Dict, List, Optional

import torch
from metatensor.torch import Labels, TensorBlock, TensorMap
from metatomic.torch import ModelOutput, NeighborListOptions, System


class Engine(torch.nn.Module):
    """A traced potential as metatomic's ``ModelInterface``.

    Parameters
    ----------
    core
        From atomic numbers (N,), edges (2, E), shifts (E, 3) and edge vectors (E, 3) to energies of atoms (N,) in eV.
    cutoff, half_list
        Of the neighbour list that engines are asked for, in angstrom.
    """

    def __init__(self, core: Any, cutoff: float, half_list: bool) -> None:
        super().__init__()
        self.core = core
        self._neighbours = NeighborListOptions(cutoff=cutoff, full_list=not half_list, strict=True)

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        """Return the one list that the potential needs."""
        return [self._neighbours]

    def forward(
        self,
        systems: List[System],
        outputs: Dict[str, ModelOutput],
        selected_atoms: Optional[Labels] = None,
    ) -> Dict[str, TensorMap]:
        """Return the energy in eV, of atoms or of systems as the engine asks, of the selected atoms or of all."""
        results: Dict[str, TensorMap] = {}
        if "energy" not in outputs or len(systems) == 0:
            return results
        numbers: List[torch.Tensor] = []
        places: List[torch.Tensor] = []
        ends: List[torch.Tensor] = []
        shifts: List[torch.Tensor] = []
        vectors: List[torch.Tensor] = []
        first = 0
        for k, system in enumerate(systems):
            pairs = system.get_neighbor_list(self._neighbours)
            of_pairs = pairs.samples.values
            n = len(system)
            ends.append(of_pairs[:, :2].to(torch.int64) + first)
            shifts.append(of_pairs[:, 2:].to(pairs.values.dtype))
            vectors.append(pairs.values.squeeze(-1))
            numbers.append(system.types.to(torch.int64))
            atoms = torch.arange(n, dtype=torch.int32, device=system.device)
            places.append(torch.stack([torch.full_like(atoms, k), atoms], dim=1))
            first += n
        edges = torch.cat(ends).t().contiguous()
        energies = self.core(torch.cat(numbers), edges, torch.cat(shifts), torch.cat(vectors))
        values = energies.to(systems[0].positions.dtype).unsqueeze(1)
        samples = Labels(["system", "atom"], torch.cat(places), assume_unique=True)
        if selected_atoms is not None:
            chosen = samples.select(selected_atoms)
            values = values.index_select(0, chosen)
            samples = Labels(["system", "atom"], samples.values.index_select(0, chosen), assume_unique=True)
        if outputs["energy"].sample_kind != "atom":
            of_system = samples.values[:, 0].to(torch.int64)
            values = values.new_zeros(len(systems), 1).index_add(0, of_system, values)
            rows = torch.arange(len(systems), dtype=torch.int32, device=values.device).unsqueeze(1)
            samples = Labels(["system"], rows, assume_unique=True)
        device = values.device
        block = TensorBlock(
            values=values,
            samples=samples,
            components=torch.jit.annotate(List[Labels], []),
            properties=Labels(["energy"], torch.zeros(1, 1, dtype=torch.int32, device=device)),
        )
        keys = Labels(["_"], torch.zeros(1, 1, dtype=torch.int32, device=device))
        results["energy"] = TensorMap(keys, [block])
        return results
