"""Extended XYZ, read as a stream and checked line by line, written so that every digit comes back.

A damaged frame does not hide the next one: the reader finds the next header (a number of atoms followed by a comment
line with ``key=value``) and continues there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from keel.atoms.formats.columns import shown
from keel.atoms.formats.comment import RESERVED, quoted, value_text
from keel.atoms.formats.xyz_record import xyz_record
from keel.atoms.frame import Array, Frame
from keel.atoms.labelling.names import is_label_name
from keel.atoms.mobility import columns_of_motion, marks_of_motion
from keel.atoms.record import Record
from keel.errors import DataError, naming

LONGEST_LINE = 1 << 24
"""Bytes; extended XYZ files do not have longer lines."""

LINES_AT_ONCE = 4096
"""Number of lines read before they are checked, whatever number of atoms a header claims."""

WRITTEN = 6
"""Decimals of forces in files that are written by programs."""


@dataclass
class RawFrame:
    """The lines of one frame of the file, and what is wrong with their number, if anything."""

    source: str
    lines: list[bytes]
    rows: list[list[bytes]]
    damage: str | None = None

    @property
    def text(self) -> bytes:
        """The frame's bytes."""
        return b"".join(self.lines)

    def record(self) -> Record:
        """Parse the frame.

        Raises
        ------
        DataError
            If it is damaged (says how, and at which atom or key).
        """
        with naming(self.source):
            if self.damage:
                raise DataError(self.damage)
            return xyz_record(self.lines[1], self.rows, self.source)


class Lines(Protocol):
    """What has lines."""

    def readline(self, limit: int, /) -> bytes:
        """Return the next line, or as many bytes of it as the limit says."""


class _Lines:
    """Lines of a binary stream with a way to put some back."""

    def __init__(self, stream: Lines) -> None:
        self.stream, self.waiting = stream, list[bytes]()

    def next(self) -> bytes:
        """Return the next line, empty at the end of the file."""
        if self.waiting:
            return self.waiting.pop()
        return self._read(1)[0]

    def _read(self, count: int) -> list[bytes]:
        readline, lines = self.stream.readline, list[bytes]()
        for _ in range(count):
            line = readline(LONGEST_LINE)
            if len(line) == LONGEST_LINE:
                raise DataError(
                    f"it has a line of more than {LONGEST_LINE >> 20} MB, so it is not an extended XYZ file"
                )
            lines.append(line)
        return lines

    def take(self, count: int) -> list[bytes]:
        """Return this many lines, empty ones after the end of the file."""
        waiting = [self.waiting.pop() for _ in range(min(count, len(self.waiting)))]
        return waiting + self._read(count - len(waiting))

    def back(self, *lines: bytes) -> None:
        self.waiting.extend(line for line in reversed(lines) if line)

    def at_header(self) -> bool:
        """Whether a number of atoms and a comment with ``key=value`` (or the end) come next."""
        first, second = self.next(), self.next()
        self.back(first, second)
        return not first or (_atom_count(first) is not None and (b"=" in second or not second.strip()))


def raw_frames(stream: Lines, name: str, index: int = 0) -> Iterator[RawFrame]:
    """Split a binary stream into frames; damaged ones come out with their damage named.

    ``index`` is the number of the first of them in the file ``name``.
    """
    lines = _Lines(stream)
    first = lines.next()
    lines.back(first if index else first.removeprefix(b"\xef\xbb\xbf"))
    while header := lines.next():
        if header.strip():
            yield _raw_frame(header, lines, f"{name}, frame {index}")
            index += 1


def _raw_frame(header: bytes, lines: _Lines, source: str) -> RawFrame:
    frame = RawFrame(source, [header], [])
    count = _atom_count(header)
    if count is None:
        frame.damage = f"it should begin with its number of atoms but begins with {shown(header)}"
        return _to_next_header(frame, lines)
    comment = lines.next()
    lines.back(comment)
    if not comment or (_atom_count(comment) is not None and lines.at_header()):
        frame.damage = "nothing comes after its number of atoms; the frame is cut off"
        return frame
    frame.lines.append(lines.next())
    while len(frame.rows) < count:
        read = lines.take(min(count - len(frame.rows), LINES_AT_ONCE))
        rows = [line.split() for line in read]
        # One word alone is the next frame's number of atoms.
        end = next((i for i, row in enumerate(rows) if len(row) < 2), len(rows))
        frame.lines += read[:end]
        frame.rows += rows[:end]
        if end < len(rows):
            lines.back(*read[end:])
            where = "the next frame or an empty line comes" if read[end] else "the file ends"
            frame.damage = f"it should have {count} atoms but {where} after {len(frame.rows)}; the frame is cut off"
            return _to_next_header(frame, lines)
    if cut := _cut_number(frame):
        frame.damage = f"the file ends within its last number, {cut}; the frame is cut off"
        return frame
    following = lines.next()
    lines.back(following)
    # Anything but another atom is the damaged start of the next frame.
    if frame.rows and len(following.split()) == len(frame.rows[-1]):
        frame.damage = f"it should have {count} atoms but {shown(following)} follows; correct the number of atoms"
        return _to_next_header(frame, lines)
    return frame


def _cut_number(frame: RawFrame) -> str | None:
    """Return the last word of a file without a last line end if its number has fewer digits than all above it.

    One digit less may be a zero that was not written, and changes nothing.
    """
    if frame.lines[-1].endswith(b"\n") or len(frame.rows) < 2:
        return None
    last, *above = (_decimals(row[-1]) for row in reversed(frame.rows))
    return shown(frame.rows[-1][-1]) if last < min(above) - 1 and min(above) >= WRITTEN else None


def _decimals(word: bytes) -> int:
    """Return how many digits come after the point; any number of them is left out of a zero."""
    return 99 if word in (b"0.0", b"-0.0") else len(word.partition(b".")[2].lower().partition(b"e")[0])


def _to_next_header(frame: RawFrame, lines: _Lines) -> RawFrame:
    while not lines.at_header():
        frame.lines.append(lines.next())
    return frame


def _atom_count(line: bytes) -> int | None:
    word = line.strip()
    return int(word) if word.isdigit() and len(word) < 19 else None


def format_frame(frame: Frame, columns: Mapping[str, Array] | None = None) -> str:
    """Return a frame as extended XYZ, every float with the digits that bring it back exactly.

    What is fixed, masses and velocities are written as ASE does: ``move_mask``, ``masses`` and ``momenta``.

    Parameters
    ----------
    frame
        The structure and its labels.
    columns
        Further vectors of each atom by name, shape (N, 3); ``velocities`` take the place of the frame's own.

    Raises
    ------
    DataError
        If a key of ``info`` would be read back as a label or as something else.
    """
    from ase.data import chemical_symbols

    reals, flags = _reals(frame, columns or {}), marks_of_motion(frame)
    properties = [f":{name}:R:{values.shape[1]}" for name, values in reals.items()]
    properties += [f":{name}:L:{values.shape[1]}" for name, values in flags.items()]
    words = [[chemical_symbols[z], *map(repr, row)] for z, row in zip(frame.numbers, _rows(reals), strict=True)]
    if flags:
        words = [[*first, *("FT"[flag] for flag in row)] for first, row in zip(words, _rows(flags), strict=True)]
    comment = [f'Lattice="{_joined(frame.cell)}"'] if frame.cell.any() else []
    comment.append(f"Properties=species:S:1{''.join(properties)}")
    comment.append('pbc="{}"'.format(" ".join("FT"[bool(p)] for p in frame.pbc)))
    if frame.energy is not None:
        comment.append(f"energy={float(frame.energy)!r}")
    if frame.stress is not None:
        comment.append(f'stress="{_joined(frame.stress)}"')
    # Last, because some readers leave out what comes after a text that they do not understand.
    comment += [f"{quoted(k)}={value_text(v)}" for k, v in _writable(frame.info, frame.source).items()]
    return "\n".join([str(len(frame)), " ".join(comment), *map(" ".join, words), ""])


def _reals(frame: Frame, columns: Mapping[str, Array]) -> dict[str, Array]:
    """Return the columns of numbers by name, each (N, width)."""
    motion = columns_of_motion(frame)
    if "velocities" in columns:
        motion.pop("momenta", None)
    forces = {} if frame.forces is None else {"forces": frame.forces}
    return {"pos": frame.positions} | forces | motion | dict(columns)


def _rows(columns: Mapping[str, np.ndarray[Any, Any]]) -> list[list[Any]]:
    rows: list[list[Any]] = np.hstack(list(columns.values())).tolist()
    return rows


def _writable(info: Mapping[str, Any], source: str) -> Mapping[str, Any]:
    for key in info:
        if is_label_name(key) or key.lower() in (*RESERVED, "cell"):
            raise DataError(f"{source}: the info key {key!r} would be read back with another meaning; rename it")
    return info


def _joined(values: np.ndarray[Any, Any]) -> str:
    return " ".join(map(repr, values.ravel().tolist()))
