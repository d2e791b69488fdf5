"""Numbers that mean "unknown", identified from many frames together: energies, forces and stresses of exactly zero.

Where a program had no value it wrote zero. A computed value is exactly zero only where symmetry demands it, where few
digits are printed, or where all energies are shifted by one of them; all others are not used as labels.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Sequence

import numpy as np

from keel.atoms.frame import Array, Frame
from keel.atoms.soundness import constrained
from keel.atoms.soundness.finding import Finding
from keel.atoms.soundness.frames import composition
from keel.atoms.soundness.symmetry import demanded_zero, is_alone

NO_ENERGY = "energy of exactly zero, a placeholder: not used"
CONSTANT_ENERGY = "energy that is the same to the last digit in many structures, a placeholder: not used"
NO_FORCES = "forces of exactly zero on every atom, which symmetry does not demand: not used"
NO_STRESS = "stress of exactly zero at any volume: not used"

FAR = 1.0
"""eV/atom from all others: more than structures of the same composition differ."""
FINE = 1e-4
"""eV/angstrom: forces printed to this digit or finer are not zero by rounding."""
LIKE_OTHERS = 0.3
"""Relative to the median force of the other frames; a frame with less is at rest, and may be the zero of the
energies."""
MANY = 5
"""Fewest frames, which cannot all be relaxed so well that all forces round to zero."""
STIFFEST = 20.0
"""eV/angstrom^2: forces F put a structure F^2/2k above its minimum; bonds are rarely stiffer."""
BEYOND_ROUNDING = 10.0
"""Times the last digit of the energies: structures of one energy do not differ by that much."""
OTHER_VOLUME = 0.01
"""Relative; two cells that differ by more cannot both have no stress."""


def without_placeholders(frames: Sequence[Frame]) -> list[Frame]:
    """Return the frames without invalid labels; remarks of each state what was removed.

    Linear in the number of frames; only those with zeros among their labels take noticeable time.
    """
    kept = _without_constant_energies(_without_energies(frames))
    kept = _without_forces(kept)
    kept = constrained.without_constrained_forces(kept)
    return _without_stresses(kept)


def findings(frames: Sequence[Frame]) -> Iterator[Finding]:
    """Yield what is suspicious in the labels that were kept."""
    yield from constrained.findings(frames)


def _without(frames: Sequence[Frame], chosen: set[int], label: str, remark: str) -> list[Frame]:
    return [f.without(label, remark) if k in chosen else f for k, f in enumerate(frames)]


def _without_energies(frames: Sequence[Frame]) -> list[Frame]:
    zeros = [k for k, f in enumerate(frames) if f.energy == 0.0]
    # Atoms alone may well be the zero of all energies.
    bonded = [k for k in zeros if not is_alone(frames[k])]
    if not bonded:
        return list(frames)
    others = [f for f in frames if f.energy and not (len(f) == 1 and is_alone(f))]
    if not others:
        return _without(frames, set(zeros) if _differ([frames[k] for k in bonded]) else set(), "energy", NO_ENERGY)
    return _without(frames, _not_the_zero(frames, bonded, others), "energy", NO_ENERGY)


def _without_constant_energies(frames: Sequence[Frame]) -> list[Frame]:
    """Set energies aside that many structures of a composition share to the last digit, while their forces differ."""
    if max(Counter(f.energy for f in frames if f.energy is not None).values(), default=0) < MANY:
        return list(frames)
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for k, f in enumerate(frames):
        if f.energy is not None and f.forces is not None:
            groups[composition(f), len(f)].append(k)
    chosen: set[int] = set()
    for group in groups.values():
        energy = _placeholder([frames[k] for k in group])
        chosen.update(k for k in group if energy is not None and frames[k].energy == energy)
    return _without(frames, chosen, "energy", CONSTANT_ENERGY)


def _placeholder(group: Sequence[Frame]) -> float | None:
    """Return the energy of a composition that stands for "unknown": many structures under different forces have it.

    They are most of all, or far more than share any other energy. If there are others, from which the digits are known,
    their forces say that they differ by more than the last digit, which the last steps of a relaxation do not.
    """
    # Turned copies of one structure have one energy.
    shared = Counter(energy for energy, _ in {(f.energy, f"{_size(f):.4g}") for f in group}).most_common(2)
    energy, count = shared[0]
    same = [f for f in group if f.energy == energy]
    if count < MANY or (2 * len(same) <= len(group) and count < MANY * shared[1][1]):
        return None
    above = [1.5 * len(f) * _size(f) ** 2 / STIFFEST for f in same]
    digit = constrained.last_digit(np.array([f.energy for f in group]))
    return energy if len(same) == len(group) or max(above) - min(above) > BEYOND_ROUNDING * digit else None


def _not_the_zero(frames: Sequence[Frame], zeros: Sequence[int], others: Sequence[Frame]) -> set[int]:
    """Return which of the frames of zero energy are not where the others put the zero.

    Energies of the others are explained by their compositions; a frame is out of place if its zero lies further from
    the residuals of all others than these spread, and by more than :data:`FAR` or under forces like theirs.
    """
    gaps, spread = _gaps([frames[k] for k in zeros], others)
    typical = float(np.median([_size(f) for f in others if f.forces is not None] or [np.inf]))
    moving = {k for k in zeros if _size(frames[k]) > LIKE_OTHERS * typical}
    groups: dict[Hashable, list[Frame]] = defaultdict(list)
    for k in moving:
        groups[composition(frames[k])].append(frames[k])
    # Two structures under forces that have the same energy to the last digit.
    twice = {key for key, members in groups.items() if _differ(members)}
    return {
        k
        for k, gap in zip(zeros, gaps, strict=True)
        if (gap > spread and (gap > FAR or k in moving)) or (k in moving and composition(frames[k]) in twice)
    }


def _gaps(zeros: Sequence[Frame], others: Sequence[Frame]) -> tuple[Array, float]:
    """Return how far outside the residuals of the others each zero lies, and how far these spread, in eV/atom."""
    elements = np.unique(np.concatenate([f.numbers for f in others]))

    def shares(members: Sequence[Frame]) -> Array:
        return np.array([(f.numbers[:, None] == elements).mean(axis=0) for f in members])

    energies = np.array([(f.energy or 0.0) / len(f) for f in others])
    offsets = np.linalg.lstsq(shares(others), energies, rcond=None)[0]
    residuals, at_zero = energies - shares(others) @ offsets, -shares(zeros) @ offsets
    low, high = float(residuals.min()), float(residuals.max())
    gaps = np.maximum(np.maximum(low - at_zero, at_zero - high), 0.0)
    # Few energies are explained however they lie.
    enough = len(others) > 2 * len(elements) + 1
    return gaps, high - low if enough else max(high - low, FAR)


def _size(frame: Frame) -> float:
    """Root mean square force, 0 if there is none."""
    return 0.0 if frame.forces is None else float(np.sqrt(np.mean(frame.forces**2)))


def _differ(frames: Sequence[Frame]) -> bool:
    """Return whether there are two structures among the frames."""
    return any(
        len(f) != len(frames[0]) or not np.allclose(f.positions, frames[0].positions, atol=1e-4) for f in frames[1:]
    )


def _without_forces(frames: Sequence[Frame]) -> list[Frame]:
    still = [k for k, f in enumerate(frames) if f.forces is not None and not f.forces.any()]
    strange = [k for k in still if not demanded_zero(frames[k]).all()]
    if not strange:
        return list(frames)
    digit = max(
        (constrained.last_digit(f.forces) for f in frames if f.forces is not None and f.forces.any()), default=1
    )
    if digit <= FINE or (len(strange) >= MANY and not any(f.forces is not None and f.forces.any() for f in frames)):
        return _without(frames, set(strange), "forces", NO_FORCES)
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for k in strange:
        groups[composition(frames[k])].append(k)
    # Several structures of one composition may be relaxed, but not many.
    many = {k for group in groups.values() if len(group) >= 3 and _differ([frames[k] for k in group]) for k in group}
    return _without(frames, many, "forces", NO_FORCES)


def _without_stresses(frames: Sequence[Frame]) -> list[Frame]:
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for k, f in enumerate(frames):
        # Where forces are not zero it has already been set aside, frame by frame.
        if f.stress is not None and not f.stress.any() and not (f.forces is not None and f.forces.any()):
            groups[composition(f)].append(k)
    chosen: set[int] = set()
    for group in groups.values():
        volumes = [frames[k].volume / len(frames[k]) for k in group]
        if max(volumes) > (1.0 + OTHER_VOLUME) * min(volumes):
            chosen.update(group)
        chosen.update(k for k in group if NO_FORCES in frames[k].remarks)
    return _without(frames, chosen, "stress", NO_STRESS)
