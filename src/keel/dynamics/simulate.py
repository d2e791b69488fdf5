"""Molecular dynamics of many structures at once, with any potential."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

from keel.atoms.conversion import Structures, as_frame, as_frames
from keel.atoms.frame import Frame
from keel.atoms.mobility import degrees_of_freedom, no_velocities
from keel.disagreement import check_beside
from keel.dynamics.criteria import Criterion, default_criteria
from keel.dynamics.job import Job
from keel.dynamics.results import Snapshot, Trajectory
from keel.dynamics.settings import HERE, ComputeSettings, MDSettings, Schedule
from keel.dynamics.spread import Ranks
from keel.errors import ConfigError, DataError
from keel.potentials.base import Potential
from keel.potentials.batches import known_by
from keel.process import give_back_freed_memory, keep_freed_memory

CHECKPOINT_EVERY = 1000
"""Steps."""


def simulate(
    potential: Potential,
    starts: Structures | Snapshot | Sequence[Snapshot],
    settings: MDSettings,
    *,
    criteria: Sequence[Criterion] | None = None,
    runs: Sequence[int] | None = None,
    compute: ComputeSettings = HERE,
    out: str | Path | None = None,
    checkpoint_every: int = CHECKPOINT_EVERY,
    callback: Callable[[int, int], None] | None = None,
    beside: Sequence[Potential] = (),
) -> list[Trajectory]:
    """Simulate each structure until it fails or reaches the length; the structures do not interact.

    Velocities are drawn at the temperature with zero total momentum and not rescaled, unless the settings ask for those
    of the file. Fixed components of a structure do not move, whatever the forces, and do not count as degrees of
    freedom; masses from the file replace those of the elements. Velocities and noise are pure functions of (seed, run,
    step): a run is the same alone, in a batch, or continued from a :class:`Snapshot`. Positions and velocities are
    float64 and never wrapped, whatever the precision of the potential.

    Parameters
    ----------
    potential
        Left unchanged; a copy is made if precision or device differ.
    starts
        Frames, ``ase.Atoms`` or files (:func:`keel.atoms.as_frames`), or snapshots of earlier runs to continue (with
        their velocities and their step).
    settings
        Temperature, length, ensemble etc.; a snapshot after k steps has k steps fewer left.
    criteria
        When a run has failed; None: :func:`~keel.dynamics.criteria.default_criteria`, an empty list: never.
    runs
        The number of each run, which with the seed fixes velocities and noise; None: 0, 1, 2, ...
    compute
        Precision, and the devices that share the runs.
    out
        Write what is recorded, and the last state of each run, to this file instead of keeping it in memory:
        ``.extxyz``, ``.h5`` or ``.traj`` (:mod:`keel.dynamics.trajectory_files`). Beside it is a folder of checkpoints:
        after an interruption, the same call continues where it stopped and ends with the same numbers and files, on a
        CPU to the last bit; if it had finished, it returns at once. N processes write N parts, ``hot.0-of-4.extxyz``,
        ... for ``hot.extxyz``, each with its checkpoints; a call with another number of processes continues the
        existing parts, one after the other if there are more, with idle processes if there are fewer.
    checkpoint_every
        Steps between two checkpoints; until then recorded states are kept in memory.
    callback
        Called with (structure-steps done, in all) after every step; by each process for its own share.
    beside
        Other potentials whose forces are compared in all recorded states and in the last state of each run
        (:attr:`Snapshot.disagreement`). With ``stop_above`` in the settings they are compared every ``compare_every``
        steps, and a run ends with the cause ``"left the data"`` where they disagree more about the force on one atom;
        its last state is the one about which they disagree.

    Raises
    ------
    ConfigError
        If a setting is impossible, ``stop_above`` is given without a potential beside, or ``out`` belongs to a
        simulation with other arguments.
    DataError
        If there is no structure, or one is empty or cannot have a neighbour list, or contains an element that the
        potential or one beside does not know; if ``out`` cannot be written (the last checkpoint is kept).
    KeelError
        If another process has died.

    Notes
    -----
    A run whose structure can no longer be evaluated, because it has no neighbour list or the potential raises an
    error, ends with the cause ``"evaluation error"`` and a warning that quotes it; the others continue.
    """
    keep_freed_memory()
    states = _states(starts)
    frames = [s.frame if isinstance(s, Snapshot) else s for s in states]
    numbers = list(range(len(states))) if runs is None else list(runs)
    _check(states, numbers, settings)
    for frame in frames:
        known_by(potential, frame)
    check_beside(beside, frames)
    if settings.stop_above is not None and not beside:
        raise ConfigError(
            "stop_above compares forces with those of other potentials, and there is none; name one beside"
        )
    ranks = Ranks.started(compute.device or potential.device.type, compute.devices, compute.nodes)
    job = Job(
        potential=potential,
        states=states,
        runs=numbers,
        settings=Schedule.of(settings, frames),
        criteria=default_criteria() if criteria is None else tuple(criteria),
        compute=compute if ranks.size == 1 else compute.replace(device=str(ranks.device)),
        out=None if out is None else Path(out),
        checkpoint_every=checkpoint_every,
        beside=tuple(beside),
    )
    results = ranks.gathered(lambda: job.run(ranks, callback))
    give_back_freed_memory()
    by_run = {trajectory.run: trajectory for trajectory in results}
    return [by_run[run] for run in numbers]


def _states(starts: Structures | Snapshot | Sequence[Snapshot]) -> list[Frame | Snapshot]:
    if isinstance(starts, Snapshot):
        return [starts]
    if isinstance(starts, list | tuple) and any(isinstance(start, Snapshot) for start in starts):
        return [s if isinstance(s, Snapshot) else as_frame(s, labels=False) for s in starts]
    return list(as_frames(cast("Structures", starts), labels=False))


def _check(starts: Sequence[Frame | Snapshot], runs: Sequence[int], settings: MDSettings) -> None:
    if not starts:
        raise DataError("there is no structure to simulate")
    if len(runs) != len(starts) or len(set(runs)) != len(runs):
        raise ConfigError(f"{len(starts)} structures need as many different run numbers, not {list(runs)}")
    for start in starts:
        frame = start.frame if isinstance(start, Snapshot) else start
        if len(frame) == 0:
            raise DataError(f"{frame.source}: a structure without atoms cannot be simulated")
        if settings.ensemble == "npt" and not frame.pbc.all():
            raise DataError(f"{frame.source}: a pressure needs a structure that is periodic in three directions")
        if settings.ensemble == "npt" and frame.fixed is not None:
            raise DataError(
                f"{frame.source}: it has fixed atoms, which a changing cell would move; simulate it at constant "
                "volume, or remove its constraints"
            )
        if not degrees_of_freedom(frame):
            raise DataError(f"{frame.source}: all its atoms are fixed, so nothing can move")
        if settings.velocities == "file" and not isinstance(start, Snapshot) and frame.velocities is None:
            raise DataError(f"{frame.source}: {no_velocities(frame)}; draw them (--velocities draw)")
