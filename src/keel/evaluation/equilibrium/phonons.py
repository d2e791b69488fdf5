"""Vibrations of a crystal at rest: their frequencies, and whether one of them is unstable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from keel.atoms.conversion import Structure, as_frame
from keel.atoms.elements import symbol
from keel.atoms.frame import Array, Frame
from keel.atoms.mobility import masses_of
from keel.evaluation.check import CheckResult, Curve, Metric, judged
from keel.evaluation.equilibrium.relaxation import Relax, at_equilibrium, evaluated, relaxed, repetitions
from keel.potentials.base import Potential
from keel.potentials.external.extras import optional

NAME = "phonons"
IMAGINARY = 0.05
"""A mode counts as imaginary below minus this frequency in THz; finite differences cannot resolve smaller ones."""
DRIFT_LIMIT = 0.05
"""THz by which the three translations of the crystal may differ from zero; else forces depend on the origin."""
FREQUENCY_LIMIT = 10.0
"""% of the mean frequency of the reference potential by which frequencies may differ on average."""


@dataclass(frozen=True, eq=False)
class Phonons:
    """Frequencies of a crystal of N atoms, imaginary ones negative.

    Parameters
    ----------
    frequencies
        THz at Q wave vectors of an even mesh, ascending at each, shape (Q, 3N).
    weights
        Of the wave vectors, with sum 1, shape (Q,).
    acoustic
        Largest |frequency| in THz of the three slowest modes at the zone centre.
    """

    frequencies: Array
    weights: Array
    acoustic: float

    @property
    def imaginary_share(self) -> float:
        """Share of imaginary modes in %."""
        return float(100.0 * self.weights @ (self.frequencies < -IMAGINARY).mean(axis=1))

    @property
    def mean(self) -> float:
        """Mean frequency in THz."""
        return float(self.weights @ self.frequencies.mean(axis=1))

    def difference(self, other: Phonons) -> float:
        """Return the mean absolute difference of frequencies in THz, mode by mode."""
        return float(self.weights @ np.abs(self.frequencies - other.frequencies).mean(axis=1))

    def density_of_states(self, name: str, grid: Array) -> Curve:
        """Return the density of states at some frequencies, broadened by a Gaussian of two spacings, integral 3N."""
        width = 2.0 * (grid[1] - grid[0])
        peaks = np.exp(-0.5 * ((grid[:, None, None] - self.frequencies) / width) ** 2) / (width * np.sqrt(2 * np.pi))
        density = peaks.sum(axis=2) @ self.weights
        return Curve(name, grid, density, "frequency (THz)", "phonon density of states (1/THz)")


def phonons(
    potential: Potential,
    frame: Structure,
    *,
    beside: Potential | None = None,
    min_length: float = 12.0,
    mesh_length: float = 30.0,
    displacement: float = 0.01,
    relax: Relax = relaxed,
) -> CheckResult:
    """Measure the harmonic frequencies of the relaxed crystal by finite displacements in a supercell.

    It passes if no mode is imaginary, translations cost nothing, and frequencies are near those of the potential
    beside. Force constants end at half the supercell: for frequencies to be exact it must be twice the reach of the
    forces. Charges (the splitting of longitudinal and transverse modes) are left out.

    Source: Togo et al., J. Phys. Condens. Matter 35, 353001 (2023); phonopy.

    Parameters
    ----------
    frame
        A crystal near its equilibrium; its cell is the one whose modes are counted.
    beside
        A potential to compare with, relaxed by itself.
    min_length
        Distance in angstrom between opposite faces of the supercell.
    mesh_length
        Wave vectors are those of a crystal at least this long in angstrom.
    displacement
        In angstrom.
    relax
        Finds the equilibrium; :func:`~keel.evaluation.equilibrium.relaxation.relaxed_once` shares it with other probes.

    Raises
    ------
    UnavailableError
        If phonopy is not installed.
    """
    frame = as_frame(frame, labels=False)
    optional("phonopy", "The phonon probe", "phonopy", "assess")

    def measure(model: Potential, crystal: Frame) -> Phonons:
        # From the structure as given, so that both potentials have the same supercell.
        supercell, mesh = repetitions(frame, min_length), repetitions(frame, mesh_length)
        return harmonic_phonons(model, crystal, supercell=supercell, mesh=mesh, displacement=displacement)

    return at_equilibrium(NAME, measure, _judge, potential, frame, beside, relax)


def harmonic_phonons(
    potential: Potential,
    crystal: Frame,
    *,
    supercell: tuple[int, int, int],
    mesh: tuple[int, int, int],
    displacement: float = 0.01,
) -> Phonons:
    """Return the frequencies of a relaxed crystal on a mesh that includes the zone centre.

    Raises
    ------
    UnavailableError
        If phonopy is not installed.
    """
    phonopy = optional("phonopy", "The phonon probe", "phonopy", "assess")
    cell = phonopy.structure.atoms.PhonopyAtoms(
        symbols=[symbol(z) for z in crystal.numbers],
        masses=masses_of(crystal),
        cell=crystal.cell,
        positions=crystal.positions,
    )
    # The given cell, not its primitive one: modes of two potentials can then be compared one by one.
    calculation = phonopy.Phonopy(cell, supercell_matrix=np.diag(supercell), primitive_matrix=np.eye(3))
    calculation.generate_displacements(distance=displacement)
    calculation.forces = [_forces(potential, s) for s in calculation.supercells_with_displacements]
    calculation.produce_force_constants()
    calculation.run_mesh(list(mesh), is_mesh_symmetry=False, is_gamma_center=True)
    calculation.run_qpoints([[0.0, 0.0, 0.0]])
    centre = np.sort(np.abs(calculation.qpoints.frequencies[0]))
    weights = np.asarray(calculation.mesh.weights, dtype=np.float64)
    return Phonons(np.sort(calculation.mesh.frequencies, axis=1), weights / weights.sum(), float(centre[2]))


def _forces(potential: Potential, cell: Any) -> Array:
    """Return the forces on the atoms of a phonopy cell in eV/angstrom."""
    periodic = np.ones(3, dtype=bool)
    forces = evaluated(potential, Frame(cell.numbers.astype(np.int64), cell.positions, cell.cell, periodic)).forces
    assert forces is not None
    return forces


def _judge(found: Phonons, expected: Phonons | None) -> CheckResult:
    lowest, highest = float(found.frequencies.min()), float(found.frequencies.max())
    metrics = [
        Metric("imaginary modes", found.imaginary_share, "%", 0.0),
        Metric("lowest frequency", lowest, "THz"),
        Metric("highest frequency", highest, "THz"),
        Metric("mean frequency", found.mean, "THz"),
        Metric("translations away from zero", found.acoustic, "THz", DRIFT_LIMIT),
    ]
    good = f"no mode is imaginary; frequencies reach {highest:.3g} THz"
    both = {"potential": found} if expected is None else {"potential": found, "reference": expected}
    if expected is not None:
        away = 100.0 * found.difference(expected) / expected.mean
        metrics.append(Metric("frequencies away from the reference", away, "% of their mean", FREQUENCY_LIMIT))
        good += f" and differ by {away:.2g} % from the reference's"
    every = np.concatenate([p.frequencies.ravel() for p in both.values()])
    margin = max(0.05 * float(np.ptp(every)), IMAGINARY)
    grid = np.linspace(every.min() - margin, every.max() + margin, 201)
    curves = [p.density_of_states(name, grid) for name, p in both.items()]
    return judged(NAME, metrics, curves, good, "the crystal does not vibrate as it should")
