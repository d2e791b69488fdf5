"""Results of the tasks of a run that make something: data, teacher, trained networks, temperatures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np

from keel.atoms.frame import Array
from keel.records import read_columns, read_object, write_json
from keel.results.curves import read_curves, redo, write_curves
from keel.wording import counted

TEACHERS = ("teacher.json", "teacher.safetensors")
"""The potential in the folder of a teacher: in closed form, or with weights."""


PURPOSES = {"train": "train", "validation": "choose the weights", "test": "test"}
"""Uses of the parts of the data, as in "80 frames train"."""


@dataclass(frozen=True, eq=False)
class DataDescription:
    """The data: their census, and how they were divided."""

    census: Mapping[str, Any]
    split: Mapping[str, Any]

    def write(self, folder: Path) -> None:
        """Leave it in a folder."""
        write_json(folder / "census.json", self.census)
        write_json(folder / "split.json", self.split)

    @property
    def parts(self) -> list[str]:
        """Use, size and groups of each part of the data, in few words."""
        return parts_in_words(self.split)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read what :meth:`write` left; DataError if a file is absent or damaged, also below."""
        census = read_object(folder / "census.json", ("frames",), redo(folder))
        return cls(census, read_object(folder / "split.json", ("train", "test"), redo(folder)))


def parts_in_words(split: Mapping[str, Any]) -> list[str]:
    """Return e.g. ``80 frames train: edi (40 frames) and sod (40)`` for each part of a split that has frames."""
    groups: dict[str, list[tuple[str, int]]] = {}
    for group in split.get("groups") or ():
        groups.setdefault(group["part"], []).append((group["name"], group["frames"]))
    phrases = []
    for part, verb in PURPOSES.items():
        names = groups.get(part, [])
        which = names[0][0] if len(names) == 1 else counted(names, "frame")
        if number := split.get(part):
            phrases.append(f"{number:,} frame{'s' * (number != 1)} {verb}{f': {which}' if which else ''}")
    return phrases


@dataclass(frozen=True, eq=False)
class Decomposition:
    """The teacher's dimer of one pair: energies in eV and the dimensionless density against r in angstrom.

    Parts are NaN where a teacher has none.
    """

    r: Array
    total: Array
    morse: Array
    embedding: Array
    density: Array
    core: Array

    @property
    def name(self) -> str:
        """Name of the teacher in figures: only an EAM has parts."""
        return "EAM" if np.isfinite(self.morse).any() else "teacher"


@dataclass(frozen=True, eq=False)
class Teacher:
    """The teacher: its errors with what the fit reported, and its dimer curves by pair."""

    fit: Mapping[str, Any]
    decomposition: Mapping[str, Decomposition]

    def write(self, folder: Path) -> None:
        """Leave it in a folder; the potential itself is saved separately."""
        write_json(folder / "fit.json", self.fit)
        write_curves(folder / "decomposition.csv", Decomposition, self.decomposition)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read what :meth:`write` left."""
        fit = read_object(folder / "fit.json", ("train",), redo(folder))
        return cls(fit, read_curves(folder / "decomposition.csv", Decomposition))

    @staticmethod
    def potential(folder: Path) -> Path:
        """Return the file of the potential."""
        closed_form, weights = (folder / name for name in TEACHERS)
        return closed_form if closed_form.is_file() else weights


@dataclass(frozen=True)
class TrainingCost:
    """Cost of a network, including that of the network from which its training continued.

    Optimiser steps on teacher labels first and afterwards, gradients taken, seconds, and the largest memory of the
    process during the training in MB.
    """

    pretrain_steps: int
    train_steps: int
    gradient_evaluations: int
    seconds: float
    peak_memory_mb: float

    def after(self, earlier: TrainingCost) -> TrainingCost:
        """Return the cost of both."""
        return TrainingCost(
            self.pretrain_steps + earlier.pretrain_steps,
            self.train_steps + earlier.train_steps,
            self.gradient_evaluations + earlier.gradient_evaluations,
            self.seconds + earlier.seconds,
            self.peak_memory_mb,
        )

    def write(self, folder: Path) -> None:
        """Leave it in a folder, beside the potential and the metrics of each step."""
        write_json(folder / "training.json", asdict(self))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read what :meth:`write` left."""
        names = [f.name for f in fields(cls)]
        content = read_object(folder / "training.json", names, redo(folder))
        return cls(**{name: content[name] for name in names})


@dataclass(frozen=True, eq=False)
class TrainingCurve:
    """One value for each optimiser step; NaN where there was no validation. ``step`` runs through all stages."""

    step: Array
    total: Array
    validation: Array
    validation_force_mae: Array
    pretrain_steps: int

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the metrics that :func:`keel.train` leaves."""
        validation = ("validation", "validation_force_mae")
        (stages,), columns = read_columns(
            folder / "metrics.csv", ["stage"], ["step", "total"], redo(folder), optional=validation
        )
        pretraining = np.array([stage == "pretrain" for stage in stages], dtype=bool)
        pretrain_steps = int(columns["step"][pretraining].max(initial=0))
        # Each stage counts its own steps from 1.
        step = np.where(pretraining, columns["step"], columns["step"] + pretrain_steps)
        return cls(**{**columns, "step": step}, pretrain_steps=pretrain_steps)


@dataclass(frozen=True)
class RungChoice:
    """At which temperature, and for how long, the strategies of a network are compared, and why.

    Parameters
    ----------
    temperature_k, length_fs
        Of the comparison, in K and fs.
    reached
        Whether vanilla failed in at least half of its runs there; False: at none of the ladder, and it is the last.
    failing_share
        Share of vanilla's runs that failed, by temperature.
    median_fs
        Vanilla's median time to failure there in fs; None if it is beyond the runs.
    ladder_k
        Temperatures to be tried, in K.
    """

    temperature_k: float
    length_fs: float
    reached: bool
    failing_share: Mapping[str, float]
    median_fs: float | None
    ladder_k: Sequence[float]

    def write(self, folder: Path) -> None:
        """Leave it in a folder."""
        write_json(folder / "rung.json", asdict(self))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read what :meth:`write` left."""
        names = [f.name for f in fields(cls)]
        content = read_object(folder / "rung.json", names, redo(folder))
        return cls(**{name: content[name] for name in names})
