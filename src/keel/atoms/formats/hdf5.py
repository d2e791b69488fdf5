"""Trajectories that keel writes as HDF5; :mod:`keel.dynamics.trajectory_files` describes their layout."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from keel.atoms.formats.foreign import in_hdf5
from keel.atoms.record import PendingFrame, Record
from keel.errors import DataError, UnavailableError

RUN = "run_"
"""Begins the name of the group of a run, before its number."""
OF_A_RUN = ("numbers", "pbc", "masses", "fixed")
"""What does not change from step to step."""
INFO = ("step", "time_fs", "temperature_k")
NOT_OURS = "this HDF5 file is not a trajectory of keel: it has no {0}; convert it to extxyz"


def h5py(path: Path | str = "HDF5") -> Any:
    """Return the package that reads and writes HDF5.

    Raises
    ------
    UnavailableError
        If it is not installed.
    """
    try:
        import h5py
    except ImportError:
        raise UnavailableError(f"{path}: HDF5 needs h5py; install it with pip install 'mlip-keel[hdf5]'") from None
    return h5py


def runs_in(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the number of each run and its arrays.

    Raises
    ------
    DataError
        If the file is damaged.
    """
    try:
        with h5py(path).File(path, "r") as file:
            names = (n for n in file if n.startswith(RUN) and n.removeprefix(RUN).isdecimal())
            for name in sorted(names, key=lambda n: int(n.removeprefix(RUN))):
                yield int(name.removeprefix(RUN)), {key: dataset[()] for key, dataset in file[name].items()}
    except OSError as error:
        raise DataError(f"{path}: it cannot be read ({error})") from None


def hdf5_frames(path: Path) -> Iterator[PendingFrame]:
    """Yield the recorded frames of a trajectory, one run after the other.

    Raises
    ------
    DataError
        If it is damaged, or another kind of HDF5.
    """
    found = False
    for run, columns in runs_in(path):
        found = True
        if absent := [n for n in ("numbers", "pbc", "cell", "positions", *INFO) if n not in columns]:
            raise DataError(f"{path}: {NOT_OURS.format(', '.join(f'{RUN}{run}/{name}' for name in absent))}")
        for k in range(len(columns["step"])):
            source = f"{path}, frame {RUN}{run}/{k}"
            yield PendingFrame(source, partial(_record, run, columns, k, source))
    if not found:
        with h5py(path).File(path, "r") as file:
            whose = in_hdf5(_names(file))
        raise DataError(f"{path}: {whose or NOT_OURS.format(f'group {RUN}0')}")


def _names(group: Any) -> Iterator[list[str]]:
    """Yield what is in a group, in the first of its groups, in the first of that, ..."""
    while group is not None:
        yield list(group)
        group = next((member for member in group.values() if hasattr(member, "values")), None)


def _record(run: int, columns: dict[str, Any], k: int, source: str) -> Record:
    now = {name: values if name in OF_A_RUN else values[k] for name, values in columns.items()}
    arrays = {name: value for name, value in now.items() if np.shape(value)[:1] == now["numbers"].shape}
    for name in ("numbers", "positions", "cell", "pbc", "fixed"):
        arrays.pop(name, None)
    # What was not recorded is NaN.
    if "forces" in arrays and np.isnan(arrays["forces"]).all():
        del arrays["forces"]
    energy = float(now.get("energy", np.nan))
    info = {"run": run, **{name: now[name].item() for name in INFO}}
    return Record(
        numbers=now["numbers"].astype(np.int64),
        positions=now["positions"].astype(np.float64),
        cell=now["cell"].astype(np.float64),
        pbc=now["pbc"].astype(bool),
        info=info if np.isnan(energy) else {**info, "energy": energy},
        arrays=arrays,
        source=source,
        fixed=now.get("fixed"),
    )
