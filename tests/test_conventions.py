"""Every row of the page of conventions says how it is known, and what it names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "conventions.md"


def rows() -> list[str]:
    """Return the last cells of the rows of all tables whose last column says how a row is known."""
    found, known = [], False
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if not line.startswith("|"):
            known = False
        elif line.endswith("| how known |"):
            known = True
        elif known and not set(line) <= set("|- :"):
            found.append(line.strip("| ").rsplit("|", 1)[-1].strip())
    return found


def test_there_are_rows():
    assert len(rows()) > 40


@pytest.mark.parametrize("known", sorted(set(rows())))
def test_a_row_names_a_test_a_finding_or_that_it_was_only_read(known: str):
    links = re.findall(r"\]\(\.\./([^)]+)\)", known)
    assert known.startswith("read: ") or links
    assert all((ROOT / link).is_file() for link in links)
    assert all(Path(link).parts[0] == "findings" or Path(link).name.startswith("test_") for link in links)
