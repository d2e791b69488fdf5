"""What distinguishes a calculator from others, so that results and checkpoints of another one are not taken for its."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

from keel.identity import of_named_files, of_potential


def origin_of(calculator: Any, made_by: tuple[str, Mapping[str, Any]] | None) -> dict[str, Any]:
    """Return what made a calculator (import path, arguments, files that these name), or what it shows of itself.

    The latter are its class, its ``parameters`` as ASE keeps them, and the weights of networks among its attributes.
    What is in none of them cannot be distinguished.
    """
    if made_by is not None:
        path, arguments = made_by
        return {"calculator": path, "arguments": _plain(arguments), "files": of_named_files(arguments)}
    kind = type(calculator)
    return {
        "calculator": f"{kind.__module__}.{kind.__qualname__}",
        "arguments": _plain(getattr(calculator, "parameters", None) or {}),
        "weights": [of_potential(type(m).__name__, None, m.state_dict()) for m in _networks(calculator)],
    }


def _plain(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments as JSON has them; of an object only the class, as its text may differ in each process."""
    return {str(name): _value(value) for name, value in sorted(arguments.items())}


def _value(value: Any) -> Any:
    try:
        return json.loads(json.dumps(value, sort_keys=True))
    except (TypeError, ValueError):
        return type(value).__name__


def _networks(calculator: Any) -> Iterator[nn.Module]:
    for value in (calculator, *getattr(calculator, "__dict__", {}).values()):
        for one in value if isinstance(value, list | tuple) else (value,):
            if isinstance(one, nn.Module):
                yield one
