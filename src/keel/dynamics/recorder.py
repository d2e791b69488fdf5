"""Simulations that survive the death of their process: a trajectory, and beside it a folder of checkpoints.

A commit brings both to a common step, so that a kill at any moment leaves the old pair or the new one:

1. New content is written behind the end of the trajectory's file, where no reader looks that knows the old size.
2. The checkpoint is replaced by one with the new size and the changes before the old end (if there is an index).
3. Those changes are made; a process that finds the checkpoint makes them again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

import torch

from keel.atoms.frame import Array, Frame
from keel.dynamics.changed_file import ChangedFile, Changes
from keel.dynamics.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from keel.dynamics.criteria import Criterion
from keel.dynamics.results import Snapshot
from keel.dynamics.settings import ComputeSettings, Schedule, Velocities
from keel.dynamics.trajectory_files import Recorded, appender
from keel.errors import ConfigError, DataError
from keel.identity import of_potential, of_starts, stated
from keel.potentials.base import Potential
from keel.records import plain, read_json, write_json

LARGEST_WAIT = 64 << 20
"""Largest number of bytes of recorded states kept in memory; more are written before the next checkpoint is due."""

_FIELDS = {
    "temperature": "temperature",
    "steps": "steps",
    "timestep": "timestep_fs",
    "friction": "friction_per_fs",
    "seed": "seed",
    "ensemble": "ensemble",
    "record_every": "record_every",
    "recent": "recent",
    "skin": "skin",
    "pressure": "pressure",
    "pressure_time": "pressure_time_fs",
    "compressibility": "compressibility",
}
"""Settings of a simulation by their names in its checkpoints."""


class Recorder:
    """Writes the runs of one call of :func:`keel.dynamics.simulate`, and finds them again.

    Parameters
    ----------
    path
        The trajectory; the checkpoints go to ``<path>.checkpoint/``.
    every
        Steps between two checkpoints.
    identity
        What the result depends on, JSON-compatible, see :func:`identity`.

    Raises
    ------
    ConfigError
        If the checkpoints belong to other settings.
    DataError
        If the file exists without checkpoints, has another suffix than a trajectory's, or cannot be written.
    """

    def __init__(self, path: str | Path, every: int, identity: Mapping[str, Any]) -> None:
        if every < 1:
            raise ConfigError("checkpoint_every must be at least 1")
        self.path, self.every = Path(path), every
        self.folder = self.path.with_name(self.path.name + ".checkpoint")
        self._append = appender(self.path)
        self._waiting: list[Recorded] = []
        self._bytes, self._size, self._index = 0, 0, 0
        with self._writing("nothing was simulated"):
            self._claim(dict(identity))

    def begin(
        self, index: int, starts: Mapping[int, Frame], settings: Schedule, device: torch.device
    ) -> Checkpoint | None:
        """Begin a batch of runs: return how far it has come, or None if it has not begun.

        Batches must begin in the order of their indices.
        """
        self._index = index
        if not self._file(index).exists():
            return None
        checkpoint, changes = load_checkpoint(self._file(index), starts, settings, device)
        # Only the last checkpoint describes the file: later batches have changed it.
        if not self._file(index + 1).exists():
            self._restore(changes)
        self._size = changes.size
        return checkpoint

    def add(self, run: int, snapshot: Snapshot) -> None:
        """Take a state that is to be written with the next checkpoint."""
        self._waiting.append((run, snapshot))
        self._bytes += 72 * len(snapshot.frame)

    def due(self, step: int) -> bool:
        """Return whether a checkpoint is due after this many steps."""
        return step % self.every == 0 or self._bytes > LARGEST_WAIT

    def commit(self, checkpoint: Checkpoint) -> None:
        """Write the waiting states, and the checkpoint that they belong to.

        Raises
        ------
        DataError
            If that cannot be written; the file is then as it was at the last checkpoint.
        """
        try:
            with self._writing("the same call continues from the last checkpoint"):
                changes = self._changes()
                changes.write_tail(self.path)
                save_checkpoint(self._file(self._index), checkpoint, changes)
        except DataError:
            self._undo()
            raise
        with self._writing("the same call repairs it"):
            changes.finish(self.path)
        self._size, self._waiting, self._bytes = changes.size, [], 0

    def _undo(self) -> None:
        with suppress(OSError):
            if self._size:
                Changes(self._size, self._size, b"").finish(self.path)
            else:
                self.path.unlink(missing_ok=True)

    def _changes(self) -> Changes:
        if not self._waiting:
            return Changes(self._size, self._size, b"")
        file = ChangedFile(self.path, self._size)
        self._append(file, self._waiting)
        return file.changes()

    def _claim(self, identity: dict[str, Any]) -> None:
        """Make the folder, or make sure that it belongs to the same simulation."""
        path, inputs = self.folder / "settings.json", plain(identity)
        if path.is_file():
            _refuse_others(self.folder, read_json(path, f"delete {self.folder} and {self.path} to start again"), inputs)
            for left_over in self.folder.glob(".writing-*"):
                left_over.unlink()
        elif self.path.exists():
            raise DataError(f"{self.path}: it exists but has no checkpoints to continue from; choose another name")
        else:
            write_json(path, inputs)

    def _restore(self, changes: Changes) -> None:
        found = self.path.stat().st_size if self.path.is_file() else 0
        if found < changes.size or not self.path.is_file():
            raise DataError(
                f"{self.path}: it has {found} bytes, but its checkpoints count on {changes.size}; "
                f"delete {self.folder} and it to start again"
            )
        with self._writing("make it writable to continue"):
            changes.finish(self.path)

    def _file(self, index: int) -> Path:
        return self.folder / f"batch-{index:05d}.safetensors"

    @contextmanager
    def _writing(self, consequence: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = error.strerror or error
            raise DataError(f"{self.path}: it cannot be written ({reason}); {consequence}") from None


def identity(
    potential: Potential,
    starts: Sequence[Frame | Snapshot],
    runs: Sequence[int],
    settings: Schedule,
    criteria: Sequence[Criterion],
    compute: ComputeSettings,
    *,
    max_atoms: int,
    device: str,
    beside: Sequence[Potential] = (),
) -> dict[str, Any]:
    """Return all that the result of a simulation depends on.

    Names and values are those of the first release, whose checkpoints can be continued. A later setting is added only
    where it differs from its default.

    Parameters
    ----------
    max_atoms, device
        As chosen where the settings leave them open.
    beside
        Potentials that are compared.
    """
    compared = {
        "beside": [of_potential(*stated(other)) for other in beside],
        "stop_above": settings.stop_above,
        "compare_every": settings.compare_every,
    }
    return {
        **{name: getattr(settings, field) for name, field in _FIELDS.items()},
        "potential": of_potential(*stated(potential)),
        **({} if settings.velocities == "draw" else {"velocities": settings.velocities}),
        "starts": of_starts(_state_of(start, settings.velocities) for start in starts),
        "runs": list(runs),
        "criteria": [repr(c) if is_dataclass(c) else type(c).__qualname__ for c in criteria],
        "max_atoms": str(max_atoms),
        "dtype": str(compute.dtype),
        "device": device,
        "compile": str(compute.compile),
        **(compared if beside else {}),
    }


def _state_of(start: Frame | Snapshot, velocities: Velocities) -> tuple[Frame, Array | None, int]:
    if isinstance(start, Snapshot):
        return start.frame, start.velocities, start.step
    return start, start.velocities if velocities == "file" else None, 0


def _refuse_others(folder: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    for name in sorted({*old, *new}):
        if old.get(name) == new.get(name):
            continue
        short = all(len(str(d.get(name))) < 40 for d in (old, new))
        detail = f"{name} {_short(old.get(name))} instead of {_short(new.get(name))}" if short else f"other {name}"
        raise ConfigError(
            f"{folder}: these checkpoints are of a simulation with {detail}; "
            "give the same arguments, choose another file, or delete the folder and its trajectory"
        )


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
