"""The census: the content of a set of labelled frames, and what is suspicious in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from keel.atoms.conversion import Structures, as_stored, each_frame
from keel.atoms.elements import symbol
from keel.atoms.findings import findings, not_used
from keel.atoms.frame import Frame
from keel.atoms.labelling.names import LABELS
from keel.atoms.soundness.finding import Finding
from keel.atoms.soundness.frames import Closest, closest_pair, composition
from keel.atoms.soundness.unknown import without_placeholders
from keel.atoms.soundness.work import LabelCheck, check_forces, check_stress
from keel.atoms.store.frames import StoredFrames
from keel.atoms.store.stretches import STRETCHES, stretches
from keel.atoms.units import GPA
from keel.errors import DataError
from keel.showing import Facts, Shown, table
from keel.wording import capitalised, number, typeset


@dataclass(frozen=True)
class Range:
    """Smallest, median and largest value of a quantity, and the frames of the two extremes."""

    unit: str
    minimum: float
    median: float
    maximum: float
    minimum_at: str
    maximum_at: str


@dataclass(frozen=True, repr=False)
class Census(Shown):
    """The content of a set of frames.

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
        Number of frames with each label.
    ranges
        Energy per atom, |F|, pressure, nearest distance, volume per atom, atoms per frame, where they exist.
    groups
        Keys in ``info`` that divide the frames into groups (candidates to split by), and the number of their values.
    forces, stress
        How each compares with the energies.
    findings
        What is wrong, suspicious or worth knowing.
    not_used
        Content of the frames that keel does not use.
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
    not_used: tuple[str, ...] = field(default=())
    set_aside: tuple[str, ...] = field(default=())

    def facts(self) -> Facts:
        """See :class:`~keel.showing.Shown`."""
        levels = Counter(finding.level for finding in self.findings)
        return {
            "frames": f"{self.frames:,}",
            "atoms": f"{self.atoms:,} ({', '.join(f'{z} {n:,}' for z, n in self.elements.items())})",
            "labels": ", ".join(f"{label} {n:,}" for label, n in self.labels.items()),
            "findings": ", ".join(f"{n} to {level}" for level, n in levels.items()) or "none",
        }

    def _repr_html_(self) -> str:
        """Show counts, ranges, and what was found."""
        counts = [(capitalised(term), value) for term, value in self.facts().items()]
        ranges = [
            (f"{name.replace('_', ' ')} {typeset(r.unit)}", number(r.minimum), number(r.median), number(r.maximum))
            for name, r in self.ranges.items()
        ]
        said = [(finding.level, finding.message) for finding in self.findings]
        said += [("not used", sentence) for sentence in self.not_used]
        header = ("", "smallest", "median", "largest")
        return table(counts, title="Census") + table(ranges, header=header) + table(said)

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


def take_census(frames: Structures, set_aside: Sequence[str] = ()) -> Census:
    """Count and check frames, and report what is used of them.

    Parameters
    ----------
    frames
        Frames, ``ase.Atoms`` or files (:func:`keel.atoms.as_frames`).
    set_aside
        Reasons of frames that were left out before.

    Raises
    ------
    DataError
        If there are none.
    """
    if (stored := as_stored(frames)) is not None:
        return _of_store(stored, set_aside)
    frames = without_placeholders(list(each_frame(frames)))
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
        groups=group_keys(frames),
        forces=checks[0],
        stress=checks[1],
        findings=tuple(findings(frames, closest, checks)),
        not_used=tuple(not_used(frames)),
        set_aside=tuple(set_aside),
    )


def _of_store(frames: StoredFrames, set_aside: Sequence[str]) -> Census:
    """Count all frames of a store, and look closer at stretches of it."""
    some = stretches(frames)
    closer, n = take_census(some, set_aside), len(frames)
    said = f"ranges, compositions and findings are those of {len(some):,} of {n:,} frames: {STRETCHES} stretches"
    numbers = np.zeros(119, dtype=np.int64)
    for counts in frames.atoms_of_each_element():
        numbers += counts
    periodic = Counter(frames.periodic_in().sum(axis=1).tolist())
    return replace(
        closer,
        frames=n,
        atoms=int(numbers.sum()),
        elements={symbol(z): int(numbers[z]) for z in np.flatnonzero(numbers).tolist()},
        periodic=dict(sorted(periodic.items(), reverse=True)),
        labels={label: int(frames.present(label).sum()) for label in LABELS},
        findings=(*closer.findings, *([Finding("note", said)] if len(some) < n else [])),
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


def group_keys(frames: Sequence[Frame]) -> dict[str, int]:
    """Return the text keys that every frame has, with at least two values and fewer than frames, and their number."""
    frames = stretches(frames)
    shared = set.intersection(*(set(f.info) for f in frames))
    counts = {}
    for key in sorted(shared):
        if all(isinstance(f.info[key], str) for f in frames):
            counts[key] = len({f.info[key] for f in frames})
    return {key: n for key, n in counts.items() if 1 < n < len(frames)}
