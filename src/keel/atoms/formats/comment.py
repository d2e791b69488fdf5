"""The comment line of extended XYZ: ``key=value`` pairs, read as ASE reads them and written so that they come back."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np

from keel.errors import DataError

_QUOTED = r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|\{[^}]*\}|\[[^\]]*\]'
_PAIR = re.compile(rf"\s*({_QUOTED}|[^\s=]+)(?:\s*=\s*({_QUOTED}|\S*))?")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?(?:nan|inf)", re.IGNORECASE)
_INTEGER = re.compile(r"[+-]?\d{1,18}")
_TRUTH = {"T": True, "F": False, "True": True, "False": False, "true": True, "false": False}
_TRUTH |= {"TRUE": True, "FALSE": False}


def parse_comment(comment: str) -> dict[str, Any]:
    """Return the ``key=value`` pairs of a comment line with their values typed as ASE does.

    A line without any is kept as ``comment``.

    Raises
    ------
    DataError
        If a key stands twice or a quotation mark is not closed.
    """
    if "=" not in comment:
        return {"comment": comment} if comment else {}
    info: dict[str, Any] = {}
    for key, value in _PAIR.findall(comment):
        key = _unquoted(key)
        if key in info:
            raise DataError(f"the key {key!r} stands twice in its comment line; remove one")
        if value[:1] in ('"', "'", "{", "[") and value == _unquoted(value):
            raise DataError(f"the value of {key!r} in its comment line opens with {value[0]} and is not closed")
        info[key] = _typed(_unquoted(value)) if value else True
    return info


def _unquoted(word: str) -> str:
    if len(word) < 2 or word[0] + word[-1] not in ('""', "''", "{}", "[]"):
        return word
    return re.sub(r"\\(.)", r"\1", word[1:-1])


def _typed(text: str) -> Any:
    if text.startswith("_JSON "):
        try:
            return json.loads(text[6:])
        except ValueError:
            return text
    words = re.findall(r"[^\s,]+", text)
    if words and all(map(_INTEGER.fullmatch, words)):
        return int(words[0]) if len(words) == 1 else np.array(words, dtype=np.int64)
    if words and all(map(_NUMBER.fullmatch, words)):
        return float(words[0]) if len(words) == 1 else np.array(words, dtype=np.float64)
    if words and all(w in _TRUTH for w in words):
        return _TRUTH[words[0]] if len(words) == 1 else np.array([_TRUTH[w] for w in words])
    return text


def quoted(text: str) -> str:
    """Return a key or value with quotation marks where it needs them."""
    if text and not re.search(r"[\s=\"'{}\[\]\\,]", text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def value_text(value: Any) -> str:
    """Return a value as it stands after ``key=``: plain where reading gives the same value back, JSON elsewhere."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, bool):
        return "T" if value else "F"
    if isinstance(value, float) or (isinstance(value, int) and abs(value) < 10**18):
        return repr(value)
    if isinstance(value, list) and len(value) > 1 and {type(v) for v in value} in ({float}, {int}):
        return '"' + " ".join(map(repr, value)) + '"'
    if isinstance(value, str) and value and _typed(value) is value and "\n" not in value:
        return quoted(value)
    return quoted("_JSON " + json.dumps(value, default=str))
