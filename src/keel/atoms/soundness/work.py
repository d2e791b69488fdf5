"""Do forces and stress belong to the energies? Signs and units are the most common mistakes in shared data.

From one frame to the next the energy changes by the work of the forces and of the stress. Regressed on that work it has
a slope of 1; any other slope tells which unit or sign is wrong.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from keel.atoms.frame import Array, Frame
from keel.atoms.units import GPA
from keel.errors import DataError

Checked = Literal["forces", "stress"]
Work = tuple[float, float]
"""Work that the label in question does between two frames, and the change of energy it should equal, in eV per atom."""

SMALLEST_STRAIN, LARGEST_STRAIN = 1e-5, 0.05
SMALLEST_STEP, LARGEST_STEP = 1e-6, 0.3
"""Angstrom; between frames further apart the trapezoidal rule says nothing."""

FEWEST_PAIRS: Mapping[Checked, int] = {"forces": 10, "stress": 5}
LEAST_CORRELATION: Mapping[Checked, float] = {"forces": 0.9, "stress": 0.8}
SOUND: Mapping[Checked, tuple[float, float]] = {"forces": (0.4, 1.5), "stress": (0.5, 2.0)}
"""Slopes that contradict nothing: the trapezoidal rule overrates work on steep walls, bases change with the cell."""
NEAR = 1.5
"""A slope tells a mistake if it is off by no more than this factor."""

MISTAKES: Mapping[Checked, Mapping[float, tuple[str, str]]] = {
    "forces": {
        -1.0: ("they have the opposite sign (a force is minus the gradient)", "multiply them by -1"),
        1 / 0.529177: ("they are in eV/bohr", "multiply them by 1.8897"),
        51.4221: ("they are in hartree/bohr", "multiply them by 51.422"),
        25.7110: ("they are in rydberg/bohr", "multiply them by 25.711"),
        1 / 23.0605: ("they are in kcal/mol/angstrom", "divide them by 23.06"),
        23.0605: ("the energies are in kcal/mol", "divide the energies by 23.06"),
        1 / 96.4853: ("they are in kJ/mol/angstrom", "divide them by 96.485"),
        96.4853: ("the energies are in kJ/mol", "divide the energies by 96.485"),
        1 / 27.2114: ("the energies are in hartree", "multiply the energies by 27.211"),
        1 / 13.6057: ("the energies are in rydberg", "multiply the energies by 13.606"),
    },
    "stress": {
        -1.0: ("its sign is the opposite (compressed must be negative), or it is a virial", "multiply it by -1"),
        GPA: ("it is in GPa", "read it with the stress convention gpa"),
        -GPA: ("it is in GPa with the opposite sign", "divide it by -160.218"),
        0.1 * GPA: ("it is in kbar", "divide it by 1602.18"),
        -0.1 * GPA: ("it is in kbar with VASP's sign", "read it with the stress convention vasp-kbar"),
    },
}
"""Slope, what is wrong, what to do."""
UNKNOWN: Mapping[Checked, tuple[str, str]] = {
    "forces": ("a unit or a sign is wrong", "energies must be in eV and forces in eV/angstrom"),
    "stress": ("its unit or sign is wrong", "it must be in eV/angstrom^3, compressed = negative"),
}
PER_ATOM = ("the energies are divided by the number of atoms", "multiply them by it")


@dataclass(frozen=True)
class LabelCheck:
    """Regression of the energy changes on the work of a label.

    Parameters
    ----------
    label
        Which.
    pairs
        Number of neighbouring frames that were compared.
    slope
        1 where the label belongs to the energies; NaN where there was nothing to compare.
    correlation
        Of the two; low where other things (noise, basis set changing with the cell) dominate.
    atoms
        Mean number of atoms of the frames that were compared; NaN where there are none.
    """

    label: Checked
    pairs: int
    slope: float
    correlation: float
    atoms: float

    @property
    def conclusive(self) -> bool:
        """Whether enough pairs tell the same."""
        return self.pairs >= FEWEST_PAIRS[self.label] and abs(self.correlation) > LEAST_CORRELATION[self.label]

    @property
    def contradiction(self) -> str | None:
        """What is wrong with the label, as one sentence, or None."""
        low, high = SOUND[self.label]
        if not self.conclusive or low < self.slope < high:
            return None
        what, remedy = self._mistake()
        verb = "contradict" if self.label == "forces" else "contradicts"
        return (
            f"the {self.label} {verb} the energies: over {self.pairs} neighbouring frames the energy changes by "
            f"{self.slope:.3g} times the work of the {self.label}; {what}, so {remedy}"
        )

    def _mistake(self) -> tuple[str, str]:
        """Return the mistake whose slope is nearest, if it is near at all."""
        known = dict(MISTAKES[self.label])
        if self.label == "forces":
            known[1 / self.atoms] = PER_ATOM
        near = {m: abs(np.log(self.slope / m)) for m in known if self.slope * m > 0}
        nearest = min(near, key=near.__getitem__, default=None)
        return UNKNOWN[self.label] if nearest is None or near[nearest] > np.log(NEAR) else known[nearest]

    def __str__(self) -> str:
        if self.contradiction:
            return self.contradiction
        if self.conclusive:
            verb = "agree" if self.label == "forces" else "agrees"
            return f"{verb} with the energies (slope {self.slope:.2f} over {self.pairs} neighbouring frames)"
        if self.pairs < FEWEST_PAIRS[self.label]:
            differ = "by small steps of the atoms alone" if self.label == "forces" else "by a small strain of the cell"
            return f"cannot be checked: too few neighbouring frames of one group differ {differ}"
        return f"cannot be checked: energy changes do not follow the work (correlation {self.correlation:.2f})"


def check_forces(frames: Sequence[Frame]) -> LabelCheck:
    """Regress dE on sum F . dr over neighbouring frames of one group and one cell.

    The trapezoidal rule on both sides makes the slope 1 to second order in the step. Frames belong to one group if they
    hold the same atoms in the same order; neighbours are those that follow each other in the file.
    """
    labelled = [f for f in frames if f.energy is not None and f.forces is not None]
    return _regressed("forces", labelled, _work_of_forces)


def check_stress(frames: Sequence[Frame]) -> LabelCheck:
    """Regress dE + sum F . (dr at fixed strain) on V stress : d strain over neighbouring frames of one group.

    For two frames with cells h1, h2 and fractional coordinates s1, s2: strain e = h^-1 (h2 - h1) symmetrised, and the
    trapezoidal rule as in :func:`check_forces`.
    """
    labelled = [
        f for f in frames if f.stress is not None and f.energy is not None and f.forces is not None and f.pbc.all()
    ]
    return _regressed("stress", labelled, _work_of_stress)


def refuse_wrong_labels(frames: Sequence[Frame]) -> None:
    """Raise a DataError if forces or stresses contradict the energies."""
    for check in (check_forces(frames), check_stress(frames)):
        if check.contradiction:
            source = next(f for f in frames if getattr(f, check.label) is not None).source
            raise DataError(f"{source.rpartition(', ')[0] or source}: {check.contradiction}")


def _regressed(label: Checked, frames: Sequence[Frame], work: Callable[[Frame, Frame], Work | None]) -> LabelCheck:
    groups: dict[bytes, list[Frame]] = defaultdict(list)
    for frame in frames:
        groups[frame.numbers.tobytes()].append(frame)
    found = [(w, len(a)) for g in groups.values() for a, b in pairwise(g) if (w := work(a, b)) is not None]
    atoms = float(np.mean([n for _, n in found])) if found else float("nan")
    if len(found) < FEWEST_PAIRS[label]:
        return LabelCheck(label, len(found), float("nan"), float("nan"), atoms)
    given, true = np.array([w for w, _ in found]).T
    scale = float(given @ given)
    if scale == 0.0 or not true.any():
        return LabelCheck(label, len(found), float("nan"), 0.0, atoms)
    correlation = float(given @ true / np.sqrt(scale * (true @ true)))
    return LabelCheck(label, len(found), float(given @ true) / scale, correlation, atoms)


def _work_of_forces(first: Frame, second: Frame) -> Work | None:
    """None if the cell or its periodicity differs, or atoms are too far apart or have not moved."""
    if not (np.array_equal(first.cell, second.cell) and np.array_equal(first.pbc, second.pbc)):
        return None
    steps = second.positions - first.positions
    steps = steps - (np.round(steps @ np.linalg.pinv(first.cell)) * first.pbc) @ first.cell
    if not SMALLEST_STEP < np.linalg.norm(steps, axis=1).max() < LARGEST_STEP:
        return None
    (e1, f1), (e2, f2) = _energy_and_forces(first), _energy_and_forces(second)
    n = len(first)
    return -0.5 * float(np.sum((f1 + f2) * steps)) / n, (e2 - e1) / n


def _work_of_stress(first: Frame, second: Frame) -> Work | None:
    """With the energy change that forces do not explain; None if the frames are too far apart."""
    mean_cell = 0.5 * (first.cell + second.cell)
    strain = np.linalg.solve(mean_cell, second.cell - first.cell)
    strain = 0.5 * (strain + strain.T)
    if not SMALLEST_STRAIN < np.abs(strain).max() < LARGEST_STRAIN:
        return None
    steps = np.linalg.solve(second.cell.T, second.positions.T).T - np.linalg.solve(first.cell.T, first.positions.T).T
    steps = (steps - np.round(steps)) @ mean_cell
    if np.linalg.norm(steps, axis=1).max() > LARGEST_STEP:
        return None
    (e1, f1), (e2, f2) = _energy_and_forces(first), _energy_and_forces(second)
    assert first.stress is not None
    assert second.stress is not None
    work = 0.5 * np.sum((first.volume * first.stress + second.volume * second.stress) * strain)
    rest = e2 - e1 + 0.5 * np.sum((f1 + f2) * steps)
    return float(work / len(first)), float(rest / len(first))


def _energy_and_forces(frame: Frame) -> tuple[float, Array]:
    assert frame.energy is not None
    assert frame.forces is not None
    return frame.energy, frame.forces
