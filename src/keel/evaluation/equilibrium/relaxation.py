"""The relaxed structure of a potential, from which every probe of its equilibrium starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from math import ceil
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from keel.atoms.conversion import Structure, as_frame
from keel.atoms.frame import Frame
from keel.atoms.mobility import freed
from keel.atoms.neighbours import graph_of
from keel.errors import DataError, NotFiniteError
from keel.evaluation.check import CheckResult, Film, Metric, judged
from keel.potentials.base import Potential
from keel.potentials.convert import converted

if TYPE_CHECKING:
    from ase import Atoms

FMAX = 1e-4
"""Largest force in eV/angstrom, and largest |stress| V/N in eV, of a relaxed structure."""
MAX_STEPS = 500
ROUGH = 0.05  # eV/angstrom: from here on a quasi-Newton method is safe
RUNAWAY = 3.0  # a cell whose volume has changed by this factor is heading for another structure, or does not converge

LARGEST_CHANGE = 20.0
"""% of the volume; different density functionals and temperatures change a crystal by less."""

Found = TypeVar("Found")
Relax = Callable[[Potential, Frame], Frame]
"""Returns the nearest minimum of the energy, like :func:`relaxed`."""


class NotRelaxedError(DataError):
    """No equilibrium of a structure can be reached."""


def relaxed(
    potential: Potential, frame: Structure, *, cell: bool = True, fmax: float = FMAX, max_steps: int = MAX_STEPS
) -> Frame:
    """Return the nearest minimum of the energy with its energy, forces and stress, in float64.

    FIRE to 0.05 eV/angstrom, then L-BFGS; the cell moves by the matrix exponential of a strain.

    Source: Bitzek et al., Phys. Rev. Lett. 97, 170201 (2006); Liu & Nocedal, Math. Program. 45, 503 (1989); both and
    the cell's filter as in ASE.

    Parameters
    ----------
    potential
        Any potential.
    frame
        The structure to start from.
    cell
        Relax the lattice vectors too, at zero pressure.
    fmax
        Largest force in eV/angstrom, and |stress| V/N in eV, at the end.
    max_steps
        Of each of the two methods.

    Raises
    ------
    NotRelaxedError
        If energy or forces stop being finite, the volume or a length of the cell changes by a factor of three, or the
        steps do not suffice.
    DataError
        If the potential does not know the elements.
    """
    frame = as_frame(frame, labels=False)
    from ase.filters import FrechetCellFilter
    from ase.optimize import FIRE, LBFGS

    from keel.interfaces.ase import KeelCalculator

    atoms = freed(frame).unlabelled().to_ase()
    atoms.calc = KeelCalculator(potential, dtype=torch.float64)
    target = FrechetCellFilter(atoms) if cell else atoms
    # Matrices of a cell are tiny: threads that share them wait for each other, up to tens of times as long.
    try:
        with threadpool_limits(1, "blas"):
            for method, goal in ((FIRE, max(ROUGH, fmax)), (LBFGS, fmax)):
                converged = False
                for converged in method(target, logfile=None).irun(fmax=goal, steps=max_steps):  # noqa: B007
                    _refuse_runaway(atoms, frame)
    except NotFiniteError:
        raise NotRelaxedError("its energy or forces are not finite while it relaxes") from None
    if not converged:
        left = np.linalg.norm(atoms.get_forces(), axis=1).max()
        raise NotRelaxedError(f"after {max_steps} steps it is not at rest, the largest force is {left:.2g} eV/angstrom")
    return evaluated(potential, frame.replace(positions=atoms.get_positions(), cell=np.array(atoms.cell.array)))


def relaxed_once() -> Relax:
    """Return :func:`relaxed` with a memory: each structure is relaxed (or fails) once with each potential."""

    @cache
    def outcome(potential: Potential, frame: Frame) -> Frame | NotRelaxedError:
        try:
            return relaxed(potential, frame)
        except NotRelaxedError as error:
            return error

    def relax(potential: Potential, frame: Frame) -> Frame:
        found = outcome(potential, frame)
        if isinstance(found, NotRelaxedError):
            raise NotRelaxedError(*found.args)
        return found

    return relax


def relaxation(potential: Potential, frame: Structure, *, relax: Relax = relaxed) -> CheckResult:
    """Relax a crystal that is near its equilibrium, atoms and cell: it should hardly change.

    It passes if the volume changes by no more than :data:`LARGEST_CHANGE`. The film shows the crystal before and after.

    Parameters
    ----------
    potential
        The potential to be probed.
    frame
        A crystal near its equilibrium, e.g. as from DFT.
    relax
        Finds the equilibrium; :func:`relaxed_once` shares it with other probes.
    """
    frame = as_frame(frame, labels=False)

    def judge(found: Frame, _: Frame | None) -> CheckResult:
        change = 100.0 * (found.volume / frame.volume - 1.0)
        fractional = found.positions @ np.linalg.inv(found.cell) - frame.positions @ np.linalg.inv(frame.cell)
        moved = np.linalg.norm((fractional - fractional.mean(axis=0)) @ frame.cell, axis=1)
        metrics = (
            Metric("change of the volume", change, "%", LARGEST_CHANGE),
            Metric("largest displacement", float(moved.max()), "angstrom"),
        )
        good = f"{frame.formula} comes to rest with {change:+.2g} % of its volume"
        result = judged("relaxation", metrics, (), good, f"{frame.formula} comes to rest as another structure")
        return replace(result, films=(Film("before and after", (frame.unlabelled(), found)),))

    return at_equilibrium("relaxation", lambda _, crystal: crystal, judge, potential, frame, None, relax)


def evaluated(potential: Potential, frame: Frame) -> Frame:
    """Return the frame with energy, forces and stress as the potential predicts them, in float64."""
    model = converted(potential, torch.float64)
    graph = graph_of(frame, model.cutoff, half_list=model.half_list, dtype=model.dtype, labels=False)
    prediction = model(graph.to(model.device))
    assert prediction.forces is not None
    assert prediction.stress is not None
    return frame.replace(
        energy=float(prediction.energy[0]),
        forces=prediction.forces.cpu().numpy(),
        stress=prediction.stress[0].cpu().numpy(),
    )


def repetitions(frame: Frame, min_length: float) -> tuple[int, int, int]:
    """Return how many times a cell must be repeated for its opposite faces to be ``min_length`` angstrom apart."""
    heights = 1.0 / np.linalg.norm(np.linalg.inv(frame.cell), axis=0)
    a, b, c = (max(1, ceil(min_length / h - 1e-6)) for h in heights)
    return a, b, c


def at_equilibrium(
    name: str,
    measure: Callable[[Potential, Frame], Found],
    judge: Callable[[Found, Found | None], CheckResult],
    potential: Potential,
    frame: Frame,
    beside: Potential | None,
    relax: Relax = relaxed,
) -> CheckResult:
    """Relax a structure with a potential and with another, measure both, and judge the first against the second.

    Parameters
    ----------
    name
        Of the probe.
    measure
        Returns what the probe finds, from a potential in float64 and its relaxed structure.
    judge
        Returns the result from what was found with the potential and with the other, None without one.
    beside
        The other potential, or None.
    relax
        Finds the equilibrium of either.
    """
    if not frame.pbc.all():
        return CheckResult(name, (), (), "skipped", "there is no equilibrium cell: the structure is not a crystal")
    if _without_stress(evaluated(potential, frame)):
        return CheckResult(name, (), (), "skipped", "the potential gives no stress, so that no cell can be relaxed")
    try:
        found = measure(converted(potential, torch.float64), relax(potential, frame))
    except NotRelaxedError as error:
        return CheckResult(name, (), (), "failed", f"{frame.formula} has no equilibrium: {error}")
    if beside is None:
        return judge(found, None)
    try:
        return judge(found, measure(converted(beside, torch.float64), relax(beside, frame)))
    except NotRelaxedError as error:
        alone = judge(found, None)
        return replace(alone, verdict=f"{alone.verdict}; nothing to compare with: in the reference {error}")


def shift(name: str, value: float, expected: float, limit: float | None = None) -> Metric:
    """Return how much larger a value is than expected, in %; a value that is not finite meets no limit."""
    percent = 100.0 * (value / expected - 1.0)
    return Metric(f"{name} against the reference", percent, "%", limit if np.isfinite(expected) else None)


def _without_stress(frame: Frame) -> bool:
    """Whether a potential that gives sound forces gives no stress."""
    assert frame.forces is not None
    assert frame.stress is not None
    return bool(np.isfinite(frame.forces).all() and np.isnan(frame.stress).any())


def _refuse_runaway(atoms: Atoms, start: Frame) -> None:
    change = atoms.get_volume() / start.volume
    if start.pbc.all() and not 1.0 / RUNAWAY < change < RUNAWAY:
        raise NotRelaxedError(f"while it relaxes its volume changes by a factor of {change:.2g}")
    if start.pbc.all():
        # A cell stretched a hundredfold at constant volume leaves few digits in the logarithm that the filter takes.
        stretches = np.linalg.svd(np.linalg.solve(start.cell, atoms.cell.array), compute_uv=False)
        most = max(stretches[0], 1.0 / stretches[-1])
        if not most < RUNAWAY:
            raise NotRelaxedError(f"while it relaxes a length of its cell changes by a factor of {most:.2g}")
