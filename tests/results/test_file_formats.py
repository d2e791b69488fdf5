"""Formats of keel's own files: a number for each change, a step for each number."""

from __future__ import annotations

import pytest

from keel.errors import DataError
from keel.formats import Format

LETTERS = Format(
    "letter", key="edition", steps=(lambda c: {"words": c["text"]}, lambda c: {"words": c["words"].split()})
)


def test_files_of_every_release_become_one_of_today():
    today = {"words": ["a", "b"], "edition": 3}
    assert LETTERS.number == 3
    assert LETTERS.stamp == {"edition": 3}
    assert LETTERS.upgraded({"text": "a b"}, "first.json") == today
    assert LETTERS.upgraded({"text": "a b", "edition": 1}, "first.json") == today
    assert LETTERS.upgraded({"words": "a b", "edition": 2}, "second.json") == today
    assert LETTERS.upgraded(today, "third.json") == today


def test_a_format_that_was_no_object_can_be_upgraded():
    lists = Format("list", steps=(lambda content: {"items": content},))
    assert lists.upgraded([1, 2], "a.json") == {"items": [1, 2], "format": 2}


def test_a_format_may_begin_at_another_number():
    later = Format("letter", steps=(lambda c: {"words": c["text"]},), first=2)
    assert later.number == 3
    assert later.upgraded({"text": "a", "format": 2}, "a.json") == {"words": "a", "format": 3}
    with pytest.raises(DataError, match=r"a\.json: this is not a letter of keel \(its format is 1\)"):
        later.upgraded({"text": "a", "format": 1}, "a.json")


def test_what_is_given_is_left_as_it_is():
    content = {"text": "a b"}
    LETTERS.upgraded(content, "first.json")
    assert content == {"text": "a b"}


def test_a_file_from_the_future_is_refused_in_one_sentence():
    with pytest.raises(DataError, match=r"^a\.json: it was written by a newer keel \(letter format 4\); update keel$"):
        LETTERS.upgraded({"edition": 4}, "a.json")


@pytest.mark.parametrize("found", ["1", None, 1.5, 0, -1, []])
def test_a_number_that_is_none_is_refused(found):
    with pytest.raises(DataError, match=r"a\.json: this is not a letter of keel"):
        LETTERS.upgraded({"edition": found}, "a.json")


@pytest.mark.parametrize("content", [[1], "text", 3, None])
def test_what_is_no_object_is_refused(content):
    with pytest.raises(DataError, match=r"a\.json: this is not a letter of keel"):
        Format("letter").upgraded(content, "a.json")
