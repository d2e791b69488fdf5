"""The comment line of extended XYZ: ``key=value`` pairs, as its specification and its writers mean them.

The specification is that of libAtoms (github.com/libAtoms/extxyz); where writers depart from it (an empty value without
quotation marks, bare keys, braces around a text, any case of ``Lattice``), the value they mean is taken.
"""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np

from keel.errors import DataError

RESERVED = {name.lower(): name for name in ("Lattice", "Properties", "pbc")}
"""Keys that control how the rest is read, in ASE's spelling; GPUMD documents them in lower case, others write
``PBC``."""

_QUOTED = r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\''
_ITEMS = r'"(?:\\.|[^"\\])*"|[^"\[\]]'
_ENCLOSED = rf"{_QUOTED}|\{{[^{{}}]*\}}|\[(?:{_ITEMS}|\[(?:{_ITEMS})*\])*\]"
_KEY = rf"(?>{_ENCLOSED}|[^\s=]+)"
_VALUE = rf"{_ENCLOSED}|\S+"
# After white space comes the value, as in "E = -17.1", or the next key, as in "config_type= energy=-3.5".
_PAIR = re.compile(rf"[\s,]*({_KEY})(\s*=(?:({_VALUE})|\s+(?!{_KEY}\s*=)({_VALUE}))?)?")
_ITEM = re.compile(rf"{_QUOTED}|[^\s,]+")
_INTEGER = r"(?>[+-]?\d{1,18})(?!\d)"
_NUMBER = r"(?>[+-]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:[eEdD][+-]?\d+)?|nan|inf))"
_INTEGERS, _NUMBERS = (re.compile(rf"(?:{n}\s+)*{n}", re.IGNORECASE) for n in (_INTEGER, _NUMBER))
TRUTH = {"T": True, "F": False, "True": True, "False": False, "true": True, "false": False}
TRUTH |= {"TRUE": True, "FALSE": False}


def parse_comment(comment: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the ``key=value`` pairs of a comment line with their values typed, and these values as they are printed.

    A key without ``=`` is true, one with nothing behind it has an empty value; a line without any pair is kept as
    ``comment``.

    Raises
    ------
    DataError
        If a key occurs twice with different values, or a quotation mark or bracket is not closed.
    """
    if "=" not in comment:
        return ({"comment": comment} if comment else {}), {}
    info: dict[str, Any] = {}
    printed: dict[str, str] = {}
    for key, equals, near, far in _PAIR.findall(comment):
        key, text = _unquoted(key), near or far
        key = RESERVED.get(key.lower(), key)
        if text[:1] in ('"', "'", "{", "[") and text == _unquoted(text):
            raise DataError(f"the value of {key!r} in its comment line opens with {text[0]} and is not closed")
        value = _array(text) if text[:1] == "[" else typed(_unquoted(text)) if equals else True
        if key in info and not (printed[key] == text or np.array_equal(info[key], value)):
            raise DataError(f"the key {key!r} occurs twice in its comment line with different values; remove one")
        info[key], printed[key] = value, text
    return info, printed


def _unquoted(word: str) -> str:
    if len(word) < 2 or word[0] + word[-1] not in ('""', "''", "{}", "[]"):
        return word
    if "\\" not in word:
        return word[1:-1]
    return re.sub(r"\\(.)", lambda escaped: "\n" if escaped[1] == "n" else escaped[1], word[1:-1])


def typed(text: str) -> Any:
    """Return the value of a text without quotation marks: numbers, truth values, or the text itself."""
    if text.startswith("_JSON "):
        try:
            return json.loads(text[6:])
        except ValueError:
            return text
    if text.startswith("[[") and isinstance(nested := _array(text), np.ndarray):
        return nested
    values = _values(text.replace(",", " ").strip())
    if values is None:
        return text
    return np.array(values) if len(values) > 1 else values[0]


def _values(text: str) -> list[Any] | None:
    """Return whole numbers, numbers or truth values, whichever all words are; None if they are text."""
    if "." not in text and _INTEGERS.fullmatch(text):
        return list(map(int, text.split()))
    if _NUMBERS.fullmatch(text):
        return list(map(float, text.lower().replace("d", "e").split()))
    words = text.split()
    return [TRUTH[w] for w in words] if words and all(w in TRUTH for w in words) else None


def _array(text: str) -> Any:
    """Return ``[1, 2]`` or ``[[1, 2], [3, 4]]`` as an array, ``[a, "b c"]`` as a list; ``[b c]`` is text."""
    inner = text[1:-1].strip()
    nested = inner[:1] == "["
    rows = [_ITEM.findall(row) for row in (re.findall(r"\[([^\[\]]*)\]", inner) if nested else [inner])]
    values = _values(" ".join(word for row in rows for word in row))
    if nested:
        even = len({len(row) for row in rows}) == 1
        return text if values is None or not even else np.reshape(values, (len(rows), -1))
    if values is None:
        return [_unquoted(word) for word in rows[0]] if "," in inner else _unquoted(text)
    return np.array(values)


def quoted(text: str) -> str:
    """Return a key or value with quotation marks where it needs them."""
    if text and not re.search(r"[\s=\"'{}\[\]\\,]", text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def value_text(value: Any) -> str:
    """Return a value as it is written after ``key=``: plain if reading gives the same value back, else JSON.

    It is never empty: ASE 3.29 takes the next key for an empty value, and libextxyz 0.4.6 reads nothing of such a line.
    """
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, bool):
        return "T" if value else "F"
    if isinstance(value, float) or (isinstance(value, int) and abs(value) < 10**18):
        return repr(value)
    if isinstance(value, list) and len(value) > 1 and {type(v) for v in value} in ({float}, {int}):
        return '"' + " ".join(map(repr, value)) + '"'
    if isinstance(value, str) and value and typed(value) is value and "\n" not in value:
        return quoted(value)
    return quoted("_JSON " + json.dumps(value, default=str))
