"""Masses, momenta and positions that are no numbers end in a remark or a sentence."""

import json

import numpy as np
import pytest

import keel
from keel.atoms.mobility import motion_in_words
from keel.atoms.motion_columns import NOT_NUMBERS
from keel.errors import DataError

ROW = {
    "positions": [[0.0, 0, 0], [1.6, 0, 0]],
    "numbers": [14, 8],
    "energy": -1.0,
    "forces": [[0.1, 0, 0], [-0.1, 0, 0]],
}
MOMENTA = [[1.0, 0, 0], [-1.0, 0, 0]]


pytestmark = pytest.mark.usefixtures("each_xyz_reader")


def of_json(tmp_path, **said):
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{**ROW, **said}]))
    return keel.read(path)[0]


def of_xyz(tmp_path, columns, rows, comment="energy=-1"):
    path = tmp_path / "a.extxyz"
    path.write_text("\n".join(["2", f"Properties={columns} {comment}", *rows, ""]))
    return keel.read(path)[0]


@pytest.mark.parametrize("momenta", [[[None] * 3] * 2, [["fast", 0, 0]] * 2, [[np.nan, 0, 0], [1.0, 0, 0]]])
def test_momenta_are_not_used(momenta, tmp_path):
    frame = of_json(tmp_path, momenta=momenta)
    assert frame.velocities is None
    assert frame.energy == -1.0
    assert frame.remarks == (f"{NOT_NUMBERS} (momenta): not used",)
    assert motion_in_words([frame], "draw") == [*frame.remarks]


@pytest.mark.parametrize("masses", [[28.0, None], ["heavy", "light"], [np.nan, 16.0], [True, True]])
def test_masses_are_not_used(masses, tmp_path):
    frame = of_json(tmp_path, masses=masses, momenta=MOMENTA)
    assert frame.masses is None
    assert frame.velocities is not None
    assert frame.remarks == (f"{NOT_NUMBERS} (masses): not used",)


def test_numbers_printed_as_text_are_numbers(tmp_path):
    rows = ["Si 0 0 0 28.5 1 0 0", "O 1.6 0 0 16 -1 0 0"]
    texts, reals = (of_xyz(tmp_path, f"species:S:1:pos:R:3:masses:{k}:1:momenta:{k}:3", rows) for k in "SR")
    np.testing.assert_array_equal(texts.masses, [28.5, 16.0])
    np.testing.assert_array_equal(texts.velocities, reals.velocities)


def test_velocities_of_a_run_of_keel(tmp_path):
    rows = ["Si 0 0 0 nan 0 0", "O 1.6 0 0 0 0 0"]
    frame = of_xyz(tmp_path, "species:S:1:pos:R:3:velocities:R:3", rows, "energy=-1 run=0 step=1 time_fs=1.0")
    assert frame.velocities is None
    assert frame.remarks == (f"{NOT_NUMBERS} (velocities): not used",)


@pytest.mark.parametrize(("kind", "word"), [("S", "0.1"), ("L", "T")])
def test_positions_that_are_no_numbers_are_refused(kind, word, tmp_path):
    with pytest.raises(DataError, match="frame 0: its Properties have no pos:R:3"):
        of_xyz(tmp_path, f"species:S:1:pos:{kind}:3", [f"Si {word} {word} {word}"] * 2)


@pytest.mark.parametrize("said", [{"energy": False}, {"forces": [[True, False, True]] * 2}])
def test_true_and_false_are_no_label(said, tmp_path):
    with pytest.raises(DataError, match=f"{next(iter(said))} is not numeric"):
        of_json(tmp_path, **said)
