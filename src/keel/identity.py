"""What a result depends on, as a hash: of files, structures, potentials and settings.

Results, checkpoints and comparisons are found by these hashes, also by later releases: what they cover and in which
order never changes. Everything here takes arrays, configurations and settings; no file of a network is opened.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel
from torch import Tensor

from keel.errors import KeelError


class Structure(Protocol):
    """Atoms with their labels, as :class:`keel.Frame` has them."""

    @property
    def numbers(self) -> NDArray[Any]:
        """Shape (N,)."""

    @property
    def positions(self) -> NDArray[Any]:
        """Shape (N, 3)."""

    @property
    def cell(self) -> NDArray[Any]:
        """Shape (3, 3)."""

    @property
    def pbc(self) -> NDArray[Any]:
        """Shape (3,)."""

    @property
    def energy(self) -> float | None:
        """In eV."""

    @property
    def forces(self) -> NDArray[Any] | None:
        """Shape (N, 3)."""

    @property
    def stress(self) -> NDArray[Any] | None:
        """Shape (3, 3)."""

    @property
    def forces_mask(self) -> NDArray[Any] | None:
        """Which atoms have forces that count, shape (N,), where not all do."""

    @property
    def fixed(self) -> NDArray[Any] | None:
        """Components held fixed, shape (N, 3)."""

    @property
    def masses(self) -> NDArray[Any] | None:
        """Shape (N,), where they are not those of the elements."""


class Stated(Protocol):
    """What a potential must offer to be hashed; every :class:`keel.Potential` does."""

    def config(self) -> dict[str, Any]:
        """Return the arguments that rebuild it; raises a KeelError if nothing does."""

    def state_dict(self) -> Mapping[str, Tensor]:
        """Return its weights by their names."""


class Digest:
    """A hash of a sequence of parts."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, *parts: bytes | str | NDArray[Any] | None, absent: bytes = b"") -> None:
        """Take parts: text as UTF-8, arrays as their bytes, and ``absent`` for None."""
        for part in parts:
            taken = absent if part is None else part.encode() if isinstance(part, str) else part
            self._hash.update(taken if isinstance(taken, bytes) else np.ascontiguousarray(taken).tobytes())

    def hex(self, letters: int = 64) -> str:
        """Return the first digits of the hash."""
        return self._hash.hexdigest()[:letters]


def of_text(text: str) -> str:
    """Return the hash of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def of_file(path: Path) -> str:
    """Return the hash of a file's content, or of the names and contents of all files in a folder.

    It is empty where there is neither (the reader reports that).
    """
    if path.is_file():
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    if not path.is_dir():
        return ""
    files = sorted(p for p in path.rglob("*") if p.is_file())
    return of_text(json.dumps([[p.relative_to(path).as_posix(), of_file(p)] for p in files]))


def of_named_files(arguments: Mapping[str, Any]) -> dict[str, str]:
    """Return the hashes of files that arguments name, such as a calculator's models; not of those that it writes."""
    files = {name: Path(value) for name, value in arguments.items() if isinstance(value, str | Path)}
    return {n: of_file(f) for n, f in sorted(files.items()) if f.suffix not in WRITTEN and f.is_file()}


def of_geometry(frame: Structure) -> str:
    """Return twelve characters that identify a structure, whatever its file and labels."""
    digest = Digest()
    digest.add(frame.numbers.astype(np.int64), frame.positions.astype(float), frame.cell.astype(float), frame.pbc)
    return digest.hex(12)


def of_split(parts: Iterable[Sequence[Structure]]) -> str:
    """Return the hash of the frames of each part of a division of data, their labels and their order."""
    digest = Digest()
    for part in parts:
        digest.add(b"part")
        for f in () if _stays(digest, part) else part:
            digest.add(f.numbers, f.positions, f.cell, repr(f.energy), f.forces, f.stress)
            if not f.pbc.all():
                digest.add(f.pbc)
            _add_given(digest, f, "forces_mask", "fixed", "masses")
    return digest.hex()


def _stays(digest: Digest, frames: object) -> bool:
    """Add what identifies frames of a store, and return whether they are from a store."""
    known = getattr(frames, "fingerprint", None)
    digest.add(known)
    return known is not None


def of_starts(starts: Iterable[tuple[Structure, NDArray[Any] | None, int]]) -> str:
    """Return the hash of what simulations start from: structures, velocities (None: to be drawn) and steps done."""
    digest = Digest()
    for frame, velocities, step in starts:
        digest.add(frame.numbers, frame.positions, frame.cell, frame.pbc, velocities, absent=b"-")
        digest.add(f"{len(frame.numbers)} {step}")
        _add_given(digest, frame, "fixed", "masses")
    return digest.hex()


def stated(potential: Stated) -> tuple[str, dict[str, Any] | None, Mapping[str, Tensor]]:
    """Return class, configuration and weights of a potential.

    One around a calculator has no configuration. Where it offers ``origin()``, that takes its place: what distinguishes
    it from others as far as is known, JSON-compatible.
    """
    try:
        config = potential.config()
    except KeelError:
        origin = getattr(potential, "origin", None)
        return type(potential).__name__, origin and origin(), potential.state_dict()
    return type(potential).__name__, config, potential.state_dict()


def of_potential(name: str, config: Mapping[str, Any] | None, weights: Mapping[str, Tensor]) -> str:
    """Return the hash of a potential: its class, its configuration (None where it has none) and its weights."""
    digest = Digest()
    text = "" if config is None else json.dumps(config, sort_keys=True, default=str)
    digest.add(f"{name} {text}")
    _add_weights(digest, weights)
    return digest.hex()


def of_training(
    network: tuple[str, Mapping[str, Any]],
    potentials: Iterable[tuple[str, Mapping[str, Any] | None, Mapping[str, Tensor]]],
    frames: Iterable[Iterable[Structure]],
    settings: Iterable[BaseModel | int | None],
) -> str:
    """Return the hash of all that determines the course of training.

    Parameters
    ----------
    network
        Class and configuration; the weights of a new network follow from the seed.
    potentials
        Class, configuration and weights of every potential involved.
    frames
        Those of each kind, with their labels, in order; for a store, its ``fingerprint``.
    settings
        Of the training, in order; numbers such as the seed among them.
    """
    digest = Digest()
    digest.add(json.dumps(list(network)))
    for name, config, weights in potentials:
        digest.add(json.dumps([name, config], default=str))
        _add_weights(digest, weights)
    for kind in frames:
        for f in () if _stays(digest, kind) else kind:
            digest.add(f.numbers, f.positions, f.cell, f.pbc, repr(f.energy))
            digest.add(f.forces, f.stress, absent=b"-")
            _add_given(digest, f, "forces_mask")
    for part in settings:
        digest.add(part.model_dump_json(exclude=later(part)) if isinstance(part, BaseModel) else repr(part))
    return digest.hex()


def of_settings(settings: BaseModel, *, exclude: Iterable[str] = ()) -> dict[str, Any]:
    """Return the settings that a result depends on: all but those that :func:`later` names.

    Parameters
    ----------
    settings
        Any settings.
    exclude
        Names of those that the result does not depend on.
    """
    return settings.model_dump(exclude={**later(settings), **dict.fromkeys(exclude, True)})


def later(settings: BaseModel) -> dict[str, Any]:
    """Return, as pydantic's ``exclude``, the settings that came after the first release and change nothing.

    Such a setting has the value of what was done before there was a choice: its default, or what :data:`BEFORE` has
    where the default has changed since. So new settings and new defaults leave earlier results valid for those who ask
    for what was done then. Those of :data:`WITHOUT_EFFECT` change nothing, whatever their value.
    """
    first, before = FIRST.get(type(settings).__name__), as_before(settings)
    none = WITHOUT_EFFECT.get(type(settings).__name__, ())
    found: dict[str, Any] = {}
    for name, value in settings:
        if first is not None and name not in first and name in before and (value == before[name] or name in none):
            found[name] = True
        elif isinstance(value, BaseModel) and (nested := later(value)):
            found[name] = nested
    return found


def as_before(settings: BaseModel) -> dict[str, Any]:
    """Return what each setting of a class was, by name, where it was not given, before any default was changed."""
    fields = type(settings).model_fields.items()
    defaults = {n: field.get_default(call_default_factory=True) for n, field in fields if not field.is_required()}
    return {**defaults, **BEFORE.get(type(settings).__name__, {})}


def _add_given(digest: Digest, frame: Structure, *names: str) -> None:
    """Add arrays that few structures have, by name; where there is none, nothing."""
    for name in names:
        values = getattr(frame, name)
        if values is not None:
            digest.add(name, values)


def _add_weights(digest: Digest, weights: Mapping[str, Tensor]) -> None:
    for name, tensor in weights.items():
        digest.add(name, tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())


WRITTEN = frozenset({".txt", ".log", ".out", ".traj"})
"""Names of files that calculators write end so."""
FIRST: Mapping[str, frozenset[str]] = {
    name: frozenset(fields.split())
    for name, fields in {
        "AssessmentSettings": "probes starts length_fs timestep_fs temperatures must_hold pressures compression "
        "temperature pressure by precision device seed",
        "EvaluationSettings": "rdf_temperature rdf_length_fs rdf_runs rdf_reference dimers",
        "LossSettings": "kind huber_delta energy forces stress force_falloff",
        "NetworkSettings": "architecture start name training",
        "PerturbationSettings": "rounds displacement pair_fraction pair_range near reach strain force_cap energy_cap",
        "StabilitySettings": "temperatures runs length_fs rung_fs longest_fs timestep_fs friction_per_fs seed "
        "max_atoms",
        "Strategy": "pretrain_share replay_share teacher_energies base sam_rho after budget",
        "TeacherSettings": "file calculator arguments cutoff zbl",
        "TrainingSettings": "steps batch_size learning_rate pretrain_learning_rate final_learning_rate schedule "
        "warmup_steps weight_decay clip_norm ema_decay validate_every checkpoint_every loss device devices compile "
        "precision",
    }.items()
}
"""The settings of the first release, which count whatever their value, by class."""
WITHOUT_EFFECT: Mapping[str, frozenset[str]] = {"TrainingSettings": frozenset({"loggers"})}
"""Later settings that do not affect results, by class."""
BEFORE: Mapping[str, Mapping[str, Any]] = {
    "PerturbationSettings": {"compressed": 0.0},
    "TeacherSettings": {"contacts": False},
}
"""What a default was at first, by class and setting, of those that have changed: ``{"A": {"size": 1}}``.

A changed default is added here; nothing else needs to be done.
"""
