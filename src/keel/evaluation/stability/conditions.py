"""What simulations have to withstand: heat, pressure, compression."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import Field

from keel.atoms.frame import Frame
from keel.atoms.mobility import freed
from keel.dynamics.settings import BarostatSettings, MDSettings, Pressure
from keel.errors import DataError
from keel.ranges import Duration, Runs, Temperature, VolumeShare
from keel.settings import Listed

SHORTEST_FS = 1000.0
"""Shorter simulations that survive prove nothing: this is about ten vibrations, and ten times the 100 fs in which the
usual thermostat (friction 0.01/fs) erases the memory of the start."""


@dataclass(frozen=True)
class Condition:
    """What a simulation has to withstand.

    Parameters
    ----------
    temperature
        In K.
    pressure
        In GPa, with NPT; two numbers: rising from the first to the second; None: NVT.
    volume
        Volume of the start, relative to that of the given structure.
    """

    temperature: float
    pressure: float | tuple[float, float] | None = None
    volume: float = 1.0

    def __str__(self) -> str:
        """Return e.g. ``1000 K and 0 to 20 GPa``."""
        text = f"{self.temperature:g} K"
        if self.pressure is not None:
            ends = self.pressure if isinstance(self.pressure, tuple) else (self.pressure,)
            text += f" and {' to '.join(f'{p:g}' for p in ends)} GPa"
        return text if self.volume == 1.0 else f"{text} in {100 * self.volume:g} % of the volume"

    def start(self, frame: Frame) -> Frame:
        """Return the structure scaled to the volume: all its distances by the same factor; under pressure all moves.

        Raises
        ------
        DataError
            If a structure that is not periodic in three directions is to be compressed.
        """
        frame = frame if self.pressure is None else freed(frame)
        if self.volume == 1.0:
            return frame
        if not frame.pbc.all():
            raise DataError(f"{frame.source}: compression needs a structure that is periodic in three directions")
        return frame.scaled(self.volume ** (1 / 3))


class LadderSettings(BarostatSettings):
    """Simulations up a ladder of temperatures, and at the lowest of them under pressure and compressed."""

    temperatures: Listed[Temperature] = Field(
        [1000.0, 2000.0, 3000.0], min_length=1, description="temperatures of the ladder"
    )
    pressures: Listed[Pressure] = Field([], description="pressures at the lowest temperature; two numbers: a ramp")
    compression: Listed[VolumeShare] = Field(
        [], description="fractions of the volume to start from, at the lowest temperature"
    )
    must_hold: Temperature = Field(1000.0, description="no simulation may fail up to this temperature")
    length_fs: Duration = Field(5000.0, description="length of each simulation")
    n_runs: Runs | None = Field(None, description="simulations under each condition; null: one from each start")

    @property
    def conditions(self) -> list[Condition]:
        """The temperatures in ascending order, then pressures and compressions."""
        lowest = min(self.temperatures)
        conditions = [
            *(Condition(t) for t in sorted(self.temperatures)),
            *(Condition(lowest, pressure=p) for p in self.pressures),
            *(Condition(lowest, volume=v) for v in self.compression),
        ]
        return list(dict.fromkeys(conditions))

    def at(self, condition: Condition) -> MDSettings:
        """Return the settings of the simulations under a condition."""
        found = self.md(condition.temperature, self.length_fs)
        return found if condition.pressure is None else found.replace(ensemble="npt", pressure=condition.pressure)


STANDARD = LadderSettings()
"""What every potential should withstand."""
