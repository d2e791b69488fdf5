"""The Ziegler-Biersack-Littmark screened nuclear repulsion, as a short-range core."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from keel.atoms.elements import COVALENT_RADII, atomic_number
from keel.parallel import plain
from keel.potentials.classical.along import Along
from keel.potentials.classical.pair import SIZE, PairPotential, pair_table
from keel.potentials.switch import quintic_switch, quintic_switch_derivative

COULOMB = 14.399645478  # e^2/(4 pi eps0) in eV angstrom
SCREENING_COEFFICIENTS = (0.18175, 0.50986, 0.28022, 0.02817)
SCREENING_EXPONENTS = (3.19980, 0.94229, 0.40290, 0.20162)


class ZBL(PairPotential):
    """Universal nuclear repulsion, switched off before chemical bonds begin.

        phi(r) = (Z_i Z_j e^2 / 4 pi eps0 r) sum_k c_k exp(-d_k r/a) s(r),   a = 0.46850 / (Z_i^0.23 + Z_j^0.23)

    s is the quintic C2 switch from 1 at ``inner`` to 0 at ``outer``, both in units of the sum of the covalent radii.

    Source: Ziegler, Biersack, Littmark, The Stopping and Range of Ions in Solids (1985). The constants are those of
    ``pair_style zbl`` of LAMMPS, the switch is not: LAMMPS adds A/3 (r - r1)^3 + B/4 (r - r1)^4 + C between two radii
    that the user gives, and C below them; s multiplies, so that the energy below ``inner`` is that of phi itself.

    Parameters
    ----------
    inner, outer
        Range of the switch in units of the sum of covalent radii.
    pairs
        The pairs of elements to act on, e.g. ``[("Si", "O"), ("Si", "Si", 0.6)]``; None for all. A third entry is where
        the switch of this pair ends instead of at ``outer``; it begins in proportion.
    elements
        Restricts the elements, and with them the cutoff; None for all.
    """

    radii: Tensor
    charge_power: Tensor
    reach: Tensor

    def __init__(
        self,
        inner: float = 0.4,
        outer: float = 0.8,
        pairs: Iterable[Sequence[Any]] | None = None,
        elements: Iterable[int | str] | None = None,
    ) -> None:
        known = None if elements is None else [atomic_number(e) for e in elements]
        self.inner, self.outer = inner, outer
        self.pairs = None if pairs is None else dict(sorted(_end(pair, outer) for pair in pairs))
        furthest = max([outer, *(self.pairs or {}).values()])
        radii = COVALENT_RADII[:SIZE]
        super().__init__(
            cutoff=2.0 * furthest * float(radii.max() if known is None else radii[known].max()), elements=known
        )
        self.register_buffer("radii", torch.tensor(radii), persistent=False)
        self.register_buffer("charge_power", torch.arange(SIZE, dtype=torch.float64) ** 0.23, persistent=False)
        # Where the switch of each pair ends, as a share of ``outer``; 0 where there is no core.
        shares = None if self.pairs is None else {pair: end / outer for pair, end in self.pairs.items()}
        reach = torch.ones(SIZE * SIZE, dtype=torch.float64) if shares is None else pair_table(shares)
        self.register_buffer("reach", reach, persistent=False)

    def config(self) -> dict[str, Any]:
        """See :class:`Potential`."""
        return {
            "inner": self.inner,
            "outer": self.outer,
            "pairs": None
            if self.pairs is None
            else [[*p, *([e] if e != self.outer else [])] for p, e in self.pairs.items()],
            "elements": None if self.elements is None else list(self.elements),
        }

    def pair_energy(self, r: Tensor, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """See :class:`PairPotential`."""
        bond = self.radii.index_select(0, first) + self.radii.index_select(0, second)
        bond = bond * self.reach.index_select(0, first * SIZE + second)
        # Nearly all pairs lie beyond the switch; only the rest is computed.
        near = (r < self.outer * bond).nonzero()[:, 0]
        energy, derivative = self._core(r[near], first[near], second[near], bond[near])
        zero = torch.zeros_like(r)
        return zero.index_copy(0, near, energy), zero.index_copy(0, near, derivative)

    def along_lists(self) -> Along:
        """See :class:`keel.potentials.classical.along.AlongLists`."""
        from keel.potentials.classical.pair_along import NUCLEI, PairAlong

        z = torch.arange(SIZE)
        charges = COULOMB * (z[:, None] * z[None, :]).double()
        powers = self.charge_power.double()
        inverse_length = (powers[:, None] + powers[None, :]) / 0.46850
        radii = self.radii.double()
        bond = (radii[:, None] + radii[None, :]) * self.reach.double().view(SIZE, -1)
        reach = torch.stack([self.inner * bond, self.outer * bond], dim=-1)
        values = torch.stack([charges, inverse_length], dim=-1)
        return PairAlong(plain(z), plain(values), plain(reach), NUCLEI)

    def _core(self, r: Tensor, first: Tensor, second: Tensor, bond: Tensor) -> tuple[Tensor, Tensor]:
        inverse_length = (self.charge_power[first] + self.charge_power[second]) / 0.46850
        screening, screening_slope = torch.zeros_like(r), torch.zeros_like(r)
        for c, d in zip(SCREENING_COEFFICIENTS, SCREENING_EXPONENTS, strict=True):
            term = c * torch.exp(-d * inverse_length * r)
            screening = screening + term
            screening_slope = screening_slope - d * inverse_length * term
        coulomb = COULOMB * (first * second).to(r.dtype) / r
        energy = coulomb * screening
        derivative = coulomb * (screening_slope - screening / r)
        s = quintic_switch(r, self.inner * bond, self.outer * bond)
        return energy * s, derivative * s + energy * quintic_switch_derivative(r, self.inner * bond, self.outer * bond)


def _end(pair: Sequence[Any], outer: float) -> tuple[tuple[int, int], float]:
    """Return the atomic numbers of a pair, and where its core ends."""
    first, second, *end = pair
    a, b = sorted((atomic_number(first), atomic_number(second)))
    return (a, b), float(end[0]) if end else outer
