"""Systems of DeePMD-kit: folders with ``type.raw`` and sets of arrays, ``set.000/coord.npy``, or text, ``coord.raw``.

F frames of N atoms: ``coord`` and ``force`` (F, 3N), ``box`` and ``virial`` (F, 9), ``energy`` (F,), in angstrom and
eV; the virial is -V times the stress. ``type_map.raw`` names the elements of the types 0, 1, ... in ``type.raw``; where
atoms differ from frame to frame, ``real_atom_types.npy`` (F, N) has their types, -1 for none (docs.deepmodeling.com).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keel.atoms.elements import atomic_number
from keel.atoms.formats.parts import files_in
from keel.atoms.record import PendingFrame, Record
from keel.errors import DataError

READ = ("coord", "box", "energy", "force", "virial", "real_atom_types")
NOT_READ = "the arrays {}, which are not read"
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class _System:
    """One folder: the types of its atoms, the atomic numbers of these types, and whether it is periodic.

    Types without the name of an element have the numbers 1, 2, ...
    """

    types: NDArray[np.int64]
    numbers: NDArray[np.int64]
    named: bool
    periodic: bool


def deepmd_frames(path: Path) -> Iterator[PendingFrame]:
    """Yield the frames of a system, or of all in a folder; a system may be named by its ``type.raw`` too."""
    folder = path if path.is_dir() else path.parent
    for file, name in files_in(folder, "type.raw"):
        system, where = _system(file.parent), name.removesuffix("type.raw/")
        sets = [p.parent for p, _ in files_in(file.parent, "coord.npy") if p.parent.parent == file.parent]
        for part in sets or [file.parent]:
            inner = f"{part.name}/" if sets else ""
            yield from _frames(system, part, f"{folder}, frame {where}{inner}")


def _system(folder: Path) -> _System:
    types = _text(folder / "type.raw").astype(np.int64).ravel()
    names = (folder / "type_map.raw").read_text().split() if (folder / "type_map.raw").is_file() else []
    highest = max(len(names), int(types.max(initial=0)) + 1)
    try:
        numbers, named = np.array([atomic_number(name) for name in names], dtype=np.int64), highest == len(names)
    except DataError:
        named = False
    if not named:
        numbers = np.arange(1, highest + 1)
    return _System(types, numbers, named, not (folder / "nopbc").exists())


def _frames(system: _System, folder: Path, where: str) -> Iterator[PendingFrame]:
    arrays, unread = _arrays(folder)
    if "coord" not in arrays:
        raise DataError(f"{folder}: it has neither set.*/coord.npy nor coord.raw")
    if system.periodic and "box" not in arrays:
        raise DataError(f"{folder}: it has no box, and its system has no file 'nopbc'")
    _check_sizes(arrays, len(system.types), folder)
    remarks = (NOT_READ.format(", ".join(unread)),) if unread else ()
    for k in range(len(arrays["coord"])):
        source = f"{where}{k}"
        yield PendingFrame(source, partial(_record, system, {a: v[k] for a, v in arrays.items()}, source, remarks))


def _check_sizes(arrays: Arrays, n: int, folder: Path) -> None:
    frames = len(arrays["coord"])
    widths = {"coord": 3 * n, "force": 3 * n, "box": 9, "virial": 9, "real_atom_types": n, "energy": 1}
    for name, array in arrays.items():
        if array.shape[0] != frames or array.size != frames * widths[name]:
            raise DataError(
                f"{folder}: its {name} has the shape {array.shape} but {frames} frames of {n} atoms need "
                f"{widths[name]} numbers each"
            )


def _record(system: _System, values: Arrays, source: str, remarks: tuple[str, ...]) -> Record:
    types = values.get("real_atom_types", system.types).astype(np.int64)
    there = types >= 0
    if types.max(initial=0) >= len(system.numbers):
        raise DataError(f"{source}: it has the type {types.max()}, for which type_map.raw names no element")
    return Record(
        numbers=system.numbers[types[there]],
        positions=values["coord"].reshape(-1, 3)[there].astype(np.float64),
        cell=values["box"].reshape(3, 3).astype(np.float64) if system.periodic else np.zeros((3, 3)),
        pbc=np.full(3, system.periodic),
        info={name: np.array(values[name]) for name in ("energy", "virial") if name in values},
        arrays={"force": values["force"].reshape(-1, 3)[there]} if "force" in values else {},
        source=source,
        remarks=remarks,
        typed=not system.named,
    )


def _arrays(folder: Path) -> tuple[Arrays, list[str]]:
    """Return the arrays of a set, a row for each frame, and the names of those that are not read."""
    binary = sorted(folder.glob("*.npy"))
    files = {p.stem: p for p in binary or sorted(folder.glob("*.raw")) if p.stem not in ("type", "type_map")}
    arrays = {name: _load(file) if binary else _text(file) for name, file in files.items() if name in READ}
    return arrays, [name for name in files if name not in READ]


def _load(file: Path) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.load(file, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{file}: it is not a complete numpy array ({str(error)[:80]})") from None
    if array.dtype.kind not in "fiu" or not array.ndim:
        raise DataError(f"{file}: it does not contain numbers for each frame")
    return array


def _text(file: Path) -> NDArray[Any]:
    try:
        with open(file, encoding="utf-8") as stream:
            return np.atleast_2d(np.loadtxt(stream, ndmin=2))
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: it is not a table of numbers ({str(error)[:80]})") from None
