"""From the gradient with respect to edge vectors to forces and virials, in one pass as machine code."""

from __future__ import annotations

from typing import Any

import numba as nb

from keel.jit import kernel

U = nb.uint64


@kernel
def scatter(vectors: Any, gradient: Any, i_of: Any, j_of: Any, structure: Any, forces: Any, virial: Any) -> None:
    """Add g to the force on i, -g to that on j (N, 3), and r (x) g to the virial of the structure (B, 3, 3)."""
    for k in range(len(vectors)):
        q = U(k)
        i, j = U(i_of[q]), U(j_of[q])
        b = U(structure[i])
        gx, gy, gz = gradient[q, U(0)], gradient[q, U(1)], gradient[q, U(2)]
        x, y, z = vectors[q, U(0)], vectors[q, U(1)], vectors[q, U(2)]
        forces[i, U(0)] += gx
        forces[i, U(1)] += gy
        forces[i, U(2)] += gz
        forces[j, U(0)] -= gx
        forces[j, U(1)] -= gy
        forces[j, U(2)] -= gz
        virial[b, 0, 0] += x * gx
        virial[b, 0, 1] += x * gy
        virial[b, 0, 2] += x * gz
        virial[b, 1, 0] += y * gx
        virial[b, 1, 1] += y * gy
        virial[b, 1, 2] += y * gz
        virial[b, 2, 0] += z * gx
        virial[b, 2, 1] += z * gy
        virial[b, 2, 2] += z * gz
