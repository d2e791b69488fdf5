"""Is a teacher worth learning from? Its errors against those of predicting no force, no stress and one energy per
element.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keel.atoms.frame import Array, Frame
from keel.atoms.isolated import is_isolated
from keel.atoms.neighbours import labelled_atoms
from keel.atoms.selecting import in_memory
from keel.fitting.offsets import compositions, unexplained
from keel.potentials.accuracy import Accuracy, Parity, accuracy, over_zero
from keel.potentials.base import Potential
from keel.potentials.classical.dimer import is_eam
from keel.potentials.classical.three_body import three_body_term

NONE = 0.95
"""A label is not described if its mean or root mean square error is at least this share of that without a potential."""
BADLY = 0.4
"""If the forces of an EAM are wrong by this share of their size and bonds are covalent, a three-body term helps
much."""
WILD = 10.0
"""A frame is wild if its force error is this many times the usual one (median over frames) and as large as its
forces."""
NAMED = 3
NOTHING = {"energies": "one energy for each element", "forces": "no force", "stresses": "no stress"}
REMEDY = (
    "leave out the teacher's energies and stress (strategy pretrain-forces), teach with another potential (teacher: "
    "file or calculator), or put only a nuclear core under the network (zbl-delta)"
)
LABELS = "check units and signs first (keel census)"
THREE_BODY = "fit a three-body term too (keel fit --three-body; teacher: {three_body: true})"


def doubts(teacher: Potential, frames: Sequence[Frame], which: str, errors: Accuracy | None = None) -> list[str]:
    """Return sentences on what a teacher does not describe of labelled frames; none if it is worth learning from.

    Forces and stresses are compared with zero, energies per atom with the best single energy of each element. Frames
    whose forces are wrong by more than ten times the usual, and by more than their size, are named. For an EAM without
    angles whose forces are wrong by more than 0.4 of their size the remedy is a three-body term.

    Parameters
    ----------
    teacher
        Any potential that knows the elements.
    frames
        Labelled frames, ideally some that the teacher was not fitted to.
    which
        Their name in sentences: ``"the validation frames"``.
    errors
        Of the teacher on these frames, as :func:`accuracy` finds them, if they are known.
    """
    frames = frames if errors else in_memory(frames, "the teacher is judged by")
    errors = errors or accuracy(teacher, frames)
    frames = [f for f in frames if not is_isolated(f)]
    shares = {name: _share(*parity) for name, parity in _compared(frames, errors).items()}
    poor = [
        f"{name} ({share:.2g} times the error of {NOTHING[name]})" for name, share in shares.items() if share >= NONE
    ]
    angles = is_eam(teacher) and three_body_term(teacher) is None
    sentences = []
    if poor:
        remedy = f"{THREE_BODY}, {REMEDY}" if angles else REMEDY
        sentences.append(f"the teacher does not describe {' and '.join(poor)} of {which}; {LABELS}; then {remedy}")
    elif angles and shares["forces"] > BADLY:
        sentences.append(
            f"the EAM gets the forces of {which} wrong by {shares['forces']:.2g} of their size; {LABELS}; "
            f"if bonds are covalent, {THREE_BODY}"
        )
    return [*sentences, *_wild(frames, errors, which)]


def _compared(frames: Sequence[Frame], errors: Accuracy) -> dict[str, tuple[Array, Array]]:
    """Return error and label of energies (eV/atom, beyond one energy per element), forces and stresses."""
    with_energy = [f for f in frames if f.energy is not None]
    error, label = _known(errors.energy)
    if len(error):
        known = [f for f, e in zip(with_energy, errors.energy.prediction, strict=True) if np.isfinite(e)]
        fractions = compositions(known, sorted({int(z) for f in known for z in f.numbers}))
        error, label = unexplained(fractions, error), unexplained(fractions, label)
    return {"energies": (error, label), "forces": _known(errors.forces), "stresses": _known(errors.stress)}


def _known(parity: Parity) -> tuple[Array, Array]:
    """Return error and label where there is a prediction: a calculator may have neither energies nor stress."""
    there = np.isfinite(parity.prediction)
    return (parity.prediction - parity.reference)[there], parity.reference[there]


def _share(error: Array, label: Array) -> float:
    """Return MAE or RMSE over that of predicting zero, the larger of the two; 0 without labels or where all are 0."""
    return over_zero(error, label) if np.any(label) else 0.0


def _wild(frames: Sequence[Frame], errors: Accuracy, which: str) -> list[str]:
    """Name the frames whose forces are wrong beyond measure."""
    labelled = [f for f in frames if f.forces is not None]
    if not labelled:
        return []
    ends = np.cumsum([np.count_nonzero(labelled_atoms(f)) for f in labelled])[:-1]
    label, prediction = (np.split(part, ends) for part in (errors.forces.reference, errors.forces.prediction))
    sizes = np.array([_rms(part) for part in label])
    wrong = np.array([_rms(p - f) for p, f in zip(prediction, label, strict=True)])
    wild = np.flatnonzero((wrong > WILD * np.median(wrong)) & (wrong > sizes))
    if not len(wild):
        return []
    worst = wild[np.argsort(-wrong[wild])][:NAMED]
    named = "; ".join(f"{labelled[k].source} ({wrong[k]:.2g} eV/angstrom)" for k in worst)
    return [
        f"the teacher fails on {len(wild)} of {which}, whose forces have more than ten times the usual error of "
        f"{np.median(wrong):.2g} eV/angstrom: {named}; check whether they belong in the data"
    ]


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if values.size else 0.0
