"""Constant pressure by stochastic rescaling of the cell, as pure functions of tensors.

Bernetti & Bussi, J. Chem. Phys. 153, 114107 (2020), isotropic. With the volume V = l^2 its noise is additive:

    dl = -(beta l / 2 tau) (P0 - P - kT / 2V) dt + sqrt(kT beta / 2 tau) dW
    P  = 2 E_kin / 3V - (s_xx + s_yy + s_zz) / 3

beta is the compressibility and tau the relaxation time (only their ratio counts), s the stress without the motion of
the atoms. Positions and cell are multiplied by (V'/V)^(1/3), velocities divided by it. The ensemble is canonical in
positions, velocities and volume: p(V) ~ exp(-(F(V) + P0 V) / kT).

Units: eV, angstrom, fs; pressures in eV/angstrom^3, compressibilities in angstrom^3/eV.
"""

from __future__ import annotations

from torch import Tensor

from keel.dynamics.integrators import BOLTZMANN

LARGEST_CHANGE = 0.1
"""Largest relative change of l in one step: a run that needs more has failed, but must remain computable until it is
stopped."""


def internal_pressure(kinetic: Tensor, stress: Tensor, volume: Tensor) -> Tensor:
    """Return P in eV/angstrom^3, shape (B,), from kinetic energies and volumes (B,) and stresses (B, 3, 3)."""
    return 2.0 * kinetic / (3.0 * volume) - stress.diagonal(dim1=1, dim2=2).mean(dim=1)


def new_volume(
    volume: Tensor, pressure: Tensor, noise: Tensor, target: float, temperature: float, rate: float, timestep_fs: float
) -> Tensor:
    """Return the volumes after a step, shape (B,).

    Parameters
    ----------
    volume, pressure
        Of the structures, shape (B,).
    noise
        Standard normal numbers, shape (B,).
    target
        P0 in eV/angstrom^3.
    temperature
        In K.
    rate
        beta / tau in angstrom^3/(eV fs).
    timestep_fs
        In fs.
    """
    kt, root = BOLTZMANN * temperature, volume.sqrt()
    drift = -0.5 * rate * root * (target - pressure - 0.5 * kt / volume) * timestep_fs
    change = (drift + (0.5 * kt * rate * timestep_fs) ** 0.5 * noise) / root
    changed: Tensor = volume * (1.0 + change.clamp(-LARGEST_CHANGE, LARGEST_CHANGE)).square()
    return changed
