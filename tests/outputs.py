"""Outputs of simulation codes in miniature, in the form of each program, from frames whose labels are known.

``energy`` of a frame is the free energy that its forces belong to.
"""

from collections.abc import Sequence

import numpy as np

import keel
from keel.atoms.frame import Frame
from keel.atoms.units import BOHR, GPA, HARTREE

CONSTRAINED = "0.00000(cons'd)"
RYDBERG = HARTREE / 2
SMEARING = 0.25
"""eV by which the extrapolated energy lies above the free one."""


def frames(count: int = 3, element: str = "Cu") -> list[Frame]:
    """Return rattled crystals in a box that leans, with energy, forces and stress of ASE's EMT."""
    from ase.build import bulk
    from ase.calculators.emt import EMT

    made = []
    for seed in range(count):
        atoms = bulk(element, cubic=True)
        atoms.set_cell(atoms.cell.array @ [[1, 0, 0], [0.04, 1, 0], [0.02, -0.05, 1.01]], scale_atoms=True)
        atoms.rattle(0.08, seed=seed)
        atoms.wrap()
        atoms.calc = EMT()
        atoms.get_stress()
        made.append(keel.atoms.labelling.labelled.frame_from_ase(atoms))
    return made


def rows(values: np.ndarray, before: str = "  ", digits: int = 8) -> str:
    """Return one line for each row of numbers."""
    return "\n".join(before + " ".join(f"{x:16.{digits}f}" for x in row) for row in values)


def varray(name: str, values: np.ndarray) -> str:
    """Return an array as vasprun.xml has it."""
    lines = "\n".join(f"   <v> {' '.join(f'{x:.10f}' for x in row)} </v>" for row in values)
    return f'  <varray name="{name}" >\n{lines}\n  </varray>\n'


def scf(energies: Sequence[float]) -> str:
    """Return electronic steps with these free energies."""
    return "".join(
        f'  <scstep><energy><i name="e_fr_energy"> {e:.8f} </i><i name="e_wo_entrp"> {e + 2 * SMEARING:.8f} </i>'
        f'<i name="e_0_energy"> {e + SMEARING:.8f} </i></energy></scstep>\n'
        for e in energies
    )


def ionic_step(frame: Frame, changes: Sequence[float], pressure: float = 0.0) -> str:
    """Return an ionic step whose electronic steps lie so far above the last one; ``pressure`` is PSTRESS in kbar."""
    vasp_bug = "0.0"  # VASP's own e_0_energy of an ionic step is not one.
    enthalpy = frame.energy + pressure * 0.1 * GPA * frame.volume
    scaled = np.linalg.solve(frame.cell.T, frame.positions.T).T
    return (
        f" <calculation>\n{scf([frame.energy + c for c in (*changes, 0.0)])}  <structure><crystal>\n"
        + varray("basis", frame.cell)
        + f'  <i name="volume"> {frame.volume:.8f} </i></crystal>\n'
        + varray("positions", scaled)
        + "  </structure>\n"
        + varray("forces", frame.forces)
        + varray("stress", -frame.stress / (0.1 * GPA))
        + f'  <energy><i name="e_fr_energy"> {enthalpy:.8f} </i><i name="e_0_energy"> {vasp_bug} </i></energy>\n'
        + " </calculation>\n"
    )


def vasprun(steps: Sequence[str], first: Frame, nelm: int = 4, pressure: float = 0.0, selective: str = "") -> str:
    """Return a vasprun.xml of some ionic steps; ``selective`` has three letters for each atom."""
    symbols = "".join(f"<rc><c>{keel.atoms.elements.symbol(z)}</c><c> 1</c></rc>" for z in first.numbers)
    flags = "".join(f"<v> {' '.join(selective[k : k + 3])} </v>" for k in range(0, len(selective), 3))
    held = f'<varray type="logical" name="selective">{flags}</varray>' if selective else ""
    return (
        '<?xml version="1.0" encoding="ISO-8859-1"?>\n<modeling>\n'
        f' <parameters><separator name="electronic"><i type="int" name="NELM"> {nelm}</i>'
        f'<i name="EDIFF"> 0.00010000</i></separator><i name="PSTRESS"> {pressure}</i></parameters>\n'
        f' <atominfo><array name="atoms"><set>{symbols}</set></array></atominfo>\n'
        f' <structure name="initialpos">{held}</structure>\n' + "".join(steps) + "</modeling>\n"
    )


def outcar_step(frame: Frame, number: int, converged: bool = True) -> str:
    """Return an ionic step of an OUTCAR."""
    voigt = (-frame.stress / (0.1 * GPA))[[0, 1, 2, 0, 1, 2], [0, 1, 2, 1, 2, 0]]
    table = np.hstack([frame.positions, frame.forces])
    end = f"------------------------ aborting loop because EDIFF is reached {'-' * 40}\n" if converged else ""
    return (
        f"--------------------------------------- Iteration {number:6d}(   1)  {'-' * 39}\n"
        f"{end}  in kB  {' '.join(f'{x:.5f}' for x in voigt)}\n"
        "      direct lattice vectors                 reciprocal lattice vectors\n"
        f"{rows(np.hstack([frame.cell, np.linalg.inv(frame.cell).T]), digits=9)}\n\n"
        " POSITION                                       TOTAL-FORCE (eV/Angst)\n"
        f" {'-' * 83}\n{rows(table, digits=6)}\n {'-' * 83}\n"
        f"  FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)\n  {'-' * 51}\n"
        f"  free  energy   TOTEN  =     {frame.energy:16.8f} eV\n\n"
        f"  energy  without entropy=  {frame.energy + 2 * SMEARING:16.8f}  energy(sigma->0) ="
        f" {frame.energy + SMEARING:16.8f}\n\n"
    )


def outcar(steps: Sequence[str], first: Frame, end: bool = True) -> str:
    """Return an OUTCAR of one element; ``end``: the run came to its end."""
    potcar = " POTCAR:    PAW_PBE Cu 22Jun2005\n"
    return (
        f" vasp.6.4.2 20Jul23 (build) complex\n{potcar}{potcar}   ions per type = {len(first):15d}\n"
        + "".join(steps)
        + (" General timing and accounting informations for this job:\n" if end else "")
    )


def pw_head(frame: Frame, hybrid: bool = False) -> str:
    """Return what pw.x prints before its first step."""
    exchange = "     EXX-fraction              =        0.25\n" if hybrid else ""
    axes = "".join(f"   a({k + 1}) = ( {' '.join(f'{x:.10f}' for x in v / BOHR)} )\n" for k, v in enumerate(frame.cell))
    sites = "".join(
        f"  {k + 1}  Cu  tau( {k + 1}) = ( {' '.join(f'{x:.10f}' for x in p / BOHR)} )\n"
        for k, p in enumerate(frame.positions)
    )
    return (
        f"\n     Program PWSCF v.6.7 starts on  1Jan2026\n{exchange}     number of atoms/cell      = {len(frame)}\n"
        f"     number of atomic types    = 1\n     celldm(1)=   1.000000  celldm(2)=   0.000000\n"
        f"     crystal axes: (cart. coord. in units of alat)\n{axes}"
        f"     site n.  atom  positions (alat units)\n{sites}\n"
    )


def pw_place(frame: Frame) -> str:
    """Return the structure of a later step."""
    return f"ATOMIC_POSITIONS (angstrom)\n{rows(frame.positions, 'Cu ')}\n\n"


def pw_results(frame: Frame, rounds: Sequence[float] = (0.0,), settled: bool = False) -> str:
    """Return the results of a step; ``rounds``: by how much the energies of rounds of exact exchange are too high."""
    energies = "".join(f"!    total energy              = {(frame.energy + r) / RYDBERG:16.8f} Ry\n" for r in rounds)
    if settled:
        energies += f"!!   total energy              = {frame.energy / RYDBERG:16.8f} Ry\n"
    forces = "".join(
        f"     atom {k + 1:4d} type  1   force = {' '.join(f'{x:.8f}' for x in f / RYDBERG * BOHR)}\n"
        for k, f in enumerate(frame.forces)
    )
    stress = -frame.stress / RYDBERG * BOHR**3
    kbar = np.zeros((3, 3))
    return (
        f"{energies}\n     Forces acting on atoms (cartesian axes, Ry/au):\n\n{forces}\n"
        f"          total   stress  (Ry/bohr**3)       (kbar)     P=  0.00\n{rows(np.hstack([stress, kbar]))}\n\n"
    )


PW_FAILED = (
    "     End of self-consistent calculation\n\n     convergence NOT achieved after   8 iterations: stopping\n\n"
)


def gpaw(frames: Sequence[Frame], correction: float = 0.0, unfinished: Frame | None = None) -> str:
    """Return GPAW's text; ``correction``: of dispersion, which forces and energy of the frames hold."""
    text = "\n  ___ ___ ___ _ _ _  \n |   |   |_  | | | | \n | | | | | . | | | | \n |__ |  _|___|_____|  22.8.0\n"
    for frame in (*frames, *([unfinished] if unfinished else [])):
        text += _gpaw_place(frame)
        if frame is unfinished:
            return text + "Did not converge!\n"
        text += _gpaw_results(frame, correction)
    return text


def _gpaw_place(frame: Frame) -> str:
    atoms = rows(frame.positions, "   0 Cu ", 6)
    axes = "\n".join(
        f"  {k + 1}. axis:    yes {' '.join(f'{x:.6f}' for x in v)}    12     0.3" for k, v in enumerate(frame.cell)
    )
    return f"\nPositions:\n{atoms}\n\nUnit cell:\n        periodic     x  y  z  points  spacing\n{axes}\n\n"


def _gpaw_results(frame: Frame, correction: float) -> str:
    free = frame.energy - correction
    text = (
        "Energy contributions relative to reference atoms: (reference = -1.0)\n\nKinetic:        +18.864007\n"
        f"{'-' * 26}\nFree energy:   {free:.6f}\nExtrapolated:  {free + SMEARING:.6f}\n\n"
        f"Forces in eV/Ang:\n{rows(frame.forces, '  0 Cu ', 5)}\n\n"
    )
    if correction:
        text += (
            f"D3\nvdW correction:\nEnergy: {frame.energy + SMEARING:.6f}\n\nForces in eV/Ang:\n"
            f"{rows(frame.forces, '  0 Cu ', 5)}\n\n"
        )
    return text


def castep(frame: Frame, dispersion: float | None = None, fixed: int = 0) -> str:
    """Return CASTEP's output; ``dispersion`` is in energy and forces of the frame, ``fixed`` atoms are constrained."""
    bare = frame.energy - (dispersion or 0.0)
    energies = (
        f"Final energy, E             =  {bare + 2 * SMEARING:.8f}     eV\n"
        f"Final free energy (E-TS)    =  {bare:.8f}     eV\n"
        f"NB est. 0K energy (E-0.5TS)      =  {bare + SMEARING:.8f}     eV\n"
    )
    if dispersion is not None:
        energies += (
            f" Dispersion corrected final energy*, Ecor          =  {frame.energy + 2 * SMEARING:.8f}     eV\n"
            f" Dispersion corrected final free energy* (Ecor-TS) =  {frame.energy:.8f}     eV\n"
            f" NB dispersion corrected est. 0K energy* (Ecor-0.5TS) =  {frame.energy + SMEARING:.8f}     eV\n"
        )
    scaled = np.linalg.solve(frame.cell.T, frame.positions.T).T
    place = "".join(f" x  Cu  {k + 1}  {' '.join(f'{x:.9f}' for x in s)}  x\n" for k, s in enumerate(scaled))
    forces = "".join(
        f" * Cu {k + 1} {' '.join(CONSTRAINED if k < fixed else f'{x:.7f}' for x in f)} *\n"
        for k, f in enumerate(frame.forces)
    )
    cell = "\n".join(f"   {' '.join(f'{x:.9f}' for x in v)}   0.1 0.1 0.1" for v in frame.cell)
    return (
        " |  Welcome to Academic Release CASTEP version 22.11  |\n *** Title ***\n\n ******\n"
        f"                           Unit Cell\n{cell}\n\n   Cell Contents\n"
        f"            Total number of ions in cell =  {len(frame)}\n         Total number of species in cell = 1\n\n"
        f"            x  Fractional coordinates of atoms  x\n{place}\n{energies}\n"
        f" ******************** Constrained Forces ********************\n\n{forces}\n"
        " Finalisation time   =      0.01 s\n"
    )
