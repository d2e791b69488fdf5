"""Trajectories on disk: extended XYZ, HDF5, or ASE's ``.traj``.

Extended XYZ and ``.traj`` have the frames of all runs in the order of their steps, distinguished by ``run``, ``step``,
``time_fs`` and ``temperature_k``. HDF5 has a group for each run, ``run_0``, ``run_1``, ..., with ``numbers`` (N,),
``pbc`` (3,) and, for T frames, ``step``, ``time_fs``, ``temperature_k``, ``energy`` (T,), ``cell`` (T, 3, 3),
``positions``, ``velocities`` and ``forces`` (T, N, 3), in angstrom, fs and eV; ``masses`` (N,) in u and ``fixed``
(N, 3) where the start has them. Where potentials were compared, ``force_disagreement`` has a number for each atom in
eV/angstrom: a column, in ``.traj`` an array in ``info``, in HDF5 (T, N).
"""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from ase import units

from keel.atoms.formats.compression import opened
from keel.atoms.formats.extxyz import format_frame, raw_frames
from keel.atoms.formats.hdf5 import OF_A_RUN, RUN, h5py, runs_in
from keel.atoms.frame import Frame
from keel.atoms.labelling.labelled import frame_from_ase, frame_from_record
from keel.disagreement import COLUMN
from keel.dynamics.changed_file import ChangedFile
from keel.dynamics.parts import parts_to_read
from keel.dynamics.results import Snapshot
from keel.errors import DataError

Recorded = tuple[int, Snapshot]
"""The number of a run, and a state of it."""
Append = Callable[[ChangedFile, Sequence[Recorded]], None]

CHUNK = 1 << 16
"""Number of bytes that HDF5 reads and writes at once, if a frame is not larger."""
_COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    # Parts compressed one by one are one file for every reader; without a time in it, the same for the same frames.
    ".gz": partial(gzip.compress, mtime=0),
    ".xz": lzma.compress,
    ".bz2": bz2.compress,
}


def appender(path: Path) -> Append:
    """Return what appends recorded states to a file of this suffix.

    Raises
    ------
    DataError
        If the suffix is unknown.
    UnavailableError
        If HDF5 is asked for and h5py is not installed.
    """
    suffix = path.suffix.lower()
    plain = Path(path.stem).suffix.lower() if suffix in _COMPRESS else suffix
    if plain in (".extxyz", ".xyz"):
        return partial(_append_extxyz, compress=_COMPRESS.get(suffix, bytes))
    if suffix == ".traj":
        return _append_traj
    if suffix in (".h5", ".hdf5"):
        h5py(path)
        return _append_hdf5
    raise DataError(f"{path}: trajectories are written as .extxyz, .xyz (also .gz, .xz, .bz2), .h5 or .traj")


def read_trajectories(path: str | Path) -> dict[int, list[Snapshot]]:
    """Return the recorded states of each run, by its number, as :func:`keel.dynamics.simulate` wrote them to a file.

    Where several processes wrote its parts, ``hot.0-of-4.extxyz``, ..., the plain name ``hot.extxyz`` means all.

    Parameters
    ----------
    path
        The file of ``simulate(..., out=path)``: ``.extxyz``, ``.h5`` or ``.traj``.

    Raises
    ------
    DataError
        If the file cannot be read or is not a trajectory of keel, or if a part is missing.

    Examples
    --------
    >>> from keel.dynamics import read_trajectories
    >>> runs = read_trajectories("hot.extxyz")  # doctest: +SKIP
    >>> [s.time for s in runs[0]]  # doctest: +SKIP
    [0.0, 10.0, 20.0]
    """
    runs: dict[int, list[Snapshot]] = {}
    for part in parts_to_read(Path(path)):
        try:
            for run, snapshot in _reader(part)(part):
                runs.setdefault(run, []).append(snapshot)
        except KeyError as error:
            raise DataError(f"{part}: it is not a trajectory written by keel; {error} is missing") from None
    return dict(sorted(runs.items()))


def _reader(path: Path) -> Callable[[Path], Iterator[Recorded]]:
    return {".traj": _read_traj, ".h5": _read_hdf5, ".hdf5": _read_hdf5}.get(path.suffix.lower(), _read_extxyz)


def _append_extxyz(file: ChangedFile, states: Sequence[Recorded], compress: Callable[[bytes], bytes]) -> None:
    texts = [format_frame(s.to_write(run), _columns_of(s)) for run, s in states]
    file.seek(0, 2)
    file.write(compress("".join(texts).encode()))


def _columns_of(snapshot: Snapshot) -> dict[str, Any]:
    compared = {} if snapshot.disagreement is None else {COLUMN: snapshot.disagreement[:, None]}
    return {"velocities": snapshot.velocities, **compared}


def _read_extxyz(path: Path) -> Iterator[Recorded]:
    with opened(path) as stream:
        for raw in raw_frames(stream, str(path)):
            record = raw.record()
            velocities, compared = record.arrays.pop("velocities"), record.arrays.pop(COLUMN, None)
            yield _recorded(frame_from_record(record), velocities, compared)


def _append_traj(file: ChangedFile, states: Sequence[Recorded]) -> None:
    from ase.io.trajectory import TrajectoryWriter

    with TrajectoryWriter(file, mode="a" if file.seek(0, 2) else "w") as writer:
        # To append, ASE has read the first frame.
        file.seek(0, 2)
        for run, snapshot in states:
            atoms = snapshot.to_write(run).replace(velocities=snapshot.velocities).to_ase()
            if snapshot.disagreement is not None:
                # This format keeps no arrays of other names.
                atoms.info[COLUMN] = snapshot.disagreement
            writer.write(atoms)


def _read_traj(path: Path) -> Iterator[Recorded]:
    from ase.io import iread

    for atoms in iread(str(path), index=":"):
        compared = atoms.info.pop(COLUMN, None)
        yield _recorded(frame_from_ase(atoms, str(path)), atoms.get_velocities() * units.fs, compared)


def _recorded(frame: Frame, velocities: Any, compared: Any) -> Recorded:
    info = dict(frame.info)
    run, step, time = int(info.pop("run")), int(info.pop("step")), float(info.pop("time_fs"))
    info.pop("temperature_k", None)
    return run, Snapshot(frame.replace(info=info, velocities=None), velocities, step, time, compared)


def _append_hdf5(file: ChangedFile, states: Sequence[Recorded]) -> None:
    file.seek(0, 2)
    with h5py().File(file, "r+" if file.tell() else "w") as h5:
        h5.attrs["units"] = "eV, angstrom, fs, K"
        for run in dict.fromkeys(run for run, _ in states):
            snapshots = [s for r, s in states if r == run]
            group = h5.require_group(f"{RUN}{run}")
            for name in OF_A_RUN:
                if name not in group and getattr(snapshots[0].frame, name) is not None:
                    group[name] = getattr(snapshots[0].frame, name)
            for name, values in _columns(snapshots).items():
                _extend(group, name, values)


def _columns(snapshots: Sequence[Snapshot]) -> dict[str, np.ndarray[Any, Any]]:
    frames, compared = [s.frame for s in snapshots], [s.disagreement for s in snapshots if s.disagreement is not None]
    return {
        **({COLUMN: np.stack(compared)} if compared else {}),
        "step": np.array([s.step for s in snapshots]),
        "time_fs": np.array([s.time for s in snapshots]),
        "temperature_k": np.array([s.temperature for s in snapshots]),
        "energy": np.array([f.energy for f in frames], dtype=float),
        "cell": np.stack([f.cell for f in frames]),
        "positions": np.stack([f.positions for f in frames]),
        "velocities": np.stack([s.velocities for s in snapshots]),
        "forces": np.stack([np.full((len(f), 3), np.nan) if f.forces is None else f.forces for f in frames]),
    }


def _extend(group: Any, name: str, values: np.ndarray[Any, Any]) -> None:
    shape = values.shape[1:]
    if name not in group:
        rows = max(1, CHUNK // (8 * int(np.prod(shape))) if shape else 512)
        group.create_dataset(name, (0, *shape), values.dtype, maxshape=(None, *shape), chunks=(min(512, rows), *shape))
    dataset = group[name]
    dataset.resize(len(dataset) + len(values), axis=0)
    dataset[-len(values) :] = values


def _read_hdf5(path: Path) -> Iterator[Recorded]:
    for run, columns in runs_in(path):
        yield from ((run, s) for s in _snapshots(columns, f"{path}, {RUN}{run}"))


def _snapshots(columns: dict[str, Any], source: str) -> Iterable[Snapshot]:
    for k, (step, time) in enumerate(zip(columns["step"].tolist(), columns["time_fs"].tolist(), strict=True)):
        frame = Frame(
            columns["numbers"],
            columns["positions"][k],
            columns["cell"][k],
            columns["pbc"],
            energy=float(columns["energy"][k]),
            forces=columns["forces"][k],
            source=f"{source}, step {step}",
            fixed=columns.get("fixed"),
            masses=columns.get("masses"),
        )
        compared = columns[COLUMN][k] if COLUMN in columns else None
        yield Snapshot(frame, columns["velocities"][k], step, time, compared)
