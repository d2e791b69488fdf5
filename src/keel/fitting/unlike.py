"""Which frames have forces or a stress that a factor sets apart from those of all others: one unit or sign in a few.

An EAM is fitted to the forces, and once more without the frames that disagree with it. A label is unlike the others if
it is what the EAM predicts but for a factor, and far more off than usual. Where the EAM describes less than half of the
frames, nothing is said.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keel.atoms.frame import VOIGT, Array, Frame
from keel.atoms.remarks import file_of, frames_of
from keel.atoms.soundness.frames import composition
from keel.atoms.soundness.readings import unit_of_forces, unit_of_stress
from keel.fitting.quick import Prediction, QuickEAM

FIT_ATOMS, FEWEST = 1200, 10
"""An EAM is fitted to this many atoms, and at least as many frames."""
ALIKE = 0.8
"""Least cosine between a label and its prediction, either sign, for a factor between them to mean anything."""
DESCRIBED = 0.5
"""Share of frames that must be alike."""
SMALLEST = 0.005
"""No unit makes labels smaller; if they are, the EAM is wrong."""
FACTOR, SPREADS = 3.0, 6.0
"""Least factor, and least number of the typical deviation (of the logarithm) of factors from their median."""
OFF = 4.0
"""Least error, in usual errors: frames at rest have small forces and are predicted with small ones."""
FREE = 8
"""Fewest different components of the forces: where symmetry leaves one or two, any prediction is alike."""
SEVERAL = 3
"""Fewest frames of a kind; one alone may be a structure that the EAM describes badly. Only forces that are several
times too large say enough in one frame.
"""
WORSE, NEARLY = 3.0, 0.02
"""How far from one the cosine may be: this many times as far as that of a quarter of the frames, or this far."""

STRANGE, WELL = 0.3, 0.9
"""Cosine below which forces are of another structure, where nine tenths of all frames have this one at least and the
sizes of forces are within a factor of three of those predicted."""

OPPOSITE, SMALL, LARGE = "of the opposite sign", "many times too small", "several times too large"
UNRELATED = "unrelated to their structures"


@dataclass(frozen=True)
class Fitted:
    """An EAM of the frames that agree with each other, and what it predicts.

    Parameters
    ----------
    frames, predictions
        Those of elements that it knows, and its predictions for them.
    seen
        The ids of the frames that it was fitted to.
    """

    frames: Sequence[Frame]
    predictions: Sequence[Prediction]
    seen: frozenset[int]

    @property
    def others(self) -> list[tuple[Frame, Prediction]]:
        """The frames that the EAM was not fitted to, with their predictions."""
        pairs = zip(self.frames, self.predictions, strict=True)
        return [(frame, prediction) for frame, prediction in pairs if id(frame) not in self.seen]

    def without(self, unlike: Sequence[Unlike]) -> Fitted:
        """Return the same without some frames."""
        out = {id(frame) for found in unlike for frame in found.frames}
        kept = [k for k, frame in enumerate(self.frames) if id(frame) not in out]
        return Fitted([self.frames[k] for k in kept], [self.predictions[k] for k in kept], self.seen)


@dataclass(frozen=True)
class Unlike:
    """Frames of which one label differs by a factor from that of the others."""

    label: str
    kind: str
    frames: Sequence[Frame]
    of: Sequence[Frame]
    factor: float
    first: Frame

    def __str__(self) -> str:
        if self.kind == UNRELATED:
            return (
                f"{len(self.frames)} of {frames_of(len(self.of))}{self._where()} have forces that are unrelated to "
                "those of an EAM fitted to the other frames; check that they belong to these structures"
            )
        by = "" if self.kind == OPPOSITE else f" ({self.factor:.2g} times as large)"
        if self.label == "forces":
            likely = unit_of_forces(1.0 / self.factor)
        else:
            likely = unit_of_stress(1.0 / self.factor, float(np.mean([f.volume for f in self.frames])))
        return (
            f"{len(self.frames)} of {frames_of(len(self.of))}{self._where()} have {self._named} {self.kind}, compared "
            f"with an EAM fitted to the other frames{by}; {f'{likely}; ' if likely else ''}check their units and signs"
        )

    @property
    def _named(self) -> str:
        return "forces" if self.label == "forces" else "a stress"

    def _where(self) -> str:
        """Name the one file of several that they are from, or the frame that is furthest off."""
        files, all_files = Counter(map(file_of, self.frames)), Counter(map(file_of, self.of))
        if len(all_files) > 1 and len(files) == 1:
            ((file, count),) = files.items()
            return f", all {count} of {file}," if count == all_files[file] else f", all of them in {file},"
        return f" (such as {self.first.source})"


def fitted_to_most(frames: Sequence[Frame]) -> tuple[Fitted | None, list[Unlike]]:
    """Return an EAM of the frames whose forces agree, and the labels that a factor sets apart; None without contacts.

    Parameters
    ----------
    frames
        With forces that are not all zero, of more than one atom.
    """
    found = _fitted(frames, frames)
    if found is None:
        return None, []
    compared, free = _forces(found)
    doubtful = np.flatnonzero(compared.apart(1.0) & free).tolist()
    if len(doubtful) >= SEVERAL:
        out = {id(found.frames[k]) for k in doubtful}
        again = _fitted([f for f in frames if id(f) not in out], frames)
        found = again or found
    return found, [*_unlike_forces(found), *_unlike_stresses(found)]


def _fitted(members: Sequence[Frame], frames: Sequence[Frame]) -> Fitted | None:
    """Fit an EAM to members with neither the smallest nor the largest forces, and predict all frames."""
    if len(members) < FEWEST:
        return None
    sizes = np.array([_rms(f.forces) for f in members if f.forces is not None])
    low, high = np.quantile(sizes, [0.3, 0.96])
    members = [f for f, size in zip(members, sizes, strict=True) if low <= size <= high]
    order = np.random.default_rng(0).permutation(len(members))
    chosen: list[Frame] = []
    for k in order[: max(len(sizes) // 2, 1)]:
        if sum(map(len, chosen)) > FIT_ATOMS and len(chosen) >= FEWEST:
            break
        chosen.append(members[k])
    eam = QuickEAM.fit(chosen)
    if eam is None:
        return None
    known = set(eam.model.elements or ())
    able = [f for f in frames if known.issuperset(f.numbers.tolist())]
    return Fitted(able, eam.predict(able), frozenset(map(id, chosen)))


def _unlike_forces(found: Fitted) -> Iterator[Unlike]:
    compared, free = _forces(found)
    yield from _of_kinds("forces", found.frames, np.flatnonzero(compared.apart(OFF) & free).tolist(), compared.factors)
    if members := [found.frames[k] for k in np.flatnonzero(compared.strange(OFF) & free).tolist()]:
        yield Unlike("forces", UNRELATED, members, found.frames, 1.0, members[0])


def _forces(found: Fitted) -> tuple[_Compared, NDArray[np.bool_]]:
    """Return all forces compared with their predictions, and which of these symmetry leaves free."""
    given = [f.forces.ravel() for f in found.frames if f.forces is not None]
    expected = [p.forces.ravel() for p in found.predictions]
    return _compared(given, expected), np.array([_free(values) >= FREE for values in expected])


def _free(values: Array) -> int:
    """Return the number of different sizes among components."""
    return len(np.unique(np.round(np.abs(values) / max(float(np.abs(values).max()), 1e-12), 2)))


def _unlike_stresses(found: Fitted) -> Iterator[Unlike]:
    """Yield wrong stresses: forces determine an EAM's stress but for a part that depends on the composition alone."""
    groups: dict[Hashable, list[tuple[Frame, Array, Array]]] = defaultdict(list)
    for frame, prediction in zip(found.frames, found.predictions, strict=True):
        if frame.stress is not None and frame.pbc.all() and np.any(frame.stress):
            groups[composition(frame)].append((frame, frame.stress[VOIGT], prediction.stress[VOIGT]))
    frames: list[Frame] = []
    given: list[Array] = []
    expected: list[Array] = []
    for members in groups.values():
        if len(members) >= FEWEST:
            frames += [frame for frame, *_ in members]
            given += [stress for _, stress, _ in members]
            expected += list(_shifted(np.array(given[-len(members) :]), np.array([p for *_, p in members])))
    if frames:
        compared = _compared(given, expected)
        apart = np.flatnonzero(compared.apart(OFF)).tolist()
        yield from _of_kinds("stress", frames, apart, compared.factors)


def _shifted(given: Array, expected: Array) -> Array:
    """Return predictions times the median slope, shifted by the median difference; both (F, 6)."""
    centred = [values - np.median(values, axis=0) for values in (given, expected)]
    slopes = np.sum(centred[0] * centred[1], axis=1) / np.maximum(np.sum(centred[1] ** 2, axis=1), 1e-300)
    predicted = float(np.median(slopes)) * expected
    return np.asarray(predicted + np.median(given - predicted, axis=0))


@dataclass(frozen=True)
class _Compared:
    """Of each label and its prediction: cosine, slope, root mean square difference, and ratio of sizes."""

    cosines: Array
    slopes: Array
    errors: Array
    sizes: Array

    @property
    def factors(self) -> Array:
        """Slopes relative to the usual one."""
        alike = self.slopes[self.cosines > ALIKE]
        return self.slopes / (float(np.median(alike)) if len(alike) else np.nan)

    def apart(self, least: float) -> NDArray[np.bool_]:
        """Return which differ from the others by a factor, and by more than ``least`` usual errors."""
        close, factors = np.abs(self.cosines), self.factors
        usual = self.cosines > ALIKE
        if np.mean(close > ALIKE) < DESCRIBED or usual.sum() <= DESCRIBED * np.sum(close > ALIKE):
            return np.zeros(len(close), dtype=bool)
        alike = (close > ALIKE) & (1.0 - close < max(NEARLY, WORSE * float(1.0 - np.quantile(close, 0.25))))
        limit = max(FACTOR, float(np.exp(SPREADS * np.median(np.abs(np.log(factors[usual]))))))
        negative = (factors < 0) & (np.abs(np.log(np.maximum(np.abs(factors), 1e-300))) < np.log(FACTOR))
        far = negative | ((factors > SMALLEST) & (factors < 1.0 / limit)) | (factors > limit)
        return np.asarray(alike & far & (self.errors > least * np.median(self.errors)))

    def strange(self, least: float) -> NDArray[np.bool_]:
        """Return which are as large as predicted and unrelated to it, where nearly all others are alike."""
        off = (np.abs(self.cosines) < STRANGE) & (self.errors > least * np.median(self.errors))
        off &= np.abs(np.log(np.maximum(self.sizes, 1e-300))) < np.log(FACTOR)
        return np.asarray(off & (np.quantile(self.cosines, 0.1) > WELL))


def _compared(given: Sequence[Array], expected: Sequence[Array]) -> _Compared:
    pairs = list(zip(given, expected, strict=True))
    return _Compared(
        np.array([correlation(e, g) for g, e in pairs]),
        np.array([float(g @ e) / max(float(e @ e), 1e-300) for g, e in pairs]),
        np.array([_rms(g - e) for g, e in pairs]),
        np.array([_rms(g) / max(_rms(e), 1e-300) for g, e in pairs]),
    )


def _of_kinds(label: str, frames: Sequence[Frame], apart: Sequence[int], factors: Array) -> Iterator[Unlike]:
    """Yield those that are negative, too small and too large."""
    for kind, chosen in (
        (OPPOSITE, [k for k in apart if factors[k] < 0]),
        (SMALL, [k for k in apart if 0 < factors[k] < 1]),
        (LARGE, [k for k in apart if factors[k] > 1]),
    ):
        large_forces = kind == LARGE and label == "forces"
        if len(chosen) >= (1 if large_forces else SEVERAL):
            of = [f for f in frames if getattr(f, label) is not None]
            worst = chosen[int(np.argmax(np.abs(np.log(np.abs(factors[chosen])))))]
            members = [frames[k] for k in chosen]
            yield Unlike(label, kind, members, of, float(np.median(factors[chosen])), frames[worst])


def correlation(first: Array, second: Array) -> float:
    """Return the cosine of two vectors; 0 if one vanishes."""
    size = float(np.sqrt((first @ first) * (second @ second)))
    return float(first @ second) / size if size > 0 else 0.0


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
