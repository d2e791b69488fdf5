"""Write structures whose atoms are far too close: what potentials meet in hot dynamics and few data sets hold.

    python squeezed.py silica        # silica.extxyz: structures without labels, in random order
    python squeezed.py phosphorus    # label them by single_points.py

A structure is compressed, or rattled, or one pair of its atoms is pushed together. Of each kind, structures have their
closest contact spread evenly over 0.5 to 0.9 of the sum of the covalent radii.
"""

import argparse
from collections.abc import Callable

import numpy as np
from ase import Atoms
from ase.spacegroup import crystal
from generate import black_phosphorus, liquid_p4

import keel
from keel.atoms.closest import closest_contacts
from keel.atoms.elements import COVALENT_RADII, atomic_number

CLOSEST, FURTHEST = 0.5, 0.9
Kind = Callable[[Atoms, float, np.random.Generator], Atoms]


def cristobalite() -> Atoms:
    """Alpha-cristobalite, 12 atoms: Downs and Palmer, Am. Mineral. 79, 9 (1994)."""
    sites = [(0.3003, 0.3003, 0.0), (0.2392, 0.1044, 0.1787)]
    return crystal(("Si", "O"), sites, spacegroup=92, cellpar=[4.9717, 4.9717, 6.9223, 90, 90, 90])


def stishovite() -> Atoms:
    """Two cells of stishovite, 12 atoms: Ross, Shu, Hazen and Gasparik, Am. Mineral. 75, 739 (1990)."""
    sites = [(0.0, 0.0, 0.0), (0.3067, 0.3067, 0.0)]
    cell = crystal(("Si", "O"), sites, spacegroup=136, cellpar=[4.1801, 4.1801, 2.6678, 90, 90, 90])
    return cell.repeat((1, 1, 2))


def compressed(atoms: Atoms, contact: float, rng: np.random.Generator) -> Atoms:
    """A hot structure, all lengths 0.65 to 0.95 of what they were, as the contact asks."""
    hot = squeezed(atoms, 1.0, rng.uniform(0.0, 0.2), rng)
    return squeezed(hot, np.clip(contact / closest(hot), 0.65, 0.95), 0.0, rng)


def rattled(atoms: Atoms, _: float, rng: np.random.Generator) -> Atoms:
    """Each atom displaced by 0.1 to 0.4 angstrom along each axis, some cells slightly compressed."""
    return squeezed(atoms, rng.uniform(0.9, 1.0), rng.uniform(0.1, 0.4), rng)


def pushed(first: str, second: str) -> Kind:
    """One pair of two elements pushed together along its line, in a structure as it is when hot."""
    bond = COVALENT_RADII[[atomic_number(first), atomic_number(second)]].sum()

    def push(atoms: Atoms, contact: float, rng: np.random.Generator) -> Atoms:
        hot = squeezed(atoms, rng.uniform(0.95, 1.0), rng.uniform(0.03, 0.1), rng)
        one = rng.choice(np.flatnonzero(hot.symbols == first))
        other = rng.choice(np.setdiff1d(np.flatnonzero(hot.symbols == second), [one]))
        line = hot.get_distance(one, other, mic=True, vector=True)
        step = (1.0 - contact * bond / np.linalg.norm(line)) * line
        part = rng.uniform(0.0, 1.0)
        hot.positions[one] += part * step
        hot.positions[other] -= (1.0 - part) * step
        return hot

    push.__name__ = f"{first}-{second}"
    return push


def squeezed(atoms: Atoms, scale: float, width: float, rng: np.random.Generator) -> Atoms:
    """Scale all lengths and displace atoms by ``width`` angstrom along each axis (root mean square)."""
    atoms = atoms.copy()
    atoms.set_cell(scale * atoms.cell.array, scale_atoms=True)
    atoms.positions += rng.normal(0.0, width, (len(atoms), 3))
    return atoms


def closest(atoms: Atoms) -> float:
    """Closest contact in sums of covalent radii."""
    return closest_contacts(unlabelled(atoms), 1.1).min()


def unlabelled(atoms: Atoms, **info: str) -> keel.Frame:
    """A frame of eight digits, as files have them."""
    cell, pbc = np.round(atoms.cell.array, 8), np.ones(3, dtype=bool)
    return keel.Frame(atoms.numbers, np.round(atoms.positions, 8), cell, pbc, info=info)


def silica() -> tuple[list[tuple[str, Atoms]], list[tuple[Kind, int]]]:
    """Where structures start, as often as it is listed, and how many there are of each kind."""
    kinds = [compressed, rattled, pushed("O", "O"), pushed("O", "Si"), pushed("Si", "Si")]
    starts = [("cristobalite", cristobalite())] * 2 + [("stishovite", stishovite())]
    return starts, [(kind, 12) for kind in kinds]


def phosphorus() -> tuple[list[tuple[str, Atoms]], list[tuple[Kind, int]]]:
    """Black phosphorus and the liquid of P4, at half the size of the data set's cells."""
    kinds = [compressed, rattled, pushed("P", "P")]
    starts = [("black", black_phosphorus((2, 1, 1))), ("liquid-P4", liquid_p4(9.2, molecules=4))]
    return starts, [(kind, 20) for kind in kinds]


MATERIALS = {"silica": silica, "phosphorus": phosphorus}


def structures(starts: list[tuple[str, Atoms]], kind: Kind, number: int, rng: np.random.Generator) -> list[keel.Frame]:
    """Structures of one kind, drawn until the k-th has its closest contact in the k-th part of the range."""
    width, found = (FURTHEST - CLOSEST) / number, []
    while len(found) < number:
        least = CLOSEST + len(found) * width
        start, unsqueezed = starts[len(found) % len(starts)]
        atoms = kind(unsqueezed, least, rng)
        if least - 1e-6 < closest(atoms) < least + width - 1e-6:
            atoms.wrap()
            found.append(unlabelled(atoms, kind=kind.__name__, start=start))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("material", choices=MATERIALS)
    material = parser.parse_args().material
    rng = np.random.default_rng(0)
    starts, kinds = MATERIALS[material]()
    frames = [frame for kind, number in kinds for frame in structures(starts, kind, number, rng)]
    keel.write(f"{material}.extxyz", [frames[k] for k in rng.permutation(len(frames))])


if __name__ == "__main__":
    main()
