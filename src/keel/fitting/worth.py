"""Is a teacher worth learning from? Its errors beside those of no force, no stress and one energy per element."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keel.atoms.frame import Array, Frame
from keel.atoms.neighbours import labelled_atoms
from keel.fitting.offsets import compositions, minimum_norm
from keel.potentials.base import Potential
from keel.potentials.batches import predictions

NONE = 0.95
"""A label is not described if its root mean square error is at least this share of that without a potential."""
WILD = 10.0
"""Times the usual error of forces (median over frames) that a frame may have, unless its forces are as large."""
NAMED = 3
NOTHING = {"energies": "one energy for each element", "forces": "no force", "stresses": "no stress"}
REMEDY = (
    "leave the teacher's energies and stress out (strategy pretrain-forces), teach with another potential (teacher: "
    "file or calculator), or put only a nuclear core under the network (zbl-delta)"
)


def doubts(teacher: Potential, frames: Sequence[Frame], which: str) -> list[str]:
    """Return sentences on what a teacher does not describe of labelled frames; none if it is worth learning from.

    Forces and stresses are compared with zero, energies per atom with the best single energy of each element. Frames
    whose forces are wrong by more than ten times the usual, and by more than their size, are named.

    Parameters
    ----------
    teacher
        Any potential that knows the elements.
    frames
        Labelled frames, best of all some that the teacher was not fitted to.
    which
        How they are called: ``"the validation frames"``.
    """
    predicted = _predicted(teacher, frames)
    poor = []
    for name, (error, label) in zip(NOTHING, _errors(frames, *predicted), strict=True):
        if _rms(label) > 0.0 and _rms(error) >= NONE * _rms(label):
            poor.append(f"{name} ({_rms(error) / _rms(label):.2g} times the error of {NOTHING[name]})")
    sentences = [f"the teacher does not describe {' and '.join(poor)} of {which}; {REMEDY}"] if poor else []
    return [*sentences, *_wild(frames, predicted[1], which)]


def _errors(
    frames: Sequence[Frame], energies: list[float], forces: list[Array], stresses: list[Array]
) -> tuple[tuple[Array, Array], ...]:
    """Return error and label of energies (eV/atom, beyond one energy per element), forces and stresses, flattened."""
    known = [k for k, f in enumerate(frames) if f.energy is not None and np.isfinite(energies[k])]
    some = [frames[k] for k in known]
    atoms = np.array([len(f) for f in some], dtype=float)
    label = np.array([float(f.energy or 0.0) for f in some]) / np.maximum(atoms, 1.0)
    error = np.array([energies[k] for k in known]) / np.maximum(atoms, 1.0) - label
    of_forces = [(p - f.forces, f.forces) for f, p in zip(frames, forces, strict=True) if f.forces is not None]
    of_stress = [
        (p - f.stress, f.stress)
        for f, p in zip(frames, stresses, strict=True)
        if f.stress is not None and np.isfinite(p).all()
    ]
    beyond = _beyond_offsets(some, error), _beyond_offsets(some, label)
    return beyond, _joined(of_forces), _joined(of_stress)


def _predicted(teacher: Potential, frames: Sequence[Frame]) -> tuple[list[float], list[Array], list[Array]]:
    """Return energies, forces of labelled atoms (zero elsewhere, as labels are) and stresses of each frame."""
    energies: list[float] = []
    forces: list[Array] = []
    stresses: list[Array] = []
    for graph, prediction in predictions(frames, teacher):
        assert prediction.forces is not None
        assert prediction.stress is not None
        energies += prediction.energy.double().tolist()
        sizes = graph.atoms_per_structure.tolist()
        forces += [part.double().cpu().numpy() for part in prediction.forces.split(sizes)]
        stresses += list(prediction.stress.double().cpu().numpy())
    for frame, force in zip(frames, forces, strict=True):
        if frame.forces is not None:
            force[~labelled_atoms(frame)] = frame.forces[~labelled_atoms(frame)]
    return energies, forces, stresses


def _beyond_offsets(frames: Sequence[Frame], per_atom: Array) -> Array:
    """Return what one energy for each element leaves of energies per atom."""
    if not frames:
        return per_atom
    fractions = compositions(frames, sorted({int(z) for f in frames for z in f.numbers}))
    return np.asarray(per_atom - fractions @ minimum_norm(fractions, per_atom))


def _joined(pairs: Sequence[tuple[Array, Array]]) -> tuple[Array, Array]:
    if not pairs:
        return np.empty(0), np.empty(0)
    return np.concatenate([error.ravel() for error, _ in pairs]), np.concatenate([label.ravel() for _, label in pairs])


def _wild(frames: Sequence[Frame], predicted: list[Array], which: str) -> list[str]:
    """Name the frames whose forces are wrong beyond measure."""
    labelled = [(f, f.forces, p) for f, p in zip(frames, predicted, strict=True) if f.forces is not None]
    if not labelled:
        return []
    errors = np.array([_rms(prediction - label) for _, label, prediction in labelled])
    sizes = np.array([_rms(label) for _, label, _ in labelled])
    wild = np.flatnonzero((errors > WILD * np.median(errors)) & (errors > sizes))
    if not len(wild):
        return []
    worst = wild[np.argsort(-errors[wild])][:NAMED]
    named = "; ".join(f"{labelled[k][0].source} ({errors[k]:.2g} eV/angstrom)" for k in worst)
    return [
        f"the teacher goes wild on {len(wild)} of {which}, whose forces it gets wrong by more than ten times the usual "
        f"{np.median(errors):.2g} eV/angstrom: {named}; look whether they belong to the data"
    ]


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if values.size else 0.0
