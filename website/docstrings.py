"""Docstrings as mkdocstrings wants them: roles such as :func:`keel.read` become links, and parameters stand alone.

Of ``first, second`` that are described together griffe would give both the type of the first.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import griffe

sys.path.insert(0, str(Path(__file__).parent))

import reference

TOGETHER = re.compile(r"^(\w+(?:, \w+)+)\n((?: {4}.*(?:\n|\Z))+)", re.MULTILINE)


class Docstrings(griffe.Extension):
    """Changes every docstring as it is read."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """See griffe."""
        if obj.docstring is not None:
            text = TOGETHER.sub(_apart, f"{obj.docstring.value}\n")
            obj.docstring.value = reference.with_links(text.rstrip("\n"))


def _apart(match: re.Match[str]) -> str:
    return "".join(f"{name}\n{match[2]}" for name in match[1].split(", "))
