"""Contacts that are rare in DFT data: they reveal simulations that survive in an unphysical state."""

from __future__ import annotations

from keel.atoms.closest import close_pairs
from keel.atoms.conversion import Structures, each_frame

CLOSE = 0.75
"""Contacts below this fraction of the sum of the covalent radii are rare in DFT data; simulations end at one half."""


def close_contacts(frames: Structures, share: float = CLOSE) -> float:
    """Return the pairs of atoms closer than ``share`` times the sum of their covalent radii, for every 1000 atoms.

    Each pair counts once in each frame, all periodic images included. NaN without frames. A network with a nuclear core
    may never let atoms fuse and yet leave many of them where only the core separates them: such simulations last, but
    such a material does not exist.
    """
    frames = each_frame(frames, labels=False)
    pairs, atoms = 0, 0
    for frame in frames:
        pairs += int((close_pairs(frame, share)[1] < share).sum())
        atoms += len(frame)
    return 1e3 * pairs / atoms if atoms else float("nan")
