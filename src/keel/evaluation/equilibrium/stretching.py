"""Does the energy stay within reason as crystals are pulled apart into free atoms?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from keel.atoms.conversion import Structures, as_frames
from keel.atoms.frame import Array
from keel.evaluation.check import CheckResult, Curve, Metric, judged
from keel.evaluation.equilibrium.squeeze import compressible, name_of, scaled
from keel.potentials.base import Potential
from keel.potentials.batches import predictions
from keel.potentials.convert import converted
from keel.wording import number

NAME = "stretching"
FARTHEST = 4.0
"""Largest length, in crystal lengths: a bond of 1.6 angstrom is then 6.4 angstrom long, beyond most cutoffs."""
STEPS = 60
"""Steps of a twentieth of the length each."""
DEEPEST = 1.0
"""In eV/atom: no stretch gains this much unless the crystal was compressed to begin with."""
STRONGEST = 10.0
"""In eV/atom: no crystal is bound this strongly. Tungsten, at 8.9, comes nearest (Kittel, Introduction to Solid State
Physics)."""


@dataclass(frozen=True, eq=False)
class Stretched:
    """A crystal on its way to free atoms: length in its own units, energy in eV/atom above the crystal, both (K,)."""

    name: str
    length: Array
    energy: Array

    @property
    def lowest(self) -> float:
        """Energy at the deepest point, in eV/atom; NaN if an energy is not finite."""
        return float(self.energy.min())

    @property
    def free(self) -> float:
        """Energy of the separated atoms, in eV/atom."""
        return float(self.energy[-1])

    @property
    def barrier(self) -> float:
        """By how much the crystal rises above its free atoms on the way, in eV/atom."""
        return float(self.energy.max()) - self.free

    @property
    def sound(self) -> bool:
        """Whether all energies are finite and physically possible."""
        return bool(self.lowest >= -DEEPEST and self.free <= STRONGEST)


def stretching(potential: Potential, frames: Structures) -> CheckResult:
    """Stretch crystals uniformly to four times their length, and check the energy on the way to free atoms.

    It fails if an energy is not finite, if it falls more than 1 eV/atom below the crystal's (a crack or a vapour would
    gain energy without limit), or if the free atoms lie more than 10 eV/atom above the crystal, which does not occur in
    matter. Nothing is relaxed. Values in between are for information: data of crystals alone do not determine how
    strongly they are bound.

    Parameters
    ----------
    frames
        Crystals; structures not periodic in three directions are left out.

    Raises
    ------
    DataError
        If the potential does not know an element.
    """
    crystals = compressible(as_frames(frames, labels=False))
    if not crystals:
        why = "there is nothing to stretch: no structure is periodic in three directions"
        return CheckResult(NAME, (), (), "skipped", why)
    model = converted(potential, torch.float64)
    length = np.linspace(1.0, FARTHEST, STEPS + 1)
    pulled = scaled(crystals, length)
    energies = np.concatenate([p.energy.double().cpu().numpy() for _, p in predictions(pulled, model)])
    found = [
        Stretched(name_of(frame), length, (e - e[0]) / len(frame))
        for frame, e in zip(crystals, energies.reshape(len(crystals), -1), strict=True)
    ]
    curves = [Curve(s.name, s.length, s.energy, "length (1: as it was)", "energy (eV/atom)") for s in found]
    result = judged(NAME, tuple(_metrics(found)), curves, _good(found), "")
    return result if result.outcome == "passed" else replace(result, verdict=_bad(found))


def _metrics(found: Sequence[Stretched]) -> Iterator[Metric]:
    yield Metric("crystals with unphysical energies", sum(not s.sound for s in found), f"of {len(found)}", 0.0)
    yield Metric(
        "deepest fall below the crystal", abs(float(np.minimum(0.0, np.min([s.lowest for s in found])))), "eV/atom"
    )
    most = max(found, key=lambda s: abs(s.free))
    yield Metric("free atoms above the crystal", most.free, "eV/atom")
    yield Metric("highest barrier above the free atoms", float(np.max([s.barrier for s in found])), "eV/atom")


def _good(found: Sequence[Stretched]) -> str:
    what = found[0].name if len(found) == 1 else f"{len(found)} crystals"
    energies = " to ".join(dict.fromkeys(number(f([s.free for s in found]), 2) for f in (min, max)))
    return f"pulled apart to {FARTHEST:.0f} times the length, {what}: free atoms lie {energies} eV/atom above"


def _bad(found: Sequence[Stretched]) -> str:
    broken = [s for s in found if not s.sound]
    for s in broken:
        if not np.isfinite(s.energy).all():
            return f"pulled apart, {s.name} has an energy that is not finite"
    worst = max(broken, key=lambda s: max(-s.lowest, s.free))
    if -worst.lowest > worst.free:
        where = worst.length[np.argmin(worst.energy)]
        return (
            f"{worst.name} gains {number(-worst.lowest, 3)} eV/atom when it is stretched to {where:.2f} of its length: "
            "gaps and free atoms would form by themselves"
        )
    return (
        f"the free atoms of {worst.name} lie {number(worst.free, 3)} eV/atom above the crystal; no matter is bound by "
        f"more than {STRONGEST:.0f}"
    )
