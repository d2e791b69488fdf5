"""Crystals under compression: against lattice sums, finite differences, and potentials with a hole."""

import random
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from ase.build import bulk, molecule
from hypothesis import given
from hypothesis import strategies as st

import keel
from broken import Broken
from keel.atoms.conversion import as_frame
from keel.atoms.frame import Frame
from keel.atoms.units import GPA
from keel.datasets import phosphorus
from keel.errors import DataError
from keel.evaluation import Squeezed, compression, squeeze, various_crystals
from keel.evaluation.equilibrium.relaxation import evaluated
from keel.evaluation.equilibrium.squeeze import ROUNDING, SMALL, STEPS
from keel.potentials import LennardJones
from keel.potentials.classical.pair import PairPotential
from keel.potentials.external import ASEPotential
from small_potentials import cgcnn

STEP = (1.0 - 0.4 ** (1 / 3)) / STEPS


class Dip(PairPotential):
    """Argon with a well of some depth in eV at 2.9 angstrom, in its repulsive wall."""

    def __init__(self, depth: float, width: float = 0.1) -> None:
        super().__init__(8.5)
        self.argon, self.depth, self.width = LennardJones(), depth, width

    def config(self):
        return {}

    def pair_energy(self, r, first, second):
        phi, slope = self.argon.pair_energy(r, first, second)
        x = (r - 2.9) / self.width
        well = -self.depth * torch.exp(-x * x)
        return phi + well, slope - 2.0 * x / self.width * well


class Silent(keel.KeelCalculator):
    """A calculator without stress."""

    implemented_properties: ClassVar = ["energy", "free_energy", "forces"]


def argon(a: float = 5.3) -> Frame:
    return as_frame(bulk("Ar", a=a, cubic=True))


def silica() -> Frame:
    """Quartz-like: two elements, no symmetry left."""
    rng = np.random.default_rng(0)
    places = rng.permutation(np.stack(np.meshgrid(*[np.arange(3)] * 3), axis=-1).reshape(-1, 3))[:9]
    numbers = np.array([14] * 3 + [8] * 6)
    return Frame(numbers, places * 2.1 + rng.normal(0, 0.1, (9, 3)), np.eye(3) * 6.3, np.ones(3, dtype=bool))


def pressures(potential: PairPotential, frame: Frame, lengths: np.ndarray) -> np.ndarray:
    """P = -(1/3V) (N/2) sum_r r phi'(r) over the lattice of an fcc crystal, in eV/angstrom^3."""
    n = np.stack(np.meshgrid(*[np.arange(-9, 10)] * 3), axis=-1).reshape(-1, 3)
    r = np.linalg.norm(n[(n.sum(axis=1) % 2 == 0) & n.any(axis=1)], axis=1) * frame.cell[0, 0] / 2
    found = []
    for length in lengths:
        x = torch.tensor(length * r[length * r < potential.cutoff])
        found.append(-float((x * potential.pair_energy(x, x, x)[1]).sum()) * 4 / 6 / (frame.volume * length**3))
    return np.array(found)


def curve(*pressure: float) -> Squeezed:
    k = len(pressure)
    return Squeezed("X", "here", np.linspace(1.0, 0.7, k), np.ones(k), np.ones(k), np.array(pressure) * GPA)


class TestPressure:
    def test_of_pairs_is_the_lattice_sum_and_rises(self):
        (found,) = squeeze(LennardJones(), [argon()])
        assert (found.length[0], found.length[-1] ** 3) == pytest.approx((1.0, 0.4))
        np.testing.assert_allclose(found.pressure, pressures(LennardJones(), argon(), found.length), rtol=1e-9)
        assert (np.diff(found.pressure) > 0).all()
        assert found.first_fall is None and found.deepest_fall == 0.0
        assert found.name == "Ar4 at 37.2 angstrom^3/atom"

    @pytest.mark.parametrize(("depth", "width"), [(0.5, 0.1), (2.0, 0.2), (0.3, 0.05)])
    def test_a_dip_in_the_wall_is_found_within_one_step(self, depth, width):
        potential = Dip(depth, width)
        fine = np.linspace(1.0, 0.75, 2001)
        exact = pressures(potential, argon(), fine)
        falls = np.diff(exact) < 0
        (found,) = squeeze(potential, [argon()])
        first = fine[np.argmax(falls)]
        assert falls.any() and found.first_fall == pytest.approx(first, abs=STEP)
        assert found.first_fall <= first
        deepest = np.max(np.maximum.accumulate(exact) - exact)
        assert 0.7 * deepest < found.deepest_fall <= deepest

    def test_beyond_the_spinodal_it_falls_at_first(self):
        rest, potential = 5.25, LennardJones(epsilon=1.0)
        within, beyond = (argon(rest * factor ** (1 / 3)) for factor in (1.2, 1.4))
        assert [s.first_fall for s in squeeze(potential, [within])] == [None]
        assert squeeze(potential, [beyond])[0].first_fall == pytest.approx(1.0 - STEP)

    @pytest.mark.parametrize("potential", [cgcnn(), keel.EAM.from_elements(["Si", "O"], cutoff=5.0)])
    def test_is_the_slope_of_the_energy(self, potential):
        (found,) = squeeze(potential, [silica()], smallest_volume=0.97, steps=200)
        slopes = -np.gradient(found.energy, found.volume)[1:-1]
        np.testing.assert_allclose(found.pressure[1:-1], slopes, rtol=1e-3, atol=1e-4 * np.abs(slopes).max())

    def test_of_a_potential_without_stress_comes_from_energies(self):
        potential = keel.EAM.from_elements(["Si", "O"], cutoff=5.0)
        (silent,), (whole,) = (squeeze(p, [silica()]) for p in (ASEPotential(Silent(potential)), potential))
        np.testing.assert_allclose(silent.pressure, whole.pressure, rtol=1e-3, atol=0.01 * GPA)
        np.testing.assert_allclose(silent.energy, whole.energy)

    @pytest.mark.parametrize("potential", [cgcnn(), keel.EAM.from_elements(["Si", "O"], cutoff=5.0)])
    def test_does_not_depend_on_supercell_or_batch(self, potential):
        frames = [silica(), silica().repeated((2, 1, 1)), silica().repeated((1, 1, 3))]
        found = squeeze(potential, frames)
        alone = [squeeze(potential, [frame])[0] for frame in frames]
        for one, single in zip(found, alone, strict=True):
            for quantity in ("volume", "energy", "pressure"):
                values = getattr(found[0], quantity)
                size = 1e-9 * np.abs(values).max()
                np.testing.assert_allclose(getattr(one, quantity), values, atol=size, rtol=0)
                np.testing.assert_allclose(getattr(single, quantity), getattr(one, quantity), atol=size, rtol=0)
        last = evaluated(potential, silica().scaled(found[0].length[-1]))
        assert found[0].energy[-1] == pytest.approx(last.energy / 9)
        assert found[0].pressure[-1] == pytest.approx(-np.trace(last.stress) / 3)

    def test_offsets_shift_the_energy_only(self):
        before, potential = squeeze(LennardJones(), [argon()])[0], LennardJones()
        potential.set_offsets({18: -400.0})
        (after,) = squeeze(potential, [argon()])
        np.testing.assert_allclose(after.energy, before.energy - 400.0)
        np.testing.assert_array_equal(after.pressure, before.pressure)

    def test_a_molecule_has_none(self):
        frame = as_frame(molecule("H2O")).replace(source="water.xyz, frame 0")
        with pytest.raises(DataError, match=r"water\.xyz, frame 0: not periodic .* leave it out"):
            squeeze(LennardJones(), [argon(), frame])
        assert squeeze(LennardJones(), []) == ()


class TestFirstFall:
    @given(st.lists(st.floats(-1e4, 1e4), min_size=2, max_size=30))
    def test_none_means_that_nothing_falls(self, steps):
        found = curve(*steps)
        fallen = [k for k in range(1, len(steps)) if max(steps[:k]) - steps[k] > ROUNDING / GPA]
        assert (found.first_fall is None) == (not fallen)
        if fallen:
            assert found.first_fall == found.length[fallen[0]]
            deepest = max(max(steps[:k]) - steps[k] for k in fallen)
            assert found.deepest_fall / GPA == pytest.approx(deepest)

    def test_roundings_are_none_but_many_small_steps_are_one(self):
        assert curve(5.0, 4.995, 5.001, 4.993).first_fall is None
        assert curve(5.0, 4.995, 4.988, 9.0).first_fall == pytest.approx(0.8)

    @pytest.mark.parametrize("nothing", [np.nan, np.inf, -np.inf])
    def test_what_is_not_finite_is_one(self, nothing):
        found = curve(1.0, 2.0, nothing, 4.0)
        assert found.first_fall == pytest.approx(0.8)
        assert np.isfinite(found.deepest_fall)

    def test_pressures_between_steps(self):
        assert curve(0.0, 3.0, 9.0, 12.0).pressure_at(0.85) / GPA == pytest.approx(6.0)


class TestVarious:
    def test_of_phosphorus_it_is_the_crystal_and_the_liquid(self):
        frames = phosphorus()[::10]
        found = various_crystals(frames)
        assert {f.info["phase"] for f in found} == {f.info["phase"] for f in frames}
        assert len(found) == 2
        for chosen in found:
            alike = [f for f in frames if f.info["phase"] == chosen.info["phase"]]
            assert chosen.energy == min(f.energy for f in alike)

    @given(st.permutations(range(12)), st.integers(1, 5))
    def test_the_order_of_frames_does_not_matter(self, order, most):
        crystals = [argon(5.0 + 0.1 * k).replace(energy=float(k)) for k in range(6)]
        crystals += [as_frame(bulk("Cu", a=3.5 + 0.1 * k, cubic=True)).replace(energy=float(k)) for k in range(6)]
        found = various_crystals([crystals[k] for k in order], most)
        assert [id(f) for f in found] == [id(f) for f in various_crystals(crystals, most)]
        assert len(found) == min(most, 12)
        assert len({f.formula for f in found}) == min(most, 2)

    def test_small_crystals_come_first_and_large_ones_where_there_are_no_others(self):
        large = argon(5.6).repeated((4, 3, 3))
        assert len(large) > SMALL
        assert [len(f) for f in various_crystals([large, argon().repeated((2, 1, 1)), argon()])] == [4]
        assert various_crystals([large]) == [large]

    def test_molecules_slabs_and_atoms_alone_are_left_out(self):
        alone = argon().replace(numbers=np.array([18]), positions=np.zeros((1, 3)), cell=np.eye(3) * 20)
        slab = argon().replace(pbc=np.array([True, True, False]))
        assert various_crystals([as_frame(molecule("H2O")), slab, alone]) == []
        frames = [alone, *random.Random(0).sample([slab, argon()], 2)]
        assert [f.pbc.all() for f in various_crystals(frames)] == [True]


class TestProbe:
    def test_a_sound_potential_passes(self):
        result = compression(LennardJones(), [argon(), argon(5.1)])
        assert result.outcome == "passed" and result["crystals that cave in"] == 0
        assert "squeezed to 0.4 of the volume (0.74 of the length), 2 crystals resist ever more" in result.verdict
        assert result["highest pressure"] == pytest.approx(max(result.curves[0].y[-1], result.curves[1].y[-1]))
        assert [len(c.x) for c in result.curves] == [STEPS + 1] * 4

    def test_a_hole_fails_with_its_place(self):
        (found,) = squeeze(Dip(0.5), [argon()])
        result = compression(Dip(0.5), [argon()])
        assert result.outcome == "failed" and result["first fall of the pressure"] == found.first_fall
        where = f"{found.first_fall:.2f} of its length ({found.first_fall**3:.2f} of its volume)"
        assert (
            f"under compression Ar4 at 37.2 angstrom^3/atom caves in at {where}: the pressure falls" in result.verdict
        )
        assert "and atoms attract each other again" in result.verdict and found.pressure.min() < 0
        assert result["volume there"] == pytest.approx(found.first_fall**3)

    def test_a_shallow_one_attracts_nothing_and_the_first_of_several_is_named(self):
        result = compression(Dip(0.02, 0.05), [argon(5.0), argon(5.6)])
        assert "atoms give way as they come closer" in result.verdict
        assert "caves in at" in result.verdict and "the first of 2 crystals that do" in result.verdict
        assert "Ar4 at 31.2" in result.verdict, "which begins nearer to the hole"

    def test_a_potential_beside_is_drawn_and_compared_with(self):
        stiff = LennardJones(epsilon=0.0312)
        result = compression(stiff, [argon(5.1)], beside=LennardJones())
        assert result["pressure at 0.84 of the length"] == pytest.approx(3.0)
        first, _, reference, _ = result.curves
        assert reference.name == f"{first.name}, reference"
        np.testing.assert_allclose(first.y, 3 * reference.y)

    def test_numbers_that_are_none_fail(self):
        class NotANumber(Broken):
            def atomic_energies(self, graph, vectors):
                return float("nan") * super().atomic_energies(graph, vectors)

        result = compression(NotANumber(LennardJones()), [argon()], beside=LennardJones())
        assert result.outcome == "failed" and "is not finite at 1.00 of its length" in result.verdict

    def test_numbers_that_are_none_after_a_fall_do_not_hide_it(self, monkeypatch):
        (found,) = squeeze(Dip(0.5), [argon()])
        cut = replace(found, pressure=np.where(found.length < 0.8 * found.first_fall, np.nan, found.pressure))
        results = []
        for crystal in (found, cut):
            monkeypatch.setattr("keel.evaluation.equilibrium.compression.squeeze", lambda *_, given=crystal: [given])
            results.append(compression(Dip(0.5), [argon()]).verdict)
        assert results[0] == results[1] and "the pressure falls to" in results[0]

    def test_nothing_to_squeeze_is_skipped(self):
        result = compression(LennardJones(), [as_frame(molecule("H2O"))])
        assert (result.outcome, result.metrics) == ("skipped", ())
        assert "no structure is periodic in three directions" in result.verdict

    def test_an_eam_of_phosphorus_resists(self):
        frames = phosphorus()[::60]
        teacher = keel.fit_eam(frames).potential
        assert compression(teacher, various_crystals(frames)).outcome == "passed"
