"""The state of a batch between two steps."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from keel.atoms.frame import Array, Frame
from keel.dynamics.results import Snapshot

_MOMENT = re.compile(r" at [-+.\de]+ fs of run \d+$")
"""End of the source of a structure in motion."""


@dataclass(frozen=True, eq=False)
class State:
    """B structures of N atoms in motion, float64; tensors are never changed in place.

    Parameters
    ----------
    step
        Steps done.
    positions, velocities
        Unwrapped, angstrom and angstrom/fs, shape (N, 3).
    cell
        In angstrom, shape (B, 3, 3).
    energy, forces, stress
        Predictions of the potential in eV, shape (B,), eV/angstrom, shape (N, 3), and eV/angstrom^3, shape (B, 3, 3).
    """

    step: int
    positions: Tensor
    velocities: Tensor
    cell: Tensor
    energy: Tensor
    forces: Tensor
    stress: Tensor

    def of(self, structures: Tensor, atoms: Tensor) -> State:
        """Return the state of some structures only."""
        return State(
            self.step,
            self.positions[atoms],
            self.velocities[atoms],
            self.cell[structures],
            self.energy[structures],
            self.forces[atoms],
            self.stress[structures],
        )


TENSORS = tuple(f.name for f in fields(State) if f.name != "step")


def snapshot_of(state: State, b: int, atoms: slice, start: Frame, run: int, timestep_fs: float) -> Snapshot:
    """Return structure ``b`` of a state, whose atoms are a slice of it and which started as ``start``."""
    return snapshot(
        start,
        run,
        state.step,
        timestep_fs,
        positions=_numpy(state.positions[atoms]),
        velocities=_numpy(state.velocities[atoms]),
        cell=_numpy(state.cell[b]),
        energy=float(state.energy[b]),
        forces=_numpy(state.forces[atoms]),
    )


def snapshot(
    start: Frame,
    run: int,
    step: int,
    timestep_fs: float,
    *,
    positions: Array,
    velocities: Array,
    cell: Array,
    energy: float,
    forces: Array,
) -> Snapshot:
    """Return a structure in motion that started as ``start``."""
    time = step * timestep_fs
    frame = start.replace(
        positions=positions,
        cell=cell,
        energy=energy,
        forces=forces,
        stress=None,
        forces_mask=None,  # of the labels of the start
        velocities=None,
        source=f"{_MOMENT.sub('', start.source)} at {time:g} fs of run {run}",
    )
    return Snapshot(frame, velocities, step, time)


def alone(
    evaluate: Callable[[Frame], object], state: State, bounds: Sequence[int], frames: Sequence[Frame]
) -> dict[int, str]:
    """Return why each structure that cannot be evaluated even alone cannot, by its index in the batch."""
    reasons: dict[int, str] = {}
    for b, frame in enumerate(frames):
        positions = _numpy(state.positions[bounds[b] : bounds[b + 1]])
        try:
            evaluate(frame.replace(positions=positions, cell=_numpy(state.cell[b])))
        # Whatever a potential raises for a structure that blew up ends that run, and no other.
        except Exception as error:
            reasons[b] = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return reasons


def unknown(step: int, positions: Tensor, velocities: Tensor, cell: Tensor) -> State:
    """Return a state that no potential has evaluated: energies and forces are NaN."""
    energy = positions.new_full((len(cell),), torch.nan)
    return State(
        step,
        positions,
        velocities,
        cell,
        energy,
        torch.full_like(positions, torch.nan),
        torch.full_like(cell, torch.nan),
    )


def _numpy(tensor: Tensor) -> Array:
    array: Array = tensor.cpu().numpy().copy()
    return array
