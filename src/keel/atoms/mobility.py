"""What a structure says of how its atoms move: masses, what is held fixed, velocities."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from keel.atoms.elements import MASSES
from keel.atoms.frame import Array, Frame
from keel.atoms.labelling.names import letters_of
from keel.atoms.motion_columns import HELD_ALONG_LATTICE, NO_MASSES, NOT_KEPT, NOT_NUMBERS, marks, reals

LIKE_VELOCITIES = re.compile("v|v[xyz]|vel|velo|velocit(y|ies)|[a-z]*velocit(y|ies)")
"""Names of columns that may be velocities, without separators; their unit is that of the program that wrote them."""
LIKE_MOTION = re.compile(
    f"{LIKE_VELOCITIES.pattern}|[a-z]*mass(es)?|momentum|fix(ed)?|frozen|freeze|held|im?mobile|mov(able|ing|emask)"
    "|constrain(ts?|ed)|selective(dynamics)?"
)
"""Names of columns that may say how atoms move."""


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
    if unused := unused_columns(frames, LIKE_MOTION):
        said.append(
            f"not used: columns {', '.join(unused)} (read are momenta and masses, in ASE's units, and move_mask)"
        )
    ignored = HELD_ALONG_LATTICE, NO_MASSES, NOT_KEPT, NOT_NUMBERS
    return said + sorted({remark for f in frames for remark in f.remarks if remark.startswith(ignored)})


def no_velocities(frame: Frame) -> str:
    """Say that a structure has none, or that it has some whose unit its file does not say."""
    if not (names := unused_columns([frame], LIKE_VELOCITIES)):
        return "it has no initial velocities"
    return (
        f"its column {names[0]} is not read, because the unit of velocities differs from program to program; give "
        "momenta as ASE writes them (atoms.set_velocities, then atoms.write)"
    )


def unused_columns(frames: Sequence[Frame], names: re.Pattern[str]) -> list[str]:
    """Return the columns of atoms with such a name that are not used."""
    return sorted({name for f in frames for name in f.unused if names.fullmatch(letters_of(name))})
