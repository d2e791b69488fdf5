"""Contacts closer than any bond: what simulations show that stay alive, but not in a physical state."""

from __future__ import annotations

from keel.atoms.closest import close_pairs
from keel.atoms.conversion import Structures, each_frame

CLOSE = 0.75
"""Atoms are too close for a bond below this share of the sum of their covalent radii; simulations end at a half."""


def close_contacts(frames: Structures, share: float = CLOSE) -> float:
    """Return the pairs of atoms closer than ``share`` times the sum of their covalent radii, for every 1000 atoms.

    Each pair counts once in each frame, all periodic images included. NaN without frames. A network on a nuclear core
    may never let atoms fuse and yet hold many of them where only the core keeps them apart: simulations then last, of
    a material that does not exist.
    """
    frames = each_frame(frames, labels=False)
    pairs, atoms = 0, 0
    for frame in frames:
        pairs += int((close_pairs(frame, share)[1] < share).sum())
        atoms += len(frame)
    return 1e3 * pairs / atoms if atoms else float("nan")
