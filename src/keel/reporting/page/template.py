"""Pages from their templates, with what every page needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import resources
from types import MappingProxyType
from typing import Any

from keel.version import __version__


def text(*names: str) -> str:
    """Return files of :mod:`keel.reporting`, named with their rooms, one after the other."""
    package = resources.files("keel.reporting")
    return "".join(package.joinpath(name).read_text(encoding="utf-8") for name in names)


def filled(
    template: str, style: str, filters: Mapping[str, Callable[..., Any]] = MappingProxyType({}), **values: Any
) -> str:
    """Return a page as HTML.

    Parameters
    ----------
    template
        File of :mod:`keel.reporting`, such as ``"run/report.html"``.
    style
        CSS; it goes into the page.
    filters
        Functions that the template calls, by name.
    values
        Values of the other names in the template. A missing name is an error; text is escaped.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(filters)
    page = environment.from_string(text(template))
    return page.render(version=__version__, style=Markup(style), svg=Markup, **values)
