"""Elements and periodicity that are said in another way are understood or refused in words."""

import json

import pytest

import keel
from keel.errors import DataError

pytestmark = pytest.mark.usefixtures("each_xyz_reader")


def of_xyz(tmp_path, element="species:S:1", words=("Si", "O"), comment=""):
    path = tmp_path / "a.extxyz"
    rows = [f"{words[0]} 0 0 0", f"{words[1]} 1.6 0 0"]
    header = f'Lattice="5 0 0 0 5 0 0 0 5" Properties={element}:pos:R:3 energy=-1 {comment}'
    path.write_text("\n".join(["2", header, *rows, ""]))
    return keel.read(path)[0]


def of_json(tmp_path, **said):
    path = tmp_path / "a.json"
    row = {"positions": [[0, 0, 0], [1.6, 0, 0]], "numbers": [14, 8], "cell": [[5, 0, 0], [0, 5, 0], [0, 0, 5]]}
    path.write_text(json.dumps([{**row, **said}]))
    return keel.read(path)[0]


@pytest.mark.parametrize("comment", ["periodic=F", "Periodic=T", "is_periodic=0", 'boundary_conditions="p p f"'])
def test_another_name_of_pbc_is_refused(comment, tmp_path):
    key = comment.partition("=")[0]
    with pytest.raises(DataError, match=f"frame 0: the key '{key}' is not understood; name it pbc"):
        of_xyz(tmp_path, comment=comment)


def test_periodic_in_a_row(tmp_path):
    assert not of_json(tmp_path, periodic=False).pbc.any()
    assert of_json(tmp_path, periodic=True).pbc.all()


@pytest.mark.parametrize(
    ("element", "words", "said"),
    [
        ("species:I:1", ("14", "8"), "its species are not symbols of elements"),
        ("species:S:2", ("Si a", "O b"), "its species are not symbols of elements"),
        ("Z:I:1", ("14", "0"), "atom 1 is '0', which is not a chemical element"),
        ("Z:S:1", ("14", "8"), "its Z are not atomic numbers"),
        ("Z:L:1", ("T", "T"), "its Z are not atomic numbers"),
        ("species:S:1", ("Si", "Xx"), "atom 1 is 'Xx', which is not a chemical element"),
    ],
)
def test_elements_that_are_none(element, words, said, tmp_path):
    with pytest.raises(DataError, match=f"frame 0: {said}"):
        of_xyz(tmp_path, element, words)


def test_symbols_in_one_text(tmp_path):
    with pytest.raises(DataError, match="frame 0: its symbols are the text 'SiO'; write a list, with one for"):
        of_json(tmp_path, numbers=None, symbols="SiO")
