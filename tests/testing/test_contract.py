"""The contract, tried on every potential of the package."""

from __future__ import annotations

import pytest

import keel
from keel.potentials.base import Potential
from keel.testing import RULES, PotentialContract
from small_potentials import Soft, cgcnn, eam, m3gnet, three_body, torchmd_et


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


class TestThreeBody(PotentialContract):
    @pytest.fixture
    def potential(self) -> Potential:
        return three_body()


class TestEAMWithThreeBody(PotentialContract):
    @pytest.fixture
    def potential(self) -> Potential:
        return keel.SumPotential([eam(), three_body()])


class TestAutomaticDifferentiation(PotentialContract):
    @pytest.fixture
    def potential(self) -> Potential:
        return Soft()


class TestCGCNN(PotentialContract):
    @pytest.fixture
    def potential(self) -> Potential:
        return cgcnn()


class TestTorchMDET(PotentialContract):
    @pytest.fixture
    def potential(self) -> Potential:
        return torchmd_et()


class TestTorchMDETReference(PotentialContract):
    """Its own options, without vector_cutoff, are refused in the smooth mode."""

    @pytest.fixture
    def potential(self) -> Potential:
        return torchmd_et(mode="reference")


class TestM3GNet(PotentialContract):
    @pytest.fixture
    def potential(self) -> Potential:
        return m3gnet()


class TestM3GNetOfOtherOrders(PotentialContract):
    exempt = {"smooth"}

    @pytest.fixture
    def potential(self) -> Potential:
        return m3gnet(mode="reference", max_n=2, max_l=4)


class TestM3GNetOfSmoothBasis(PotentialContract):
    exempt = {"smooth"}

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


def test_with_smooth_radial_functions_even_the_reference_is_smooth() -> None:
    RULES["smooth_cutoff"](m3gnet(mode="reference", smooth_basis=True))
