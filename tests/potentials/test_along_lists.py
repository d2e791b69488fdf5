"""Closed forms along Verlet lists say what they say of graphs, whatever the threads and the company."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from ase.build import bulk
from hypothesis import given, settings
from hypothesis import strategies as st

import keel
from keel.atoms.frame import Frame
from keel.atoms.kernels import skin_pairs
from keel.atoms.kernels.skin_pairs import SkinPairs
from keel.atoms.verlet import VerletList
from keel.potentials.base import Potential
from keel.potentials.classical.along import AlongLists, Found, follows_lists
from keel.potentials.classical.eam_tables import EAMTables, error_of
from keel.potentials.classical.lennard_jones import LennardJones
from keel.potentials.classical.zbl import ZBL
from keel.potentials.sum import SumPotential
from keel.testing import check_potential
from small_potentials import cgcnn, eam

ELEMENTS = [8, 14]


def potentials() -> dict[str, Potential]:
    zbl = ZBL(elements=["O", "Si"], pairs=[("O", "Si"), ("Si", "Si", 1.4)])
    lennard_jones = LennardJones(0.3, 2.0, 5.0)
    made = {"eam": eam(), "zbl": zbl, "lennard-jones": lennard_jones}
    made["sum"] = SumPotential([eam(), zbl, lennard_jones], [1.0, 1.0, -0.5])
    return {name: potential.double() for name, potential in made.items()}


def silica(seed: int, n: int, pbc: bool = True, side: float = 0.0) -> Frame:
    rng = np.random.default_rng(seed)
    side = side or 1.1 * max(2.2, 2.2 * n ** (1 / 3))
    cell = side * np.eye(3) + rng.uniform(-0.3, 0.3, (3, 3))
    grid = np.stack(np.meshgrid(*[np.arange(int(np.ceil(n ** (1 / 3))))] * 3), axis=-1).reshape(-1, 3)[:n] * 2.3
    return Frame(rng.choice(ELEMENTS, n), grid + rng.uniform(-0.4, 0.4, (n, 3)), cell, np.full(3, pbc))


def found_in(potential: Potential, frames: list[Frame], skin: float = 1.0) -> tuple[Found, SkinPairs]:
    assert isinstance(potential, AlongLists)
    lists = VerletList(frames, potential.cutoff, skin=skin, half_list=True, dtype=torch.float64)
    positions = np.concatenate([f.positions for f in frames])
    pairs = lists.pairs(torch.from_numpy(positions))
    return potential.along_lists()(pairs, positions), pairs


def same(a: Found, b: Found) -> bool:
    ends = zip((a.energies, a.forces, a.virial), (b.energies, b.forces, b.virial), strict=True)
    return all(np.array_equal(x, y) for x, y in ends) and a.nearest == b.nearest and np.array_equal(a.met, b.met)


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(sorted(potentials())), st.integers(0, 10**6), st.integers(1, 40), st.booleans())
def test_energies_forces_and_stress_are_those_of_the_graph(name, seed, n, pbc):
    potential, frames = potentials()[name], [silica(seed, n, pbc), silica(seed + 1, 5, pbc)]
    found, pairs = found_in(potential, frames)
    with torch.no_grad():
        graph = potential.prepare(keel.batch(frames, potential.cutoff, dtype=torch.float64))
        vectors = graph.edge_vectors().requires_grad_()
    # With a gradient asked for, the graph's way is the torch form.
    energies, gradient = potential.energies_and_gradient(graph, vectors, differentiable=True)
    i, j = graph.edge_index
    forces = torch.zeros(graph.n_atoms, 3, dtype=torch.float64)
    forces = forces.index_add(0, i, gradient).index_add(0, j, gradient, alpha=-1.0).detach().numpy()
    outer = (vectors[:, :, None] * gradient[:, None, :]).detach().numpy()
    virial = np.stack([outer[graph.batch[i].numpy() == b].sum(axis=0) for b in range(2)])
    scale = np.maximum(1.0, np.abs(forces))
    assert np.max(np.abs(found.forces - forces) / scale, initial=0.0) <= 1e-6
    np.testing.assert_allclose(found.energies, energies.detach().numpy(), rtol=1e-7, atol=1e-6)
    stress = found.stress(np.ones(2))
    np.testing.assert_allclose(stress, 0.5 * (virial + virial.swapaxes(1, 2)), rtol=1e-6, atol=1e-5)
    assert pairs.n_structures == 2


@pytest.mark.parametrize("name", sorted(potentials()))
def test_the_nearest_pair_and_atoms_that_have_met_are_known(name):
    potential = potentials()[name]
    reach = 1.1 if name == "zbl" else 2.2
    frame = Frame(np.array([8, 14, 8]), np.array([[0.0, 0, 0], [0, 0, reach], [0, 0, reach + potential.cutoff + 0.5]]))
    found, _ = found_in(potential, [frame])
    assert found.nearest == pytest.approx(reach**2, rel=1e-12)
    assert found.met.tolist() == [True, True, False]
    np.testing.assert_array_equal(found.forces[2], 0.0)


def test_pairs_without_a_term_count_for_the_nearest():
    """A criterion for fused atoms relies on it."""
    core = ZBL(elements=["O", "Si"], pairs=[("O", "Si")]).double()
    frame = Frame(np.array([8, 8, 14]), np.array([[0.0, 0, 0], [0.3, 0, 0], [0, 0, 1.75]]))
    assert found_in(core, [frame])[0].nearest == pytest.approx(0.09, rel=1e-12)


class TestSums:
    """Parts are shares of the work: they must not show in the result."""

    @pytest.fixture
    def small_parts(self, monkeypatch):
        monkeypatch.setattr(skin_pairs, "PAIRS_IN_PART", 400)

    @pytest.mark.parametrize("name", sorted(potentials()))
    def test_are_the_same_with_any_number_of_threads(self, name, small_parts):
        potential, frames = potentials()[name], [silica(k, n) for k, n in enumerate((60, 3, 90, 8, 8))]
        before = torch.get_num_threads()
        results = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(found_in(potential, frames)[0])
        torch.set_num_threads(before)
        assert same(results[0], results[1])
        assert same(results[0], results[2])

    @pytest.mark.parametrize("name", sorted(potentials()))
    def test_are_the_same_alone_and_in_company(self, name, small_parts):
        potential, frames = potentials()[name], [silica(k, n) for k, n in enumerate((60, 3, 90, 8, 8))]
        together, _ = found_in(potential, frames)
        starts = np.cumsum([0, *map(len, frames)])
        for b, frame in enumerate(frames):
            alone, _ = found_in(potential, [frame])
            atoms = slice(starts[b], starts[b + 1])
            np.testing.assert_array_equal(together.forces[atoms], alone.forces)
            np.testing.assert_array_equal(together.energies[atoms], alone.energies)
            np.testing.assert_array_equal(together.virial[b], alone.virial[0])

    @pytest.mark.parametrize("limit", [50, 400, 10**9])
    def test_parts_hold_every_atom_once_and_all_neighbours(self, limit, monkeypatch):
        monkeypatch.setattr(skin_pairs, "PAIRS_IN_PART", limit)
        _, pairs = found_in(eam().double(), [silica(k, n) for k, n in enumerate((2, 70, 5, 30, 1))])
        atoms = [k for p in pairs.parts for k in range(p.first, p.last)]
        assert atoms == list(range(len(pairs.numbers)))
        for p in pairs.parts:
            ends = pairs.j_of[pairs.first_of[p.first] : pairs.first_of[p.last]]
            assert not len(ends) or (p.low <= ends.min() and ends.max() < p.high)
            inside = pairs.structure[p.first : p.last]
            assert (inside.min(), inside.max() + 1) == p.structures
        assert len(pairs.parts) <= skin_pairs.MOST_PARTS * 5

    def test_do_not_depend_on_the_skin(self):
        potential, frames = eam().double(), [silica(3, 40)]
        wide, narrow = found_in(potential, frames, skin=2.0)[0], found_in(potential, frames, skin=0.1)[0]
        np.testing.assert_allclose(wide.forces, narrow.forces, rtol=0, atol=1e-11)


class TestWhoFollowsLists:
    def test_closed_forms_and_their_sums_do(self):
        assert all(follows_lists(p) for p in potentials().values())

    def test_networks_do_not(self):
        assert not follows_lists(cgcnn())
        assert not follows_lists(SumPotential([cgcnn(), eam()]))

    def test_nor_does_what_was_derived_with_other_equations(self):
        class Softer(LennardJones):
            def pair_energy(self, r, first, second):
                phi, slope = super().pair_energy(r, first, second)
                return 0.5 * phi, 0.5 * slope

        class Named(LennardJones):
            pass

        assert not follows_lists(Softer())
        assert follows_lists(Named())

    def test_parameters_are_those_of_the_moment(self):
        potential, frame = eam().double(), silica(1, 20)
        before, _ = found_in(potential, [frame])
        with torch.no_grad():
            potential.repulsion_log_change += 0.1
        after, _ = found_in(potential, [frame])
        exact = potential(keel.batch(frame, potential.cutoff, half_list=True, dtype=torch.float64))
        assert np.abs(after.forces - before.forces).max() > 1e-3
        np.testing.assert_allclose(after.forces, exact.forces.numpy(), atol=1e-6)


class TestTables:
    def test_are_as_fine_as_their_error_demands(self):
        potential = eam().double()
        terms = potential.terms({k: v.detach() for k, v in potential.values().items()})
        tables = EAMTables(terms)
        tables.cover(np.array([0, 1]), np.array([0, 0]))
        for element in (0, 1):
            assert error_of(tables.densities[element], tables._density(element), potential.cutoff) <= 1e-6
        coarse = replace(terms, beta=terms.beta * 4.0, alpha=terms.alpha * 4.0)
        assert EAMTables(coarse).intervals > tables.intervals

    def test_hold_only_the_pairs_that_occur(self):
        potential = keel.EAM.from_elements(["O", "Si", "Cu", "Li", "Mn"], 5.0).double()
        tables = EAMTables(potential.terms({k: v.detach() for k, v in potential.values().items()}))
        tables.cover(np.array([1, 3, 3]), np.zeros(3, dtype=np.int64))
        assert len(tables.pairs) == 3
        assert (tables.pair_of >= 0).sum() == 4
        before = tables.pairs.copy()
        tables.cover(np.array([1, 2, 3, 0]), np.array([0, 0, 1, 1]))
        assert len(tables.pairs) == 3 + 2 + 2
        assert tables.pair_of[0, 1] == tables.pair_of[0, 2] == tables.pair_of[2, 3] == -1
        np.testing.assert_array_equal(tables.pairs[:3], before)
        for a, b in ((1, 2), (0, 3)):
            np.testing.assert_array_equal(tables.pairs[tables.pair_of[a, b]], tables._tabulated(tables._pair(a, b)))


class TestTheContract:
    """Machine code and tensors are two forms of one potential, and each must fulfil it."""

    def test_holds_for_kernels(self):
        """Those of one potential alone are tried where the contract is tried on every potential."""
        check_potential(potentials()["sum"])

    @pytest.mark.parametrize("name", sorted(potentials()))
    def test_holds_for_tensors(self, name, monkeypatch):
        for module in ("keel.atoms.scatter", "keel.potentials.classical.eam"):
            monkeypatch.setattr(f"{module}.runs_kernels", lambda *_: False)
        check_potential(potentials()[name])

    def test_finds_a_kernel_that_says_something_else(self):
        class Stronger(LennardJones):
            def along_lists(self):
                inner = super().along_lists()
                return lambda pairs, positions: inner(pairs, positions).times(1.001)

        with pytest.raises(AssertionError, match="along a Verlet list differ"):
            check_potential(Stronger(0.3, 2.0, 5.0))


def test_tables_that_others_throw_away_are_made_again(monkeypatch):
    monkeypatch.setattr("keel.potentials.classical.eam_tables.MOST_PAIRS", 3)
    shared = keel.EAM.from_elements(["O", "Si", "Cu"], cutoff=5.0).double()
    copper, silica_like = bulk("Cu", cubic=True), bulk("NaCl", "rocksalt", a=4.6, cubic=True)
    silica_like.numbers = np.where(silica_like.numbers == 11, 14, 8)
    copper.calc, silica_like.calc = keel.KeelCalculator(shared), keel.KeelCalculator(shared)
    before = copper.get_potential_energy()
    silica_like.get_potential_energy()
    copper.positions[0] += 1e-9  # evaluated again, with the same list
    assert copper.get_potential_energy() == pytest.approx(before, abs=1e-9)
    fresh = bulk("Cu", cubic=True)
    fresh.calc = keel.KeelCalculator(keel.EAM.from_elements(["O", "Si", "Cu"], cutoff=5.0).double())
    assert fresh.get_potential_energy() == pytest.approx(before, abs=1e-9)
