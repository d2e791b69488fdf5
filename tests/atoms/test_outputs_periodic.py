"""Outputs of periodic codes that ASE 3.29 reads as those of clusters: ONETEP, NWChem with plane waves."""

import numpy as np
import pytest

import keel
import outputs
from keel.atoms.units import BOHR, HARTREE
from keel.errors import DataError

(TRUE,) = outputs.frames(1)
CELL = TRUE.cell


def nwchem(frame, lattice=True):
    """Return the output of a calculation with plane waves, with the lattice as a crystal has it."""
    sites = "".join(
        f"{k + 1:5d} Cu                  29.0000 {' '.join(f'{x:14.8f}' for x in p)}\n"
        for k, p in enumerate(frame.positions)
    )
    vectors = "".join(f"      a{k + 1}=< {' '.join(f'{x:9.3f}' for x in v)} >\n" for k, v in enumerate(frame.cell))
    forces = "".join(
        f"{k + 1:9d} Cu   ( {' '.join(f'{x:11.6f}' for x in f / HARTREE * BOHR)} )\n"
        for k, f in enumerate(frame.forces)
    )
    cell = (
        "      Lattice Parameters \n      ------------------ \n\n"
        "      lattice vectors in angstroms (scale by  1.889725989 to convert to a.u.)\n\n"
        f"{vectors}      a=       3.600 b=      3.600 c=       3.600\n\n"
    )
    return (
        "          Northwest Computational Chemistry Package (NWChem) 7.0.2\n\n"
        '                             Geometry "geometry" -> ""\n                             -----------------------\n'
        "\n Output coordinates in angstroms (scale by  1.889725989 to convert to a.u.)\n\n"
        "  No.       Tag          Charge          X              Y              Z\n"
        " ---- ---------------- ---------- -------------- -------------- --------------\n"
        f"{sites}\n{cell * lattice}"
        "          *               NWPW PSPW Calculation              *\n"
        f" Total PSPW energy     :  {frame.energy / HARTREE:.10E}\n"
        f"          =============  Ion Gradients =================\n Ion Forces:\n{forces}"
        "        C.O.M. (   -0.000000   -0.000000   -0.000000 )\n"
        "          ===============================================\n"
        " Brillouin zone point:      1\n    weight=  0.074074\n    k     =<   0.333   0.333   0.333> . <b1,b2,b3> \n"
        "          =<   0.307   0.307   0.307>\n\n orbital energies:\n"
        "     0.3919370E+00 (  10.665eV) occ=1.000\n"
        "     0.3908827E+00 (  10.637eV) occ=1.000     0.4155535E+00 (  11.308eV) occ=1.000\n\n"
    )


def onetep(frame):
    """Return the output of a single point."""
    cell = "".join(f"{' '.join(f'{x:.8f}' for x in v)}\n" for v in frame.cell)
    sites = "".join(
        f"            x    Cu    {k + 1:5d} {' '.join(f'{x:16.6f}' for x in p / BOHR)}   x\n"
        for k, p in enumerate(frame.positions)
    )
    forces = "".join(
        f"*    Cu    {k + 1:5d} {' '.join(f'{x:12.8f}' for x in f / HARTREE * BOHR)} *\n"
        for k, f in enumerate(frame.forces)
    )
    rule, marks, stars = "-" * 80, "x" * 60, "*" * 58
    return (
        f"|Linear-Scaling Ab Initio Total Energy Program|\n{rule}\n{'-' * 34} INPUT FILE {'-' * 34}\n{rule}\n\n"
        f"forces_output_detail : verbose\n%BLOCK LATTICE_CART\nang\n{cell}%ENDBLOCK LATTICE_CART\n"
        f"%BLOCK SPECIES\nCu Cu 29 -1 9.0\n%ENDBLOCK SPECIES\n\n"
        "                                     Cell Contents\n                           -----------------\n\n"
        f"            {marks}\n            x  Element    Atom      Absolute co-ordinates of atoms     x\n"
        f"            x            Number        x           y           z       x\n            x{'-' * 58}x\n"
        f"{sites}            {marks}\n\n"
        "           |         *** NGWF optimisation converged ***          |\n"
        f"           | Total                      : {frame.energy / HARTREE:22.14f} |\n\n"
        f"************************* Forces *************************\n*{' ' * 56}*\n"
        f"* Element  Atom         Cartesian components (Eh/a)      *\n* {'-' * 54} *\n"
        f"*                       x            y            z      *\n*{' ' * 56}*\n{forces}*{' ' * 56}*\n{stars}\n"
        f"* TOTAL:           -0.00000000   0.00000000   0.00000000 *\n{stars}\n\n"
    )


@pytest.mark.parametrize("code", [nwchem, onetep])
def test_cells_are_periodic(tmp_path, code):
    (tmp_path / "run.out").write_text(code(TRUE))
    (frame,) = keel.read(tmp_path / "run.out")
    assert frame.pbc.all()
    assert frame.energy == pytest.approx(TRUE.energy, abs=1e-5)
    np.testing.assert_allclose(frame.positions, TRUE.positions, atol=1e-5)
    np.testing.assert_allclose(frame.cell, CELL, atol=6e-4)
    np.testing.assert_allclose(frame.forces, TRUE.forces, atol=1e-4)


def test_without_a_cell_it_is_a_molecule(tmp_path):
    (tmp_path / "run.out").write_text(nwchem(TRUE, lattice=False))
    (frame,) = keel.read(tmp_path / "run.out")
    assert not frame.pbc.any() and not frame.cell.any()


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (
            "coord",
            "$coord\n 0 0 0 si\n 2.5 2.5 2.5 si\n$periodic 3\n$lattice\n 10 0 0\n 0 10 0\n 0 0 10\n$end\n",
            "periodic 3",
        ),
        ("coord", "$coord angs\n 0 0 0 h\n 0 0 0.74 h\n$end\n", "coord angs"),
        (
            "a.restart",
            " &FORCE_EVAL\n  &SUBSYS\n   &CELL\n    A 5 0 0\n    B 0 5 0\n    C 0 0 9\n    PERIODIC XY\n   &END CELL\n"
            "   &COORD\nSi 0 0 0\nSi 1.3 1.3 1.3\n   &END COORD\n  &END SUBSYS\n &END FORCE_EVAL\n",
            "PERIODIC XY",
        ),
    ],
)
def test_what_ase_takes_for_a_cluster_or_a_crystal_whatever_it_says(name, text, said, tmp_path):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=f"{said}', which ASE does not read"):
        keel.read(tmp_path / name)
    (tmp_path / name).write_text(text.replace("$periodic 3\n", "").replace(" angs", "").replace("XY", "XYZ"))
    assert keel.read(tmp_path / name)[0].pbc.all() == (name != "coord")
