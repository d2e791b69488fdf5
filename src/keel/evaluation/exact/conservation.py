"""Is the force the derivative of the energy, and is the energy conserved in motion?"""

from __future__ import annotations

import numpy as np
import torch

from keel.atoms.conversion import Structures, as_frames
from keel.atoms.frame import Array
from keel.dynamics.criteria import NonFinite
from keel.dynamics.results import Trajectory
from keel.dynamics.settings import HERE, ComputeSettings, MDSettings, Schedule
from keel.dynamics.simulate import simulate
from keel.evaluation.check import CheckResult, Curve, Metric, judged
from keel.evaluation.probing import STEPS, all_rattled, energies_and_forces, prepared, size_of
from keel.potentials.accuracy import MILLI
from keel.potentials.base import Potential
from keel.testing.differences import displaced, slopes

CONSISTENT = {torch.float32: 1e-2, torch.float64: 1e-4}
"""Median |F + dE/dx| over the RMS force. Forces that networks predict separately from the energy are off by some per
cent; rounding alone (see :data:`~keel.evaluation.probing.STEPS`) leaves less than a tenth of these limits."""

DRIFT = 1.0
"""meV/atom/ps; it heats a crystal (E = 3 k T) by 4 K in a picosecond."""


RECORDS = 100
"""Energies recorded in each run."""

NVE = MDSettings(temperature=300.0, length_fs=1000.0, ensemble="nve")
"""Simulations in which energy must be conserved."""


def force_consistency(
    potential: Potential,
    frames: Structures,
    *,
    n_components: int = 30,
    step: float | None = None,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
) -> CheckResult:
    """Compare forces with -dE/dx by central differences of the energy, of fourth order.

    The median is judged: a jump of the energy spoils the few components that meet it, and those only
    (:func:`~keel.evaluation.exact.smoothness.smoothness` finds it).

    Parameters
    ----------
    potential
        The potential to be probed.
    frames
        Structures; they are rattled by 0.05 angstrom, so that no force vanishes by symmetry.
    seed
        Seed of displacements and choices.
    n_components
        Number of force components of each structure, drawn at random.
    step
        Displacement in angstrom; None: by the precision.
    dtype
        Precision to judge in; float32 for a potential that always computes in it.

    Raises
    ------
    ConfigError, DataError
        See :func:`~keel.evaluation.probing.prepared`.
    """
    frames = as_frames(frames, labels=False)
    model, step = prepared(potential, frames, dtype), step or STEPS[dtype]
    deviations, shares = [], []
    for k, frame in enumerate(all_rattled(frames, seed)):
        n = 3 * len(frame)
        chosen = np.random.default_rng([seed, k]).choice(n, size=min(n, n_components), replace=False)
        forces = energies_and_forces(model, [frame])[1].reshape(-1)
        energies = energies_and_forces(model, displaced(frame, chosen, step))[0]
        deviations.append(np.abs(forces[chosen] + slopes(energies, step)))
        shares.append(deviations[-1] / size_of(forces))
    typical = float(np.median(np.concatenate(shares)))
    metrics = (
        Metric("force error", typical, "of the RMS force", CONSISTENT[dtype]),
        Metric("largest force error", MILLI * float(np.concatenate(deviations).max()), "meV/angstrom"),
    )
    return judged(
        "force consistency",
        metrics,
        (),
        f"forces are the slope of the energy: {typical:.1e} of the RMS force apart",
        "forces are not the slope of the energy",
    )


def nve_drift(
    potential: Potential,
    frames: Structures,
    settings: MDSettings = NVE,
    *,
    compute: ComputeSettings = HERE,
) -> CheckResult:
    """Measure the drift of the total energy in NVE runs at a time step and at half of it.

    The drift is the slope of a straight line through the total energy per atom, sampled a hundred times. The
    integrator's share falls with the time step, at least fourfold at half of it, so the smaller step is judged; the
    potential's share does not.

    Parameters
    ----------
    frames
        Starts; the worst is reported.
    settings
        Of the simulations; the temperature is that of the first velocities, the ensemble NVE.
    compute
        Precision and device.

    Raises
    ------
    ConfigError, DataError
        See :func:`~keel.evaluation.probing.prepared` and :func:`keel.dynamics.simulate`.
    """
    frames = as_frames(frames, labels=False)
    model, timestep_fs = prepared(potential, frames, compute.dtype), settings.timestep_of(frames)
    metrics, curves = [], []
    for dt, limit in ((0.5 * timestep_fs, DRIFT), (timestep_fs, None)):
        # A slope needs three energies.
        course = settings.replace(ensemble="nve", timestep_fs=dt, length_fs=max(2 * dt, settings.length_fs))
        every = max(1, Schedule.of(course, frames).steps // RECORDS)
        runs = simulate(model, frames, course.replace(record_every=every), criteria=(NonFinite(),), compute=compute)
        drifts = np.array([_drift(run) for run in runs])
        worst = int(np.argmax(np.where(np.isnan(drifts), np.inf, np.abs(drifts))))
        metrics.append(Metric(f"drift at {dt:g} fs", float(drifts[worst]), "meV/atom/ps", limit))
        energy = MILLI * _energies(runs[worst])
        curves.append(Curve(f"{dt:g} fs", runs[worst].times, energy - energy[:1], "time (fs)", "energy (meV/atom)"))
    return judged(
        "NVE drift",
        metrics,
        curves,
        f"energy is conserved: it drifts by {metrics[0].value:.2g} meV/atom/ps at {0.5 * timestep_fs:g} fs",
        "energy is not conserved in NVE",
    )


def _energies(run: Trajectory) -> Array:
    """Return the total energy per atom in eV."""
    return run.total_energies / len(run.last.frame)


def _drift(run: Trajectory) -> float:
    """Return the slope of the total energy in meV/atom/ps; NaN for a run that ended early or is too short."""
    energies = _energies(run)
    sound = run.survived and len(energies) > 2 and bool(np.isfinite(energies).all())
    return float(MILLI * MILLI * np.polyfit(run.times, energies, 1)[0]) if sound else float("nan")
