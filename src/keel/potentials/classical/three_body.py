"""A three-body term: the energy of angles between neighbours, which no sum over pairs can describe."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from keel.atoms.elements import COVALENT_RADII, atomic_number, symbol
from keel.atoms.graph import AtomGraph
from keel.errors import ConfigError
from keel.parallel import plain
from keel.potentials.base import Potential, lengths
from keel.potentials.classical.along import Along
from keel.potentials.classical.angular_moments import AngularSums, Directed, angular_sums
from keel.potentials.classical.eam import pair_names
from keel.potentials.switch import quintic_switch


class ThreeBody(Potential):
    """Energy of the angles between neighbours, in the manner of Stillinger and Weber, for covalent solids.

        E      = sum_i sum_n sum_{j < k} g_n(r_ij) g_n(r_ik) sum_{l = 0, 1, 2} c_nl P_l(cos theta_jik)
        g_n(r) = C2 switch from 1 at ``inner`` to 0 at ``reaches[n]`` times the bond, the sum of the covalent radii

    P_l are Legendre polynomials, and the coefficients c belong to the element of atom i. With c_0 and c_2 not negative
    and c_1 not below -c_0, which (cos theta - cos theta_0)^2 fulfils for each angle above 79 degrees, the energy of an
    atom is never below -1/2 sum_n (c_n0 + c_n1 + c_n2) sum_j g_n^2: neighbours together never gain more than each by
    itself. Below ``inner`` the term exerts no force along a pair, so that its wall is the same as without this term.
    Two atoms have no angle, and no energy.

    With the moments S_0 = sum_j g, S_1 = sum_j g u and S_2 = sum_j g u (x) u of the directions u to the neighbours,
    sum_{j < k} g g cos^l is (S_l : S_l - sum_j g^2) / 2: the cost is linear in the neighbours.

    Source: Stillinger and Weber, Phys. Rev. B 31, 5262 (1985), eq. 2.5, for the form; Biswas and Hamann, Phys. Rev. B
    36, 6434 (1987), for sums over moments.

    Parameters
    ----------
    elements
        For each symbol c_0, c_1 and c_2 in eV, a row of three for each reach.
    reaches
        Where each g_n ends, in sums of the covalent radii.
    inner
        For each pair of elements (``"O-Si"``, lower atomic number first) where g becomes constant, in angstrom.
    furthest
        No g reaches further than this, in angstrom.

    Raises
    ------
    ConfigError
        If a value is missing or out of its range, or some ``inner`` lies beyond where g ends.
    """

    half_list = True
    closed_form = True

    inner: Tensor
    outer: Tensor
    coefficients: Tensor

    def __init__(
        self,
        elements: Mapping[str, Sequence[Sequence[float]]],
        reaches: Sequence[float],
        inner: Mapping[str, float],
        furthest: float = 8.0,
    ) -> None:
        numbers = sorted(atomic_number(e) for e in elements)
        names = [symbol(z) for z in numbers]
        radii = torch.tensor(COVALENT_RADII[numbers], dtype=torch.float64)
        bonds = (radii[:, None] + radii).reshape(-1, 1)
        outer = (bonds * torch.tensor(list(reaches), dtype=torch.float64)).clamp(max=furthest)
        super().__init__(float(outer.max()), numbers)
        self.symbols, self.reaches, self.furthest = names, [float(x) for x in reaches], float(furthest)
        self.legendre = {e: _rows(e, _known(elements, e), len(self.reaches)) for e in names}
        self.resting = {pair: float(_known(inner, pair)) for pair in pair_names(names)}
        first, second = torch.triu_indices(len(names), len(names))
        rest = torch.empty(len(names), len(names), dtype=torch.float64)
        rest[first, second] = rest[second, first] = torch.tensor(list(self.resting.values()), dtype=torch.float64)
        if not bool((rest.reshape(-1, 1) < outer).all()):
            raise ConfigError("each inner distance of a three-body term must be below the end of its reaches")
        self.register_buffer("inner", rest.reshape(-1), persistent=False)
        self.register_buffer("outer", outer, persistent=False)
        self.register_buffer("coefficients", self._coefficients(), persistent=False)

    def config(self) -> dict[str, Any]:
        """See :class:`Potential`."""
        return {
            "elements": {e: [list(row) for row in rows] for e, rows in self.legendre.items()},
            "reaches": list(self.reaches),
            "inner": dict(self.resting),
            "furthest": self.furthest,
        }

    def atomic_energies(self, graph: AtomGraph, vectors: Tensor) -> Tensor:
        """See :class:`Potential`."""
        found = self.sums(graph, vectors)
        return (found.sums * self.coefficients[self.species(graph)]).sum(dim=(1, 2))

    def energies_and_gradient(
        self, graph: AtomGraph, vectors: Tensor, *, differentiable: bool
    ) -> tuple[Tensor, Tensor]:
        """See :class:`Potential`; closed form."""
        found, of_atoms = self.sums(graph, vectors), self.coefficients[self.species(graph)]
        of_pairs = of_atoms[graph.edge_index.reshape(-1)]
        there, back = (found.gradient * of_pairs[..., None]).sum(dim=(1, 2)).tensor_split(2)
        return (found.sums * of_atoms).sum(dim=(1, 2)), there - back

    def sums(self, graph: AtomGraph, vectors: Tensor) -> AngularSums:
        """Return the sums that the coefficients multiply, for the pairs of a half list."""
        species = self.species(graph)
        i, j = graph.edge_index
        pair = species[i] * len(self.symbols) + species[j]
        r = lengths(vectors)
        directed = Directed.of(r, graph.edge_index, self.inner[pair], self.outer[pair])
        return angular_sums(directed, vectors, r, graph.n_atoms)

    def most_gain(self, first: int, second: int, r: Tensor) -> Tensor:
        """Return the most by which a pair r apart (angstrom) can lower the energies of its atoms, in eV, shape of r."""
        i, j = (int(self.species_index[z]) for z in (first, second))
        pair = i * len(self.symbols) + j
        g = quintic_switch(r[:, None], self.inner[pair], self.outer[pair])
        return 0.5 * (g.square() * self.coefficients[[i, j]].sum(dim=(0, 2))).sum(dim=1)

    def along_lists(self) -> Along:
        """See :class:`keel.potentials.classical.along.AlongLists`."""
        from keel.potentials.classical.three_body_along import ThreeBodyAlong

        n = len(self.symbols)
        tables = [t.double().cpu() for t in (self.inner.view(n, n), self.outer.view(n, n, -1), self.coefficients)]
        return ThreeBodyAlong(plain(self.species_index), *map(plain, tables))

    def _coefficients(self) -> Tensor:
        """Return what multiplies cos^2, cos and 1 for each element and reach, (elements, reaches, 3)."""
        return powers(torch.tensor([self.legendre[e] for e in self.symbols], dtype=torch.float64))


def powers(legendre: Tensor) -> Tensor:
    """Return what multiplies cos^2, cos and 1 where these multiply P_0, P_1 and P_2, both (..., 3)."""
    zeroth, first, second = legendre.unbind(dim=-1)
    return torch.stack([1.5 * second, first, zeroth - 0.5 * second], dim=-1)


def three_body_term(potential: Potential) -> ThreeBody | None:
    """Return the three-body term that a potential has, alone or in a sum; None if there is none."""
    return next((part for part in potential.modules() if isinstance(part, ThreeBody)), None)


def _rows(element: str, given: Sequence[Sequence[float]], count: int) -> list[list[float]]:
    rows = [[float(x) for x in row] for row in given]
    if len(rows) != count or any(len(row) != 3 for row in rows):
        raise ConfigError(f"a three-body term needs {count} rows of three numbers for {element}, one for each reach")
    if not all(c0 >= 0.0 and c2 >= 0.0 and -c0 <= c1 < math.inf for c0, c1, c2 in rows):
        raise ConfigError(
            f"a three-body term of {element} is not bounded: c_0 and c_2 must not be negative, nor c_1 below -c_0"
        )
    return rows


def _known(table: Mapping[str, Any], name: str) -> Any:
    try:
        return table[name]
    except KeyError:
        raise ConfigError(f"a three-body term lacks {name!r}; it has {', '.join(table) or 'nothing'}") from None
