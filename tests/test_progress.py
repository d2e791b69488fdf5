"""Long work says how long it takes, once."""

import io
import time

import pytest
from rich.console import Console

from keel import progress


@pytest.fixture
def said(monkeypatch) -> io.StringIO:
    text = io.StringIO()
    monkeypatch.setattr(progress, "console", Console(file=text, width=300))
    return text


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def work(clock: list[float], total: int, seconds: float, first: int = 0) -> None:
    """Fifty steps of so many seconds."""
    with progress.bar("   MD at 300 K") as advance:
        for done in range(first, first + 50):
            clock[0] += seconds
            advance(done, total)


def test_what_takes_days_says_so_once(said, clock) -> None:
    work(clock, 1_000_000, 1.0)
    assert said.getvalue().count("note") == 1
    assert "MD at 300 K: at this pace the 1,000,000 steps take 12 days" in said.getvalue()


@pytest.mark.parametrize(("total", "seconds", "first"), [(60, 1.0, 0), (10_000, 0.1, 0), (1_000_050, 1.0, 1_000_000)])
def test_what_is_short_or_nearly_done_does_not(said, clock, total, seconds, first) -> None:
    work(clock, total, seconds, first)
    assert said.getvalue() == ""


def test_a_run_has_its_plan(said, clock) -> None:
    with progress.showing_left(lambda: 1e6):
        work(clock, 1_000_000, 1.0)
    assert said.getvalue() == ""
