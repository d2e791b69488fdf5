"""Forces of constrained atoms: programs print zero for them, and what is left does not add up to zero."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from keel.atoms.frame import Array, Frame
from keel.atoms.remarks import frames_of
from keel.atoms.soundness.finding import Finding
from keel.atoms.soundness.symmetry import demanded_zero

CONSTRAINED = "forces of exactly zero on constrained atoms: only those of the other atoms are used"
ALL_CONSTRAINED = "forces of constrained atoms alone: not used"

EXACT = 1e-5
"""eV/angstrom: if forces have this digit or finer ones, no three components of an atom round to zero."""
FRAMES, FRAMES_OF_FEW_DIGITS = 3, 5
"""Number of frames in which the same components are zero; more if forces are printed to 1e-3 eV/angstrom or worse."""
LEAST_DIGITS = 20.0
"""Forces that are this many times their last digit do not repeatedly round to zero."""
LOOKED_AT = 5
"""Number of frames of a group whose symmetry is checked."""

LARGEST_NET, SMALLEST_NET = 0.3, 0.05
"""|sum F| / sqrt(sum |F|^2), which is about 1 for independent forces, and |sum F| in eV/angstrom.

Measured on sound sets: 0.15 (LGPS, VASP, whose drift is 0.17 eV/angstrom) at most.
"""
FIELD = ("field", "efield", "external")
"""Parts of the keys of frames in an external field, which may act on all atoms."""


def without_constrained_forces(frames: Sequence[Frame]) -> list[Frame]:
    """Return the frames with ``forces_mask`` False for atoms whose force is zero by constraint.

    A zero is a constraint's where symmetry does not demand it and (1) the file says that the component is fixed, or (2)
    all components of an atom are zero to more digits than chance gives, or (3) the same component is zero in all frames
    of the same atoms while others are not.
    """
    found: dict[int, NDArray[np.bool_]] = {}
    groups: dict[bytes, list[int]] = defaultdict(list)
    for k, frame in enumerate(frames):
        if frame.forces is not None and len(frame) and not frame.forces.all():
            groups[frame.numbers.tobytes()].append(k)
            if (atoms := _in_one(frame)).any():
                found[k] = atoms
    sizes = Counter(f.numbers.tobytes() for f in frames if f.forces is not None and f.forces.any())
    for key, group in groups.items():
        # A frame without any zero ends the suspicion.
        members = [k for k in group if np.any(frames[k].forces)]
        if len(members) == sizes[key] and (atoms := _in_all([frames[k] for k in members])).any():
            found |= {k: atoms | found.get(k, False) for k in members}
    return [_masked(f, found[k]) if k in found else f for k, f in enumerate(frames)]


def _in_one(frame: Frame) -> NDArray[np.bool_]:
    """Return the atoms whose force is plainly a constraint's, shape (N,)."""
    assert frame.forces is not None
    zero = frame.forces == 0.0
    fixed = zero & frame.fixed if frame.fixed is not None else np.zeros_like(zero)
    whole = zero.all(axis=1)
    exact = whole.any() and not whole.all() and last_digit(frame.forces) <= EXACT
    suspect = fixed | (whole[:, None] if exact else False)
    if not suspect.any():
        return np.zeros(len(frame), dtype=bool)
    return np.asarray((suspect & ~demanded_zero(frame)).any(axis=1))


def _in_all(frames: Sequence[Frame]) -> NDArray[np.bool_]:
    """Return the atoms of which the same component is zero in all frames though symmetry does not demand it."""
    none = np.zeros(len(frames[0]) if frames else 0, dtype=bool)
    if len(frames) < FRAMES:
        return none
    zero = np.logical_and.reduce([f.forces == 0.0 for f in frames])
    if not zero.any() or not _have_enough_digits(frames):
        return none
    asked = frames[:: -(-len(frames) // LOOKED_AT)]
    return np.asarray((zero & ~np.logical_and.reduce([demanded_zero(f) for f in asked])).any(axis=1))


def _have_enough_digits(frames: Sequence[Frame]) -> bool:
    forces = [f.forces for f in frames if f.forces is not None]
    digit = max(map(last_digit, forces))
    values = np.concatenate([f[f != 0.0] for f in forces])
    if digit > 1e-4 and len(frames) < FRAMES_OF_FEW_DIGITS:
        return False
    return float(np.sqrt(np.mean(values**2))) > LEAST_DIGITS * digit


def last_digit(numbers: Array) -> float:
    """Return the last decimal digit that numbers have, 1e-6 at best."""
    for decimals in range(6):
        scaled = numbers * 10.0**decimals
        if np.abs(scaled - np.round(scaled)).max(initial=0.0) < 1e-6:
            return float(10.0**-decimals)
    return 1e-6


def _masked(frame: Frame, constrained: NDArray[np.bool_]) -> Frame:
    known = np.ones(len(frame), dtype=bool) if frame.forces_mask is None else frame.forces_mask
    if not (known & constrained).any():
        return frame
    mask = known & ~constrained
    if not mask.any():
        return frame.without("forces", ALL_CONSTRAINED)
    return frame.replace(forces_mask=mask, remarks=(*frame.remarks, CONSTRAINED))


def findings(frames: Sequence[Frame]) -> Iterator[Finding]:
    """Yield frames whose forces do not add up to zero, though all atoms have one and no field is named."""
    nets = [(net, f) for f in frames if (net := net_force(f)) is not None]
    large = [(net, f) for net, f in nets if net > LARGEST_NET]
    if large:
        net, frame = max(large, key=lambda item: item[0])
        yield Finding(
            "warn",
            f"{frames_of(len(large))} with forces that do not add up to zero, as those of constrained atoms or in a "
            f"field do not; the sum is up to {net:.2g} times what independent forces give ({frame.source}); give the "
            "forces of the calculation without constraints, or a column forces_mask with 0 for constrained atoms",
        )


def net_force(frame: Frame) -> float | None:
    """Return |sum F| / sqrt(sum |F|^2), 0 if it is rounding; None where some forces or a field make it mean nothing."""
    if frame.forces is None or not frame.forces.any() or len(frame) < 2:
        return None
    named = any(word in key.lower() for key in frame.info for word in FIELD)
    if named or (frame.forces_mask is not None and not frame.forces_mask.all()):
        return None
    net = float(np.linalg.norm(frame.forces.sum(axis=0)))
    # Rounding of many atoms adds up.
    noise = 2.0 * last_digit(frame.forces) * np.sqrt(len(frame))
    return 0.0 if net < max(SMALLEST_NET, noise) else net / float(np.linalg.norm(frame.forces))
