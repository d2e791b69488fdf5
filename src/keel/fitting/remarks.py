"""What a user should know about a fit."""

from __future__ import annotations

from collections.abc import Sequence

from keel.atoms.elements import symbol
from keel.atoms.frame import Frame
from keel.atoms.isolated import energies_alone, set_apart
from keel.fitting.offsets import inseparable
from keel.fitting.walls import DEEPEST, cohesion_per_bond, counted_cohesion, deep_wells, weak_walls
from keel.potentials.base import Potential

BOUND_FRAMES = 20
"""Number of frames from which the cohesion is determined."""


def remarks(
    potential: Potential, frames: Sequence[Frame], without_data: Sequence[str], soft: Sequence[str]
) -> list[str]:
    """Return sentences for the user: what ``frames`` could not determine, and what is unusual about the potential."""
    warnings, elements = [], potential.elements or ()
    with_energy = [f for f in frames if f.energy is not None]
    if not with_energy:
        warnings.append(
            "no frame has an energy: the fit used forces only, and the zero of its energies is arbitrary; if your "
            "energies have an unusual name, pass it to `keel census FILE --energy-key NAME --write OUT`"
        )
    elif inseparable(with_energy, elements):
        warnings.append(
            "the compositions do not determine an energy offset for each of "
            f"{', '.join(map(symbol, elements))}; those of minimum norm are used; total energies are still correct"
        )
    for label, name in (("forces", "force"), ("stress", "stress")):
        values = [getattr(f, label) for f in frames if getattr(f, label) is not None]
        if values and not any(value.any() for value in values):
            warnings.append(f"every {name} is exactly zero: there is nothing in it to fit")
    alone = [symbol(z) for z in sorted(energies_alone(set_apart(with_energy)[1]))]
    if alone:
        warnings.append(
            f"the offset of {_some(alone)} is the energy of the isolated atom: the fit must reproduce the whole "
            "cohesive energy, which costs accuracy of the forces; if only forces matter, leave isolated atoms out"
        )
    if without_data:
        warnings.append(
            f"{len(without_data)} of {len(elements) * (len(elements) + 1) // 2} pairs of elements have no or few data "
            f"({_some(without_data)}): their parameters are from mixing rules"
        )
    softened = sorted({*soft} - {*without_data})
    if softened:
        warnings.append(
            f"the fitted wall of {_some(softened)} is softer than that of nuclei: a ZBL core is added behind it"
        )
    weak = weak_walls(potential)
    if weak:
        warnings.append(f"two atoms of {_some(weak)} attract each other at short range; do not use this EAM as teacher")
    cohesion = cohesion_per_bond(potential, frames[:: max(1, len(frames) // BOUND_FRAMES)])
    bond = counted_cohesion(cohesion)
    deep = [
        f"{name} by {depth:.2g} eV at {r:.3g} angstrom, {depth / bond:.3g} times as much"
        for name, (depth, r) in deep_wells(potential, cohesion).items()
    ]
    if deep:
        least = "" if cohesion == bond else ", the least that is assumed"
        warnings.append(
            f"two atoms alone are bound by more than {DEEPEST:g} times the cohesion per bond of the data "
            f"({bond:.2g} eV{least}): {_some(deep, '; ')}; clusters of them would be wrong"
        )
    return warnings


def _some(names: Sequence[str], between: str = ", ") -> str:
    return between.join(names[:5]) + (f"{between}..." if len(names) > 5 else "")
