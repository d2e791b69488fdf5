"""Metrics of dimers as two leaderboards compute them: recomputed point by point, and derived by hand."""

import itertools
import math

import numpy as np
import pytest
from ase.data import covalent_radii, vdw_alvarez
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import constants
from scipy.stats import rankdata

from keel.errors import ConfigError
from keel.evaluation import DimerCurve, leaderboard_curve, leaderboard_means, leaderboard_metrics
from keel.evaluation.clusters import dimer_reference
from keel.evaluation.clusters.leaderboards import LEADERBOARDS, leaderboard_distances
from keel.potentials import ZBL, LennardJones

ARENA, MBD = LEADERBOARDS
DEEP = LennardJones(epsilon=1.0, sigma=2.0, cutoff=8.0)


# --- the distances and windows ---------------------------------------------------------------------------------------


def test_distances_of_mlip_arena():
    r = leaderboard_distances("Ar", "Ar", ARENA)
    lower, upper = 0.9 * covalent_radii[18], 3.1 * vdw_alvarez.vdw_radii[18]
    assert (r[0], r[-1]) == pytest.approx((lower, upper)) and len(r) == int((upper - lower) / 0.01)
    np.testing.assert_allclose(np.diff(r), (upper - lower) / (len(r) - 1))
    # Astatine has no van der Waals radius.
    assert leaderboard_distances(85, 85, ARENA)[-1] == 6.0


def test_distances_of_matbench_discovery():
    r = leaderboard_distances("O", "Si", MBD)
    assert len(r) == 119 and (r[0], r[-1]) == pytest.approx((0.1, 6.0))
    np.testing.assert_allclose(r[1:] / r[:-1], 60 ** (1 / 118))


def test_what_matbench_discovery_leaves_out():
    r = np.geomspace(0.1, 6.0, 119)
    energy, force = 1 / r, 1 / r**2
    assert leaderboard_metrics(DimerCurve((92, 92), r, energy, force), MBD)
    for absent in (84, 85, 88, 93):
        assert leaderboard_metrics(DimerCurve((absent, absent), r, energy, force), MBD) == {}
    # Not finite inside the window (0.9 * 1.06 to 5.67 for argon), or only outside.
    for place, kept in ((0.9, True), (1.0, False), (5.5, False), (5.8, True)):
        broken = energy.copy()
        broken[np.searchsorted(r, place)] = np.inf
        assert bool(leaderboard_metrics(DimerCurve((18, 18), r, broken, force), MBD)) == kept
    inside = np.array([1.0, 2.0, 3.0, 4.0])
    assert leaderboard_metrics(DimerCurve((18, 18), inside, inside, inside), MBD) == {}


def test_other_leaderboards_are_refused():
    for function in (lambda: leaderboard_distances(18, 18, "jarvis"), lambda: leaderboard_metrics(DUMMY, "jarvis")):
        with pytest.raises(ConfigError, match="mlip-arena or matbench-discovery"):
            function()


DUMMY = DimerCurve((18, 18), np.arange(1.0, 9.0), np.arange(8.0), np.zeros(8))


# --- by hand ---------------------------------------------------------------------------------------------------------


def test_lennard_jones_on_mlip_arena():
    curve = leaderboard_curve(DEEP, "Ar", "Ar", ARENA)
    found = leaderboard_metrics(curve, ARENA)
    e, f = curve.energy, curve.force
    assert found["tortuosity"] == pytest.approx(1.0)
    assert (found["force-flip-times"], found["energy-diff-flip-times"]) == (1, 1)
    assert found["energy-total-variation"] == pytest.approx(e[0] - 2 * e.min())
    # The force falls to its minimum and rises to the end: one turn, whose two steps are tiny.
    assert found["force-total-variation"] == pytest.approx(f[0] - 2 * f.min() + f[-1])
    assert 0 < found["force-jump"] < 0.01 and 0 < found["energy-jump"] < 0.02
    for name in ("spearman-repulsion-energy", "spearman-descending-force"):
        assert found[name] == pytest.approx(-1)
    for name in ("spearman-attraction-energy", "spearman-ascending-force"):
        assert found[name] == pytest.approx(1)
    # Central differences are off by h^2/6 of the third derivative, at the first point by h/2 of the second.
    h, x = curve.r[1] - curve.r[0], 2.0 / curve.r
    third = 4 * (12 * 13 * 14 * x**12 - 6 * 7 * 8 * x**6) / curve.r**3
    second = 4 * (12 * 13 * x**12 - 6 * 7 * x**6)[0] / curve.r[0] ** 2
    expected = h**2 / 6 * np.abs(third).mean() + h / 2 * second / len(x)
    assert found["conservation-deviation"] == pytest.approx(expected, rel=0.15)
    assert found["energy-grad-norm-max"] == pytest.approx(f[0] - h / 2 * second, rel=0.01)


def test_lennard_jones_on_matbench_discovery():
    curve = leaderboard_curve(DEEP, "Ar", "Ar", MBD)
    found = leaderboard_metrics(curve, MBD)
    window = (curve.r >= 0.9 * 1.06) & (curve.r <= 3.1 * 1.83)
    e, f = curve.energy[window], curve.force[window]
    assert list(found) == [
        "tortuosity",
        "energy_diff_flips",
        "energy_jump",
        "force_flips",
        "force_total_variation",
        "force_jump",
    ]
    assert found["tortuosity"] == pytest.approx(1.0)
    assert (found["energy_diff_flips"], found["force_flips"]) == (1, 1)
    assert found["force_total_variation"] == pytest.approx(f[0] - 2 * f.min() + f[-1])
    k = int(e.argmin())
    assert found["energy_jump"] == pytest.approx(e[k - 1] + e[k + 1] - 2 * e[k])
    k = int(f.argmin())
    assert found["force_jump"] == pytest.approx(f[k - 1] + f[k + 1] - 2 * f[k])


def test_pure_repulsion():
    """Beyond the cutoff all energies are zero: the outermost of these minima counts."""
    wall = ZBL()
    arena, mbd = (leaderboard_metrics(leaderboard_curve(wall, 18, 18, board), board) for board in LEADERBOARDS)
    assert (arena["tortuosity"], mbd["tortuosity"]) == pytest.approx((1.0, 1.0))
    assert arena["force-flip-times"] == arena["energy-jump"] == mbd["force_flips"] == mbd["energy_jump"] == 0
    assert math.isnan(arena["spearman-attraction-energy"])
    curve = leaderboard_curve(wall, 18, 18, ARENA)
    tied = np.corrcoef(rankdata(curve.r), rankdata(curve.energy))[0, 1]
    assert arena["spearman-repulsion-energy"] == pytest.approx(tied) and -1 < tied < -0.5


def test_means():
    rows = [{"a": 1.00004, "b": float("nan")}, {"a": 2.0, "b": float("nan")}, {}]
    assert leaderboard_means(rows, ARENA) == {"a": pytest.approx(1.50002, abs=1e-12)}
    assert leaderboard_means(rows, MBD) == {"a": 1.5}


def test_a_curve_that_is_not_finite_has_no_metrics_on_mlip_arena():
    curve = DimerCurve((8, 8), DUMMY.r, DUMMY.energy * np.nan, DUMMY.force)
    assert all(math.isnan(v) for v in leaderboard_metrics(curve, ARENA, DUMMY).values())


# --- recomputed ------------------------------------------------------------------------------------------------------


def turns(values, threshold):
    """Walk along the values; return how often they turn, and the sum of the two steps at each turn."""
    n, total, before = 0, 0.0, 0.0
    for a, b in itertools.pairwise(values):
        step = b - a
        if abs(step) < threshold or step == 0:
            continue
        if step * before < 0:
            n, total = n + 1, total + abs(step) + abs(before)
        before = step
    return n, total


def sign_changes(values, threshold):
    kept = [v > 0 for v in values if abs(v) >= threshold]
    return sum(a != b for a, b in itertools.pairwise(kept))


def rank_correlation(r, values):
    return np.corrcoef(rankdata(r), rankdata(values))[0, 1] if len(r) > 1 and np.ptp(values) else float("nan")


def on_arena(curve):
    """From far to near, as MLIP Arena walks."""
    r, e, f = curve.r[::-1], curve.energy[::-1] - curve.energy[-1], curve.force[::-1]
    rise = np.array(
        [(e[1] - e[0]) / (r[1] - r[0])]
        + [(e[k + 1] - e[k - 1]) / (r[k + 1] - r[k - 1]) for k in range(1, len(r) - 1)]
        + [(e[-1] - e[-2]) / (r[-1] - r[-2])]
    )
    low_e = min(range(len(e)), key=lambda k: e[k])
    low_f = min(range(len(f)), key=lambda k: f[k])
    variation = sum(abs(b - a) for a, b in itertools.pairwise(e))
    return {
        "force-flip-times": sign_changes(f, 0.01),
        "force-total-variation": sum(abs(b - a) for a, b in itertools.pairwise(f)),
        "force-jump": turns(f, 0.0)[1],
        "energy-diff-flip-times": turns(e, 0.001)[0],
        "energy-grad-norm-max": max(abs(rise)),
        "energy-jump": turns(e, 0.001)[1],
        "energy-total-variation": variation,
        "tortuosity": variation / (abs(e[0] - min(e)) + (e[-1] - min(e))),
        "conservation-deviation": sum(abs(f + rise)) / len(f),
        "spearman-descending-force": rank_correlation(r[low_f:], f[low_f:]),
        "spearman-ascending-force": rank_correlation(r[:low_f], f[:low_f]),
        "spearman-repulsion-energy": rank_correlation(r[low_e:], e[low_e:]),
        "spearman-attraction-energy": rank_correlation(r[:low_e], e[:low_e]),
    }


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 1e-3, 0.03]), st.booleans())
def test_rough_curves_are_judged_alike(seed, noise, flat):
    rng = np.random.default_rng(seed)
    curve = leaderboard_curve(LennardJones(2.0, 1.9, cutoff=4.0 if flat else 8.0), 14, 14, ARENA)
    wave = noise * rng.normal(size=(2, len(curve.r)))
    curve = DimerCurve((14, 14), curve.r, curve.energy + wave[0], curve.force + wave[1])
    found, expected = leaderboard_metrics(curve, ARENA), on_arena(curve)
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-9, abs=1e-9, nan_ok=True), name


# --- against a reference ---------------------------------------------------------------------------------------------


def parabola(r, stiffness, place, depth, number=1):
    """A well stiffness (r - place)^2 - depth."""
    return DimerCurve((number, number), r, stiffness * (r - place) ** 2 - depth, -2 * stiffness * (r - place))


PBE = parabola(np.linspace(0.5, 3.0, 51), 1.0, 1.5, 2.0)
PREDICTED = parabola(np.linspace(0.55, 3.05, 51), 1.2, 1.6, 1.7)


def test_errors_of_two_parabolas():
    assert dimer_reference.bond_length_error(PREDICTED, PBE) == pytest.approx(0.1)
    assert dimer_reference.well_depth_error(PREDICTED, PBE) == pytest.approx(1.2 * 1.45**2 - 1.5**2)
    # Half the mass of hydrogen; curvatures of 2 and 2.4 eV/angstrom^2.
    mass = 0.5 * 1.008 * constants.atomic_mass
    waves = [math.sqrt(k * constants.e * 1e20 / mass) / (200 * math.pi * constants.c) for k in (2.0, 2.4)]
    assert dimer_reference.vibration_error(PREDICTED, PBE) == pytest.approx(waves[1] - waves[0], rel=1e-6)
    # Inwards 1 eV above the minimum: 1.5 - 1 and 1.6 - 1/sqrt(1.2), the latter between samples.
    assert dimer_reference.wall_distance(PBE, 1.0) == pytest.approx(0.5)
    assert dimer_reference.wall_distance(PREDICTED, 1.0) == pytest.approx(1.6 - 1 / math.sqrt(1.2), abs=1e-3)
    grid = np.linspace(0.55, 3.0, 20001)
    difference = 1.2 * ((grid - 1.6) ** 2 - 1.4**2) - ((grid - 1.5) ** 2 - 1.5**2)
    assert dimer_reference.energy_mae(PREDICTED, PBE) == pytest.approx(np.abs(difference).mean(), rel=0.02)
    slopes = 2.4 * (grid - 1.6) - 2 * (grid - 1.5)
    assert dimer_reference.force_mae(PREDICTED, PBE) == pytest.approx(np.abs(slopes).mean() / 3, rel=0.02)
    own = PREDICTED.r
    splined = 1.2 * ((own - 1.6) ** 2 - 1.45**2) - ((own - 1.5) ** 2 - 1.5**2)
    assert dimer_reference.spline_energy_mae(PREDICTED, PBE) == pytest.approx(np.abs(splined).mean())
    slopes = 2.4 * (own - 1.6) - 2 * (own - 1.5)
    assert dimer_reference.spline_force_mae(PREDICTED, PBE) == pytest.approx(np.abs(slopes).mean())


def test_walls_that_are_not_reached():
    """1 eV is reached by both; 5 eV only by the reference, and counts in full; more by none."""
    r = np.linspace(0.5, 3.0, 251)
    high, low = parabola(r, 6.0, 1.5, 2.0), parabola(r, 2.0, 1.5, 2.0)
    expected = [math.sqrt(1 / 2) - math.sqrt(1 / 6), 1.5 - math.sqrt(5 / 6)]
    assert dimer_reference.wall_distance_mae(low, high) == pytest.approx(np.mean(expected), abs=1e-3)
    assert dimer_reference.wall_distance_mae(high, low) == pytest.approx(expected[0], abs=1e-3)
    assert math.isnan(dimer_reference.wall_distance_mae(high, parabola(r, 0.5, 1.5, 2.0)))


def test_references_without_well_or_too_rough():
    r = np.linspace(0.5, 6.0, 200)
    repulsive = DimerCurve((14, 14), r, 1 / r - 1 / 6, 1 / r**2)
    for error in (
        dimer_reference.bond_length_error,
        dimer_reference.well_depth_error,
        dimer_reference.vibration_error,
    ):
        assert math.isnan(error(PREDICTED, repulsive))
    rough = DimerCurve((14, 14), r, repulsive.energy + (-1.0) ** np.arange(200), repulsive.force)
    curve = leaderboard_curve(DEEP, 14, 14, MBD)
    assert dimer_reference.too_rough(rough) and not dimer_reference.too_rough(repulsive)
    assert leaderboard_metrics(curve, MBD, rough) == leaderboard_metrics(curve, MBD)
    assert len(leaderboard_metrics(curve, MBD, repulsive)) == 12


@pytest.mark.parametrize("leaderboard", LEADERBOARDS)
def test_a_reference_beside_itself(leaderboard):
    curve = leaderboard_curve(DEEP, 14, 14, leaderboard)
    errors = {k: v for k, v in leaderboard_metrics(curve, leaderboard, curve).items() if k.startswith("pbe")}
    assert len(errors) == (2 if leaderboard == ARENA else 6)
    assert max(errors.values()) == pytest.approx(0.0, abs=1e-8)
