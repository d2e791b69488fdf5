"""How far potentials disagree about the forces in a structure: where they do, at least one of them is wrong.

    d_i = sqrt( (1/K) sum_k |F_i^(k) - F_i|^2 )        in eV/angstrom, for atom i

F_i is the force of the potential in use and F_i^(k) that of K others: trainings from other seeds, or the
teacher. With one other it is the length of the difference. A committee's standard deviation, the usual measure (Schran,
Brezina & Marsalek, J. Chem. Phys. 153, 104105 (2020)), refers to the mean of all members; here one potential moves the
atoms, and its error is of interest. For trainings that scatter equally about their mean, <d^2> is twice the variance.
Errors against labels show what d is worth (:mod:`keel.evaluation.labels.by_disagreement`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keel.atoms.conversion import Structures, as_frames
from keel.atoms.frame import Array, Frame
from keel.errors import DataError
from keel.potentials.base import Potential
from keel.potentials.batches import known_by, predictions
from keel.potentials.external.opening import Given, open_potential

COLUMN = "force_disagreement"
"""Its name in files and among the results of a calculator."""


def disagreement(forces: Array, others: Sequence[Array]) -> Array:
    """Return the disagreement about each atom in eV/angstrom, shape (N,), from forces (N, 3) of each potential."""
    squares = [np.square(other - forces).sum(axis=1) for other in others]
    found: Array = np.sqrt(np.mean(squares, axis=0))
    return found


def force_disagreement(potential: Given, beside: Given | Sequence[Given], frames: Structures) -> list[Array]:
    """Return how far others disagree with a potential about the forces on each atom of some structures.

    Parameters
    ----------
    potential
        The one in use.
    beside
        One other or several: potentials, or what has or names them
        (:func:`keel.open_potential`).
    frames
        Structures: frames, ``ase.Atoms`` or files (:func:`keel.atoms.as_frames`).

    Returns
    -------
    list
        For each structure the disagreement about each atom in eV/angstrom, shape (N,).

    Raises
    ------
    DataError
        If a potential does not know an element, or ``beside`` is empty.

    Examples
    --------
    >>> from ase.build import bulk
    >>> import keel
    >>> argon = bulk("Ar", cubic=True)
    >>> argon.rattle(0.1, seed=0)
    >>> keel.disagreement.force_disagreement(keel.LennardJones(), keel.LennardJones(epsilon=0.02), argon)[0].round(3)
    array([0.071, 0.125, 0.073, 0.097])
    """
    frames = as_frames(frames, labels=False)
    others = potentials_beside(beside)
    if not others:
        raise DataError("no potential is given to compare with; give at least one beside")
    check_beside(others, frames)
    own, theirs = forces_of(open_potential(potential), frames), [forces_of(other, frames) for other in others]
    return [disagreement(forces, found) for forces, *found in zip(own, *theirs, strict=True)]


def potentials_beside(given: Given | Sequence[Given]) -> list[Potential]:
    """Return the potentials that one thing, or each in a list, is, has or names (:func:`open_potential`)."""
    return [open_potential(one) for one in (given if isinstance(given, list | tuple) else [given])]


def check_beside(others: Sequence[Potential], frames: Sequence[Frame]) -> None:
    """Raise a DataError that names the first structure with elements that a potential beside does not know."""
    for other in others:
        for frame in frames:
            known_by(other, frame, "the {} beside")


def forces_of(potential: Potential, frames: Sequence[Frame]) -> list[Array]:
    """Return the forces in each structure, float64, each of shape (N, 3)."""
    found: list[Array] = []
    for _, prediction in predictions(frames, potential):
        assert prediction.forces is not None
        found.append(prediction.forces.double().cpu().numpy())
    ends = np.cumsum([len(frame) for frame in frames])[:-1]
    return np.split(np.concatenate(found), ends) if found else []
