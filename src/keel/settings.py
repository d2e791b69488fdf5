"""What all settings have in common: they do not change, names are checked, and a mistake is told in one sentence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any, Self, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from keel.errors import ConfigError
from keel.showing import table

Model = TypeVar("Model", bound=BaseModel)


class Settings(BaseModel):
    """Settings that do not change and have no unknown names; :mod:`keel.identity` says how results depend on them.

    Raises
    ------
    ConfigError
        Naming the first setting that is unknown or impossible.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    def __init__(self, **given: Any) -> None:
        try:
            super().__init__(**given)
        except ValidationError as error:
            raise ConfigError(f"{type(self).__name__}: {mistake(error, type(self))}") from None

    # What pydantic checks by itself, files and settings within settings, does not pass here and keeps its places.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Yield the settings that are not as they would be without a word: a notebook prints these."""
        fields = type(self).model_fields
        yield from ((n, v) for n, v in self if v != fields[n].get_default(call_default_factory=True))

    def __str__(self) -> str:
        return repr(self)

    def _repr_html_(self) -> str:
        """Show every setting with its meaning."""
        fields = type(self).model_fields
        rows = ((name, repr(value), fields[name].description or "") for name, value in self)
        return table(rows, title=type(self).__name__, header=("setting", "value", "meaning"))

    def replace(self, **changes: Any) -> Self:
        """Return the settings with some changed, checked again."""
        return type(self)(**{**dict(self), **changes})


def parse(model: type[Model], content: Any, source: str) -> Model:
    """Check content against a settings class.

    Raises
    ------
    ConfigError
        Naming the first setting that is wrong, and why.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"{source}: {mistake(error, model)}") from None


def parse_given(model: type[Model], options: dict[str, Any], source: str) -> Model:
    """Check options of which those that are None were not given, and leave the settings to their defaults."""
    return parse(model, {name: value for name, value in options.items() if value is not None}, source)


def mistake(error: ValidationError, settings: type[BaseModel]) -> str:
    """Return what is wrong with the first setting that is, e.g. ``md.length_fs must be positive, not -3``.

    Parameters
    ----------
    error
        What pydantic found.
    settings
        The class that was asked for.
    """
    # A name that is misspelt comes first: it may be why another is missing.
    first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
    place = ".".join(map(str, first["loc"]))
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{place}{_told(first, settings)}".removeprefix(": ") + more


def _told(error: ErrorDetails, settings: type[BaseModel]) -> str:
    """Return what follows the name of the setting."""
    given, bounds = error["input"], error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            return f": there is no such setting; {_instead(error['loc'], settings)}"
        case "missing":
            return " must be given"
        case "model_type":
            return f"{'' if error['loc'] else 'the file'}: it must hold settings, as NAME: VALUE lines"
        case "greater_than" if bounds["gt"] == 0:
            return f" must be positive, not {given!r}"
        case "greater_than_equal" if bounds["ge"] == 0:
            return f" must not be negative, but is {given!r}"
        case "literal_error":
            return f" must be {bounds['expected'].replace(chr(39), '')}, not {given!r}"
        case "value_error":
            return f": {error['msg'].removeprefix('Value error, ')}"
    message = error["msg"]
    return f": {message[0].lower()}{message[1:]}"


def _instead(place: Sequence[int | str], settings: type[BaseModel]) -> str:
    """Return what may have been meant by a name that does not exist."""
    for part in place[:-1]:
        field = settings.model_fields.get(str(part))
        settings = (_settings_in(field.annotation) if field else None) or settings
    near = get_close_matches(str(place[-1]), settings.model_fields, n=1)
    return f"did you mean {near[0]}?" if near else f"choose from {', '.join(settings.model_fields)}"


def _settings_in(annotation: Any) -> type[BaseModel] | None:
    """Return the settings class in a type such as ``list[NetworkSettings]``, if there is one."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_settings_in, get_args(annotation))), None)
