"""Atoms alone: their energies are the zero of energy of their elements, and there is nothing else to learn from them.

By symmetry no force acts on them, and as one atom each they would count in an average per atom as much as a crystal.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from keel.atoms.frame import Frame
from keel.atoms.soundness.frames import pairs_within
from keel.atoms.store.frames import StoredFrames

REACH = 6.0
"""Angstrom. An atom whose images are all farther away is isolated: hardly any bond or electron overlap reaches that
far."""
MARK = "isolatedatom"
"""The ``config_type`` of isolated atoms, case-insensitive, in the training files of MACE and GAP."""


def is_isolated(frame: Frame) -> bool:
    """Return whether a frame is one atom that says it is alone, or has no image within 6 angstrom."""
    if len(frame) != 1:
        return False
    return str(frame.info.get("config_type", "")).lower() == MARK or not len(pairs_within(frame, REACH)[0])


def set_apart(frames: Iterable[Frame]) -> tuple[Sequence[Frame], Sequence[Frame]]:
    """Return the frames with neighbours, and the atoms alone, each in the order given; those of a store stay there."""
    if isinstance(frames, StoredFrames):
        alone = np.zeros(len(frames), dtype=bool)
        single = np.flatnonzero(frames.counts() == 1)
        alone[single] = [is_isolated(frames[k]) for k in single.tolist()]
        bonded = frames.take(np.flatnonzero(~alone)) if alone.any() else frames
        return bonded, frames.take(np.flatnonzero(alone))
    parts: tuple[list[Frame], list[Frame]] = ([], [])
    for frame in frames:
        parts[is_isolated(frame)].append(frame)
    return parts


def energies_alone(atoms: Sequence[Frame]) -> dict[int, float]:
    """Return the energy of an atom alone in eV by atomic number; of several of an element the lowest, the ground state.

    Parameters
    ----------
    atoms
        As :func:`set_apart` finds them; those without an energy do not count.
    """
    found: dict[int, float] = {}
    for frame in atoms:
        if frame.energy is not None:
            number = int(frame.numbers[0])
            found[number] = min(frame.energy, found.get(number, frame.energy))
    return found
