"""Label structures by DFT, each for itself: energy, forces and stress with CP2K.

    python single_points.py input silicon.extxyz --mesh 15   # silicon/000.inp and so on
    for name in silicon/*.inp; do cp2k -i $name -o ${name%.inp}.out; done      # 20 s each on one core
    python single_points.py collect silicon.extxyz --out silicon-pbe.extxyz.xz

Bands are occupied as at 1000 K, so that metals converge too; energies are free energies, whose derivatives the forces
and the stress are.
"""

import argparse
import re
from pathlib import Path

import numpy as np
from generate import BOHR, HARTREE

import keel
from keel.atoms.elements import symbol

GPA = 160.21766208  # of an eV/angstrom^3
VALENCE = {"O": 6, "Si": 4, "P": 5}
DISPERSION = """
      &VDW_POTENTIAL
        POTENTIAL_TYPE PAIR_POTENTIAL
        &PAIR_POTENTIAL
          TYPE DFTD3(BJ)
          PARAMETER_FILE_NAME dftd3.dat
          REFERENCE_FUNCTIONAL PBE
          R_CUTOFF 15
        &END
      &END"""
KIND = """
    &KIND {symbol}
      BASIS_SET DZVP-MOLOPT-SR-GTH
      POTENTIAL GTH-PBE-q{valence}
    &END"""
INPUT = """\
&GLOBAL
  PROJECT {project}
  RUN_TYPE ENERGY_FORCE
  PRINT_LEVEL LOW
&END
&FORCE_EVAL
  METHOD QS
  STRESS_TENSOR ANALYTICAL
  &PRINT
    &FORCES
    &END
    &STRESS_TENSOR
    &END
  &END
  &DFT
    BASIS_SET_FILE_NAME BASIS_MOLOPT
    POTENTIAL_FILE_NAME GTH_POTENTIALS
    &MGRID
      CUTOFF {cutoff}
      REL_CUTOFF {relative_cutoff}
    &END
    &QS
      EPS_DEFAULT 1e-8
    &END
    &SCF
      SCF_GUESS ATOMIC
      EPS_SCF 5e-6
      MAX_SCF 100
      ADDED_MOS {empty}
      &DIAGONALIZATION
      &END
      &SMEAR
        METHOD FERMI_DIRAC
        ELECTRONIC_TEMPERATURE 1000
      &END
      &MIXING
        METHOD BROYDEN_MIXING
        ALPHA 0.3
        NBROYDEN 8
      &END
      &PRINT
        &RESTART OFF
        &END
      &END
    &END
    &KPOINTS
      SCHEME MONKHORST-PACK {mesh}
    &END
    &XC
      &XC_FUNCTIONAL PBE
      &END{dispersion}
    &END
  &END
  &SUBSYS
    &CELL
{cell}
    &END
    &COORD
{coordinates}
    &END{kinds}
  &END
&END
"""


def cp2k_input(frame: keel.Frame, project: str, cutoff: float, mesh: float, dispersion: bool) -> str:
    """Input of CP2K for one structure.

    The grid's cutoff is in Ry; there are about ``mesh`` (angstrom) / length k-points along each side, at least one.
    """
    rows = (" ".join(f"{x:.8f}" for x in p) for p in frame.positions)
    symbols = [symbol(z) for z in frame.numbers]
    return INPUT.format(
        project=project,
        cutoff=cutoff,
        relative_cutoff=cutoff / 4,
        empty=len(frame),
        mesh="{} {} {}".format(*np.maximum(1, np.rint(mesh / np.linalg.norm(frame.cell, axis=1))).astype(int)),
        dispersion=DISPERSION if dispersion else "",
        cell="\n".join(f"      {n} " + " ".join(f"{x:.8f}" for x in v) for n, v in zip("ABC", frame.cell, strict=True)),
        coordinates="\n".join(f"      {s} {row}" for s, row in zip(symbols, rows, strict=True)),
        kinds="".join(KIND.format(symbol=s, valence=VALENCE[s]) for s in sorted(set(symbols))),
    )


def labelled(frame: keel.Frame, output: str) -> keel.Frame | None:
    """The structure with what CP2K says of it; None where it did not converge."""
    if "SCF run NOT converged" in output or "PROGRAM ENDED" not in output:
        return None
    energy = re.findall(r"ENERGY\| Total FORCE_EVAL.*:\s+(\S+)", output)[-1]
    forces = re.findall(r"^ +\d+ +\d+ +[A-Z][a-z]? +(\S+) +(\S+) +(\S+)$", output.split("ATOMIC FORCES")[1], re.M)
    pressure = re.findall(r"STRESS\| +[xyz] +(\S+) +(\S+) +(\S+)$", output, re.M)[:3]
    # More digits than these are beyond the convergence of the calculation.
    return frame.replace(
        energy=round(float(energy) * HARTREE, 6),
        forces=np.round(np.array(forces, dtype=float) * HARTREE / BOHR, 5),
        stress=np.round(-np.array(pressure, dtype=float) / GPA, 7),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    steps = parser.add_subparsers(dest="step", required=True)
    make = steps.add_parser("input", help="write an input of CP2K for each structure")
    gather = steps.add_parser("collect", help="gather CP2K's output into one labelled file")
    for parser_of_step in (make, gather):
        parser_of_step.add_argument("structures", type=Path, help="inputs and outputs lie in a folder of this name")
    make.add_argument("--cutoff", type=float, default=100.0, help="of the grid, Ry; 180 for O and P")
    make.add_argument("--mesh", type=float, default=0.0, help="k-points times length, angstrom; 0: Gamma only")
    make.add_argument("--dispersion", action="store_true", help="add D3(BJ)")
    gather.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    frames, folder = keel.read(arguments.structures), Path(arguments.structures.stem)
    if arguments.step == "input":
        folder.mkdir(exist_ok=True)
        for k, frame in enumerate(frames):
            text = cp2k_input(frame, f"{folder}-{k:03d}", arguments.cutoff, arguments.mesh, arguments.dispersion)
            (folder / f"{k:03d}.inp").write_text(text)
        return
    outputs = [folder / f"{k:03d}.out" for k in range(len(frames))]
    results = [labelled(f, o.read_text()) for f, o in zip(frames, outputs, strict=True) if o.is_file()]
    found = [frame for frame in results if frame is not None]
    keel.write(arguments.out, found)
    print(f"{len(found)} of {len(frames)} structures have labels")


if __name__ == "__main__":
    main()
