"""A batch of simulations on disk: one safetensors file with JSON metadata, written completely or not at all.

It contains the last few states of the surviving runs, and how the others ended; with the starts and the settings this
determines the rest to the last bit. It also records which part of the trajectory file belongs to it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from keel.atoms.frame import Frame
from keel.dynamics.changed_file import Changes
from keel.dynamics.results import Snapshot, Trajectory
from keel.dynamics.settings import Schedule
from keel.dynamics.state import TENSORS, State, snapshot
from keel.errors import DataError
from keel.files import replace_file
from keel.formats import Format

FORMAT = Format("simulation checkpoint")
"""Also covers the trajectory, whose file is complete only with its checkpoints, and ``settings.json``."""
DAMAGE = (SafetensorError, KeyError, ValueError, TypeError, OSError)
Arrays = dict[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Checkpoint:
    """A batch between two steps.

    Parameters
    ----------
    runs
        Numbers of the surviving runs, in the order of the batch; empty: the batch has finished.
    recent
        Their last states, oldest first.
    results
        The runs that have ended, by number.
    """

    runs: Sequence[int]
    recent: Sequence[State]
    results: Mapping[int, Trajectory]


def save_checkpoint(path: Path, checkpoint: Checkpoint, changes: Changes) -> None:
    """Write a checkpoint, with what the trajectory's file has to become; the caller handles OSError."""
    arrays: Arrays = {}
    if checkpoint.runs:
        for name in TENSORS:
            arrays[f"state.{name}"] = torch.stack([getattr(s, name) for s in checkpoint.recent]).cpu().numpy()
    for run, trajectory in checkpoint.results.items():
        arrays |= _arrays(f"run.{run}.recent", trajectory.recent)
        if trajectory.failed is not None:
            arrays |= _arrays(f"run.{run}.failed", [trajectory.failed])
    arrays["patches"] = np.frombuffer(b"".join(content for _, content in changes.patches), dtype=np.uint8)
    facts = {
        **FORMAT.stamp,
        "runs": list(checkpoint.runs),
        "steps": [s.step for s in checkpoint.recent] if checkpoint.runs else [],
        "results": {run: {"time": t.time, "cause": t.cause} for run, t in checkpoint.results.items()},
        "file": {"old_size": changes.old_size, "size": changes.size},
        "patches": [(offset, len(content)) for offset, content in changes.patches],
    }
    content = save({k: np.ascontiguousarray(v) for k, v in arrays.items()}, {"keel": json.dumps(facts)})
    replace_file(path, lambda temporary: temporary.write_bytes(content))


def load_checkpoint(
    path: Path, starts: Mapping[int, Frame], settings: Schedule, device: torch.device
) -> tuple[Checkpoint, Changes]:
    """Return a checkpoint, and what the trajectory's file has to be.

    Raises
    ------
    DataError
        If the file is damaged, or from a newer version of keel.
    """
    try:
        with safe_open(path, "numpy") as file:
            facts = json.loads(file.metadata()["keel"])
            arrays = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118  (not a dict)
    except DAMAGE as error:
        raise _damaged(path, error) from None
    facts = FORMAT.upgraded(facts, path)
    try:
        states = [
            State(step, **{name: torch.tensor(arrays[f"state.{name}"][k], device=device) for name in TENSORS})
            for k, step in enumerate(facts["steps"])
        ]
        results = {
            int(run): _trajectory(int(run), facts["results"][run], arrays, starts[int(run)], settings)
            for run in facts["results"]
        }
        changes = Changes(**facts["file"], tail=b"", patches=tuple(_patches(facts["patches"], arrays["patches"])))
    except DAMAGE as error:
        raise _damaged(path, error) from None
    return Checkpoint(facts["runs"], states, results), changes


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(f"{path}: the checkpoint is damaged ({error}); delete its folder to start again")


def _arrays(prefix: str, snapshots: Sequence[Snapshot]) -> Arrays:
    last = snapshots[-1].disagreement
    return {
        **({} if last is None else {f"{prefix}.disagreement": last}),
        f"{prefix}.step": np.array([s.step for s in snapshots]),
        f"{prefix}.positions": np.stack([s.frame.positions for s in snapshots]),
        f"{prefix}.velocities": np.stack([s.velocities for s in snapshots]),
        f"{prefix}.cell": np.stack([s.frame.cell for s in snapshots]),
        f"{prefix}.energy": np.array([s.frame.energy for s in snapshots], dtype=np.float64),
        f"{prefix}.forces": np.stack([s.frame.forces for s in snapshots if s.frame.forces is not None]),
    }


def _snapshots(prefix: str, arrays: Arrays, start: Frame, run: int, timestep_fs: float) -> tuple[Snapshot, ...]:
    steps = arrays[f"{prefix}.step"].tolist()
    names = ("positions", "velocities", "cell", "energy", "forces")
    columns = [arrays[f"{prefix}.{name}"] for name in names]
    columns[3] = columns[3].tolist()
    return tuple(
        snapshot(start, run, step, timestep_fs, **dict(zip(names, values, strict=True)))
        for step, *values in zip(steps, *columns, strict=True)
    )


def _trajectory(run: int, facts: Mapping[str, Any], arrays: Arrays, start: Frame, settings: Schedule) -> Trajectory:
    recent = _snapshots(f"run.{run}.recent", arrays, start, run, settings.timestep_fs)
    recent = (*recent[:-1], replace(recent[-1], disagreement=arrays.get(f"run.{run}.recent.disagreement")))
    failed = facts["cause"] is not None
    return Trajectory(
        run=run,
        snapshots=(),
        last=recent[-1],
        recent=recent,
        failed=_snapshots(f"run.{run}.failed", arrays, start, run, settings.timestep_fs)[0] if failed else None,
        time=facts["time"],
        cause=facts["cause"],
        timestep_fs=settings.timestep_fs,
        temperature=settings.temperature,
    )


def _patches(places: Sequence[tuple[int, int]], content: np.ndarray[Any, Any]) -> list[tuple[int, bytes]]:
    ends = np.cumsum([length for _, length in places]).tolist()
    return [(offset, content[end - length : end].tobytes()) for (offset, length), end in zip(places, ends, strict=True)]
