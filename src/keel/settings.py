"""Common base of all settings: they are immutable, names are checked, and a mistake is reported in one sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic_core import CoreSchema, core_schema

from keel.errors import ConfigError
from keel.mistakes import mistakes
from keel.showing import table

Model = TypeVar("Model", bound=BaseModel)
Item = TypeVar("Item")


@dataclass(frozen=True)
class AsList:
    """A list that may be given as a single value without brackets: ``seeds: 0``."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Put a value that is not a list into one."""

        def listed(given: Any) -> Any:
            return given if given is None or isinstance(given, list | tuple) else [given]

        return core_schema.no_info_before_validator_function(listed, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Describe both forms to editors."""
        as_list = handler(schema)
        return {"anyOf": [as_list, as_list["items"]]}


@dataclass(frozen=True)
class OrName:
    """Settings that may be given as the value of a single one: ``CGCNN`` for ``{architecture: CGCNN}``.

    Parameters
    ----------
    setting
        Its name.
    """

    setting: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Give a text its name."""

        def named(given: Any) -> Any:
            return {self.setting: given} if isinstance(given, str) else given

        return core_schema.no_info_before_validator_function(named, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Describe both forms to editors."""
        return {"anyOf": [handler(schema), {"type": "string"}]}


Listed = Annotated[list[Item], AsList()]


class Settings(BaseModel):
    """Settings that do not change and have no unknown names; :mod:`keel.identity` says how results depend on them.

    Raises
    ------
    ConfigError
        Names all settings that are unknown or impossible.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    def __init__(self, **given: Any) -> None:
        try:
            super().__init__(**given)
        except ValidationError as error:
            raise ConfigError(f"{type(self).__name__}: {mistake(error, type(self))}") from None

    # What pydantic checks by itself, files and settings within settings, bypasses this and keeps its places.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    @classmethod
    def given(cls, settings: Self | Mapping[str, Any] | None) -> Self:
        """Return an argument as settings: these, or those that a dictionary names; None: the defaults.

        Raises
        ------
        ConfigError
            If it is neither, or a setting is wrong.
        """
        if isinstance(settings, cls):
            return settings
        if settings is not None and not isinstance(settings, Mapping):
            raise ConfigError(f"settings must be {cls.__name__} or a dictionary of them, not {settings!r}")
        return cls(**dict(settings or {}))

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Yield the settings that differ from their defaults: a notebook prints these."""
        fields = type(self).model_fields
        # What a network takes besides has no default here.
        defaults = {name: field.get_default(call_default_factory=True) for name, field in fields.items()}
        yield from ((n, v) for n, v in self if n not in defaults or v != defaults[n])

    def __str__(self) -> str:
        return repr(self)

    def _repr_html_(self) -> str:
        """Show every setting with its meaning."""
        fields = type(self).model_fields
        rows = ((name, repr(value), fields[name].description or "") for name, value in self)
        return table(rows, title=type(self).__name__, header=("setting", "value", "meaning"))

    def replace(self, **changes: Any) -> Self:
        """Return the settings with some changed, checked again; what was left at its default stays so."""
        return type(self)(**{**{name: getattr(self, name) for name in self.model_fields_set}, **changes})


def parse(model: type[Model], content: Any, source: str, options: Mapping[str, str] | None = None) -> Model:
    """Check content against a settings class.

    Parameters
    ----------
    model
        The class.
    content
        Settings by name.
    source
        Origin of the settings: a file, a command.
    options
        Options of the command by the names of their settings, if they were given on the command line.

    Raises
    ------
    ConfigError
        Names all settings that are wrong, and why.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"{source}: {mistake(error, model, options)}") from None


def parse_given(
    model: type[Model], given: dict[str, Any], source: str, options: Mapping[str, str] | None = None
) -> Model:
    """Check options of a command; those that are None were not given and take their defaults.

    Parameters
    ----------
    model, source
        See :func:`parse`.
    given
        Options by the names of their settings.
    options
        Names of the options that differ from those of their settings.
    """
    names = {name: f"--{name.replace('_', '-')}" for name in given} | dict(options or {})
    return parse(model, {name: value for name, value in given.items() if value is not None}, source, names)


def mistake(error: ValidationError, settings: type[BaseModel], options: Mapping[str, str] | None = None) -> str:
    """Return all that is wrong: one sentence, or a line for each of several; see :func:`keel.mistakes.mistakes`."""
    found = mistakes(error, settings, options)
    return found[0] if len(found) == 1 else "\n  ".join([f"{len(found)} settings are wrong", *found])


_WHOLE = "tag:yaml.org,2002:int"


class _Loader(yaml.SafeLoader):
    """YAML without repeated names, of which PyYAML would use the last, and with 010 and 1:30 as YAML 1.2 means them."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[str, int] = {}
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"):
            line = key.start_mark.line + 1
            if key.value in lines:
                raise ConfigError(f"{key.value} is given twice, in lines {lines[key.value]} and {line}")
            lines[key.value] = line
        return super().construct_mapping(node, deep)


def _whole(loader: _Loader, node: yaml.ScalarNode) -> int:
    return int(loader.construct_scalar(node))


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if tag != _WHOLE]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_WHOLE, re.compile(r"[-+]?[0-9][0-9_]*$"), list("-+0123456789"))
_Loader.add_constructor(_WHOLE, _whole)


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML file.

    Raises
    ------
    ConfigError
        If it cannot be read or is not YAML, or a name is given twice.
    """
    try:
        return yaml.load(path.read_text("utf-8-sig"), Loader=_Loader)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: this is not UTF-8 text; save it in this encoding") from None
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        place = f"{path}, line {mark.line + 1}" if mark else path
        said = f" ({problem})" if problem else ""
        raise ConfigError(f"{place}: this is not YAML{said}; check indentation, colons, brackets and quotes") from None
