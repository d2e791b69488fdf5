"""Settings of a simulation, checked once for all its runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from keel.errors import ConfigError

Ensemble = Literal["nvt", "nve"]


@dataclass(frozen=True)
class MDSettings:
    """How to simulate; see :func:`keel.dynamics.simulate` for the meaning of each."""

    temperature: float
    steps: int
    timestep: float
    friction: float = 0.01
    seed: int = 0
    ensemble: Ensemble = "nvt"
    record_every: int = 0
    recent: int = 5
    skin: float = 1.0

    def __post_init__(self) -> None:
        if self.ensemble not in ("nvt", "nve"):
            raise ConfigError(f"the ensemble must be nvt or nve, not {self.ensemble!r}")
        if not (self.timestep > 0 and self.temperature >= 0 and self.friction >= 0 and self.skin >= 0):
            raise ConfigError("timestep must be positive; temperature, friction and skin must not be negative")
        if self.steps < 0 or self.record_every < 0 or self.recent < 1 or self.seed < 0:
            raise ConfigError("steps, record_every and seed must not be negative, and recent must be at least 1")
