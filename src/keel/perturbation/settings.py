"""Settings of the perturbation."""

from __future__ import annotations

from functools import cache
from typing import Annotated

import numpy as np
from pydantic import Field, model_validator

from keel.atoms.frame import Array
from keel.ranges import Bonds, Distance, EnergyCap, ForceCap, LengthShare, Rounds, Share, Strain
from keel.settings import AsList, Settings


class PerturbationSettings(Settings):
    """How children are made from a parent structure: compression or not, strain of the cell, then step 1, then step 2.

    A child belongs to one of ``rounds`` rounds, which differ in the length of step 1 only. "Sum" below is the sum of
    the covalent radii of the two atoms of a pair. Partners are found in the parent, before any move.
    """

    rounds: Rounds = Field(7, description="number of rounds")
    displacement: tuple[Distance, Distance] = Field(
        (0.0, 0.2), description="step 1 moves every atom by exactly this in the first and in the last round"
    )
    pair_fraction: Share = Field(0.1, description="share of the atoms that choose a partner in step 2")
    pair_range: tuple[Bonds, Bonds] = Field(
        (0.4, 1.6), description="the new distance of a pair is uniform between these times the sum"
    )
    near: Bonds = Field(1.5, description="partners are chosen among atoms within this times the sum")
    reach: Bonds = Field(
        2.5, description="if no atom of the drawn element is near, the nearest within this times the sum is the partner"
    )
    strain: Strain = Field(
        0.03, description="largest principal strain of the cell (structures periodic in all directions)"
    )
    compressed: Share = Field(0.1, description="share of the children of a compressed parent")
    compressions: Annotated[tuple[LengthShare, ...], AsList()] = Field(
        (0.94, 0.88, 0.82, 0.76), description="lengths of compressed parents, relative to their own (as for strain)"
    )
    force_cap: ForceCap | None = Field(
        1000.0, description="children with a larger force on any atom are set aside; null: no limit"
    )
    energy_cap: EnergyCap | None = Field(
        20.0, description="children whose energy exceeds the parent's by more than this are set aside; null: no limit"
    )

    @property
    def lengths(self) -> Array:
        """Length of step 1 in each round, in angstrom, shape (rounds,)."""
        return _lengths(*self.displacement, self.rounds)

    @model_validator(mode="after")
    def _possible(self) -> PerturbationSettings:
        if self.pair_range[0] > self.pair_range[1]:
            raise ValueError(f"pair_range goes from a factor to a larger one, not {list(self.pair_range)}")
        if self.compressed and not self.compressions:
            raise ValueError("compressions is empty, but compressed asks for some; set compressed to 0")
        if self.reach < self.near:
            raise ValueError(f"reach ({self.reach:g}) must not be smaller than near ({self.near:g})")
        return self


@cache
def _lengths(first: float, last: float, rounds: int) -> Array:
    return np.linspace(first, last, rounds)
