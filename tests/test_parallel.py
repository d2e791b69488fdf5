"""A thread that works ahead: in order, bounded, with its errors where they belong, and gone in the end."""

from __future__ import annotations

import threading
from contextlib import closing

import pytest

from keel.errors import ConfigError
from keel.parallel import ahead


def workers() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith("keel-ahead")]


def test_results_come_in_order_and_from_one_other_thread() -> None:
    made = list(ahead(lambda item: (item, threading.current_thread().name), range(7)))
    assert [item for item, _ in made] == list(range(7))
    assert len({name for _, name in made}) == 1
    assert made[0][1] != threading.current_thread().name
    assert not workers()


def test_no_more_than_so_many_are_made_ahead() -> None:
    begun: list[int] = []
    with closing(ahead(begun.append, range(100), most=3)) as results:
        next(results)
        next(results)
    # The thread has ended: what it had begun by then is all it ever will.
    assert set(begun) >= {0, 1}
    assert len(begun) <= 5
    assert not workers()


def test_an_error_is_raised_where_its_result_would_have_been() -> None:
    def make(item: int) -> int:
        if item == 2:
            raise ConfigError("raise the cap")
        return item

    results = ahead(make, range(5))
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ConfigError, match=r"^raise the cap$"):
        next(results)
    assert not workers()


def test_an_interrupted_consumer_leaves_no_thread() -> None:
    def interrupted() -> None:
        with closing(ahead(str, range(50))) as results:
            assert next(results) == "0"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not workers()
