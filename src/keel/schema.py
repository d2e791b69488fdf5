"""The JSON schema of configuration files, which editors use to complete and check them during typing."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

DIALECT = "https://json-schema.org/draft/2020-12/schema"
EXTENDS = {"type": "string", "description": "another file; this one contains only what differs from it"}


def schema_of_files(model: type[BaseModel]) -> dict[str, Any]:
    """Return the schema of files that hold settings of a class.

    Required settings may be left out of a file that extends another, in every section.

    Parameters
    ----------
    model
        Of the whole file.
    """
    schema = model.model_json_schema()
    inside = schema.get("$defs", {})
    needed = _needed(schema, inside)
    for part in (schema, *inside.values()):
        part.pop("required", None)
        part.pop("title", None)
        for field in part.get("properties", {}).values():
            field.pop("title", None)
    schema["properties"] = {"extends": EXTENDS, **schema["properties"]}
    alone = {"if": {"not": {"required": ["extends"]}}, "then": needed}
    return {"$schema": DIALECT, "title": "configuration of keel run", **schema, **alone}


def _needed(part: dict[str, Any], inside: dict[str, Any]) -> dict[str, Any]:
    """Return the required settings, section by section."""
    below = {name: _needed(_section(field, inside), inside) for name, field in part.get("properties", {}).items()}
    found: dict[str, Any] = {"required": part["required"]} if "required" in part else {}
    if deeper := {name: needed for name, needed in below.items() if needed}:
        found["properties"] = deeper
    return found


def _section(field: dict[str, Any], inside: dict[str, Any]) -> dict[str, Any]:
    """Return the section of a field; empty if it is not a section."""
    return dict(inside.get(field.get("$ref", "").rpartition("/")[2], {}))
