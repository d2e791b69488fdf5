"""Are forces and stress consistent with the energies? Signs and units are the most common mistakes in shared data.

From one frame to the next the energy changes by the work of the forces and of the stress. Regressed on that work it has
a slope of 1, with a scatter that the length of the steps explains. A different slope shows which unit or sign is wrong;
more scatter shows that energies and forces are from different calculations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np

from keel.atoms.frame import Array, Frame
from keel.atoms.soundness.readings import likely_forces, likely_stress
from keel.atoms.soundness.steps import Step, neighbours, step_beside_strain, step_of_forces, step_of_stress

Checked = Literal["forces", "stress"]

FEWEST_PAIRS: Mapping[Checked, int] = {"forces": 10, "stress": 10}
LEAST_CORRELATION: Mapping[Checked, float] = {"forces": 0.9, "stress": 0.8}
SOUND: Mapping[Checked, tuple[float, float]] = {"forces": (0.4, 1.5), "stress": (0.5, 2.0)}
"""Slopes outside contradict the energies: a unit or a sign is wrong. Inside, the scatter decides."""
AGREES: Mapping[Checked, tuple[float, float]] = {"forces": (0.8, 1.25), "stress": SOUND["stress"]}
MOST_ASTRAY: Mapping[Checked, float] = {"forces": 0.25, "stress": 0.5}
"""Share of pairs that may be outliers. Bases that change with the cell, and magnetic moments, disturb many stresses."""

PAIRS_BESIDE = 500
"""Largest number of pairs of strained cells used to check the forces; they take three times as long as others."""
PRECISE = 0.1
"""Error of a slope that is conclusive even if the correlation is poor."""

ASTRAY, ASTRAY_SHARE = 5.0, 0.1
"""A pair is an outlier if work and change differ by more than 5 times what the step explains, and by more than a tenth
of the root mean square of the work."""


@dataclass(frozen=True)
class LabelCheck:
    """Regression of the energy changes on the work of a label; for forces each pair is weighted by 1/tolerance^2.

    Parameters
    ----------
    label
        Which.
    pairs
        Number of neighbouring frames that were compared.
    slope
        1 if the label is consistent with the energies; NaN if there was nothing to compare.
    correlation
        Of the two; low where other things (noise, basis set changing with the cell) dominate.
    atoms, volume
        Means over the frames that were compared, volume in angstrom^3; NaN where there are none.
    error
        Half width of the 95 % interval of the slope, whatever the scatter of single pairs (HC3; MacKinnon and White,
        J. Econometrics 29, 305 (1985)), with Student's t for few pairs.
    scatter
        Root mean square of change minus work, over that of the work.
    astray
        Number of pairs between which the energy does not change by the work, however long the step.
    where
        The first of these.
    read_in
        Units in which the labels were read, see :class:`keel.Frame`.
    """

    label: Checked
    pairs: int
    slope: float
    correlation: float
    atoms: float
    volume: float = float("nan")
    error: float = float("nan")
    scatter: float = float("nan")
    astray: int = 0
    where: str = ""
    read_in: Mapping[str, str] = field(default_factory=dict)

    @property
    def conclusive(self) -> bool:
        """Whether enough pairs agree."""
        return (
            self.pairs >= FEWEST_PAIRS[self.label]
            and abs(self.correlation) > LEAST_CORRELATION[self.label]
            and self.error < 0.5 * abs(self.slope)
        )

    @property
    def contradiction(self) -> str | None:
        """What is wrong with the label, as one sentence that names the likely unit or sign, or None."""
        if not self.conclusive or self._within(SOUND[self.label]):
            return None
        forces = self.label == "forces"
        likely = (
            likely_forces(self.slope, self.atoms, self.read_in)
            if forces
            else likely_stress(self.slope, self.volume, self.read_in)
        )
        return (
            f"the {self.label} {self._verb('contradict')} the energies: over {self.pairs} neighbouring frames the "
            f"energy changes by {self.slope:.3g} times the work of the {self.label}; {likely}"
        )

    def _within(self, bounds: tuple[float, float]) -> bool:
        return bounds[0] < self.slope + self.error and self.slope - self.error < bounds[1]

    @property
    def warning(self) -> str | None:
        """One sentence if too many energy changes differ from the work although no unit explains it, or None."""
        if self.contradiction or self.pairs < FEWEST_PAIRS[self.label]:
            return None
        precise = self.conclusive or (self.label == "forces" and self.error < PRECISE)
        off = precise and not self._within(AGREES[self.label])
        if off or self.astray > MOST_ASTRAY[self.label] * self.pairs:
            return (
                f"the energies are inconsistent with the {self.label}: over {self.pairs} neighbouring frames their "
                f"changes differ from the work by more than the steps explain ({self._figures()}); energies or "
                f"{self.label} are wrong (electrons not converged, smearing, another functional), or the frames come "
                "from different settings"
            )
        # One frame of wrong forces leads two pairs astray; a single pair is a jump of the electrons, or one of the zero
        # of the energy, so large that the others decide nothing.
        if self.label == "stress" or self.astray < (2 if self.conclusive else 1) or not self.where:
            return None
        return (
            f"between {self.astray} of {self.pairs} neighbouring frames the energy does not change by the work of the "
            f"forces, first {self.where}; check the labels there"
        )

    def _figures(self) -> str:
        percent = 100.0 * self.scatter
        return f"slope {self.slope:.2f} ± {self.error:.2f}, scatter {percent:.{0 if percent >= 10 else 1}f} %"

    def _verb(self, verb: str) -> str:
        return verb if self.label == "forces" else f"{verb}s"

    def __str__(self) -> str:
        if verdict := self.contradiction or self.warning:
            return verdict
        if self.conclusive:
            figures = f"{self._figures()}, {self.pairs} neighbouring frames"
            return f"{self._verb('agree')} with the energies ({figures}), whatever the units of both"
        if self.pairs < FEWEST_PAIRS[self.label]:
            differ = "by small steps of the atoms alone" if self.label == "forces" else "by a small strain of the cell"
            return f"cannot be checked: too few neighbouring frames of one group differ {differ}"
        return f"cannot be checked: neighbouring frames are too far apart (correlation {self.correlation:.2f})"

    def to_dict(self) -> dict[str, Any]:
        """Return everything JSON-compatible: what is not known is None."""
        numbers = {k: v for k, v in asdict(self).items() if k not in ("label", "where", "read_in")}
        known = {k: v if np.isfinite(v) else None for k, v in numbers.items()}
        return {**known, "where": self.where or None, "verdict": str(self)}


def check_forces(frames: Sequence[Frame]) -> LabelCheck:
    """Regress dE on sum F . dr over neighbouring frames of one group and one cell.

    The trapezoidal rule on both sides makes the slope 1 to second order in the step. Frames belong to one group if they
    have the same atoms in the same order; neighbours are consecutive in the file. If the cell always changes, the work
    of the stress is subtracted from the change of energy.
    """
    labelled = [f for f in frames if f.energy is not None and f.forces is not None]
    check = _regressed("forces", neighbours(labelled), step_of_forces)
    if check.pairs >= FEWEST_PAIRS["forces"]:
        return check
    pairs = neighbours(_with_stress(labelled))
    beside = _regressed("forces", pairs[:: max(1, len(pairs) // PAIRS_BESIDE)], step_beside_strain)
    # Bases change with the cell and magnetic moments flip in relaxations: single pairs are not worth naming there.
    return replace(beside, where="") if beside.pairs >= FEWEST_PAIRS["forces"] else check


def check_stress(frames: Sequence[Frame]) -> LabelCheck:
    """Regress dE + sum F . (dr at fixed strain) on V stress : d strain over neighbouring frames of one group.

    For two frames with cells h1, h2 and fractional coordinates s1, s2: strain e = h^-1 (h2 - h1) symmetrised, and the
    trapezoidal rule as in :func:`check_forces`.
    """
    labelled = [f for f in frames if f.energy is not None and f.forces is not None]
    return _regressed("stress", neighbours(_with_stress(labelled)), step_of_stress)


def _with_stress(frames: Sequence[Frame]) -> list[Frame]:
    return [f for f in frames if f.stress is not None and f.pbc.all()]


def _regressed(
    label: Checked, pairs: Sequence[tuple[Frame, Frame]], step: Callable[[Frame, Frame], Step | None]
) -> LabelCheck:
    steps = [found for pair in pairs if (found := step(*pair)) is not None]
    atoms = float(np.mean([len(s.first) for s in steps])) if steps else float("nan")
    if len(steps) < FEWEST_PAIRS[label]:
        return LabelCheck(label, len(steps), float("nan"), float("nan"), atoms)
    work, change, tolerance = np.array([s[2:] for s in steps]).T
    astray = _astray(work, change, tolerance)
    # What disturbs stresses (a changing basis, magnetic moments) is not known step by step: all steps count equally.
    weight = 1.0 / tolerance if label == "forces" else np.ones(len(steps))
    given, true = weight * work, weight * change
    scale = float(given @ given)
    if scale == 0.0 or not true.any():
        return LabelCheck(label, len(steps), float("nan"), 0.0, atoms)
    slope = float(given @ true) / scale
    return LabelCheck(
        label,
        len(steps),
        slope,
        float(given @ true / np.sqrt(scale * (true @ true))),
        atoms,
        volume=float(np.mean([s.first.volume for s in steps])),
        error=_error(given, true, slope),
        scatter=float(np.sqrt(np.sum((true - given) ** 2) / scale)),
        astray=len(astray),
        where=f"between {steps[astray[0]].first.source} and {steps[astray[0]].second.source}" if len(astray) else "",
        read_in=steps[0].first.read_in,
    )


def _error(given: Array, true: Array, slope: float) -> float:
    """Half the 95 % interval; residuals of pairs with a large leverage count for more (HC3)."""
    from scipy.special import stdtrit  # loaded where it is needed: commands that only simulate start sooner

    scale = float(given @ given)
    residuals = (true - slope * given) / np.maximum(1.0 - given**2 / scale, 1e-6)
    width = stdtrit(max(1, len(given) - 1), 0.975)
    return float(width * np.sqrt(np.sum((given * residuals) ** 2)) / scale)


def _astray(work: Array, change: Array, tolerance: Array) -> list[int]:
    difference = np.abs(change - work)
    far = (difference > ASTRAY * tolerance) & (difference > ASTRAY_SHARE * np.sqrt(np.mean(work**2)))
    return np.flatnonzero(far).tolist()
