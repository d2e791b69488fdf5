"""Velocity Verlet and BAOAB Langevin dynamics, as pure functions of tensors.

Both are compositions of three flows over a time step dt; one step costs one evaluation of the forces:

    B (kick)    v <- v + dt F/m
    A (drift)   x <- x + dt v
    O (friction and noise, exact)    v <- c v + sqrt(1 - c^2) sqrt(kT/m) xi,    c = exp(-gamma dt),  xi ~ N(0, 1)

    NVE    B(dt/2) A(dt) F B(dt/2)                        velocity Verlet: Swope et al., J. Chem. Phys. 76, 637 (1982)
    NVT    B(dt/2) A(dt/2) O(dt) A(dt/2) F B(dt/2)        BAOAB: Leimkuhler & Matthews, Appl. Math. Res. Express 2013,
                                                          34 (2013); J. Chem. Phys. 138, 174102 (2013)

Units: angstrom, fs, eV, u.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from ase import units
from numpy.typing import NDArray
from torch import Tensor

from keel.atoms.frame import Array
from keel.atoms.graph import squared_lengths
from keel.dynamics.noise import gaussian

ACCELERATION = float(units.fs**2)
"""(eV/angstrom)/u in angstrom/fs^2: 0.0096485."""

BOLTZMANN = float(units.kB)
"""eV/K."""


def kick(velocities: Tensor, forces: Tensor, masses: Tensor, time_fs: float) -> Tensor:
    """Flow B: return v + t F/m; velocities and forces (N, 3), masses (N, 1) or, infinite where fixed, (N, 3)."""
    return torch.addcdiv(velocities, forces, masses, value=time_fs * ACCELERATION)


def drift(positions: Tensor, velocities: Tensor, time_fs: float) -> Tensor:
    """Flow A: return x + t v."""
    return torch.add(positions, velocities, alpha=time_fs)


def thermalise(velocities: Tensor, noise: Tensor, spread: Tensor, decay: float) -> Tensor:
    """Flow O: return c v + sqrt(1 - c^2) sqrt(kT/m) xi with c = ``decay`` = exp(-gamma dt)."""
    return torch.addcmul(decay * velocities, noise, spread, value=math.sqrt(1.0 - decay * decay))


def thermal_spread(masses: Tensor, temperature: float) -> Tensor:
    """Return sqrt(kT/m) in angstrom/fs, of the shape of the masses; zero for infinite masses."""
    return (ACCELERATION * BOLTZMANN * temperature / masses).sqrt()


def decay_factor(friction_per_fs: float, timestep_fs: float) -> float:
    """Return exp(-gamma dt) for a friction gamma."""
    return math.exp(-friction_per_fs * timestep_fs)


def kinetic_energy(velocities: Tensor, masses: Tensor, batch: Tensor, n_structures: int) -> Tensor:
    """Return sum_i m_i v_i^2 / 2 of each structure in eV, shape (B,)."""
    doubled = masses[:, 0] * squared_lengths(velocities)
    return doubled.new_zeros(n_structures).index_add(0, batch, doubled) * (0.5 / ACCELERATION)


def kinetic_temperature(kinetic: Tensor, n_atoms: Tensor) -> Tensor:
    """Return 2 E_kin / (3 N k) in K: all 3 N degrees of freedom count, as Langevin dynamics thermalises them all.

    Where components are fixed, 3 N is the number of the others, and ``n_atoms`` (B,) need not be whole.
    """
    return kinetic * (2.0 / (3.0 * BOLTZMANN)) / n_atoms


def maxwell_boltzmann(
    masses: Array, temperature: float, seed: int, run: int, fixed: NDArray[np.bool_] | None = None
) -> Array:
    """Draw velocities from the Maxwell-Boltzmann distribution and remove the total momentum.

    The kinetic energy is *not* rescaled to the temperature: its spread is that of the canonical ensemble. A pure
    function of (seed, run). ``masses`` in u, shape (N,); returns angstrom/fs, shape (N, 3). Components that are
    ``fixed`` (N, 3) rest; along an axis with any of them momentum is not conserved, and is left as it was drawn.
    """
    spread = np.sqrt(ACCELERATION * BOLTZMANN * temperature / masses)[:, None]
    velocities = spread * gaussian(seed, run, "velocities", 0, (len(masses), 3))
    drift = (masses[:, None] * velocities).sum(axis=0) / masses.sum()
    if fixed is None:
        return np.asarray(velocities - drift)
    return np.where(fixed, 0.0, velocities - np.where(fixed.any(axis=0), 0.0, drift))
