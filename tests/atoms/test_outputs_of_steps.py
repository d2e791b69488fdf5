"""Outputs with several structures of which ASE 3.29 mixes, loses or misreads parts: FHI-aims' MD, ORCA's jobs."""

import numpy as np
import pytest

import keel
import outputs
from keel.atoms.units import BOHR, HARTREE
from keel.errors import DataError

STEPS = outputs.frames(2)
VELOCITY = (1.0, -2.0, 3.0)
"""Angstrom/ps, as FHI-aims prints it."""


def aims(cell=True):
    """Return molecular dynamics: the cell is printed once, before the first step."""
    first = STEPS[0]
    n = len(first.numbers)
    vectors = "".join(f"  | {' '.join(f'{x:16.8f}' for x in v)}\n" for v in first.cell)
    sites = "".join(
        f"  |    {k + 1}: Species Cu {' '.join(f'{x:16.8f}' for x in p)}\n" for k, p in enumerate(first.positions)
    )
    lattice = f"  | Unit cell:\n{vectors}" if cell else "  | No unit cell requested.\n"
    text = (
        f"          Invoking FHI-aims ...\n  | Number of atoms                   :        {n}\n"
        "  | Number of spin channels           :        1\n"
        f"  The structure contains        {n} atoms,  and a total of        116.000 electrons.\n"
        f"  Input geometry:\n{lattice}"
        "  | Atomic structure:\n  |       Atom                x [A]            y [A]            z [A]\n"
        f"{sites}  | Number of Kohn-Sham states (occupied + empty):       80\n"
    )
    for k, step in enumerate(STEPS):
        forces = "".join(f"  |    {i + 1} {' '.join(f'{x:25.15E}' for x in f)}\n" for i, f in enumerate(step.forces))
        moved = "".join(
            f"            atom {' '.join(f'{x:16.8f}' for x in p)}  Cu\n"
            f"        velocity {' '.join(f'{x:16.8f}' for x in VELOCITY)}\n"
            for p in step.positions
        )
        text += (
            f"          Begin self-consistency loop: {'Re-i' if k else 'I'}nitialization.\n"
            "  Convergence:    q app. |  density  | eigen (eV) | Etot (eV)\n"
            f"  | Total energy uncorrected      :         {step.energy + 0.1:.15E} eV\n"
            f"  | Electronic free energy        :         {step.energy:.15E} eV\n"
            f"  Total atomic forces (unitary forces cleaned) [eV/Ang]:\n{forces}"
            f"{stress(step.stress)}"
            "  Atomic structure (and velocities) as used in the preceding time step:\n"
            f"                      x [A]             y [A]             z [A]       Atom\n{moved}\n"
        )
    return text + "          Leaving FHI-aims.\n          Have a nice day.\n"


def stress(values):
    """Return a stress as FHI-aims prints it."""
    rule = f"  +{'-' * 67}+\n"
    rows = "".join(f"  |  {n} {' '.join(f'{x:16.8f}' for x in v)}  |\n" for n, v in zip("xyz", values, strict=True))
    return (
        f"{rule}  |              Analytical stress tensor - Symmetrized               |\n"
        f"  |                  Cartesian components [eV/A**3]                   |\n{rule}"
        f"  |                x                y                z                |\n  |{' ' * 67}|\n{rows}{rule}"
    )


def test_dynamics_of_fhi_aims_keeps_its_cell_and_its_unit_of_velocity(tmp_path):
    (tmp_path / "run.out").write_text(aims())
    frames = keel.read(tmp_path / "run.out")
    assert len(frames) == 2
    for frame, true in zip(frames, STEPS, strict=True):
        assert frame.pbc.all()
        np.testing.assert_allclose(frame.cell, STEPS[0].cell, atol=1e-7)
        np.testing.assert_allclose(frame.positions, true.positions, atol=1e-7)
        np.testing.assert_allclose(frame.forces, true.forces, atol=1e-10)
        np.testing.assert_allclose(frame.stress, true.stress, atol=1e-7)
        np.testing.assert_allclose(frame.velocities, np.tile(VELOCITY, (4, 1)) / 1000, rtol=1e-6)
        assert frame.energy == pytest.approx(true.energy)


def test_dynamics_of_a_cluster_stays_one(tmp_path):
    (tmp_path / "run.out").write_text(aims(cell=False))
    frames = keel.read(tmp_path / "run.out")
    assert not any(f.pbc.any() or f.cell.any() for f in frames)
    np.testing.assert_allclose(frames[1].velocities[0], np.array(VELOCITY) / 1000, rtol=1e-6)


HEAD, END = "                                 * O   R   C   A *\n", "             ****ORCA TERMINATED NORMALLY****\n"
STEP = "                    ORCA GEOMETRY RELAXATION STEP\n"


def orca(step, numerical=False, forces=True):
    """Return what ORCA prints of one structure; before a numerical gradient there is no blank line."""
    sites = "".join(f"  Cu {' '.join(f'{x:11.6f}' for x in p)}\n" for p in step.positions)
    gradient = "".join(
        f"   {k + 1}   Cu  :   {' '.join(f'{-x / HARTREE * BOHR:14.9f}' for x in f)}\n"
        for k, f in enumerate(step.forces)
    )
    title = f"CARTESIAN GRADIENT{' (NUMERICAL)' * numerical}"
    rule = "-" * len(title)
    lines = f"{rule}\n{title}\n{rule}\n{'' if numerical else chr(10)}{gradient}\nDifference to translation\n"
    return (
        "---------------------------------\nCARTESIAN COORDINATES (ANGSTROEM)\n---------------------------------\n"
        f"{sites}\nNumber of atoms                             ...      {len(step.numbers)}\n"
        f"FINAL SINGLE POINT ENERGY    {step.energy / HARTREE:.12f}\n{lines * forces}"
    )


@pytest.mark.parametrize("numerical", [False, True])
def test_gradients_of_orca(numerical, tmp_path):
    (tmp_path / "run.out").write_text(HEAD + STEP.join(orca(s, numerical) for s in STEPS) + END)
    frames = keel.read(tmp_path / "run.out")
    assert len(frames) == 2
    for frame, true in zip(frames, STEPS, strict=True):
        np.testing.assert_allclose(frame.forces, true.forces, atol=1e-6)
        np.testing.assert_allclose(frame.positions, true.positions, atol=1e-6)
        assert frame.energy == pytest.approx(true.energy)


def test_jobs_of_orca_in_one_output_are_not_mixed(tmp_path):
    (tmp_path / "run.out").write_text(HEAD + orca(STEPS[0]) + "$$$$$$  JOB NUMBER  2 $$$$$$\n" + orca(STEPS[1]) + END)
    with pytest.raises(DataError, match=r"run\.out: this output of ORCA has several structures in one part"):
        keel.read(tmp_path / "run.out")


def test_the_last_structure_of_a_relaxation_has_no_forces(tmp_path):
    (tmp_path / "run.out").write_text(HEAD + orca(STEPS[0]) + STEP + orca(STEPS[1], forces=False) + END)
    frames = keel.read(tmp_path / "run.out")
    assert [f.forces is None for f in frames] == [False, True]
    np.testing.assert_allclose(frames[1].positions, STEPS[1].positions, atol=1e-6)
