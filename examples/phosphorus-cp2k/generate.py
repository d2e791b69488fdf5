"""Make the phosphorus data set that comes with keel, or more of it: DFT molecular dynamics with CP2K.

Four steps, for each phase (black, liquid-P4):

    python generate.py start  black              # black.xyz, the structure to start from
    python generate.py input  black --steps 300  # black.inp, the input of CP2K
    cp2k -i black.inp -o black.out               # hours: 8-20 s a step on one core
    python generate.py collect black liquid-P4 --out phosphorus.extxyz.xz

The last step also checks that the changes of energy agree with the work of the forces.
CP2K and its data files: Debian packages cp2k and cp2k-data, or https://www.cp2k.org.
"""

import argparse
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from cp2k import BOHR, HARTREE, functional, structure
from scipy.spatial.transform import Rotation

import keel

INPUT = """\
&GLOBAL
  PROJECT {project}
  RUN_TYPE MD
  PRINT_LEVEL LOW
&END
&FORCE_EVAL
  METHOD QS
  &DFT
    BASIS_SET_FILE_NAME BASIS_MOLOPT
    POTENTIAL_FILE_NAME GTH_POTENTIALS
    &MGRID
      CUTOFF 180
      REL_CUTOFF 36
    &END
    &QS
      EPS_DEFAULT 1e-10
      EXTRAPOLATION ASPC
      EXTRAPOLATION_ORDER 3
    &END
    &SCF
      SCF_GUESS ATOMIC
      EPS_SCF 2e-6
      MAX_SCF 60
      &OT
        MINIMIZER DIIS
        PRECONDITIONER FULL_SINGLE_INVERSE
      &END
      &OUTER_SCF
        EPS_SCF 2e-6
        MAX_SCF 5
      &END
      &PRINT
        &RESTART OFF
        &END
      &END
    &END
{functional}
  &END
{structure}
&END
&MOTION
  &MD
    ENSEMBLE NVT
    STEPS {steps}
    TIMESTEP {timestep}
    TEMPERATURE {temperature}
    &THERMOSTAT
      TYPE CSVR
      &CSVR
        TIMECON 40
      &END
    &END
  &END
  &PRINT
    &TRAJECTORY
      &EACH
        MD 1
      &END
    &END
    &FORCES
      &EACH
        MD 1
      &END
    &END
    &RESTART OFF
    &END
    &RESTART_HISTORY OFF
    &END
  &END
&END
"""


def black_phosphorus(cells: tuple[int, int, int] = (2, 1, 2)) -> Atoms:
    """Cells of orthorhombic black phosphorus (space group 64) of 8 atoms each, slightly rattled."""
    y, z = 0.1017, 0.0806
    quarter = [(0, y, z), (0, 0.5 - y, 0.5 + z), (0, 0.5 + y, 0.5 - z), (0, -y, -z)]
    sites = [(a + shift, b + shift, c) for a, b, c in quarter for shift in (0.0, 0.5)]
    cell = Atoms("P8", scaled_positions=np.mod(sites, 1), cell=[3.314, 10.478, 4.376], pbc=True)
    cell = cell.repeat(cells)
    cell.rattle(0.02, seed=1)
    return cell


def liquid_p4(length: float = 11.6, bond: float = 2.21, seed: int = 3, molecules: int = 8) -> Atoms:
    """P4 tetrahedra in a cube; of 500 random orientations the one whose molecules stay furthest apart."""
    rng = np.random.default_rng(seed)
    tetrahedron = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / np.sqrt(8) * bond
    centres = molecule_centres(rng, length, molecules)
    best, widest = None, 0.0
    for _ in range(500):
        turns = [Rotation.random(random_state=int(rng.integers(1e9))).as_matrix() for _ in centres]
        positions = np.concatenate([c + tetrahedron @ turn.T for c, turn in zip(centres, turns, strict=True)])
        atoms = Atoms(f"P{4 * molecules}", positions=positions, cell=[length] * 3, pbc=True)
        molecule = np.arange(4 * molecules) // 4
        gap = atoms.get_all_distances(mic=True)[molecule[:, None] != molecule].min()
        if best is None or gap > widest:
            best, widest = atoms, gap
    best.wrap()
    return best


def molecule_centres(rng: np.random.Generator, length: float, number: int, apart: float = 4.9) -> list[np.ndarray]:
    """Points of a periodic cube, each further than ``apart`` from all others, by trial and fresh starts."""
    centres: list[np.ndarray] = []
    while len(centres) < number:
        trial = rng.uniform(0, length, 3)
        if all(np.linalg.norm((trial - c + length / 2) % length - length / 2) > apart for c in centres):
            centres.append(trial)
        if rng.random() < 0.002:
            centres = []
    return centres


START = {"black": black_phosphorus, "liquid-P4": liquid_p4}


def cp2k_input(phase: str, steps: int, timestep: float, temperature: float) -> str:
    """Input of CP2K for a run that begins with PHASE.xyz."""
    atoms = ase.io.read(f"{phase}.xyz")
    return INPUT.format(
        project=phase,
        functional=functional(dispersion=True),
        structure=structure(atoms.get_chemical_symbols(), atoms.positions, atoms.cell.array, digits=6),
        steps=steps,
        timestep=timestep,
        temperature=temperature,
    )


def trajectory(path: Path) -> Iterator[tuple[int, float, float, np.ndarray]]:
    """Step, time in fs, energy in hartree and the three columns of each complete frame of CP2K's xyz."""
    lines = path.read_text().splitlines()
    n = int(lines[0])
    for start in range(0, len(lines) - n - 1, n + 2):
        header = dict(part.split("=") for part in lines[start + 1].replace(" ", "").split(","))
        columns = np.array([line.split()[1:4] for line in lines[start + 2 : start + 2 + n]], dtype=float)
        yield int(header["i"]), float(header["time"]), float(header["E"]), columns


def collect(phase: str) -> list[keel.Frame]:
    """Labelled frames of one run, with CP2K's positions and forces matched by step."""
    cell = ase.io.read(f"{phase}.xyz").cell.array
    forces = {step: f for step, _, _, f in trajectory(Path(f"{phase}-frc-1.xyz"))}
    return [
        keel.Frame(
            numbers=np.full(len(positions), 15),
            positions=positions,
            cell=cell,
            pbc=np.ones(3, dtype=bool),
            energy=energy * HARTREE,
            # Eight digits of an eV/angstrom are more than the SCF convergence gives.
            forces=np.round(forces[step] * HARTREE / BOHR, 8),
            info={"phase": phase, "step": step, "time_fs": time},
            source=f"{phase}, step {step}",
        )
        for step, time, energy, positions in trajectory(Path(f"{phase}-pos-1.xyz"))
        if step in forces
    ]


def work_residual(frames: list[keel.Frame]) -> tuple[float, float]:
    """Rms in meV/atom of (energy change - work of the forces), and of the energy change itself, step by step."""
    residuals, changes = [], []
    for a, b in pairwise(frames):
        work = -0.5 * np.sum((a.forces + b.forces) * (b.positions - a.positions))
        changes.append((b.energy - a.energy) / len(a) * 1e3)
        residuals.append(changes[-1] - work / len(a) * 1e3)
    return float(np.std(residuals)), float(np.std(changes))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    steps = parser.add_subparsers(dest="step", required=True)
    start = steps.add_parser("start", help="write PHASE.xyz")
    make = steps.add_parser("input", help="write PHASE.inp")
    gather = steps.add_parser("collect", help="gather CP2K's output into one labelled file")
    for parser_of_step in (start, make):
        parser_of_step.add_argument("phase", choices=START)
    make.add_argument("--steps", type=int, default=300)
    make.add_argument("--timestep", type=float, default=2.0, help="fs")
    make.add_argument("--temperature", type=float, default=800.0, help="K")
    gather.add_argument("phases", nargs="+", choices=START)
    gather.add_argument("--out", type=Path, default=Path("phosphorus.extxyz.xz"))
    arguments = parser.parse_args()
    if arguments.step == "start":
        ase.io.write(f"{arguments.phase}.xyz", START[arguments.phase]())
    elif arguments.step == "input":
        text = cp2k_input(arguments.phase, arguments.steps, arguments.timestep, arguments.temperature)
        Path(f"{arguments.phase}.inp").write_text(text)
    else:
        runs = [collect(phase) for phase in arguments.phases]
        for phase, run in zip(arguments.phases, runs, strict=True):
            residual, change = work_residual(run)
            print(f"{phase}: {len(run)} frames; energy changes by {change:.3f} meV/atom rms a step,")
            print(f"  of which the work of the forces does not explain {residual:.3f}")
        keel.write(arguments.out, [frame for run in runs for frame in run])


if __name__ == "__main__":
    main()
