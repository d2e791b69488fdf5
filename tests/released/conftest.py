"""Fixtures for what earlier releases wrote."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from samples import V1, unsaved_pictures


@pytest.fixture
def v1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the samples, in which commands are given as they were."""
    copy = tmp_path / "v1"
    shutil.copytree(V1, copy)
    monkeypatch.chdir(copy)
    return copy


@pytest.fixture
def pictures() -> Iterator[list[str]]:
    """Names of the figures that were made; they are not saved."""
    with unsaved_pictures() as names:
        yield names
