"""Dimers, trimers and bonds of clusters as probes: on Lennard-Jones and EAM, on broken potentials, and by hand."""

import numpy as np
import pytest
import torch
from ase.build import bulk
from ase.build import molecule as molecule_of
from hypothesis import given, settings
from hypothesis import strategies as st

import keel
from broken import Broken, HalfPrecision, NonConservative, SignFlip, Truncated
from keel.errors import ConfigError, DataError
from keel.evaluation import DimerCurve, bond_scans, diatomics, dimer_curve, trimers
from keel.evaluation.clusters.bond_scans import bond_lengths, bonds_of, force_smoothness_deviation
from keel.evaluation.clusters.scans import NOT_FINITE, Scan
from keel.evaluation.clusters.trimers import minima, trimer_scan
from simulated import Given, argon, frame_of, molecule

LJ = keel.LennardJones(cutoff=8.5)
EAM = keel.EAM.from_elements(["Mo"], cutoff=5.0)
EAM.set_offsets({42: -430.0})
SILICA = keel.EAM.from_elements(["O", "Si"], cutoff=8.0)
TEACHERS = {"Lennard-Jones": (LJ, 18, 2.4, 5e-4), "EAM": (EAM, 42, 2.5, 0.02)}


def failed(name, broken=lambda potential, strength: potential, dtype=torch.float64):
    """Return the verdicts of the probes that fail, on a teacher's element and a bent chain of it."""
    teacher, z, length, strength = TEACHERS[name]
    potential = broken(teacher, strength)
    chain = molecule([[0, 0, 0], [length, 0, 0], [length, length, 0]], [z] * 3)
    results = {
        "diatomics": diatomics(potential, [z], dtype=dtype),
        "trimers": trimers(potential, [(z, z, z)], dtype=dtype),
        "bond_scans": bond_scans(potential, [chain], dtype=dtype),
    }
    return {name: r.verdict for name, r in results.items() if r.outcome == "failed"}


# --- on sound and on broken potentials -------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", TEACHERS)
def test_sound_potentials_pass(name, dtype):
    assert failed(name, dtype=dtype) == {}


def test_a_teacher_of_two_elements_passes():
    water = molecule_of("H2O")
    water.numbers[:] = [8, 14, 14]
    results = [diatomics(SILICA), trimers(SILICA), bond_scans(SILICA, [frame_of(water)])]
    assert [r.outcome for r in results] == ["passed"] * 3, [r.verdict for r in results]
    assert results[0].verdict.endswith("3 in all")
    assert {m.name for m in results[1].metrics if "minima" in m.name} == {
        f"minima of {chain}" for chain in ("O-O-O", "O-Si-O", "Si-O-Si", "Si-Si-Si")
    }


@pytest.mark.parametrize("name", TEACHERS)
def test_a_sign_flip_below_1_angstrom_is_a_hole(name):
    """Bonds of these elements are not pressed below 1 angstrom, nor do ends of molybdenum come so near."""
    verdicts = failed(name, lambda potential, _: SignFlip(potential))
    assert set(verdicts) == ({"diatomics", "trimers"} if name == "Lennard-Jones" else {"diatomics"})
    pair = {"Lennard-Jones": "Ar-Ar", "EAM": "Mo-Mo"}[name]
    assert verdicts["diatomics"] == f"{pair} is not sound: hole in the wall up to 0.99 angstrom (at most 0)"


def test_a_discontinuity_at_the_cutoff_is_a_jump():
    verdicts = failed("EAM", lambda potential, _: Truncated(potential))
    assert set(verdicts) == {"diatomics", "trimers", "bond_scans"}
    assert all("energy jump" in v and "force jump" in v and "force error" not in v for v in verdicts.values())
    assert set(failed("Lennard-Jones", lambda potential, _: Truncated(potential))) == {"diatomics"}


@pytest.mark.parametrize("name", TEACHERS)
def test_forces_that_are_no_slopes_are_found(name):
    verdicts = failed(name, NonConservative)
    assert set(verdicts) == {"diatomics", "trimers", "bond_scans"}
    assert all(": force error" in v and "jump" not in v and "hole" not in v for v in verdicts.values())


@pytest.mark.parametrize("name", TEACHERS)
def test_float16_noise_is_found(name):
    verdicts = failed(name, lambda potential, _: HalfPrecision(potential))
    assert set(verdicts) == {"diatomics", "trimers", "bond_scans"}
    # Argon's wall is higher than float16 can tell.
    assert (NOT_FINITE in verdicts["diatomics"]) == (name == "Lennard-Jones")


def test_a_wall_that_is_too_low_and_one_that_is_none():
    class SoftCore(Broken):
        def atomic_energies(self, graph, vectors):
            return 1e-3 * super().atomic_energies(graph, vectors)

    soft = diatomics(SoftCore(SILICA), ["Si"])
    assert soft.outcome == "failed" and 9.0 < soft["wall too low by"] < 10.0
    nothing = diatomics(Given(lambda graph: torch.zeros_like(graph.positions)), ["Si"])
    assert nothing["wall too low by"] == 10.0 and nothing["hole in the wall up to"] == pytest.approx(1.11, abs=0.02)


def test_the_worst_pair_is_named():
    class Holey(Broken):
        """Oxygen atoms attract each other below 0.6 angstrom."""

        def atomic_energies(self, graph, vectors):
            i, j = graph.edge_index
            like = (graph.numbers[i] == 8) & (graph.numbers[j] == 8)
            r = vectors.norm(dim=1, keepdim=True)
            return super().atomic_energies(
                graph, torch.where(like[:, None] & (r < 0.6), (1.2 / r - 1) * vectors, vectors)
            )

    result = diatomics(Holey(SILICA))
    assert result.outcome == "failed" and result.verdict.startswith("O-O is not sound: hole in the wall up to 0.59")
    assert result["scans that fail"] == 1


# --- dimers ---------------------------------------------------------------------------------------------------------


def test_leaderboards_and_reference_stand_in_the_result():
    result = diatomics(LJ, ["Ar", "He"], beside=LJ)
    names = [m.name for m in result.metrics]
    assert "mlip-arena: tortuosity" in names and "matbench-discovery: tortuosity" in names
    assert not [n for n in names if "pbe" in n]
    assert [result[f"RMS difference from the reference, {p}"] for p in ("He-He", "He-Ar", "Ar-Ar")] == [0.0] * 3
    drawn = {c.name for c in result.curves}
    assert {"He-Ar", "He-Ar, force", "reference He-Ar"} <= drawn and len(drawn) == 9
    assert not [m for m in diatomics(LJ, ["Ar"], leaderboards=()).metrics if ":" in m.name]


def test_difference_from_curves_of_dft():
    """A reference that is deeper by a tenth is a tenth of itself away."""
    lj = keel.LennardJones(1.0, 1.6, cutoff=8.0)
    own = dimer_curve(lj, 14, 14, np.linspace(0.9, 7.0, 300))
    dft = {"Si-Si": DimerCurve((14, 14), own.r, 1.1 * own.energy, 1.1 * own.force)}
    result = diatomics(lj, ["Si", "O"], dft=dft)
    expected = own.energy * 1.1
    window = (own.r <= 1.5 * own.r[expected.argmin()]) & (
        (expected - expected.min() <= 5.0) | (own.r > own.r[expected.argmin()])
    )
    rms = np.sqrt(np.mean((0.1 * own.energy[window]) ** 2))
    assert result["RMS difference from DFT, Si-Si"] == pytest.approx(rms)
    assert result["mlip-arena: pbe-energy-mae"] > 0 and result["matbench-discovery: pbe_bond_length_error"] < 0.05
    with pytest.raises(DataError, match="curves of Si-Si, none of which"):
        diatomics(lj, ["O"], dft=dft)


def test_mistakes_are_named():
    with pytest.raises(DataError, match="name the elements"):
        diatomics(LJ)
    with pytest.raises(DataError, match="at least one"):
        diatomics(LJ, [])
    with pytest.raises(DataError, match="knows O, Si"):
        trimers(SILICA, [("O", "Cu", "O")])
    with pytest.raises(DataError, match="is not a triple"):
        trimers(SILICA, ["OSiO"])
    with pytest.raises(DataError, match="at least one"):
        trimers(SILICA, [])
    with pytest.raises(ConfigError, match="must be positive"):
        trimers(SILICA, bond_length=-1.0)
    pair = molecule([[0, 0, 0], [1.6, 0, 0]], [8, 14])
    for probe in (lambda t: diatomics(LJ, ["Ar"], dtype=t), lambda t: bond_scans(SILICA, [pair], dtype=t)):
        with pytest.raises(ConfigError, match="probes run in"):
            probe(torch.float16)
    with pytest.raises(ConfigError, match="one bond for each"):
        bond_scans(SILICA, [pair], [(0, 1), (0, 1)])
    for bond in ((0, 0), (0, 2), (-1, 0)):
        with pytest.raises(ConfigError, match="two of the 2 atoms"):
            bond_scans(SILICA, [pair], [bond])


# --- paths ----------------------------------------------------------------------------------------------------------


def scan_of(energy, slope, crowded=1.0):
    return Scan("made up", np.arange(0.5, 4.0, 0.01), lambda x: np.stack([energy(x), -slope(x)]), crowded)


def test_a_wall_ends_10_ev_above_the_lowest_place_outside():
    scan = scan_of(lambda x: 20 / x**2, lambda x: -40 / x**3)
    end = 1 / np.sqrt((10 + 20 / 3.99**2) / 20)
    assert scan.x[scan.wall] == pytest.approx(end, abs=0.011) and scan.hole == 0.0
    assert scan.climb[0] == pytest.approx(20 / 0.5**2 - 20 / 3.99**2)
    assert all(m.passed for m in scan.metrics(torch.float64, wall=True))


def test_a_well_is_no_hole_but_below_crowded_it_is():
    parabola = {"energy": lambda x: 50 * (x - 1.5) ** 2, "slope": lambda x: 100 * (x - 1.5)}
    assert scan_of(**parabola).hole == 0.0
    assert scan_of(**parabola, crowded=2.0).hole == pytest.approx(1.99)


@settings(max_examples=20)
@given(st.floats(1.7, 3.8), st.floats(1e-2, 1.0), st.booleans())
def test_a_jump_is_found_with_its_height(place, height, of_force):
    """Whether the energy jumps or the force does; the rest of the curve is smooth."""

    def energy(x):
        return 20 / x**2 + height * (x > place) * ((x - place) if of_force else 1.0)

    def slope(x):
        return -40 / x**3 + height * (x > place) * of_force

    energy_jump, force_jump = scan_of(energy, slope).jumps(torch.float64)
    jump = force_jump if of_force else energy_jump
    assert not jump.passed and 0.3e3 * height < jump.value < 1.5e3 * height


# --- trimers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("triple", [(18, 18, 18), (8, 14, 8), (8, 14, 1)])
def test_a_chain_of_pair_potentials_is_the_sum_of_its_pairs(triple):
    scan = trimer_scan(LJ, *triple)
    a, b = (keel.atoms.elements.COVALENT_RADII[[triple[1], end]].sum() for end in (triple[0], triple[2]))
    apart = np.sqrt(a**2 + b**2 - 2 * a * b * np.cos(np.radians(scan.x)))
    order = np.argsort(apart)
    pairs = dimer_curve(LJ, 18, 18, apart[order])
    energy, torque = scan.values
    np.testing.assert_allclose((energy - energy[-1])[order], pairs.energy, rtol=1e-8, atol=1e-10)
    lever = a * b * np.sin(np.radians(scan.x)) / apart * np.radians(1.0)
    np.testing.assert_allclose(torque[order], pairs.force * lever[order], rtol=1e-8, atol=1e-10)
    assert scan.x[-1] == 180 and scan.x[0] <= 40
    assert apart[np.searchsorted(scan.x, scan.crowded)] == pytest.approx(
        0.5 * keel.atoms.elements.COVALENT_RADII[[triple[0], triple[2]]].sum(), rel=0.1
    )


def test_minima_are_counted():
    angle = np.linspace(0, 2 * np.pi, 200)
    assert minima(np.cos(angle)) == 1 and minima(np.cos(2 * angle)) == 2 and minima(np.sin(angle)) == 1
    assert minima(-np.cos(angle)) == 1 and minima(angle) == 0 and minima(-angle) == 1
    assert minima(1e-4 * np.cos(9 * angle)) == 0


def test_a_chain_may_have_other_bonds():
    near, far = (trimers(LJ, [("Ar", "Ar", "Ar")], bond_length=d) for d in (2.0, 3.8))
    assert near.outcome == far.outcome == "passed"
    assert near.curves[0].x[0] > far.curves[0].x[0]  # ends of short bonds meet at a larger angle
    assert far["minima of Ar-Ar-Ar"] == 1


# --- bonds of clusters ----------------------------------------------------------------------------------------------


def test_fragments_move_as_a_whole_and_rings_do_not():
    ethane = frame_of(molecule_of("C2H6"))
    (carbon,) = [s for s in bonds_of(ethane) if s.numbers == (6, 6)]
    assert carbon.splits and sorted(carbon.sides) == [-1] * 4 + [1] * 4
    for length, frame in zip((1.0, 2.5), carbon.at(np.array([1.0, 2.5])), strict=True):
        assert np.linalg.norm(frame.positions[1] - frame.positions[0]) == pytest.approx(length)
        for side in (-1, 1):
            moved = (frame.positions - ethane.positions)[carbon.sides == side]
            np.testing.assert_allclose(moved, np.broadcast_to(moved[0], moved.shape), atol=1e-12)
    ring = frame_of(molecule_of("C3H6_D3h"))
    for stretch in bonds_of(ring):
        assert stretch.splits == (1 in stretch.numbers)
        assert stretch.splits or sorted(stretch.sides[stretch.sides != 0]) == [-1, 1]


def test_a_dimer_is_scanned_like_a_dimer():
    pair = molecule([[0, 0, 0], [0, 2.5, 0]], [18, 18])
    result = bond_scans(LJ, [pair], [(0, 1)])
    curve = dimer_curve(LJ, 18, 18, bond_lengths(18, 18))
    energy, force = (c.y for c in result.curves)
    np.testing.assert_allclose(energy - energy[-1], curve.energy, atol=1e-9)
    np.testing.assert_allclose(force, curve.force, rtol=1e-9)
    assert len(curve.r) == 100 and (curve.r[0], curve.r[-1]) == pytest.approx((1.06, 4.24))


def test_bonds_through_the_faces_of_a_cell():
    crystal = frame_of(bulk("Mo", "bcc", a=3.16, cubic=True).repeat(2))
    shifted = crystal.replace(positions=crystal.positions + np.diag(crystal.cell) * np.array([0.49, 0.0, 0.0]))
    wrapped = shifted.replace(positions=shifted.positions % np.diag(crystal.cell))
    for frame in (crystal, wrapped):
        assert {round(s.length, 6) for s in bonds_of(frame)} == {round(3.16 * np.sqrt(3) / 2, 6), 3.16}
    results = [bond_scans(EAM, [frame], [(0, 1)]) for frame in (crystal, wrapped)]
    assert [r.outcome for r in results] == ["passed"] * 2
    np.testing.assert_allclose(results[0].curves[0].y, results[1].curves[0].y, atol=1e-8)


def test_without_bonds_there_is_nothing_to_scan():
    result = bond_scans(LJ, [argon()])
    assert result.outcome == "skipped" and "name the bonds" in result.verdict


@given(st.floats(-8, 8), st.integers(5, 80))
def test_force_smoothness_deviation_by_hand(k, equilibrium):
    """Force changes whose squares grow as exp(k (a - a0)) beside the reference's deviate by |k|."""
    a = np.linspace(0.76, 3.04, 100)
    expected = np.zeros((100, 2, 3))
    expected[:, 0, 0] = 1e6 * np.sign(a - a[equilibrium])
    forces = expected * np.exp(0.5 * k * (a - a[equilibrium]))[:, None, None]
    found = force_smoothness_deviation(a, forces, expected, equilibrium)
    np.testing.assert_allclose(found, abs(k), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(force_smoothness_deviation(a, expected + 0.1, expected + 0.1, equilibrium), 0.0)


def test_force_smoothness_deviation_knows_smooth_from_rough():
    chain = molecule([[0, 0, 0], [2.5, 0, 0], [2.5, 2.5, 0]], [42] * 3)
    same, cut = (bond_scans(p, [chain], beside=EAM) for p in (EAM, Truncated(EAM)))
    assert same["FSD"] == 0.0 < 1.0 < cut["FSD"] and cut["FSD"] >= max(cut["FSD, pressed"], cut["FSD, stretched"])
    assert "reference Mo-Mo of Mo3" in {c.name for c in same.curves}
