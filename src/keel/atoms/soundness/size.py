"""Are lengths, forces and stresses of this size possible at all, whatever the neighbouring frames show?

A file entirely in foreign units is consistent. Physical size decides: bonds are about as long as the sum
of covalent radii, and forces and stresses of the order of :mod:`keel.atoms.soundness.reference`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from keel.atoms.frame import Array, Frame
from keel.atoms.neighbours import labelled_atoms
from keel.atoms.remarks import frames_of
from keel.atoms.soundness.finding import Finding
from keel.atoms.soundness.readings import conventions
from keel.atoms.soundness.reference import SEARCHED_AGAIN, Reference, reference
from keel.atoms.units import BOHR, ENERGIES, GPA, LENGTHS, force_factor
from keel.errors import in_python

SAMPLE = 48
"""Number of frames checked, evenly over the set, and as many that follow them."""
FEWEST, FEWEST_PAIRS = 3, 5
NOBLE = (2, 10, 18, 36, 54, 86)
"""Elements without bonds."""

LONGEST, SHORTEST = 1.38, 0.62
"""Typical spacing of a set in units of covalent radii.

Sound sets have 0.84 to 1.02, single frames of MPtrj 0.77 to 1.16, single frames at up to 1200 GPa down to 0.57; the
same sets in bohr 1.6 to 1.9, divided by 1.89 they have 0.45 to 0.54.
"""
TOO_LARGE, TOO_LARGE_OF_MANY, MANY, TYPICALLY = 11.0, 6.0, 20, 2.5
"""Ratio of the root mean square of all forces to the reference; in sets of many compositions, which average over their
materials; how many these are; ratio of the median frame. Sound sets have 0.4 to 4.3, of many compositions up to 2.1."""
CHANGE_TOO_LARGE, CHANGE_TOO_SMALL = 12.0, 0.1
"""The same of changes between frames that are near each other, which are not small where atoms are at rest.

Sound sets have 0.6 to 4.4; by their phonons CsI and K would have 0.2, tungsten 6.
"""
STRESS_TOO_LARGE, STRESS_TYPICALLY = 14.0, 4.0
STRESS_CHANGE_TOO_LARGE, STRESS_CHANGE_TOO_SMALL = 15.0, 0.04
"""The same for stresses. Sound sets have 0.1 to 1.4, with a median of at most 0.9 (12 and 1.9 at up to 1200 GPa), and
changes of 0.4 to 4.7."""
EXPLAINED = 3.0
"""Angstrom: less, and forces are as large as the stresses: the median over frames of |stress| V / (N |force|).

Sound sets have 0.1 to 1.2, squeezed crystals 0.2; in GPa they would have 15 and more, as a virial 6.
"""
SMALLEST_CHANGE, SMALLEST_STRESS_CHANGE = 1e-2, 1e-5
"""eV/angstrom and eV/angstrom^3, of the reference; less says nothing."""
NEAR = 0.5
"""Angstrom; further apart two frames may both be at rest."""
LARGEST_PRESSURE = 2000.0
"""GPa; the most that a label of these sets has is 1250."""
NEVER_TYPICAL = 1000.0
"""GPa; half of all frames cannot be under more."""

SIZES = ("gpa", "kbar", "bar", "hartree/bohr^3", "virial", "ase")
"""Conventions of a stress that differ in size, the common ones first."""
FORCE_UNITS: Mapping[str, float] = {
    f"{energy}/{length}": ENERGIES[energy] / LENGTHS[length]
    for energy, length in (
        *(("hartree", "bohr"), ("kcal/mol", "angstrom"), ("rydberg", "bohr"), ("kJ/mol", "angstrom")),
        *(("hartree", "angstrom"), ("meV", "angstrom")),
    )
}
"""In eV/angstrom, the common ones first."""


@dataclass(frozen=True)
class Ratios:
    """Labels over their references: of all frames together, of the median frame, of changes from frame to frame."""

    together: float
    typical: float
    change: float


def findings(frames: Sequence[Frame]) -> Iterator[Finding]:
    """Yield lengths, forces and stresses that cannot be of this size, with the unit that explains it."""
    sample = [f for f in _sample(frames) if _has_bonds(f)]
    references = [reference(f) for f in sample]
    unit, finding = _lengths(sample, references)
    if finding is not None:
        yield finding
        # What is left is judged as if lengths were right.
        sample = [f.replace(positions=f.positions * unit, cell=f.cell * unit) for f in sample]
        references = [reference(f) for f in sample]
    yield from _forces(sample, references)
    refused = False
    for found in _stresses(sample, references):
        refused = True
        yield found
    if not refused:
        yield from _pressures(frames)


def _sample(frames: Sequence[Frame]) -> list[Frame]:
    step = max(1, len(frames) // SAMPLE)
    chosen = {*range(0, len(frames), step), *range(1, len(frames), step)}
    return [frames[k] for k in sorted(chosen)]


def _has_bonds(frame: Frame) -> bool:
    """Return whether nearest neighbours determine the unit of length: not for two atoms, or for noble gases."""
    several = len(frame) > 2 or (bool(frame.pbc.all()) and frame.volume < 200.0 * len(frame))
    return several and not np.isin(frame.numbers, NOBLE).all()


def _lengths(frames: Sequence[Frame], references: Sequence[Reference]) -> tuple[float, Finding | None]:
    """Return the factor that makes lengths right, and what is wrong with them."""
    if not references:
        return 1.0, None
    if (finding := _fractional(frames, references)) is not None:
        return 1.0, finding
    low, median, high = np.quantile([min(r.spacing, 1e3) for r in references], [0.1, 0.5, 0.9], method="nearest")
    if median > SEARCHED_AGAIN:
        return 1.0, Finding(
            "warn",
            f"no two atoms are within reach of a bond in most frames ({frames[0].source}); check the unit of length "
            f"({in_python('LabelKeys(length_unit=...)')}`--length-unit pm`)",
        )
    if low > 1.25 and median > LONGEST:
        unit = BOHR
        keys = in_python("LabelKeys(length_unit='bohr')")
        said = f"lengths are in bohr: read them with {keys}`--length-unit bohr`"
    elif median < 0.2:
        unit = 10.0
        keys = in_python("LabelKeys(length_unit='nm')")
        said = f"lengths are in nanometres: read them with {keys}`--length-unit nm`"
    elif high < 0.7 and median < SHORTEST:
        unit = 1.0 / BOHR
        keys = in_python("LabelKeys(length_unit='angstrom')")
        said = (
            "lengths in angstrom were taken for bohr and divided by 1.89, as ASE does with files of RuNNer: multiply "
            f"them by 1.8897, or read such a file with {keys}`--length-unit angstrom`"
        )
    else:
        return 1.0, None
    how = f"atoms are typically {median:.2f} times the sum of their covalent radii apart"
    return unit, Finding("warn", f"{how} ({frames[0].source}); most likely {said}")


def _fractional(frames: Sequence[Frame], references: Sequence[Reference]) -> Finding | None:
    """Refuse positions that are fractions of the cell, if their products with it are as far apart as bonds are."""
    if float(np.median([r.spacing for r in references])) > SHORTEST or not all(_within_unit_cube(f) for f in frames):
        return None
    spacing = float(np.median([reference(f.replace(positions=f.positions @ f.cell)).spacing for f in frames]))
    if not SHORTEST < spacing < LONGEST:
        return None
    return Finding(
        "refuse",
        f"positions are fractions of the cell, all between 0 and 1 ({frames[0].source}); they must be Cartesian, in "
        "angstrom: multiply them by the cell",
    )


def _within_unit_cube(frame: Frame) -> bool:
    return bool(frame.pbc.all()) and float(np.abs(frame.positions - 0.5).max()) < 0.6


def _forces(frames: Sequence[Frame], references: Sequence[Reference]) -> Iterator[Finding]:
    members = [
        (f.forces[labelled_atoms(f)], r.forces[labelled_atoms(f)], f)
        for f, r in zip(frames, references, strict=True)
        if f.forces is not None and np.isfinite(r.spacing)
    ]
    ratios = _ratios(members, SMALLEST_CHANGE)
    many = len({tuple(np.unique(f.numbers)) for _, _, f in members}) >= MANY
    large = ratios.together > (TOO_LARGE_OF_MANY if many else TOO_LARGE) or ratios.change > CHANGE_TOO_LARGE
    # One frame out of order may outweigh all others, but is not typical.
    if not ((large and ratios.typical > TYPICALLY) or ratios.change < CHANGE_TOO_SMALL):
        return
    size = ratios.change if np.isfinite(ratios.change) else ratios.together
    # A small unit makes large numbers.
    applied = abs(force_factor(members[0][2].read_in.get("forces", "eV/angstrom")))
    others = {
        name: applied / factor for name, factor in (*FORCE_UNITS.items(), ("eV/angstrom", 1.0)) if factor != applied
    }
    names = _likely(size / 1.4, others)
    energy = names[0].rpartition("/")[0]
    keys = in_python(f"LabelKeys(forces_unit={names[0]!r})")
    yield Finding(
        "warn",
        f"forces are about {_times(size)} what atoms at these distances have, whatever the energies say; most likely "
        f"they are in {' or '.join(names)}: read them with {keys}`--forces-unit "
        f"{names[0]}`, and energies that agree with them with `--energy-unit {energy}`",
    )


def _stresses(frames: Sequence[Frame], references: Sequence[Reference]) -> Iterator[Finding]:
    members = [
        (f.stress, r.stress, f)
        for f, r in zip(frames, references, strict=True)
        if f.stress is not None and r.stress is not None and np.isfinite(r.spacing)
    ]
    ratios = _ratios(members, SMALLEST_STRESS_CHANGE)
    large = ratios.together > STRESS_TOO_LARGE or ratios.change > STRESS_CHANGE_TOO_LARGE
    # What is squeezed has large forces too, and bears stresses that bonds of their usual length do not.
    large = large and not _lever([(s, f) for s, _, f in members]) < EXPLAINED
    if not ((large and ratios.typical > STRESS_TYPICALLY) or ratios.change < STRESS_CHANGE_TOO_SMALL):
        return
    changes = np.isfinite(ratios.change)
    size = ratios.change if changes else ratios.together
    given, volume = members[0][2].read_in.get("stress", "ase"), float(np.median([f.volume for _, _, f in members]))
    # A small unit makes large numbers; the sign is not known here.
    units = {c: 1.0 / abs(factor) for c, factor in conventions(given, volume).items() if c in SIZES}
    names = _likely(size / (1.4 if changes else 0.3), units)
    keys = in_python(f"LabelKeys(stress_convention={names[0]!r})")
    typical = float(np.median([_pressure(s) for s, _, _ in members]))
    yield Finding(
        "refuse" if typical > NEVER_TYPICAL else "warn",
        f"stresses are about {_times(size)} what these structures bear (a typical one is {typical:.3g} GPa); most "
        f"likely they are in the convention {' or '.join(names)}: read them with {keys}"
        f"`--stress-convention {names[0]}`; for the opposite sign put a minus sign before the name "
        "(VASP's stress in kbar is `vasp-kbar`)",
    )


def _ratios(members: Sequence[tuple[Array, Array, Frame]], smallest: float) -> Ratios:
    """Return the ratios of labels to references, NaN (which is neither large nor small) if there are too few."""
    sizes = [(_rms(label), size) for label, model, _ in members if (size := _rms(model)) > smallest]
    together = typical = float("nan")
    if len(sizes) >= FEWEST:
        together = _ratio(sizes)
        typical = float(np.median([label / model for label, model in sizes]))
    steps = [
        (_rms(a - b), _rms(m - n)) for (a, m, f), (b, n, g) in pairwise(members) if _near(f, g, a.shape == b.shape)
    ]
    steps = [step for step in steps if step[1] > smallest]
    return Ratios(together, typical, _ratio(steps) if len(steps) >= FEWEST_PAIRS else float("nan"))


def _ratio(sizes: Sequence[tuple[float, float]]) -> float:
    return _rms([label for label, _ in sizes]) / _rms([model for _, model in sizes])


def _lever(members: Sequence[tuple[Array, Frame]]) -> float:
    """Return over how many angstrom the forces of a typical frame would make its stress; NaN without forces."""
    pairs = [(_rms(s) * f.volume, len(f) * _rms(f.forces)) for s, f in members if f.forces is not None]
    levers = [work / force for work, force in pairs if force > 0.0]
    return float(np.median(levers)) if levers else float("nan")


def _near(first: Frame, second: Frame, alike: bool) -> bool:
    """Return whether two frames have the same atoms in nearly the same places of their cells."""
    if not alike or not np.array_equal(first.numbers, second.numbers):
        return False
    steps = second.positions - first.positions
    if first.pbc.any():
        inside = second.positions @ np.linalg.pinv(second.cell) - first.positions @ np.linalg.pinv(first.cell)
        steps = (inside - np.round(inside) * first.pbc) @ first.cell
        # Without a vector in some direction there are no fractions of it.
        steps = steps if first.pbc.all() else second.positions - first.positions
    return float(np.abs(steps).max()) < NEAR


def _rms(values: Array | Sequence[float]) -> float:
    values = np.asarray(values)
    return float(np.sqrt(np.mean(values**2))) if values.size else 0.0


def _likely(ratio: float, units: Mapping[str, float]) -> list[str]:
    """Return the units whose factors explain a ratio nearly as well as the best, in their order."""
    distances = {name: abs(float(np.log(max(ratio, 1e-12) / factor))) for name, factor in units.items()}
    return [name for name, distance in distances.items() if distance < min(distances.values()) + np.log(3.0)]


def _times(ratio: float) -> str:
    return f"{ratio:.2g} times" if ratio >= 1.0 else f"1/{1.0 / ratio:.2g} of"


def _pressure(stress: Array) -> float:
    """Largest principal stress in GPa, either sign."""
    return float(np.abs(np.linalg.eigvalsh(stress)).max() / GPA)


def _pressures(frames: Sequence[Frame]) -> Iterator[Finding]:
    found = [(_pressure(f.stress), f) for f in frames if f.stress is not None]
    beyond = [(p, f) for p, f in found if p > LARGEST_PRESSURE]
    if beyond:
        largest, frame = max(beyond, key=lambda item: item[0])
        most = 2 * len(beyond) > len(found)
        yield Finding(
            "refuse" if most else "warn",
            f"{frames_of(len(beyond))} with a stress beyond {LARGEST_PRESSURE:g} GPa, more than solids bear; the "
            f"largest is {largest:.3g} GPa ({frame.source})"
            + ("; check its unit (`--stress-convention gpa`, `kbar`, `bar` or `virial`)" if most else ""),
        )
