"""``keel export``: a potential for other programs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from keel.commands.potential_options import Trust
from keel.errors import ConfigError
from keel.files import Output
from keel.kinds import KEEL_SUFFIXES
from keel.ranges import Reach

LARGE, MANY = 50_000_000, 3
"""A file of so many bytes is announced before it is written; of so many elements a part can be had."""


class Format(StrEnum):
    """Formats of other programs."""

    SETFL = "setfl"
    METATOMIC = "metatomic"


def export(
    potential: Annotated[str, typer.Argument(help="A network, or a fitted EAM, e.g. eam.json of keel fit.")],
    out: Annotated[Path, Output(), typer.Option(help="Where it goes, e.g. network.pt or silica.eam.fs.")],
    form: Annotated[
        Format | None,
        typer.Option(
            "--to",
            "--format",
            help="metatomic: one file for LAMMPS, GROMACS, i-PI, EON, PLUMED, torch-sim and ASE. setfl: an EAM for "
            "LAMMPS eam/alloy or eam/fs, ASE and matscipy. Default: metatomic for a file .pt, else setfl.",
        ),
    ] = None,
    reach: Annotated[
        Reach | None,
        typer.Option("--range", help="metatomic: how far atoms feel each other; default: number of layers x cutoff."),
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help="metatomic: float32 or float64 inside; default: that of the potential.")
    ] = None,
    trust: Trust = False,
    elements: Annotated[
        str | None, typer.Option(help="setfl: only these elements, e.g. O,Si; the table grows with their square.")
    ] = None,
) -> None:
    """Write a potential for other programs: any network for those that run metatomic, an EAM for LAMMPS.

    The file for metatomic gives energies (also of single atoms), forces and stress, and is written only if its numbers
    are those of the potential. The table of an EAM is as fine as the potential needs: energies agree to 1e-5 eV/atom,
    forces to 1e-4 eV/Å, in gases and clusters too. The energy offsets of the elements are part of either, and so is a
    ZBL core.

    Example: keel export network.safetensors --to metatomic --out network.pt
    """
    if form is None:
        form = Format.METATOMIC if out.suffix == ".pt" else Format.SETFL
    if form is Format.METATOMIC:
        if elements is not None:
            raise ConfigError("--elements is for --to setfl; a network is exported whole")
        _metatomic(potential, out, reach, precision, trust)
    else:
        if reach is not None or precision is not None:
            raise ConfigError("--range and --precision are for --to metatomic")
        _setfl(Path(potential), out, elements)


def _metatomic(name: str, out: Path, reach: float | None, precision: str | None, trust: bool) -> None:
    from keel.files import check_not_input
    from keel.interfaces.metatomic import write_metatomic
    from keel.potentials.external.opening import open_potential

    check_not_input(out, [Path(name)])
    loaded = open_potential(name, trust=trust)
    found = write_metatomic(loaded, out, interaction_range=reach, dtype=precision)
    numbers = " ".join(map(str, loaded.elements or ()))
    typer.echo(f"{out}: {type(loaded).__name__} for metatomic; atoms feel each other up to {found:g} Å")
    typer.echo(
        f"in LAMMPS:\n  units metal\n  pair_style metatomic {out.name}\n  pair_coeff * * {numbers}"
        "    (atomic numbers in the order of the atom types)\n"
        f"in ASE:\n  atoms.calc = metatomic_ase.MetatomicCalculator({str(out)!r})"
    )


def _setfl(path: Path, out: Path, elements: str | None) -> None:
    from keel.files import check_not_input
    from keel.interfaces.setfl import Functions, check_suffix, choose_grid, lammps_memory, setfl_size, write_tables
    from keel.potentials.loading import load
    from keel.progress import bar, console
    from keel.wording import bytes_text

    if path.suffix not in KEEL_SUFFIXES:
        raise ConfigError(
            f"{path}: export takes an EAM in a file of keel ({' or '.join(KEEL_SUFFIXES)}); for networks there is "
            "--to metatomic"
        )
    check_not_input(out, [path])
    chosen = None if elements is None else [e.strip() for e in elements.split(",") if e.strip()]
    functions = Functions(load(path), chosen)
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
