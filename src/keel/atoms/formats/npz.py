"""Labelled frames as one numpy archive, without pickle.

Arrays of F frames with N atoms in total: ``n_atoms (F,)``, ``numbers (N,)``, ``positions (N, 3)``, ``cell (F, 3, 3)``,
``pbc (F, 3)``, and where some frames have them ``energy (F,)``, ``forces (N, 3)``, ``stress (F, 3, 3)``, and as in
extended XYZ ``forces_mask (N,)``, ``move_mask (N, 3)``, ``masses (N,)``, ``momenta (N, 3)``, each with ``has_energy``
and so on (F,) for frames that lack them; ``info (F,)`` holds one JSON text per frame. Arrays of other names are further
keys: with F rows of each frame, with N rows of each atom, with one value of all.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from keel.atoms.formats.foreign import in_archive
from keel.atoms.frame import Frame
from keel.atoms.labelling.names import CELLS, FORCES, letters_of
from keel.atoms.mobility import columns_of_motion, marks_of_motion
from keel.atoms.record import PendingFrame, Record
from keel.errors import DataError

_MOTION = {"forces_mask": (), "move_mask": (3,), "masses": (), "momenta": (3,)}
_PER_ATOM = {"numbers": (), "positions": (3,), "forces": (3,), **_MOTION}
_PER_FRAME = {"cell": (3, 3), "pbc": (3,), "energy": (), "stress": (3, 3), "info": ()}
_SOME = ("energy", "forces", "stress", *_MOTION)
"""What not every frame has."""
_PER_FRAME |= {f"has_{name}": () for name in _SOME}
UNFIT = "arrays with a row neither for each frame nor for each atom: not used"


def npz_frames(path: Path) -> Iterator[PendingFrame]:
    """Yield the frames of an archive."""
    for record in npz_records(path):
        yield PendingFrame(record.source, partial(_itself, record))


def _itself(record: Record) -> Record:
    return record


def npz_records(path: Path) -> Iterator[Record]:
    """Yield the frames of an archive.

    Raises
    ------
    DataError
        If the archive is damaged, or its arrays are absent or do not fit each other.
    """
    data = _load(path)
    n_atoms = data["n_atoms"]
    ends = np.cumsum(n_atoms)
    of_all, of_frames, of_atoms, remarks = _further(data)
    for index, (end, n) in enumerate(zip(ends, n_atoms, strict=True)):
        source, atoms = f"{path}, frame {index}", slice(int(end - n), int(end))
        info = {**of_all, **_info(data, index, source)} | {k: _value(v[index]) for k, v in of_frames.items()}
        arrays = {name: values[atoms] for name, values in of_atoms.items()}
        for name in _SOME:
            if name in data and (f"has_{name}" not in data or data[f"has_{name}"][index]):
                per_atom = name in _PER_ATOM
                (arrays if per_atom else info)[name] = data[name][atoms] if per_atom else data[name][index]
        yield Record(
            numbers=data["numbers"][atoms].astype(np.int64),
            positions=data["positions"][atoms].astype(np.float64),
            cell=np.zeros((3, 3)) if "cell" not in data else data["cell"][index].astype(np.float64),
            pbc=np.full(3, "cell" in data) if "pbc" not in data else data["pbc"][index].astype(bool),
            info=info,
            arrays=arrays,
            source=source,
            remarks=remarks,
        )


_Arrays = dict[str, Any]


def _further(data: _Arrays) -> tuple[_Arrays, _Arrays, _Arrays, tuple[str, ...]]:
    """Return what keel has no name for: of all frames, of each frame, of each atom; and a remark on the rest."""
    frames, atoms = len(data["n_atoms"]), len(data["numbers"])
    of_all, of_frames, of_atoms, unfit = _Arrays(), _Arrays(), _Arrays(), list[str]()
    for name, values in data.items():
        if name == "n_atoms" or name in _PER_ATOM or name in _PER_FRAME:
            continue
        rows = len(values) if values.ndim else -1
        # Where each frame is one atom, forces belong to the atoms.
        if rows == atoms and (rows != frames or (name.lower() in FORCES and values.ndim == 2)):
            of_atoms[name] = values
        elif rows == frames:
            of_frames[name] = values
        elif values.size == 1:
            of_all[name] = values.item()
        else:
            unfit.append(name)
    return of_all, of_frames, of_atoms, (f"{UNFIT} ({', '.join(sorted(unfit))})",) if unfit else ()


def _value(value: Any) -> Any:
    """Return a row as Python's own number or text, or as an array."""
    return value if np.ndim(value) else value.item()


def write_npz(path: Path, frames: Iterable[Frame]) -> int:
    """Write frames as an archive and return their number."""
    frames = list(frames)
    arrays: dict[str, Any] = {
        "n_atoms": np.array([len(f) for f in frames], dtype=np.int64),
        "numbers": np.concatenate([f.numbers for f in frames]),
        "positions": np.concatenate([f.positions for f in frames]),
        "cell": np.stack([f.cell for f in frames]),
        "pbc": np.stack([f.pbc for f in frames]),
        "info": np.array([json.dumps(dict(f.info), default=_plain) for f in frames]),
    }
    rows = [_given(frame) for frame in frames]
    for name in _SOME:
        has = np.array([name in row for row in rows])
        if has.any():
            arrays |= {name: _joined(name, frames, rows), f"has_{name}": has}
    np.savez_compressed(path, **arrays)
    return len(frames)


def _given(frame: Frame) -> dict[str, Any]:
    """Return what this frame has of what not every frame has."""
    labels = {"energy": frame.energy, "forces": frame.forces, "stress": frame.stress}
    motion = {**columns_of_motion(frame), **marks_of_motion(frame)}
    shaped = {n: np.broadcast_to(v, (len(frame), 3)) if _MOTION[n] else v[:, 0] for n, v in motion.items()}
    return {name: value for name, value in {**labels, **shaped}.items() if value is not None}


def _joined(name: str, frames: list[Frame], rows: list[dict[str, Any]]) -> Any:
    """Return the values of all frames as one array, zeros where there are none."""
    if name not in _PER_ATOM:
        return np.array([row.get(name, np.zeros(_PER_FRAME[name])) for row in rows], dtype=np.float64)
    kind = bool if name.endswith("_mask") else np.float64
    some = [row.get(name, np.zeros((len(f), *_PER_ATOM[name]))) for f, row in zip(frames, rows, strict=True)]
    return np.concatenate(some).astype(kind)


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)


def _load(path: Path) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(path) as archive:
            _check_sizes(archive, path)
        with np.load(path, allow_pickle=False) as archive:
            data = dict(archive)
    except DataError:
        raise
    except (OSError, ValueError, EOFError, KeyError, MemoryError, zipfile.BadZipFile, NotImplementedError) as error:
        raise DataError(f"{path}: it cannot be read as a numpy archive ({_first_line(error)})") from None
    except Exception as error:
        raise DataError(f"{path}: the numpy archive is damaged ({_first_line(error)})") from None
    _check_shapes(data, path)
    return data


def _check_sizes(archive: zipfile.ZipFile, path: Path) -> None:
    """Refuse arrays whose header promises more than the archive holds, before numpy makes room for them."""
    for member in archive.infolist():
        with archive.open(member) as stream:
            version = np.lib.format.read_magic(stream)
            read: Any = np.lib.format.read_array_header_1_0
            if version != (1, 0):
                read = np.lib.format.read_array_header_2_0
            shape, _, dtype = read(stream)
            promised = int(np.prod([int(n) for n in shape], dtype=object)) * dtype.itemsize
        if dtype.hasobject or promised > member.file_size:
            raise DataError(f"{path}: the array {member.filename} is damaged or contains Python objects")


def _check_shapes(data: dict[str, Any], path: Path) -> None:
    absent = [name for name in ("n_atoms", "numbers", "positions") if name not in data]
    if absent and (whose := in_archive(data)):
        raise DataError(f"{path}: {whose}")
    if absent:
        raise DataError(
            f"{path}: the archive has no {', '.join(absent)}; it needs n_atoms, numbers, positions, and usually cell, "
            "energy and forces"
        )
    if "cell" not in data and (other := [name for name in data if letters_of(name) in {*CELLS, "lattice"}]):
        raise DataError(f"{path}: the array {other[0]!r} is not understood; name it cell, with shape (F, 3, 3)")
    n_atoms = data["n_atoms"]
    if n_atoms.ndim != 1 or n_atoms.dtype.kind not in "iu" or (n_atoms < 0).any() or not len(n_atoms):
        raise DataError(f"{path}: n_atoms should be the number of atoms of each frame")
    atoms, frames = int(n_atoms.sum()), len(n_atoms)
    for name, array in data.items():
        width = _PER_ATOM.get(name, _PER_FRAME.get(name))
        if width is None:
            continue
        wanted = (atoms if name in _PER_ATOM else frames, *width)
        if array.shape != wanted:
            raise DataError(f"{path}: the array {name} has the shape {array.shape} but should have {wanted}")
        if name != "info" and array.dtype.kind not in "fiub":
            raise DataError(f"{path}: the array {name} is not numeric")


def _info(data: dict[str, Any], index: int, source: str) -> dict[str, Any]:
    if "info" not in data:
        return {}
    try:
        info = json.loads(str(data["info"][index]))
    except ValueError:
        info = None
    if not isinstance(info, dict):
        raise DataError(f"{source}: its info is not a JSON object")
    return info


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]
