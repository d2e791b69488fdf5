"""Is the force the derivative of the energy, is the energy smooth, and is it conserved in motion?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from keel.atoms.frame import Array, Frame
from keel.atoms.neighbours import graph_of
from keel.dynamics.simulate import simulate
from keel.potentials.base import Potential
from keel.potentials.convert import converted


@dataclass(frozen=True)
class Conservation:
    """Largest and mean |F + dE/dx| over some components of the forces, eV/angstrom; 0 if the force is conservative."""

    max_deviation: float
    mean_deviation: float


def force_consistency(
    potential: Potential, frame: Frame, *, n_components: int = 30, step: float = 1e-3, seed: int = 0
) -> Conservation:
    """Compare forces with -dE/dx by central differences of the energy, in float64.

    Fourth-order differences (four displaced structures for each component): the error of a smooth potential is
    O(step^4) plus rounding of about 1e-12 eV / step.

    Parameters
    ----------
    frame
        One structure.
    n_components
        Number of force components, drawn at random.
    step
        Displacement in angstrom.
    """
    model = converted(potential, torch.float64)
    n = 3 * len(frame)
    chosen = np.random.default_rng(seed).choice(n, size=min(n, n_components), replace=False)
    forces = _forces(model, frame).reshape(-1)
    deviations = []
    for component in chosen:
        unit = np.zeros(n)
        unit[component] = step
        e = [_energy(model, frame, k * unit.reshape(-1, 3)) for k in (-2, -1, 1, 2)]
        slope = (e[0] - 8 * e[1] + 8 * e[2] - e[3]) / (12 * step)
        deviations.append(abs(forces[component] + slope))
    return Conservation(float(np.max(deviations)), float(np.mean(deviations)))


@dataclass(frozen=True, eq=False)
class Smoothness:
    """Energy and force along a straight path of one atom.

    Parameters
    ----------
    path
        Displacement in angstrom, shape (K,).
    energy, force
        eV; component along the path in eV/angstrom, shape (K,).
    energy_jump
        Largest |dE + F ds| between two points, F the mean force of both, in eV: O(ds^3) where E is smooth, the height
        of the step where E jumps.
    force_jump
        Largest |second difference of F| in eV/angstrom: O(ds^2) where F is smooth, the height of the step where it
        jumps.
    """

    path: Array
    energy: Array
    force: Array
    energy_jump: float
    force_jump: float


def smoothness(
    potential: Potential, frame: Frame, *, atom: int = 0, length: float = 0.5, n_points: int = 501, seed: int = 0
) -> Smoothness:
    """Move one atom along a random straight line, so that neighbours enter and leave the cutoff, in float64.

    A potential that truncates its neighbours shows jumps that do not shrink with the spacing of the points.
    """
    model = converted(potential, torch.float64)
    direction = np.random.default_rng(seed).normal(size=3)
    direction /= np.linalg.norm(direction)
    path = np.linspace(0.0, length, n_points)
    energy, force = np.empty(n_points), np.empty(n_points)
    for k, distance in enumerate(path):
        shift = np.zeros((len(frame), 3))
        shift[atom] = distance * direction
        energy[k] = _energy(model, frame, shift)
        force[k] = _forces(model, frame.replace(positions=frame.positions + shift))[atom] @ direction
    work = 0.5 * (force[1:] + force[:-1]) * np.diff(path)
    return Smoothness(
        path,
        energy,
        force,
        energy_jump=float(np.abs(np.diff(energy) + work).max()),
        force_jump=float(np.abs(np.diff(force, 2)).max()),
    )


def nve_drift(
    potential: Potential,
    starts: Sequence[Frame],
    *,
    temperature: float = 300.0,
    length_fs: float = 1000.0,
    timestep: float = 1.0,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> Array:
    """Return the drift of the total energy of NVE runs in eV/atom/ps, one for each start.

    The slope of a straight line through the total energy, sampled a hundred times. 0 in exact arithmetic as dt -> 0;
    below 1e-3 is good for production, 1e-2 heats a crystal by some 40 K in a picosecond. NaN for a run too short.
    """
    steps = max(2, round(length_fs / timestep))
    runs = simulate(
        potential,
        starts,
        temperature=temperature,
        steps=steps,
        timestep=timestep,
        seed=seed,
        ensemble="nve",
        criteria=(),
        record_every=max(1, steps // 100),
        dtype=dtype,
    )
    slopes = []
    for run, start in zip(runs, starts, strict=True):
        energies = run.total_energies
        sound = len(energies) > 2 and bool(np.isfinite(energies).all())
        slopes.append(1000.0 * np.polyfit(run.times, energies / len(start), 1)[0] if sound else np.nan)
    return np.array(slopes)


def _energy(model: Potential, frame: Frame, shift: Array) -> float:
    moved = frame.replace(positions=frame.positions + shift)
    graph = graph_of(moved, model.cutoff, half_list=model.half_list, dtype=model.dtype, labels=False)
    return float(model(graph.to(model.device), derivatives=False).energy[0])


def _forces(model: Potential, frame: Frame) -> Array:
    graph = graph_of(frame, model.cutoff, half_list=model.half_list, dtype=model.dtype, labels=False)
    forces = model(graph.to(model.device)).forces
    assert forces is not None
    return np.asarray(forces.double().cpu().numpy())
