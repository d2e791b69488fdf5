"""Errors against reference labels: energy per atom, forces and stress."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from keel.atoms.conversion import Structures, each_frame
from keel.atoms.elements import symbol
from keel.atoms.frame import VOIGT, Array, Frame
from keel.atoms.graph import AtomGraph
from keel.atoms.isolated import is_isolated
from keel.errors import DataError
from keel.potentials.base import Potential, Prediction
from keel.potentials.batches import predictions
from keel.potentials.convert import converted
from keel.showing import Facts, Shown, number_of, table
from keel.wording import number

MILLI = 1000.0


def over_zero(errors: Array, labels: Array) -> float:
    """Return MAE or RMSE over that of predicting zero, the larger of the two; 1 where all labels are zero."""
    sizes = ((np.abs(v).mean(), np.sqrt(np.square(v).mean())) for v in (errors, labels))
    return max(float(error / label) if label else 1.0 for error, label in zip(*sizes, strict=True))


@dataclass(frozen=True, eq=False, repr=False)
class Parity(Shown):
    """Predictions beside reference labels, in the units of the labels.

    Parameters
    ----------
    reference, prediction
        Labels and predictions, of the same shape.
    """

    reference: Array
    prediction: Array

    def facts(self) -> Facts:
        """See :class:`~keel.showing.Shown`."""
        return {"values": f"{self.reference.size:,}", "MAE": number(self.mae), "RMSE": number(self.rmse)}

    @property
    def mae(self) -> float:
        """Mean |prediction - reference|; 0 is perfect, NaN without labels."""
        return float(np.abs(self.prediction - self.reference).mean()) if self.reference.size else float("nan")

    @property
    def mean_absolute_label(self) -> float:
        """Mean |reference|, the MAE of predicting zero; NaN without labels."""
        return float(np.abs(self.reference).mean()) if self.reference.size else float("nan")

    @property
    def rmse(self) -> float:
        """Root of the mean (prediction - reference)^2; never below the MAE; NaN without labels."""
        error = np.square(self.prediction - self.reference)
        return float(np.sqrt(error.mean())) if self.reference.size else float("nan")


@dataclass(frozen=True, eq=False, repr=False)
class Accuracy(Shown):
    """How far a potential is from the labels of some frames; atoms alone are shown beside the rest.

    Parameters
    ----------
    energy
        Energy per atom in eV, one value for each labelled frame.
    forces
        Components in eV/angstrom, shape (M, 3) for the M atoms of the labelled frames.
    stress
        The six independent components (xx, yy, zz, yz, xz, xy) in eV/angstrom^3, shape (K, 6).
    numbers
        Element of each atom of ``forces``, shape (M,).
    n_frames, n_atoms
        Numbers for all frames, labelled or not, except atoms alone.
    alone
        Energy in eV of each atom alone (:mod:`keel.atoms.isolated`), one value for each that is labelled.
    """

    energy: Parity
    forces: Parity
    stress: Parity
    numbers: NDArray[np.int64]
    n_frames: int
    n_atoms: int
    alone: Parity

    def facts(self) -> Facts:
        """See :class:`~keel.showing.Shown`."""
        errors = {
            name: f"MAE {number(MILLI * p.mae, 3)}, RMSE {number(MILLI * p.rmse, 3)} {unit}"
            for name, (p, unit) in self._quantities().items()
            if p.reference.size
        }
        return {**errors, "of": f"{number_of(self.n_frames, 'frame')}, {number_of(self.n_atoms, 'atom')}"}

    def _repr_html_(self) -> str:
        """Show the errors, those of forces also by element, beside the mean label."""
        by_element = {f"forces on {z}": (p, "meV/Å") for z, p in self.by_element().items()}
        rows = [
            (name, number(MILLI * p.mae), number(MILLI * p.rmse), number(MILLI * p.mean_absolute_label), unit)
            for name, (p, unit) in {**self._quantities(), **by_element}.items()
            if p.reference.size
        ]
        title = f"Errors of {number_of(self.n_frames, 'frame')}, {number_of(self.n_atoms, 'atom')}"
        return table(rows, title=title, header=("", "MAE", "RMSE", "mean label", "unit"))

    def _quantities(self) -> dict[str, tuple[Parity, str]]:
        """Return the compared quantities by name, with the unit of their errors."""
        return {
            "energy": (self.energy, "meV/atom"),
            "forces": (self.forces, "meV/Å"),
            "stress": (self.stress, "meV/Å³"),
            "isolated atoms": (self.alone, "meV"),
        }

    def by_element(self) -> dict[str, Parity]:
        """Return the forces of each element, by its symbol."""
        return {
            symbol(int(z)): Parity(self.forces.reference[self.numbers == z], self.forces.prediction[self.numbers == z])
            for z in np.unique(self.numbers)
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the errors in meV under the names of a summary; None where there is no label."""
        errors: dict[str, Any] = {"frames": self.n_frames, "atoms": self.n_atoms}
        quantities = (
            ("energy", "mev_per_atom", self.energy),
            ("force", "mev_per_angstrom", self.forces),
            ("stress", "mev_per_cubic_angstrom", self.stress),
        )
        for name, unit, parity in quantities:
            for kind, value in (("mae", parity.mae), ("rmse", parity.rmse)):
                errors[f"{name}_{kind}_{unit}"] = MILLI * value if parity.reference.size else None
        errors["force_mae_mev_per_angstrom_by_element"] = {z: MILLI * p.mae for z, p in self.by_element().items()}
        if self.alone.reference.size:
            errors |= {
                "isolated_atoms": int(self.alone.reference.size),
                "isolated_atom_mae_mev": MILLI * self.alone.mae,
            }
        return errors


def accuracy(
    potential: Potential,
    frames: Structures,
    *,
    max_atoms: int | None = None,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> Accuracy:
    """Compare a potential with the labels of some frames; frames are streamed, absent labels do not count.

    Parameters
    ----------
    potential
        Left as it is.
    frames
        Read once.
    max_atoms
        Atoms in one batch (a larger frame makes a batch of its own); None: 1,024 on a CPU, 50,000 on a GPU.
    dtype, device
        Of the potential; None keeps its own.

    Raises
    ------
    DataError
        If there is no frame, no label at all, or an element that the potential does not know.
    """
    return together([compared(converted(potential, dtype, device), each_frame(frames), max_atoms)])


def compared(potential: Potential, frames: Iterable[Frame], max_atoms: int | None = None) -> tuple[Accuracy, int]:
    """Return the errors of :func:`accuracy` and the number of frames, even without labels."""
    parts: dict[str, list[tuple[Array, Array]]] = {"energy": [], "forces": [], "stress": []}
    numbers, n_frames, n_atoms = [np.empty(0, dtype=np.int64)], 0, 0
    atoms: list[Frame] = []
    for graph, prediction in predictions(_with_company(frames, atoms), potential, max_atoms):
        assert graph.labels is not None
        for name, pair in _parity(graph, prediction).items():
            parts[name].append(pair)
        numbers.append(graph.numbers[graph.labels.forces_mask].cpu().numpy())
        n_frames, n_atoms = n_frames + graph.n_structures, n_atoms + graph.n_atoms
    alone = [_parity(*found)["energy"] for found in predictions(atoms, potential, max_atoms)]
    result = {name: _joined(pairs) for name, pairs in (*parts.items(), ("alone", alone))}
    found = Accuracy(**result, numbers=np.concatenate(numbers), n_frames=n_frames, n_atoms=n_atoms)
    return found, n_frames + len(atoms)


def together(parts: Sequence[tuple[Accuracy, int]]) -> Accuracy:
    """Return the errors of all frames from those of their parts (:func:`compared`).

    Raises
    ------
    DataError
        If there is no frame, or no label at all.
    """
    if not (count := sum(number for _, number in parts)):
        raise DataError("there is no frame to evaluate")
    members = [part for part, _ in parts]
    result = {}
    for name in ("energy", "forces", "stress", "alone"):
        # A quantity that a part lacks may have another shape.
        pairs = [p for part in members if (p := getattr(part, name)).reference.size]
        result[name] = _joined([(p.reference, p.prediction) for p in pairs])
    if not any(p.reference.size for p in result.values()):
        raise DataError(f"none of the {count} frames has an energy, forces or a stress to compare with")
    return Accuracy(
        **result,
        numbers=np.concatenate([part.numbers for part in members]),
        n_frames=sum(part.n_frames for part in members),
        n_atoms=sum(part.n_atoms for part in members),
    )


def _with_company(frames: Iterable[Frame], atoms: list[Frame]) -> Iterator[Frame]:
    """Yield the frames except atoms alone, which go into a list."""
    for frame in frames:
        if is_isolated(frame):
            atoms.append(frame)
        else:
            yield frame


def _parity(graph: AtomGraph, prediction: Prediction) -> dict[str, tuple[Array, Array]]:
    labels = graph.labels
    assert labels is not None
    assert prediction.forces is not None
    assert prediction.stress is not None
    per_atom = 1.0 / graph.atoms_per_structure.double()
    with_stress = labels.stress_mask & graph.periodic

    def pair(reference: torch.Tensor, predicted: torch.Tensor) -> tuple[Array, Array]:
        return reference.double().cpu().numpy(), predicted.double().cpu().numpy()

    energy, energy_mask = (labels.energy * per_atom), labels.energy_mask
    return {
        "energy": pair(energy[energy_mask], (prediction.energy * per_atom)[energy_mask]),
        "forces": pair(labels.forces[labels.forces_mask], prediction.forces[labels.forces_mask]),
        "stress": pair(*(stress[with_stress][:, VOIGT[0], VOIGT[1]] for stress in (labels.stress, prediction.stress))),
    }


def _joined(pairs: list[tuple[Array, Array]]) -> Parity:
    if not pairs:
        return Parity(np.empty(0), np.empty(0))
    return Parity(np.concatenate([p[0] for p in pairs]), np.concatenate([p[1] for p in pairs]))
