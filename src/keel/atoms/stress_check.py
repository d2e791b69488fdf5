"""Does the stress belong to the energies? Its sign and unit are the most common mistakes in shared data."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from keel.atoms.frame import Array, Frame
from keel.atoms.stress_units import GPA
from keel.errors import DataError

FEWEST_PAIRS = 5
SMALLEST_STRAIN, LARGEST_STRAIN = 1e-5, 0.05
LARGEST_STEP = 0.3
"""Angstrom; between frames further apart the trapezoidal rule says nothing."""

MISTAKES = {
    -1.0: ("its sign is the opposite (compressed must be negative), or it is a virial", "multiply it by -1"),
    GPA: ("it is in GPa", "read it with the stress convention gpa"),
    -GPA: ("it is in GPa with the opposite sign", "divide it by -160.218"),
    0.1 * GPA: ("it is in kbar", "divide it by 1602.18"),
    -0.1 * GPA: ("it is in kbar with VASP's sign", "read it with the stress convention vasp-kbar"),
}
"""Slope of true work on given work, what is wrong, what to do."""


@dataclass(frozen=True)
class StressCheck:
    """Regression of the energy changes on the work of the stress.

    Parameters
    ----------
    pairs
        Number of neighbouring frames that were compared.
    slope
        1 where the stress belongs to the energies; NaN where there was nothing to compare.
    correlation
        Of the two; low where other things (noise, basis set changing with the cell) dominate.
    """

    pairs: int
    slope: float
    correlation: float

    @property
    def conclusive(self) -> bool:
        """Whether enough pairs tell the same."""
        return self.pairs >= FEWEST_PAIRS and abs(self.correlation) > 0.8

    @property
    def contradiction(self) -> str | None:
        """What is wrong with the stress, as one sentence, or None."""
        if not self.conclusive or 0.5 < self.slope < 2.0:
            return None
        nearest = min(MISTAKES, key=lambda m: abs(np.log(abs(self.slope / m))) + 10 * (self.slope * m < 0))
        if 0.5 < self.slope / nearest < 2.0:
            what, remedy = MISTAKES[nearest]
        else:
            what, remedy = "its unit or sign is wrong", "it must be in eV/angstrom^3, compressed = negative"
        return (
            f"the stress contradicts the energies: over {self.pairs} neighbouring frames the energy changes by "
            f"{self.slope:.3g} times the work of the stress; {what}, so {remedy}"
        )

    def __str__(self) -> str:
        if self.contradiction:
            return self.contradiction
        if self.conclusive:
            return f"agrees with the energies (slope {self.slope:.2f} over {self.pairs} neighbouring frames)"
        if self.pairs < FEWEST_PAIRS:
            return "cannot be checked: too few neighbouring frames of one group differ by a small strain of the cell"
        return f"cannot be checked: energy changes do not follow the work (correlation {self.correlation:.2f})"


def check_stress(frames: Sequence[Frame]) -> StressCheck:
    """Regress dE + sum F . (dr at fixed strain) on V stress : d strain over neighbouring frames of one group.

    For two frames with cells h1, h2 and fractional coordinates s1, s2: strain e = h^-1 (h2 - h1) symmetrised, and the
    trapezoidal rule on both sides, so that the slope is 1 to second order in the step. Frames belong to one group if
    they hold the same atoms in the same order; neighbours are those that follow each other in the file.
    """
    groups: dict[bytes, list[Frame]] = defaultdict(list)
    for frame in frames:
        if frame.stress is not None and frame.energy is not None and frame.forces is not None and frame.pbc.all():
            groups[frame.numbers.tobytes()].append(frame)
    works = [w for g in groups.values() for a, b in pairwise(g) if (w := _work(a, b)) is not None]
    if len(works) < FEWEST_PAIRS:
        return StressCheck(len(works), float("nan"), float("nan"))
    given, true = np.array(works).T
    scale = float(given @ given)
    if scale == 0.0 or not true.any():
        return StressCheck(len(works), float("nan"), 0.0)
    return StressCheck(len(works), float(given @ true) / scale, float(given @ true / np.sqrt(scale * (true @ true))))


def refuse_wrong_stress(frames: Sequence[Frame]) -> None:
    """Raise a DataError if the stresses contradict the energies."""
    problem = check_stress(frames).contradiction
    if problem:
        with_stress = next(f for f in frames if f.stress is not None)
        raise DataError(f"{with_stress.source.rpartition(', ')[0] or with_stress.source}: {problem}")


def _work(first: Frame, second: Frame) -> tuple[float, float] | None:
    """Work of the stress and the energy change not explained by forces, in eV per atom; None if too far apart."""
    mean_cell = 0.5 * (first.cell + second.cell)
    strain = np.linalg.solve(mean_cell, second.cell - first.cell)
    strain = 0.5 * (strain + strain.T)
    if not SMALLEST_STRAIN < np.abs(strain).max() < LARGEST_STRAIN:
        return None
    steps = np.linalg.solve(second.cell.T, second.positions.T).T - np.linalg.solve(first.cell.T, first.positions.T).T
    steps = (steps - np.round(steps)) @ mean_cell
    if np.linalg.norm(steps, axis=1).max() > LARGEST_STEP:
        return None
    (e1, f1, s1), (e2, f2, s2) = _labels(first), _labels(second)
    work = 0.5 * np.sum((first.volume * s1 + second.volume * s2) * strain)
    rest = e2 - e1 + 0.5 * np.sum((f1 + f2) * steps)
    return float(work / len(first)), float(rest / len(first))


def _labels(frame: Frame) -> tuple[float, Array, Array]:
    if frame.energy is None or frame.forces is None or frame.stress is None:
        raise ValueError("only frames with all three labels are compared")
    return frame.energy, frame.forces, frame.stress
