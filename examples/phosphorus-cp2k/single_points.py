"""Label structures by DFT, each for itself: energy, forces and stress with CP2K.

    python single_points.py input silicon.extxyz --mesh 15   # silicon/000.inp and so on
    for name in silicon/*.inp; do cp2k -i $name -o ${name%.inp}.out; done      # 20 s each on one core
    python single_points.py collect silicon.extxyz --out silicon-pbe.extxyz.xz

Bands are occupied as at 1000 K or ``--smearing``, so that metals converge too; energies are free energies, whose
derivatives the forces and the stress are.
"""

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from cp2k import BOHR, HARTREE, functional, structure

import keel
from keel.atoms.elements import symbol

GPA = 160.21766208  # of an eV/angstrom^3
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
        ELECTRONIC_TEMPERATURE {smearing}
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
      SCHEME {k_points}
    &END
{functional}
  &END
{structure}
&END
"""


@dataclass(frozen=True)
class Settings:
    """Of all structures of a file.

    Parameters
    ----------
    cutoff, relative_cutoff
        Of the grid, Ry; the relative one is a quarter of the other where it is not given.
    mesh
        k-points times length, angstrom, along each side of a structure; there is at least one.
    points
        Numbers of k-points along the sides, Gamma among them, instead of a mesh.
    smearing
        Electronic temperature, K.
    dispersion
        Whether D3(BJ) is added.
    """

    cutoff: float = 100.0
    relative_cutoff: float | None = None
    mesh: float = 0.0
    points: Sequence[int] | None = None
    smearing: float = 1000.0
    dispersion: bool = False


def cp2k_input(frame: keel.Frame, project: str, settings: Settings) -> str:
    """Input of CP2K for one structure."""
    return INPUT.format(
        project=project,
        cutoff=settings.cutoff,
        relative_cutoff=settings.relative_cutoff or settings.cutoff / 4,
        empty=len(frame),
        smearing=settings.smearing,
        k_points=k_points(frame, settings),
        functional=functional(settings.dispersion),
        structure=structure([symbol(z) for z in frame.numbers], frame.positions, frame.cell),
    )


def k_points(frame: keel.Frame, settings: Settings) -> str:
    """Scheme of CP2K and its numbers. An even number of Monkhorst-Pack points misses Gamma by half their distance."""
    if settings.points is None:
        mesh = np.maximum(1, np.rint(settings.mesh / np.linalg.norm(frame.cell, axis=1))).astype(int)
        return "MONKHORST-PACK {} {} {}".format(*mesh)
    shifts = [0.0 if n % 2 else 0.5 / n for n in settings.points]
    return "MACDONALD " + " ".join(map(str, [*settings.points, *shifts]))


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
    make.add_argument("--cutoff", type=float, default=Settings.cutoff, help="of the grid, Ry; 180 for P, 300 for O")
    make.add_argument("--relative-cutoff", type=float, help="of the grid, Ry; a quarter of the cutoff if not given")
    make.add_argument("--mesh", type=float, default=Settings.mesh, help="k-points times length, angstrom; 0: Gamma")
    make.add_argument("--points", type=int, nargs=3, help="k-points along each side, with Gamma; no mesh then")
    make.add_argument("--smearing", type=float, default=Settings.smearing, help="electronic temperature, K")
    make.add_argument("--dispersion", action="store_true", help="add D3(BJ)")
    gather.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    frames, folder = keel.read(arguments.structures), Path(arguments.structures.stem)
    if arguments.step == "input":
        write_inputs(frames, folder, Settings(**{f.name: getattr(arguments, f.name) for f in fields(Settings)}))
    else:
        collect(frames, folder, arguments.out)


def write_inputs(frames: Sequence[keel.Frame], folder: Path, settings: Settings) -> None:
    folder.mkdir(exist_ok=True)
    for k, frame in enumerate(frames):
        (folder / f"{k:03d}.inp").write_text(cp2k_input(frame, f"{folder}-{k:03d}", settings))


def collect(frames: Sequence[keel.Frame], folder: Path, out: Path) -> None:
    outputs = [folder / f"{k:03d}.out" for k in range(len(frames))]
    results = [labelled(f, o.read_text()) for f, o in zip(frames, outputs, strict=True) if o.is_file()]
    found = [frame for frame in results if frame is not None]
    keel.write(out, found)
    print(f"{len(found)} of {len(frames)} structures have labels")


if __name__ == "__main__":
    main()
