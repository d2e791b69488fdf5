"""Options are checked before a command begins: numbers against their ranges, output paths by whether they are writable.

A command declares what an option is by its type, ``temperature: Annotated[Temperature, typer.Option(...)]`` as settings
do, or ``out: Annotated[Path, Output(...), typer.Option(...)]``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from copy import copy
from functools import wraps
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import typer
from typer.core import TyperCommand, TyperOption
from typer.models import ParameterInfo

from keel.errors import ConfigError
from keel.files import Output
from keel.ranges import Range

NUMBERS = {"integer": "a whole number", "number": "a number", "float": "a number"}
"""What an option takes, by a word of the message about a text that is none."""


class Command(TyperCommand):
    """A command that refuses an option that is given twice, of which the first value would be lost, and no numbers."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Check the options, then read them."""
        values, _, order = self.make_parser(ctx).parse_args(args=list(args))
        for option in order:
            single = isinstance(option, TyperOption) and not (option.multiple or option.is_flag or option.count)
            if single and order.count(option) > 1:
                raise ConfigError(f"{max(option.opts, key=len)} is given twice; it takes one value")
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            given = None if error.param is None else values.get(str(error.param.name))
            kind = next((said for word, said in NUMBERS.items() if word in error.message), None)
            if error.param is None or kind is None:
                raise
            texts = given if isinstance(given, list | tuple) else [given]
            bad = next((text for text in texts if not _is(kind, text)), given)
            raise ConfigError(f"{max(error.param.opts, key=len)} must be {kind}, not {bad!r}") from None


def _is(kind: str, text: Any) -> bool:
    """Whether a text is a number of this kind."""
    try:
        int(text) if kind == NUMBERS["integer"] else float(text)
    except (TypeError, ValueError):
        return False
    return True


def checked(command: Callable[..., Any]) -> Callable[..., Any]:
    """Return a command that rejects impossible options by name."""

    @wraps(command)
    def begun(*given: Any, **options: Any) -> Any:
        return command(*given, **options)

    signature = inspect.signature(command, eval_str=True)
    parameters = [p.replace(annotation=_for_typer(p.annotation)) for p in signature.parameters.values()]
    begun.__annotations__ = {p.name: p.annotation for p in parameters}
    begun.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return begun


def mark_of(annotation: Any) -> Range | Output | None:
    """Return what a type such as ``Annotated[Temperature | None, ...]`` says about its values."""
    for part in (*getattr(annotation, "__metadata__", ()), *get_args(annotation)):
        found = part if isinstance(part, Range | Output) else mark_of(part) if get_args(part) else None
        if found is not None:
            return found
    return None


def _for_typer(annotation: Any) -> Any:
    """Return an annotation as typer understands it, with what checks the values."""
    mark = mark_of(annotation)
    infos = [part for part in getattr(annotation, "__metadata__", ()) if isinstance(part, ParameterInfo)]
    if mark is None or not infos:
        return annotation
    info = copy(infos[0])
    info.callback = _callback(mark)
    return Annotated[_plain(annotation), info]


def _callback(mark: Range | Output) -> Callable[..., Any]:
    def check_all(param: typer.CallbackParam, value: Any) -> Any:
        for one in value if isinstance(value, list | tuple) else [value]:
            if one is not None:
                check(mark, one, max(param.opts, key=len) if param.param_type_name == "option" else str(param.name))
        return value

    return check_all


def check(mark: Range | Output, value: float | Path, name: str) -> None:
    """Raise a ConfigError if the value of an option is impossible."""
    try:
        mark.number(value) if isinstance(mark, Range) else mark.check(Path(str(value)))
    except ValueError as error:
        raise ConfigError(f"{name} {error}") from None


def _plain(kind: Any) -> Any:
    """Return a type without its annotations."""
    if get_origin(kind) is Annotated:
        return _plain(get_args(kind)[0])
    inner = tuple(_plain(part) for part in get_args(kind))
    if not inner:
        return kind
    return Union[inner] if get_origin(kind) in (Union, UnionType) else get_origin(kind)[inner]  # noqa: UP007
