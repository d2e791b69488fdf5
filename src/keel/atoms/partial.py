"""Sets in which some frames lack some labels: what there is to learn from, and what is said of the rest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from keel.atoms.frame import Frame
from keel.atoms.isolated import set_apart
from keel.atoms.labelling.names import LABELS
from keel.atoms.remarks import frames_of, notes
from keel.atoms.selecting import have, select
from keel.atoms.soundness.frames import unnamed
from keel.errors import DataError


@dataclass(frozen=True, eq=False)
class LabelledSet:
    """Frames sorted by what they are good for.

    Parameters
    ----------
    frames
        As they were read.
    """

    frames: Sequence[Frame]

    @cached_property
    def _apart(self) -> tuple[Sequence[Frame], Sequence[Frame]]:
        return set_apart(self.frames)

    @cached_property
    def labelled(self) -> Sequence[Frame]:
        """Frames with neighbours and at least one label: the material to learn from, to be divided."""
        bonded = self._apart[0]
        known = np.any([have(bonded, label) for label in LABELS], axis=0)
        return bonded if known.all() else select(bonded, np.flatnonzero(known))

    @cached_property
    def atoms(self) -> Sequence[Frame]:
        """Atoms alone that have an energy, which is the zero of energy of their element."""
        return select(self._apart[1], np.flatnonzero(have(self._apart[1], "energy")))

    def require(self, labels: Iterable[str]) -> None:
        """Refuse a set in which no frame has one of the labels.

        Raises
        ------
        DataError
            Says which label, and what to do.
        """
        for label in labels:
            if not have(self.labelled, label).any():
                first, name = self.frames[0].source if self.frames else "no frame", "an energy" * (label == "energy")
                raise DataError(
                    f"{first.rpartition(', ')[0] or first}: none of the {frames_of(len(self.frames))} for training has "
                    f"{name or label}; {unnamed(label)}"
                )

    @cached_property
    def notes(self) -> list[str]:
        """Which frames and labels are not used, or used otherwise, in sentences with counts."""
        found = notes(self.frames)
        lacking = {label: int((~have(self.labelled, label)).sum()) for label in ("energy", "forces")}
        found += [
            f"{frames_of(number)} without {label}: their other labels are used"
            for label, number in lacking.items()
            if number
        ]
        alone = len(self._apart[1])
        if alone:
            found.append(
                f"{alone:,} isolated atom{'s' * (alone != 1)}: used for the zero of energy, not for training or tests"
            )
        bare = len(self.frames) - len(self.labelled) - alone
        return [*found, f"{frames_of(bare)} without any label: left out"] if bare else found
