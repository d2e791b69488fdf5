"""``--plugin``, an option of every command and of keel itself."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any

import typer

from keel.commands.checked import Command, checked

HELP = "Module, or file such as mine.py, with your own networks, teachers, probes, readers or strategies; repeatable."
Plugins = Annotated[list[str] | None, typer.Option("--plugin", metavar="MODULE", help=HELP)]
OPTION = inspect.Parameter("plugin", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Plugins)


class Commands(typer.Typer):
    """Commands whose options are checked before they begin, each with ``--plugin``."""

    def command(self, name: str | None = None, **options: Any) -> Callable[[Any], Any]:
        """See :class:`typer.Typer`."""
        register = super().command(name, **{"cls": Command, **options})
        return lambda command: register(with_plugins(checked(command)))


def with_plugins(command: Callable[..., Any]) -> Callable[..., Any]:
    """Return a command that first imports what ``--plugin`` names."""

    @wraps(command)
    def begun(*given: Any, plugin: list[str] | None, **options: Any) -> Any:
        loaded(plugin)
        return command(*given, **options)

    signature = inspect.signature(command, eval_str=True)
    parameters = {**signature.parameters, OPTION.name: OPTION}
    begun.__annotations__ = {name: parameter.annotation for name, parameter in parameters.items()}
    begun.__signature__ = signature.replace(parameters=list(parameters.values()))  # type: ignore[attr-defined]
    return begun


def loaded(plugins: list[str] | None) -> None:
    """Import what ``--plugin`` names."""
    if plugins:
        from keel.plugins import load_plugins

        load_plugins(plugins, ".")
