"""Errors of a potential against labelled frames."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from keel.atoms.frame import Frame
from keel.potentials.accuracy import accuracy
from keel.potentials.base import Potential


@dataclass(frozen=True)
class LabelErrors:
    """Mean absolute (MAE) and root mean square (RMSE) errors; NaN where no frame carries the label.

    Energy in meV per atom, over frames; forces in meV/angstrom, over all components of all atoms; stress in
    meV/angstrom^3, over the six components of the frames that are periodic in three directions.
    """

    frames: int
    atoms: int
    energy_mae_mev_per_atom: float
    energy_rmse_mev_per_atom: float
    force_mae_mev_per_angstrom: float
    force_rmse_mev_per_angstrom: float
    stress_mae_mev_per_cubic_angstrom: float
    stress_rmse_mev_per_cubic_angstrom: float

    def to_dict(self) -> dict[str, float | None]:
        """Return the errors by name, None where no frame carries the label."""
        return {name: None if np.isnan(value) else value for name, value in asdict(self).items()}


def label_errors(potential: Potential, frames: Iterable[Frame], batch_atoms: int = 1000) -> LabelErrors:
    """Compare a potential with the labels of some frames, in the potential's own dtype and on its device.

    Parameters
    ----------
    potential
        Left as it is.
    frames
        Read once, evaluated in batches of about ``batch_atoms`` atoms.

    Raises
    ------
    DataError
        If the potential does not know an element.
    """
    errors = accuracy(potential, frames, max_atoms=batch_atoms).to_dict()
    known: dict[str, Any] = {field.name: errors[field.name] for field in fields(LabelErrors)}
    known |= {name: float("nan") for name, value in known.items() if value is None}
    return LabelErrors(**known)
