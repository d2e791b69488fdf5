"""Usual frames of extended XYZ, many at once: what is unlike them in any way is left to the careful reader.

A frame is usual if its comment line holds plain ``key=value`` pairs, its columns are elements and numbers, each label
stands there once under a usual name, and nothing in it calls for a closer look. It is then what the careful reader
would have made of it, to the last bit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from keel.atoms.formats.columns import fields_of
from keel.atoms.formats.comment import RESERVED, typed
from keel.atoms.formats.extxyz import RawFrame, raw_frames
from keel.atoms.frame import Frame
from keel.atoms.label_names import (
    ENERGY,
    FORCES,
    FREE_ENERGY,
    STRESS,
    UNUSED_COLUMNS,
    VIRIAL,
    is_label_name,
)
from keel.atoms.label_search import CP2K_COMMENT, SMALLEST_FILLER, UNKNOWN_ENERGIES
from keel.atoms.record import PendingFrame, Record
from keel.atoms.units import stress_of
from keel.errors import DataError

BLOCK = 1 << 20
"""Bytes that are looked at together."""
LARGEST_BLOCK = 1 << 26
_PLAIN = re.compile(r'([^\s="\'\[\]{},\\]+)=(?:"([^"\\]*)"|([^\s="\'\[\]{},\\]+))(?:\s+|$)')
_WITH_A_MEANING = frozenset(
    {
        "z",
        "forces_mask",
        "move_mask",
        "momenta",
        "masses",
        "mass",
        "velocities",
        "occupancy",
        "volume",
        "cell",
        "stress",
    }
)
"""Names of columns and keys that are more than notes, or are called almost so."""


@dataclass(frozen=True)
class _Layout:
    """What the columns of a frame are: their kinds, where among the reals positions and forces begin, other names."""

    kinds: NDArray[np.int64]
    reals: int
    positions: int
    forces: int | None
    unused: str


@dataclass(frozen=True)
class _Labels:
    """Keys of the energy and of the stress in a comment line, and what the stress is."""

    energy: str | None
    stress: str | None
    convention: str


def quick_frames(stream: IO[bytes], name: str) -> Iterator[PendingFrame]:
    """Yield the frames of a file, as :func:`keel.atoms.formats.extxyz.raw_frames` finds them."""
    from keel.atoms.kernels import xyz

    kept, number, last = b"", 0, False
    while not last:
        read = stream.read(max(BLOCK, len(kept)))
        last = not read
        text = kept + read
        if last and text and not text.endswith(b"\n"):
            text += b"\n"
        array = np.frombuffer(text, np.uint8)
        ends = np.flatnonzero(array == 10)
        found = np.empty((len(ends) // 3 + 1, 2), np.int64)
        frames, line, odd = xyz.split_frames(array, ends, last, found)
        if frames and not last and not odd and line >= len(ends):
            # What follows the last one is not known yet.
            frames, line = frames - 1, int(found[frames - 1, 0])
        block = _Block(name, number, text, ends, found[:frames])
        yield from (block.pending(k) for k in range(frames))
        number += frames
        kept = text[int(ends[line - 1]) + 1 if line else 0 :]
        if odd or len(kept) > LARGEST_BLOCK:
            for raw in raw_frames(_Continued(kept, stream), name, number):
                yield PendingFrame(raw.source, raw.record, raw.text)
            return


class _Continued:
    """Lines of a text and of the stream that goes on after it."""

    def __init__(self, text: bytes, rest: IO[bytes]) -> None:
        self.text, self.rest, self.at = text, rest, 0

    def readline(self, limit: int) -> bytes:
        """Return the next line."""
        end = self.text.find(b"\n", self.at, self.at + limit) + 1 or min(len(self.text), self.at + limit)
        line, self.at = self.text[self.at : end], end
        if line.endswith(b"\n") or len(line) == limit:
            return line
        return line + self.rest.readline(limit - len(line))


@dataclass(frozen=True, eq=False)
class _Block:
    """Frames that were read together.

    Parameters
    ----------
    name, first
        The file, and the number of the first frame.
    text, ends
        What was read, and where its lines end.
    found
        First line and number of atoms of each frame.
    """

    name: str
    first: int
    text: bytes
    ends: NDArray[np.int64]
    found: NDArray[np.int64]

    def pending(self, k: int) -> PendingFrame:
        """Return a frame that nobody has looked at yet."""
        line, atoms = self.found[k].tolist()
        start, end = (int(self.ends[line - 1]) + 1 if line else 0), int(self.ends[line + 1 + atoms]) + 1
        source = f"{self.name}, frame {self.first + k}"
        text = self.text[start:end]
        return PendingFrame(source, partial(_carefully, source, text), text, partial(self.frame, k, source))

    def frame(self, k: int, source: str) -> Frame | None:
        """Return a frame if it is usual in every way, and sound for sure."""
        line, atoms = self.found[k].tolist()
        info = plain_comment(self.text[int(self.ends[line]) + 1 : int(self.ends[line + 1])])
        if info is None or "Properties" not in info:
            return None
        layout, labels = layout_of(info.pop("Properties")), None
        cell, pbc = _cell_and_pbc(info)
        if layout is not None and cell is not None:
            labels = labels_of(tuple(info))
        if layout is None or labels is None or cell is None or pbc is None:
            return None
        return self._usual(line, atoms, info, layout, labels, (cell, pbc), source)

    def _usual(
        self, line: int, atoms: int, info: dict[str, Any], layout: _Layout, labels: _Labels, box: Any, source: str
    ) -> Frame | None:
        from keel.atoms.kernels import xyz

        cell, pbc = box
        numbers, reals = np.empty(atoms, np.int64), np.empty((atoms, layout.reals), np.uint64)
        starts = self.ends[line + 1 : line + 2 + atoms] + 1
        if not xyz.read_rows(self._array, starts, layout.kinds, _elements(), numbers, reals):
            return None
        values = reals.view(np.float64)
        positions = values[:, layout.positions : layout.positions + 3].copy()
        forces = None if layout.forces is None else values[:, layout.forces : layout.forces + 3].copy()
        if not xyz.surely_sound(positions, positions if forces is None else forces, cell, bool(pbc[0])):
            return None
        if forces is not None and abs(forces[0, 0]) >= SMALLEST_FILLER and (forces == forces[0, 0]).all():
            return None
        energy, stress = None, None
        if labels.energy is not None and (energy := _energy(info.pop(labels.energy))) is None:
            return None
        if labels.stress is not None and (stress := _stress(info.pop(labels.stress), labels, cell, pbc)) is None:
            return None
        if stress is not None and not stress.any():
            return None
        if layout.unused:
            info[UNUSED_COLUMNS] = layout.unused
        return Frame(numbers, positions, cell, pbc, energy, forces, stress, info, source)

    @cached_property
    def _array(self) -> NDArray[np.uint8]:
        return np.frombuffer(self.text, np.uint8)


def _carefully(source: str, text: bytes) -> Record:
    lines = [line + b"\n" for line in text.split(b"\n")[:-1]]
    return RawFrame(source, lines, [line.split() for line in lines[2:]]).record()


def plain_comment(comment: bytes) -> dict[str, Any] | None:
    """Return the pairs of a comment line as :func:`keel.atoms.formats.comment.parse_comment` does, if all are plain."""
    if not comment.isascii():
        return None
    text = comment.decode().strip()
    info: dict[str, Any] = {}
    at = 0
    while at < len(text):
        pair = _PLAIN.match(text, at)
        if pair is None:
            return None
        key, quoted, word = pair.groups()
        key = RESERVED.get(key.lower(), key)
        if key in info:
            return None
        info[key] = _value(word if quoted is None else quoted)
        at = pair.end()
    return info


def _value(text: str) -> Any:
    if text[:1] in _NUMERIC:
        return typed(text)
    found = _remembered(text)
    return found.copy() if isinstance(found, np.ndarray) else found


_NUMERIC = frozenset("+-.0123456789,")
_remembered = lru_cache(1024)(typed)
"""The value of a text that is no number; few of these differ from frame to frame."""


@lru_cache
def layout_of(properties: Any) -> _Layout | None:
    """Return what the columns are, if they are elements and numbers, with the forces at most once."""
    try:
        fields = fields_of(properties) if isinstance(properties, str) else ()
    except DataError:
        return None
    kinds: list[int] = []
    at: dict[str, int] = {}
    for name, kind, width in fields:
        if kind not in "SRI" or (kind == "S") != ((name, width) == ("species", 1)):
            return None
        if kind == "R":
            at[name] = kinds.count(1)
        kinds += [{"S": 0, "R": 1, "I": 2}[kind]] * width
    names = [name for name, _, _ in fields]
    forces = [name for name in names if name.lower() in FORCES]
    three = {name for name, kind, width in fields if (kind, width) == ("R", 3)}
    others = sorted({*names} - {"species", "pos", *forces})
    strange = any(is_label_name(name) or name.lower() in _WITH_A_MEANING for name in others)
    if "species" not in names or len(forces) > 1 or not {"pos", *forces} <= three or strange:
        return None
    place = at[forces[0]] if forces else None
    return _Layout(np.array(kinds), kinds.count(1), at["pos"], place, " ".join(others))


@lru_cache
def labels_of(keys: tuple[str, ...]) -> _Labels | None:
    """Return which keys are labels, if there is one at most of each and none that means something else too."""
    lower = [key.lower() for key in keys]
    energies, stresses = ([k for k in keys if k.lower() in names] for names in (ENERGY, STRESS | VIRIAL))
    strange = _WITH_A_MEANING.union(FREE_ENERGY, FORCES) - {"stress"}
    if len(energies) > 1 or len(stresses) > 1 or not strange.isdisjoint(lower) or "Stress" in keys:
        return None
    if {*keys} >= CP2K_COMMENT or UNUSED_COLUMNS in keys:
        return None
    stress = stresses[0] if stresses else None
    convention = "virial" if stress is not None and "virial" in stress.lower() else "ase"
    return _Labels(energies[0] if energies else None, stress, convention)


def _cell_and_pbc(info: dict[str, Any]) -> tuple[NDArray[np.float64] | None, NDArray[np.bool_] | None]:
    """Take the cell and where it is periodic, in all directions or in none, out of the pairs of a comment line."""
    lattice = info.pop("Lattice", None)
    cell = np.zeros((3, 3))
    if lattice is not None:
        if not isinstance(lattice, np.ndarray) or lattice.shape != (9,) or lattice.dtype.kind not in "if":
            return None, None
        cell = lattice.reshape(3, 3).astype(np.float64)
    given = info.pop("pbc", None)
    if given is None:
        return cell, np.full(3, bool(cell.any()))
    if not isinstance(given, np.ndarray) or given.shape != (3,) or given.dtype != bool:
        return None, None
    return (cell, given) if given[0] == given[1] == given[2] else (None, None)


def _energy(value: Any) -> float | None:
    if type(value) not in (int, float) or not abs(value) < 1e20 or abs(value) in UNKNOWN_ENERGIES:
        return None
    return float(value)


def _stress(
    value: Any, labels: _Labels, cell: NDArray[np.float64], pbc: NDArray[np.bool_]
) -> NDArray[np.float64] | None:
    if not pbc[0] or not isinstance(value, np.ndarray) or value.dtype.kind not in "if" or value.size not in (6, 9):
        return None
    numbers = value.astype(np.float64)
    if not np.isfinite(numbers).all() or (numbers == numbers[0]).all():
        return None
    try:
        return stress_of(numbers, labels.convention, float(abs(np.linalg.det(cell))))
    except DataError:
        return None


@lru_cache
def _elements() -> NDArray[np.uint8]:
    """Return the atomic number of each symbol by its bytes, first + 256 x second."""
    from ase.data import atomic_numbers

    found = np.zeros(1 << 16, np.uint8)
    for symbol, number in atomic_numbers.items():
        found[int.from_bytes(symbol.encode(), "little")] = number
    return found
