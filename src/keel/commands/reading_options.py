"""Options of commands that read structures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from keel.atoms.record import LabelKeys

Elements = Annotated[
    str | None, typer.Option(help="Elements of the types 1, 2, ... of files that name none, as MTP's do: Si,O.")
]


def named_elements(elements: str | None) -> tuple[str, ...] | None:
    """Return the elements of ``Si,O``."""
    return tuple(element.strip() for element in elements.split(",")) if elements else None


def keys_of(elements: str | None) -> LabelKeys:
    """Return how files are to be read."""
    from keel.atoms.record import LabelKeys

    return LabelKeys(elements=named_elements(elements))
