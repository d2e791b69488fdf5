"""Export of an EAM to LAMMPS: a ``setfl`` file, which ASE and matscipy read as well.

    pair_style eam/fs
    pair_coeff * * silica.eam.fs O Si          (units metal; names in the order of the atom types)

A setfl file holds tables: F_a(rho) with the energy offset of the element folded in, so that F_a(0) is the energy of an
atom alone; the electron density that each element donates; r phi_ab(r), where cores (ZBL) are part of phi. Where
elements have contacts of their own with each other, the density depends on who receives it too (``eam/fs``); else, and
with one element, the format is ``eam/alloy``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations_with_replacement
from pathlib import Path

import torch
from ase.data import reference_states
from torch import Tensor

from keel.atoms.elements import COVALENT_RADII, MASSES, symbol
from keel.errors import ConfigError
from keel.files import replace_file
from keel.potentials.base import Potential
from keel.potentials.classical.dimer import core_energy, eam_and_cores
from keel.potentials.classical.three_body import three_body_term
from keel.potentials.convert import converted

PAIR_ERROR, EMBEDDING_ERROR, FORCE_ERROR = 1e-7, 1e-6, 2e-5
"""Interpolation errors that a grid may have, in eV, eV and eV/angstrom; for a hard pair, more by its energy in eV."""
FEWEST_POINTS, MOST_POINTS = 2_000, 128_000
HARD, CLOSEST = 100.0, 0.6
"""Pairs are judged where their energy is below 100 eV, from 0.6 times the sum of the covalent radii on."""
CROWDED, LEAST_RHO = 0.7, 5.0
"""The table in rho reaches to where twelve like or four unlike atoms stand at 0.7 times that sum; at least to 5."""

Function = Callable[[Tensor], Tensor]


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


def write_setfl(potential: Potential, path: str | Path) -> SetflGrid:
    """Write an EAM, alone or summed with pair potentials such as ZBL, as a setfl file; return its grid.

    The grid is the coarsest whose interpolation errors, measured half-way between its points with the local cubics of
    LAMMPS, are below 1e-7 eV per pair, 1e-6 eV per atom and 2e-5 eV/angstrom.

    Raises
    ------
    ConfigError
        If the potential is anything but an EAM and pair potentials, or too steep for a table, or the suffix is that of
        another style: readers go by it.
    """
    functions, path = Functions(potential), Path(path)
    suffix = f".{functions.style.split('/')[1]}"
    if path.suffix != suffix and path.suffix in (".alloy", ".fs"):
        raise ConfigError(f"{path}: this potential needs the style {functions.style}; name it {path.stem}{suffix}")
    grid = choose_grid(functions)
    replace_file(path, lambda temporary: _write(temporary, functions, grid))
    return grid


class Functions:
    """The functions that a setfl file tabulates, by atomic number, in float64."""

    def __init__(self, potential: Potential) -> None:
        if three_body_term(potential) is not None:
            raise ConfigError(
                "a three-body term cannot be written for LAMMPS: tables of eam/alloy and eam/fs have no angles; export "
                "an EAM fitted without --three-body"
            )
        self.eam, self.cores = eam_and_cores(converted(potential, torch.float64))
        self.offsets = potential.offsets().tolist()
        self.elements = self.eam.elements or ()
        self.pairs = list(combinations_with_replacement(self.elements, 2))
        self.style = "eam/fs" if len(self.elements) > 1 and bool(self.eam.pair_contact.any()) else "eam/alloy"

    def embedding(self, rho: Tensor, element: int) -> Tensor:
        """F(rho) in eV, without the element's offset."""
        return self.eam.embedding_energy(rho, element)

    def density(self, r: Tensor, donor: int, at: int) -> Tensor:
        """Electron density that a donor gives at an atom at distance r."""
        return self.eam.density(r, donor, at)

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


def choose_grid(functions: Functions) -> SetflGrid:
    """Return the coarsest grid whose measured interpolation errors are small enough.

    Raises
    ------
    ConfigError
        If even the finest is not.
    """
    end, cutoff = functions.most_rho(), functions.eam.cutoff
    strength = functions.eam.values(["embedding"])["embedding"].max().item()

    def embedding(element: int, n: int) -> bool:
        rho, _, error, slope_error = _errors(lambda rho: functions.embedding(rho, element), end, n)
        # d rho/dr is at most about 5 rho/angstrom.
        return bool((error < EMBEDDING_ERROR).all() and (5.0 * rho * slope_error < FORCE_ERROR).all())

    def pair(first: int, second: int, n: int) -> bool:
        closest = CLOSEST * float(bond(first, second))
        return _resolved(lambda r: functions.r_phi(r, first, second), cutoff, n, closest, lambda r: r)

    def density(donor: int, at: int, n: int) -> bool:
        closest = CLOSEST * float(min(bond(donor, z) for z in functions.elements))
        return _resolved(lambda r: strength * functions.density(r, donor, at), cutoff, n, closest, torch.ones_like)

    n_rho = _points(partial(embedding, z) for z in functions.elements)
    densities = [partial(density, z, at) for z in functions.elements for at in functions.receivers(z)]
    n_r = _points([*densities, *(partial(pair, *p) for p in functions.pairs)])
    return SetflGrid(n_rho, end / (n_rho - 1), n_r, cutoff / (n_r - 1), functions.style)


def _points(fine_enough: Iterable[Callable[[int], bool]]) -> int:
    n = FEWEST_POINTS
    for function in fine_enough:
        while not function(n):
            n *= 2
            if n > MOST_POINTS:
                raise ConfigError(f"no table of {MOST_POINTS} points resolves this EAM: its functions are too steep")
    return n


def _resolved(function: Function, end: float, n: int, closest: float, divisor: Function) -> bool:
    r, value, error, slope_error = _errors(function, end, n)
    scale = divisor(r)
    judged = (r > closest) & (value.abs() < HARD * scale)
    scale = (scale + value.abs())[judged]
    error, slope_error = error[judged] / scale, slope_error[judged] / scale
    return bool((error < PAIR_ERROR).all() and (slope_error < FORCE_ERROR).all())


def _errors(function: Function, end: float, n: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return positions half-way between grid points, values there, and errors of value and slope of the interpolation.

    Cubics between neighbouring points with slopes from five points, as LAMMPS takes them (``PairEAM::interpolate``).
    """
    h = end / (n - 1)
    f = function(torch.arange(n, dtype=torch.float64) * h)
    slope = (f[:-4] - 8.0 * f[1:-3] + 8.0 * f[3:-1] - f[4:]) / 12.0
    left, right = f[2:-3], f[3:-2]
    value = 0.5 * (left + right) + (slope[:-1] - slope[1:]) / 8.0
    derivative = (1.5 * (right - left) - 0.25 * (slope[:-1] + slope[1:])) / h
    x = (torch.arange(2, n - 3, dtype=torch.float64) + 0.5) * h
    exact = function(x)
    step = 0.1 * h
    exact_slope = (
        8.0 * (function(x + step) - function(x - step)) - function(x + 2 * step) + function(x - 2 * step)
    ) / (12 * step)
    return x, exact, (value - exact).abs(), (derivative - exact_slope).abs()


def _write(path: Path, functions: Functions, grid: SetflGrid) -> None:
    names = [symbol(z) for z in functions.elements]
    with path.open("w") as file:
        file.write("EAM potential written by keel (units metal: eV, angstrom)\n")
        file.write("F(rho) holds the energy of the isolated atom; cores are part of the pair table\n\n")
        file.write(f"{len(names)} {' '.join(names)}\n")
        file.write(f"{grid.n_rho} {grid.d_rho:.16e} {grid.n_r} {grid.d_r:.16e} {functions.eam.cutoff:.16e}\n")
        for z in functions.elements:
            lattice = reference_states[z] or {}
            file.write(f"{z} {MASSES[z]:.8g} {lattice.get('a', 0.0):g} {lattice.get('symmetry', 'none')}\n")
            file.writelines(_lines(functions.embedding(grid.rho, z) + functions.offsets[z], 16))
            for at in functions.receivers(z):
                file.writelines(_lines(functions.density(grid.r, z, at), 10))
        for k, first in enumerate(functions.elements):
            for second in functions.elements[: k + 1]:
                file.writelines(_lines(functions.r_phi(grid.r, first, second), 10))


def _lines(values: Tensor, digits: int) -> Iterable[str]:
    rows = [values[k : k + 5].tolist() for k in range(0, len(values), 5)]
    return (" ".join(f"{v:.{digits}e}" for v in row) + "\n" for row in rows)
