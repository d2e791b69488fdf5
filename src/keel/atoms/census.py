"""The census: what a set of labelled frames holds, and what in it is suspicious."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from keel.atoms.elements import symbol
from keel.atoms.frame import Frame
from keel.atoms.label_names import EXTRAPOLATED_ENERGY, SET_ASIDE, UNUSED_COLUMNS
from keel.atoms.soundness.finding import Finding
from keel.atoms.soundness.frames import OVERLAP, Closest, closest_pair, composition, duplicates, energy_outliers
from keel.atoms.soundness.work import LabelCheck, check_forces, check_stress
from keel.atoms.units import GPA
from keel.errors import DataError

LABELS = ("energy", "forces", "stress")


@dataclass(frozen=True)
class Range:
    """Smallest, median and largest value of a quantity, and the frames of the two extremes."""

    unit: str
    minimum: float
    median: float
    maximum: float
    minimum_at: str
    maximum_at: str


@dataclass(frozen=True)
class Census:
    """What a set of frames holds.

    Parameters
    ----------
    frames, atoms
        Their numbers.
    elements
        Number of atoms of each element.
    compositions
        Number of different reduced compositions.
    periodic
        Number of frames that are periodic in 3, 2, 1, 0 directions.
    labels
        Number of frames that carry each label.
    ranges
        Energy per atom, |F|, pressure, nearest distance, volume per atom, atoms per frame, where they exist.
    groups
        Keys in ``info`` that divide the frames into groups (candidates to split by), and the number of their values.
    forces, stress
        How each compares with the energies.
    findings
        What is wrong, suspicious or worth knowing.
    set_aside
        Reason of each frame that was left out (``--skip-bad``).
    """

    frames: int
    atoms: int
    elements: Mapping[str, int]
    compositions: int
    periodic: Mapping[int, int]
    labels: Mapping[str, int]
    ranges: Mapping[str, Range]
    groups: Mapping[str, int]
    forces: LabelCheck
    stress: LabelCheck
    findings: tuple[Finding, ...]
    set_aside: tuple[str, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """Return everything JSON-compatible (no number is NaN: what is not known is None)."""
        content = asdict(self)
        content["periodic"] = {str(k): v for k, v in self.periodic.items()}
        for check in (self.forces, self.stress):
            content[check.label] = check.to_dict()
        return content

    def refusals(self) -> list[str]:
        """Sentences of the findings that forbid using the data."""
        return [f.message for f in self.findings if f.level == "refuse"]


def take_census(frames: Iterable[Frame], set_aside: Sequence[str] = ()) -> Census:
    """Count and check frames.

    Raises
    ------
    DataError
        If there are none.
    """
    frames = list(frames)
    if not frames:
        raise DataError("there are no frames to count")
    closest = [(frame, pair) for frame in frames if (pair := closest_pair(frame)) is not None]
    checks = check_forces(frames), check_stress(frames)
    numbers = Counter(int(z) for frame in frames for z in frame.numbers)
    return Census(
        frames=len(frames),
        atoms=sum(map(len, frames)),
        elements={symbol(z): n for z, n in sorted(numbers.items())},
        compositions=len({composition(frame) for frame in frames}),
        periodic=dict(sorted(Counter(int(f.pbc.sum()) for f in frames).items(), reverse=True)),
        labels={label: sum(getattr(f, label) is not None for f in frames) for label in LABELS},
        ranges=_ranges(frames, closest),
        groups=_groups(frames),
        forces=checks[0],
        stress=checks[1],
        findings=tuple(_findings(frames, closest, checks)),
        set_aside=tuple(set_aside),
    )


def _ranges(frames: Sequence[Frame], closest: Sequence[tuple[Frame, Closest]]) -> dict[str, Range]:
    """Each range from (value, source) pairs; quantities that no frame has are left out."""
    values = {
        ("atoms_per_frame", ""): [(float(len(f)), f) for f in frames],
        ("energy_per_atom", "eV"): [(f.energy / len(f), f) for f in frames if f.energy is not None],
        ("largest_force", "eV/angstrom"): [(largest_force(f), f) for f in frames if f.forces is not None],
        ("pressure", "GPa"): [(pressure(f), f) for f in frames if f.stress is not None],
        ("nearest_distance", "angstrom"): [(pair.distance, f) for f, pair in closest],
        ("volume_per_atom", "angstrom^3"): [(f.volume / len(f), f) for f in frames if f.pbc.all()],
    }
    return {name: _range(unit, pairs) for (name, unit), pairs in values.items() if pairs}


def largest_force(frame: Frame) -> float:
    """Return the largest |F| of a frame in eV/angstrom."""
    if frame.forces is None:
        raise DataError(f"{frame.source}: it has no forces")
    return float(np.linalg.norm(frame.forces, axis=1).max())


def pressure(frame: Frame) -> float:
    """Return -tr(stress)/3 in GPa, positive under compression."""
    if frame.stress is None:
        raise DataError(f"{frame.source}: it has no stress")
    return float(-np.trace(frame.stress) / 3.0 / GPA)


def _range(unit: str, pairs: Sequence[tuple[float, Frame]]) -> Range:
    values = np.array([value for value, _ in pairs])
    low, high = int(values.argmin()), int(values.argmax())
    return Range(
        unit=unit,
        minimum=float(values[low]),
        median=float(np.median(values)),
        maximum=float(values[high]),
        minimum_at=pairs[low][1].source,
        maximum_at=pairs[high][1].source,
    )


def _groups(frames: Sequence[Frame]) -> dict[str, int]:
    """Text keys that every frame has, with at least two values and fewer than frames."""
    shared = set.intersection(*(set(f.info) for f in frames))
    counts = {}
    for key in sorted(shared):
        if all(isinstance(f.info[key], str) for f in frames) and key != UNUSED_COLUMNS:
            counts[key] = len({f.info[key] for f in frames})
    return {key: n for key, n in counts.items() if 1 < n < len(frames)}


def _findings(
    frames: Sequence[Frame], closest: Sequence[tuple[Frame, Closest]], checks: Sequence[LabelCheck]
) -> Iterable[Finding]:
    for check in checks:
        if check.contradiction:
            yield Finding("refuse", check.contradiction)
        elif check.warning:
            yield Finding("warn", check.warning)
    yield from _overlaps(closest)
    yield from _outliers(frames)
    yield from _duplicates(frames)
    yield from _labels(frames)


def _overlaps(closest: Sequence[tuple[Frame, Closest]]) -> Iterable[Finding]:
    near = [(pair, frame) for frame, pair in closest if pair.ratio < OVERLAP]
    if near:
        pair, frame = min(near, key=lambda item: item[0].ratio)
        yield Finding(
            "warn",
            f"{_frames(len(near))} with a pair closer than {OVERLAP:g} x the sum of covalent radii; the closest is "
            f"{pair.pair} at {pair.ratio:.2f} ({frame.source})",
        )


def _outliers(frames: Sequence[Frame]) -> Iterable[Finding]:
    outliers = energy_outliers(frames)
    if outliers:
        frame, distance = max(outliers, key=lambda item: abs(item[1]))
        yield Finding(
            "warn",
            f"{_frames(len(outliers))} with an energy far outside the rest of the composition; the furthest is "
            f"{frame.formula}, {distance:+.2f} eV/atom from the median ({frame.source})",
        )


def _duplicates(frames: Sequence[Frame]) -> Iterable[Finding]:
    repeats = duplicates(frames)
    differing = [(a, b) for a, b in repeats if not _same_labels(a, b)]
    if repeats:
        first, again = repeats[0]
        message = f"{_frames(len(repeats))} repeating another exactly, such as {again.source} and {first.source}"
        yield Finding("note", message)
    if differing:
        first, again = differing[0]
        message = f"{len(differing)} of the repeated structures carry other labels, such as {again.source}"
        yield Finding("warn", message)


def _same_labels(a: Frame, b: Frame) -> bool:
    for label in LABELS:
        first, second = getattr(a, label), getattr(b, label)
        if first is not None and second is not None and not np.allclose(first, second, rtol=1e-6, atol=1e-6):
            return False
    return True


def _labels(frames: Sequence[Frame]) -> Iterable[Finding]:
    both = [f for f in frames if EXTRAPOLATED_ENERGY in f.info]
    smeared = [abs(f.info[EXTRAPOLATED_ENERGY] - (f.energy or 0.0)) / len(f) for f in both]
    if smeared:
        yield Finding(
            "note",
            f"{_frames(len(smeared))} with a free energy beside the energy extrapolated to zero smearing; the free "
            f"energy is used, because the forces belong to it (they differ by up to {1e3 * max(smeared):.3g} meV/atom)",
        )
    unused = Counter(k.removeprefix(SET_ASIDE) for f in frames for k in f.info if k.startswith(SET_ASIDE))
    for key, count in sorted(unused.items()):
        yield Finding("note", f"{_frames(count)} with a label {key} that is not used")
    columns = Counter(name for f in frames for name in str(f.info.get(UNUSED_COLUMNS, "")).split())
    if columns:
        yield Finding("note", f"columns of atoms that are not used: {', '.join(sorted(columns))}")
    no_stress = len(frames) - sum(f.stress is not None for f in frames)
    if 0 < no_stress < len(frames):
        yield Finding("note", f"{_frames(no_stress)} without stress")


def _frames(number: int) -> str:
    return f"{number} frame{'s' * (number != 1)}"
