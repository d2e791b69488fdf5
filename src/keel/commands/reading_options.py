"""Options of commands that read structures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from keel.atoms.record import LabelKeys

Elements = Annotated[
    str | None, typer.Option(help="Elements of the types 1, 2, ... of files that name none, as MTP's do: Si,O.")
]

Require = Annotated[
    list[str] | None, typer.Option(help="A label that every frame must have: energy, forces or stress; repeatable.")
]
EnergyKey = Annotated[str | None, typer.Option(help="Name of the energy in the files.")]
ForcesKey = Annotated[str | None, typer.Option(help="Name of the forces in the files.")]
StressKey = Annotated[str | None, typer.Option(help="Name of the stress or virial in the files.")]
StressConvention = Annotated[
    str | None,
    typer.Option(
        help="What the stress is: ase (eV/Å³), gpa, kbar, vasp-kbar, bar (LAMMPS), virial (eV), hartree/bohr^3, "
        "with a minus sign before it where the sign is the opposite."
    ),
]
EnergyUnit = Annotated[
    str | None, typer.Option(help="Of the energy: hartree, rydberg, kcal/mol, kJ/mol, or eV/atom and its like.")
]
ForcesUnit = Annotated[
    str | None, typer.Option(help="Of the forces, such as hartree/bohr; --forces-unit=-eV/angstrom for gradients.")
]
LengthUnit = Annotated[str | None, typer.Option(help="Of positions and cell: bohr, nm or pm.")]
Unconverged = Annotated[
    bool, typer.Option("--unconverged", help="Take labels of calculations that did not converge too.")
]


def named_elements(elements: str | None) -> tuple[str, ...] | None:
    """Return the elements of ``Si,O``."""
    return tuple(element.strip() for element in elements.split(",")) if elements else None


def keys_of(elements: str | None) -> LabelKeys:
    """Return how files are to be read."""
    from keel.atoms.record import LabelKeys

    return LabelKeys(elements=named_elements(elements))
