"""The elastic tensor of a crystal at rest: how stiff it is, and whether it is stable under any small strain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keel.atoms.conversion import Structure, as_frame
from keel.atoms.frame import VOIGT, Array, Frame
from keel.atoms.units import GPA
from keel.errors import ConfigError
from keel.evaluation.check import CheckResult, Metric, judged
from keel.evaluation.equilibrium.relaxation import FMAX, Relax, at_equilibrium, evaluated, relaxed, shift
from keel.potentials.base import Potential

NAME = "elastic constants"
MODULUS_LIMIT = 20.0
"""% by which bulk and shear modulus may differ from those of the reference potential."""
ASYMMETRY_LIMIT = 2.0
"""% of the largest constant by which C_ij and C_ji may differ; they do differ if the stress is not a derivative."""


@dataclass(frozen=True, eq=False)
class Elasticity:
    """An elastic tensor.

    Parameters
    ----------
    measured
        C_ij = d sigma_i / d e_j in GPa as the stresses give it, Voigt order xx yy zz yz xz xy, engineering shear
        strains e_yz = 2 eps_yz, shape (6, 6).
    """

    measured: Array

    @property
    def tensor(self) -> Array:
        """The symmetric part of ``measured``."""
        return np.asarray(0.5 * (self.measured + self.measured.T))

    @property
    def asymmetry(self) -> float:
        """Largest |C_ij - C_ji| in % of the largest constant."""
        return float(100.0 * np.abs(self.measured - self.measured.T).max() / np.abs(self.measured).max())

    @property
    def stiffness(self) -> Array:
        """Eigenvalues of the tensor in GPa, ascending, shape (6,).

        The crystal withstands every small strain if all are positive (Born & Huang, Dynamical Theory of Crystal
        Lattices (1954); Mouhat & Coudert, Phys. Rev. B 90, 224104 (2014)).
        """
        # In Mandel's basis shear components weigh sqrt 2, so that the numbers do not depend on the axes.
        weight = np.diag([1.0] * 3 + [2**0.5] * 3)
        return np.asarray(np.linalg.eigvalsh(weight @ self.tensor @ weight))

    @property
    def moduli(self) -> tuple[float, float]:
        """Bulk and shear modulus of a polycrystal in GPa, the means of Voigt's and Reuss's bounds.

        Source: Hill, Proc. Phys. Soc. A 65, 349 (1952).
        """
        c = self.tensor
        voigt = c[:3, :3].sum() / 9, (3 * np.trace(c[:3, :3]) - c[:3, :3].sum()) / 30 + np.trace(c[3:, 3:]) / 5
        if self.stiffness[0] <= 0:
            return float("nan"), float("nan")
        s = np.linalg.inv(c)
        reuss_shear = 15 / (6 * np.trace(s[:3, :3]) - 2 * s[:3, :3].sum() + 3 * np.trace(s[3:, 3:]))
        return float(voigt[0] + 1 / s[:3, :3].sum()) / 2, float(voigt[1] + reuss_shear) / 2


def elastic(
    potential: Potential,
    frame: Structure,
    *,
    beside: Potential | None = None,
    strain: float = 0.005,
    relax_ions: bool = True,
    relax: Relax = relaxed,
) -> CheckResult:
    """Measure the elastic tensor of the relaxed crystal from the stresses of small strains.

    It passes if the crystal is mechanically stable, the tensor is symmetric, and the moduli are near those of the
    potential beside.

    Parameters
    ----------
    frame
        A crystal near its equilibrium, in any orientation.
    beside
        A potential to compare with, relaxed by itself.
    strain
        Largest component of the strains; the error is of order strain^2.
    relax_ions
        Let the atoms move in each strained cell; otherwise the constants are those of clamped ions.
    relax
        Finds the equilibrium; :func:`~keel.evaluation.equilibrium.relaxation.relaxed_once` shares it with other probes.

    Raises
    ------
    ConfigError
        If the strain is not between 0 and 0.1.
    """
    frame = as_frame(frame, labels=False)
    if not 0 < strain < 0.1:
        raise ConfigError(f"the strain of elastic constants must be between 0 and 0.1, not {strain:g}")

    def measure(model: Potential, crystal: Frame) -> Elasticity:
        return elastic_tensor(model, crystal, strain=strain, relax_ions=relax_ions)

    return at_equilibrium(NAME, measure, _judge, potential, frame, beside, relax)


def elastic_tensor(
    potential: Potential, crystal: Frame, *, strain: float = 0.005, relax_ions: bool = True
) -> Elasticity:
    """Return the elastic tensor of a relaxed crystal: six strains of either sign, C by least squares.

    Raises
    ------
    NotRelaxedError
        If the ions of a strained cell cannot be relaxed.
    """
    strains = np.concatenate([strain * np.eye(6), -strain * np.eye(6)])
    stresses = np.stack([_stress(potential, crystal, e, relax_ions) for e in strains])
    # sigma(e) = sigma(0) + C e
    unknown = np.linalg.lstsq(np.column_stack([np.ones(len(strains)), strains]), stresses, rcond=None)[0]
    return Elasticity(unknown[1:].T / GPA)


def _stress(potential: Potential, crystal: Frame, strain: Array, relax_ions: bool) -> Array:
    """Return the stress (6,) in eV/angstrom^3 under an engineering strain (6,), in Voigt order."""
    deformation = np.eye(3)
    for e, i, j in zip(strain, *VOIGT, strict=True):
        deformation[i, j] += 0.5 * e
        deformation[j, i] += 0.5 * e
    strained = _deformed(crystal, deformation)
    strained = (
        relaxed(potential, strained, cell=False, fmax=0.1 * FMAX) if relax_ions else evaluated(potential, strained)
    )
    assert strained.stress is not None
    return np.asarray(strained.stress[VOIGT])


def _judge(found: Elasticity, expected: Elasticity | None) -> CheckResult:
    bulk, shear = found.moduli
    metrics = [
        Metric("bulk modulus", bulk, "GPa"),
        Metric("shear modulus", shear, "GPa"),
        Metric("softest strain", float(found.stiffness[0]), "GPa"),
        Metric("strains that it gives way to", float((found.stiffness <= 0).sum()), "", 0.0),
        Metric("asymmetry of the tensor", found.asymmetry, "% of the largest", ASYMMETRY_LIMIT),
    ]
    good = f"the crystal withstands every strain; bulk modulus {bulk:.3g} GPa, shear modulus {shear:.3g} GPa"
    if expected is not None:
        moduli = zip(("bulk modulus", "shear modulus"), found.moduli, expected.moduli, strict=True)
        shifts = [shift(name, a, b, MODULUS_LIMIT) for name, a, b in moduli]
        metrics += shifts
        good += f", {shifts[0].value:+.2g} % and {shifts[1].value:+.2g} % from the reference's"
    metrics += [Metric(f"C{i + 1}{j + 1}", float(found.tensor[i, j]), "GPa") for i in range(6) for j in range(i, 6)]
    return judged(NAME, metrics, (), good, "the elastic constants are not sound")


def _deformed(frame: Frame, deformation: Array) -> Frame:
    """Return the unlabelled frame with every vector r replaced by D r; fractional coordinates are kept."""
    positions, cell = frame.positions @ deformation.T, frame.cell @ deformation.T
    return frame.unlabelled().replace(positions=positions, cell=cell)
