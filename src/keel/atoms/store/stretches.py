"""Parts of many frames in which neighbours stay together, for checks of consecutive frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keel.atoms.frame import Frame
from keel.atoms.store.frames import StoredFrames

STRETCHES, STRETCH = 20, 500
"""Number of consecutive frames that are checked together, and number of places."""


def stretches(frames: Sequence[Frame]) -> list[Frame]:
    """Return all frames; of many in a store, evenly spread stretches of consecutive ones."""
    if not isinstance(frames, StoredFrames) or len(frames) <= STRETCHES * STRETCH:
        return list(frames)
    begins = np.linspace(0, len(frames) - STRETCH, STRETCHES).astype(int).tolist()
    return [frame for begin in begins for frame in frames[begin : begin + STRETCH]]
