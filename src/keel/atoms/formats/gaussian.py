"""Gaussian's forces, which are in the orientation of the input, beside positions that ASE may read in another one.

Gaussian prints positions in the standard orientation too, which is rotated against that of the input unless the job
says ``nosymm``. Of a job that prints no other, ASE 3.29 returns positions and forces of two orientations, and logs so
(ase/io/gaussian.py). See https://gaussian.com/symmetry.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keel.atoms.record import Record

ROTATED = (
    "forces in the input orientation beside positions in the standard orientation, which is rotated: the forces are "
    "not used (run Gaussian with nosymm)"
)
INPUT, STANDARD = ("Input orientation:", "Z-Matrix orientation:"), "Standard orientation:"
NOT_ROTATED = "Symmetry turned off"
HEAD = 4
"""Number of lines between the name of a table and its first row."""
_ATOM = re.compile(r"\s*\d+\s+-?\d+\s+(?:\S+\s+)?(\S+)\s+(\S+)\s+(\S+)\s*$")
Positions = tuple[tuple[float, ...], ...]


def in_input_orientation(lines: list[str]) -> frozenset[Positions]:
    """Return the positions that an output prints in the orientation of its forces."""
    return frozenset(_tables(lines))


def _tables(lines: list[str]) -> Iterator[Positions]:
    same, waiting = False, iter(lines)
    for line in waiting:
        word = line.strip()
        if word.startswith("#"):
            same = "nosym" in word.lower()
        elif NOT_ROTATED in word:
            same = True
        elif word in INPUT or (same and word == STANDARD):
            yield tuple(_rows(islice(waiting, HEAD, None)))


def _rows(lines: Iterable[str]) -> Iterator[tuple[float, ...]]:
    for line in lines:
        if (found := _ATOM.match(line)) is None:
            return
        if line.split()[1] != "-2":  # A vector of the cell.
            yield tuple(map(float, found.groups()))


def without_rotated_forces(record: Record, given: frozenset[Positions]) -> Record:
    """Return what an output says of a structure, without forces in another orientation than its positions."""
    if "forces" in record.arrays and tuple(map(tuple, record.positions.tolist())) not in given:
        del record.arrays["forces"]
        record.remarks = (*record.remarks, ROTATED)
    return record
