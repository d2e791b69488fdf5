"""Other formats than extended XYZ: whatever ASE reads, ASE databases, and JSON in the layout of MPtrj."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np

from keel.atoms.compression import opened
from keel.atoms.elements import atomic_number
from keel.atoms.frame import Frame, PendingFrame
from keel.atoms.labels import LabelKeys, Record, frame_from_ase, frame_from_record
from keel.errors import DataError
from keel.kinds import readable

MPTRJ_KEYS = LabelKeys(
    energy="uncorrected_total_energy", forces="force", stress="stress", stress_convention="vasp-kbar"
)
"""The DFT labels in MPtrj's JSON: total energy without Materials Project corrections, stress as VASP prints it."""
LONGEST_STRING = 1 << 20


def ase_frames(path: Path, keys: LabelKeys | None) -> Iterator[PendingFrame]:
    """Yield the frames of any file that ASE reads.

    Raises
    ------
    DataError
        If ASE does not know the format or finds the file damaged.
    """
    import ase.io

    images, index = _guarded(lambda: ase.io.iread(str(path), index=":"), path), 0
    while True:
        atoms = _guarded(lambda: next(images, None), path)
        if atoms is None:
            return
        source = f"{path}, frame {index}"
        yield PendingFrame(source, partial(frame_from_ase, atoms, source, keys))
        index += 1


def db_frames(path: Path, keys: LabelKeys | None) -> Iterator[PendingFrame]:
    """Yield the rows of an ASE database; key-value pairs and data are searched for labels too."""
    import ase.db

    rows = _guarded(lambda: iter(ase.db.connect(str(path), use_lock_file=False).select()), path)
    while True:
        row = _guarded(lambda: next(rows, None), path)
        if row is None:
            return
        source = f"{path}, row {row.id}"
        yield PendingFrame(source, partial(_row_frame, row, source, keys))


def write_db(path: Path, frames: Iterable[Frame]) -> int:
    """Write frames as an ASE database and return their number."""
    import ase.db

    with ase.db.connect(str(path), type="db", use_lock_file=False) as database:
        return sum(1 for frame in frames if database.write(frame.to_ase(), data=dict(frame.info)))


def json_frames(path: Path, keys: LabelKeys | None) -> Iterator[PendingFrame]:
    """Yield the frames of a JSON file: a database of ASE, or in MPtrj's layout."""
    with opened(path) as stream:
        start = stream.read(2000)
    if any(key in start for key in (b'"unique_id"', b'"ctime"', b"__ndarray__")):
        yield from ase_frames(path, keys)
        return
    with opened(path) as stream:
        yield from mptrj_frames(stream, path, keys)


def mptrj_frames(stream: IO[bytes], path: Path, keys: LabelKeys | None) -> Iterator[PendingFrame]:
    """Yield the frames of ``{material: {frame: {structure, uncorrected_total_energy, force, stress}}}``."""
    for material, frames in json_members(stream, path):
        if not isinstance(frames, dict):
            raise DataError(
                f"{path}: {material!r} should be an object of frames, as in MPtrj; convert the file to extxyz"
            )
        for name, content in frames.items():
            source = f"{path}, frame {name}"
            yield PendingFrame(source, partial(_mptrj_frame, material, content, source, keys))


def json_members(stream: IO[bytes], path: Path, chunk: int = 1 << 20) -> Iterator[tuple[str, Any]]:
    """Yield key and value of a JSON object one by one: a file of many gigabytes never stands in memory as a whole."""
    text, decoder = _Text(stream, path, chunk), json.JSONDecoder()
    if text.character() != "{":
        raise DataError(f"{path}: this JSON file is not an object of materials as MPtrj's is")
    if text.character(peek=True) == "}":
        return
    while True:
        key = text.decode(decoder)
        if not isinstance(key, str) or text.character() != ":":
            raise DataError(f"{path}: the JSON is damaged near the key {str(key)[:40]!r}")
        yield key, text.decode(decoder)
        separator = text.character()
        if separator == "}":
            return
        if separator != ",":
            raise DataError(f"{path}: the JSON is damaged after {key!r}")


class _Text:
    """The unread part of a JSON text."""

    def __init__(self, stream: IO[bytes], path: Path, chunk: int) -> None:
        self.stream, self.path, self.chunk, self.text = stream, path, chunk, ""

    def more(self) -> bool:
        """Read as much again as is waiting, so that a long value costs linear time."""
        block = self.stream.read(max(self.chunk, len(self.text)))
        # A character cut in two at the end of a block is completed byte by byte.
        for _ in range(4):
            try:
                self.text += block.decode("utf-8")
                return bool(block)
            except UnicodeDecodeError:
                block += self.stream.read(1)
        raise DataError(f"{self.path}: it is not UTF-8 text")

    def character(self, *, peek: bool = False) -> str:
        while not (rest := self.text.lstrip()):
            if not self.more():
                raise DataError(f"{self.path}: the JSON ends too early; the file is cut off")
        self.text = rest if peek else rest[1:]
        return rest[0]

    def decode(self, decoder: json.JSONDecoder) -> Any:
        self.character(peek=True)
        while True:
            try:
                value, end = decoder.raw_decode(self.text)
            except RecursionError:
                raise DataError(f"{self.path}: the JSON is nested too deeply; it is no file of structures") from None
            except json.JSONDecodeError as error:
                # Only a string can be incomplete and yet begin long before the end of what was read.
                hopeless = error.pos + LONGEST_STRING < len(self.text)
                if hopeless or not self.more():
                    raise DataError(f"{self.path}: the JSON is damaged or cut off ({error})") from None
                continue
            # A number at the very end may have more digits to come.
            if end < len(self.text) or not self.more():
                self.text = self.text[end:]
                return value


def _mptrj_frame(material: str, content: Any, source: str, keys: LabelKeys | None) -> Frame:
    try:
        structure = content["structure"]
        sites = structure["sites"]
        if any(len(site["species"]) != 1 or site["species"][0].get("occu", 1) != 1 for site in sites):
            raise DataError("it has partly occupied sites, which cannot be simulated")
        numbers = np.array([atomic_number(site["species"][0]["element"]) for site in sites], dtype=np.int64)
        cell = np.array(structure["lattice"]["matrix"], dtype=np.float64).reshape(3, 3)
        positions = np.array([site["abc"] for site in sites], dtype=np.float64).reshape(-1, 3) @ cell
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = (
            str(error) if isinstance(error, DataError) else "its structure is not in the layout of MPtrj (pymatgen)"
        )
        raise DataError(f"{source}: {reason}") from None
    info = {k: v for k, v in content.items() if k not in ("structure", "force", "magmom") and v is not None}
    arrays = {k: content[k] for k in ("force", "magmom") if content.get(k) is not None}
    record = Record(numbers, positions, cell, np.ones(3, dtype=bool), {"mp_id": material, **info}, arrays, source)
    return frame_from_record(record, keys or _present(MPTRJ_KEYS, {**info, **arrays}))


def _present(keys: LabelKeys, content: dict[str, Any]) -> LabelKeys:
    """The layout's own keys where the frame has them, so that a frame without a label is not refused for it here."""
    return LabelKeys(
        energy=keys.energy if keys.energy in content else None,
        forces=keys.forces if keys.forces in content else None,
        stress=keys.stress if keys.stress in content else None,
        stress_convention=keys.stress_convention,
    )


def _row_frame(row: Any, source: str, keys: LabelKeys | None) -> Frame:
    atoms = _guarded(row.toatoms, source)
    atoms.info.update(row.key_value_pairs)
    for key, value in row.data.items():
        if key not in atoms.info and key not in atoms.arrays:
            per_atom = np.ndim(value) == 2 and len(value) == len(atoms) and np.shape(value) != (3, 3)
            (atoms.arrays if per_atom or "force" in key.lower() else atoms.info)[key] = value
    return frame_from_ase(atoms, source, keys)


def _guarded(call: Callable[[], Any], source: Path | str) -> Any:
    """ASE's readers fail in every way there is; each becomes one sentence."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return call()
    except DataError:
        raise
    except Exception as error:
        if type(error).__name__ == "UnknownFileTypeError":
            raise DataError(f"{source}: its format is not known; these are read: {readable()}") from None
        reason = (str(error).strip().splitlines() or [""])[0][:100]
        detail = f"{type(error).__name__}: {reason}" if reason else type(error).__name__
        raise DataError(f"{source}: ASE cannot read it ({detail}); check the file or convert it to extxyz") from None
