"""Velocity Verlet and BAOAB against ASE, against theory, and against each other."""

import numpy as np
import pytest
import torch
from ase import units
from ase.md.verlet import VelocityVerlet

from keel.atoms.elements import MASSES
from keel.dynamics import ComputeSettings, Snapshot, simulate
from keel.dynamics.integrators import BOLTZMANN, maxwell_boltzmann
from keel.dynamics.noise import BLOCK, Noise, gaussian
from keel.errors import ConfigError
from keel.interfaces.ase import KeelCalculator
from keel.potentials import LennardJones
from simulated import Spring, argon, frame_of, molecule, of_steps

DOUBLE = ComputeSettings(precision="float64")


def test_nve_is_velocity_verlet_of_ase():
    frame, potential = argon(), LennardJones()
    settings = of_steps(100, 4.0, temperature=60, ensemble="nve", record_every=50)
    run = simulate(potential, [frame], settings, compute=DOUBLE)[0]
    atoms = frame.to_ase()
    atoms.calc = KeelCalculator(potential, dtype="float64")
    atoms.set_velocities(run.snapshots[0].velocities / units.fs)
    VelocityVerlet(atoms, 4.0 * units.fs).run(100)
    np.testing.assert_allclose(run.last.frame.positions, atoms.positions, atol=1e-10)
    np.testing.assert_allclose(run.last.velocities, atoms.get_velocities() * units.fs, atol=1e-12)
    assert run.last.frame.energy == pytest.approx(atoms.get_potential_energy(), abs=1e-10)
    assert run.last.kinetic_energy == pytest.approx(atoms.get_kinetic_energy(), abs=1e-10)
    assert run.last.temperature == pytest.approx(atoms.get_temperature(), abs=1e-8)


def test_nve_runs_backwards_to_where_it_came_from():
    settings = of_steps(80, 4.0, temperature=60, ensemble="nve")
    end = simulate(LennardJones(), [argon()], settings, compute=DOUBLE)[0].last
    turned = Snapshot(end.frame, -end.velocities, 0, 0.0)
    back = simulate(LennardJones(), [turned], settings, compute=DOUBLE)[0].last
    np.testing.assert_allclose(back.frame.positions, argon().positions, atol=1e-9)


def test_energy_error_falls_with_the_square_of_the_time_step():
    def error(timestep: float) -> float:
        settings = of_steps(
            round(800 / timestep), timestep, temperature=80, ensemble="nve", record_every=round(40 / timestep)
        )
        run = simulate(LennardJones(), [argon(rattle=0.1)], settings, compute=DOUBLE)[0]
        return float(np.std(run.total_energies))

    assert error(10.0) / error(5.0) == pytest.approx(4.0, rel=0.25)


def test_no_friction_is_nve():
    settings = of_steps(40, temperature=60, ensemble="nvt", friction_per_fs=0.0)
    langevin = simulate(LennardJones(), [argon()], settings, compute=DOUBLE)[0].last
    verlet = simulate(LennardJones(), [argon()], settings.replace(ensemble="nve"), compute=DOUBLE)[0].last
    np.testing.assert_allclose(langevin.frame.positions, verlet.frame.positions, atol=1e-12)


def test_langevin_samples_the_canonical_ensemble_of_a_dimer():
    """<E_kin> = 3kT for two atoms, its variance 3 (kT)^2, <phi> from the radial integral; within 3 standard errors."""
    temperature, potential = 300.0, Spring(stiffness=5.0)
    start = molecule([[0, 0, 0], [2.0, 0, 0]], [18, 18])
    settings = of_steps(
        1000, 4.0, temperature=temperature, friction_per_fs=0.02, record_every=10, max_atoms=10_000, seed=1, skin=4.0
    )
    runs = simulate(potential, [start] * 150, settings, criteria=(), compute=DOUBLE)
    late = [run.snapshots[20:] for run in runs]
    kinetic = np.array([[s.kinetic_energy for s in run] for run in late])
    stretch = np.array([[s.frame.energy for s in run] for run in late])
    kt = BOLTZMANN * temperature
    r = np.linspace(1.0, 2.999, 4000)
    weight = r**2 * np.exp(-0.5 * 5.0 * (r - 2.0) ** 2 / kt)
    expected = (weight * 0.5 * 5.0 * (r - 2.0) ** 2).sum() / weight.sum()
    assert within_three_errors(kinetic.mean(axis=1), 3.0 * kt)
    assert within_three_errors(((kinetic - 3.0 * kt) ** 2).mean(axis=1), 3.0 * kt**2)
    assert within_three_errors(stretch.mean(axis=1), expected)


def test_harmonic_crystal_has_half_kt_in_every_mode():
    """U = (3N - 3) kT/2 above the minimum, where the three translations cost nothing."""
    temperature, a = 20.0, 4.0
    frame = argon(rattle=0.0, a=a)
    spring = Spring(stiffness=3.0, length=a / np.sqrt(2), cutoff=3.4)
    settings = of_steps(
        1500, 5.0, temperature=temperature, friction_per_fs=0.02, record_every=10, max_atoms=10_000, seed=2
    )
    runs = simulate(spring, [frame] * 12, settings, criteria=(), compute=DOUBLE)
    energies = np.array([[s.frame.energy for s in run.snapshots[40:]] for run in runs]).mean(axis=1)
    assert within_three_errors(energies, (3 * len(frame) - 3) / 2 * BOLTZMANN * temperature)


def within_three_errors(samples: np.ndarray, expected: float) -> bool:
    """Whether the mean of independent samples agrees with theory."""
    error = samples.std(ddof=1) / np.sqrt(len(samples))
    return bool(abs(samples.mean() - expected) < 3.0 * error) and error < 0.1 * expected


def test_velocities_have_no_momentum_and_a_canonical_spread():
    masses = MASSES[np.array([8, 8, 14, 1])]
    drawn = np.stack([maxwell_boltzmann(masses, 500.0, seed=3, run=run) for run in range(4000)])
    np.testing.assert_allclose((masses[:, None] * drawn).sum(axis=1), 0.0, atol=1e-12)
    kinetic = 0.5 * (masses[:, None] * drawn**2).sum(axis=(1, 2)) / (units.fs**2)
    freedom = 3 * len(masses) - 3
    kt = BOLTZMANN * 500.0
    assert within_three_errors(kinetic, freedom / 2 * kt)
    assert within_three_errors((kinetic - freedom / 2 * kt) ** 2, freedom / 2 * kt**2)


def test_noise_is_a_pure_function_of_seed_run_and_step():
    device = torch.device("cpu")
    steps = [0, 1, BLOCK - 1, BLOCK, 5 * BLOCK + 3]
    together = Noise(7, [0, 3, 9], [(2, 3), (4, 3), (1, 3)], device)
    forward = {step: together.at(step).clone() for step in steps}
    for step in reversed(steps):
        torch.testing.assert_close(together.at(step), forward[step], rtol=0, atol=0)
        alone = Noise(7, [3], [(4, 3)], device).at(step)
        torch.testing.assert_close(forward[step][2:6], alone, rtol=0, atol=0)
    together.keep([2])
    torch.testing.assert_close(together.at(1), forward[1][6:], rtol=0, atol=0)


def test_seed_run_and_purpose_give_different_numbers():
    drawn = [
        gaussian(*key, 0, (50,)) for key in [(0, 0, "noise"), (0, 1, "noise"), (1, 0, "noise"), (0, 0, "velocities")]
    ]
    correlations = np.corrcoef(drawn) - np.eye(4)
    assert np.abs(correlations).max() < 0.5
    with pytest.raises(ConfigError, match="zero or positive"):
        gaussian(-1, 0, "noise", 0, (3,))


def test_one_atom_rests_without_momentum_and_diffuses_in_a_bath():
    atom = molecule([[0, 0, 0]], [18])
    settings = of_steps(5, temperature=300)
    still = simulate(LennardJones(), [atom], settings.replace(ensemble="nve"), compute=DOUBLE)[0]
    assert still.survived and np.abs(still.last.frame.positions).max() < 1e-12
    moved = simulate(LennardJones(), [atom], settings, compute=DOUBLE)[0]
    assert moved.survived and np.abs(moved.last.frame.positions).max() > 0


def test_masses_enter():
    """A heavy atom beside a light one moves the less, in the ratio of the masses."""
    from ase import Atoms

    pair = frame_of(Atoms("ArHe", positions=[[0, 0, 0], [1.9, 0, 0]]))
    still = Snapshot(pair, np.zeros((2, 3)), 0, 0.0)
    (end,) = simulate(Spring(), [still], of_steps(1, temperature=1, ensemble="nve"), criteria=(), compute=DOUBLE)
    moved = end.last.frame.positions - pair.positions
    assert moved[0, 0] / moved[1, 0] == pytest.approx(-MASSES[2] / MASSES[18], rel=1e-9)
