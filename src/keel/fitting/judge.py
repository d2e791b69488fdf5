"""Are labels sound if neighbouring frames cannot decide? Judged by stiffness, symmetry and a quickly fitted EAM.

An EAM fitted to the forces alone predicts how energies differ and what the stresses are; a factor between the two, or
forces of single frames that are several times too large, reveal a wrong unit or sign. If the EAM predicts the forces of
other frames badly it cannot judge, and the label counts as unchecked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from keel.atoms.frame import Array, Frame
from keel.atoms.remarks import file_of, files_of
from keel.atoms.soundness.finding import Finding
from keel.atoms.soundness.frames import composition, energy_levels
from keel.atoms.soundness.invariance import forces_against_symmetry, stress_against_symmetry
from keel.atoms.soundness.readings import likely_forces, likely_stress
from keel.atoms.soundness.stiffness import (
    OPPOSITE_OR_MIXED,
    SIGN_OR_ORDER,
    UNRELATED,
    another_order,
    contact_cosines,
    doubtful_forces,
    doubtful_stress,
    most_pushed,
)
from keel.atoms.soundness.work import LabelCheck, check_forces, check_stress
from keel.atoms.store.stretches import stretches
from keel.fitting.offsets import compositions, unexplained
from keel.fitting.quick import Prediction
from keel.fitting.unlike import correlation, fitted_to_most

MOST_ELEMENTS = 8
"""With more elements, an EAM fitted in seconds cannot judge."""
JUDGED_FRAMES, CONTACT_FRAMES = 400, 1000
SKILL, CONVINCING = 0.6, 0.8
"""Least correlation of the EAM's forces with those of frames that it was not fitted to, to find faults in other labels,
and to call forces checked."""
CERTAIN = 0.97
"""If higher, energies that have nothing to do with the EAM's belong to other structures. (In liquid P4 forces of bonds
correlate with 0.95 and energies, which weak forces decide, with 0.3.)"""
NO_SKILL = 0.2
"""If lower, forces that also do not push the shortest contacts apart belong to other atoms."""
HARDLY = 0.5
"""If lower, and much higher within each file, the energies of files have different zeros."""
NOT_OF_THE_ATOMS = (
    "the forces do not match the atoms: they are unrelated to those of a fitted EAM and to the shortest "
    "contacts; check that forces and positions list the atoms in the same order"
)
ANOTHER_ZERO = (
    "the energies of the files have different zeros: in each file they agree with the forces, between files they do "
    "not; are they of two codes or pseudopotentials? Bring them to one zero, or use one file"
)
FEWEST = 10
"""Fewest frames for a regression."""
SOUND = (0.15, 7.0)
"""Factors between label and prediction that the EAM's own error explains; it is largest for phases that differ in
energy."""
ENERGIES, STRESSES = 0.8, 0.7
"""Least correlation of differences of energies and stresses with those predicted for the factor to be conclusive."""
COVERED = 0.8
"""Share of frames with a neighbour; with fewer, wrong forces of single frames are looked for by the EAM."""


@dataclass(frozen=True)
class Judgement:
    """What was found about the labels.

    Parameters
    ----------
    findings
        Sentences on labels that cannot be right.
    checked
        Label -> how it was checked, for labels with no fault found.
    unchecked
        Label -> why it could not be checked.
    """

    findings: tuple[Finding, ...]
    checked: dict[str, str]
    unchecked: dict[str, str]


def faults(frames: Sequence[Frame]) -> list[str]:
    """Return what is wrong with the labels of frames, in memory or in a store, a sentence each."""
    return [finding.message for finding in judge(stretches(frames)).findings]


def judge(frames: Sequence[Frame], checks: Sequence[LabelCheck] | None = None) -> Judgement:
    """Check signs, sizes and orders of energies, forces and stresses without the need for neighbouring frames.

    Parameters
    ----------
    frames
        Labelled frames, of one file or of several, which are compared with each other.
    checks
        Of :func:`check_forces` and :func:`check_stress`, where they are known. The EAM is fitted only where these leave
        a label unchecked.
    """
    checks = tuple(checks or (check_forces(frames), check_stress(frames)))
    many = frames[:: max(1, len(frames) // CONTACT_FRAMES)]
    some = frames[:: max(1, len(frames) // JUDGED_FRAMES)]
    forces = doubtful_forces(frames) or forces_against_symmetry(some) or _against_contacts(many)
    stress = doubtful_stress(frames) or stress_against_symmetry(some)
    found = {"forces": forces, "stress": stress, "energy": _divided(frames)}
    messages = [text for text in found.values() if text]
    done = {c.label for c in checks if c.conclusive or c.warning} | {k for k, text in found.items() if text}
    labels = {k for k in ("energy", "forces", "stress") if any(getattr(f, k) is not None for f in frames)}
    if "forces" in done:
        done.add("energy")
    checked, unchecked = {}, {}
    alone = checks[0].pairs < COVERED * len(frames) or len(files_of(frames)) > 1
    if (labels - done or alone) and not forces:
        outcome = _by_eam(frames, some)
        messages += [text for text in outcome.wrong if text]
        checked = {k: v for k, v in outcome.checked.items() if k in labels - done}
        unchecked = {k: v for k, v in outcome.unchecked.items() if k in labels - done}
    return Judgement(tuple(Finding("warn", text) for text in messages), checked, unchecked)


def _against_contacts(frames: Sequence[Frame]) -> str | None:
    """Report that forces draw the nearest atoms together in frame after frame."""
    cosines = contact_cosines(frames)
    if len(cosines) < FEWEST:
        return None
    mean, error = float(cosines.mean()), float(cosines.std() / np.sqrt(len(cosines)))
    if mean > min(-0.1, -4.0 * error):
        return None
    return (
        f"the forces have {OPPOSITE_OR_MIXED}: in {int(np.sum(cosines < 0))} of {len(cosines)} frames they pull the "
        f"shortest contacts together {SIGN_OR_ORDER}"
    )


def _divided(frames: Sequence[Frame]) -> str | None:
    """Report that energies are divided by the number of atoms, if structures of many sizes show it."""
    known = [f for f in frames if f.energy is not None]
    elements = sorted({int(z) for f in known for z in f.numbers})
    if len(known) < max(3 * len(elements), FEWEST):
        return None
    atoms = np.array([len(f) for f in known], dtype=np.float64)
    energies, shares = np.array([f.energy for f in known]), compositions(known, elements)
    total, divided = (_share_unexplained(shares, e) for e in (energies / atoms, energies))
    if divided > 0.3 * total or divided > 0.2:
        return None
    return (
        "the energies are already divided by the number of atoms: the composition explains them as given, but not "
        "divided once more (--energy-unit eV/atom)"
    )


def _share_unexplained(shares: Array, energies: Array) -> float:
    """Share of the mean square that no offsets of the elements explain."""
    return float(np.sum(unexplained(shares, energies) ** 2) / max(np.sum(energies**2), 1e-300))


@dataclass(frozen=True)
class _Outcome:
    wrong: list[str | None]
    checked: dict[str, str]
    unchecked: dict[str, str]


def _by_eam(frames: Sequence[Frame], some: Sequence[Frame]) -> _Outcome:
    labels = ("energy", "forces", "stress")
    frames = [f for f in some if f.forces is not None and len(f) > 1 and np.any(f.forces)]
    if len(frames) < FEWEST:
        return _Outcome([], {}, dict.fromkeys(labels, "too few frames with forces"))
    if len({int(z) for f in frames for z in f.numbers}) > MOST_ELEMENTS:
        return _Outcome([], {}, dict.fromkeys(labels, f"more than {MOST_ELEMENTS} elements, too many for an EAM"))
    fitted, unlike = fitted_to_most(frames)
    kept = fitted.without(unlike).others if fitted else []
    if len(kept) < 5:
        return _Outcome([], {}, dict.fromkeys(labels, "too few frames besides those an EAM is fitted to"))
    others, predictions = [f for f, _ in kept], [p for _, p in kept]
    skill = _skill(others, predictions)
    how = f"an EAM fitted to other frames predicts the forces with a correlation of {skill:.2f}"
    if skill < NO_SKILL and -1.0 < most_pushed(frames) < UNRELATED:
        return _Outcome([NOT_OF_THE_ATOMS], {}, dict.fromkeys(labels, f"{how}: not conclusive"))
    if skill < SKILL:
        return _Outcome([*map(str, unlike)], {}, dict.fromkeys(labels, f"{how}: not conclusive"))
    outcome = _verdicts(others, predictions, skill, how)
    accused = {found.label for found in unlike}
    checked = {label: words for label, words in outcome.checked.items() if label not in accused}
    return replace(outcome, wrong=[*map(str, unlike), *outcome.wrong], checked=checked)


def _skill(frames: Sequence[Frame], predictions: Sequence[Prediction]) -> float:
    """Correlation of forces, each frame by its own size at most."""
    pairs = [(f.forces, p.forces) for f, p in zip(frames, predictions, strict=True) if f.forces is not None]
    typical = float(np.median([np.sqrt(np.mean(given**2)) for given, _ in pairs]))
    weights = [1.0 / max(typical, float(np.sqrt(np.mean(given**2)))) for given, _ in pairs]
    given, expected = (np.concatenate([w * p[k].ravel() for w, p in zip(weights, pairs, strict=True)]) for k in (0, 1))
    return correlation(expected, given)


def _verdicts(frames: Sequence[Frame], predictions: Sequence[Prediction], skill: float, how: str) -> _Outcome:
    wrong: list[str | None] = []
    checked, unchecked = dict[str, str](), dict[str, str]()
    if skill > CONVINCING:
        checked["forces"] = f"agree with each other: {how}"
    else:
        unchecked["forces"] = f"{how}: not conclusive"
    pairs = list(zip(frames, predictions, strict=True))
    atoms = float(np.mean([len(f) for f in frames]))
    energies = [(f, f.energy / len(f), p.energy / len(f)) for f, p in pairs if f.energy is not None]
    factor, alike = _factor(energies)
    sure = abs(alike) > ENERGIES
    # An EAM may have two phases in the wrong order; the shortest contacts show the sign better.
    sure = sure and (factor > 0 or most_pushed(frames) == -1.0)
    forces_wrong = sure and not SOUND[0] < factor < SOUND[1]
    if forces_wrong:
        wrong.append(
            f"energies and forces are inconsistent: the energies differ by {factor:.3g} times what an EAM fitted to "
            f"the forces predicts; {likely_forces(factor, atoms, frames[0].read_in)}"
        )
    certain = skill > CERTAIN and not (sure or np.isnan(factor) or energy_levels(frames))
    if certain and alike < HARDLY and len(files_of(frames)) > 1 and _factor(energies, file_of)[1] > ENERGIES:
        wrong.append(ANOTHER_ZERO)
    elif certain and alike < NO_SKILL and len(energies) >= 2 * FEWEST:
        wrong.append(
            f"the energies do not belong to the forces: {how}, and energies with one of {alike:.2f}; check that both "
            "are of the same frames, and the sign of the energies"
        )
    agrees = "in sign and roughly in size, with the forces: an EAM fitted to these predicts"
    if sure and not forces_wrong:
        checked["energy"] = f"agrees, {agrees} how energies differ with a correlation of {alike:.2f}"
    elif not sure:
        unchecked["energy"] = f"{how}, but not the energies"
    strained = [(f, f.stress, p.stress) for f, p in pairs if f.stress is not None and f.pbc.all()]
    factor, alike = _factor(strained)
    sure = abs(alike) > STRESSES
    stress_wrong = sure and not SOUND[0] < factor < SOUND[1]
    if stress_wrong and not forces_wrong:
        volume = float(np.mean([f.volume for f, *_ in strained]))
        wrong.append(
            f"the stress is {factor:.3g} times what an EAM fitted to the forces predicts; "
            f"{likely_stress(1 / factor, volume, strained[0][0].read_in)}"
        )
    if sure and not stress_wrong:
        checked["stress"] = f"agrees, {agrees} how stresses differ with a correlation of {alike:.2f}"
    elif not sure:
        unchecked["stress"] = f"{how}, but not the stresses"
    if sure or len(strained) >= FEWEST:
        off = [1, 0, 0], [2, 2, 1]
        wrong.append(
            another_order(np.array([s[off] for _, s, _ in strained]), np.array([p[off] for *_, p in strained]))
        )
    return _Outcome(wrong, checked, unchecked)


def _factor(
    values: Sequence[tuple[Frame, float | Array, float | Array]], part: Callable[[Frame], object] = lambda _: None
) -> tuple[float, float]:
    """Return the slope of given on predicted differences within each composition of a part, and their correlation.

    The slope is NaN and the correlation 0 where there are too few.
    """
    groups: dict[object, list[tuple[Array, Array]]] = {}
    for frame, given, expected in values:
        groups.setdefault((composition(frame), part(frame)), []).append((np.ravel(given), np.ravel(expected)))
    centred = []
    for members in groups.values():
        both = np.array(members)
        centred.append((both - both.mean(axis=0)).transpose(1, 0, 2).reshape(2, -1))
    if len(values) - len(groups) < FEWEST:
        return float("nan"), 0.0
    given, expected = np.concatenate(centred, axis=1)
    square = float(expected @ expected)
    if square == 0.0:
        return float("nan"), 0.0
    return float(given @ expected) / square, correlation(expected, given)
