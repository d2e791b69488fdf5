"""The content of a run folder: ``results.json``, which names the folders of the tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from keel.errors import DataError
from keel.formats import Format
from keel.records import checked, read_json, read_object, write_json
from keel.results.curves import REMEDY

RUN = Format("run folder", steps=(dict, dict, dict, dict))
"""Covers every file of a run folder; the number is in ``results.json``.

2: ``census.json`` has more on the checks, and what is not used; readers treat absent parts as empty. 3: trials and
the teacher may have a squeeze, which is also in the summary, and errors by contact. 4: ``split.json`` has the groups of
each part, and frames that are in two of them; ``potentials/`` has the trained ones and the teacher under plain names.
5: ``census.json`` has what an EAM that is fitted to some of the frames says about the labels of the others.
"""
TASKS = ("train", "accuracy", "stability", "rdf", "dimers", "squeeze", "contacts")
"""Parts of a trial, in this order."""


def name_of(network: str, strategy: str, seed: int) -> str:
    """Return the name of a trial: ``CGCNN-pretrain-seed0``."""
    return f"{network}-{strategy}-seed{seed}"


class OfTrial:
    """Key of one network trained with one strategy from one seed."""

    network: str
    strategy: str
    seed: int

    @property
    def key(self) -> tuple[str, str, int]:
        """What identifies a trial."""
        return self.network, self.strategy, self.seed

    @property
    def name(self) -> str:
        """Name of the trial, also of its folders and of its potential."""
        return name_of(*self.key)


@dataclass(frozen=True)
class TrialFolders(OfTrial):
    """Folders of the tasks of a trial, relative to the run folder; None for a task that was not done."""

    network: str
    strategy: str
    seed: int
    train: str | None = None
    accuracy: str | None = None
    stability: str | None = None
    rdf: str | None = None
    dimers: str | None = None
    squeeze: str | None = None
    contacts: str | None = None
    probes: Mapping[str, str] = field(default_factory=dict)
    """By group."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, without probes if there are none, as in files written before probes existed."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) or f.name != "probes"}


@dataclass(frozen=True)
class RunIndex:
    """The content of ``results.json``: folders of tasks, from the run folder."""

    name: str
    description: str
    data: str | None
    teacher: str | None
    teacher_squeeze: str | None
    teacher_contacts: str | None
    rungs: Mapping[str, str]
    cells: Sequence[TrialFolders]

    def write(self, root: Path) -> None:
        """Leave it in a run folder."""
        content = {f.name: getattr(self, f.name) for f in fields(self)}
        content["cells"] = [cell.to_dict() for cell in self.cells]
        write_json(root / "results.json", {**RUN.stamp, **content})

    @classmethod
    def read(cls, root: Path) -> RunIndex:
        """Read what :meth:`write` left; DataError if it is absent or damaged."""
        path = root / "results.json"
        if not path.is_file():
            raise DataError(f"{root} is not a finished run: it has no results.json; finish it with `keel run`")
        content = RUN.upgraded(read_object(path, ("name", "cells"), REMEDY), path)
        if not isinstance(content["cells"], list):
            raise DataError(f"{path}: cells must be a list; {REMEDY}")
        known, where = [f.name for f in fields(TrialFolders)], f"{path}, a cell"
        entries = [checked(entry, ("network", "strategy", "seed"), where, REMEDY) for entry in content["cells"]]
        return cls(
            name=str(content["name"]),
            description=str(content.get("description") or ""),
            data=content.get("data") or None,
            teacher=content.get("teacher") or None,
            teacher_squeeze=content.get("teacher_squeeze") or None,
            teacher_contacts=content.get("teacher_contacts") or None,
            rungs={name: folder for name, folder in (content.get("rungs") or {}).items() if folder},
            cells=[TrialFolders(**{k: v for k, v in entry.items() if k in known}) for entry in entries],
        )


def refuse_newer(root: Path) -> None:
    """Raise a DataError if a newer keel has written this run folder, which is not to be written over."""
    path = root / "results.json"
    try:
        content = read_json(path, REMEDY)
    except DataError:  # absent, or damaged: it will be written
        return
    RUN.refuse_newer(content, path)
