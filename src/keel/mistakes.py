"""Mistakes in settings, in words: each with its place and the name probably meant."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

Place = tuple[int | str, ...]

LONGEST = 60
"""Number of characters of the input that a message repeats."""
ADDED = re.compile(r"^(bool|int|float|str)$|[\[(-]|Files$|Settings$")
"""Pydantic's names of types, such as ``tuple[float, float]``."""
PLAIN = {
    "missing": "must be given",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "dict_type": "must contain NAME: VALUE lines",
    "too_short": "must have at least {min_length}",
    "too_long": "must have at most {max_length}",
}
"""The predicate of the sentence, by pydantic's name of the mistake."""


def mistakes(error: ValidationError, settings: type[BaseModel], options: Mapping[str, str] | None = None) -> list[str]:
    """Return everything that is wrong, e.g. ``md.length_fs must be positive, not -3``; unknown names first.

    Parameters
    ----------
    error
        What pydantic found.
    settings
        The settings class.
    options
        Names of the command's options by setting, if they came from the command line.
    """
    found = sorted(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    places = [_place(one["loc"], settings) for one in found]
    sentences: dict[Place, str] = {}
    meant: set[Place] = set()
    for place, one in zip(places, found, strict=True):
        # For a value of several possible types: mistakes in its parts, or else that of the first type.
        if any(other[: len(place)] == place != other for other in places):
            continue
        if place in sentences:
            sentences[place] += f"; or it{_predicate(place, one, settings)}"
            continue
        if one["type"] == "extra_forbidden":
            near = nearest(str(place[-1]), names_at(place[:-1], settings))
            meant |= {(*place[:-1], near)} if near else set()
        if not (one["type"] == "missing" and place in meant):
            sentences[place] = _sentence(place, one, settings, options or {})
    return list(sentences.values())


def nearest(name: str, known: Sequence[str]) -> str | None:
    """Return the name probably meant."""
    return next(iter(get_close_matches(name, known, n=1)), None)


def instead(name: str, known: Sequence[str]) -> str:
    """Return advice for an unknown name: the name probably meant, or all names."""
    near = nearest(name, known)
    return f"did you mean {near}?" if near else f"choose from {', '.join(known)}"


def names_at(place: Place, settings: type[BaseModel]) -> list[str]:
    """Return the names of the settings at a place."""
    found = settings_at(place, settings)
    return list(found.model_fields) if found else []


def settings_at(place: Place, settings: type[BaseModel]) -> type[BaseModel] | None:
    """Return the class of the settings at a place such as ``("networks", 0)``; None if there are none."""
    for part in place:
        field = settings.model_fields.get(str(part))
        if field is None:
            continue  # a number in a list, or a name that the user has given
        inside = settings_in(field.annotation)
        if inside is None:
            return None
        settings = inside
    return settings


def settings_in(annotation: Any) -> type[BaseModel] | None:
    """Return the settings class in a type such as ``list[NetworkSettings]``, if there is one."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(settings_in, get_args(annotation))), None)


def _place(loc: Place, settings: type[BaseModel]) -> Place:
    """Return the place of a mistake in the file, without what pydantic adds for unions."""
    kept: Place = ()
    named_by_user = False
    for part in loc:
        found = settings_at(kept, settings)
        field = found.model_fields.get(str(part)) if found else None
        if field is not None or isinstance(part, int) or named_by_user or not ADDED.search(part):
            kept = (*kept, part)
        named_by_user = field is not None and "dict[" in str(field.annotation)
    return kept


def _sentence(place: Place, error: ErrorDetails, settings: type[BaseModel], options: Mapping[str, str]) -> str:
    """Return a mistake as a sentence."""
    said = _predicate(place, error, settings)
    if not place:
        # A contradiction begins with a name if it begins with one of these.
        first, space, rest = said.removeprefix(": ").partition(" ")
        return f"{options.get(first, first)}{space}{rest}"
    if str(place[0]) in options:
        return f"{options[str(place[0])]}{said}"
    return f"{'.'.join(map(str, place))}{said}"


def _predicate(place: Place, error: ErrorDetails, settings: type[BaseModel]) -> str:
    """Return what follows the name of the setting."""
    given = repr(error["input"])
    given = given if len(given) <= LONGEST else f"{given[:LONGEST]}..."
    match error["type"]:
        case "extra_forbidden":
            return f": there is no such setting; {instead(str(place[-1]), names_at(place[:-1], settings))}"
        case "model_type" | "model_attributes_type":
            return f"{'' if place else 'the file'}: it must contain settings, as NAME: VALUE lines"
        case "out_of_range":
            return f" {error['msg']}"
        case "literal_error":
            return f" must be {error['ctx']['expected'].replace(chr(39), '')}, not {given}"
        case "value_error":
            return f": {error['msg'].removeprefix('Value error, ')}"
        case kind if kind in PLAIN:
            return f" {PLAIN[kind].format(**error.get('ctx', {}))}{'' if kind == 'missing' else f', not {given}'}"
    message = error["msg"]
    return f": {message[0].lower()}{message[1:]}"
