"""Settings of an assessment."""

from __future__ import annotations

import torch
from pydantic import Field

from keel.dynamics.settings import DTYPES, Precision
from keel.evaluation.stability.conditions import LadderSettings
from keel.ranges import PressureGPa, Starts, Temperature
from keel.settings import Listed


class AssessmentSettings(LadderSettings):
    """Which probes are applied to a potential, and how thoroughly; the seed fixes all random choices."""

    probes: Listed[str] | None = Field(None, description="groups of probes; null: all")
    starts: Starts = Field(8, description="number of starting structures of simulations")
    temperature: Temperature = Field(300.0, description="temperature of the probes of structure, diffusion and density")
    pressure: PressureGPa = Field(0.0, description="pressure of the density probe")
    by: str | None = Field(
        None, description="info key that names the structure of a frame; null: all frames are of the same structure"
    )
    precision: Precision = Field(
        "float64",
        description="precision of the tests of exact properties; float32 for potentials that compute in nothing else, "
        "and for the conservation of energy, as in other simulations",
    )
    device: str | None = Field(None, description="cpu, cuda, ...; null: the device of the potential")

    @property
    def nve_starts(self) -> int:
        """The number of starts of simulations at constant energy, which take three times as many steps as others."""
        return max(1, self.starts // 2)

    @property
    def dtype(self) -> torch.dtype:
        """The precision as PyTorch names it."""
        return DTYPES[self.precision]
