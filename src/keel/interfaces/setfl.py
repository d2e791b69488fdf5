"""Export of an EAM to LAMMPS: a ``setfl`` file, which ASE and matscipy read as well.

    pair_style eam/fs
    pair_coeff * * silica.eam.fs O Si          (units metal; names in the order of the atom types)

A setfl file contains tables: F_a(rho) including the energy offset of the element, so that F_a(0) is the energy of an
isolated atom; the electron density that each element donates; r phi_ab(r), where cores (ZBL) are part of phi. If pairs
of elements have their own contacts, the density also depends on the receiving element (``eam/fs``); else, and with one
element, the format is ``eam/alloy``.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ase.data import reference_states
from torch import Tensor

from keel.atoms.elements import MASSES, symbol
from keel.errors import ConfigError
from keel.files import replace_file
from keel.interfaces.setfl_grid import Functions, Report, SetflGrid, choose_grid
from keel.potentials.base import Potential

__all__ = ["Functions", "SetflGrid", "choose_grid", "lammps_memory", "setfl_size", "write_setfl", "write_tables"]

LONG, SHORT = 16, 10
"""Digits of the embedding function, which contains the energies of isolated atoms, and of everything else."""
SPLINE = 7
"""Number of values that LAMMPS stores for each point of a table."""


def write_setfl(
    potential: Potential,
    path: str | Path,
    *,
    elements: Iterable[int | str] | None = None,
    report: Report | None = None,
) -> SetflGrid:
    """Write an EAM, alone or summed with pair potentials such as ZBL, as a setfl file; return its grid.

    The grid is the coarsest whose interpolation errors, measured with the local cubics of LAMMPS and its slopes at the
    ends of a table, are below 1e-7 eV per pair, 3e-6 eV per atom and 2e-5 eV/angstrom.

    Parameters
    ----------
    potential
        An EAM, or a sum of one and pair potentials.
    path
        The file, ``.alloy`` or ``.fs`` by its ``pair_style``, or without either.
    elements
        Symbols or atomic numbers of a part of the EAM; None: all that it knows.
    report
        Called with the amount written and the total.

    Raises
    ------
    ConfigError
        If the potential is anything but an EAM and pair potentials, does not know an element, or is too steep for a
        table, or the suffix is that of another style, by which readers decide.
    """
    functions, path = Functions(potential, elements), Path(path)
    check_suffix(path, functions)
    grid = choose_grid(functions)
    write_tables(path, functions, grid, report)
    return grid


def check_suffix(path: Path, functions: Functions) -> None:
    """Raise a ConfigError if a suffix is that of another style than the functions need."""
    suffix = f".{functions.style.split('/')[1]}"
    if path.suffix != suffix and path.suffix in (".alloy", ".fs"):
        raise ConfigError(f"{path}: this potential needs the style {functions.style}; name it {path.stem}{suffix}")


def setfl_size(functions: Functions, grid: SetflGrid) -> int:
    """Return about how many bytes a setfl file will have."""
    tables = _tables(functions)
    embedding = len(functions.elements) * grid.n_rho * (LONG + 7.3)
    return int(embedding + (tables - len(functions.elements)) * grid.n_r * (SHORT + 7))


def lammps_memory(functions: Functions, grid: SetflGrid) -> int:
    """Return about how many bytes LAMMPS takes to read such a file: tables, their splines, and room for all pairs."""
    n = len(functions.elements)
    splines = n * grid.n_rho + (_tables(functions) - n) * grid.n_r
    return 8 * (splines * (SPLINE + 1) + n * n * grid.n_r)


def _tables(functions: Functions) -> int:
    """Return the number of tables: of embedding functions, densities and pairs."""
    receivers = sum(len(functions.receivers(z)) for z in functions.elements)
    return len(functions.elements) + receivers + len(functions.pairs)


def write_tables(path: Path, functions: Functions, grid: SetflGrid, report: Report | None = None) -> None:
    """Write the setfl file of functions on a grid."""
    replace_file(path, lambda temporary: _write(temporary, functions, grid, report or _silent))


def _silent(done: int, total: int) -> None:
    """Report nothing."""


def _write(path: Path, functions: Functions, grid: SetflGrid, report: Report) -> None:
    names = [symbol(z) for z in functions.elements]
    done, total = 0, _tables(functions)
    with path.open("w") as file:
        file.write("EAM potential written by keel (units metal: eV, angstrom)\n")
        file.write("F(rho) includes the energy of the isolated atom; cores are part of the pair table\n\n")
        file.write(f"{len(names)} {' '.join(names)}\n")
        file.write(f"{grid.n_rho} {grid.d_rho:.16e} {grid.n_r} {grid.d_r:.16e} {functions.eam.cutoff:.16e}\n")
        for z in functions.elements:
            lattice = reference_states[z] or {}
            file.write(f"{z} {MASSES[z]:.8g} {lattice.get('a', 0.0):g} {lattice.get('symmetry', 'none')}\n")
            file.writelines(_lines(functions.embedding(grid.rho, z) + functions.offsets[z], LONG))
            for at in functions.receivers(z):
                file.writelines(_lines(functions.density(grid.r, z, at), SHORT))
            done += 1 + len(functions.receivers(z))
            report(done, total)
        for k, first in enumerate(functions.elements):
            for second in functions.elements[: k + 1]:
                file.writelines(_lines(functions.r_phi(grid.r, first, second), SHORT))
                done += 1
                report(done, total)


def _lines(values: Tensor, digits: int) -> Iterable[str]:
    rows = [values[k : k + 5].tolist() for k in range(0, len(values), 5)]
    return (" ".join(f"{v:.{digits}e}" for v in row) + "\n" for row in rows)
