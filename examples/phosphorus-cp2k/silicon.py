"""Write structures of silicon that a force field of pairs cannot describe: bonded, strained, metallic, molten.

python silicon.py    # silicon.extxyz: 60 structures without labels, in random order; label them by single_points.py
"""

import numpy as np
from ase import Atoms
from ase.build import bulk, make_supercell

import keel

FOLD = np.array([[1, 1, 0], [-1, 1, 0], [0, 0, 1]])
"""Of a tetragonal cell: twice its volume."""


def diamond(rng: np.random.Generator) -> Atoms:
    """Diamond, 16 atoms: strained by up to 5 % in each direction, displaced by 0.05 to 0.4 angstrom."""
    cell = folded(bulk("Si", "diamond", a=5.46, cubic=True))
    return displaced(cell, rng.uniform(0.95, 1.04) * rng.uniform(0.985, 1.015, 3), rng.uniform(0.05, 0.4), rng)


def beta_tin(rng: np.random.Generator) -> Atoms:
    """The metal that silicon becomes under pressure, 16 atoms with six neighbours each."""
    sites = [(0, 0, 0), (0, 0.5, 0.25), (0.5, 0.5, 0.5), (0.5, 0, 0.75)]
    cell = Atoms("Si4", scaled_positions=sites, cell=[4.81, 4.81, 2.65], pbc=True).repeat((1, 1, 2))
    return displaced(folded(cell), rng.uniform(0.97, 1.06) * np.ones(3), rng.uniform(0.05, 0.3), rng)


def simple_cubic(rng: np.random.Generator) -> Atoms:
    """Simple cubic, 12 atoms: right angles only."""
    cell = bulk("Si", "sc", a=2.55).repeat((2, 2, 3))
    return displaced(cell, rng.uniform(0.95, 1.06) * np.ones(3), rng.uniform(0.05, 0.3), rng)


def disordered(rng: np.random.Generator, closest: float = 2.15) -> Atoms:
    """16 atoms anywhere in a box of about the liquid's density, none closer than ``closest`` angstrom."""
    box = Atoms(cell=rng.uniform(0.97, 1.03) * np.array([6.7, 6.7, 6.9]), pbc=True)
    while len(box) < 16:
        trial = box + Atoms("Si", positions=[rng.uniform(0, box.cell.lengths())])
        if len(box) == 0 or trial.get_distances(-1, range(len(box)), mic=True).min() > closest:
            box = Atoms(trial.symbols, positions=trial.positions, cell=box.cell, pbc=True)
    return box


def folded(cell: Atoms) -> Atoms:
    """Twice as many atoms in a cell whose sides lie along the axes again, none of them short."""
    larger = make_supercell(cell, FOLD)
    larger.set_cell(larger.cell.lengths(), scale_atoms=True)
    return larger


def displaced(atoms: Atoms, strain: np.ndarray, length: float, rng: np.random.Generator) -> Atoms:
    """Strain a cell, and displace its atoms at random by ``length`` on average (root mean square)."""
    atoms.set_cell(atoms.cell.array * strain[:, None], scale_atoms=True)
    atoms.positions += rng.normal(0.0, length / np.sqrt(3.0), (len(atoms), 3))
    return atoms


KINDS = {diamond: 42, beta_tin: 6, simple_cubic: 6, disordered: 6}


def main() -> None:
    rng = np.random.default_rng(0)
    kinds = [kind for kind, number in KINDS.items() for _ in range(number)]
    frames = []
    for k in rng.permutation(len(kinds)):
        atoms = kinds[k](rng)
        atoms.wrap()
        cell, pbc = atoms.cell.array, np.ones(3, dtype=bool)
        info = {"kind": kinds[k].__name__}
        frames.append(keel.Frame(atoms.numbers, np.round(atoms.positions, 8), np.round(cell, 8), pbc, info=info))
    keel.write("silicon.extxyz", frames)


if __name__ == "__main__":
    main()
