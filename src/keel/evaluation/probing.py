"""What probes share: the precision to judge in, structures without vanishing forces, many evaluations at once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import torch

from keel.atoms.frame import Array, Frame
from keel.errors import ConfigError, DataError, RefusedError
from keel.potentials.base import Potential
from keel.potentials.batches import batches
from keel.potentials.convert import converted

STEPS = {torch.float32: 1e-2, torch.float64: 1e-4}
"""Displacements of finite differences in angstrom: large enough that rounding of energies of some eV (1e-6 and 1e-15
eV) leaves four digits of forces of 1 eV/angstrom, and small enough that neighbours rarely cross the cutoff in
between."""

SMALLEST_FORCE = 1e-3
"""Deviations are taken relative to forces, in eV/angstrom, no smaller than this."""


def prepared(potential: Potential, frames: Sequence[Frame], dtype: torch.dtype) -> Potential:
    """Return the potential in the precision of a probe.

    Raises
    ------
    ConfigError
        If the precision is neither float32 nor float64.
    DataError
        If there is no structure, or one without atoms.
    """
    check_structures(frames)
    return in_precision(potential, dtype)


def check_structures(frames: Sequence[Frame]) -> None:
    """Raise a DataError if there is no structure, or one without atoms."""
    if not frames:
        raise DataError("there is no structure to probe the potential with; give at least one")
    for frame in frames:
        if len(frame) == 0:
            raise DataError(f"{frame.source}: a potential cannot be probed on a structure without atoms")


def in_precision(potential: Potential, dtype: torch.dtype) -> Potential:
    """Return the potential in the precision of a probe.

    Raises
    ------
    ConfigError
        If it is neither float32 nor float64.
    """
    if dtype not in STEPS:
        raise ConfigError(f"probes run in torch.float32 or torch.float64, not {dtype}")
    return converted(potential, dtype)


def computed_in(potential: Potential, frames: Sequence[Frame]) -> torch.dtype:
    """Return the precision that a potential computes in when asked for float64: float32 if it has nothing else.

    Calculators may round to float32 inside, whatever they are asked for; then every component of every force is a
    number of float32.
    """
    double = prepared(potential, frames, torch.float64)
    try:
        forces = np.concatenate([energies_and_forces(double, [f])[1].ravel() for f in all_rattled(frames, seed=0)])
    except RefusedError:
        return torch.float64
    return torch.float32 if forces.any() and np.array_equal(forces, np.float32(forces)) else torch.float64


def all_rattled(frames: Sequence[Frame], seed: int) -> list[Frame]:
    """Return the frames, each rattled in its own way."""
    return [rattled(frame, seed + k) for k, frame in enumerate(frames)]


def rattled(frame: Frame, seed: int, length: float = 0.05) -> Frame:
    """Return the frame with every coordinate displaced by a normal of this width in angstrom: no force is zero."""
    return frame.replace(positions=frame.positions + np.random.default_rng(seed).normal(0, length, (len(frame), 3)))


def energies_and_forces(potential: Potential, frames: Sequence[Frame]) -> tuple[Array, Array]:
    """Return energies (K,) in eV and forces (K, N, 3) in eV/angstrom of K structures of N atoms."""
    energies, forces = [], []
    for graph in batches(frames, potential):
        prediction = potential(graph)
        energies.append(prediction.energy.cpu().numpy())
        forces.append(prediction.forces.double().cpu().numpy().reshape(graph.n_structures, -1, 3))
    return np.concatenate(energies), np.concatenate(forces)


def size_of(forces: Array) -> float:
    """Return the root mean square of force components in eV/angstrom, at least :data:`SMALLEST_FORCE`."""
    size = float(np.sqrt(np.mean(np.square(forces))))
    return size if size > SMALLEST_FORCE or np.isnan(size) else SMALLEST_FORCE


def nearest_images(frame: Frame, atom: int) -> Array:
    """Return the distance of each atom from the nearest image of one of them in angstrom, shape (N,).

    Images up to one cell away are considered: correct for cells that are not extremely sheared.
    """
    cell = frame.cell * frame.pbc[:, None]
    vectors = frame.positions - frame.positions[atom]
    vectors = vectors - np.round(vectors @ np.linalg.pinv(cell)) @ cell
    images = np.array(list(product((-1, 0, 1), repeat=3))) @ cell
    nearest: Array = np.linalg.norm(vectors[:, None] + images, axis=2).min(axis=1)
    return nearest
