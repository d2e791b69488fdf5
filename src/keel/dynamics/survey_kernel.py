"""A survey of all atoms in one pass, as machine code."""

from __future__ import annotations

from typing import Any

from keel.jit import exact_kernel


@exact_kernel
def survey(positions: Any, velocities: Any, forces: Any, masses: Any, structure: Any, doubled: Any) -> Any:
    """Add m v^2 of each atom to ``doubled`` (B,); return a sum of all numbers, and the largest squared force."""
    total = largest = 0.0
    for i in range(len(positions)):
        vx, vy, vz = velocities[i, 0], velocities[i, 1], velocities[i, 2]
        fx, fy, fz = forces[i, 0], forces[i, 1], forces[i, 2]
        doubled[structure[i]] += masses[i, 0] * (vx * vx + vy * vy + vz * vz)
        squared = fx * fx + fy * fy + fz * fz
        if squared > largest:
            largest = squared
        total += (positions[i, 0] + positions[i, 1] + positions[i, 2]) + (vx + vy + vz) + (fx + fy + fz)
    return total, largest
