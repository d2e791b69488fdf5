"""The weight of energies in a fit, chosen on held-out frames, and what a fit without them says of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from keel.atoms.frame import Frame
from keel.fitting.walls import cohesion_per_bond, deep_wells
from keel.potentials.accuracy import accuracy
from keel.potentials.base import Potential
from keel.potentials.batches import known_to

ENERGY_WEIGHT, LIGHT = 5.0, 1.0
"""Energy weights in 1/eV: the usual one, and one for an EAM that cannot fit energies and forces together."""
BETTER = 0.9
"""The smaller one is used if it reduces the force MAE of held-out frames by at least this share."""
EACH = 5
"""One in this many frames is held out; with fewer frames there is no choice."""


class HeldOut(NamedTuple):
    """An energy weight; the fit with it to four fifths of some frames and the others, unless there was no choice."""

    weight: float
    potential: Potential | None = None
    frames: Sequence[Frame] = ()


def best_energy_weight(frames: Sequence[Frame], fit: Callable[[Sequence[Frame], float], Potential]) -> HeldOut:
    """Return the energy weight, 5 or 1, with which a fit to four fifths of the frames describes the others' forces.

    Forces come first, since they are what an EAM teaches: 1 is taken where the mean absolute error of the forces falls
    by a tenth or more, whatever happens to the energies, and otherwise 5. But an EAM whose energies hardly count may
    bind two atoms far too strongly (molybdenum by 18 eV); then the weight stays 5.
    """
    labelled = [f for f in frames if f.forces is not None]
    chosen = labelled[::EACH]
    apart = set(map(id, chosen))
    rest = [f for f in frames if id(f) not in apart]
    if len(labelled) < 2 * EACH or all(f.energy is None for f in rest):
        return HeldOut(ENERGY_WEIGHT)
    usual = fit(rest, ENERGY_WEIGHT)
    held = known_to(usual, chosen)
    if not held:
        return HeldOut(ENERGY_WEIGHT)
    light = fit(rest, LIGHT)
    before, after = (accuracy(potential, held).forces.mae for potential in (usual, light))
    sound = not deep_wells(light, cohesion_per_bond(light, held))
    lighter = after < BETTER * before and sound
    return HeldOut(LIGHT, light, held) if lighter else HeldOut(ENERGY_WEIGHT, usual, held)
