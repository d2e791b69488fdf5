"""Write cgcnn.npz: a CGCNN of torch_geometric CGConv layers, its predictions in float64. Run where that is installed:

python tests/reference/make_cgcnn.py tests/reference/cgcnn.npz
"""

import sys

import numpy as np
import torch
from ase import Atoms
from ase.neighborlist import neighbor_list
from torch import nn
from torch_geometric.nn import CGConv

ELEMENTS = (8, 14)
CUTOFF, FEATURES, GAUSSIANS, HIDDEN, CONVOLUTIONS = 4.0, 10, 12, 9, 3


class Reference(nn.Module):
    """Embedding, convolutions, a perceptron for the energy of each atom."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(len(ELEMENTS), FEATURES)
        self.convolutions = nn.ModuleList([CGConv(FEATURES, GAUSSIANS, aggr="add") for _ in range(CONVOLUTIONS)])
        self.readout = nn.Sequential(nn.Linear(FEATURES, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, 1))

    def forward(self, species: torch.Tensor, i: torch.Tensor, j: torch.Tensor, r: torch.Tensor) -> torch.Tensor:
        centres = torch.linspace(0, CUTOFF, GAUSSIANS)
        features = torch.exp(-0.5 * ((r[:, None] - centres) * (GAUSSIANS - 1) / CUTOFF) ** 2)
        v = self.embedding(species)
        for convolution in self.convolutions:
            # Edges of torch_geometric point from the neighbour to the centre.
            v = convolution(v, torch.stack([j, i]), features)
        return self.readout(v).sum()


def structures() -> list[Atoms]:
    """A crystal with a cell smaller than the cutoff, a larger skewed one, and a molecule."""
    rng = np.random.default_rng(0)
    found = [
        Atoms(
            rng.choice(ELEMENTS, n),
            positions=rng.random((n, 3)) * a,
            cell=np.eye(3) * a + rng.normal(0, 0.3, (3, 3)),
            pbc=True,
        )
        for n, a in [(2, 2.7), (9, 5.0)]
    ]
    return [*found, Atoms("SiO2", positions=rng.normal(0, 1.5, (3, 3)))]


def main(path: str) -> None:
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    network = Reference()
    arrays = {f"weights/{name}": value.numpy() for name, value in network.state_dict().items()}
    for k, atoms in enumerate(structures()):
        i, j, shifts = neighbor_list("ijS", atoms, CUTOFF)
        positions = torch.tensor(atoms.positions, requires_grad=True)
        vectors = positions[j] - positions[i] + torch.tensor(shifts @ atoms.cell.array)
        species = torch.tensor([ELEMENTS.index(z) for z in atoms.numbers])
        energy = network(species, torch.tensor(i), torch.tensor(j), vectors.norm(dim=1))
        (gradient,) = torch.autograd.grad(energy, positions)
        arrays |= {f"frame{k}/numbers": atoms.numbers, f"frame{k}/positions": atoms.positions}
        arrays |= {f"frame{k}/cell": atoms.cell.array, f"frame{k}/pbc": atoms.pbc}
        arrays |= {f"energy{k}": energy.detach().numpy(), f"forces{k}": -gradient.numpy()}
    np.savez_compressed(path, **arrays)


if __name__ == "__main__":
    main(sys.argv[1])
