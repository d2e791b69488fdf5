"""What a structure says of how its atoms move: masses, what is held fixed, velocities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from ase import units
from numpy.typing import NDArray

from keel.atoms.elements import MASSES
from keel.atoms.frame import Array, Frame

if TYPE_CHECKING:
    from ase.constraints import FixAtoms, FixCartesian


def masses_of(frame: Frame) -> Array:
    """Return the masses in u, shape (N,): those of the file, else those of the elements."""
    return MASSES[frame.numbers] if frame.masses is None else frame.masses


def degrees_of_freedom(frame: Frame) -> int:
    """Return how many of the 3 N Cartesian components can move."""
    return 3 * len(frame) - (0 if frame.fixed is None else int(frame.fixed.sum()))


def freed(frame: Frame) -> Frame:
    """Return the frame with nothing held fixed, for a box that changes under all atoms alike."""
    return frame if frame.fixed is None else frame.replace(fixed=None)


def columns_of_motion(frame: Frame) -> dict[str, Array]:
    """Return masses and momenta by the names under which ASE reads and writes them, (N, 1) and (N, 3), where known."""
    columns = {} if frame.masses is None else {"masses": frame.masses[:, None]}
    if frame.velocities is not None:
        columns["momenta"] = masses_of(frame)[:, None] * frame.velocities / units.fs
    return columns


def marks_of_motion(frame: Frame) -> dict[str, NDArray[np.bool_]]:
    """Return which forces are labels and which components move, by their names in files, each (N, 1) or (N, 3)."""
    marks = {} if frame.forces_mask is None else {"forces_mask": frame.forces_mask[:, None]}
    if frame.fixed is None:
        return marks
    whole = bool((frame.fixed == frame.fixed[:, :1]).all())
    return marks | {"move_mask": ~frame.fixed[:, : 1 if whole else 3]}


def constraints_of(frame: Frame) -> list[FixAtoms | FixCartesian]:
    """Return what is fixed as ASE's constraints."""
    if frame.fixed is None:
        return []
    from ase.constraints import FixAtoms, FixCartesian

    masks, which = np.unique(frame.fixed, axis=0, return_inverse=True)
    atoms = [(mask, np.flatnonzero(which.ravel() == k)) for k, mask in enumerate(masks) if mask.any()]
    return [FixAtoms(indices) if mask.all() else FixCartesian(indices, mask.tolist()) for mask, indices in atoms]


def motion_in_words(frames: Sequence[Frame], velocities: str) -> list[str]:
    """Describe in phrases what simulations that start from these frames take from their file, and what they ignore.

    Parameters
    ----------
    frames
        Where they start.
    velocities
        ``file``: begin with those of the file; ``draw``: draw new ones.
    """
    said = []
    fixed = sum(int(f.fixed.any(axis=1).sum()) for f in frames if f.fixed is not None)
    if fixed:
        wholly = all(np.all(f.fixed.all(axis=1) == f.fixed.any(axis=1)) for f in frames if f.fixed is not None)
        said.append(f"{fixed:,} of {sum(map(len, frames)):,} atoms are fixed" + ("" if wholly else " or partly fixed"))
    if any(f.masses is not None for f in frames):
        said.append("masses from the file are used")
    if any(f.velocities is not None for f in frames):
        used = "are the initial ones" if velocities == "file" else "are not used (to use them: --velocities file)"
        said.append(f"velocities from the file {used}")
    return said
