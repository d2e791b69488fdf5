"""The contract, tried on every potential of the package."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import keel
from keel.atoms.graph import AtomGraph
from keel.potentials.base import Potential
from keel.testing import PotentialContract, check_potential
from small_potentials import Soft, cgcnn, eam, m3gnet, torchmd_et


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
