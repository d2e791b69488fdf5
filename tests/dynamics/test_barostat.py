"""Constant pressure: the canonical distribution of the volume, and what a run under pressure leaves behind."""

import numpy as np
import pytest
import torch

import keel
from keel.atoms.units import GPA
from keel.dynamics import ComputeSettings, simulate
from keel.dynamics.barostat import internal_pressure, new_volume
from keel.dynamics.integrators import BOLTZMANN
from keel.errors import ConfigError, DataError
from keel.potentials import LennardJones
from simulated import IdealGas, argon, molecule, of_steps

TEMPERATURE, PRESSURE = 300.0, 0.5  # K, GPa


def squeezed(starts, steps, *, potential=None, runs=None, precision="float32", **options):
    settings = of_steps(steps, 2.0, **{"temperature": TEMPERATURE, "ensemble": "npt", "max_atoms": 10_000, **options})
    potential, compute = potential or LennardJones(cutoff=6.0), ComputeSettings(precision=precision)
    return simulate(potential, starts, settings, criteria=(), runs=runs, compute=compute)


def volumes(trajectory, skip=0):
    return np.array([abs(np.linalg.det(f.cell)) for f in trajectory.frames[skip:]])


def test_the_volume_of_an_ideal_gas_has_its_canonical_distribution():
    """p(V) ~ V^N exp(-P V / kT): mean (N + 1) kT / P, variance (N + 1) (kT / P)^2."""
    n, runs = 6, 48
    unit = BOLTZMANN * TEMPERATURE / (PRESSURE * GPA)
    a = (n * unit) ** (1 / 3)
    rng = np.random.default_rng(0)
    starts = [keel.Frame(np.full(n, 18), rng.random((n, 3)) * a, np.eye(3) * a, np.ones(3, bool)) for _ in range(runs)]
    options = {"friction_per_fs": 0.02, "pressure_time_fs": 50.0, "compressibility": 1.0 / PRESSURE, "record_every": 25}
    options["skin"] = 4.0  # atoms that do not see each other need no new lists of neighbours
    results = squeezed(starts, 3000, potential=IdealGas(), pressure=PRESSURE, precision="float64", **options)
    found = np.array([volumes(t, skip=20) for t in results]) / unit
    means = found.mean(axis=1)
    error = means.std(ddof=1) / np.sqrt(runs)
    assert error < 0.2
    assert means.mean() == pytest.approx(n + 1, abs=3 * error)
    spread = ((found - (n + 1)) ** 2).mean(axis=1)
    assert spread.mean() == pytest.approx(n + 1, abs=3 * spread.std(ddof=1) / np.sqrt(runs))


def test_without_noise_the_volume_relaxes_at_the_rate_asked_for():
    """Linear response: dV/dt = -(beta V / tau) (P0 - P)."""
    volume, pressure = torch.tensor([100.0], dtype=torch.float64), torch.tensor([0.02], dtype=torch.float64)
    new = new_volume(volume, pressure, torch.zeros(1), target=0.01, temperature=0.0, rate=0.1, timestep_fs=1e-3)
    assert float((new - volume) / 1e-3) == pytest.approx(0.1 * 100.0 * 0.01, rel=1e-4)


def test_pressure_of_motion_and_of_forces():
    stress = torch.diag(torch.tensor([-0.3, -0.6, -0.9]))[None]
    found = internal_pressure(torch.tensor([3.0]), stress, torch.tensor([10.0]))
    assert float(found[0]) == pytest.approx(0.2 + 0.6)


def test_a_crystal_under_rising_pressure_shrinks():
    options = {"temperature": 20.0, "pressure_time_fs": 100.0, "compressibility": 0.3, "record_every": 100}
    (ramp,) = squeezed([argon(1)], 600, pressure=(0.0, 5.0), **options)
    (rest,) = squeezed([argon(1)], 600, pressure=0.0, **options)
    assert volumes(ramp)[-1] < 0.9 * volumes(rest)[-1]
    assert volumes(rest)[-1] == pytest.approx(volumes(rest)[0], rel=0.15)


def test_alone_in_a_batch_and_continued():
    starts = [argon(1), argon(2)]
    options = {"pressure": 1.0, "seed": 3, "precision": "float64", "temperature": 40.0}
    together = squeezed(starts, 60, **options)
    alone = squeezed([starts[1]], 60, runs=[1], **options)[0].last
    half = squeezed([starts[1]], 30, runs=[1], **options)[0].last
    on = squeezed([half], 60, runs=[1], **options)[0].last
    for other in (alone, on):
        np.testing.assert_allclose(other.frame.cell, together[1].last.frame.cell, rtol=1e-10)
        np.testing.assert_allclose(other.frame.positions, together[1].last.frame.positions, atol=1e-9)
    assert abs(np.linalg.det(alone.frame.cell) / np.linalg.det(starts[1].cell) - 1) > 1e-4


def test_refusals():
    with pytest.raises(DataError, match="periodic in three directions"):
        squeezed([molecule([[0, 0, 0], [3.8, 0, 0]], [18, 18])], 1)
    with pytest.raises(ConfigError, match="pressure_time_fs must be positive"):
        squeezed([argon()], 1, pressure_time_fs=0.0)
