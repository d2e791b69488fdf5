"""What a structure says of how its atoms move: masses, what is held fixed, velocities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from keel.atoms.elements import MASSES
from keel.atoms.frame import Array, Frame
from keel.atoms.motion_columns import HELD_ALONG_LATTICE, NO_MASSES, NOT_KEPT, marks, reals


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
    return reals(frame.numbers, frame.masses, frame.velocities)


def marks_of_motion(frame: Frame) -> dict[str, NDArray[np.bool_]]:
    """Return which forces are labels and which components move, by their names in files, each (N, 1) or (N, 3)."""
    return marks(frame.forces_mask, frame.fixed)


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
    ignored = HELD_ALONG_LATTICE, NO_MASSES, NOT_KEPT
    return said + sorted({remark for f in frames for remark in f.remarks if remark.startswith(ignored)})
