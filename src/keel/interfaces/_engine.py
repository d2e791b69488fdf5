"""What metatomic compiles: the module around a potential; ``keel.interfaces.metatomic`` writes it.

It is imported only where metatomic-torch is installed.
"""

# Without postponed annotations, with the types of `typing`, and without type comments: metatomic and TorchScript read
# annotations.
# ruff: noqa: UP006, UP035, UP045

from typing import Any, Dict, List, Optional, Tuple

import torch
from metatensor.torch import Labels, TensorBlock, TensorMap
from metatomic.torch import ModelOutput, NeighborListOptions, System


@torch.jit.interface
class Slopes(torch.nn.Module):
    """Energies of atoms and the gradient of their weighted sum: ``keel.interfaces.torchscript.Scripted``.

    As an interface it is a program of its own to TorchScript, which would otherwise make it part of what it has to
    differentiate, and slower by a tenth.
    """

    def forward(
        self,
        numbers: torch.Tensor,
        edges: torch.Tensor,
        shifts: torch.Tensor,
        vectors: torch.Tensor,
        weights: torch.Tensor,
    ) -> Tuple[torch.Tensor, torch.Tensor]:
        pass  # nothing else is allowed in an interface


class GivenSlopes(torch.nn.Module):
    """A program under the names of ``Slopes``; None: something that is never called."""

    def __init__(self, program: Any) -> None:
        super().__init__()
        self.program = program

    def forward(
        self,
        numbers: torch.Tensor,
        edges: torch.Tensor,
        shifts: torch.Tensor,
        vectors: torch.Tensor,
        weights: torch.Tensor,
    ) -> Tuple[torch.Tensor, torch.Tensor]:
        """Return energies (N,) and gradient (E, 3)."""
        if self.program is None:
            return weights, vectors
        energies, gradient = self.program(numbers, edges, shifts, vectors, weights)
        return energies, gradient


class Engine(torch.nn.Module):
    """A potential as metatomic's ``ModelInterface``.

    Parameters
    ----------
    energies, slopes
        See ``keel.interfaces.torchscript.Scripted``.
    cutoff, half_list
        Of the neighbour list that engines must supply; the cutoff in angstrom.
    """

    slopes: Slopes

    def __init__(self, energies: Any, slopes: Any, cutoff: float, half_list: bool) -> None:
        super().__init__()
        program: Any = GivenSlopes(slopes)
        self.energies, self.slopes, self.has_slopes = energies, program, slopes is not None
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
        """Return the energy in eV, per atom or per system as the engine requests, of the selected atoms or of all."""
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
        edges, vector = torch.cat(ends).t().contiguous(), torch.cat(vectors)
        number, place, shift = torch.cat(numbers), torch.cat(places), torch.cat(shifts)
        device, dtype = place.device, systems[0].positions.dtype
        samples = Labels(["system", "atom"], place, assume_unique=True)
        chosen = torch.arange(first, device=device)
        if selected_atoms is not None:
            chosen = samples.select(selected_atoms)
        if outputs["energy"].sample_kind == "atom":
            values = self.energies(number, edges, shift, vector).to(dtype).index_select(0, chosen)
            samples = Labels(["system", "atom"], place.index_select(0, chosen), assume_unique=True)
        else:
            system_of = place[:, 0].to(torch.int64)
            values = torch.zeros(len(systems), dtype=dtype, device=device)
            if self.has_slopes and vector.requires_grad:
                fixed = vector.detach()
                weights = torch.zeros(first, dtype=torch.float64, device=device).index_fill(0, chosen, 1.0)
                atomic, slopes = self.slopes(number, edges, shift, fixed, weights)
                # Zero, with the gradient of the energy. What computed it is detached, or TorchScript would take that
                # for a part of what is to be differentiated.
                atomic, zero = atomic.detach(), (slopes.detach() * (vector - fixed)).sum(dim=1).to(dtype)
                values = values.index_add(0, system_of.index_select(0, edges[0]), zero)
            else:
                atomic = self.energies(number, edges, shift, vector)
            of_chosen = atomic.to(dtype).index_select(0, chosen)
            values = values.index_add(0, system_of.index_select(0, chosen), of_chosen)
            rows = torch.arange(len(systems), dtype=torch.int32, device=device).unsqueeze(1)
            samples = Labels(["system"], rows, assume_unique=True)
        block = TensorBlock(
            values=values.unsqueeze(1),
            samples=samples,
            components=torch.jit.annotate(List[Labels], []),
            properties=Labels(["energy"], torch.zeros(1, 1, dtype=torch.int32, device=device)),
        )
        keys = Labels(["_"], torch.zeros(1, 1, dtype=torch.int32, device=device))
        results["energy"] = TensorMap(keys, [block])
        return results
