"""Energy against volume: where a crystal rests, how stiff it is, and whether the way there is smooth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keel.atoms.conversion import Structure, as_frame
from keel.atoms.frame import Array, Frame
from keel.atoms.units import GPA
from keel.errors import ConfigError
from keel.evaluation.check import CheckResult, Curve, Metric, judged
from keel.evaluation.equilibrium.relaxation import Relax, at_equilibrium, evaluated, relaxed, shift
from keel.potentials.accuracy import MILLI
from keel.potentials.base import Potential

NAME = "equation of state"
VOLUMES = (0.8, 1.2)
"""From the densest to the widest structure, in units of the relaxed volume."""
FIT_RANGE = 0.05
"""Range on either side of the relaxed volume, as a share of it, to which the Birch-Murnaghan equation is fitted."""
WORK_LIMIT = 1.0
"""% of the height of the curve by which energies may differ from the work of the pressure."""
VOLUME_LIMIT, MODULUS_LIMIT = 2.0, 20.0
"""% by which volume and bulk modulus may differ from those of the reference potential, as two functionals do."""


@dataclass(frozen=True)
class BirchMurnaghan:
    """A Birch-Murnaghan equation of state of third order: volume (angstrom^3), energy (eV), modulus (GPa), slope B'."""

    volume: float
    energy: float
    bulk_modulus: float
    slope: float


def fit_birch_murnaghan(volume: Array, energy: Array) -> BirchMurnaghan:
    """Fit the third-order equation of Birch and Murnaghan; NaN where it has no minimum among the volumes.

        E(V) = a + b x + c x^2 + d x^3,    x = (V_m/V)^(2/3)

    is the same function, and linear in its parameters. At dE/dx = 0:  B = (4/9) x^2 E_xx / V_0,
    B' = 4 + (2/3) x E_xxx / E_xx.

    Source: Birch, Phys. Rev. 71, 809 (1947).

    Parameters
    ----------
    volume, energy
        angstrom^3 and eV, shape (K,), K >= 4.
    """
    middle = float(np.mean(volume))
    curve = np.polynomial.Polynomial.fit((middle / volume) ** (2 / 3), energy, 3)
    # The root of the quadratic slope at which it rises, in the form that allows for a vanishing cubic term.
    c, b, a = (float(k) for k in curve.deriv().coef)
    lowest = -2.0 * c / (b + float(np.sqrt(b * b - 4.0 * a * c))) if b * b > 4.0 * a * c else np.nan
    if not abs(lowest) <= 1.0:
        return BirchMurnaghan(np.nan, np.nan, np.nan, np.nan)
    offset, scale = curve.mapparms()
    x = float((lowest - offset) / scale)
    v0, e_xx = middle * x**-1.5, float(curve.deriv(2)(x))
    modulus, slope = 4 / 9 * x**2 * e_xx / v0, 4 + 2 / 3 * x * float(curve.deriv(3)(x)) / e_xx
    return BirchMurnaghan(v0, float(curve(x)), modulus / GPA, slope)


@dataclass(frozen=True, eq=False)
class EnergyVolume:
    """Volumes (angstrom^3), energies (eV) and pressures (eV/angstrom^3) per atom, shape (K,), and the fit to them."""

    rest: float
    volume: Array
    energy: Array
    pressure: Array
    fit: BirchMurnaghan

    @property
    def excess_turns(self) -> int:
        """By how many the turning points of E(V) differ from one."""
        slopes = np.sign(np.diff(self.energy))
        slopes = slopes[slopes != 0]
        return abs(int((slopes[1:] != slopes[:-1]).sum()) - 1)

    @property
    def work_deviation(self) -> float:
        """Largest |E(V) - E(V_1) + integral of p dV| in % of the height of the curve, by a cubic spline of p."""
        from scipy.interpolate import CubicSpline

        work = CubicSpline(self.volume, self.pressure).antiderivative()(self.volume)
        deviation = self.energy - self.energy[0] + work
        return float(100.0 * np.abs(deviation).max() / np.ptp(self.energy))

    def curve(self, name: str) -> Curve:
        """Return the energy above the minimum against the volume."""
        height = MILLI * (self.energy - self.energy.min())
        return Curve(name, self.volume, height, "volume (angstrom^3/atom)", "energy (meV/atom)")


def equation_of_state(
    potential: Potential,
    frame: Structure,
    *,
    beside: Potential | None = None,
    volumes: tuple[float, float] = VOLUMES,
    n_points: int = 41,
    relax: Relax = relaxed,
) -> CheckResult:
    """Scale the relaxed crystal at fixed fractional coordinates and examine E(V).

    It passes if E(V) has one minimum, at the volume where the stress vanishes, and equals the work of the pressure (not
    so where energies jump, or where stress or forces are not their derivative), and if volume and bulk modulus are near
    those of the potential beside. In crystals with free coordinates B is that of clamped ions; see
    :func:`keel.evaluation.equilibrium.elastic.elastic` for relaxed ions.

    Parameters
    ----------
    frame
        A crystal near its equilibrium.
    beside
        A potential to compare with, relaxed by itself.
    volumes
        The range in units of the relaxed volume.
    n_points
        Number of volumes.
    relax
        Finds the equilibrium; :func:`~keel.evaluation.equilibrium.relaxation.relaxed_once` shares it with other probes.

    Raises
    ------
    ConfigError
        If there are fewer than eight volumes, or they lie on one side of the relaxed one.
    """
    frame = as_frame(frame, labels=False)
    if n_points < 8 or not 0 < volumes[0] < 1 < volumes[1]:
        raise ConfigError("an equation of state needs at least 8 points and volumes on both sides of 1")

    def measure(model: Potential, crystal: Frame) -> EnergyVolume:
        return energy_volume(model, crystal, np.linspace(*volumes, n_points))

    return at_equilibrium(NAME, measure, _judge, potential, frame, beside, relax)


def energy_volume(potential: Potential, crystal: Frame, scales: Array) -> EnergyVolume:
    """Return E(V) at some multiples of the volume of a relaxed crystal, ascending."""
    n, rest = len(crystal), crystal.volume / len(crystal)
    frames = [evaluated(potential, crystal.scaled(scale ** (1 / 3))) for scale in scales]
    energy = np.array([frame.energy for frame in frames]) / n
    pressure = np.array([-np.trace(frame.stress) / 3 for frame in frames if frame.stress is not None])
    near = np.argsort(np.abs(scales - 1.0))[: max(6, int((np.abs(scales - 1.0) <= FIT_RANGE).sum()))]
    return EnergyVolume(rest, rest * scales, energy, pressure, fit_birch_murnaghan(rest * scales[near], energy[near]))


def _judge(found: EnergyVolume, expected: EnergyVolume | None) -> CheckResult:
    fit, curves = found.fit, [found.curve("potential")]
    metrics = [
        Metric("equilibrium volume", fit.volume, "angstrom^3/atom"),
        Metric("bulk modulus, clamped ions", fit.bulk_modulus, "GPa"),
        Metric("pressure derivative of the bulk modulus", fit.slope),
        Metric("turning points besides one", found.excess_turns, "", 0.0),
        Metric("minimum away from zero stress", 100.0 * (fit.volume / found.rest - 1.0), "%", 0.5),
        Metric("energy away from the work of the pressure", found.work_deviation, "% of the height", WORK_LIMIT),
    ]
    good = (
        f"one smooth minimum at {fit.volume:.2f} angstrom^3/atom with a bulk modulus of {fit.bulk_modulus:.3g} GPa "
        "(ions clamped)"
    )
    if expected is not None:
        volume = shift("volume", fit.volume, expected.fit.volume, VOLUME_LIMIT)
        modulus = shift("bulk modulus", fit.bulk_modulus, expected.fit.bulk_modulus, MODULUS_LIMIT)
        metrics += [volume, modulus]
        curves.append(expected.curve("reference"))
        good += f", {volume.value:+.2g} % and {modulus.value:+.2g} % from the reference's"
    return judged(NAME, metrics, curves, good, "the equation of state is not sound")
