"""The energy to take an atom out of a crystal, before and after its neighbours have relaxed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import gcd

import numpy as np

from keel.atoms.conversion import Structure, as_frame
from keel.atoms.elements import symbol
from keel.atoms.frame import Frame
from keel.evaluation.check import CheckResult, Metric, judged
from keel.evaluation.equilibrium.relaxation import (
    NotRelaxedError,
    Relax,
    at_equilibrium,
    evaluated,
    relaxed,
    repetitions,
    shift,
)
from keel.potentials.base import Potential

NAME = "vacancy"
FMAX = 1e-3
"""Largest force in eV/angstrom on an atom around a vacancy: an energy of 1e-6 eV is left."""
FORMATION_LIMIT = 20.0
"""% by which the relaxed formation energy may differ from that of the reference potential."""


@dataclass(frozen=True)
class Vacancy:
    """Energy to make the vacancies of one formula unit in eV (see :func:`vacancy`), and how far atoms move.

    Parameters
    ----------
    unrelaxed, relaxed
        Formation energies in eV, with the other atoms on their sites and at rest.
    displacement
        Largest displacement of an atom in angstrom.
    atoms
        Of the supercell without vacancy.
    """

    unrelaxed: float
    relaxed: float
    displacement: float
    atoms: int


def vacancy(
    potential: Potential,
    frame: Structure,
    *,
    beside: Potential | None = None,
    min_length: float = 10.0,
    relax: Relax = relaxed,
) -> CheckResult:
    """Take one atom of each element out of a supercell of the relaxed crystal, and let the others move.

        E_f = sum_a n_a [E(N - 1, without an atom of a) - E(N)] + E(N) n/N

    for a formula unit of n atoms, n_a of element a: the vacancy formation energy of an element, and the energy of a
    Schottky defect of a compound with its vacancies far apart. No chemical potential enters. The site of each element
    is the one that costs least before the others move; the volume stays. It passes if E_f is positive after they have
    moved, and near that of the potential beside.

    Parameters
    ----------
    frame
        A crystal near its equilibrium.
    beside
        A potential to compare with, relaxed by itself.
    min_length
        Distance in angstrom between opposite faces of the supercell; beyond the cutoff vacancies do not interact with
        their images before atoms move.
    relax
        Finds the equilibrium; :func:`~keel.evaluation.equilibrium.relaxation.relaxed_once` shares it with other probes.
    """
    frame = as_frame(frame, labels=False)

    def measure(model: Potential, crystal: Frame) -> Vacancy:
        return formation_energy(model, crystal, min_length=min_length)

    return at_equilibrium(NAME, measure, _judge, potential, frame, beside, relax)


def formation_energy(potential: Potential, crystal: Frame, *, min_length: float = 10.0) -> Vacancy:
    """Return the energies of the vacancies of a relaxed crystal.

    Raises
    ------
    NotRelaxedError
        If the atoms around a vacancy cannot be relaxed.
    """
    whole = evaluated(potential, crystal.repeated(repetitions(crystal, min_length)))
    counts = Counter(crystal.numbers.tolist())
    units = gcd(*counts.values())
    unrelaxed = at_rest = _energy(whole) / len(whole) * len(crystal) / units
    displacement = 0.0
    for number, count in counts.items():
        sites = [evaluated(potential, without(whole, int(k))) for k in np.flatnonzero(crystal.numbers == number)]
        start = min(sites, key=_energy)
        try:
            end = relaxed(potential, start, cell=False, fmax=FMAX)
        except NotRelaxedError as error:
            raise NotRelaxedError(f"around a vacancy of {symbol(number)}, {error}") from None
        unrelaxed += count / units * (_energy(start) - _energy(whole))
        at_rest += count / units * (_energy(end) - _energy(whole))
        moved = np.linalg.norm(end.positions - start.positions, axis=1).max()
        displacement = max(displacement, float(moved))
    return Vacancy(unrelaxed, at_rest, displacement, len(whole))


def without(frame: Frame, atom: int) -> Frame:
    """Return the unlabelled frame without one atom."""
    return frame.taken(np.arange(len(frame)) != atom)


def _energy(frame: Frame) -> float:
    assert frame.energy is not None
    return frame.energy


def _judge(found: Vacancy, expected: Vacancy | None) -> CheckResult:
    metrics = [
        Metric("formation energy", found.relaxed, "eV"),
        Metric("formation energy before atoms move", found.unrelaxed, "eV"),
        Metric("energy that a vacancy gains", min(found.relaxed, 0.0), "eV", 0.0),
        Metric("largest displacement", found.displacement, "angstrom"),
        Metric("atoms in the supercell", found.atoms),
    ]
    good = f"a vacancy costs {found.relaxed:.3g} eV, {found.unrelaxed:.3g} eV before the other atoms move"
    if expected is not None:
        metrics.append(shift("formation energy", found.relaxed, expected.relaxed, FORMATION_LIMIT))
        good += f"; {metrics[-1].value:+.2g} % from the reference's"
    return judged(NAME, metrics, (), good, "vacancies are not sound")
