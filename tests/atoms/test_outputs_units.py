"""Files whose units ASE 3.29 does not convert, or whose results it gives to another structure: DL_POLY, Qbox, GAMESS.

The texts are miniatures after the manuals: DL_POLY_4 (CONFIG and HISTORY: angstrom, angstrom/ps, Da angstrom/ps^2),
Qbox (qboxcode.org: atomic units, stress in GPa), GAMESS-US (what of it ASE looks for is in ase/io/gamess_us.py).
"""

import numpy as np
import pytest
from ase import units

import keel
from keel.atoms.labelling.convergence import UNCONVERGED
from keel.atoms.record import LabelKeys
from keel.errors import DataError

CELL = "      10.0 0.0 0.0\n      0.0 10.0 0.0\n      0.0 0.0 10.0\n"
ATOM = "{head}\n     {x} 0.0 0.0\n     {v} 0.0 0.0\n     {f} 0.0 0.0\n"
FORCE = 100 * units._amu * 1e14 * units.J / units.m
"""100 Da angstrom/ps^2 in eV/angstrom: 1e14 of them are a newton."""


def config() -> str:
    atoms = [ATOM.format(head=f"Ar {k + 1}", x=3.8 * k, v=1.0 - 2 * k, f=100.0 - 200 * k) for k in (0, 1)]
    return f"title\n         2         1         2\n{CELL}{''.join(atoms)}"


def history() -> str:
    atoms = [ATOM.format(head=f"Ar {k + 1} 39.948 0.0", x=3.8 * k, v=1.0 - 2 * k, f=100.0 - 200 * k) for k in (0, 1)]
    text = f"title\n         2         1         2         1        15\ntimestep 1 2 2 1 0.001\n{CELL}{''.join(atoms)}"
    # Of version 4, whose lines have one length.
    return "".join(f" {line:<71}\n" for line in text.splitlines())


@pytest.mark.parametrize(("name", "text"), [("CONFIG", config()), ("HISTORY", history())])
def test_dl_poly(name, text, tmp_path):
    (tmp_path / name).write_text(text)
    (frame,) = keel.read(tmp_path / name)
    np.testing.assert_allclose(frame.forces[:, 0], [FORCE, -FORCE], rtol=1e-6)
    assert frame.velocities[:, 0] == pytest.approx([1e-3, -1e-3], rel=1e-6)
    assert frame.pbc.all() and frame.energy is None


def qbox() -> str:
    tags = "".join(f"<sigma_{x}> 1.0 </sigma_{x}>" for x in ("xx", "yy", "zz", "xy", "yz", "xz"))
    atoms = "".join(
        f'<atom name="O{k}" species="o">\n<position> {2.3 * k} 0 0 </position>\n<velocity> 0 0 0.1 </velocity>\n'
        f"<force> {0.01 - 0.02 * k} 0 0 </force>\n</atom>\n"
        for k in (0, 1)
    )
    return (
        '<?xml version="1.0"?>\n<fpmd:simulation xmlns:fpmd="http://www.quantum-simulation.org/ns/fpmd/fpmd-1.0">\n'
        '<release> qbox-1.63 </release>\n<species name="o">\n<symbol>O</symbol>\n'
        "<atomic_number>8</atomic_number>\n<mass>16</mass>\n</species>\n<cmd>run 1 10</cmd>\n"
        '<iteration count="1">\n<etotal> -17.5 </etotal>\n<atomset>\n'
        f'<unit_cell a="16 0 0" b="0 16 0" c="0 0 16" />\n{atoms}</atomset>\n'
        f'<stress_tensor unit="GPa">{tags}</stress_tensor>\n</iteration>\n</fpmd:simulation>\n'
    )


def test_qbox(tmp_path):
    (tmp_path / "run.r").write_text(qbox())
    (frame,) = keel.read(tmp_path / "run.r")
    assert frame.energy == pytest.approx(-17.5 * units.Hartree)
    assert frame.forces[:, 0] == pytest.approx([0.01 * units.Hartree / units.Bohr, -0.01 * units.Hartree / units.Bohr])
    assert (frame.cell[0, 0], frame.positions[1, 0]) == pytest.approx((16 * units.Bohr, 2.3 * units.Bohr))
    assert frame.stress is None and frame.velocities is None
    assert "stress and velocities are not used" in frame.remarks[0]


def gamess(steps: int, failed: bool = False) -> str:
    sites, unconverged = ("O 8.0 0 0 0.2", "H 1.0 0 1.4 -0.9", "H 1.0 0 -1.4 -0.9"), " SCF IS UNCONVERGED, TOO MANY\n"
    gradient = "".join(f"    {k + 1} {row[0]}  0.0  0.0  {0.01 - 0.004 * k}\n" for k, row in enumerate(sites))
    step = (
        f"{unconverged * failed} FINAL RHF ENERGY IS      -75.98 AFTER  30 ITERATIONS\n\n"
        "          GRADIENT OF THE ENERGY\n          ----------------------\n\n"
        f" UNITS ARE HARTREE/BOHR    E'X    E'Y   E'Z\n{gradient}\n"
    )
    table = "\n".join(f" {row}" for row in sites)
    return (
        "          *         GAMESS VERSION = 30 SEP 2021 (R2)          *\n"
        " ATOM      ATOMIC                      COORDINATES (BOHR)\n           CHARGE         X          Y       Z\n"
        f"{table}\n\n{step * steps}"
    )


@pytest.mark.parametrize("failed", [True, False])
def test_a_calculation_of_gamess(failed, tmp_path):
    path = tmp_path / "run.out"
    path.write_text(gamess(1, failed))
    (frame,) = keel.read(path)
    assert (frame.energy is None, frame.forces is None) == (failed, failed)
    assert frame.remarks == (f"{UNCONVERGED}: the labels are not used",) * failed
    (frame,) = keel.read(path, keys=LabelKeys(unconverged=True))
    assert frame.energy == pytest.approx(-75.98 * units.Hartree)
    assert frame.forces[0, 2] == pytest.approx(-0.01 * units.Hartree / units.Bohr)


def test_results_of_gamess_are_not_given_to_another_structure(tmp_path):
    (tmp_path / "run.out").write_text(gamess(2))
    with pytest.raises(
        DataError, match=r"has several structures, .* positions of the first with the results of the last"
    ):
        keel.read(tmp_path / "run.out")
