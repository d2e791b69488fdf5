"""Settings of the perturbation."""

from __future__ import annotations

from functools import cache

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from keel.atoms.frame import Array
from keel.settings import Settings


class PerturbationSettings(Settings):
    """How children are made from a parent structure: compression or not, strain of the cell, then step 1, then step 2.

    A child belongs to one of ``rounds`` rounds, which differ in the length of step 1 only. "Sum" below is the sum of
    the covalent radii of the two atoms of a pair. Partners are found in the parent, before any move.
    """

    rounds: PositiveInt = Field(7, description="number of rounds")
    displacement: tuple[float, float] = Field(
        (0.0, 0.2), description="angstrom; step 1 moves every atom by exactly this in the first and in the last round"
    )
    pair_fraction: float = Field(0.1, ge=0, le=1, description="share of the atoms that choose a partner in step 2")
    pair_range: tuple[float, float] = Field(
        (0.4, 1.6), description="the new distance of a pair is uniform between these times the sum"
    )
    near: PositiveFloat = Field(1.5, description="partners are chosen among atoms within this times the sum")
    reach: PositiveFloat = Field(
        2.5, description="if no atom of the drawn element is near, the nearest within this times the sum is the partner"
    )
    strain: float = Field(
        0.03, ge=0, lt=0.5, description="largest principal strain of the cell (structures periodic in all directions)"
    )
    compressed: float = Field(0.1, ge=0, le=1, description="share of the children of a compressed parent")
    compressions: tuple[float, ...] = Field(
        (0.94, 0.88, 0.82, 0.76), description="lengths of compressed parents as shares of their own (as for strain)"
    )
    force_cap: PositiveFloat | None = Field(
        1000.0, description="eV/angstrom; children with a larger force on any atom are set aside; null: none are"
    )
    energy_cap: PositiveFloat | None = Field(
        20.0, description="eV/atom above the parent; children with a higher energy are set aside; null: none are"
    )

    @property
    def lengths(self) -> Array:
        """Length of step 1 in each round, in angstrom, shape (rounds,)."""
        return _lengths(*self.displacement, self.rounds)

    @model_validator(mode="after")
    def _possible(self) -> PerturbationSettings:
        if min(self.displacement) < 0:
            raise ValueError(f"displacement holds two lengths in angstrom, not {list(self.displacement)}")
        if not 0 < self.pair_range[0] <= self.pair_range[1]:
            raise ValueError(f"pair_range goes from a positive factor to a larger one, not {list(self.pair_range)}")
        if not all(0 < length <= 1 for length in self.compressions) or (self.compressed and not self.compressions):
            raise ValueError(f"compressions holds shares of a length up to 1, not {list(self.compressions)}")
        if self.reach < self.near:
            raise ValueError(f"reach ({self.reach:g}) must not be smaller than near ({self.near:g})")
        return self


@cache
def _lengths(first: float, last: float, rounds: int) -> Array:
    return np.linspace(first, last, rounds)
