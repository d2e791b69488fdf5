"""Extended XYZ, read as a stream and checked line by line, written so that every digit comes back.

A damaged frame does not hide the next one: the reader finds the next header (a number of atoms followed by a
comment line with ``key=value``) and goes on from there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import IO, Any

import numpy as np

from keel.atoms.formats.comment import parse_comment, quoted, value_text
from keel.atoms.frame import Array, Frame
from keel.atoms.label_names import is_label_name
from keel.atoms.mobility import columns_of_motion, marks_of_motion
from keel.atoms.record import Record
from keel.errors import DataError

LONGEST_LINE = 1 << 24
"""Bytes; a longer line is not text that anybody wrote as extended XYZ."""

_RESERVED = frozenset({"Lattice", "Properties", "pbc"})
_LOGICAL = {b"T": True, b"TRUE": True, b"1": True, b"F": False, b"FALSE": False, b"0": False}


@dataclass
class RawFrame:
    """The lines of one frame as they stand in the file, and what is wrong with their number, if anything is."""

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
        try:
            if self.damage:
                raise DataError(self.damage)
            return _record(self.lines[1], self.rows, self.source)
        except DataError as error:
            raise DataError(f"{self.source}: {error}") from None


class _Lines:
    """Lines of a binary stream with a way to put some back."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream, self.waiting = stream, list[bytes]()

    def next(self) -> bytes:
        """Return the next line, empty at the end of the file."""
        if self.waiting:
            return self.waiting.pop()
        line = self.stream.readline(LONGEST_LINE)
        if len(line) == LONGEST_LINE:
            raise DataError(f"it has a line of more than {LONGEST_LINE >> 20} MB, so it is not an extended XYZ file")
        return line

    def back(self, *lines: bytes) -> None:
        self.waiting.extend(line for line in reversed(lines) if line)

    def at_header(self) -> bool:
        """Whether a number of atoms and a comment with ``key=value`` (or the end) come next."""
        first, second = self.next(), self.next()
        self.back(first, second)
        return not first or (_atom_count(first) is not None and (b"=" in second or not second.strip()))


def raw_frames(stream: IO[bytes], name: str) -> Iterator[RawFrame]:
    """Split a binary stream into frames; damaged ones come out with their damage named."""
    lines = _Lines(stream)
    first = lines.next()
    lines.back(first.removeprefix(b"\xef\xbb\xbf"))
    index = 0
    while header := lines.next():
        if header.strip():
            yield _raw_frame(header, lines, f"{name}, frame {index}")
            index += 1


def _raw_frame(header: bytes, lines: _Lines, source: str) -> RawFrame:
    frame = RawFrame(source, [header], [])
    count = _atom_count(header)
    if count is None:
        frame.damage = f"it should begin with its number of atoms but begins with {_shown(header)}"
        return _to_next_header(frame, lines)
    comment = lines.next()
    lines.back(comment)
    if not comment or (_atom_count(comment) is not None and lines.at_header()):
        frame.damage = "nothing comes after its number of atoms; the frame is cut off"
        return frame
    frame.lines.append(lines.next())
    for _ in range(count):
        line = lines.next()
        row = line.split()
        # One word alone is the next frame's number of atoms.
        if len(row) < 2:
            lines.back(line)
            where = "the file ends" if not line else "the next frame or an empty line comes"
            frame.damage = f"it should have {count} atoms but {where} after {len(frame.rows)}; the frame is cut off"
            return _to_next_header(frame, lines)
        frame.lines.append(line)
        frame.rows.append(row)
    following = lines.next()
    lines.back(following)
    # Anything but another atom is the damaged start of the next frame.
    if frame.rows and len(following.split()) == len(frame.rows[-1]):
        frame.damage = f"it should have {count} atoms but {_shown(following)} follows; correct the number of atoms"
        return _to_next_header(frame, lines)
    return frame


def _to_next_header(frame: RawFrame, lines: _Lines) -> RawFrame:
    while not lines.at_header():
        frame.lines.append(lines.next())
    return frame


def _atom_count(line: bytes) -> int | None:
    word = line.strip()
    return int(word) if word.isdigit() and len(word) < 19 else None


def _shown(line: bytes) -> str:
    text = line[:30].decode("ascii", "backslashreplace").rstrip()
    return repr(text + ("..." if len(line) > 30 else ""))


def _record(comment: bytes, rows: list[list[bytes]], source: str) -> Record:
    if not rows:
        raise DataError("it has no atoms")
    try:
        info = parse_comment(comment.decode("utf-8").strip())
    except UnicodeDecodeError:
        raise DataError("its comment line is not UTF-8 text") from None
    cell = _cell(info)
    pbc = _pbc(info, default=bool(cell.any()))
    arrays = _columns(str(info.pop("Properties", "species:S:1:pos:R:3")), rows)
    if "pos" not in arrays or np.shape(arrays["pos"]) != (len(rows), 3):
        raise DataError("its Properties have no pos:R:3")
    positions = arrays.pop("pos")
    return Record(_numbers(arrays), positions, cell, pbc, info, arrays, source)


def _cell(info: dict[str, Any]) -> np.ndarray[Any, Any]:
    misspelt = [k for k in info if k.lower() in ("lattice", "cell", "properties") and k not in _RESERVED]
    if misspelt:
        raise DataError(f"the key {misspelt[0]!r} is not understood; call it Lattice or Properties")
    lattice = np.asarray(info.pop("Lattice", np.zeros(9)))
    if lattice.shape != (9,) or lattice.dtype.kind not in "if":
        raise DataError(f"its Lattice should be nine numbers, not {str(lattice)[:40]!r}")
    return lattice.astype(np.float64).reshape(3, 3)


def _pbc(info: dict[str, Any], default: bool) -> np.ndarray[Any, np.dtype[np.bool_]]:
    pbc = np.asarray(info.pop("pbc", [default] * 3))
    if pbc.dtype.kind in "i" and set(pbc.ravel().tolist()) <= {0, 1}:
        pbc = pbc.astype(bool)
    if pbc.dtype != bool or pbc.size not in (1, 3):
        raise DataError(f'its pbc should be like "T T F", not {str(pbc)[:40]!r}')
    return np.broadcast_to(pbc.ravel(), 3).copy()


def _numbers(arrays: dict[str, Any]) -> np.ndarray[Any, np.dtype[np.int64]]:
    from ase.data import atomic_numbers

    if "species" in arrays:
        arrays.pop("Z", None)
        species = arrays.pop("species")
        numbers = [atomic_numbers.get(s, 0) for s in species]
    elif "Z" in arrays:
        species = arrays.pop("Z")
        numbers = [int(z) if 0 < z <= 118 else 0 for z in species]
    else:
        raise DataError("its Properties have neither species:S:1 nor Z:I:1")
    if 0 in numbers:
        atom = numbers.index(0)
        raise DataError(f"atom {atom} is {species[atom]!r}, which is not a chemical element")
    return np.array(numbers, dtype=np.int64)


def _columns(properties: str, rows: list[list[bytes]]) -> dict[str, Any]:
    """Return the per-atom arrays that ``Properties=name:type:columns:...`` promises."""
    fields = properties.split(":")
    names, kinds, widths = fields[::3], fields[1::3], fields[2::3]
    well_formed = len(fields) % 3 == 0 and all(w.isdigit() and 0 < int(w) < 1000 for w in widths)
    if not well_formed or not set(kinds) <= set("RISL") or len(set(names)) < len(names):
        raise DataError(f"its Properties={properties[:60]!r} should be like species:S:1:pos:R:3:forces:R:3")
    total = sum(map(int, widths))
    if set(map(len, rows)) != {total}:
        atom, row = next((i, r) for i, r in enumerate(rows) if len(r) != total)
        raise DataError(f"atom {atom} has {len(row)} columns but Properties promises {total}")
    arrays, start = {}, 0
    for name, kind, width in zip(names, kinds, map(int, widths), strict=True):
        arrays[name] = _column(name, kind, [row[start : start + width] for row in rows], width)
        start += width
    return arrays


def _column(name: str, kind: str, rows: list[list[bytes]], width: int) -> Any:
    words = chain.from_iterable(rows)
    try:
        if kind == "R":
            values: Any = np.fromiter(map(float, words), np.float64, len(rows) * width)
        elif kind == "I":
            values = np.fromiter(map(int, words), np.int64, len(rows) * width)
        elif kind == "L":
            values = np.array([_LOGICAL[word.upper()] for word in words])
        else:
            values = [word.decode("ascii") for word in words]
    except (ValueError, KeyError, OverflowError):
        raise DataError(_culprit(name, kind, rows)) from None
    return values if width == 1 else np.reshape(values, (len(rows), width))


def _culprit(name: str, kind: str, rows: list[list[bytes]]) -> str:
    convert: Any = {"R": float, "I": int, "L": lambda word: _LOGICAL[word.upper()]}.get(kind, bytes.decode)
    for atom, row in enumerate(rows):
        for word in row:
            try:
                convert(word)
            except (ValueError, KeyError):
                wanted = {"R": "a number", "I": "a whole number", "L": "T or F"}.get(kind, "text")
                return f"the {name} of atom {atom} is {_shown(word)}, which is not {wanted}"
    return f"the column {name} is out of range"


def format_frame(frame: Frame, columns: Mapping[str, Array] | None = None) -> str:
    """Return a frame as extended XYZ, every float with the digits that bring it back exactly.

    Parameters
    ----------
    frame
        The structure, its labels, and what it says of motion, under ASE's names.
    columns
        Further vectors of each atom by name, shape (N, 3).

    Raises
    ------
    DataError
        If a key of ``info`` would be read back as a label.
    """
    vectors = (
        {"pos": frame.positions} | ({} if frame.forces is None else {"forces": frame.forces}) | dict(columns or {})
    )
    reals, marks = vectors | columns_of_motion(frame), marks_of_motion(frame)
    properties = "species:S:1" + "".join(f":{k}:R:{v.shape[1]}" for k, v in reals.items())
    properties += "".join(f":{k}:L:{v.shape[1]}" for k, v in marks.items())
    comment = [f'Lattice="{_joined(frame.cell)}"'] if frame.cell.any() else []
    comment.append(f"Properties={properties}")
    comment += [f"{quoted(k)}={value_text(v)}" for k, v in _writable(frame.info, frame.source).items()]
    if frame.energy is not None:
        comment.append(f"energy={float(frame.energy)!r}")
    if frame.stress is not None:
        comment.append(f'stress="{_joined(frame.stress)}"')
    comment.append('pbc="{}"'.format(" ".join("T" if p else "F" for p in frame.pbc)))
    from ase.data import chemical_symbols

    rows = np.hstack(list(reals.values())).tolist()
    atoms = [f"{chemical_symbols[z]} {' '.join(map(repr, row))}" for z, row in zip(frame.numbers, rows, strict=True)]
    if marks:
        ends = np.where(np.hstack(list(marks.values())), "T", "F").tolist()
        atoms = [f"{atom} {' '.join(end)}" for atom, end in zip(atoms, ends, strict=True)]
    return "\n".join([str(len(frame)), " ".join(comment), *atoms, ""])


def _writable(info: Mapping[str, Any], source: str) -> Mapping[str, Any]:
    for key in info:
        if is_label_name(key) or key in _RESERVED:
            raise DataError(f"{source}: the info key {key!r} would be read back as something else; rename it")
    return info


def _joined(values: np.ndarray[Any, Any]) -> str:
    return " ".join(map(repr, values.ravel().tolist()))
