"""What is suspicious in a set of frames, or worth knowing before anything is fitted to it, one sentence each."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from keel.atoms.frame import Frame
from keel.atoms.isolated import set_apart
from keel.atoms.labelling.names import EXTRAPOLATED_ENERGY, LABELS, SET_ASIDE
from keel.atoms.remarks import files_of, frames_of, notes
from keel.atoms.soundness import size, states, unknown
from keel.atoms.soundness.finding import Finding
from keel.atoms.soundness.frames import OVERLAP, Closest, energy_levels, energy_outliers
from keel.atoms.soundness.repeats import matching, repeats
from keel.atoms.soundness.work import LabelCheck, check_forces, check_stress
from keel.errors import DataError, KeelWarning

LEVELS = ("refuse", "warn", "note")
ALONE = 10
"""Fewest frames of a file to be judged without those of others."""


def findings(
    frames: Sequence[Frame], closest: Sequence[tuple[Frame, Closest]], checks: Sequence[LabelCheck]
) -> list[Finding]:
    """Return what forbids using the frames, then what is suspicious, then what is worth knowing."""
    found = [
        *_checked(checks),
        *size.findings(frames),
        *_overlaps(closest),
        *_outliers(frames),
        *together(frames),
        *unknown.findings(frames),
        *_repeats(frames),
        *_energies(frames),
    ]
    return sorted(found, key=lambda finding: LEVELS.index(finding.level))


def together(frames: Sequence[Frame]) -> Iterator[Finding]:
    """Yield what frames, perhaps of several files, show only in comparison with each other."""
    yield from _levels(frames)
    yield from states.findings(frames)


def refuse_wrong_labels(frames: Sequence[Frame]) -> None:
    """Raise a DataError if labels contradict each other or cannot be of their size; warn where that is likely.

    Each file with enough frames is judged alone: the labels of one may be wrong among many that are right.
    """
    for part in _parts(frames):
        checks = check_forces(part), check_stress(part)
        _report((*_checked(checks), *size.findings(part)), part)
    _report(together(frames), frames)


def _parts(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Return the frames of each file that has enough of them, and those of all others."""
    files = files_of(frames).values()
    others = [frame for members in files if len(members) < ALONE for frame in members]
    return [*(members for members in files if len(members) >= ALONE), *([others] if others else [])]


def _report(found: Iterable[Finding], frames: Sequence[Frame]) -> None:
    """Raise the first finding that forbids using the frames; warn of what is suspicious."""
    for finding in found:
        if finding.level == "note":
            continue
        file, *others = files_of(frames)
        more = f" and {len(others)} more files" if len(others) > 1 else "".join(f" and {name}" for name in others)
        if finding.level == "refuse":
            raise DataError(f"{file}{more}: {finding.message}")
        warnings.warn(f"{file}{more}: {finding.message}", KeelWarning, stacklevel=4)


def not_used(frames: Sequence[Frame]) -> list[str]:
    """Return which content of the frames keel does not use, one sentence for each kind."""
    found = notes(frames)
    labels = Counter(k.removeprefix(SET_ASIDE) for f in frames for k in f.info if k.startswith(SET_ASIDE))
    found += [f"a label {key} of {frames_of(count)}" for key, count in sorted(labels.items())]
    columns = Counter(name for f in frames for name in f.unused)
    if columns:
        found.append(f"columns of atoms: {', '.join(sorted(columns))}")
    return found


def _checked(checks: Sequence[LabelCheck]) -> Iterator[Finding]:
    for check in checks:
        if check.contradiction:
            yield Finding("refuse", check.contradiction)
            # Where energies are wrong the stress contradicts them too, whatever it is.
            return
        if check.warning:
            yield Finding("warn", check.warning)


def _overlaps(closest: Sequence[tuple[Frame, Closest]]) -> Iterator[Finding]:
    near = [(pair, frame) for frame, pair in closest if pair.ratio < OVERLAP]
    if near:
        pair, frame = min(near, key=lambda item: item[0].ratio)
        yield Finding(
            "warn",
            f"{frames_of(len(near))} with a pair closer than {OVERLAP:g} x the sum of covalent radii; the closest is "
            f"{pair.pair} at {pair.ratio:.2f} ({frame.source})",
        )


def _outliers(frames: Sequence[Frame]) -> Iterator[Finding]:
    bonded, alone = set_apart(frames)
    outliers = energy_outliers(bonded)
    if outliers:
        frame, distance = max(outliers, key=lambda item: abs(item[1]))
        yield Finding(
            "warn",
            f"{frames_of(len(outliers))} with an energy far outside the rest of the composition; the furthest is "
            f"{frame.formula}, {distance:+.2f} eV/atom from the median ({frame.source})",
        )
    if alone:
        elements = ", ".join(sorted({frame.formula for frame in alone}))
        yield Finding(
            "note",
            f"{frames_of(len(alone))} of an isolated atom ({elements}): its energy is the zero of the element; it is "
            "not used for training",
        )


def _levels(frames: Sequence[Frame]) -> Iterator[Finding]:
    for levels in energy_levels(set_apart(frames)[0]):
        first, second = (f"{frames_of(len(part))} ({part[0].source})" for part in (levels.lower, levels.upper))
        yield Finding(
            "warn",
            f"energies of {levels.lower[0].formula} have two levels, {levels.gap:.2f} eV/atom apart: {first} and "
            f"{second}; are they of two codes, pseudopotentials or zeros of energy? Bring them to one, or use one part",
        )


def _repeats(frames: Sequence[Frame]) -> Iterator[Finding]:
    found = repeats(frames)
    differing = [(a, b) for a, b in found if not _same_labels(a, b)]
    if found:
        first, again = found[0]
        yield Finding("note", f"{frames_of(len(found))} repeating another, such as {again.source} and {first.source}")
    if differing:
        again = differing[0][1]
        yield Finding(
            "warn", f"{len(differing)} of the repeated structures have different labels, such as {again.source}"
        )


def _same_labels(a: Frame, b: Frame) -> bool:
    order = matching(a, b)
    for label in LABELS:
        first, second = getattr(a, label), getattr(b, label)
        if first is None or second is None or order is None:
            continue
        if not np.allclose(first, second[order] if label == "forces" else second, rtol=1e-4, atol=1e-4):
            return False
    return True


def _energies(frames: Sequence[Frame]) -> Iterator[Finding]:
    both = [f for f in frames if EXTRAPOLATED_ENERGY in f.info]
    smeared = [abs(f.info[EXTRAPOLATED_ENERGY] - (f.energy or 0.0)) / len(f) for f in both]
    if smeared:
        yield Finding(
            "note",
            f"{frames_of(len(smeared))} with a free energy and an energy extrapolated to zero smearing; the free "
            f"energy is used, because the forces are its derivatives (they differ by up to {1e3 * max(smeared):.3g} "
            "meV/atom)",
        )
