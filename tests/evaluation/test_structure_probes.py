"""Probes of recorded trajectories where the answer is known: crystals, gases, random walks, Lennard-Jones."""

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk
from ase.build import molecule as molecule_of

import keel
import keel.testing.transformations
from keel.atoms.frame import Frame
from keel.atoms.units import GPA
from keel.dynamics import ComputeSettings, MDSettings, Snapshot, Trajectory, simulate
from keel.dynamics.integrators import BOLTZMANN
from keel.errors import ConfigError, DataError
from keel.evaluation import bond_angles, density, diffusion, pair_structure
from keel.evaluation.structure.angles import (
    angle_distribution,
    angles,
    bond_matrix,
    first_minimum,
    pairs_of_a_kind,
    usual_bonds,
)
from keel.evaluation.structure.density import GRAMS_PER_CM3, reference_volumes
from keel.evaluation.structure.diffusion import mean_squared_displacement, unwrapped
from simulated import IdealGas, argon, frame_of, molecule, of_steps

LJ = keel.LennardJones(cutoff=8.5)


def trajectory(frames: list[Frame], interval: float = 10.0, run: int = 0) -> Trajectory:
    snapshots = tuple(Snapshot(f, np.zeros((len(f), 3)), k, interval * k) for k, f in enumerate(frames))
    last = snapshots[-1]
    return Trajectory(run, snapshots, last, (last,), None, last.time, None, 1.0, 300.0)


def vibrating(atoms, count: int, seed: int = 0, width: float = 0.08) -> list[Frame]:
    """An Einstein crystal: every atom normally distributed around its site."""
    frame, rng = frame_of(atoms), np.random.default_rng(seed)
    return [frame.replace(positions=frame.positions + rng.normal(0, width, (len(frame), 3))) for _ in range(count)]


def silicon(structure: str = "diamond", a: float = 5.43):
    return bulk("Si", structure, a=a, cubic=True)


COMPARING = (pair_structure, bond_angles)


# --- like and unlike ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("probe", COMPARING)
@pytest.mark.parametrize("crystal", [silicon(), bulk("NaCl", "rocksalt", a=5.64, cubic=True)], ids=["Si", "NaCl"])
def test_the_same_crystal_passes_and_a_hotter_one_fails(probe, crystal):
    reference = vibrating(crystal, 60)
    same = probe([trajectory(vibrating(crystal, 30, seed=1))], reference)
    assert same.outcome == "passed", same.verdict
    hot = probe([trajectory(vibrating(crystal, 30, seed=1, width=0.25))], reference)
    assert hot.outcome == "failed" and "error" in hot.verdict


@pytest.mark.parametrize("probe", COMPARING)
def test_another_structure_fails(probe):
    """Diamond against simple cubic silicon of the same nearest distance."""
    cubic = silicon("sc", 5.43 * 3**0.5 / 4).repeat(2)
    result = probe([trajectory(vibrating(cubic, 30))], vibrating(silicon(), 60))
    assert result.outcome == "failed", result.verdict


@pytest.mark.parametrize("probe", COMPARING)
def test_a_gas_is_no_crystal(probe):
    frame, rng = frame_of(silicon()), np.random.default_rng(0)
    gas = [frame.replace(positions=rng.random((len(frame), 3)) @ frame.cell) for _ in range(40)]
    assert probe([trajectory(gas)], vibrating(silicon(), 60)).outcome == "failed"


def test_molecular_dynamics_against_itself_and_its_melt():
    """Solid argon at 30 K is itself with other velocities; at 1000 K it is not."""
    settings = of_steps(800, 4.0, temperature=30.0, friction_per_fs=0.02, record_every=10)
    start = [argon(2, rattle=0.1)]
    reference, cold = (simulate(LJ, start, settings.replace(seed=seed), criteria=()) for seed in (0, 1))
    hot = simulate(LJ, start, settings.replace(temperature=1000.0), criteria=())
    for probe in COMPARING:
        assert probe(cold, reference[0].frames[16:]).outcome == "passed", probe.__name__
        assert probe(hot, reference[0].frames[16:]).outcome == "failed", probe.__name__


@pytest.mark.parametrize("probe", COMPARING)
def test_a_reference_too_small_to_know_its_noise_gives_no_verdict(probe):
    result = probe([trajectory(vibrating(silicon(), 20))], vibrating(silicon(), 1))
    assert result.outcome == "noted" and "too few frames" in result.verdict


@pytest.mark.parametrize("frames", [4, 40])
@pytest.mark.parametrize(("probe", "kind"), [(pair_structure, "Si-Si"), (bond_angles, "Si-Si-Si")])
def test_noise_is_what_is_expected(probe, kind, frames):
    """Whether the simulation is as long as the reference or a tenth: error over noise is 1, within its own error."""
    errors, noises = [], []
    for seed in range(40):
        runs = [trajectory(vibrating(silicon(), frames, seed=seed))]
        result = probe(runs, vibrating(silicon(), 40, seed=100 + seed), discard=0.0)
        errors.append(result[f"{kind} error"])
        noises.append(result[f"{kind} expected noise"])
    spread = np.hypot(*(np.std(x, ddof=1) / np.mean(x) for x in (errors, noises))) / np.sqrt(len(errors))
    assert spread < 0.1
    assert np.mean(errors) / np.mean(noises) == pytest.approx(1.0, abs=3 * spread)


@pytest.mark.parametrize(("frames", "expected"), [(2, 20), (20, 20), (6, 60)])
@pytest.mark.parametrize("probe", COMPARING)
def test_noise_alone_rarely_fails(probe, frames, expected):
    """Also of runs far shorter than the reference; at most one in thirty, where a limit of noise alone is crossed."""
    failed = 0
    for seed in range(30):
        runs = [trajectory(vibrating(silicon(), frames, seed=seed))]
        result = probe(runs, vibrating(silicon(), expected, seed=100 + seed), discard=0.0)
        failed += result.outcome == "failed"
    assert failed <= 1


@pytest.mark.parametrize("probe", COMPARING)
def test_a_run_that_changes_on_its_way_does_not_excuse_itself(probe):
    cubic = silicon("sc", 5.43 * 3**0.5 / 4).repeat((2, 2, 2))
    changed = [*vibrating(silicon(), 20), *vibrating(cubic, 20)]
    result = probe([trajectory(changed)], vibrating(silicon(), 60), discard=0.0)
    assert result.outcome == "failed", result.verdict


@pytest.mark.parametrize("probe", COMPARING)
def test_several_structures_are_compared_like_with_like(probe):
    """Only one of two structures is simulated; with the average of both it has nothing to do."""
    diamond, cubic = silicon(), silicon("sc", 2.5).repeat(2)
    for atoms, name in ((diamond, "diamond"), (cubic, "cubic")):
        atoms.info["phase"] = name
    reference = [
        f.replace(info=atoms.info) for k, atoms in enumerate((diamond, cubic)) for f in vibrating(atoms, 60, seed=k)
    ]
    runs = [trajectory([f.replace(info=diamond.info) for f in vibrating(diamond, 30, seed=5)])]
    assert probe(runs, reference, by="phase").outcome == "passed"
    mixed = probe(runs, reference)
    assert mixed.metrics[0].value > 2 * probe(runs, reference, by="phase").metrics[0].value
    with pytest.raises(DataError, match="no reference frame for phase diamond"):
        probe(runs, reference[60:], by="phase")


@pytest.mark.parametrize("probe", COMPARING)
def test_the_beginning_of_a_run_is_left_out(probe):
    melted = vibrating(silicon(), 10, width=0.6)
    run = trajectory(melted + vibrating(silicon(), 40, seed=1))
    reference = vibrating(silicon(), 60, seed=2)
    assert probe([run], reference, discard=0.2).metrics[0].value < probe([run], reference, discard=0.0).metrics[0].value


@pytest.mark.parametrize("probe", COMPARING)
def test_mistakes_are_named(probe):
    frames = vibrating(silicon(), 4)
    run = trajectory(frames)
    with pytest.raises(DataError, match="at least one"):
        probe([], frames)
    with pytest.raises(DataError, match="no reference frame"):
        probe([run], [])
    with pytest.raises(DataError, match="record_every"):
        probe([replace(run, snapshots=())], frames)
    with pytest.raises(DataError, match="holds Si, but its reference Ge"):
        probe([run], [f.replace(numbers=np.full(len(f), 32)) for f in frames])
    with pytest.raises(DataError, match="not finite"):
        probe([trajectory([f.replace(positions=f.positions * np.nan) for f in frames])], frames)
    with pytest.raises(ConfigError, match="discard"):
        probe([run], frames, discard=1.0)
    with pytest.raises(ConfigError, match="bin"):
        probe([run], frames, n_bins=0)


def test_halves_of_real_data_agree_and_frameworks_differ(data_dir):
    frames = list(keel.read(data_dir / "silica" / "zeolites-pbe-d3.extxyz"))
    edi, dft = ([f for f in frames if f.info["topology"] == name] for name in ("edi", "dft"))
    for probe in COMPARING:
        same = probe([trajectory(edi[:100]), trajectory(dft[:100], run=1)], edi[100:] + dft[100:], by="topology")
        assert same.outcome == "passed", same.verdict
        assert probe([trajectory(edi)], dft).outcome == "failed"


# --- by hand --------------------------------------------------------------------------------------------------------


def test_errors_of_pairs_stand_beside_curves_and_noise():
    result = pair_structure([trajectory(vibrating(silicon(), 40))], vibrating(silicon(), 40, seed=1))
    assert [m.name for m in result.metrics][:2] == ["Si-Si error", "Si-Si error (Fu et al.)"]
    assert result["Si-Si error (Fu et al.)"] > 0 and result["Si-Si expected noise"] > 0
    simulated, reference = result.curves
    assert simulated.x.shape == reference.y.shape == (120,)
    assert (reference.low <= reference.y + 1e-12).all() and (reference.y <= reference.high + 1e-12).all()


@pytest.mark.parametrize(
    ("atoms", "bond", "expected"),
    [
        (silicon(), 2.6, {109.4712: 6}),
        (bulk("Po", "sc", a=3.35), 3.5, {90.0: 12, 180.0: 3}),
        (bulk("Ar", "fcc", a=5.26), 4.0, {60.0: 24, 90.0: 12, 120.0: 24, 180.0: 6}),
    ],
    ids=["tetrahedra", "octahedra", "cuboctahedra"],
)
def test_angles_of_crystals(atoms, bond, expected):
    """As many per atom as geometry says, also where the neighbours are images of the atom itself."""
    element = atoms[0].symbol
    found, _ = angles(frame_of(atoms), bond_matrix({f"{element}-{element}": bond}))
    assert len(found) == len(atoms) * sum(expected.values())
    for angle, count in expected.items():
        assert np.isclose(found, angle, atol=1e-3).sum() == count * len(atoms)


def test_angles_of_molecules_by_their_elements():
    water = frame_of(molecule_of("H2O"))
    p = angle_distribution([water], usual_bonds([water]), 180)
    assert list(p) == ["H-O-H"]
    assert abs(int(np.argmax(p["H-O-H"])) + 0.5 - molecule_of("H2O").get_angle(1, 0, 2)) <= 0.5
    assert p["H-O-H"].sum() == pytest.approx(1.0)
    mixed = angle_distribution([frame_of(molecule_of("CH3OH"))], usual_bonds([frame_of(molecule_of("CH3OH"))]), 180)
    assert {k: round(v.sum() * 7) for k, v in mixed.items()} == {"H-C-H": 3, "H-C-O": 3, "H-O-C": 1}


def test_directions_of_a_gas_are_uniform():
    """p(theta) = sin(theta) / 2 for neighbours that do not see each other."""
    rng, cell = np.random.default_rng(0), np.diag([12.0, 13.0, 14.0])
    gas = [Frame(np.full(300, 18), rng.random((300, 3)) @ cell, cell, np.ones(3, bool)) for _ in range(6)]
    p = angle_distribution(gas, bond_matrix({"Ar-Ar": 3.0}), 18)["Ar-Ar-Ar"]
    edges = np.radians(np.linspace(0, 180, 19))
    np.testing.assert_allclose(10 * p, -0.5 * np.diff(np.cos(edges)), atol=0.004)


def test_every_two_of_a_kind():
    first, second = pairs_of_a_kind(np.array([0, 0, 0, 2, 3, 3]))
    assert list(zip(first, second, strict=True)) == [(0, 1), (0, 2), (1, 2), (4, 5)]


def test_bonds_of_a_noble_gas_are_the_first_shell():
    """Between 3.72 and 5.26 angstrom, in the middle of the gap; a gas has no shells."""
    longest = usual_bonds(vibrating(bulk("Ar", "fcc", a=5.26, cubic=True), 20))
    assert longest[18, 18] == pytest.approx(4.49, abs=0.15)
    r = np.linspace(0.05, 9.95, 100)
    with pytest.raises(DataError, match="give bonds"):
        first_minimum(r, np.where(r > 3, 1.1, 0.0))
    with pytest.raises(DataError, match="'O' is not a pair of elements"):
        bond_angles([trajectory([argon()])], [argon()], bonds={"O": 2.0})


def test_new_kinds_of_angles_count():
    """Oxygen molecules in the simulation of water are seen, though the reference has no such angle."""
    water = frame_of(molecule_of("H2O"))
    ozone = frame_of(molecule_of("O3")).positions + 30.0
    apart = [[30.0, 0, 0], [0, 30, 0], [0, 0, 30]]
    sound, broken = (
        Frame(np.append(water.numbers, [8, 8, 8]), np.concatenate([water.positions, rest])) for rest in (apart, ozone)
    )
    result = bond_angles([trajectory([broken] * 4)], [sound] * 8)
    assert result["H-O-H error"] == pytest.approx(0.0)
    assert result.outcome == "failed" and result["all angles error"] == pytest.approx(0.5)


def test_frames_with_rare_angles_do_not_differ_from_themselves():
    """An angle that few blocks of the reference have is rare in all of it."""
    water, ozone = frame_of(molecule_of("H2O")), frame_of(molecule_of("O3"))
    far = ozone.positions + 30.0, np.array([[30.0, 0, 0], [0, 30, 0], [0, 0, 30]])
    numbers = np.append(water.numbers, [8, 8, 8])
    frames = [Frame(numbers, np.concatenate([water.positions, far[k % 10 > 0]])) for k in range(40)]
    result = bond_angles([trajectory(frames)], frames, discard=0.0)
    assert result["all angles error"] == pytest.approx(0.0, abs=1e-9)


def test_what_does_not_apply_is_skipped():
    drop = molecule([[0, 0, 0], [3.7, 0, 0]], [18, 18])
    assert "periodic" in pair_structure([trajectory([drop] * 3)], [drop] * 3).verdict
    pair = molecule([[0, 0, 0], [1.1, 0, 0]], [7, 7])
    assert "two bonds" in bond_angles([trajectory([pair] * 3)], [pair] * 3, bonds={"N-N": 1.5}).verdict


# --- diffusion ------------------------------------------------------------------------------------------------------


def walk(steps: int, atoms: int, d: float, interval: float, seed: int, numbers=None) -> Trajectory:
    """Brownian motion with diffusion coefficient d in angstrom^2/fs, seen from a drifting train."""
    rng = np.random.default_rng(seed)
    path = rng.normal(0, np.sqrt(2 * d * interval), (steps, atoms, 3)).cumsum(axis=0)
    path += 0.1 * np.arange(steps)[:, None, None]
    numbers = np.full(atoms, 18) if numbers is None else numbers
    return trajectory([Frame(numbers, x, 20 * np.eye(3), np.ones(3, bool)) for x in path], interval, run=seed)


def test_displacements_are_those_of_the_definition():
    r = np.random.default_rng(0).normal(size=(23, 4, 3)).cumsum(axis=0) + 50.0
    slow = [np.square(r[m:] - r[: len(r) - m]).sum(axis=2).mean(axis=0) for m in range(len(r))]
    np.testing.assert_allclose(mean_squared_displacement(r), slow, atol=1e-9)


def test_brownian_motion_has_its_diffusion_coefficient():
    d, atoms = 2e-4, 32
    result = diffusion([walk(400, atoms, d, 5.0, seed) for seed in range(8)], discard=0.0)
    assert result.outcome == "noted"
    error = result["D of Ar +-"]
    assert error < 0.1 * d
    # The centre of mass, which is taken off, walks too: a share 1/N.
    assert result["D of Ar"] == pytest.approx(d * (1 - 1 / atoms), abs=3 * error)
    assert result["exponent of Ar"] == pytest.approx(1.0, abs=0.1)
    assert "cm^2/s" in result.curves[0].name


def test_liquid_argon_diffuses_as_rahman_found():
    """2.43e-5 cm^2/s at 94.4 K and 1.374 g/cm^3 (Phys. Rev. 136, A405 (1964)), whose box was twice as long as ours."""
    starts = [argon(3, a=5.780, seed=seed) for seed in range(3)]
    for temperature, steps in ((300.0, 200), (94.4, 300)):
        melting = of_steps(steps, 5.0, temperature=temperature, friction_per_fs=0.02)
        runs = simulate(LJ, starts, melting, criteria=())
        starts = [run.last.frame for run in runs]
    settings = of_steps(1200, 5.0, temperature=94.4, friction_per_fs=1e-4, record_every=10)
    result = diffusion(simulate(LJ, starts, settings, criteria=()))
    assert result["D of Ar"] == pytest.approx(2.43e-4, rel=0.25)
    assert result["D of Ar +-"] < 0.2 * result["D of Ar"]
    assert 0.7 < result["exponent of Ar"] < 1.2


def test_elements_are_told_apart_and_a_single_run_has_an_error():
    slow, fast = walk(800, 24, 1e-4, 5.0, 0), walk(800, 24, 1e-3, 5.0, 1)
    numbers = np.array([6] * 24 + [7] * 24)
    both = [
        a.replace(numbers=numbers, positions=np.concatenate([a.positions, b.positions]))
        for a, b in zip(slow.frames, fast.frames, strict=True)
    ]
    result = diffusion([trajectory(both, 5.0)])
    for element, expected in (("C", 1e-4), ("N", 1e-3)):
        assert 0 < result[f"D of {element} +-"] < 0.5 * expected
        assert result[f"D of {element}"] == pytest.approx(expected, rel=0.5)


def test_free_flight_and_bound_atoms():
    """v^2 t^2, whose exponent is 2; and the plateau 6 <u^2> of atoms at their sites, which do not diffuse."""
    velocity, times = 0.01, 2.0 * np.arange(200)
    ends = np.array([[1.0, 0, 0], [-1.0, 0, 0]]) * velocity
    flight = trajectory([molecule((ends * t).tolist(), [18, 18]) for t in times], 2.0)
    result = diffusion([flight], discard=0.0)
    assert result["exponent of Ar"] == pytest.approx(2.0, abs=1e-6)
    np.testing.assert_allclose(result.curves[0].y, (velocity * result.curves[0].x) ** 2, atol=1e-9)
    bound = diffusion([trajectory(vibrating(silicon().repeat(2), 200, width=0.1), 5.0)])
    assert bound.curves[0].y[1:].mean() == pytest.approx(6 * 0.1**2, rel=0.03)
    assert abs(bound["D of Si"]) < 1e-6 and abs(bound["exponent of Si"]) < 0.05


def test_a_barostat_that_rescales_moves_no_atom():
    frame = frame_of(silicon())
    breathing = [s * np.ones(3) for s in 1 + 0.1 * np.sin(np.arange(60))]
    frames = [frame.replace(positions=(frame.positions + 40) * s, cell=frame.cell * s) for s in breathing]
    assert np.abs(diffusion([trajectory(frames)]).curves[0].y).max() < 1e-9


def test_judged_by_a_reference_trajectory_wrapped_or_not():
    def wrapped(run: Trajectory) -> list[Frame]:
        return [f.replace(positions=f.positions % 20.0) for f in run.frames]

    runs, reference = [walk(300, 40, 2e-4, 5.0, seed) for seed in range(4)], walk(600, 40, 2e-4, 5.0, 9)
    steps = [
        np.diff([f.positions for f in frames], axis=0) for frames in (unwrapped(wrapped(reference)), reference.frames)
    ]
    np.testing.assert_allclose(steps[0], steps[1], atol=1e-9)
    same = diffusion(runs, reference=wrapped(reference), reference_interval_fs=5.0)
    assert same.outcome == "passed", same.verdict
    for factor in (0.05, 5.0):
        other = [walk(300, 40, factor * 2e-4, 5.0, seed) for seed in range(4)]
        result = diffusion(other, reference=wrapped(reference), reference_interval_fs=5.0)
        assert result.outcome == "failed" and "D of Ar" in result.verdict
    with pytest.raises(ConfigError, match="reference_interval"):
        diffusion(runs, reference=reference.frames)
    with pytest.raises(DataError, match="not of the same atoms"):
        diffusion(runs, reference=[*reference.frames, argon()], reference_interval_fs=5.0)


def test_short_and_uneven_runs():
    short = diffusion([walk(10, 4, 1e-4, 5.0, 0)])
    assert short.outcome == "skipped" and "20 recorded frames" in short.verdict
    assert diffusion([walk(10, 4, 1e-4, 5.0, 0), walk(60, 4, 1e-4, 5.0, 1)])["runs too short"] == 1
    run = walk(60, 4, 1e-4, 5.0, 0)
    with pytest.raises(DataError, match="even intervals"):
        diffusion([replace(run, snapshots=(*run.snapshots[:40], *run.snapshots[42:]))])
    with pytest.raises(ConfigError, match="window"):
        diffusion([run], window=(0.5, 0.5))


# --- density --------------------------------------------------------------------------------------------------------

NPT = MDSettings(
    temperature=3.0,
    length_fs=40.0,
    pressure_time_fs=100.0,
    compressibility=0.3,
    timestep_fs=4.0,
    friction_per_fs=0.02,
)


def test_density_of_an_ideal_gas():
    """V = (N + 1) kT / P, within the error that the probe gives."""
    n, pressure, temperature = 6, 0.5, 300.0
    unit = BOLTZMANN * temperature / (pressure * GPA)
    rng, a = np.random.default_rng(0), ((n + 1) * unit) ** (1 / 3)
    starts = [Frame(np.full(n, 18), rng.random((n, 3)) * a, np.eye(3) * a, np.ones(3, bool)) for _ in range(32)]
    settings = NPT.replace(
        temperature=temperature, pressure=pressure, length_fs=4000.0, pressure_time_fs=50.0, compressibility=2.0,
        timestep_fs=2.0, max_atoms=10_000, skin=4.0,
    )  # fmt: skip
    result = density(IdealGas(), starts, settings, criteria=(), compute=ComputeSettings(precision="float64"))
    expected = (n + 1) * unit / n
    assert result["volume +-"] < 0.06 * expected
    assert result["volume"] == pytest.approx(expected, abs=3 * result["volume +-"])
    mass = 39.948 * GRAMS_PER_CM3
    assert result["density"] == pytest.approx(mass / result["volume"], rel=0.15)  # <1/V> is not 1/<V>


@pytest.fixture(scope="module")
def at_rest() -> float:
    """Lattice constant of argon where its static energy is least, in angstrom."""
    lattice = np.linspace(5.0, 5.5, 51)
    energies = [keel.testing.transformations.predict(LJ, [argon(1, rattle=0.0, a=a)]).energy.item() for a in lattice]
    low = int(np.argmin(energies))
    b, c = np.polyfit(lattice[low - 2 : low + 3] - lattice[low], energies[low - 2 : low + 3], 2)[:2]
    return float(lattice[low] - c / (2 * b))


def test_cold_argon_has_the_volume_of_least_energy(at_rest):
    """At 3 K thermal expansion is 0.3 %; a run that starts 4 % too large in length finds it again."""
    frames = [argon(2, rattle=0.01, a=a) for a in (at_rest, 1.02 * at_rest)]
    reference = [argon(1, rattle=0.0, a=a * at_rest) for a in (0.999, 1.001)]
    result = density(LJ, frames, NPT.replace(length_fs=4000.0), reference=reference, discard=0.5)
    assert result.outcome == "passed", result.verdict
    assert result["volume"] == pytest.approx(at_rest**3 / 4, rel=0.008)
    assert abs(result["volume from the reference's"]) < 0.8
    assert result.curves[1].y[0] == pytest.approx((1.02 * at_rest) ** 3 / 4)


def test_another_volume_and_a_failed_run_fail(at_rest):
    large = [argon(2, rattle=0.01, a=1.1 * at_rest)]
    result = density(LJ, large, NPT.replace(length_fs=3000.0), discard=0.5)
    assert result.outcome == "failed" and "volume from the start's" in result.verdict
    squeezed = [argon(2, rattle=0.0, a=0.4 * at_rest)]
    result = density(LJ, squeezed, NPT.replace(length_fs=100.0))
    assert result.outcome == "failed" and "runs that failed 1" in result.verdict


def test_a_reference_of_constant_volume_is_not_compared_with():
    """Also where it holds several structures one after the other, each in its cell."""
    held = [argon(1, rattle=0.1, seed=k, a=5.0 if k < 5 else 5.3) for k in range(10)]
    runs = [frame.replace(info={"run": k // 5}) for k, frame in enumerate(held)]
    in_turn = [frame for pair in zip(runs[:5], runs[5:], strict=True) for frame in pair]
    for reference in (held[:1], held[:5], held, in_turn):
        result = density(LJ, [argon(2)], NPT, reference=reference)
        assert "constant volume" in result.verdict and abs(result["volume from the start's"]) < 5.0
    moving = [argon(1, a=4.4 + 0.01 * k) for k in range(10)]
    found = density(LJ, [argon(2)], NPT, reference=moving)
    assert found.outcome == "failed" and found["volume from the reference's"] > 10.0


def test_each_structure_has_its_reference_volume():
    def of(name, sizes):
        return [argon(1, rattle=0.0, a=a).replace(info={"phase": name}) for a in sizes]

    reference = [*of("wide", (5.4, 5.5, 5.6)), *of("dense", (5.0, 5.1))]
    starts = [*of("dense", [5.2]), *of("wide", [5.2]), *of("dense", [5.3])]
    wide, dense = (np.mean(np.array(sizes) ** 3) / 4 for sizes in ((5.4, 5.5, 5.6), (5.0, 5.1)))
    assert reference_volumes(starts, reference, "phase") == pytest.approx([dense, wide, dense])
    with pytest.raises(DataError, match="no reference frame for phase wide"):
        reference_volumes(starts, of("dense", (5.0, 5.1)), "phase")
    assert reference_volumes(starts, [*of("wide", (5.4, 5.5)), *of("dense", (5.0, 5.0))], "phase") is None


def test_mistakes_of_density_are_named():
    with pytest.raises(ConfigError, match="length"):
        density(LJ, [argon()], NPT.replace(length_fs=0.0))
    with pytest.raises(ConfigError, match="discard"):
        density(LJ, [argon()], NPT, discard=-0.1)
    with pytest.raises(DataError, match="three directions"):
        density(LJ, [molecule([[0, 0, 0]], [18])], NPT)
    with pytest.raises(DataError, match="no reference frame"):
        density(LJ, [argon(1)], NPT, reference=[])
