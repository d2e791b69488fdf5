"""The example that labels structures one by one: what it asks of CP2K, and how it reads the answer."""

from __future__ import annotations

import hashlib
import importlib
import sys
from pathlib import Path
from types import ModuleType

import ase.io
import numpy as np
import pytest

import keel

EXAMPLES = Path(__file__).parents[2] / "examples" / "phosphorus-cp2k"
MADE_BLACK = "87fc4c86227327a13042fa840dcb279f1e2c67410e88bd202c22f0372ca4fa76"
"""SHA-256 of the input of CP2K that black phosphorus was computed with."""
OUTPUT = """
  *** SCF run converged in    11 steps ***
 ENERGY| Total FORCE_EVAL ( QS ) energy [a.u.]:               -7.5
 ATOMIC FORCES in [a.u.]

 # Atom   Kind   Element          X              Y              Z
      1      1      Si          0.01000000     0.00000000    -0.02000000
      2      1      Si         -0.01000000     0.00000000     0.02000000
 SUM OF ATOMIC FORCES           0.00000000     0.00000000     0.00000000     0.00000000

 STRESS| Analytical stress tensor [GPa]
 STRESS|                        x                   y                   z
 STRESS|      x        1.60217662080E+02   0.00000000000E+00   1.60217662080E+00
 STRESS|      y        0.00000000000E+00  -1.60217662080E+01   0.00000000000E+00
 STRESS|      z        1.60217662080E+00   0.00000000000E+00   3.20435324160E+00
 STRESS| Eigenvectors and eigenvalues of the analytical stress tensor [GPa]
 STRESS|      x       -0.576118897286      0.768829286662     -0.277468095752
  **** **** ******  **  PROGRAM ENDED AT                 2026-11-29 13:20:00.000
"""


@pytest.fixture
def single_points(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The script, in an empty folder."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.chdir(tmp_path)
    return importlib.import_module("single_points")


@pytest.fixture
def pair() -> keel.Frame:
    return keel.Frame(
        np.full(2, 14), np.array([[0, 0, 0], [1.4, 1.4, 1.4]]), np.diag([7.6, 7.6, 5.4]), np.ones(3, dtype=bool)
    )


def test_labels_are_read_in_ev_and_angstrom(single_points: ModuleType, pair: keel.Frame) -> None:
    frame = single_points.labelled(pair, OUTPUT)
    assert frame.energy == pytest.approx(-7.5 * single_points.HARTREE, abs=1e-6)
    scale = single_points.HARTREE / single_points.BOHR
    np.testing.assert_allclose(frame.forces, scale * np.array([[0.01, 0, -0.02], [-0.01, 0, 0.02]]), atol=1e-5)
    # CP2K prints the pressure: the opposite of what keel calls stress.
    np.testing.assert_allclose(frame.stress, [[-1, 0, -0.01], [0, 0.1, 0], [-0.01, 0, -0.02]], atol=1e-7)


def test_what_did_not_converge_has_no_labels(single_points: ModuleType, pair: keel.Frame) -> None:
    assert single_points.labelled(pair, OUTPUT.replace("SCF run converged", "SCF run NOT converged")) is None
    assert single_points.labelled(pair, OUTPUT.replace("PROGRAM ENDED", "")) is None


def test_input_and_output_of_a_file_of_structures(
    single_points: ModuleType, pair: keel.Frame, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    keel.write("two.extxyz", [pair, pair])
    monkeypatch.setattr(sys, "argv", ["single_points.py", "input", "two.extxyz", "--mesh", "15", "--dispersion"])
    single_points.main()
    text = Path("two/001.inp").read_text()
    for line in ("SCHEME MONKHORST-PACK 2 2 3", "POTENTIAL GTH-PBE-q4", "TYPE DFTD3(BJ)", "CUTOFF 100.0"):
        assert line in text
    Path("two/001.out").write_text(OUTPUT)
    monkeypatch.setattr(sys, "argv", ["single_points.py", "collect", "two.extxyz", "--out", "labelled.extxyz"])
    single_points.main()
    assert "1 of 2 structures have labels" in capsys.readouterr().out
    (frame,) = keel.read("labelled.extxyz")
    assert frame.forces is not None
    assert frame.stress is not None


def test_k_points_of_given_number_have_gamma_among_them(single_points: ModuleType, pair: keel.Frame) -> None:
    """Those of MacDonald are where Monkhorst and Pack have them, moved by the shifts given."""
    text = single_points.cp2k_input(pair, "pair", single_points.Settings(points=(1, 3, 4), smearing=300))
    assert "ELECTRONIC_TEMPERATURE 300" in text
    scheme = text.split("SCHEME MACDONALD")[1].split("\n")[0].split()
    for number, shift in zip(map(int, scheme[:3]), map(float, scheme[3:]), strict=True):
        points = (2 * np.arange(1, number + 1) - number - 1) / (2 * number) + shift
        assert 0.0 in points


def test_what_made_the_data_set_of_phosphorus_is_as_it_was(single_points: ModuleType) -> None:
    generate = importlib.import_module("generate")
    ase.io.write("black.xyz", generate.START["black"]())
    text = generate.cp2k_input("black", steps=300, timestep=2.0, temperature=800.0)
    assert hashlib.sha256(text.encode()).hexdigest() == MADE_BLACK


def test_the_set_of_silicon_is_that_of_the_script(single_points: ModuleType) -> None:
    importlib.import_module("silicon").main()
    for made, kept in zip(
        keel.read("silicon.extxyz"), keel.read(Path(__file__).parents[1] / "files" / "silicon.extxyz.xz"), strict=True
    ):
        assert dict(made.info) == dict(kept.info)
        np.testing.assert_allclose(made.positions, kept.positions, atol=1e-7)
