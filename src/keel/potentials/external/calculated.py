"""What an ASE calculator gives for a structure, in whatever shape and type it holds it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from keel.atoms.labelling.stated import charge_and_spin
from keel.errors import RefusedError

if TYPE_CHECKING:
    from ase import Atoms
    from ase.calculators.calculator import Calculator

Array = NDArray[np.float64]


def results_of(
    calculator: Calculator, atoms: Atoms, forces: bool, *, stress: bool
) -> tuple[float, Array | None, Array | None]:
    """Return energy in eV, forces in eV/angstrom (N, 3) and stress in eV/angstrom^3 (3, 3), None what is not asked for.

    The energy is the free one if the calculator has it; the stress is None, too, if it has none.

    Raises
    ------
    RefusedError
        If a result has another shape.
    """
    from ase.calculators.calculator import PropertyNotImplementedError
    from ase.stress import voigt_6_to_full_3x3_stress

    # ASE's calculators keep their results for the same positions, of whatever charge.
    before = getattr(calculator, "atoms", None)
    if before is not None and charge_and_spin(before.info) != charge_and_spin(atoms.info):
        calculator.reset()
    atoms.calc = calculator
    name, force, found = type(calculator).__name__, None, None
    # Some calculators list properties that they do not have.
    try:
        energy = atoms.get_potential_energy(force_consistent=has(calculator, "free_energy"))
    except PropertyNotImplementedError:
        energy = atoms.get_potential_energy()
    total = _array(energy, f"{name} gives an energy", len(atoms), (), (1,))
    if forces:
        force = _array(atoms.get_forces(), f"{name} gives forces", len(atoms), (len(atoms), 3))
    if stress:
        with suppress(PropertyNotImplementedError):
            # Asked of the calculator, as ase.Atoms take arrays only.
            found = _array(calculator.get_stress(atoms), f"{name} gives a stress", len(atoms), (6,), (3, 3))
            found = voigt_6_to_full_3x3_stress(found) if found.ndim == 1 else found
    return float(total.item()), force, found


def has(calculator: Calculator, name: str) -> bool:
    """Return whether a calculator says that it has a property."""
    return name in calculator.implemented_properties


def _array(given: Any, what: str, atoms: int, *shapes: tuple[int, ...]) -> Array:
    """Return an array of its own of a result, be it a list, a tensor with a gradient or of another precision."""
    held = given.detach().cpu().numpy() if isinstance(given, torch.Tensor) else given
    try:
        found = None if held is None else np.array(held, dtype=np.float64)
    except (TypeError, ValueError):
        found = None
    if found is None or found.shape not in shapes:
        gives = f"of type {type(given).__name__}" if found is None else f"of shape {found.shape}"
        expected = "one number" if () in shapes else f"shape {' or '.join(map(str, shapes))}"
        raise RefusedError(f"{what} {gives} for {atoms} atoms, where keel expects {expected}")
    return found
