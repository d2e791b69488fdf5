"""Every probe passes on a sound potential; on one that is broken in one way exactly the right probes fail."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
import torch
from ase.build import bulk
from ase.build import molecule as molecule_of
from torch import Tensor

import keel
from broken import Broken, HalfPrecision, NonConservative, SignFlip, Truncated
from keel.atoms.graph import AtomGraph
from keel.counting import counted
from keel.dynamics import ComputeSettings, MDSettings
from keel.errors import ConfigError, DataError
from keel.evaluation import (
    extensivity,
    force_consistency,
    invariance,
    jacobian_symmetry,
    locality,
    nve_drift,
    smoothness,
)
from keel.evaluation.exact.conservation import NVE
from keel.evaluation.exact.jumps import RoughError, extrapolated_jumps, largest_jump
from keel.evaluation.probing import nearest_images
from keel.testing.structures import dimer
from keel.testing.transformations import predict
from simulated import Given, Spring, argon, frame_of, molecule

STATIC = (force_consistency, jacobian_symmetry, smoothness, invariance, extensivity, locality)
PROBES = {probe.__name__: probe for probe in (*STATIC, nve_drift)}

LJ = keel.LennardJones(cutoff=8.5)


def eam() -> keel.EAM:
    potential = keel.EAM.from_elements(["Mo"], cutoff=5.0)
    potential.set_offsets({42: -430.0})
    return potential


def molybdenum(repeat: int = 3) -> keel.Frame:
    return frame_of(bulk("Mo", "bcc", a=3.16, cubic=True).repeat(repeat))


@dataclass
class Teacher:
    """A sound potential, a perfect crystal, and a force that is not conservative, small beside its own."""

    potential: keel.Potential
    frame: keel.Frame
    temperature: float
    strength: float


TEACHERS = {
    "Lennard-Jones": Teacher(LJ, argon(rattle=0.0), 40.0, 5e-4),
    "EAM": Teacher(eam(), molybdenum(), 300.0, 0.02),
}


def failed(
    potential: keel.Potential, teacher: Teacher, dtype: torch.dtype = torch.float64, length_fs: float = 100.0
) -> dict[str, str]:
    """Return the verdicts of the probes that fail; a simulation has a precision of its own and goes with float64."""
    results = {probe.__name__: probe(potential, [teacher.frame], dtype=dtype) for probe in STATIC}
    if dtype == torch.float64:
        settings = NVE.replace(temperature=teacher.temperature, length_fs=length_fs)
        results["nve_drift"] = nve_drift(potential, [teacher.frame], settings)
    assert all(r.outcome in ("passed", "failed") for r in results.values())
    return {name: r.verdict for name, r in results.items() if r.outcome == "failed"}


# --- on sound and on broken potentials -------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", TEACHERS)
def test_every_probe_passes_on_a_sound_potential(name, dtype):
    assert failed(TEACHERS[name].potential, TEACHERS[name], dtype) == {}


@pytest.mark.parametrize(
    "network",
    [
        keel.CGCNN(elements=["Mo"], cutoff=5.0, preset="small"),
        keel.TorchMDET(elements=["Mo"], cutoff=4.3, channels=16, layers=2, heads=4, num_rbf=12),
        keel.M3GNet(elements=["Mo"], cutoff=4.3, node_features=12, edge_features=8, units=10, blocks=2),
    ],
    ids=lambda network: type(network).__name__,
)
def test_every_probe_passes_on_a_network_in_float32(network):
    """Untrained: with energies that are large beside the forces, so that rounding counts more than it will."""
    for probe in STATIC:
        result = probe(network, [molybdenum(2)], dtype=torch.float32)
        assert result.outcome == "passed", result.verdict


@pytest.mark.parametrize("name", TEACHERS)
def test_a_sign_flip_below_1_angstrom_is_none_of_their_business(name):
    teacher = TEACHERS[name]
    flipped = SignFlip(teacher.potential)
    z = int(teacher.frame.numbers[0])
    near, mirrored = (predict(flipped, [dimer(z, z, r)]).forces for r in (0.9, 1.1))
    torch.testing.assert_close(near, -mirrored, rtol=1e-9, atol=0)
    assert failed(flipped, teacher) == {}


@pytest.mark.parametrize("name", TEACHERS)
def test_a_discontinuity_at_the_cutoff_is_found(name):
    """It jumps, and energy is not conserved; yet almost everywhere the force is the slope of the energy."""
    teacher = TEACHERS[name]
    verdicts = failed(Truncated(teacher.potential), teacher)
    assert set(verdicts) == {"smoothness", "nve_drift"}
    assert "energy jump" in verdicts["smoothness"] and "force jump" in verdicts["smoothness"]


@pytest.mark.parametrize("name", TEACHERS)
def test_forces_that_are_not_conservative_are_found(name):
    teacher = TEACHERS[name]
    verdicts = failed(NonConservative(teacher.potential, teacher.strength), teacher)
    assert set(verdicts) == {"force_consistency", "jacobian_symmetry", "nve_drift"}
    assert verdicts["force_consistency"].startswith("forces are not the slope of the energy")
    assert "conservative" in verdicts["jacobian_symmetry"]
    assert "not conserved" in verdicts["nve_drift"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", TEACHERS)
def test_float16_noise_is_found(name, dtype):
    """Rounding has no direction in time, so that energy hardly drifts."""
    teacher = TEACHERS[name]
    verdicts = failed(HalfPrecision(teacher.potential), teacher, dtype, length_fs=200.0)
    assert set(verdicts) == {"force_consistency", "jacobian_symmetry", "smoothness", "invariance"}
    assert "rotation" in verdicts["invariance"]


class Variant(Broken):
    """Energies that depend on what has no meaning, or on every atom of the batch."""

    def __init__(self, flaw: str) -> None:
        super().__init__(LJ)
        self.flaw = flaw

    def atomic_energies(self, graph: AtomGraph, vectors: Tensor) -> Tensor:
        energies = super().atomic_energies(graph, vectors)
        extra = {
            "translation": lambda: 1e-3 * graph.positions[:, 0].detach(),
            "rotation": lambda: torch.zeros_like(energies).index_add(0, graph.edge_index[0], 1e-4 * vectors[:, 0] ** 2),
            "permutation": lambda: 1e-3 * torch.arange(graph.n_atoms, dtype=vectors.dtype),
            "batching": lambda: energies.mean().expand(graph.n_atoms),
        }
        return energies + extra[self.flaw]()


@pytest.mark.parametrize("flaw", ["translation", "rotation", "permutation", "batching"])
def test_a_dependence_on_what_has_no_meaning_is_named(flaw):
    result = invariance(Variant(flaw), [argon(), argon(1, a=5.6)])
    assert result.outcome == "failed" and flaw in result.verdict


def test_a_result_that_is_not_finite_fails_everywhere():
    """And none of the probes breaks down."""

    class Undefined(Broken):
        def atomic_energies(self, graph: AtomGraph, vectors: Tensor) -> Tensor:
            return super().atomic_energies(graph, vectors) * torch.nan

    assert set(failed(Undefined(LJ), TEACHERS["Lennard-Jones"])) == set(PROBES)


@pytest.mark.parametrize("probe", PROBES.values(), ids=list(PROBES))
def test_mistakes_are_named(probe):
    with pytest.raises(DataError, match="at least one"):
        probe(LJ, [])
    with pytest.raises(DataError, match="without atoms"):
        probe(LJ, [argon(), molecule([], []).replace(positions=np.empty((0, 3)))])
    if probe is not nve_drift:
        with pytest.raises(ConfigError, match="probes run in"):
            probe(LJ, [argon()], dtype=torch.float16)


@pytest.mark.parametrize("probe", PROBES.values(), ids=list(PROBES))
def test_the_same_seed_gives_the_same_result_and_leaves_the_potential_alone(probe):
    potential = keel.LennardJones(cutoff=6.0).float()
    course = NVE.replace(length_fs=20.0, temperature=40.0, seed=3)
    asked = partial(probe, settings=course) if probe is nve_drift else partial(probe, seed=3)
    first, second = (asked(potential, [argon()]).to_dict() for _ in range(2))
    assert first == second and potential.dtype == torch.float32


# --- numbers by hand ------------------------------------------------------------------------------------------------


def test_error_of_forces_by_hand():
    """A constant force of 0.25 eV/angstrom in no field at all."""
    made_up = Given(lambda graph: torch.full_like(graph.positions, 0.25))
    result = force_consistency(made_up, [argon()])
    assert result["force error"] == pytest.approx(1.0)
    assert result["largest force error"] == pytest.approx(250.0)


def test_asymmetry_by_hand():
    """F = A x for a single atom: the asymmetry of A = [[1, 2, 0], [0, 1, 0], [0, 0, 1]] is sqrt(8 / 7)."""
    matrix = torch.tensor([[1.0, 2.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    linear = Given(lambda graph: graph.positions @ matrix.T)
    assert jacobian_symmetry(linear, [molecule([[1, 2, 3]], [18])])["asymmetry"] == pytest.approx(np.sqrt(8 / 7))


def test_drift_by_hand():
    """Constant force from rest: dE/dt averages 3 F^2 t / (2 m) per atom, up to 0.4 ps, at either time step."""
    pushed = Given(lambda graph: torch.full_like(graph.positions, 0.01))
    settings = MDSettings(temperature=0.0, length_fs=400.0, timestep_fs=2.0)
    result = nve_drift(pushed, [argon(1)], settings, compute=ComputeSettings(precision="float64"))
    expected = 1e6 * 3 * 0.01**2 * 0.0096485 / 39.948 / 2 * 400.0
    assert result["drift at 1 fs"] == pytest.approx(expected, rel=0.02)
    assert result["drift at 2 fs"] == pytest.approx(expected, rel=0.02)
    assert [curve.name for curve in result.curves] == ["1 fs", "2 fs"]


@pytest.mark.parametrize("height", [1e-6, 0.3])
def test_jumps_are_told_from_slopes_by_halving_the_spacing(height):
    x = np.linspace(0, 1, 201)
    steep = np.exp(-3 * x)
    assert extrapolated_jumps(steep).max() < 1e-7
    assert extrapolated_jumps(steep + height * (x > 0.6123)).max() == pytest.approx(height, abs=1e-7)


@pytest.mark.parametrize("height", [0.0, 0.05])
def test_a_jump_beside_a_wall_keeps_its_height(height):
    def curve(x):
        return np.tanh((x - 0.3) / 0.003) + height * (x > 0.7123)

    x = np.linspace(0, 1, 201)
    assert extrapolated_jumps(curve(x)).max() > 0.5
    assert largest_jump(x, curve(x), curve, 1e-3) == pytest.approx(height, abs=1e-3)


def test_height_of_a_jump_by_hand():
    """A spring cut off at a stretch of 0.5 angstrom: k 0.5^2 / 2 in energy, 0.5 k in force along it."""
    spring, start = Spring(stiffness=4.0, length=2.0, cutoff=2.5), molecule([[0, 0, 0], [2.45, 0, 0]], [18, 18])
    results = [smoothness(spring, [start], seed=seed) for seed in range(8)]
    outward = [r for r in results if r["neighbours that crossed the cutoff"] == 1]
    assert outward
    for result in outward:
        assert result.outcome == "failed"
        assert result["energy jump"] == pytest.approx(500.0, rel=1e-3)
        assert 0 < result["force jump"] <= 2000.0
    others = [r for r in results if r["neighbours that crossed the cutoff"] == 0]
    assert all(r.outcome == "skipped" and "larger structure" in r.verdict for r in others)


class Wall(Spring):
    """A wall that rises by 2 eV within 0.005 angstrom, and energy that ends at the cutoff."""

    def pair_energy(self, r: Tensor, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        t = torch.tanh((r - self.length) / 0.005)
        return t + 0.1 * r, (1 - t * t) / 0.005 + 0.1


@pytest.mark.parametrize("cutoff", [9.0, 2.1])
def test_steep_physics_is_told_from_a_jump(cutoff):
    """Seen on points 0.0125 angstrom apart both look alike; where both are there the jump is not overlooked."""
    results = [smoothness(Wall(cutoff=cutoff), [dimer(18, 18, 2.05)], n_points=41, seed=seed) for seed in range(6)]
    assert max(extrapolated_jumps(r.curves[0].y).max() for r in results) > 0.5
    for result in results:
        assert (result.outcome == "failed") == (result["neighbours that crossed the cutoff"] > 0)
    assert ("failed" in {r.outcome for r in results}) == (cutoff < 9)


class Rough(Spring):
    """A wave of 0.008 angstrom on a spring: on points 0.0025 angstrom apart every place looks like a jump."""

    def pair_energy(self, r: Tensor, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        energy, slope = super().pair_energy(r, first, second)
        return energy + 1e-5 * torch.sin(800 * r), slope + 8e-3 * torch.cos(800 * r)


def test_where_everything_is_rough_jumps_cannot_be_told_and_few_places_are_examined():
    evaluated = []
    with counted(evaluated.append):
        result = smoothness(
            Rough(stiffness=4.0, length=2.0, cutoff=9.0), [molecule([[0, 0, 0], [2.5, 0, 0]], [18, 18])], seed=1
        )
    assert result.outcome == "skipped" and "rough at 0.0025 angstrom" in result.verdict
    assert sum(evaluated) < 1000 and [curve.name for curve in result.curves] == ["energy", "force"]


def test_places_that_are_examined_can_be_limited():
    def curve(x):
        return 1e-2 * np.sin(2000 * x)

    x = np.linspace(0, 0.2, 81)
    assert largest_jump(x, curve(x), curve, 1e-3) < 1e-3
    with pytest.raises(RoughError):
        largest_jump(x, curve(x), curve, 1e-3, places=3)


def test_range_by_hand():
    """One cutoff for pairs, at most two for an EAM; a force on all atoms alike has no range."""
    assert 0.8 * LJ.cutoff < locality(LJ, [argon()])["range"] <= LJ.cutoff
    assert 5.0 < locality(eam(), [molybdenum(2)])["range"] <= 10.1
    assert locality(eam(), [molybdenum(2)], reach=5.0).outcome == "failed"
    everywhere = Given(lambda graph: graph.positions.mean(dim=0).expand_as(graph.positions))
    result = locality(everywhere, [argon(1)])
    assert result.outcome == "failed" and "out of range" in result.verdict
    assert result["range"] > 8 * everywhere.cutoff


def test_locality_is_skipped_with_a_reason():
    assert "no structure is periodic" in locality(LJ, [molecule([[0, 0, 0]], [18])]).verdict
    result = locality(LJ, [argon()], max_atoms=100)
    assert result.outcome == "skipped" and "atoms" in result.verdict


def test_energies_that_do_not_grow_with_the_structure_are_found():
    """The energy of an atom rises with the number of those before it."""
    result = extensivity(Variant("permutation"), [argon()])
    assert result.outcome == "failed" and "supercells" in result.verdict


def test_molecules_slabs_and_single_atoms():
    water = frame_of(molecule_of("H2O"))
    slab = argon().replace(pbc=np.array([True, True, False]))
    frames = [water, slab, molecule([[0, 0, 0]], [18])]
    for probe in STATIC:
        assert probe(LJ, frames).outcome == "passed", probe.__name__


def test_nearest_images():
    """As ase finds them, also in a sheared cell and one that is periodic in two directions only."""
    atoms = bulk("Mo", "bcc", a=3.16).repeat((2, 2, 3))
    atoms.rattle(0.3, seed=1)
    for pbc in (True, [True, False, True], False):
        atoms.pbc = pbc
        expected = atoms.get_distances(2, range(len(atoms)), mic=True)
        np.testing.assert_allclose(nearest_images(frame_of(atoms), 2), expected, atol=1e-9)
