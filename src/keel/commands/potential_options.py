"""Options of every command that opens a potential, and how it opens it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keel.errors import ConfigError
from keel.kinds import POTENTIALS

if TYPE_CHECKING:
    from keel.potentials import Opening, Potential

WHAT = f"{POTENTIALS[0].upper()}{POTENTIALS[1:]}."

PotentialName = Annotated[str, typer.Argument(help=WHAT)]
Beside = Annotated[
    list[str] | None,
    typer.Option(help="A potential whose forces are compared, such as the teacher or another seed; may be repeated."),
]
Arguments = Annotated[
    str, typer.Option("--arguments", help="Arguments of an ASE calculator as JSON, e.g. '{\"a\": 1}'.")
]
Trust = Annotated[
    bool,
    typer.Option(
        "--trust", help="Allow files of other packages that run code when they are read, such as MACE models."
    ),
]


def opened(name: str, arguments: str, trust: bool) -> Potential:
    """Return the potential that a command names.

    Raises
    ------
    ConfigError, DataError
        See :func:`keel.open_potential`.
    """
    return openings([name], arguments, trust)[name].open()


def openings(names: Iterable[str | None], arguments: str, trust: bool) -> dict[str, Opening]:
    """Return how the potentials that a command names are opened, by their names; None are left out.

    The arguments go to the calculators among them.

    Raises
    ------
    ConfigError
        If the arguments are not a JSON object, or options of a potential are given without one.
    """
    from keel.potentials.external.opening import Opening, is_calculator

    named, given = [name for name in names if name is not None], _calculator_arguments(arguments)
    if not named and (given or trust):
        raise ConfigError("--arguments and --trust belong to a potential, but none is named")
    calculators = [name for name in named if is_calculator(name)]
    # Where there is no calculator, the first to be opened says so.
    takers = calculators or named
    return {name: Opening(name, given if name in takers else {}, trust) for name in named}


def _calculator_arguments(text: str) -> dict[str, Any]:
    """Return keyword arguments given as JSON."""
    try:
        arguments = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"--arguments: this is not JSON ({error})") from None
    if not isinstance(arguments, dict):
        raise ConfigError('--arguments: name each argument, e.g. {"cutoff": 5.0}')
    return arguments
