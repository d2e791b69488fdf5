"""Crystals under compression in a few numbers: first fall of the pressure, and comparison with the teacher's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keel.evaluation.equilibrium.squeeze import ROUNDING, Squeezed

LENGTHS = (0.92, 0.84, 0.76)
"""Lengths at which pressures are given, as fractions of the crystal's own length."""


def over_teacher(crystal: Squeezed, teacher: Sequence[Squeezed], length: float) -> float | None:
    """Return the pressure of a crystal over the one that the teacher gives it, at a length.

    None where there is no result of the teacher for this crystal, or its pressure is not positive.
    """
    own = next((other.pressure_at(length) for other in teacher if other.name == crystal.name), 0.0)
    return crystal.pressure_at(length) / own if own > ROUNDING else None


def summary_of(crystals: Sequence[Squeezed], teacher: Sequence[Squeezed]) -> dict[str, Any] | None:
    """Return the summary of the crystals of one trial; None if there are none.

    ``caving_in`` counts those whose pressure falls somewhere, ``first_fall_length`` is the largest length at which one
    does, and ``pressure_over_teacher`` the lowest and highest at each of :data:`LENGTHS`, null where none is known.
    """
    if not crystals:
        return None
    falls = [crystal.first_fall for crystal in crystals if crystal.first_fall is not None]
    ratios = {f"{length}": [over_teacher(crystal, teacher, length) for crystal in crystals] for length in LENGTHS}
    known = {length: [ratio for ratio in found if ratio is not None] for length, found in ratios.items()}
    return {
        "crystals": len(crystals),
        "caving_in": len(falls),
        "first_fall_length": max(falls, default=None),
        "pressure_over_teacher": {length: [min(v), max(v)] if v else None for length, v in known.items()},
    }
