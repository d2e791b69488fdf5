"""Signs, sizes and order of forces and stresses, checked without energies: matter resists displacement and strain.

Between two frames of one group, displaced by u and strained by e, forces change by df and stresses by ds. Matter near
equilibrium is stiff: k = -(df . u)/(u . u) and K = (ds : e)/(e : e) are positive, and of a size that hardly depends on
the substance (Born and Huang, Dynamical Theory of Crystal Lattices (1954), sections 11 and 23).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from keel.atoms.frame import Array, Frame
from keel.atoms.soundness.readings import CONVENTIONS, option, stress_factor
from keel.atoms.soundness.steps import neighbours
from keel.atoms.units import GPA

SOFTEST, HARDEST = 0.05, 300.0
"""eV/angstrom^2 of the median pair: rare gases have 0.1 to 0.2, most matter 1 to 20, stiff molecules 50."""
SOFTEST_SOLID, USUAL_SOLID, HARDEST_SOLID = 0.5 * GPA, 100.0 * GPA, 3000.0 * GPA
"""Molecular crystals have about 5 GPa, diamond 1100."""
FEWEST = 10
MOST_STIFF, LEAST_STIFF = 0.75, 0.25
"""Shares of pairs with a positive stiffness: of sound forces more, of forces with the opposite sign fewer."""
FEWEST_MOVED = 2.5
"""Least number of atoms in a displacement; a single bond that is pulled apart is soft beyond its inflection."""
OPPOSITE_OR_MIXED = "the opposite sign or stand at other atoms"
"""Newton's third law: in a crystal the force on one atom is often opposite to that on the next in the file."""
SIGN_OR_ORDER = "(--forces-unit=-eV/angstrom; or check that forces and positions list the atoms in the same order)"
UNRELATED = 0.15
"""Mean cosine between forces and the push of the shortest contacts: of sound forces it is larger."""
SURE = 4.0
"""Number of standard errors by which another order of components must fit better."""

_OFF = ([1, 0, 0], [2, 2, 1])
"""Indices of yz, xz, xy."""


def doubtful_forces(frames: Sequence[Frame]) -> str | None:
    """Return what is wrong with the sign, size or order of the forces, as one sentence, or None."""
    labelled = [f for f in frames if f.forces is not None]
    found = np.array([k for a, b in neighbours(labelled) if (k := _stiffness(a, b)) is not None])
    if len(found) < FEWEST:
        return None
    share, median = float(np.mean(found > 0)), float(np.median(found))
    pushed = most_pushed(labelled) if share < MOST_STIFF else 1.0
    if share < LEAST_STIFF and pushed < 0.0:
        return (
            f"the forces have {OPPOSITE_OR_MIXED}: they push atoms further along their displacement in "
            f"{1 - share:.0%} of {len(found)} neighbouring frames {SIGN_OR_ORDER}"
        )
    if LEAST_STIFF < share < MOST_STIFF and pushed < UNRELATED:
        return (
            f"the forces do not match the atoms: they oppose displacements in only {share:.0%} of {len(found)} "
            "neighbouring frames; check that forces and positions list the atoms in the same order"
        )
    if share >= MOST_STIFF and not SOFTEST < median < HARDEST:
        small = median < SOFTEST
        unit = "hartree/bohr (--forces-unit hartree/bohr)" if small else "kcal/mol or kJ/mol (--forces-unit)"
        return (
            f"the forces are too {'small' if small else 'large'} for their structures: a displacement changes them by "
            f"{median:.3g} eV/angstrom^2, where matter has 0.1 to 50; they may be in {unit}"
        )
    return None


def doubtful_stress(frames: Sequence[Frame]) -> str | None:
    """Return what is wrong with the sign, size or order of components of the stress, as one sentence, or None."""
    labelled = [f for f in frames if f.stress is not None and f.pbc.all()]
    changes = list(_changes(labelled))
    if len(changes) < FEWEST:
        return None
    stress, strain = (np.array(values) for values in zip(*changes, strict=True))
    work, square = np.sum(stress * strain, axis=(1, 2)), np.sum(strain**2, axis=(1, 2))
    share, stiffness = float(np.mean(work > 0)), float(np.sum(work) / np.sum(square))
    if share < LEAST_STIFF and stiffness < 0:
        return (
            f"the stress has the opposite sign: it drops under tension in {1 - share:.0%} of {len(changes)} "
            f"neighbouring frames ({_conventions(stiffness, labelled)})"
        )
    # If thermal noise dominates (liquids at constant pressure) the signs are random, and the sum means nothing.
    if share >= MOST_STIFF and stiffness > 0 and not SOFTEST_SOLID < stiffness < HARDEST_SOLID:
        large = stiffness > HARDEST_SOLID
        return (
            f"the stress is too {'large' if large else 'small'}: a strain changes it by {stiffness / GPA:.3g} GPa, "
            f"where solids have 5 to 1000; say what it is ({_conventions(stiffness, labelled)})"
        )
    return another_order(np.stack([s[_OFF] for s in stress]), np.stack([e[_OFF] for e in strain]))


def _conventions(stiffness: float, frames: Sequence[Frame]) -> str:
    """Return the options with which the stiffness would be that of a solid, the likeliest first."""
    given, volume = frames[0].read_in.get("stress", "ase"), float(np.median([f.volume for f in frames]))
    read_so = {c: stiffness * stress_factor(c, volume) / stress_factor(given, volume) for c in CONVENTIONS}
    off = {c: abs(np.log(value / USUAL_SOLID)) for c, value in read_so.items() if SOFTEST_SOLID < value < HARDEST_SOLID}
    return " or ".join(map(option, sorted(off, key=lambda c: off[c])[:3])) or "--stress-convention"


def another_order(given: Array, expected: Array) -> str | None:
    """Report that yz, xz, xy are in another order, if another fits ``expected`` better; both (F, 3).

    Each frame votes with the cosine between what it has and what is expected, so that none outvotes all.
    """
    sizes = np.linalg.norm(given, axis=1) * np.linalg.norm(expected, axis=1)
    sheared = np.linalg.norm(expected, axis=1) > 1e-9 + 0.1 * np.sqrt(np.mean(np.sum(expected**2, axis=1)))
    sheared &= sizes > 0
    if sheared.sum() < FEWEST:
        return None
    given, expected, sizes = given[sheared], expected[sheared], sizes[sheared, None]
    votes = {order: np.sum(given[:, order] * expected / sizes, axis=1) for order in permutations(range(3))}
    as_it_is = votes.pop((0, 1, 2))
    order = max(votes, key=lambda o: float(votes[o].mean()))
    better = votes[order] - as_it_is
    error = float(better.std() / np.sqrt(len(better)))
    if -as_it_is.mean() >= votes[order].mean():
        return None  # The opposite sign explains it as well.
    if better.mean() <= SURE * error or votes[order].mean() <= 2.0 * max(float(as_it_is.mean()), 0.0):
        return None
    names = [("yz", "xz", "xy")[k] for k in order]
    return (
        f"the stress has its components in another order: the values given as {' '.join(names)} behave as yz xz xy "
        "(six "
        "numbers must be xx yy zz yz xz xy; VASP writes xx yy zz xy yz xz)"
    )


def most_pushed(frames: Sequence[Frame]) -> float:
    """Return the mean of :func:`contact_cosines` and two standard errors; minus one if there are too few frames."""
    cosines = contact_cosines(frames[:: max(1, len(frames) // 300)])
    if len(cosines) < FEWEST:
        return -1.0
    return float(cosines.mean() + 2.0 * cosines.std() / np.sqrt(len(cosines)))


def contact_cosines(frames: Sequence[Frame], least_force: float = 0.3, cutoff: float = 4.5) -> NDArray[np.float64]:
    """Return the cosine between the forces of each frame and the push of its shortest contacts.

    The push on atom i is -sum_j u_ij exp[-20 (x_ij - min x)], x the distance in units of the sum of covalent radii: it
    counts only contacts that are about the shortest of the frame, which repel each other in any matter out of
    equilibrium. Frames whose root mean square force is below ``least_force`` eV/angstrom are left out.
    """
    from keel.atoms.elements import COVALENT_RADII
    from keel.atoms.neighbours import neighbour_list

    cosines = []
    for frame in frames:
        if frame.forces is None or np.sqrt(np.mean(frame.forces**2)) < least_force:
            continue
        (i, j), shifts = neighbour_list(frame.positions, frame.cell, frame.pbc, cutoff, half_list=True)
        if not len(i):
            continue
        vectors = frame.positions[j] + shifts @ frame.cell - frame.positions[i]
        r = np.linalg.norm(vectors, axis=1)
        x = r / (COVALENT_RADII[frame.numbers[i]] + COVALENT_RADII[frame.numbers[j]])
        push = (np.exp(-20.0 * (x - x.min())) / r)[:, None] * vectors
        total = np.zeros_like(frame.forces)
        np.add.at(total, i, -push)
        np.add.at(total, j, push)
        size = np.linalg.norm(total) * np.linalg.norm(frame.forces)
        if np.linalg.norm(total) > 1e-6:
            cosines.append(float(np.sum(total * frame.forces) / size))
    return np.array(cosines)


def _stiffness(first: Frame, second: Frame) -> float | None:
    """Return k in eV/angstrom^2; None if cells differ, frames are too far apart or near, or hardly an atom moved."""
    if not (np.array_equal(first.pbc, second.pbc) and np.abs(first.cell - second.cell).max() < 1e-3):
        return None
    steps = second.positions - first.positions
    steps = steps - (np.round(steps @ np.linalg.pinv(first.cell)) * first.pbc) @ first.cell
    squares = np.sum(steps**2, axis=1)
    if not 1e-3 < np.sqrt(squares.max()) < 1.0 or squares.sum() ** 2 < FEWEST_MOVED * np.sum(squares**2):
        return None
    assert first.forces is not None
    assert second.forces is not None
    return float(-np.sum((second.forces - first.forces) * steps) / squares.sum())


def _changes(frames: Sequence[Frame]) -> Iterator[tuple[Array, Array]]:
    """Yield change of stress and strain of neighbouring frames whose cells differ a little."""
    for first, second in neighbours(frames):
        mean_cell = 0.5 * (first.cell + second.cell)
        if abs(np.linalg.det(mean_cell)) < 0.5 * min(first.volume, second.volume):
            continue
        strain = np.linalg.solve(mean_cell, second.cell - first.cell)
        strain = 0.5 * (strain + strain.T)
        if 1e-3 < np.abs(strain).max() < 0.06:
            assert first.stress is not None
            assert second.stress is not None
            yield second.stress - first.stress, strain
