"""The parts of the energy of two atoms in an EAM, by which a fit can be judged."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from keel.atoms.elements import atomic_number
from keel.errors import ConfigError
from keel.potentials.base import Potential
from keel.potentials.classical.eam import EAM
from keel.potentials.classical.pair import PairPotential
from keel.potentials.classical.three_body import ThreeBody
from keel.potentials.sum import members_of


@dataclass(frozen=True, eq=False)
class Dimer:
    """The energy of two atoms against their distance and its shares, in eV, shape (n,).

    ``total = embedding + morse + core``. ``density`` (2, n) is the electron density (dimensionless) at the first
    and at the second atom. ``atomic`` is the energy of the two atoms apart, not part of the total.
    """

    distance: Tensor
    total: Tensor
    embedding: Tensor
    morse: Tensor
    core: Tensor
    density: Tensor
    atomic: float


def dimer(potential: Potential, first: int | str, second: int | str, distance: Tensor) -> Dimer:
    """Decompose the energy of two atoms at distances (angstrom, (n,)) for an EAM, alone or with a core.

    Raises
    ------
    ConfigError
        If the potential is not an EAM, or not the sum of one EAM and pair potentials.
    """
    eam, cores = eam_and_cores(potential)
    r = distance.to(eam.dtype)
    density = torch.stack([eam.density(r, second, first), eam.density(r, first, second)])
    embedding = eam.embedding_energy(density[0], first) + eam.embedding_energy(density[1], second)
    morse, core = eam.pair_energy(r, first, second), torch.zeros_like(r)
    numbers = [atomic_number(first), atomic_number(second)]
    for member in cores:
        core = core + core_energy(member, r, *numbers)
    atomic = float(potential.offsets()[numbers].sum())
    return Dimer(r, embedding + morse + core, embedding, morse, core, density, atomic)


def core_energy(core: PairPotential, r: Tensor, first: int, second: int) -> Tensor:
    """Return the energy of a pair potential between two elements in eV, zero beyond its cutoff, shape of ``r``."""
    a, b = (torch.full(r.shape, z) for z in (first, second))
    with torch.no_grad():
        return torch.where(r < core.cutoff, core.pair_energy(r, a, b)[0], 0.0)


def is_eam(potential: Potential) -> bool:
    """Whether it is an EAM, alone or with nuclear cores and a three-body term."""
    try:
        eam_and_cores(potential)
    except ConfigError:
        return False
    return True


def eam_and_cores(potential: Potential) -> tuple[EAM, list[PairPotential]]:
    """Return the EAM and the pair potentials of which a potential is the sum, apart from a three-body term.

    Raises
    ------
    ConfigError
        If it is anything else.
    """
    # Two atoms have no angle.
    members = [m for m in members_of(potential) if not isinstance(m, ThreeBody)]
    eams = [m for m in members if isinstance(m, EAM)]
    cores = [m for m in members if isinstance(m, PairPotential)]
    if len(eams) != 1 or len(eams) + len(cores) != len(members):
        names = ", ".join(type(m).__name__ for m in members)
        raise ConfigError(
            f"this needs an EAM, alone or summed (weights 1) with pair potentials such as ZBL, but got {names}"
        )
    return eams[0], cores
