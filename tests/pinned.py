"""Settings as they were meant before any default was changed."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from keel.identity import BEFORE


def pinned(settings: Any) -> Any:
    """Return settings of which those that were not given are what their defaults were."""
    if isinstance(settings, list):
        return [pinned(one) for one in settings]
    if not isinstance(settings, BaseModel):
        return settings
    then = BEFORE.get(type(settings).__name__, {})
    return settings.model_copy(
        update={
            name: then[name] if name in then and name not in settings.model_fields_set else pinned(value)
            for name, value in settings
        }
    )
