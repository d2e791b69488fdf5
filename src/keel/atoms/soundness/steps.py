"""From one frame to the next: how the energy changes, what work forces and stress do, and how sure that is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from keel.atoms.frame import Array, Frame

SMALLEST_STRAIN, LARGEST_STRAIN = 1e-5, 0.05
SMALLEST_STEP, LARGEST_STEP = 1e-6, 0.3
"""Angstrom; for frames further apart the trapezoidal rule is inaccurate. In one cell the largest is a root mean
square, else that of any atom."""
NOISE = 5e-5
"""eV per atom: convergence of electronic steps."""
PULAY = 0.006
"""eV/angstrom^3 (10 kbar): spurious stress of a basis that changes with the cell."""


class Step(NamedTuple):
    """Two neighbouring frames: work of the label in question, change of energy it should equal, the difference that
    the length of the step explains, all in eV per atom.
    """

    first: Frame
    second: Frame
    work: float
    change: float
    tolerance: float


def neighbours(frames: Sequence[Frame]) -> list[tuple[Frame, Frame]]:
    """Return the pairs of frames of one group (the same atoms in the same order) that follow each other in it."""
    groups: dict[bytes, list[Frame]] = defaultdict(list)
    for frame in frames:
        groups[frame.numbers.tobytes()].append(frame)
    return [pair for group in groups.values() for pair in pairwise(group)]


def step_of_forces(first: Frame, second: Frame) -> Step | None:
    """Return the step; None if the cell or its periodicity differs, or atoms are too far apart or have not moved."""
    if not (np.array_equal(first.cell, second.cell) and np.array_equal(first.pbc, second.pbc)):
        return None
    steps = second.positions - first.positions
    steps = steps - (np.round(steps @ np.linalg.pinv(first.cell)) * first.pbc) @ first.cell
    if not np.abs(steps).max() > SMALLEST_STEP or np.sqrt(np.mean(np.sum(steps**2, axis=1))) > LARGEST_STEP:
        return None
    energy, work, tolerance = _of_atoms(first, second, steps)
    n = len(first)
    return Step(first, second, work / n, energy / n, tolerance / n + NOISE)


def step_of_stress(first: Frame, second: Frame) -> Step | None:
    """Return the step with the energy change that forces do not explain; None if the frames are too far apart."""
    parts = _strained(first, second)
    if parts is None:
        return None
    energy, of_forces, of_stress, tolerance = parts
    return Step(first, second, of_stress, energy - of_forces, tolerance)


def step_beside_strain(first: Frame, second: Frame) -> Step | None:
    """Return the step of the forces, with the energy change that the stress does not explain."""
    parts = _strained(first, second)
    if parts is None:
        return None
    energy, of_forces, of_stress, tolerance = parts
    return Step(first, second, of_forces, energy - of_stress, tolerance)


def _strained(first: Frame, second: Frame) -> tuple[float, float, float, float] | None:
    """Return change of energy, work of forces and stress, tolerance, per atom; None if frames are too far apart."""
    # All at once: a call of numpy costs more than its arithmetic on matrices of three by three.
    cells = np.stack([first.cell, second.cell, 0.5 * (first.cell + second.cell)])
    volumes = np.abs(np.linalg.det(cells))
    if not volumes.all() or volumes[2] < 0.5 * volumes[:2].min():
        return None  # Cells that point in opposite directions are not neighbours.
    inverses = np.linalg.inv(cells)
    strain = inverses[2] @ (second.cell - first.cell)
    strain = 0.5 * (strain + strain.T)
    largest = float(np.abs(strain).max())
    if not SMALLEST_STRAIN < largest < LARGEST_STRAIN:
        return None
    steps = second.positions @ inverses[1] - first.positions @ inverses[0]
    steps = (steps - np.round(steps)) @ cells[2]
    if np.square(steps).sum(axis=1).max() > LARGEST_STEP**2:
        return None
    assert first.stress is not None
    assert second.stress is not None
    energy, of_forces, tolerance = _of_atoms(first, second, steps)
    before, after = volumes[0] * first.stress, volumes[1] * second.stress
    of_stress = 0.5 * float(np.sum((before + after) * strain))
    tolerance += 3.0 * largest * float(np.abs((after - before) * strain).sum())
    tolerance += PULAY * float(volumes[0]) * abs(float(np.trace(strain)))
    n = len(first)
    return energy / n, of_forces / n, of_stress / n, tolerance / n + NOISE


def _of_atoms(first: Frame, second: Frame, steps: Array) -> tuple[float, float, float]:
    """Return the change of energy, the work of the forces and the error that the trapezoidal rule may have, in eV.

    For a force that falls off as exp(-k r), the rule misses k h/12 of the change of the force times the step h. Atoms
    add up at random, to which a tenth of their plain sum is added for those that move together.
    """
    assert first.energy is not None
    assert second.energy is not None
    assert first.forces is not None
    assert second.forces is not None
    work = -0.5 * float(np.sum((first.forces + second.forces) * steps))
    curved = np.abs(np.sum((second.forces - first.forces) * steps, axis=1))
    longest = float(np.linalg.norm(steps, axis=1).max())
    tolerance = longest * (0.1 * curved.sum() + np.linalg.norm(curved))
    return second.energy - first.energy, work, float(tolerance)
