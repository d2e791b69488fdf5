"""A training that takes a second: argon, whose Lennard-Jones forces a small network learns."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import keel
from keel.atoms.frame import Frame
from keel.training import TrainingSettings

ARGON = keel.LennardJones(cutoff=6.0)
SHORT = TrainingSettings(steps=12, batch_size=3, validate_every=4, checkpoint_every=1, warmup_steps=2, device="cpu")


def argon(n: int, seed: int = 0, offset: float = 0.0) -> list[Frame]:
    """Rattled cubes of eight argon atoms with exact Lennard-Jones labels."""
    rng = np.random.default_rng(seed)
    grid = np.array(np.meshgrid(*[[0.0, 1.0]] * 3)).reshape(3, -1).T
    frames = []
    for k in range(n):
        a = 3.9 + 0.2 * rng.random()
        bare = Frame(np.full(8, 18), grid * a + rng.normal(0, 0.15, (8, 3)), 2 * a * np.eye(3), np.ones(3, bool))
        out = ARGON(keel.batch(bare, 6.0, dtype=torch.float64))
        frames.append(
            bare.replace(
                energy=float(out.energy) + 8 * offset,
                forces=out.forces.numpy(),
                stress=out.stress[0].numpy(),
                source=f"argon, frame {k}",
            )
        )
    return frames


def network(seed: int = 0, **changes: Any) -> keel.CGCNN:
    torch.manual_seed(seed)
    return keel.CGCNN(**{"elements": ["Ar"], "cutoff": 5.0, "features": 8, "convolutions": 1, "hidden": 8, **changes})
