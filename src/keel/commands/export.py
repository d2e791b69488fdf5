"""``keel export``: an EAM for LAMMPS."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from keel.files import Output
from keel.kinds import KEEL_SUFFIXES

LARGE, MANY = 50_000_000, 3
"""A file of so many bytes is announced before it is written; of so many elements a part can be had."""


class Format(StrEnum):
    """Formats of other programs."""

    SETFL = "setfl"


def export(
    potential: Annotated[Path, typer.Argument(help="A fitted EAM, e.g. eam.json of keel fit.")],
    out: Annotated[Path, Output(), typer.Option(help="Where it goes, e.g. silica.eam.fs.")],
    form: Annotated[
        Format, typer.Option("--format", help="setfl: LAMMPS eam/alloy or eam/fs, also read by ASE and matscipy.")
    ] = (Format.SETFL),
    elements: Annotated[
        str | None, typer.Option(help="Only these elements of the EAM, e.g. O,Si: the table grows with their square.")
    ] = None,
) -> None:
    """Write an EAM for LAMMPS (pair_style eam/fs, with one element eam/alloy), ASE and matscipy.

    The file is a table, as fine as the potential needs: energies agree to 1e-5 eV/atom, forces to 1e-4 eV/Å, in gases
    and clusters too. The energy offsets of the elements are part of it, and so is a ZBL core.

    Example: keel export eam.json --out silica.eam.fs
    """
    from keel.errors import ConfigError
    from keel.files import check_not_input
    from keel.interfaces.lammps import Functions, check_suffix, choose_grid, lammps_memory, setfl_size, write_tables
    from keel.potentials.loading import load
    from keel.progress import bar, console
    from keel.wording import bytes_text

    assert form is Format.SETFL
    if potential.suffix not in KEEL_SUFFIXES:
        raise ConfigError(f"{potential}: export takes an EAM in a file of keel ({' or '.join(KEEL_SUFFIXES)})")
    check_not_input(out, [potential])
    chosen = None if elements is None else [e.strip() for e in elements.split(",") if e.strip()]
    functions = Functions(load(potential), chosen)
    check_suffix(out, functions)
    with bar("choosing the grid") as advance:
        grid = choose_grid(functions, advance)
    size, memory = setfl_size(functions, grid), lammps_memory(functions, grid)
    if size > LARGE:
        n = len(functions.elements)
        part = "" if n < MANY else "; --elements writes a part"
        console.print(
            f"{out}: about {bytes_text(size)} for {n} element{'s' if n > 1 else ''}, and LAMMPS needs about "
            f"{bytes_text(memory)} of memory to read it{part}",
            soft_wrap=True,
        )
    with bar("writing tables") as advance:
        write_tables(out, functions, grid, advance)
    names = " ".join(_symbols(functions.elements))
    typer.echo(f"{out}: {grid.n_rho} densities up to {grid.rho[-1]:.4g}, {grid.n_r} distances up to {grid.r[-1]:g} Å")
    typer.echo(f"in LAMMPS:\n  units metal\n  pair_style {grid.style}\n  pair_coeff * * {out.name} {names}")


def _symbols(numbers: tuple[int, ...]) -> list[str]:
    from keel.atoms.elements import symbol

    return [symbol(z) for z in numbers]
