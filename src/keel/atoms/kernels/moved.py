"""Whether an atom has moved too far for its Verlet list, as machine code."""

from __future__ import annotations

from typing import Any

from keel.jit import exact_kernel


@exact_kernel
def moved_beyond(positions: Any, reference: Any, squared_limit: float) -> bool:
    """Return whether any atom is further from its reference (N, 3) than allowed; a NaN counts as not moved."""
    for i in range(len(positions)):
        x = positions[i, 0] - reference[i, 0]
        y = positions[i, 1] - reference[i, 1]
        z = positions[i, 2] - reference[i, 2]
        if x * x + y * y + z * z > squared_limit:
            return True
    return False
