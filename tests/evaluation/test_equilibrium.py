"""Crystals at rest: against lattice sums for pair potentials, and on potentials that are broken on purpose."""

import json
import os
import sys

import numpy as np
import pytest
import torch
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones as ASELennardJones
from ase.eos import EquationOfState as ASEEquationOfState
from hypothesis import example, given, settings
from hypothesis import strategies as st
from threadpoolctl import ThreadpoolController

import keel
from keel.atoms.conversion import as_frame
from keel.atoms.elements import MASSES
from keel.atoms.frame import Frame
from keel.atoms.units import GPA
from keel.errors import ConfigError, DataError, UnavailableError
from keel.evaluation import (
    NotRelaxedError,
    elastic,
    equation_of_state,
    phonons,
    relaxation,
    relaxed,
    vacancy,
)
from keel.evaluation.equilibrium.equation_of_state import BirchMurnaghan, fit_birch_murnaghan
from keel.evaluation.equilibrium.phonons import harmonic_phonons
from keel.evaluation.equilibrium.relaxation import _refuse_runaway, relaxed_once, repetitions
from keel.potentials import LennardJones
from keel.potentials.external import ASEPotential

A12, A6 = 12.1318802, 14.4539210
"""Lattice sums of the fcc crystal in units of the nearest distance (Lennard-Jones & Ingham, 1925)."""


def fcc(a: float = 5.3, element: str = "Ar", cubic: bool = True) -> Frame:
    return as_frame(bulk(element, "fcc", a=a, cubic=cubic))


def copper() -> keel.EAM:
    return keel.EAM.from_elements(["Cu"], cutoff=5.0)


def lattice(crystal: Frame, cutoff: float) -> np.ndarray:
    """Vectors from an atom of an fcc crystal to all others."""
    nearest = (4.0 * crystal.volume / len(crystal)) ** (1 / 3) / 2
    n = int(cutoff / nearest) + 2
    points = np.stack(np.meshgrid(*[np.arange(-n, n + 1)] * 3), axis=-1).reshape(-1, 3)
    points = points[points.sum(axis=1) % 2 == 0] * nearest
    length = np.linalg.norm(points, axis=1)
    return points[(length > 0) & (length < cutoff)]


def pair_derivatives(potential: LennardJones, r: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x = torch.tensor(r, requires_grad=True)
    phi, slope = potential.pair_energy(x, torch.ones(len(r)), torch.ones(len(r)))
    (bend,) = torch.autograd.grad(slope.sum(), x)
    return phi.detach().numpy(), slope.detach().numpy(), bend.numpy()


class FlawedPair(LennardJones):
    """Wrong in one way."""

    def __init__(self, flaw: str) -> None:
        super().__init__(cutoff=6.0)
        self.flaw = flaw

    def pair_energy(self, r, first, second):
        phi, slope = super().pair_energy(r, first, second)
        if self.flaw == "jump":
            phi = phi - 1e-4 * (r < 5.2)
        return phi, slope

    def energies_and_gradient(self, graph, vectors, *, differentiable):
        energies, gradient = super().energies_and_gradient(graph, vectors, differentiable=differentiable)
        if self.flaw == "force":
            gradient = 1.1 * gradient
        if self.flaw == "direction":
            gradient = gradient * torch.tensor([1.1, 1.0, 1.0])
        if self.flaw == "float16":
            energies = (energies - 5.0).half().double() + 5.0
        return energies, gradient


class TestRelaxation:
    def test_a_strained_rattled_crystal_finds_back(self):
        atoms = bulk("Ar", a=5.3, cubic=True)
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + 0.04 * np.triu(np.ones((3, 3)))), scale_atoms=True)
        atoms.rattle(0.1, seed=1)
        found, best = relaxed(LennardJones(), as_frame(atoms)), relaxed(LennardJones(), fcc())
        assert found.energy == pytest.approx(best.energy, abs=1e-6)
        assert found.volume == pytest.approx(best.volume, rel=1e-3)
        assert np.abs(found.forces).max() < 1e-4

    def test_the_cell_may_stay(self):
        frame = fcc(5.0)
        assert np.array_equal(relaxed(LennardJones(), frame, cell=False).cell, frame.cell)

    def test_a_network_in_single_precision(self):
        torch.manual_seed(0)
        network = keel.CGCNN(elements=["Ar"], cutoff=4.5, preset="small").float()
        found = relaxed(keel.SumPotential([network, LennardJones(epsilon=0.1)]), fcc())
        assert np.abs(found.forces).max() < 1e-4 and found.stress.dtype == np.float64
        assert network.dtype == torch.float32

    def test_no_threads_share_the_matrices_of_a_cell(self):
        class Watching(LennardJones):
            def pair_energy(self, r, first, second):
                threads.append(max(library["num_threads"] for library in libraries.info()))
                return super().pair_energy(r, first, second)

        libraries, threads = ThreadpoolController().select(user_api="blas"), []
        with libraries.limit(limits=2):
            relaxed(Watching(), fcc())
        assert set(threads[:-1]) == {1} and threads[-1] == 2  # at last what was found is evaluated

    def test_what_flies_apart_has_no_rest(self):
        repulsive = keel.ZBL(inner=4.0, outer=8.0, elements=["Ar"])
        with pytest.raises(NotRelaxedError, match=r"volume changes|not at rest"):
            relaxed(repulsive, fcc(4.0))
        result = equation_of_state(repulsive, fcc(4.0))
        assert result.outcome == "failed" and "Ar4 has no equilibrium" in result.verdict

    def test_a_cell_that_is_drawn_out_at_its_volume_has_no_rest(self):
        atoms = fcc().to_ase()
        atoms.calc = ASELennardJones()
        atoms.set_cell(atoms.cell.array @ np.diag([4.0, 0.5, 0.5]), scale_atoms=True)
        with pytest.raises(NotRelaxedError, match="a length of its cell changes by a factor of 4"):
            _refuse_runaway(atoms, fcc())

    def test_steps_that_do_not_suffice(self):
        with pytest.raises(NotRelaxedError, match="after 2 steps"):
            relaxed(LennardJones(), fcc(5.0), max_steps=2)

    @pytest.mark.parametrize("flaw", ["", "rises"])
    def test_once_is_enough(self, flaw):
        """A rest that was found, or not found, is not looked for again, and probes say the same of it."""

        class CountingPair(FlawedPair):
            calls = 0

            def pair_energy(self, r, first, second):
                CountingPair.calls += 1
                phi, slope = super().pair_energy(r, first, second)
                return (phi, slope) if self.flaw == "" else (-phi, -slope)

        potential, teacher, frame, relax = CountingPair(flaw), CountingPair(""), fcc(5.2), relaxed_once()
        probes = [lambda **how: relaxation(potential, frame, **how)]
        probes += [lambda probe=p, **how: probe(potential, frame, beside=teacher, **how)
                   for p in (equation_of_state, elastic)]  # fmt: skip
        results, calls = [], []
        for how in ({"relax": relax}, {}):
            CountingPair.calls = 0
            results.append([probe(**how).to_dict() for probe in probes])
            calls.append(CountingPair.calls)
        assert results[0] == results[1] and calls[0] < calls[1]
        assert {r["outcome"] for r in results[0]} == ({"passed"} if flaw == "" else {"failed"})
        CountingPair.calls = 0
        probes[0](relax=relax)
        assert CountingPair.calls == 1  # to see whether there is a stress

    @pytest.mark.parametrize("probe", [equation_of_state, elastic, vacancy])
    def test_molecules_are_skipped_and_strangers_refused(self, probe):
        molecule = Frame(np.array([18, 18]), np.array([[0.0, 0, 0], [3.8, 0, 0]]))
        assert probe(LennardJones(), molecule).outcome == "skipped"
        with pytest.raises(DataError, match="knows Cu but the structures contain Ar"):
            probe(copper(), fcc())

    def test_without_stress_nothing_is_relaxed(self):
        class NoStress(LennardJones):
            def derivatives(self, graph, *, differentiable, vectors=None):
                energies, forces, virial = super().derivatives(graph, differentiable=differentiable, vectors=vectors)
                return energies, forces, virial * torch.nan

        result = elastic(NoStress(), fcc())
        assert result.outcome == "skipped" and "no stress" in result.verdict

    def test_impossible_settings_are_refused(self):
        with pytest.raises(ConfigError, match="both sides of 1"):
            equation_of_state(LennardJones(), fcc(), volumes=(1.0, 1.2))
        with pytest.raises(ConfigError, match="must be between"):
            elastic(LennardJones(), fcc(), strain=0.0)

    def test_a_reference_without_equilibrium_is_said(self):
        result = equation_of_state(LennardJones(), fcc(), beside=keel.ZBL(inner=4.0, outer=8.0, elements=["Ar"]))
        assert result.outcome == "passed" and "nothing to compare with" in result.verdict

    @given(seed=st.integers(0, 10_000), length=st.floats(3.0, 30.0))
    @settings(max_examples=30)
    def test_supercells_are_just_wide_enough(self, seed, length):
        cell = 5 * np.eye(3) + np.random.default_rng(seed).uniform(-2, 2, (3, 3))
        repeats = np.array(repetitions(Frame(np.array([18]), np.zeros((1, 3)), cell), length))
        heights = repeats / np.linalg.norm(np.linalg.inv(cell), axis=0)
        assert (heights >= length * (1 - 1e-5)).all()
        assert ((heights * (1 - 1 / repeats) < length) | (repeats == 1)).all()


class TestEquationOfState:
    def test_against_the_lattice_sums_of_lennard_jones(self):
        """In units of sigma and epsilon: E = 2 (A12/4V^4 - A6/2V^2)."""
        result = equation_of_state(LennardJones(1.0, 1.0, cutoff=14.0), fcc(1.56, cubic=False))
        volume = (A12 / A6) ** 0.5
        modulus = 2 * (5 * A12 / volume**5 - 3 * A6 / volume**3)
        assert result.outcome == "passed", result.verdict
        assert result["equilibrium volume"] == pytest.approx(volume, rel=1e-3)
        assert result["bulk modulus, clamped ions"] * GPA == pytest.approx(modulus, rel=3e-3)
        nearest = (2**0.5 * result["equilibrium volume"]) ** (1 / 3)
        assert nearest == pytest.approx(1.0902, abs=3e-4)

    @given(v=st.floats(5, 50), b=st.floats(1, 500), slope=st.floats(2, 8), e=st.floats(-10, 10))
    @example(v=5.0, b=1.0, slope=4.0, e=0.0)
    @settings(max_examples=30)
    def test_the_fit_returns_what_made_the_curve(self, v, b, slope, e):
        volume = v * np.linspace(0.9, 1.15, 9)
        x = (v / volume) ** (2 / 3)
        energy = e + 9 / 16 * v * b * GPA * ((x - 1) ** 3 * slope + (x - 1) ** 2 * (6 - 4 * x))
        expected = vars(BirchMurnaghan(v, e, b, slope))
        assert vars(fit_birch_murnaghan(volume, energy)) == pytest.approx(expected, rel=1e-4, abs=1e-6)

    def test_no_minimum_is_not_a_number(self):
        volume = np.linspace(1, 2, 9)
        assert np.isnan(fit_birch_murnaghan(volume, -((volume - 1.5) ** 2)).volume)

    def test_a_calculator_of_ase_against_its_own_fit(self):
        emt = ASEPotential("ase.calculators.emt.EMT")
        crystal = relaxed(emt, fcc(3.6, "Cu"))
        atoms, volumes, energies = crystal.to_ase(), [], []
        for scale in np.linspace(0.95, 1.05, 11) ** (1 / 3):
            scaled = atoms.copy()
            scaled.set_cell(atoms.cell * scale, scale_atoms=True)
            scaled.calc = EMT()
            volumes.append(scaled.get_volume() / 4)
            energies.append(scaled.get_potential_energy() / 4)
        v0, _, modulus = ASEEquationOfState(volumes, energies, eos="birchmurnaghan").fit(warn=False)
        result = equation_of_state(emt, crystal)
        assert result["equilibrium volume"] == pytest.approx(v0, rel=1e-4)
        assert result["bulk modulus, clamped ions"] * GPA == pytest.approx(modulus, rel=1e-3)

    def test_a_metal(self):
        result = equation_of_state(copper(), fcc(3.3, "Cu"))
        assert result.outcome == "passed", result.verdict
        stiff = elastic(copper(), fcc(3.3, "Cu"))
        assert result["bulk modulus, clamped ions"] == pytest.approx(stiff["bulk modulus"], rel=0.01)

    def test_the_unbroken_twin_passes(self):
        assert equation_of_state(FlawedPair("none"), fcc()).outcome == "passed"

    @pytest.mark.parametrize("flaw", ["jump", "force", "direction", "float16"])
    def test_what_is_broken_is_found(self, flaw):
        result = equation_of_state(FlawedPair(flaw), fcc())
        assert result.outcome == "failed" and "work of the pressure" in result.verdict

    def test_a_shifted_equilibrium_fails_against_the_reference(self):
        same = equation_of_state(LennardJones(), fcc(), beside=LennardJones())
        assert same.outcome == "passed" and len(same.curves) == 2
        assert same["volume against the reference"] == 0.0
        wider = equation_of_state(LennardJones(sigma=3.5), fcc(), beside=LennardJones(sigma=3.4, cutoff=8.5))
        assert wider.outcome == "failed" and "volume against the reference" in wider.verdict
        assert wider["volume against the reference"] == pytest.approx(100 * ((3.5 / 3.4) ** 3 - 1), rel=0.05)


class TestElastic:
    def test_against_the_lattice_sum_of_a_pair_potential(self):
        """C_ijkl = 1/(2V) sum (phi'' - phi'/r) R_i R_j R_k R_l / r^2 at zero pressure."""
        potential = LennardJones()
        crystal = relaxed(potential, fcc(), fmax=1e-7)
        vectors = lattice(crystal, potential.cutoff)
        r = np.linalg.norm(vectors, axis=1)
        _, slope, bend = pair_derivatives(potential, r)
        x, y = vectors[:, 0], vectors[:, 1]
        scale = (bend - slope / r) / r**2 / (2 * crystal.volume / 4) / GPA
        c11, c12 = (scale * x**4).sum(), (scale * x**2 * y**2).sum()
        result = elastic(potential, crystal, strain=1e-3)
        assert result.outcome == "passed", result.verdict
        for name, value in {"C11": c11, "C22": c11, "C12": c12, "C13": c12, "C44": c12, "C66": c12}.items():
            assert result[name] == pytest.approx(value, rel=2e-3)
        assert max(abs(result[name]) for name in ("C14", "C25", "C36", "C45")) < 1e-6 * c11
        assert result["bulk modulus"] == pytest.approx((c11 + 2 * c12) / 3, rel=2e-3)

    def test_the_moduli_do_not_depend_on_the_axes(self):
        turn = np.linalg.qr(np.random.default_rng(1).standard_normal((3, 3)))[0]
        crystal = relaxed(copper(), fcc(3.1, "Cu"))
        turned = crystal.replace(positions=crystal.positions @ turn.T, cell=crystal.cell @ turn.T)
        one, two = elastic(copper(), crystal, strain=1e-3), elastic(copper(), turned, strain=1e-3)
        assert abs(one["C11"] - two["C11"]) > 1.0
        for name in ("bulk modulus", "shear modulus", "softest strain"):
            assert one[name] == pytest.approx(two[name], rel=1e-3)

    def test_ions_that_move_soften_the_crystal(self):
        crystal = as_frame(bulk("Ar", "hcp", a=3.8))
        free = elastic(LennardJones(), crystal)
        clamped = elastic(LennardJones(), crystal, relax_ions=False)
        assert free["C11"] < clamped["C11"] - 0.01
        assert free["C33"] == pytest.approx(clamped["C33"], rel=1e-3)

    def test_a_simple_cubic_crystal_gives_way(self):
        result = elastic(LennardJones(), as_frame(bulk("Ar", "sc", a=3.6)))
        assert result.outcome == "failed" and "gives way" in result.verdict
        assert result["softest strain"] < 0

    def test_a_stress_that_is_no_derivative_is_found(self):
        result = elastic(FlawedPair("direction"), fcc())
        assert result.outcome == "failed" and "asymmetry" in result.verdict

    def test_against_a_reference(self):
        result = elastic(LennardJones(epsilon=0.0104), fcc(), beside=LennardJones(epsilon=0.0208))
        assert result["shear modulus against the reference"] == pytest.approx(-50, abs=0.1)
        assert result.outcome == "failed"


class TestVacancy:
    def test_of_a_pair_potential_it_costs_the_cohesive_energy(self):
        """Removing an atom takes all its bonds; half of them come back with the atom in the bulk."""
        potential = LennardJones()
        potential.set_offsets({18: -100.0})
        crystal = relaxed(potential, fcc())
        cohesive = -(crystal.energy / len(crystal) + 100.0)
        result = vacancy(potential, crystal)
        assert result["formation energy before atoms move"] == pytest.approx(cohesive, rel=1e-9)
        assert 0.9 * cohesive < result["formation energy"] < cohesive
        assert result.outcome == "passed" and result["atoms in the supercell"] == 32

    def test_of_a_frame_of_a_simulation(self):
        """It brings masses and velocities."""
        crystal = fcc()
        n = len(crystal)
        moving = crystal.replace(
            masses=np.full(n, 40.5), velocities=np.full((n, 3), 1e-3), fixed=np.zeros((n, 3), bool)
        )
        plain, own = vacancy(LennardJones(), crystal), vacancy(LennardJones(), moving)
        assert own["formation energy"] == pytest.approx(plain["formation energy"], abs=1e-6)

    def test_of_a_compound_no_chemical_potential_enters(self):
        """Lennard-Jones atoms are all alike, so two vacancies make the Schottky defect of a formula unit."""
        ordered = fcc().replace(numbers=np.array([11, 17, 17, 11]))
        potential = LennardJones()
        alone, both = vacancy(potential, fcc()), vacancy(potential, ordered)
        potential.set_offsets({11: -5.0, 17: 3.0})
        assert both["formation energy"] == pytest.approx(2 * alone["formation energy"], rel=1e-4)
        assert vacancy(potential, ordered)["formation energy"] == pytest.approx(both["formation energy"], abs=1e-6)

    def test_a_metal_against_ase(self):
        crystal = relaxed(copper(), fcc(3.1, "Cu"))
        atoms = crystal.to_ase().repeat(3)
        atoms.calc = keel.KeelCalculator(copper(), dtype="float64")
        whole = atoms.get_potential_energy()
        del atoms[17]
        unrelaxed = atoms.get_potential_energy() - whole * 107 / 108
        result = vacancy(copper(), crystal, min_length=8.0, beside=copper())
        assert result["formation energy before atoms move"] == pytest.approx(unrelaxed, abs=1e-6)
        assert 0 < result["formation energy"] < unrelaxed
        assert result["formation energy against the reference"] == 0.0

    def test_a_crystal_that_would_rather_have_holes(self):
        class Holes(LennardJones):
            """Odd numbers of atoms are cheap."""

            def energies_and_gradient(self, graph, vectors, *, differentiable):
                energies, gradient = super().energies_and_gradient(graph, vectors, differentiable=differentiable)
                return energies - 1.0 / len(energies) * (len(energies) % 2), gradient

        result = vacancy(Holes(), fcc())
        assert result.outcome == "failed" and "energy that a vacancy gains" in result.verdict
        assert result["formation energy"] == pytest.approx(vacancy(LennardJones(), fcc())["formation energy"] - 1.0)


class Absent:
    """Finds no phonopy."""

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "phonopy":
            raise ModuleNotFoundError(f"No module named {name!r}", name="phonopy")


def test_without_phonopy_one_sentence_says_what_to_install(monkeypatch):
    for name in [m for m in sys.modules if m.split(".")[0] == "phonopy"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Absent(), *sys.meta_path])
    with pytest.raises(UnavailableError, match=r"needs phonopy; install it with: pip install 'mlip-keel\[assess\]'$"):
        phonons(LennardJones(), fcc())


@pytest.mark.oracle
class TestPhonons:
    @pytest.fixture(autouse=True)
    def _phonopy(self):
        if os.environ.get("CI") != "true":
            pytest.importorskip("phonopy")

    def test_against_the_dynamical_matrix_of_a_pair_potential(self):
        """D(q) = (1/m) sum_R [phi'' RR/r^2 + phi'/r (1 - RR/r^2)] (1 - cos q.R), on the same mesh."""
        potential = LennardJones(cutoff=5.5)
        crystal = relaxed(potential, fcc(cubic=False), fmax=1e-7)
        found = harmonic_phonons(potential, crystal, supercell=(5, 5, 5), mesh=(3, 3, 3), displacement=1e-3)
        vectors = lattice(crystal, potential.cutoff)
        r = np.linalg.norm(vectors, axis=1)
        _, slope, bend = pair_derivatives(potential, r)
        along = np.einsum("ra,rb->rab", vectors, vectors) / (r**2)[:, None, None]
        constants = bend[:, None, None] * along + (slope / r)[:, None, None] * (np.eye(3) - along)
        points = np.stack(np.meshgrid(*[np.arange(3) / 3] * 3), axis=-1).reshape(-1, 3)
        phase = 1 - np.cos(2 * np.pi * points @ np.linalg.inv(crystal.cell).T @ vectors.T)
        squares = np.linalg.eigvalsh(np.einsum("qr,rab->qab", phase, constants) / MASSES[18])
        expected = np.sqrt(np.abs(squares)) * 15.633302
        times = np.rint(found.weights * len(points)).astype(int)
        everywhere = np.repeat(found.frequencies, times, axis=0)
        np.testing.assert_allclose(np.sort(everywhere.ravel()), np.sort(expected.ravel()), atol=2e-3)
        assert found.acoustic < 1e-4

    def test_a_good_crystal(self):
        result = phonons(LennardJones(), fcc(cubic=False), beside=LennardJones(epsilon=0.0108))
        assert result.outcome == "passed", result.verdict
        assert result["highest frequency"] == pytest.approx(2.0, abs=0.1)  # argon: 2.0 THz
        expected = 100 * (1 - (0.0104 / 0.0108) ** 0.5)
        assert result["frequencies away from the reference"] == pytest.approx(expected, rel=0.01)
        for curve in result.curves:
            assert np.trapezoid(curve.y, curve.x) == pytest.approx(3.0, abs=0.01)

    def test_a_simple_cubic_crystal_falls_apart(self):
        result = phonons(LennardJones(), as_frame(bulk("Ar", "sc", a=3.6)))
        assert result.outcome == "failed" and "imaginary modes" in result.verdict
        assert result["lowest frequency"] < -0.1

    def test_the_supercell_of_a_primitive_cell_has_the_same_mean_frequency(self):
        small, large = (phonons(LennardJones(cutoff=5.5), fcc(cubic=c), min_length=11.0) for c in (False, True))
        assert large["mean frequency"] == pytest.approx(small["mean frequency"], rel=5e-3)

    def test_forces_without_reaction_are_found(self):
        class OneSided(LennardJones):
            """The first atom of a structure is pushed harder than it pushes."""

            def derivatives(self, graph, *, differentiable, vectors=None):
                energies, forces, virial = super().derivatives(graph, differentiable=differentiable, vectors=vectors)
                forces[0] *= 1.1
                return energies, forces, virial

        result = phonons(OneSided(), fcc(cubic=False), min_length=9.0)
        assert result.outcome == "failed" and "translations" in result.verdict


def test_a_rule_of_all_probes():
    """What is asked for by name is there, and all can be written as JSON."""
    for probe in (equation_of_state, elastic, vacancy):
        result = probe(LennardJones(), fcc())
        assert {m["name"] for m in result.to_dict()["metrics"]} == {m.name for m in result.metrics}
        assert json.loads(json.dumps(result.to_dict()))["outcome"] == "passed"


class TestRelaxationProbe:
    def test_a_crystal_near_its_equilibrium_passes(self):
        crystal = relaxed(copper(), as_frame(bulk("Cu", "fcc", a=3.6)))
        start = crystal.replace(cell=1.02 * crystal.cell)
        result = relaxation(copper(), start)
        assert result.outcome == "passed"
        assert result["change of the volume"] == pytest.approx(100 * (1.02**-3 - 1), abs=1e-3)
        assert result["largest displacement"] == pytest.approx(0.0, abs=1e-6)
        assert [f.volume for f in result.films[0].frames] == pytest.approx([start.volume, crystal.volume], rel=1e-4)

    def test_another_structure_fails(self):
        crystal = relaxed(copper(), as_frame(bulk("Cu", "fcc", a=3.6)))
        result = relaxation(copper(), crystal.replace(cell=1.1 * crystal.cell))
        assert result.outcome == "failed" and "another structure" in result.verdict

    def test_the_largest_displacement_is_that_of_the_atoms(self):
        crystal = relaxed(copper(), as_frame(bulk("Cu", "fcc", a=3.6, cubic=True)))
        positions = crystal.positions + 5.0  # the origin means nothing
        positions[2, 1] += 0.2
        result = relaxation(copper(), crystal.replace(positions=positions))
        assert result["largest displacement"] == pytest.approx(0.15, abs=1e-3)  # 0.2 less the mean of four atoms

    def test_what_is_no_crystal_is_skipped(self):
        assert relaxation(copper(), keel.Frame([29], [[0.0, 0.0, 0.0]])).outcome == "skipped"
