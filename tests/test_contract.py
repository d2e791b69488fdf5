"""The contract, tried on every potential of the package."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import keel
from keel.atoms.graph import AtomGraph
from keel.potentials.base import Potential
from keel.testing import PotentialContract, check_potential


class Soft(Potential):
    """A small potential with parameters that leaves its derivatives to automatic differentiation."""

    def __init__(self, cutoff: float = 3.0) -> None:
        super().__init__(cutoff, [8, 14])
        self.strength = nn.Parameter(torch.tensor([0.4, 0.9]))

    def config(self) -> dict[str, Any]:
        return {"cutoff": self.cutoff}

    def atomic_energies(self, graph: AtomGraph, vectors: Tensor) -> Tensor:
        i, j = graph.edge_index
        r = torch.linalg.vector_norm(vectors, dim=1)
        strength = self.strength.index_select(0, self.species(graph))
        pair = strength[i] * strength[j] ** 2 * (1 - r / self.cutoff) ** 4
        return torch.tanh(pair.new_zeros(graph.n_atoms).index_add(0, i, pair))


def eam() -> keel.EAM:
    potential = keel.EAM.from_elements(["Si", "O"], cutoff=5.0)
    potential.set_offsets({8: -430.0, 14: -120.0})
    return potential


def cgcnn(**settings: Any) -> keel.CGCNN:
    torch.manual_seed(0)
    return keel.CGCNN(
        elements=["Si", "O"], cutoff=3.5, features=16, convolutions=2, gaussians=12, hidden=16, **settings
    )


def torchmd_et(**settings: Any) -> keel.TorchMDET:
    torch.manual_seed(0)
    network = keel.TorchMDET(elements=["Si", "O"], cutoff=3.5, channels=16, layers=2, heads=4, num_rbf=12, **settings)
    for name, parameter in network.named_parameters():
        # They start at zero, and then a filter vanishes at the cutoff by itself.
        if name.endswith("bias") and network.mode == "smooth":
            nn.init.normal_(parameter, std=0.3)
    return network


class TestLennardJones(PotentialContract):
    @pytest.fixture
    def potential(self) -> Potential:
        return keel.LennardJones(epsilon=0.1, sigma=1.5, cutoff=4.0)


class TestZBL(PotentialContract):
    @pytest.fixture
    def potential(self) -> Potential:
        return keel.ZBL(inner=0.6, outer=1.4, elements=["Si", "O"])


class TestZBLOfSomePairs(PotentialContract):
    @pytest.fixture
    def potential(self) -> Potential:
        return keel.ZBL(inner=0.6, outer=1.4, pairs=[("Si", "O")], elements=["Si", "O"])


class TestEAM(PotentialContract):
    @pytest.fixture
    def potential(self) -> Potential:
        return eam()


class TestEAMOfOneElement(PotentialContract):
    @pytest.fixture
    def potential(self) -> Potential:
        return keel.EAM.from_elements(["Mo"], cutoff=5.0)


class TestAutomaticDifferentiation(PotentialContract):
    @pytest.fixture
    def potential(self) -> Potential:
        return Soft()


class TestCGCNN(PotentialContract):
    @pytest.fixture
    def potential(self) -> Potential:
        return cgcnn()


class TestCGCNNReference(PotentialContract):
    exempt = {"smooth_cutoff"}

    @pytest.fixture
    def potential(self) -> Potential:
        return cgcnn(mode="reference")


class TestTorchMDET(PotentialContract):
    @pytest.fixture
    def potential(self) -> Potential:
        return torchmd_et()


class TestTorchMDETReference(PotentialContract):
    exempt = {"smooth_cutoff"}

    @pytest.fixture
    def potential(self) -> Potential:
        return torchmd_et(mode="reference")


def m3gnet(**settings: Any) -> keel.M3GNet:
    torch.manual_seed(0)
    sizes = {"node_features": 12, "edge_features": 8, "units": 10, "blocks": 2}
    return keel.M3GNet(elements=["Si", "O"], cutoff=3.5, three_body_cutoff=3.0, **sizes, **settings)


class TestM3GNet(PotentialContract):
    @pytest.fixture
    def potential(self) -> Potential:
        return m3gnet()


class TestM3GNetReference(PotentialContract):
    exempt = {"smooth_cutoff"}

    @pytest.fixture
    def potential(self) -> Potential:
        return m3gnet(mode="reference", max_n=2, max_l=4)


class TestM3GNetReferenceOfSmoothBasis(PotentialContract):
    """With these radial functions even the reference is smooth."""

    @pytest.fixture
    def potential(self) -> Potential:
        return m3gnet(mode="reference", smooth_basis=True)


class TestSumOfClosedForms(PotentialContract):
    @pytest.fixture
    def potential(self) -> Potential:
        return keel.SumPotential([eam(), keel.ZBL(elements=["Si", "O"])])


class TestSumWithNetwork(PotentialContract):
    @pytest.fixture
    def potential(self) -> Potential:
        return keel.SumPotential([cgcnn(), keel.ZBL(inner=0.6, outer=1.4, elements=["Si", "O"]), Soft(), eam()])


def test_one_call_checks_everything() -> None:
    check_potential(Soft())


def test_reference_mode_is_not_smooth() -> None:
    with pytest.raises(AssertionError, match="jumps at the cutoff"):
        check_potential(cgcnn(mode="reference"))


class Flawed(Soft):
    """Energies that change with the place of the first atom, the batch, or the cutoff: what the contract must find."""

    def __init__(self, flaw: str) -> None:
        super().__init__()
        self.flaw = flaw

    def config(self) -> dict[str, Any]:
        return {"flaw": self.flaw}

    def atomic_energies(self, graph: AtomGraph, vectors: Tensor) -> Tensor:
        energies = super().atomic_energies(graph, vectors)
        i = graph.edge_index[0]
        extra = {
            "direction": vectors.new_zeros(graph.n_atoms).index_add(0, i, vectors[:, 0] ** 2),
            "position": graph.positions[:, 0].detach(),
            "batch": energies.mean().expand(graph.n_atoms),
            "jump": torch.ones_like(energies).index_add(0, i, torch.ones_like(vectors[:, 0])),
            "order": torch.arange(graph.n_atoms, device=vectors.device, dtype=vectors.dtype),
        }
        return energies + extra[self.flaw]


@pytest.mark.parametrize("flaw", ["direction", "position", "batch", "jump", "order"])
def test_a_flaw_is_found(flaw: str) -> None:
    with pytest.raises(AssertionError):
        check_potential(Flawed(flaw))


def test_wrong_forces_are_found() -> None:
    class Scaled(Soft):
        def energies_and_gradient(self, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
            energies, gradient = super().energies_and_gradient(*args, **kwargs)
            return energies, 1.001 * gradient

    with pytest.raises(AssertionError, match="forces"):
        check_potential(Scaled())
