"""Options of commands that read structures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from keel.atoms.record import LabelKeys

Elements = Annotated[
    str | None, typer.Option(help="Elements of types 1, 2, ... in files without element names, such as MTP's: Si,O.")
]

Require = Annotated[
    list[str] | None, typer.Option(help="A label required of every frame: energy, forces or stress; repeatable.")
]
EnergyKey = Annotated[str | None, typer.Option(help="Name of the energy in the files.")]
ForcesKey = Annotated[str | None, typer.Option(help="Name of the forces in the files.")]
StressKey = Annotated[str | None, typer.Option(help="Name of the stress or virial in the files.")]
StressConvention = Annotated[
    str | None,
    typer.Option(
        help="Convention of the stress: ase (eV/Å³), gpa, kbar, vasp-kbar, bar (LAMMPS), virial (eV), hartree/bohr^3, "
        "with a leading minus sign for the opposite sign."
    ),
]
EnergyUnit = Annotated[
    str | None,
    typer.Option(help="Unit of the energy: hartree, rydberg, kcal/mol, kJ/mol, or per atom, such as eV/atom."),
]
ForcesUnit = Annotated[
    str | None, typer.Option(help="Unit of the forces, such as hartree/bohr; --forces-unit=-eV/angstrom for gradients.")
]
LengthUnit = Annotated[str | None, typer.Option(help="Unit of positions and cell: bohr, nm or pm.")]
Unconverged = Annotated[
    bool, typer.Option("--unconverged", help="Also use labels of calculations that did not converge.")
]


def named_elements(elements: str | None) -> tuple[str, ...] | None:
    """Return the elements in ``Si,O``."""
    return tuple(element.strip() for element in elements.split(",")) if elements else None


def keys_of(elements: str | None) -> LabelKeys:
    """Return how files are to be read."""
    from keel.atoms.record import LabelKeys

    return LabelKeys(elements=named_elements(elements))
