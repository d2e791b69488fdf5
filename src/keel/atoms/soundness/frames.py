"""What cannot be real is refused, what is unlikely is reported: checks of single frames and of whole data sets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keel.atoms.elements import COVALENT_RADII, pair_name
from keel.atoms.frame import Array, Frame
from keel.atoms.neighbours import neighbour_list
from keel.atoms.remarks import files_of
from keel.errors import DataError, in_python

CLOSEST_APPROACH = 0.1
"""Angstrom. Two atoms closer than this coincide: a doubled atom or a wrong cell, whatever the physics."""
OVERLAP = 0.5
"""In units of the sum of covalent radii. Closer pairs do not occur in solids or molecules, only in collisions."""
SMALLEST_VOLUME = 0.5
"""Angstrom^3 per atom; hydrogen at 500 GPa has about 1."""
LARGEST_LENGTH = 1e6
"""Angstrom; longer cells and coordinates leave too few digits for distances."""
SMALLEST_HEIGHT = 0.1
"""Angstrom between opposite faces; a flatter cell has too many images within a cutoff for a neighbour list."""
FEWEST = 10
"""Number of frames of one composition from which their energies are judged."""
FEWEST_OF_A_FILE = 5
"""The same of each level of energy, where no file has frames of both."""
_SEARCH_RADIUS = 2.0  # A neighbour list of a smaller radius takes longer, for its many empty cells.


def unnamed(label: str) -> str:
    """Return what to do about a label that is not found."""
    keys = in_python(f"LabelKeys({label}=...)")
    return f"if the name is unusual give {keys}`keel census FILE --{label}-key NAME --write OUT`"


def check_frame(frame: Frame, require: Iterable[str] = ()) -> None:
    """Refuse a frame that cannot be used.

    Raises
    ------
    DataError
        If it has no atoms, anything in it is not finite, a label has the wrong shape or a required one is absent, it
        has no volume in a periodic direction, or two atoms coincide.
    """
    problem = (
        _not_real(frame)
        or _wrong_shape(frame)
        or _absent(frame, require)
        or _bad_cell(frame)
        or _atoms_in_one_place(frame)
    )
    if problem:
        raise DataError(f"{frame.source}: {problem}")


def _not_real(frame: Frame) -> str | None:
    if not len(frame):
        return "it has no atoms"
    if not ((frame.numbers > 0) & (frame.numbers <= 118)).all():
        return "it has an atomic number that is not a chemical element"
    for name in ("cell", "positions", "energy", "forces", "stress"):
        value = getattr(frame, name)
        if value is not None and not np.isfinite(value).all():
            where = ""
            if np.ndim(value) == 2 and name in ("positions", "forces"):
                where = f" at atom {int(np.argmin(np.isfinite(value).all(axis=1)))}"
            return (
                f"its {name} {'are' if name in ('positions', 'forces') else 'is'} not finite (NaN or infinite){where}"
            )
    return None


def _wrong_shape(frame: Frame) -> str | None:
    for name, shape in (("positions", (len(frame), 3)), ("forces", (len(frame), 3)), ("stress", (3, 3))):
        value = getattr(frame, name)
        if value is not None and np.shape(value) != shape:
            return f"its {name} have the shape {np.shape(value)} but should have {shape}"
    return None


def _absent(frame: Frame, require: Iterable[str]) -> str | None:
    for label in require:
        if getattr(frame, label) is None:
            skip = f"`keel census FILE --require {label} --skip-bad BAD --write OUT`"
            return f"it has no {label}; {unnamed(label)}, or leave such frames out ({skip})"
    return None


def _bad_cell(frame: Frame) -> str | None:
    longest = max(np.abs(frame.cell).max(), np.abs(frame.positions).max())
    if longest > LARGEST_LENGTH:
        return f"it has a cell or coordinates of {longest:.3g} angstrom; check the unit of length"
    periodic = frame.cell[frame.pbc]
    if not periodic.any(axis=1).all():
        return "it is periodic but has no cell in that direction; give a Lattice or set pbc to F"
    if frame.pbc.any():
        return _bad_shape(periodic) or _bad_volume(frame)
    return None


def _bad_shape(periodic: Array) -> str | None:
    singular = np.linalg.svd(periodic, compute_uv=False)
    if singular[-1] < 1e-12 * singular[0]:
        return "its cell has no volume; correct the Lattice"
    # No face is nearer to its opposite than the smallest singular value.
    if (
        singular[-1] < SMALLEST_HEIGHT
        and (1.0 / np.linalg.norm(np.linalg.pinv(periodic), axis=0)).min() < SMALLEST_HEIGHT
    ):
        return f"its cell is flatter than {SMALLEST_HEIGHT} angstrom; correct the Lattice or reduce it (ase.build)"
    return None


def _bad_volume(frame: Frame) -> str | None:
    if not frame.pbc.all():
        return None
    # A left-handed cell describes the same crystal as the one with two vectors exchanged.
    volume = frame.volume
    if volume < SMALLEST_VOLUME * len(frame):
        keys = in_python("LabelKeys(length_unit='nm')")
        return (
            f"its cell has {volume / len(frame):.3g} angstrom^3 per atom; check the Lattice and its unit "
            f"(nanometres: {keys}`keel census FILE --length-unit nm --write OUT`)"
        )
    stated = frame.info.get("volume", 1.0)
    if isinstance(stated, int | float) and stated <= 0:
        return f"it says volume={stated:g} but its cell has {volume:g} angstrom^3; correct or remove it"
    return None


def _atoms_in_one_place(frame: Frame) -> str | None:
    i, j, distances = pairs_within(frame, _SEARCH_RADIUS)
    nearest = int(np.argmin(distances)) if len(distances) else -1
    if nearest < 0 or distances[nearest] >= CLOSEST_APPROACH:
        return None
    return (
        f"atoms {i[nearest]} and {j[nearest]} overlap ({distances[nearest]:.3g} angstrom apart); "
        "remove the doubled atom or correct the cell"
    )


def pairs_within(frame: Frame, cutoff: float) -> tuple[NDArray[np.int64], NDArray[np.int64], Array]:
    """Return i, j and the distance in angstrom of every pair closer than ``cutoff``, images included, each (P,)."""
    (i, j), shifts = neighbour_list(frame.positions, frame.cell, frame.pbc, cutoff, half_list=True)
    vectors = frame.positions[j] + shifts @ frame.cell - frame.positions[i]
    return i, j, np.linalg.norm(vectors, axis=1)


@dataclass(frozen=True)
class Closest:
    """The nearest pair of a frame in angstrom and in units of the sum of its covalent radii."""

    distance: float
    ratio: float
    pair: str


def closest_pair(frame: Frame, cutoff: float = 3.0) -> Closest | None:
    """Return the pair of atoms that overlaps most, or None if no two atoms are within ``cutoff`` angstrom."""
    i, j, distances = pairs_within(frame, cutoff)
    if not len(distances):
        return None
    a, b = frame.numbers[i], frame.numbers[j]
    ratios = distances / (COVALENT_RADII[a] + COVALENT_RADII[b])
    worst = int(np.argmin(ratios))
    return Closest(float(distances.min()), float(ratios[worst]), pair_name(int(a[worst]), int(b[worst])))


def energy_outliers(frames: Sequence[Frame], deviations: float = 12.0, floor: float = 0.3) -> list[tuple[Frame, float]]:
    """Return frames whose energy per atom lies far outside the rest of their composition, with the distance in eV/atom.

    Far is more than ``deviations`` robust standard deviations (1.4826 x median absolute deviation) and more than
    ``floor`` eV/atom from the median; compositions of fewer than ten frames are not judged.
    """
    found = []
    for members, energies in _per_atom(frames):
        offsets = energies - np.median(energies)
        limit = max(floor, deviations * 1.4826 * float(np.median(np.abs(offsets))))
        found += [(members[k], float(offsets[k])) for k in np.flatnonzero(np.abs(offsets) > limit)]
    return found


@dataclass(frozen=True)
class TwoLevels:
    """Frames of one composition whose energies form two groups, and the empty interval between them in eV/atom."""

    lower: Sequence[Frame]
    upper: Sequence[Frame]
    gap: float


def energy_levels(frames: Sequence[Frame], widths: float = 3.0, floor: float = 1.0) -> list[TwoLevels]:
    """Return compositions whose energies are of two groups, as those of two codes, pseudopotentials or zeros are.

    No energy lies in the largest interval, which is wider than ``floor`` eV/atom and than ``widths`` times either
    group; each has ten frames, and the volumes per atom overlap: atoms apart and atoms in bulk are two groups too. If
    no file has frames of both, five frames are enough, and one time less.
    """
    known = [f.energy / len(f) for f in frames if f.energy is not None]
    if not known or max(known) - min(known) < floor:
        return []
    found = []
    for members, energies in _per_atom(frames):
        order = np.argsort(energies)
        split = int(np.argmax(np.diff(energies[order]))) + 1
        parts = order[:split], order[split:]
        gap = float(energies[parts[1][0]] - energies[parts[0][-1]])
        widest = max(float(np.ptp(energies[part])) for part in parts)
        lower, upper = ([members[k] for k in part.tolist()] for part in parts)
        # That no file has frames of both is a sign of its own.
        apart = files_of(lower).keys().isdisjoint(files_of(upper))
        if gap < max(floor, (widths - apart) * widest):
            continue
        if min(len(lower), len(upper)) < (FEWEST_OF_A_FILE if apart else FEWEST):
            continue
        ranges = [[f.volume / len(f) for f in part if f.pbc.all()] or [0.0] for part in (lower, upper)]
        if max(map(min, ranges)) <= min(map(max, ranges)):
            found.append(TwoLevels(lower, upper, gap))
    return found


def _per_atom(frames: Sequence[Frame]) -> Iterator[tuple[list[Frame], Array]]:
    """Yield the frames with energies of every composition that has at least ten, and their energies in eV/atom."""
    groups: dict[tuple[tuple[int, int], ...], list[Frame]] = defaultdict(list)
    for frame in frames:
        if frame.energy is not None:
            groups[composition(frame)].append(frame)
    for members in groups.values():
        if len(members) >= FEWEST:
            yield members, np.array([f.energy / len(f) for f in members if f.energy is not None])


def composition(frame: Frame) -> tuple[tuple[int, int], ...]:
    """Return the reduced composition: (atomic number, count) of each element, counts without a common divisor."""
    numbers, counts = np.unique(frame.numbers, return_counts=True)
    counts //= np.gcd.reduce(counts)
    return tuple(zip(numbers.tolist(), counts.tolist(), strict=True))
