"""Usual frames of extended XYZ, many at once: all others are left to the careful reader.

A frame is usual if its comment line has plain ``key=value`` pairs, its columns are elements and numbers, each label
occurs once under a usual name, and nothing in it needs closer inspection. The result is then identical to that of the
careful reader, to the last bit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from keel.atoms.formats.comment import typed
from keel.atoms.formats.extxyz import RawFrame, raw_frames
from keel.atoms.formats.xyz_template import Template, template_of
from keel.atoms.frame import Frame
from keel.atoms.labelling.numbers import LARGEST_ENERGY, UNKNOWN_ENERGIES
from keel.atoms.record import PendingFrame, Record
from keel.atoms.units import stress_of
from keel.errors import DataError

BLOCK = 1 << 20
"""Number of bytes processed together."""
LARGEST_BLOCK = 1 << 26


def quick_frames(stream: IO[bytes], name: str) -> Iterator[PendingFrame]:
    """Yield the frames of a file, as :func:`keel.atoms.formats.extxyz.raw_frames` finds them."""
    from keel.atoms.kernels import xyz

    kept, number, last = b"", 0, False
    known: list[Template] = []
    while not last:
        read = stream.read(max(BLOCK, len(kept)))
        last = not read
        text = kept + read
        if last and text and not text.endswith(b"\n"):
            # The last number may be cut off.
            yield from _continued(text, stream, name, number)
            return
        array = np.frombuffer(text, np.uint8)
        ends = np.flatnonzero(array == 10)
        found = np.empty((len(ends) // 3 + 1, 2), np.int64)
        frames, line, odd = xyz.split_frames(array, ends, last, found)
        if frames and not last and not odd and line >= len(ends):
            # What follows the last one is not known yet.
            frames, line = frames - 1, int(found[frames - 1, 0])
        block = _Block(name, number, text, ends, found[:frames], known)
        yield from (block.pending(k) for k in range(frames))
        number += frames
        kept = text[int(ends[line - 1]) + 1 if line else 0 :]
        if odd or len(kept) > LARGEST_BLOCK:
            yield from _continued(kept, stream, name, number)
            return


def _continued(text: bytes, rest: IO[bytes], name: str, number: int) -> Iterator[PendingFrame]:
    for raw in raw_frames(_Continued(text, rest), name, number):
        yield PendingFrame(raw.source, raw.record, raw.text)


class _Continued:
    """Lines of a text and of the stream that continues it."""

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
    known
        The template of the last comment line, if there is one.
    """

    name: str
    first: int
    text: bytes
    ends: NDArray[np.int64]
    found: NDArray[np.int64]
    known: list[Template]

    def pending(self, k: int) -> PendingFrame:
        """Return a frame that has not been checked yet."""
        line, atoms = self.found[k].tolist()
        start, end = (int(self.ends[line - 1]) + 1 if line else 0), int(self.ends[line + 1 + atoms]) + 1
        source = f"{self.name}, frame {self.first + k}"
        text = self.text[start:end]
        return PendingFrame(source, partial(_carefully, source, text), text, partial(self.frame, k, source))

    def frame(self, k: int, source: str) -> Frame | None:
        """Return a frame if it is usual in every way, and certainly sound."""
        from keel.atoms.kernels import xyz

        line, atoms = self.found[k].tolist()
        start = int(self.ends[line]) + 1
        match = self.matched(self.text[start : int(self.ends[line + 1])])
        if match is None:
            return None
        template: Template = self.known[-1]
        values = match.groups()
        pbc = _pbc(values[template.pbc - 1]) if template.pbc else (2,)
        if pbc is None:
            return None
        labels = template.cell, template.stress, template.energy
        spans = (match.span(group) if group else (-start, -start) for group in labels)
        places = np.array([start + at for span in spans for at in span] + [pbc[0]])
        numbers, positions, box = np.empty(atoms, np.int64), np.empty((atoms, 3)), np.zeros(19)
        forces = np.empty((atoms if template.forces else 0, 3))
        starts = self.ends[line + 1 : line + 2 + atoms] + 1
        columns = template.kinds, _elements(), numbers, positions, forces, box
        size, energy = xyz.read_frame(self.array, starts, places, *columns), float(box[18])
        if size < 0:
            return None
        if template.energy and not (abs(energy) < LARGEST_ENERGY * atoms and abs(energy) not in UNKNOWN_ENERGIES):
            return None
        cell = box[:9].reshape(3, 3).copy()
        periodic = np.full(3, bool(cell.any()) if pbc[0] == 2 else bool(pbc[0]))
        stress = _stress(box[9 : 9 + size], template.virial, cell) if size else None
        if size and stress is None:
            return None
        info = {key: _value(values[group - 1]) for key, group in template.notes}
        found = energy if template.energy else None, forces if template.forces else None, stress
        return Frame(numbers, positions, cell, periodic, *found, info, source, unused=template.unused)

    def matched(self, comment: bytes) -> re.Match[str] | None:
        """Return the values of a comment line by the last template, which is that of the line then."""
        try:
            text = str(comment, "ascii")
        except UnicodeDecodeError:
            return None
        if self.known and (match := self.known[-1].pattern.fullmatch(text)):
            return match
        template = template_of(text)
        if template is None:
            return None
        self.known[:] = [template]
        return template.pattern.fullmatch(text)

    @cached_property
    def array(self) -> NDArray[np.uint8]:
        """The text as numbers."""
        return np.frombuffer(self.text, np.uint8)


def _carefully(source: str, text: bytes) -> Record:
    lines = [line + b"\n" for line in text.split(b"\n")[:-1]]
    return RawFrame(source, lines, [line.split() for line in lines[2:]]).record()


def _value(text: str) -> Any:
    if text[:1] in _NUMERIC:
        return typed(text)
    found = _remembered(text)
    return found.copy() if isinstance(found, np.ndarray) else found


_NUMERIC = frozenset("+-.0123456789,")
_remembered = lru_cache(1024)(typed)
"""The value of a text that is not a number; few of these differ between frames."""


@lru_cache
def _pbc(text: str) -> tuple[int] | None:
    """Return whether a frame is periodic in all directions (1) or in none (0)."""
    found = typed(text)
    if not isinstance(found, np.ndarray) or found.shape != (3,) or found.dtype != bool or len({*found.tolist()}) > 1:
        return None
    return (int(found[0]),)


def _stress(numbers: NDArray[np.float64], virial: bool, cell: NDArray[np.float64]) -> NDArray[np.float64] | None:
    if numbers.size == 9 and not virial:
        # It is in keel's convention, and its symmetry has been checked.
        return numbers.reshape(3, 3).copy()
    try:
        return stress_of(numbers.copy(), "virial" if virial else "ase", float(abs(np.linalg.det(cell))))
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
