"""Which atoms may move and which forces are labels, said with any words for true and false."""

import json

import numpy as np
import pytest

import keel
from keel.errors import DataError

ROW = {
    "positions": [[0.0, 0, 0], [1.6, 0, 0], [3.2, 0, 0]],
    "numbers": [14, 8, 8],
    "energy": -1.0,
    "forces": [[0.1, 0, 0], [-0.2, 0, 0], [0.1, 0, 0]],
}
WORDS = [["T", "F", "F"], ["true", "False", "FALSE"], ["1", "0", "0"], [True, False, False], [1, 0, 0], [1.0, 0.0, 0.0]]


pytestmark = pytest.mark.usefixtures("each_xyz_reader")


def of_json(tmp_path, **said):
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{**ROW, **said}]))
    return keel.read(path)[0]


def of_xyz(tmp_path, column, words):
    rows = [
        f"{e} {x} 0 0 {f[0]} 0 0 {w}" for e, x, f, w in zip("SOO", (0, 1.6, 3.2), ROW["forces"], words, strict=True)
    ]
    path = tmp_path / "a.extxyz"
    header = f"Properties=species:S:1:pos:R:3:forces:R:3:{column} energy=-1"
    path.write_text("\n".join(["3", header, *rows, ""]))
    return keel.read(path)[0]


@pytest.mark.parametrize("words", WORDS)
def test_words_for_true_and_false(words, tmp_path):
    free = of_json(tmp_path, move_mask=words, forces_mask=words)
    assert free.fixed[:, 0].tolist() == [False, True, True]
    assert free.forces_mask.tolist() == [True, False, False]
    rows = [[word] for word in words]
    assert of_json(tmp_path, forces_mask=rows).forces_mask.tolist() == [True, False, False]
    assert of_json(tmp_path, move_mask=rows).fixed[:, 0].tolist() == [False, True, True]


def test_a_column_of_text(tmp_path):
    assert of_xyz(tmp_path, "forces_mask:S:1", "TFF").forces_mask.tolist() == [True, False, False]
    assert of_xyz(tmp_path, "move_mask:S:1", "TFF").fixed[:, 0].tolist() == [False, True, True]


@pytest.mark.parametrize(
    ("words", "culprit"), [(["T", "F", "maybe"], "maybe"), ([1, 0, None], "None"), ([1, 0, 2], "2")]
)
def test_anything_else_is_refused(words, culprit, tmp_path):
    for key in ("forces_mask", "move_mask"):
        with pytest.raises(DataError, match=rf"frame 0: {key} should be T or F, or 1 or 0, not {culprit}"):
            of_json(tmp_path, **{key: words})


def test_a_mask_of_another_shape_is_refused(tmp_path):
    with pytest.raises(DataError, match="frame 0: forces_mask should be T or F, of each atom, not"):
        of_json(tmp_path, forces_mask=[[True] * 3] * 3)


def test_a_force_that_is_no_label_may_be_unknown(tmp_path):
    """The words are understood before the forces are looked at."""
    forces = [ROW["forces"][0], [999.0] * 3, [999.0] * 3]
    frame = of_json(tmp_path, forces=forces, forces_mask=["T", "F", "F"])
    np.testing.assert_array_equal(frame.forces[0], [0.1, 0, 0])
    with pytest.raises(DataError, match="the force on atom 1 is three times 999"):
        of_json(tmp_path, forces=forces, forces_mask=["F", "T", "T"])


def test_periodicity_of_unknown_words(tmp_path):
    with pytest.raises(DataError, match=r"its periodicity, .* is not understood"):
        of_json(tmp_path, cell=(5 * np.eye(3)).tolist(), pbc=[True, None, True])


def test_lists_of_different_lengths_are_kept(tmp_path):
    frame = of_json(tmp_path, neighbours=[[1], [0, 2], [1]])
    assert frame.info["neighbours"] == [[1], [0, 2], [1]]
