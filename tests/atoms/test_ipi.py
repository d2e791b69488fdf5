"""XYZ files of i-PI have cells and units of their own."""

from pathlib import Path

import numpy as np
import pytest
from ase.geometry import cellpar_to_cell
from ase.units import Bohr

import keel
from keel.atoms.record import LabelKeys
from keel.errors import DataError

CELLPAR = (5.0, 6.0, 7.0, 80.0, 95.0, 100.0)
ROWS = np.asarray(cellpar_to_cell(CELLPAR))
ATOMS = [[0.0, 0.0, 0.0], [0.5, 0.25, 1.5]]
KINDS = {"(abcABC)": np.array(CELLPAR), "{H}": ROWS.T.ravel(), "{GENH}": ROWS.ravel()}


def written(path: Path, cell: str, columns: str, kind: str) -> Path:
    atoms = "\n".join(f"       O {x:12.5e} {y:12.5e} {z:12.5e}" for x, y, z in ATOMS)
    path.write_text(f"2\n# CELL{kind}: {cell} Traj: positions Step:  0  Bead:  0 {columns}\n{atoms}\n")
    return path


def text(values: np.ndarray) -> str:
    return "  ".join(f"{value:.10f}" for value in values)


@pytest.mark.parametrize(
    ("columns", "cell_unit", "unit"),
    [
        ("positions{angstrom}  cell{angstrom}", 1.0, 1.0),
        ("x_centroid{angstrom}  cell{atomic_unit}", Bohr, 1.0),
        ("positions{atomic_unit}  cell{angstrom}", 1.0, Bohr),
        ("positions{automatic}  cell{automatic}", Bohr, Bohr),
        ("", Bohr, Bohr),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_cells_and_positions_in_their_units(kind, columns, cell_unit, unit, tmp_path):
    frame = keel.read(written(tmp_path / "run.pos_0.xyz", text(KINDS[kind]), columns, kind))[0]
    np.testing.assert_allclose(frame.cell, cell_unit * ROWS, atol=1e-8)
    np.testing.assert_allclose(frame.positions, unit * np.array(ATOMS), atol=1e-12)
    assert frame.pbc.all()


def test_the_unit_that_is_given_wins(tmp_path):
    path = written(tmp_path / "run.xyz", text(KINDS["{H}"]), "", "{H}")
    frame = keel.read(path, keys=LabelKeys(length_unit="angstrom"))[0]
    np.testing.assert_allclose(frame.positions, ATOMS)
    np.testing.assert_allclose(frame.cell, ROWS, atol=1e-8)


@pytest.mark.parametrize(
    ("cell", "columns", "message"),
    [
        (text(ROWS.ravel()), "forces{atomic_unit}  cell{angstrom}", "its columns are 'forces' of i-PI, not positions"),
        (text(ROWS.ravel()), "positions{parsec}  cell{angstrom}", "its unit of length is 'parsec'"),
        ("5 5 5", "positions{angstrom}  cell{angstrom}", r"CELL\(H\) should be 9 numbers"),
        ("5 - 5", "positions{angstrom}  cell{angstrom}", r"CELL\(H\) should be 9 numbers"),
    ],
)
def test_what_is_no_structure_is_refused(cell, columns, message, tmp_path):
    with pytest.raises(DataError, match=f"frame 0: .*{message}"):
        keel.read(written(tmp_path / "run.xyz", cell, columns, "{H}"))


def test_comments_of_others_are_comments(tmp_path):
    path = tmp_path / "a.xyz"
    path.write_text("2\nCELL(H) of a muscle\nO 0 0 0\nO 0 0 1.2\n")
    assert not keel.read(path)[0].cell.any()
