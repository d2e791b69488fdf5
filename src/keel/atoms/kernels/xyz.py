"""Extended XYZ as machine code: limits of frames, values of their columns, and whether these are possible."""

from __future__ import annotations

from typing import Any

import numpy as np

from keel.atoms.kernels.decimals import real
from keel.jit import exact_kernel

SPECIES, POSITION, FORCE, REAL, WHOLE = 0, 1, 4, 7, 8
"""Kinds of columns; the three of positions and of forces follow each other."""


@exact_kernel
def blank(c: Any) -> Any:
    """Return whether a byte is white space."""
    return c == 32 or 9 <= c <= 13


@exact_kernel
def count_in(text: Any, start: Any, end: Any) -> Any:
    """Return the whole number that is alone in a line; -1 where the line is blank, -2 where something else is there."""
    while start < end and blank(text[start]):
        start += 1
    while end > start and blank(text[end - 1]):
        end -= 1
    if start == end:
        return -1
    if end - start > 9:
        return -2
    number = 0
    for at in range(start, end):
        if text[at] < 48 or text[at] > 57:
            return -2
        number = 10 * number + int(text[at]) - 48
    return number


@exact_kernel
def has_two_words(text: Any, start: Any, end: Any) -> Any:
    """Return whether a line has two words or more."""
    while start < end and blank(text[start]):
        start += 1
    while start < end and not blank(text[start]):
        start += 1
    while start < end and blank(text[start]):
        start += 1
    return start < end


@exact_kernel
def split_frames(text: Any, ends: Any, last: bool, found: Any) -> Any:
    """Find the frames of a text whose lines end at ``ends``.

    Writes the first line and the number of atoms of each into ``found`` (n, 2). Returns how many there are, the line
    after them, and whether what comes next is unlike a frame, or the last one may be unlike one. The ``last`` text has
    nothing behind it.
    """
    frames, line, n_lines = 0, 0, len(ends)
    while line < n_lines and frames < len(found):
        begin = ends[line - 1] + 1 if line else 0
        atoms = count_in(text, begin, ends[line])
        if atoms == -1:
            line += 1
            continue
        if atoms <= 0:
            return max(frames - 1, 0), found[max(frames - 1, 0), 0] if frames else line, True
        if line + 1 + atoms >= n_lines:
            return frames, line, last
        if count_in(text, ends[line] + 1, ends[line + 1]) >= 0:
            return frames, line, True
        for row in range(line + 2, line + 2 + atoms):
            if not has_two_words(text, ends[row - 1] + 1, ends[row]):
                return frames, line, True
        found[frames, 0], found[frames, 1] = line, atoms
        frames += 1
        line += 2 + atoms
    return frames, line, False


@exact_kernel
def read_rows(text: Any, starts: Any, kinds: Any, elements: Any, numbers: Any, positions: Any, forces: Any) -> Any:
    """Read the rows of one frame, each from its start to the next; returns whether it is certainly valid.

    ``kinds`` is the kind of each column, ``elements`` the atomic number of a symbol by its two bytes.
    """
    for atom in range(len(numbers)):
        at, end, column = starts[atom], starts[atom + 1], 0
        while True:
            while at < end and blank(text[at]):
                at += 1
            if at == end:
                break
            first = at
            while at < end and not blank(text[at]):
                at += 1
            if column == len(kinds):
                return False
            kind = kinds[column]
            if kind == SPECIES:
                if at - first > 2:
                    return False
                numbers[atom] = elements[int(text[first]) + (256 * int(text[first + 1]) if at - first == 2 else 0)]
                if numbers[atom] == 0:
                    return False
            elif kind == WHOLE:
                begin = first + 1 if text[first] == 45 or text[first] == 43 else first
                if begin == at or at - begin > 18:
                    return False
                for k in range(begin, at):
                    if text[k] < 48 or text[k] > 57:
                        return False
            else:
                value, sure = real(text, first, at)
                if not sure:
                    return False
                if kind < FORCE:
                    positions[atom, kind - POSITION] = value
                elif kind < REAL:
                    forces[atom, kind - FORCE] = value
            column += 1
        if column != len(kinds):
            return False
    return True


@exact_kernel
def reals_between(text: Any, start: Any, end: Any, found: Any) -> Any:
    """Write the numbers between two places of a text; returns how many there are, -1 if that is uncertain."""
    at, count = start, 0
    while True:
        while at < end and blank(text[at]):
            at += 1
        if at == end:
            return count
        first = at
        while at < end and not blank(text[at]):
            at += 1
        value, sure = real(text, first, at)
        if not sure or count == len(found):
            return -1
        found[count] = value
        count += 1


@exact_kernel
def all_alike(values: Any) -> Any:
    """Return whether all numbers are one and the same."""
    return not np.any(values != values.flat[0])


ASYMMETRIC = 5e-3
"""Relative to the largest component; see :func:`keel.atoms.units.matrix_from_voigt`."""
FILLER = 99.0
"""The least of :data:`keel.atoms.labelling.numbers.FILLERS`."""
LONGEST, FLATTEST, LEAST_VOLUME, NEAREST = 1e4, 0.3, 0.5, 0.11
"""Angstrom, angstrom^3 per atom: structures within these limits need no closer look; see
:mod:`keel.atoms.soundness.frames`."""
MOST_ATOMS = 300
"""With more, a neighbour list is faster than all pairs."""


@exact_kernel
def surely_sound(positions: Any, cell: Any, periodic: Any) -> Any:
    """Return whether a structure, periodic in all directions or in none, is certainly sound.

    Where faces are 0.3 angstrom apart, two atoms that are closer than 0.11 differ by less than half a lattice vector in
    each direction, so that rounding finds the nearest image.
    """
    n = len(positions)
    if n > MOST_ATOMS:
        return False
    for i in range(n):
        for d in range(3):
            if not (abs(positions[i, d]) <= LONGEST):
                return False
    for a in range(3):
        for d in range(3):
            if not (abs(cell[a, d]) <= LONGEST):
                return False
    inverse = np.zeros((3, 3))
    if periodic:
        volume = 0.0
        for a in range(3):
            b, c = (a + 1) % 3, (a + 2) % 3
            for d in range(3):
                e, f = (d + 1) % 3, (d + 2) % 3
                inverse[d, a] = cell[b, e] * cell[c, f] - cell[b, f] * cell[c, e]
        for d in range(3):
            volume += cell[0, d] * inverse[d, 0]
        if not (abs(volume) > 1.01 * LEAST_VOLUME * n):
            return False
        for a in range(3):
            area = np.sqrt(inverse[0, a] ** 2 + inverse[1, a] ** 2 + inverse[2, a] ** 2)
            if not (abs(volume) > FLATTEST * area):
                return False
        inverse /= volume
    for i in range(n):
        for j in range(i):
            x = positions[i, 0] - positions[j, 0]
            y = positions[i, 1] - positions[j, 1]
            z = positions[i, 2] - positions[j, 2]
            if periodic:
                u = np.rint(x * inverse[0, 0] + y * inverse[1, 0] + z * inverse[2, 0])
                v = np.rint(x * inverse[0, 1] + y * inverse[1, 1] + z * inverse[2, 1])
                w = np.rint(x * inverse[0, 2] + y * inverse[1, 2] + z * inverse[2, 2])
                x -= u * cell[0, 0] + v * cell[1, 0] + w * cell[2, 0]
                y -= u * cell[0, 1] + v * cell[1, 1] + w * cell[2, 1]
                z -= u * cell[0, 2] + v * cell[1, 2] + w * cell[2, 2]
            if not (x * x + y * y + z * z > NEAREST**2):
                return False
    return True


@exact_kernel
def read_frame(
    text: Any, starts: Any, places: Any, kinds: Any, elements: Any, numbers: Any, positions: Any, forces: Any, box: Any
) -> Any:
    """Read a frame; returns -1 if something needs closer inspection, else the number of components of its stress.

    ``places`` (7,) has the places of cell, stress and energy in the text (first and last; equal: nowhere), and whether
    the frame is periodic in all directions (1), in none (0), or as it has a cell (2). ``box`` (19,) takes them.
    ``forces`` is empty where there are none.
    """
    cell, stress = box[:9], box[9:18]
    if places[5] > places[4] and reals_between(text, places[4], places[5], box[18:]) != 1:
        return -1
    size = 0
    if places[1] > places[0] and reals_between(text, places[0], places[1], cell) != 9:
        return -1
    periodic = places[6] == 1 or (places[6] == 2 and np.any(cell != 0.0))
    if places[3] > places[2]:
        size = reals_between(text, places[2], places[3], stress)
        if not periodic or (size != 6 and size != 9) or all_alike(stress[:size]):
            return -1
        if size == 9:
            square = stress.reshape((3, 3))
            if np.abs(square - square.T).max() > ASYMMETRIC * np.abs(stress).max():
                return -1
    if not read_rows(text, starts, kinds, elements, numbers, positions, forces):
        return -1
    for atom in range(len(forces)):
        if abs(forces[atom, 0]) >= FILLER and all_alike(forces[atom]):
            return -1
    if len(forces) and forces[0, 0] != 0.0 and all_alike(forces[0]) and all_alike(forces):
        return -1
    return size if surely_sound(positions, cell.reshape((3, 3)), periodic) else -1
