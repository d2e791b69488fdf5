"""JSON and CSV: what is written is read again; what is damaged is named in one sentence."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from keel.errors import DataError
from keel.records import (
    checked,
    json_text,
    number,
    numbers,
    plain,
    read_columns,
    read_groups,
    read_json,
    read_object,
    write_csv,
    write_json,
)

REMEDY = "make it again"

leaves = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats() | st.text()
contents = st.recursive(leaves, lambda c: st.lists(c, max_size=4) | st.dictionaries(st.text(), c, max_size=4))


def without_holes(content):
    if isinstance(content, dict):
        return {key: without_holes(value) for key, value in content.items()}
    if isinstance(content, list):
        return [without_holes(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


@pytest.mark.parametrize("compact", [False, True])
@given(content=contents)
def test_json_holds_everything_but_numbers_that_are_not_finite(tmp_path_factory, compact, content):
    path = tmp_path_factory.mktemp("json") / "a.json"
    write_json(path, content, compact=compact)
    assert read_json(path, REMEDY) == without_holes(content)


def test_arrays_are_lists_and_holes_are_null():
    content = {"a": np.array([1.0, np.nan]), "b": (torch.tensor(2), np.float32(0.5), math.inf), 3: np.int64(4)}
    assert plain(content) == {"a": [1.0, None], "b": [2, 0.5, None], "3": 4}
    assert "\n" not in json_text(content, compact=True)
    assert json_text({"name": "Å"}, compact=True) == '{"name": "Å"}'


def test_null_is_read_as_nan():
    assert math.isnan(number(None)) and number(2) == 2.0
    assert np.array_equal(numbers([1, None, 2.5]), [1.0, np.nan, 2.5], equal_nan=True)


@given(rows=st.lists(st.tuples(st.sampled_from("abc"), st.floats(width=32), st.floats()), min_size=1))
def test_csv_with_all_digits_is_read_as_it_was(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    write_csv(path, ("name", "x", "y"), rows, digits=None)
    (names,), columns = read_columns(path, ["name"], ["x", "y"], REMEDY)
    assert names == [name for name, _, _ in rows]
    for place, column in enumerate("xy", start=1):
        assert np.array_equal(columns[column], [row[place] for row in rows], equal_nan=True)


def test_csv_has_as_many_digits_as_are_asked_for(tmp_path):
    path = tmp_path / "a.csv"
    write_csv(path, ("n", "x", "word"), [(3, 1 / 3, None), (4, math.nan, "a,b"), (5, math.inf, "")], digits=4)
    assert path.read_text() == 'n,x,word\n3,0.3333,\n4,,"a,b"\n5,inf,\n'


def test_groups_come_in_the_order_of_the_file(tmp_path):
    path = tmp_path / "a.csv"
    write_csv(path, ("pair", "r"), [("O-Si", 1.0), ("O-O", 2.0), ("O-Si", 3.0)])
    groups = read_groups(path, "pair", ["r"], REMEDY)
    assert {pair: columns["r"].tolist() for pair, columns in groups.items()} == {"O-Si": [1.0, 3.0], "O-O": [2.0]}
    assert list(groups) == ["O-Si", "O-O"]


DAMAGES = {
    "absent": (None, "is absent"),
    "no JSON": ("{", r"is not valid JSON \(line 1\)"),
    "no object": ("[1]", "is not a JSON object"),
    "no key": ('{"a": 1}', "lacks 'b'"),
    "no text": (b"\xff\xfe", "cannot be read"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_object_is_named_with_its_remedy(tmp_path, damage):
    content, words = DAMAGES[damage]
    path = tmp_path / "a.json"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=words) as error:
        read_object(path, ("a", "b"), REMEDY)
    assert str(path) in str(error.value) and str(error.value).endswith(REMEDY)


@pytest.mark.parametrize(
    ("text", "words"),
    [("a,b\n1,2\n", "lacks the column 'c'"), ("a,c\n1\n", "line 2, has 1 columns instead of 2"), ("a,c\nx,y\n", "'c'")],
)
def test_a_damaged_table_is_named_with_its_remedy(tmp_path, text, words):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DataError, match=words) as error:
        read_columns(tmp_path / "a.csv", ["a"], ["c"], REMEDY)
    assert REMEDY in str(error.value)


def test_a_failed_write_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert read_object(path, ("a",), REMEDY) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_what_was_read_already_is_checked_too():
    assert checked({"a": 1}, ("a",), "here", REMEDY) == {"a": 1}
    with pytest.raises(DataError, match=f"here lacks 'b'; {REMEDY}"):
        checked({"a": 1}, ("b",), "here", REMEDY)
