"""Outputs of Gaussian, NWChem, ORCA, FHI-aims and CASTEP with a step whose electrons did not converge.

The texts are miniatures, with the lines that ASE's readers look for. The words of a failure are those that the programs
print: Gaussian's in github.com/Trujillo-Group/trujillo_group_resources (gaussian_errors/README.md), NWChem's in
qcengine/programs/nwchem/harvester.py, ORCA's in sites.google.com/site/orcainputlibrary/scf-convergence-issues and in
ase/io/orca.py, CASTEP's in ase/calculators/castep.py and aiida-castep, FHI-aims' in the parsers of NOMAD (after the
energy) and of pyfhiaims (before it).
"""

import numpy as np
import pytest
from ase.units import Hartree

import keel
import outputs
from keel.atoms.formats.gaussian import ROTATED
from keel.atoms.labelling.convergence import UNCONVERGED
from keel.atoms.record import LabelKeys

ATOMS = ("O", 8, (0.0, 0.0, 0.119262)), ("H", 1, (0.0, 0.763239, -0.477047)), ("H", 1, (0.0, -0.763239, -0.477047))
FORCES = np.array([[0.0, 0.0, 0.012345], [0.0, -0.006, -0.0061725], [0.0, 0.006, -0.0061725]])
ENERGIES = -76.3251, -76.3262


def place(k: int) -> list[tuple[str, int, list[float]]]:
    return [(symbol, z, [x, y, z_ + 0.01 * k * (z > 1)]) for symbol, z, (x, y, z_) in ATOMS]


def rows(k: int, line: str) -> str:
    return "".join(
        line.format(i=i + 1, s=s, z=z, x=p, b=np.array(p) / 0.529177210903, f=f)
        for i, ((s, z, p), f) in enumerate(zip(place(k), FORCES, strict=True))
    )


def gaussian(failed: tuple[bool, ...], after: str = "") -> str:
    text = " Entering Gaussian System, Link 0=g16\n"
    for k, fails in enumerate(failed):
        text += (
            f"                          Input orientation:\n {'-' * 69}\n Center     Atomic      Atomic             "
            f"Coordinates (Angstroms)\n Number     Number       Type             X           Y           Z\n"
            + f" {'-' * 69}\n"
            + rows(k, "{i:7d} {z:10d}           0     {x[0]:11.6f} {x[1]:11.6f} {x[2]:11.6f}\n")
            + f" {'-' * 69}\n"
            + " >>>>>>>>>> Convergence criterion not met.\n" * fails
            + f" SCF Done:  E(RB3LYP) =  {ENERGIES[k]:.10f}     A.U. after  129 cycles\n"
            + after.format(e=ENERGIES[k] - 0.2)
            + f" {'-' * 67}\n Center     Atomic                   Forces (Hartrees/Bohr)\n"
            f" Number     Number              X              Y              Z\n {'-' * 67}\n"
            + rows(k, "{i:7d} {z:8d}    {f[0]:15.9f}{f[1]:15.9f}{f[2]:15.9f}\n")
            + f" {'-' * 67}\n"
        )
    return text


def moller_plesset(failed: tuple[bool, ...]) -> str:
    return gaussian(failed, " E2 =    -0.2000000000D+00 EUMP2 =   {e:.10f}\n")


def nwchem(failed: tuple[bool, ...]) -> str:
    text = "              Northwest Computational Chemistry Package (NWChem) 7.0.2\n"
    for k, fails in enumerate(failed):
        text += (
            "\n                                 NWChem DFT Module\n"
            + "  Calculation failed to converge\n  ------------------------------\n\n" * fails
            + f"         Total DFT energy =      {ENERGIES[k]:.12f}\n\n"
            "                         DFT ENERGY GRADIENTS\n\n"
            "    atom               coordinates                        gradient\n"
            "                 x          y          z           x          y          z\n"
            + rows(k, "{i:4d} {s} {b[0]:13.6f} {b[1]:10.6f} {b[2]:10.6f} {f[0]:11.6f} {f[1]:10.6f} {f[2]:10.6f}\n")
            + "\n"
        )
    return text


def orca(failed: tuple[bool, ...], note: str = "", before: bool = False) -> str:
    text = "                                 * O   R   C   A *\n"
    for k, fails in enumerate(failed):
        energy = f"{note * fails}   {ENERGIES[k]:.12f}" if before else f"   {ENERGIES[k]:.12f}   {note * fails}"
        text += (
            "Number of atoms                             ...      3\n---------------------------------\n"
            "CARTESIAN COORDINATES (ANGSTROEM)\n---------------------------------\n"
            + rows(k, "  {s} {x[0]:11.6f} {x[1]:11.6f} {x[2]:11.6f}\n")
            + "\n"
            + "               *           SCF NOT CONVERGED AFTER 125 CYCLES      *\n" * fails
            + f"FINAL SINGLE POINT ENERGY {energy}\n"
            "------------------\nCARTESIAN GRADIENT\n------------------\n\n"
            + rows(k, "   {i}   {s}   :   {f[0]:12.9f} {f[1]:12.9f} {f[2]:12.9f}\n")
            + f"\n         *                GEOMETRY RELAXATION STEP {k} *\n"
            + f"                    ORCA GEOMETRY RELAXATION STEP {k}\n"
        )
    return text.rpartition("                    ORCA GEOM")[0] + "             ****ORCA TERMINATED NORMALLY****\n"


def aims(failed: tuple[bool, ...], after: bool = False) -> str:
    text = (
        "          Invoking FHI-aims ...\n  | Number of atoms                   :        3\n"
        "  | Number of spin channels           :        1\n"
        "  The structure contains        3 atoms,  and a total of         10.000 electrons.\n"
        "  Input geometry:\n  | No unit cell requested.\n  | Atomic structure:\n"
        "  |       Atom                x [A]            y [A]            z [A]\n"
        + rows(0, "  |    {i}: Species {s} {x[0]:16.8f} {x[1]:16.8f} {x[2]:16.8f}\n")
        + "  | Number of Kohn-Sham states (occupied + empty):       11\n"
    )
    for k, fails in enumerate(failed):
        warning = "* WARNING! SELF-CONSISTENCY CYCLE DID NOT CONVERGE\n" * fails
        text += (
            f"          Begin self-consistency loop: {'Re-i' if k else 'I'}nitialization.\n"
            "Convergence:    q app. |  density  | eigen (eV) | Etot (eV)\n"
            + warning
            * (not after)
            + f"  | Electronic free energy        : {ENERGIES[k]:20.8f} Ha {ENERGIES[k] * Hartree:20.8f} eV\n"
            f"  | Total energy uncorrected      :         {ENERGIES[k] * Hartree + 0.1:.15E} eV\n"
            f"  | Electronic free energy        :         {ENERGIES[k] * Hartree:.15E} eV\n"
            "  Total atomic forces (unitary forces cleaned) [eV/Ang]:\n"
            + rows(0, "  |    {i} {f[0]:20.12E} {f[1]:20.12E} {f[2]:20.12E}\n")
            + "------------------------------------------------------------\n"
            "  Atomic structure (and velocities) as used in the preceding time step:\n"
            "                      x [A]             y [A]             z [A]       Atom\n"
            + rows(k, "   atom {x[0]:16.8f} {x[1]:16.8f} {x[2]:16.8f}  {s}\n     velocity  0.0  0.0  0.0\n")
            + warning * after
        )
    return text + "          Leaving FHI-aims.\n          Have a nice day.\n"


PROGRAMS = {
    "Gaussian": gaussian,
    "Gaussian, MP2": moller_plesset,
    "NWChem": nwchem,
    "ORCA": orca,
    "ORCA, near convergence": lambda failed: orca(failed, "(SCF not fully converged!)"),
    "FHI-aims": aims,
    "FHI-aims, warning after the energy": lambda failed: aims(failed, after=True),
    "ORCA, as ASE expects it": lambda failed: orca(failed, "(Wavefunction not fully converged!)", before=True),
}


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("failed", [(False, False), (True, False), (False, True), (True, True)])
def test_a_step_that_did_not_converge_has_no_labels(tmp_path, program, failed):
    path = tmp_path / ("run.nwo" if program == "NWChem" else "run.log")
    path.write_text(PROGRAMS[program](failed))
    frames = keel.read(path)
    assert [f.energy is None and f.forces is None for f in frames] == list(failed)
    assert [f.remarks for f in frames] == [(f"{UNCONVERGED}: the labels are not used",) * fails for fails in failed]
    taken = keel.read(path, keys=LabelKeys(unconverged=True))
    lower = 0.2 * (program == "Gaussian, MP2")
    assert [f.energy for f in taken] == pytest.approx([(e - lower) * Hartree for e in ENERGIES])
    assert all(f.forces is not None for f in taken)


STANDARD = "Standard orientation:"


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        ({"Input orientation:": STANDARD}, False),
        ({"Input orientation:": STANDARD, "g16\n": "g16\n #P B3LYP/6-31G(d) force\n"}, False),
        ({"Input orientation:": STANDARD, "g16\n": "g16\n #P B3LYP/6-31G(d) Force NoSymm\n"}, True),
        ({"Input orientation:": STANDARD, "g16\n": "g16\n Symmetry turned off by external request.\n"}, True),
        ({"Input orientation:": "Z-Matrix orientation:"}, True),
    ],
)
def test_forces_of_gaussian_in_another_orientation_than_the_positions(tmp_path, said, taken):
    text = gaussian((False, False))
    for old, new in said.items():
        text = text.replace(old, new)
    (tmp_path / "run.log").write_text(text)
    frames = keel.read(tmp_path / "run.log")
    assert [f.energy for f in frames] == pytest.approx([e * Hartree for e in ENERGIES])
    assert [f.forces is not None for f in frames] == [taken] * 2
    assert [f.remarks for f in frames] == [(ROTATED,) * (not taken)] * 2


def test_each_structure_of_gaussian_has_an_orientation_of_its_own(tmp_path):
    before, words, steps = gaussian((False, False)).partition("Input orientation:")
    text = before + words + steps.replace(words, STANDARD)
    (tmp_path / "run.log").write_text(text)
    assert [f.forces is not None for f in keel.read(tmp_path / "run.log")] == [True, False]


@pytest.mark.parametrize(
    "words",
    [
        "*Warning* max. SCF cycles performed but system has not reached the groundstate.",
        "  Warning: electronic minimisation did not converge when finding ground state.",
    ],
)
@pytest.mark.parametrize("dispersion", [None, -0.3])
def test_castep(tmp_path, words, dispersion):
    (true,) = outputs.frames(1)
    text, path = outputs.castep(true, dispersion), tmp_path / "a.castep"
    path.write_text(text.replace("Final energy,", f"{words}\nFinal energy,"))
    (frame,) = keel.read(path)
    assert frame.energy is None and frame.forces is None and UNCONVERGED in frame.remarks[0]
    path.write_text(text)
    assert keel.read(path)[0].energy == pytest.approx(true.energy)
