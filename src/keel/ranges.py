"""Allowed values of numbers, with units: the same for settings, options of commands and Python functions.

A type of this file is used wherever such a number is accepted, ``timestep_fs: Timestep``: pydantic checks settings by
it, :mod:`keel.commands.checked` the options of commands, and :func:`checked` the arguments of Python functions. Upper
limits are far beyond values in use; larger ones are typing errors or in another unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite, isnan
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args

from keel.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic_core import CoreSchema

T = TypeVar("T")
FAR = 1e6
"""Limits beyond this only catch typing errors."""


@dataclass(frozen=True)
class Range:
    """The values that a number may have, all those from ``low`` to ``high``.

    Parameters
    ----------
    low, high
        The limits; infinity itself is allowed only where it is ``high``.
    unit
        As readers see it; empty for a pure number.
    above, below
        Whether ``low`` and ``high`` are themselves left out.
    whole
        Only whole numbers.
    """

    low: float
    high: float
    unit: str = ""
    above: bool = False
    below: bool = False
    whole: bool = False

    def holds(self, value: float) -> bool:
        """Whether a number is one of these values; NaN never is."""
        return (self.low < value if self.above else self.low <= value) and (
            value < self.high if self.below else value <= self.high
        )

    def number(self, given: Any) -> Any:
        """Return what was given, a number or its text, as a number of this range.

        Raises
        ------
        ValueError
            Its message is what the number must be, as the predicate of a sentence.
        """
        value = _whole(given) if self.whole else _real(given)
        if value is None:
            kind = "a whole number" if self.whole else "a number"
            raise ValueError(f"must be {kind}{f' ({self.unit})' * bool(self.unit)}, not {given!r}")
        if not self.holds(value):
            raise ValueError(self._beyond(value))
        return value

    def _beyond(self, value: float) -> str:
        """Return what a number beyond the limits should be."""
        if isnan(value):
            return f"must be a number{f' ({self.unit})' * bool(self.unit)}, not nan"
        unit = f" {self.unit}" if self.unit and not self.whole else ""
        low = value < self.low or value == self.low
        if low and self.low == 0:
            return f"must be positive, not {value:g}" if self.above else f"must not be negative, but is {value:g}"
        limit, open_ = (self.low, self.above) if low else (self.high, self.below)
        words = ("above" if open_ else "at least") if low else ("below" if open_ else "at most")
        return f"must be {words} {plain(limit)}{unit}, not {plain(value)}"

    def __str__(self) -> str:
        """Return e.g. ``0 < x <= 20``, without an upper limit that is far beyond use."""
        if self.high >= FAR:
            return f"x {'>' if self.above else '>='} {plain(self.low)}"
        low = "" if self.low == -inf else f"{plain(self.low)} {'<' if self.above else '<='} "
        return f"{low}x {'<' if self.below else '<='} {plain(self.high)}"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check a setting as an option is checked."""
        from pydantic_core import PydanticCustomError, core_schema

        def check(given: Any) -> Any:
            try:
                return self.number(given)
            except ValueError as error:
                raise PydanticCustomError("out_of_range", "{reason}", {"reason": str(error)}) from None

        return core_schema.no_info_before_validator_function(check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Give editors the same limits as pydantic."""
        limits = {("exclusiveMinimum" if self.above else "minimum"): self.low}
        if self.high < inf:
            limits["exclusiveMaximum" if self.below else "maximum"] = self.high
        return {**handler(schema), **limits}


def _real(given: Any) -> float | None:
    """Return a number, or a text as one; None if it is neither."""
    try:
        return None if isinstance(given, bool) else float(given)
    except (TypeError, ValueError, OverflowError):
        return None


def _whole(given: Any) -> int | None:
    """Return a whole number, also from 1e4 and from such a text; None if it is not one."""
    if isinstance(given, int | str) and not isinstance(given, bool):
        try:
            return int(given)
        except ValueError:
            pass
    value = _real(given)
    return int(value) if value is not None and isfinite(value) and value == int(value) else None


def plain(value: float) -> str:
    """Return a number as it would be typed."""
    return str(int(value)) if abs(value) < FAR and value == int(value) else f"{value:g}".replace("e+0", "e")


def range_in(kind: Any) -> Range | None:
    """Return the range in a type such as ``Timestep | None``, if there is one."""
    for part in (kind, *getattr(kind, "__metadata__", ()), *get_args(kind)):
        found = part if isinstance(part, Range) else None if part is kind else range_in(part)
        if found is not None:
            return found
    return None


def checked(kind: Any, given: T, name: str) -> T:
    """Return a number passed to a Python function, or None.

    Parameters
    ----------
    kind
        A type of this file.
    given
        The number.
    name
        That of the parameter.

    Raises
    ------
    ConfigError
        If it is outside the range; states what it must be.
    """
    found = range_in(kind)
    if given is None or found is None:
        return given
    try:
        return found.number(given)  # type: ignore[no-any-return]
    except ValueError as error:
        raise ConfigError(f"{name} {error}") from None


Count = Annotated[int, Range(1, 10**9, whole=True)]
"""At least one."""
CountOrNone = Annotated[int, Range(0, 10**9, whole=True)]
Runs = Annotated[int, Range(1, 10**5, "runs", whole=True)]
Rounds = Annotated[int, Range(1, 10**4, "rounds", whole=True)]
Starts = Annotated[int, Range(1, 10**5, "structures", whole=True)]
Steps = Annotated[int, Range(1, 10**8, "steps", whole=True)]
"""Steps of a whole training."""
Every = Annotated[int, Range(1, 10**9, "steps", whole=True)]
"""Steps between two events; more than there are: never."""
StepsOrNone = Annotated[int, Range(0, 10**9, "steps", whole=True)]
BatchSize = Annotated[int, Range(1, 10**6, "structures", whole=True)]
AtomCount = Annotated[int, Range(1, 10**10, "atoms", whole=True)]
Seed = Annotated[int, Range(0, 2**63 - 1, whole=True)]
"""The range of PyTorch and NumPy."""
Processes = Annotated[int, Range(1, 1024, "processes", whole=True)]
Devices = Annotated[int, Range(1, 4096, "devices", whole=True)]
Nodes = Annotated[int, Range(1, 10**6, "nodes", whole=True)]

Share = Annotated[float, Range(0, 1)]
ShareBelowOne = Annotated[float, Range(0, 1, below=True)]
Weight = Annotated[float, Range(0, 1e6)]
Factor = Annotated[float, Range(0, 1e6, above=True)]
Multiple = Annotated[float, Range(0, 100, above=True)]
"""Share of steps or rates."""
Radius = Annotated[float, Range(0, 10, above=True)]
"""Radius of sharpness-aware steps, relative to the weights."""
Size = Annotated[int, Range(0, 4096, whole=True)]
"""Sizes of the layers of a network, and their number."""
Length = Annotated[float, Range(0, 1e6)]
Rate = Annotated[float, Range(0, 1, above=True)]
"""A learning rate."""

Timestep = Annotated[float, Range(0, 20, "fs", above=True)]
"""The fastest vibrations of the heaviest atoms have periods of some 100 fs."""
Duration = Annotated[float, Range(0, 1e9, "fs", above=True)]
DurationOrZero = Annotated[float, Range(0, 1e9, "fs")]
Friction = Annotated[float, Range(0, 10, "1/fs")]
FrictionAboveZero = Annotated[float, Range(0, 10, "1/fs", above=True)]
Temperature = Annotated[float, Range(0, 1e5, "K", above=True)]
TemperatureOrZero = Annotated[float, Range(0, 1e5, "K")]
PressureGPa = Annotated[float, Range(-1e4, 1e4, "GPa")]
Compressibility = Annotated[float, Range(0, 100, "1/GPa", above=True)]

Cutoff = Annotated[float, Range(0, 100, "Å", above=True)]
"""The cost of a cutoff, and whether atoms are within it, depends on the structures (:mod:`keel.atoms.within_reach`)."""
Distance = Annotated[float, Range(0, 10, "Å")]
Reach = Annotated[float, Range(0, 1000, "Å", above=True)]
"""Interaction range of the energy of an atom, through all layers of a network."""
Bonds = Annotated[float, Range(0, 20, "sums of covalent radii", above=True)]
Strain = Annotated[float, Range(0, 0.5, below=True)]
LengthShare = Annotated[float, Range(0, 1, above=True)]
VolumeShare = Annotated[float, Range(0, 10, above=True)]
ForceCap = Annotated[float, Range(0, inf, "eV/Å", above=True)]
EnergyCap = Annotated[float, Range(0, inf, "eV/atom", above=True)]
Force = Annotated[float, Range(0, 1e6, "eV/Å", above=True)]
EnergyUnit = Annotated[float, Range(0, 1e3, "eV", above=True)]
