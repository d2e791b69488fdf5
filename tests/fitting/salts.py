"""Small salts, and the EAM that labels them."""

import numpy as np
import torch

import keel
from keel.atoms.frame import Frame

CUTOFF = 4.0


def rock_salt(seed: int, first: int = 11, second: int = 17, spread: float = 0.12) -> Frame:
    """Eight atoms, displaced, in a strained cell; two of them missing or exchanged, so that compositions vary."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.arange(2)] * 3), axis=-1).reshape(-1, 3)
    numbers = np.where(grid.sum(axis=1) % 2 == 0, first, second)
    numbers[rng.integers(8)] = rng.choice([first, second])
    cell = np.diag(5.2 * rng.uniform(0.95, 1.05, 3)) + rng.normal(0, 0.1, (3, 3))
    keep = np.sort(rng.permutation(8)[: rng.integers(6, 9)])
    positions = (grid / 2.0) @ cell + rng.normal(0, spread, (8, 3))
    return Frame(numbers[keep], positions[keep], cell, np.ones(3, dtype=bool))


def labelled(potential: keel.Potential, frames: list[Frame]) -> list[Frame]:
    graph = keel.batch(frames, potential.cutoff, dtype=torch.float64)
    p = potential(graph)
    parts = p.forces.split(graph.atoms_per_structure.tolist())
    return [
        f.replace(energy=float(e), forces=force.numpy(), stress=s.numpy())
        for f, e, force, s in zip(frames, p.energy, parts, p.stress, strict=True)
    ]


def salt() -> keel.EAM:
    config = keel.EAM.from_elements(["Na", "Cl"], CUTOFF).config()
    config["elements"]["Cl"] |= {"density": 0.2, "beta": 1.6, "embedding": 1.4}
    config["pairs"]["Na-Cl"] |= {"alpha": 1.3, "repulsion": 1.1, "attraction": 1.6}
    config["pairs"]["Cl-Cl"] |= {"alpha": 1.0, "repulsion": 2.0, "attraction": 0.3}
    potential = keel.EAM(**config)
    potential.set_offsets({11: -1.5, 17: -2.25})
    return potential
