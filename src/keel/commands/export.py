"""``keel export``: a potential for other programs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from keel.commands.checked import check
from keel.commands.potential_options import Trust
from keel.errors import ConfigError
from keel.files import Output
from keel.kinds import KEEL_SUFFIXES
from keel.ranges import EnergyUnit, Reach

LARGE, MANY = 50_000_000, 3
"""Larger files (bytes) are announced before they are written; with more elements, a choice of them is suggested."""


class Format(StrEnum):
    """Formats of other programs."""

    SETFL = "setfl"
    METATOMIC = "metatomic"
    MACE = "mace"
    MATGL = "matgl"
    TORCHMDNET = "torchmd-net"


SUFFIXES = {".pt": Format.METATOMIC, ".model": Format.MACE, ".ckpt": Format.TORCHMDNET}
"""Formats by suffix if none is named; other suffixes are those of tables."""


def export(
    potential: Annotated[str, typer.Argument(help="A network, or a fitted EAM, e.g. eam.json from keel fit.")],
    out: Annotated[
        Path,
        Output(folder=None),
        typer.Option(help="File to write, e.g. network.pt or silica.eam.fs; matgl: a folder."),
    ],
    form: Annotated[
        Format | None,
        typer.Option(
            "--to",
            "--format",
            help="metatomic: one file for LAMMPS, GROMACS, i-PI, EON, PLUMED, torch-sim and ASE. mace, matgl, "
            "torchmd-net: a network of that package, for the package itself. setfl: an EAM for LAMMPS eam/alloy or "
            "eam/fs, "
            "ASE and matscipy. Default: by the suffix .pt, .model or .ckpt, else setfl.",
        ),
    ] = None,
    reach: Annotated[
        Reach | None,
        typer.Option("--range", help="metatomic: interaction range in angstrom; default: number of layers x cutoff."),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(help="Precision of a network: float32 or float64; default: that of the potential, if sufficient."),
    ] = None,
    energy_unit: Annotated[EnergyUnit, typer.Option(help="torchmd-net: energy unit of the file in eV.")] = 1.0,
    trust: Trust = False,
    elements: Annotated[
        str | None, typer.Option(help="setfl: only these elements, e.g. O,Si; the table grows with their square.")
    ] = None,
) -> None:
    """Write a potential for other programs: any network for programs that run metatomic models, an EAM for LAMMPS.

    The file for metatomic gives energies (also of single atoms), forces and stress. A network of mace-torch, matgl or
    torchmd-net can also be returned to its package, as a file that the package loads itself. Both are written only if
    they reproduce the potential. The table of an EAM is as fine as it needs to be: energies agree to 1e-5 eV/atom,
    forces to 1e-4 eV/Å, in gases and clusters too. All of them include the energy offsets of the elements; the file for
    metatomic and the table also include a ZBL core.

    Example: keel export network.safetensors --to metatomic --out network.pt
    """
    form = form or SUFFIXES.get(out.suffix, Format.SETFL)
    check(Output(folder=form is Format.MATGL), out, "--out")
    for option, given, forms in (
        ("--elements", elements is not None, (Format.SETFL,)),
        ("--range", reach is not None, (Format.METATOMIC,)),
        ("--precision", precision is not None, tuple(set(Format) - {Format.SETFL})),
        ("--energy-unit", energy_unit != 1.0, (Format.TORCHMDNET,)),
    ):
        if given and form not in forms:
            raise ConfigError(f"{option} is for --to {' or '.join(sorted(forms))}, not for {form}")
    if form is Format.SETFL:
        _setfl(Path(potential), out, elements)
    elif form is Format.METATOMIC:
        _metatomic(potential, out, reach, precision, trust)
    else:
        _package(form, potential, out, precision, trust, energy_unit)


def _metatomic(name: str, out: Path, reach: float | None, precision: str | None, trust: bool) -> None:
    from keel.files import check_not_input
    from keel.interfaces.metatomic import write_metatomic
    from keel.potentials.external.opening import open_potential

    check_not_input(out, [Path(name)])
    loaded = open_potential(name, trust=trust)
    found = write_metatomic(loaded, out, interaction_range=reach, dtype=precision)
    numbers = " ".join(map(str, loaded.elements or ()))
    typer.echo(f"{out}: {type(loaded).__name__} for metatomic; interaction range {found:g} Å")
    typer.echo(
        f"in LAMMPS:\n  units metal\n  pair_style metatomic {out.name}\n  pair_coeff * * {numbers}"
        "    (atomic numbers in the order of the atom types)\n"
        f"in ASE:\n  atoms.calc = metatomic_ase.MetatomicCalculator({str(out)!r})"
    )


USE = {
    Format.MACE: "in ASE:\n  atoms.calc = mace.calculators.MACECalculator({0!r})\n"
    "for LAMMPS:\n  mace_create_lammps_model {0}",
    Format.MATGL: "in ASE:\n{1}  potential = matgl.load_model({0!r})\n"
    '  atoms.calc = matgl.ext.ase.PESCalculator(potential, stress_unit="eV/A3")',
    Format.TORCHMDNET: "in Python:\n  model = torchmdnet.models.model.load_model({0!r}, derivative=True)",
}
"""What to do with the files."""


def _package(form: Format, name: str, out: Path, precision: str | None, trust: bool, energy_unit: float) -> None:
    from keel.files import check_not_input
    from keel.interfaces import packages
    from keel.potentials.external.opening import open_potential

    check_not_input(out, [Path(name)])
    loaded = open_potential(name, trust=trust)
    if form is Format.MACE:
        written = packages.write_mace(loaded, out, dtype=precision)
    elif form is Format.MATGL:
        written = packages.write_matgl(loaded, out, dtype=precision)
    else:
        written = packages.write_torchmdnet(loaded, out, dtype=precision, energy_unit=energy_unit)
    unit, double = "eV" if energy_unit == 1.0 else f"{energy_unit:g} eV", str(written.dtype).endswith("64")
    elements = " ".join(_symbols(written.elements or ()))
    more = ", which the energies of its elements need" if written.dtype != loaded.dtype and precision is None else ""
    if (rounded := packages.rounding(written)) > packages.EXACT:
        more = f", which rounds the energies of its elements by up to {rounded:.1g} eV (--precision float64 does not)"
    typer.echo(
        f"{out}: {type(written).__name__} for {form}, float{64 if double else 32}{more}; elements {elements}; energies "
        f"in {unit}, lengths in Å"
    )
    typer.echo(USE[form].format(str(out), '  matgl.set_default_dtype("float", 64)\n' * double))


def _setfl(path: Path, out: Path, elements: str | None) -> None:
    from keel.files import check_not_input
    from keel.interfaces.setfl import Functions, check_suffix, choose_grid, lammps_memory, setfl_size, write_tables
    from keel.potentials.loading import load
    from keel.progress import bar, console
    from keel.wording import bytes_text

    if path.suffix not in KEEL_SUFFIXES:
        raise ConfigError(
            f"{path}: setfl needs an EAM in a file of keel ({' or '.join(KEEL_SUFFIXES)}); for networks use --to "
            "metatomic"
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
