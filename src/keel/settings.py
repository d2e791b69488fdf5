"""What all settings have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer


class Settings(BaseModel):
    """Settings that do not change and have no unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    later: ClassVar[Mapping[str, Any]] = {}
    """Settings that came later than the others, with the values that stand for what was done before."""

    @model_serializer(mode="wrap")
    def _serialised(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Results are found by their settings: where nothing is chosen that could not be before, they keep their names.
        return {k: v for k, v in handler(self).items() if k not in self.later or v != self.later[k]}
