"""The code blocks of the documents, for the tests that execute or check them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
NOT_RUN = re.compile(r"<!-- not run: \S[^\n]+ -->\s*$")


@dataclass(frozen=True)
class Block:
    document: Path
    language: str
    code: str
    marked: bool

    def __str__(self) -> str:
        first = next((line.strip() for line in self.code.splitlines() if line.strip()), "")
        return f"{self.document.name}: {first[:50]}"


def blocks(*languages: str) -> list[Block]:
    return [
        Block(path, found[2], found[3], bool(NOT_RUN.search(text[: found.start()])))
        for path in DOCUMENTS
        for text in [path.read_text()]
        for found in FENCE.finditer(text)
        if not languages or found[2] in languages
    ]


def run_python(document: str) -> tuple[dict[str, Any], int]:
    """Execute the Python of a document, ``docs/notebook.md``, from beginning to end; return its names and blocks."""
    code = [b for b in blocks("python") if b.document == ROOT / document and not b.marked]
    names: dict[str, Any] = {}
    for block in code:
        exec(compile(block.code, document, "exec"), names)
    return names, len(code)
