"""Settings of simulations, the same from Python, files and the command line; each default is defined here only."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import BeforeValidator, Field

from keel.atoms.frame import Frame
from keel.errors import KeelWarning
from keel.ranges import (
    AtomCount,
    Compressibility,
    Count,
    Devices,
    Distance,
    Duration,
    DurationOrZero,
    Every,
    Force,
    Friction,
    Nodes,
    PressureGPa,
    Seed,
    StepsOrNone,
    TemperatureOrZero,
    Timestep,
)
from keel.settings import Settings

LENGTH_FS, RECORD_EVERY = 1000.0, 10
"""Defaults of ``keel md`` and :func:`keel.md`: length of a run, and steps between two written structures."""
Ensemble = Literal["nvt", "nve", "npt"]
Velocities = Literal["draw", "file"]
Precision = Literal["float32", "float64"]
DTYPES: dict[Precision, torch.dtype] = {"float32": torch.float32, "float64": torch.float64}
"""Precisions by their names in PyTorch."""


def _number_or_ramp(given: Any) -> Any:
    if isinstance(given, Sequence) and not isinstance(given, str) and len(given) != 2:
        raise ValueError(f"a pressure is one number in GPa, or the first and the last of a ramp, not {list(given)}")
    return given


Pressure = Annotated[PressureGPa | tuple[PressureGPa, PressureGPa], BeforeValidator(_number_or_ramp)]
"""In GPa: one number, or the first and the last of a straight line along the run."""


LONG = 4
"""Factor of the usual time step above which a warning is given."""


def usual_timestep(structures: Iterable[Frame]) -> float:
    """Return the time step that suits these atoms, in fs: 0.5 if any of them is hydrogen, else 1."""
    return 0.5 if any((frame.numbers == 1).any() for frame in structures) else 1.0


class SimulationSettings(Settings):
    """What all simulations of a set share."""

    timestep_fs: Timestep | None = Field(None, description="time step; null: 1 fs, or 0.5 fs with hydrogen")
    friction_per_fs: Friction = Field(0.01, description="friction of the Langevin thermostat")
    seed: Seed = Field(0, description="seed of velocities and noise")
    max_atoms: AtomCount | None = Field(None, description="atoms simulated in one batch; null: depends on the device")

    def timestep_of(self, structures: Iterable[Frame]) -> float:
        """Return the time step in fs: the one that was set, else 0.5 if any structure contains hydrogen, else 1."""
        return self.timestep_fs if self.timestep_fs is not None else usual_timestep(structures)

    def md(self, temperature: float, length_fs: float) -> MDSettings:
        """Return the settings of one of the simulations, at this temperature in K and of this length in fs."""
        shared = [name for name in BarostatSettings.model_fields if name in type(self).model_fields]
        return MDSettings(
            temperature=temperature, length_fs=length_fs, **{name: getattr(self, name) for name in shared}
        )


class BarostatSettings(SimulationSettings):
    """Settings of simulations under pressure."""

    pressure_time_fs: Duration = Field(500.0, description="npt: relaxation time of the volume")
    compressibility: Compressibility = Field(
        0.01, description="npt: compressibility of the barostat; need only be approximate"
    )


class MDSettings(BarostatSettings):
    """One simulation of each of some structures.

    NVT is Langevin dynamics with the BAOAB splitting, NVE velocity Verlet (:mod:`keel.dynamics.integrators`), NPT
    Langevin dynamics whose volume follows the pressure, isotropic, by stochastic cell rescaling
    (:mod:`keel.dynamics.barostat`). What is null in a file is None here.

    Without ``max_atoms`` 1,024 atoms move in one batch on a CPU, where larger ones gain little for their memory, and
    50,000 on a GPU; a structure that is larger moves alone. A run is the same in any batch, but for rounding.
    """

    temperature: TemperatureOrZero = Field(..., description="temperature of the thermostat and of drawn velocities")
    length_fs: DurationOrZero = Field(
        ..., description="length of each run from its beginning, rounded up to whole steps"
    )
    ensemble: Ensemble = Field("nvt", description="constant temperature, energy (nve), or temperature and pressure")
    pressure: Pressure = Field(
        0.0, description="npt: pressure; two numbers: from the first to the second along the run"
    )
    velocities: Velocities = Field("draw", description="initial velocities: drawn at the temperature, or from the file")
    record_every: StepsOrNone = Field(
        0, description="steps between two recorded states, beginning with the start; 0: none"
    )
    recent: Count = Field(5, description="number of last states to keep of each run")
    skin: Distance = Field(1.0, description="skin of the Verlet lists")
    stop_above: Force | None = Field(
        None, description="end a run where potentials beside disagree more about the force on an atom; null: never"
    )
    compare_every: Every = Field(10, description="steps between two such comparisons")


class Schedule(MDSettings):
    """The settings of a simulation whose structures, and with them the time step, are known."""

    timestep_fs: Timestep

    @classmethod
    def of(cls, settings: MDSettings, structures: Iterable[Frame]) -> Self:
        """Return the settings with the time step that these structures need where none was set."""
        if isinstance(settings, cls):
            return settings
        structures = list(structures)
        given = {name: getattr(settings, name) for name in MDSettings.model_fields}
        timestep, usual = settings.timestep_of(structures), usual_timestep(structures)
        if timestep > LONG * usual:
            warnings.warn(
                f"a time step of {timestep:g} fs is long for these atoms, for which {usual:g} fs is usual; runs may "
                "fail for this reason alone",
                KeelWarning,
                stacklevel=1,
            )
        return cls(**{**given, "timestep_fs": timestep})

    @cached_property
    def steps(self) -> int:
        """The least number of steps that reaches the length."""
        if self.length_fs == 0:
            return 0
        # Half a millionth of a step is rounding, not a further step.
        return max(1, -int(-(self.length_fs / self.timestep_fs - 5e-7) // 1))

    def pressure_at(self, step: int) -> float:
        """Return the target pressure in GPa: constant, or on a straight line from start to end of the run."""
        if not isinstance(self.pressure, tuple):
            return self.pressure
        first, last = self.pressure
        return first + (last - first) * min(1.0, step / max(1, self.steps))


class ComputeSettings(Settings):
    """Where simulations run, and in which precision; positions and velocities are always float64.

    Runs are divided among the devices so that all have about as much to do; each has a process, and each process
    returns all results. If torchrun or srun has started this process, their numbers of processes are used where
    ``devices`` and ``nodes`` are not both 1; ``devices=None`` uses them if there are any
    (:func:`keel.launch.launched`). With ``max_atoms`` whole batches are divided, and the numbers are those of one
    process to the last bit (on a CPU).
    """

    precision: Precision = Field("float32", description="precision of the potential")
    device: str | None = Field(None, description="cpu, cuda, ...; null: the device of the potential")
    devices: Devices | None = Field(1, description="number of devices per node that share the runs; null: as started")
    nodes: Nodes = Field(1, description="number of nodes, each with this many devices")
    compile: bool | None = Field(None, description="compile networks; null: if that saves time")

    @property
    def dtype(self) -> torch.dtype:
        """The precision as PyTorch names it."""
        return DTYPES[self.precision]


HERE = ComputeSettings()
"""One process, on the device of the potential, in single precision."""
