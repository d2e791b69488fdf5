"""Several values of one label under different names: whether they say the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keel.atoms.frame import Array

HOTTEST = 20_000.0
"""K; of the atoms whose motion may be part of a stress."""


@dataclass
class Value:
    """One label under one name: its numbers in keel's units, and half of its last printed digit in these."""

    key: str
    number: Array
    digit: float


def agree(values: Sequence[Value]) -> bool:
    """Return whether values differ by no more than their printed digits."""
    first = values[0]
    return all(
        np.all(np.abs(v.number - first.number) <= v.digit + first.digit + 1e-6 + 1e-7 * np.abs(first.number))
        for v in values[1:]
    )


def without_motion(values: list[Value], atoms: int, volume: float) -> list[Value]:
    """Return the virial alone if its difference from the stress is the kinetic part of a pressure."""
    virials = [v for v in values if "virial" in v.key.lower()]
    others = [v for v in values if v not in virials]
    finite = all(np.isfinite(v.number).all() for v in values)
    if not virials or not others or not finite or agree([*virials, *others]):
        return values
    largest = 1.5 * atoms / volume * HOTTEST * 8.617333e-5
    for sign in (1.0, -1.0):  # GPUMD prints its stress with the sign of a pressure.
        motion = [virials[0].number - sign * v.number for v in others]
        lowest = [float(np.linalg.eigvalsh(m)[0]) + v.digit for m, v in zip(motion, others, strict=True)]
        if min(lowest) > -1e-6 and all(np.trace(m) / 3.0 < largest for m in motion):
            return virials
    return values
