"""What a potential is probed with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch

from keel.atoms.frame import Frame
from keel.dynamics.settings import MDSettings
from keel.evaluation.clusters.dimers import DimerCurve
from keel.evaluation.probing import computed_in
from keel.evaluation.settings import AssessmentSettings
from keel.potentials.base import Potential


@dataclass(frozen=True, eq=False)
class Subject:
    """A potential, and what it is probed with.

    Parameters
    ----------
    potential
        What is assessed.
    frames
        Structures of the material, with labels or without.
    starts
        Structures from which simulations start.
    few
        Small ones, for probes that need many evaluations.
    crystal
        One near its equilibrium.
    elements
        Atomic numbers of the elements of dimers and trimers.
    settings
        All settings: temperatures and pressures, lengths, precision, seed.
    reference
        DFT frames at the temperature of the settings, for comparing structure and, if volumes change, density; may be
        empty.
    beside
        A potential for comparing equilibrium and clusters, or None.
    dimers
        DFT dimer curves by name of the pair; may be empty.
    """

    potential: Potential
    frames: tuple[Frame, ...]
    starts: tuple[Frame, ...]
    few: tuple[Frame, ...]
    crystal: Frame
    elements: tuple[int, ...]
    settings: AssessmentSettings = field(default_factory=AssessmentSettings)
    reference: tuple[Frame, ...] = ()
    beside: Potential | None = None
    dimers: Mapping[str, DimerCurve] = field(default_factory=dict)

    @property
    def md(self) -> MDSettings:
        """Settings of a simulation in which structure and density are measured."""
        return self.settings.md(self.settings.temperature, self.settings.length_fs)

    @cached_property
    def dtype(self) -> torch.dtype:
        """The precision to judge exact properties in: that of the settings, or float32 if it has nothing else."""
        asked = self.settings.dtype
        return asked if asked == torch.float32 else computed_in(self.potential, self.few)
