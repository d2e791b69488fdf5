"""Settings in words, from the classes themselves: name, kind, unit, range, default and meaning of each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from keel.errors import ConfigError
from keel.mistakes import nearest, settings_in
from keel.ranges import Range, range_in

HEAD = """# Settings of a run

Every setting of a configuration (YAML) of `keel run`, and of `keel.config.RunSettings` in Python. `keel settings` shows
the same on the terminal, `keel settings training.loss` some of it. All settings except `name` and `data` are optional.

An editor completes and checks names and values as you type: `keel settings --schema > keel-run.schema.json`, and as the
first line of the configuration

    # yaml-language-server: $schema=keel-run.schema.json

The brackets of a list with one item may be left out (`seeds: 0`); in ranges, `x` is the value. A file with
`extends: other.yaml` contains only what differs from that one.

This page is made by `make docs`; a test compares it with the classes.
"""
WORDS = {int: "whole number", float: "number", str: "text", bool: "true or false"}


@dataclass(frozen=True)
class Setting:
    """One setting.

    Parameters
    ----------
    place
        Its name after those of its sections: ``training.loss.energy``; ``[]`` marks lists, ``NAME`` a name chosen by
        the user, ``[architecture: CGCNN]`` what belongs to one class of networks.
    kind
        Its type, in words.
    default
        As in YAML; ``required`` if there is none.
    unit, limits
        Unit and range of a number; empty if there is none.
    meaning
        What it does.
    """

    place: str
    kind: str
    default: str
    unit: str
    limits: str
    meaning: str

    @property
    def name(self) -> str:
        """Its name within its section."""
        return self.place.rpartition(".")[2]

    @property
    def section(self) -> str:
        """The place of its section; empty at the top."""
        return self.place if self.kind == "settings" else self.place.rpartition(".")[0]


def described(model: type[BaseModel], before: str = "") -> Iterator[Setting]:
    """Yield every setting of a class, a section's own after it."""
    for name, field in model.model_fields.items():
        place, inside = before + name, settings_in(field.annotation)
        yield _setting(place, field, inside)
        if inside is not None:
            yield from described(inside, f"{place}{_each(field.annotation)}.")


def _setting(place: str, field: FieldInfo, inside: type[BaseModel] | None) -> Setting:
    whole = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    limits = range_in(whole)
    meaning = field.description or _first_line(inside)
    return Setting(
        place,
        _kind(field.annotation),
        _default(field, inside),
        limits.unit if limits else "",
        _limits(limits),
        meaning,
    )


def _first_line(inside: type[BaseModel] | None) -> str:
    """Return what a section is, as its class says."""
    text = ((inside.__doc__ if inside else None) or "").strip().partition("\n")[0]
    text = re.sub(r" \(see :\w+:`[^`]*`\)|:\w+:|`", "", text).rstrip(".")
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def _each(annotation: Any) -> str:
    """Return how a place continues into the items of a list, or into names chosen by the user."""
    kinds = {get_origin(part) for part in (annotation, *get_args(annotation))}
    return ".NAME" if dict in kinds else "[]" if list in kinds else ""


def _kind(annotation: Any) -> str:
    """Return a type in words."""
    origin, args = get_origin(annotation), [a for a in get_args(annotation) if not isinstance(a, Range)]
    if origin is Annotated:
        return _kind(args[0])
    if origin in (Union, UnionType):
        return " or ".join("null" if part is NoneType else _kind(part) for part in args)
    if origin is Literal:
        return ", ".join(map(str, args))
    if origin is list or (origin is tuple and args[-1] is Ellipsis):
        kind = _kind(args[0])
        return f"list of {kind if get_origin(args[0]) is Literal else kind.removesuffix('s') + 's'}"
    if origin is tuple:
        return f"{len(args)} {_kind(args[0])}s"
    if origin is dict:
        return f"NAME: {_kind(args[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "settings"
    return WORDS.get(annotation, "anything")


def _limits(limits: Range | None) -> str:
    return str(limits) if limits else ""


def _default(field: FieldInfo, inside: type[BaseModel] | None) -> str:
    """Return the default as one line of YAML."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if inside is not None and isinstance(value, BaseModel):
        return ""
    if isinstance(value, list) and value and isinstance(value[0], BaseModel):
        value = [one.label for one in value]
    value = list(value) if isinstance(value, tuple) else value
    return yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("...\n").strip()


def within(settings: Sequence[Setting], section: str | None) -> list[Setting]:
    """Return the settings of a section and all below it, or those whose last name it is.

    Raises
    ------
    ConfigError
        If there are none; suggests the name probably meant.
    """
    if section is None:
        return list(settings)
    asked = _plainly(section)
    named = [p for p in map(_plainly, (s.place for s in settings)) if p == asked or p.rpartition(".")[2] == asked]
    found = [s for s in settings if any(f"{_plainly(s.place)}.".startswith(f"{name}.") for name in named)]
    if not found:
        known = [_plainly(s.place) for s in settings]
        near = nearest(asked, [*known, *(name.rpartition(".")[2] for name in known)])
        raise ConfigError(
            f"there is no setting {section!r}; {f'did you mean {near}?' if near else '`keel settings` shows all'}"
        )
    return found


def page(settings: Sequence[Setting]) -> str:
    """Return a page in Markdown with a table of each section."""
    parts = [HEAD]
    for top in dict.fromkeys(_plainly(s.place).partition(".")[0] for s in settings):
        rows = [s for s in settings if _plainly(s.place).partition(".")[0] == top]
        if len(rows) == 1:
            continue
        parts += [f"\n## {top}\n\n{_capital(rows[0].meaning)}.\n\n{table(rows[1:])}"]
    alone = [s for s in settings if "." not in s.place and "[" not in s.place]
    parts.insert(1, f"\n## All together\n\n{table(alone)}")
    return "".join(parts)


def table(rows: Sequence[Setting]) -> str:
    """Return a table in Markdown with a row for each setting."""
    head = "| setting | what it may be | default | unit | meaning |\n|---|---|---|---|---|\n"
    return head + "".join(f"{_row(one)}\n" for one in rows)


def _row(one: Setting) -> str:
    kind = f"{one.kind}, {one.limits}" if one.limits else one.kind
    default = f"`{one.default}`" if one.default not in ("", "required") else one.default
    cells = [f"`{one.place}`", kind, default, one.unit, one.meaning]
    return "| " + " | ".join(cell.replace("|", "\\|").replace("<", "&lt;") for cell in cells) + " |"


def _plainly(place: str) -> str:
    """Return a place without the marks of lists, architectures and names."""
    return re.sub(r"\[[^]]*\]", "", place).replace(".NAME", "")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
