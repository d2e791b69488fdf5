"""The functions of an EAM as LAMMPS tabulates them, and a grid on which its interpolation is accurate enough.

LAMMPS fits a cubic through neighbouring points f_m, f_(m+1) with slopes g from five points, fewer at the ends of a
table (``PairEAM::interpolate``), in units of the spacing:

    g_0 = f_1 - f_0,   g_1 = (f_2 - f_0) / 2,   g_m = (f_(m-2) - 8 f_(m-1) + 8 f_(m+1) - f_(m+2)) / 12

and the same at the other end. The error falls with the fourth power of the spacing inside and with its square below
rho_1, where the densities of gases, clusters and dimers lie, and where sqrt(rho + delta) bends most, too. So the first
cells decide how fine the table of densities must be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations_with_replacement

import torch
from torch import Tensor

from keel.atoms.elements import COVALENT_RADII, atomic_numbers_of, pair_name, symbol
from keel.errors import ConfigError
from keel.potentials.base import Potential
from keel.potentials.classical.dimer import core_energy, eam_and_cores
from keel.potentials.classical.three_body import three_body_term
from keel.potentials.convert import converted
from keel.wording import listed

PAIR_ERROR, EMBEDDING_ERROR, FORCE_ERROR = 1e-7, 3e-6, 2e-5
"""Interpolation errors that a grid may have, in eV, eV and eV/angstrom; for a hard pair, more by its energy in eV."""
FEWEST_POINTS, MOST_DENSITIES, MOST_DISTANCES = 2_000, 512_000, 128_000
HARD, CLOSEST = 100.0, 0.6
"""Pairs are judged where their energy is below 100 eV, from 0.6 times the sum of the covalent radii on."""
CROWDED, LEAST_RHO = 0.7, 5.0
"""The table in rho extends to the density of twelve like or four unlike atoms at 0.7 times that sum; at least to 5."""
END_CELLS, WITHIN = 3, (0.05, 0.2, 0.35, 0.65, 0.8, 0.95)
"""Number of cells at either end in which errors are also measured at these places; elsewhere at the midpoint, where
they are largest."""

Function = Callable[[Tensor], Tensor]
Report = Callable[[int, int], None]


@dataclass(frozen=True)
class SetflGrid:
    """Numbers of points and spacings of a setfl file: in rho (dimensionless) and in r (angstrom), both from 0.

    ``style`` is the ``pair_style`` of LAMMPS that reads it.
    """

    n_rho: int
    d_rho: float
    n_r: int
    d_r: float
    style: str = "eam/alloy"

    @property
    def rho(self) -> Tensor:
        """Electron densities."""
        return torch.arange(self.n_rho, dtype=torch.float64) * self.d_rho

    @property
    def r(self) -> Tensor:
        """Distances in angstrom."""
        return torch.arange(self.n_r, dtype=torch.float64) * self.d_r


class Functions:
    """The functions that a setfl file tabulates, by atomic number, in float64.

    Raises
    ------
    ConfigError
        If the potential is anything but an EAM and pair potentials, or does not know an element that is chosen.
    """

    def __init__(self, potential: Potential, elements: Iterable[int | str] | None = None) -> None:
        if three_body_term(potential) is not None:
            raise ConfigError(
                "a three-body term cannot be written for LAMMPS: tables of eam/alloy and eam/fs have no angles; export "
                "an EAM fitted without --three-body"
            )
        self.eam, self.cores = eam_and_cores(converted(potential, torch.float64))
        self.offsets = potential.offsets().tolist()
        self.elements = self._chosen(elements)
        self.pairs = list(combinations_with_replacement(self.elements, 2))
        self.style = "eam/fs" if len(self.elements) > 1 and self._has_contacts() else "eam/alloy"

    def _has_contacts(self) -> bool:
        names = {pair_name(*pair) for pair in self.pairs}
        contacts = zip(self.eam.pair_names, self.eam.pair_contact.flatten().tolist(), strict=True)
        return any(contact != 0 for name, contact in contacts if name in names)

    def _chosen(self, elements: Iterable[int | str] | None) -> tuple[int, ...]:
        known = self.eam.elements or ()
        chosen = known if elements is None else sorted(set(atomic_numbers_of(elements)))
        if unknown := [symbol(z) for z in chosen if z not in known]:
            raise ConfigError(f"the EAM has no {listed(unknown)}; it knows {', '.join(map(symbol, known))}")
        if not chosen:
            raise ConfigError("name at least one element to export")
        return tuple(chosen)

    def embedding(self, rho: Tensor, element: int) -> Tensor:
        """F(rho) in eV, without the element's offset."""
        return self.eam.embedding_energy(rho, element)

    def density(self, r: Tensor, donor: int, at: int | None = None) -> Tensor:
        """Electron density that a donor gives at an atom at distance r, of its own element if none is named."""
        return self.eam.density(r, donor, donor if at is None else at)

    def receivers(self, donor: int) -> Sequence[int]:
        """Elements for which a donor has densities of their own; itself, if it has one only."""
        return self.elements if self.style == "eam/fs" else [donor]

    def r_phi(self, r: Tensor, first: int, second: int) -> Tensor:
        """R phi(r) in eV angstrom, cores included; the limit at r = 0 is finite."""
        distance = r.clamp(min=1e-9)
        phi = self.eam.pair_energy(distance, first, second)
        for core in self.cores:
            phi = phi + core_energy(core, distance, first, second)
        return distance * phi

    def most_rho(self) -> float:
        """Electron density in a crowded place: the end of the table."""
        crowded = [
            (12.0 if first == second else 4.0) * float(self.density(CROWDED * bond(first, second), donor, at))
            for first, second in self.pairs
            for donor, at in ((first, second), (second, first))
        ]
        return max(LEAST_RHO, *crowded)


def bond(first: int, second: int) -> Tensor:
    """Return the sum of the covalent radii of two elements in angstrom."""
    return torch.tensor(COVALENT_RADII[first] + COVALENT_RADII[second], dtype=torch.float64)


def choose_grid(functions: Functions, report: Report | None = None) -> SetflGrid:
    """Return the coarsest grid whose measured interpolation errors are small enough.

    ``report`` is called with how many functions of how many have been measured.

    Raises
    ------
    ConfigError
        If even the finest is not.
    """
    end, cutoff = functions.most_rho(), functions.eam.cutoff
    strength = functions.eam.values(["embedding"])["embedding"].max().item()

    def embedding(element: int, n: int) -> bool:
        rho, _, error, slope_error = interpolation_errors(lambda rho: functions.embedding(rho, element), end, n)
        # The last cells lie beyond the range that is guaranteed; d rho/dr is at most about 5 rho/angstrom.
        judged = rho < end * (1.0 - END_CELLS / (n - 1))
        on_forces = 5.0 * rho * slope_error
        return bool((error[judged] < EMBEDDING_ERROR).all() and (on_forces[judged] < FORCE_ERROR).all())

    def pair(first: int, second: int, n: int) -> bool:
        closest = CLOSEST * float(bond(first, second))
        return _resolved(lambda r: functions.r_phi(r, first, second), cutoff, n, closest, lambda r: r)

    def density(donor: int, at: int, n: int) -> bool:
        closest = CLOSEST * float(min(bond(donor, z) for z in functions.elements))
        return _resolved(lambda r: strength * functions.density(r, donor, at), cutoff, n, closest, torch.ones_like)

    densities = [partial(density, z, at) for z in functions.elements for at in functions.receivers(z)]
    along_r = [*densities, *(partial(pair, *p) for p in functions.pairs)]
    total = len(functions.elements) + len(along_r)
    n_rho = _points([partial(embedding, z) for z in functions.elements], MOST_DENSITIES, report, 0, total)
    n_r = _points(along_r, MOST_DISTANCES, report, len(functions.elements), total)
    return SetflGrid(n_rho, end / (n_rho - 1), n_r, cutoff / (n_r - 1), functions.style)


def _points(
    fine_enough: Iterable[Callable[[int], bool]], most: int, report: Report | None, done: int, total: int
) -> int:
    n = FEWEST_POINTS
    for k, function in enumerate(fine_enough, start=1):
        while not function(n):
            n *= 2
            if n > most:
                raise ConfigError(f"no table of {most} points resolves this EAM: its functions are too steep")
        if report is not None:
            report(done + k, total)
    return n


def _resolved(function: Function, end: float, n: int, closest: float, divisor: Function) -> bool:
    r, value, error, slope_error = interpolation_errors(function, end, n)
    scale = divisor(r)
    judged = (r > closest) & (value.abs() < HARD * scale)
    scale = (scale + value.abs())[judged]
    error, slope_error = error[judged] / scale, slope_error[judged] / scale
    return bool((error < PAIR_ERROR).all() and (slope_error < FORCE_ERROR).all())


def lammps_slopes(f: Tensor) -> Tensor:
    """Return the slopes that LAMMPS has at the points of a table (n,), per spacing, shape (n,)."""
    inner = (f[:-4] - 8.0 * f[1:-3] + 8.0 * f[3:-1] - f[4:]) / 12.0
    first = torch.stack([f[1] - f[0], 0.5 * (f[2] - f[0])])
    last = torch.stack([0.5 * (f[-1] - f[-3]), f[-1] - f[-2]])
    return torch.cat([first, inner, last])


def interpolation_errors(function: Function, end: float, n: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return places in a table of n points from 0 to ``end``, values there, and errors of value and slope in LAMMPS.

    Places are half-way between all points, and more of them in the cells at both ends.
    """
    h = end / (n - 1)
    f = function(torch.arange(n, dtype=torch.float64) * h)
    slopes = lammps_slopes(f)
    ends = torch.cat([torch.arange(END_CELLS), torch.arange(n - 1 - END_CELLS, n - 1)])
    within = torch.tensor(WITHIN, dtype=torch.float64)
    cell = torch.cat([torch.arange(n - 1), ends.repeat_interleave(len(WITHIN))])
    p = torch.cat([torch.full((n - 1,), 0.5, dtype=torch.float64), within.repeat(len(ends))])
    a, b, rise = slopes[cell], slopes[cell + 1], f[cell + 1] - f[cell]
    quadratic, cubic = 3.0 * rise - 2.0 * a - b, a + b - 2.0 * rise
    value = f[cell] + p * (a + p * (quadratic + p * cubic))
    slope = (a + p * (2.0 * quadratic + 3.0 * p * cubic)) / h
    x, step = (cell + p) * h, 0.02 * h
    exact = function(x)
    exact_slope = (
        8.0 * (function(x + step) - function(x - step)) - function(x + 2 * step) + function(x - 2 * step)
    ) / (12 * step)
    return x, exact, (value - exact).abs(), (slope - exact_slope).abs()
