"""Changes of structures that must not affect any potential.

Each takes a potential and frames, and returns its predictions for the changed structures, and those expected from the
unchanged ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from keel.atoms.batching import batch
from keel.atoms.frame import Array, Frame
from keel.potentials.base import Potential, Prediction

Transformation = Callable[[Potential, Sequence[Frame]], tuple[Prediction, Prediction]]


def predict(potential: Potential, frames: Sequence[Frame]) -> Prediction:
    """Return the prediction of a batch of frames in the potential's dtype."""
    graph = batch(frames, potential.cutoff, dtype=potential.dtype)
    prediction: Prediction = potential(graph.to(potential.device))
    assert prediction.forces is not None, "there are no forces"
    assert prediction.stress is not None, "there is no stress"
    return prediction


def energies(potential: Potential, frames: Sequence[Frame]) -> Array:
    """Return the energies (B,) in eV of a batch of frames in the potential's dtype; derivatives are not computed."""
    graph = batch(frames, potential.cutoff, dtype=potential.dtype)
    prediction: Prediction = potential(graph.to(potential.device), derivatives=False)
    return prediction.energy.cpu().numpy()


def translated(potential: Potential, frames: Sequence[Frame]) -> tuple[Prediction, Prediction]:
    """Move the origin."""
    moved = [f.replace(positions=f.positions + np.array([1.3, -0.7, 2.1])) for f in frames]
    return predict(potential, moved), predict(potential, frames)


def rotated(potential: Potential, frames: Sequence[Frame]) -> tuple[Prediction, Prediction]:
    """Rotate structures with their cells: forces and stress rotate with them."""
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((3, 3)))[0]
    turn = turn * np.linalg.det(turn)
    turned = [f.replace(positions=f.positions @ turn.T, cell=f.cell @ turn.T) for f in frames]
    before, after = predict(potential, frames), predict(potential, turned)
    r = torch.tensor(turn, dtype=potential.dtype, device=potential.device)
    assert before.forces is not None
    assert before.stress is not None
    return after, Prediction(before.energy, before.forces @ r.T, r @ before.stress @ r.T, before.atomic_energies)


def permuted(potential: Potential, frames: Sequence[Frame]) -> tuple[Prediction, Prediction]:
    """Give the atoms in another order."""
    rng = np.random.default_rng(2)
    orders = [rng.permutation(len(f)) for f in frames]
    mixed = [f.taken(o) for f, o in zip(frames, orders, strict=True)]
    start = np.cumsum([0, *map(len, frames)])
    order = torch.from_numpy(np.concatenate([o + s for o, s in zip(orders, start, strict=False)])).to(potential.device)
    before, after = predict(potential, frames), predict(potential, mixed)
    assert before.forces is not None
    return after, Prediction(before.energy, before.forces[order], before.stress, before.atomic_energies[order])


def wrapped(potential: Potential, frames: Sequence[Frame]) -> tuple[Prediction, Prediction]:
    """Put atoms into other images."""
    rng = np.random.default_rng(3)
    shifts = [rng.integers(-2, 3, (len(f), 3)) * f.pbc for f in frames]
    moved = [f.replace(positions=f.positions + s @ f.cell) for f, s in zip(frames, shifts, strict=True)]
    return predict(potential, moved), predict(potential, frames)


def left_handed(potential: Potential, frames: Sequence[Frame]) -> tuple[Prediction, Prediction]:
    """Swap the first two vectors of the cell: a left-handed cell describes the same crystal."""
    order = [1, 0, 2]
    named = [f.replace(cell=f.cell[order], pbc=f.pbc[order]) for f in frames]
    return predict(potential, named), predict(potential, frames)


def batched(potential: Potential, frames: Sequence[Frame]) -> tuple[Prediction, Prediction]:
    """Put structures into one batch, each twice."""
    members = [*frames, *frames[::-1]]
    return predict(potential, members), joined([predict(potential, [f]) for f in members])


def supercells(potential: Potential, frames: Sequence[Frame]) -> tuple[Prediction, Prediction]:
    """Double each structure along each periodic direction, or else add a copy beyond the reach of interactions."""
    found, expected = [], []
    for frame in frames:
        one = predict(potential, [frame])
        assert one.forces is not None
        double = Prediction(2 * one.energy, one.forces.repeat(2, 1), one.stress, one.atomic_energies.repeat(2))
        along = np.eye(3, dtype=np.int64)[frame.pbc]
        doubles = [frame.repeated((1 + axis).tolist()) for axis in along] or [two_apart(frame, 3.0 * potential.cutoff)]
        found += [predict(potential, [f]) for f in doubles]
        expected += [double] * len(doubles)
    return joined(found), joined(expected)


def two_apart(frame: Frame, apart: float) -> Frame:
    """Return the frame and a copy of it that is this far away along x, in angstrom."""
    step = np.array([apart + np.ptp(frame.positions[:, 0]), 0.0, 0.0])
    return frame.replace(
        numbers=np.tile(frame.numbers, 2), positions=np.concatenate([frame.positions, frame.positions + step])
    )


def joined(predictions: Sequence[Prediction]) -> Prediction:
    """Return several predictions as one of a batch."""
    return Prediction(
        energy=torch.cat([p.energy for p in predictions]),
        forces=torch.cat([p.forces for p in predictions if p.forces is not None]),
        stress=torch.cat([p.stress for p in predictions if p.stress is not None]),
        atomic_energies=torch.cat([p.atomic_energies for p in predictions]),
    )
