"""Molecular dynamics of many structures at once, with any potential."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from keel.atoms.frame import Frame
from keel.atoms.neighbours import as_frame
from keel.dynamics.criteria import Criterion, default_criteria
from keel.dynamics.job import Job
from keel.dynamics.results import Snapshot, Trajectory
from keel.dynamics.settings import Ensemble, MDSettings
from keel.dynamics.spread import Ranks
from keel.errors import ConfigError, DataError
from keel.potentials.base import Potential
from keel.process import give_back_freed_memory, keep_freed_memory

if TYPE_CHECKING:
    from ase import Atoms


def simulate(
    potential: Potential,
    starts: Sequence[Frame | Atoms | Snapshot],
    *,
    temperature: float,
    steps: int,
    timestep: float | None = None,
    friction: float = 0.01,
    seed: int = 0,
    ensemble: Ensemble = "nvt",
    pressure: float | tuple[float, float] = 0.0,
    pressure_time: float = 500.0,
    compressibility: float = 0.01,
    criteria: Sequence[Criterion] | None = None,
    record_every: int = 0,
    recent: int = 5,
    runs: Sequence[int] | None = None,
    skin: float = 1.0,
    max_atoms: int | None = None,
    compile: bool | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
    devices: int | None = 1,
    nodes: int = 1,
    callback: Callable[[int, int], None] | None = None,
    out: str | Path | None = None,
    checkpoint_every: int = 1000,
) -> list[Trajectory]:
    """Simulate each structure until it fails or ``steps`` are done; the structures do not see each other.

    NVT is Langevin dynamics with the BAOAB splitting, NVE velocity Verlet (:mod:`keel.dynamics.integrators`), NPT
    Langevin dynamics whose volume follows the pressure.
    Velocities are drawn at the temperature with zero total momentum and not rescaled. Velocities and noise are pure
    functions of (seed, run, step): a run is the same alone, in a batch, or continued from a :class:`Snapshot`.
    Positions and velocities are float64 and never wrapped, whatever the precision of the potential.

    Parameters
    ----------
    potential
        Left as it is; a copy is made where dtype or device differ.
    starts
        Structures, or snapshots of earlier runs to continue (with their velocities and their step).
    temperature
        In K.
    steps
        Length of each run; a snapshot at step k has ``steps - k`` left.
    timestep
        In fs; None: 1, or 0.5 if any structure holds hydrogen.
    friction
        gamma in 1/fs (NVT only).
    seed
        Fixes velocities and noise, together with ``runs``.
    ensemble
        ``"nvt"``, ``"nve"``, or ``"npt"``: isotropic, by stochastic cell rescaling (:mod:`keel.dynamics.barostat`).
    pressure
        With npt, in GPa; two numbers: on a straight line from the first, when the run begins, to the second.
    pressure_time, compressibility
        With npt: relaxation time of the volume in fs, for a compressibility in 1/GPa that need only be about right.
    criteria
        When a run has failed; None: :func:`~keel.dynamics.criteria.default_criteria`, an empty list: never.
    record_every
        Keep a snapshot each so many steps, the start included; 0 for none.
    recent
        Number of last states to keep.
    runs
        The number of each run; None: 0, 1, 2, ...
    skin
        Of the Verlet lists, in angstrom.
    max_atoms
        Atoms that move in one batch (a larger structure alone); None: 1,024 on a CPU, where larger batches gain
        little for their memory, 50,000 on a GPU. In another batch a run is the same but for rounding.
    compile
        Run networks compiled (:func:`~keel.potentials.compiling.compiled.compiling`); None: where that saves time.
    dtype, device
        Of the potential; None keeps its device.
    devices, nodes
        Devices of each node, and nodes, that share the runs; each has a process, and each process returns all results.
        If torchrun or srun has started this process, their numbers count where these are not both 1; None asks for
        them, if there are any. See :func:`keel.launch.launched`. Runs are dealt so that all have about as much to do;
        with ``max_atoms`` whole batches are, and the numbers are those of one process to the last bit (on a CPU).
    callback
        Called with (structure-steps done, in all) after every step; by each process about its own share.
    out
        Write what is recorded, and the last state of each run, to this file instead of keeping it in memory:
        ``.extxyz``, ``.h5`` or ``.traj`` (:mod:`keel.dynamics.trajectory_files`). Beside it stands a folder of
        checkpoints: the same call goes on where a killed one stopped and ends with the same numbers and files, on a CPU
        to the last bit; one that has finished returns at once. N processes write N parts, ``hot.0-of-4.extxyz``, ...
        for ``hot.extxyz``, each with its checkpoints; a call with another number of processes goes on with the parts
        that there are, one after the other where they are more, some processes idle where they are fewer.
    checkpoint_every
        Steps between two checkpoints; until then what is recorded waits in memory.

    Raises
    ------
    ConfigError
        If a setting is impossible, or ``out`` belongs to a simulation with other arguments.
    DataError
        If there is no structure, or one is empty or cannot have a neighbour list, or holds an unknown element;
        if ``out`` cannot be written (the last checkpoint stays).
    KeelError
        If another process has died.

    Notes
    -----
    A run whose structure cannot be evaluated any more, because it has no neighbour list or the potential raises an
    error, ends with the cause ``"evaluation error"`` and a warning that quotes it; the others go on.
    """
    keep_freed_memory()
    states = [start if isinstance(start, Snapshot) else as_frame(start) for start in starts]
    frames = [s.frame if isinstance(s, Snapshot) else s for s in states]
    numbers = list(range(len(states))) if runs is None else list(runs)
    _check(frames, numbers)
    settings = MDSettings(
        temperature=temperature,
        steps=steps,
        timestep=default_timestep(frames) if timestep is None else timestep,
        friction=friction,
        seed=seed,
        ensemble=ensemble,
        record_every=record_every,
        recent=recent,
        skin=skin,
        pressure=pressure,
        pressure_time=pressure_time,
        compressibility=compressibility,
    )
    if ensemble == "npt":
        _check_periodic(frames)
    ranks = Ranks.started(device or potential.device.type, devices, nodes)
    place = device if ranks.size == 1 else ranks.device
    job = Job(
        potential=potential,
        states=states,
        runs=numbers,
        settings=settings,
        criteria=default_criteria() if criteria is None else tuple(criteria),
        max_atoms=max_atoms,
        compile=compile,
        dtype=dtype,
        device=place,
        out=None if out is None else Path(out),
        checkpoint_every=checkpoint_every,
    )
    results = ranks.gathered(lambda: job.done(ranks, callback))
    give_back_freed_memory()
    by_run = {trajectory.run: trajectory for trajectory in results}
    return [by_run[run] for run in numbers]


def default_timestep(frames: Sequence[Frame]) -> float:
    """Return 0.5 fs if any structure holds hydrogen, else 1 fs."""
    return 0.5 if any((f.numbers == 1).any() for f in frames) else 1.0


def _check(frames: Sequence[Frame], runs: Sequence[int]) -> None:
    if not frames:
        raise DataError("there is no structure to simulate")
    if len(runs) != len(frames) or len(set(runs)) != len(runs):
        raise ConfigError(f"{len(frames)} structures need as many different run numbers, not {list(runs)}")
    for frame in frames:
        if len(frame) == 0:
            raise DataError(f"{frame.source}: a structure without atoms cannot be simulated")


def _check_periodic(frames: Sequence[Frame]) -> None:
    for frame in frames:
        if not frame.pbc.all():
            raise DataError(f"{frame.source}: a pressure needs a structure that is periodic in three directions")
