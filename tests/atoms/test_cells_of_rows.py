"""Cells and periodicity of records under other names than keel reads: refused, never a molecule."""

import json

import numpy as np
import pytest

import keel
import training_files as files
from keel.errors import DataError


class TestCells:
    """A cell that is not read must not make a molecule of a crystal."""

    @pytest.mark.parametrize(
        ("columns", "named"),
        [
            (lambda c: {"box": np.ravel(c).tolist()}, "box"),
            (lambda c: {"unit_cell": c}, "unit_cell"),
            (lambda c: {"Cell": c}, "Cell"),
            (lambda c: {"a1": c[0], "a2": c[1], "a3": c[2]}, "a1, a2, a3"),
            (lambda c: dict.fromkeys(("a", "b", "c", "alpha", "beta", "gamma"), 3.6), "a, b, c, alpha, beta, gamma"),
            (lambda c: {f"lattice_{n}": 3.6 for n in "abc"}, "lattice_a, lattice_b, lattice_c"),
        ],
    )
    def test_another_name_is_refused(self, columns, named, tmp_path):
        self.write(tmp_path / "a.json", columns)
        with pytest.raises(DataError, match=f"frame 0: the cell under {named} is not understood; name it cell"):
            keel.read(tmp_path / "a.json")

    @pytest.mark.parametrize("cell", [[3.6, 3.6, 3.6], [3.6, 3.6, 3.6, 90, 90, 90], {"a": [1, 0, 0]}])
    def test_what_is_no_cell_is_named(self, cell, tmp_path):
        self.write(tmp_path / "a.json", lambda c: {"cell": cell})
        with pytest.raises(
            DataError, match=r"frame 0: its cell, .* is not understood; write it as three rows of three"
        ):
            keel.read(tmp_path / "a.json")

    def test_another_name_of_its_periodicity_is_refused(self, tmp_path):
        self.write(tmp_path / "a.json", lambda c: {"cell": c, "is_periodic": False})
        with pytest.raises(DataError, match="the column 'is_periodic' is not understood; name it pbc"):
            keel.read(tmp_path / "a.json")

    def test_columns_without_values_and_other_letters_are_none(self, tmp_path):
        self.write(tmp_path / "a.json", lambda c: {"box": None, "A": 1.0, "B": 2.0, "C": 3.0, "alpha": 4.0})
        assert not keel.read(tmp_path / "a.json")[0].pbc.any()

    @staticmethod
    def write(path, columns):
        rows = [
            {"positions": a.positions.tolist(), "atomic_numbers": a.numbers.tolist(), **columns(a.cell.tolist())}
            for a in files.crystals()
        ]
        path.write_text(json.dumps(rows))
