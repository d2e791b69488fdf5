"""Settings of a simulation, checked once for all its runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from keel.errors import ConfigError

Ensemble = Literal["nvt", "nve", "npt"]


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
    pressure: float | tuple[float, float] = 0.0
    pressure_time: float = 500.0
    compressibility: float = 0.01

    def __post_init__(self) -> None:
        if self.ensemble not in ("nvt", "nve", "npt"):
            raise ConfigError(f"the ensemble must be nvt, nve or npt, not {self.ensemble!r}")
        if not (self.pressure_time > 0 and self.compressibility > 0):
            raise ConfigError("pressure_time and compressibility must be positive")
        if not (self.timestep > 0 and self.temperature >= 0 and self.friction >= 0 and self.skin >= 0):
            raise ConfigError("timestep must be positive; temperature, friction and skin must not be negative")
        if self.steps < 0 or self.record_every < 0 or self.recent < 1 or self.seed < 0:
            raise ConfigError("steps, record_every and seed must not be negative, and recent must be at least 1")

    def pressure_at(self, step: int) -> float:
        """Return the pressure asked for in GPa: constant, or on a straight line from start to end of the run."""
        if not isinstance(self.pressure, tuple):
            return self.pressure
        first, last = self.pressure
        return first + (last - first) * min(1.0, step / max(1, self.steps))
