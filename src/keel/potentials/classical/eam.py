"""The embedded-atom method: a closed-form potential in which atoms always repel each other at short range."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations_with_replacement
from typing import Any, Self
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from keel.atoms.elements import COVALENT_RADII, atomic_number, atomic_numbers_of, pair_name, symbol
from keel.atoms.graph import AtomGraph
from keel.atoms.scatter import runs_kernels
from keel.errors import ConfigError
from keel.parallel import plain
from keel.potentials.base import Potential, lengths
from keel.potentials.classical.along import Along
from keel.potentials.classical.eam_tables import EAMTables
from keel.potentials.classical.eam_terms import EAMTerms

PAIR_PARAMETERS = ("alpha", "repulsion", "attraction")
ELEMENT_PARAMETERS = ("density", "beta", "embedding")


class EAM(Potential):
    """Embedded-atom method with a Morse pair interaction and a square-root embedding function.

        E      = sum_i [ eps_{z_i} + F_{z_i}(rho_i) ] + 1/2 sum_{i != j} phi_{z_i z_j}(r_ij)
        phi_ab = (repulsion_ab x^2 - attraction_ab x) s(r),      x = exp(-alpha_ab (r - radius_ab))
        rho_i  = sum_{j != i} density_{z_j} exp(-beta_{z_j} (r_ij - radius_{z_j})) s(r_ij)
        F_a    = -embedding_a [sqrt(rho + delta) - sqrt(delta)]

    s is the quintic C2 switch from 1 at 0.66 cutoff to 0 at the cutoff. Where both are positive, phi is a Morse well of
    depth D = attraction^2 / (4 repulsion) at r0 = radius + ln(2 repulsion / attraction) / alpha. eps are the
    per-element energy offsets (:meth:`Potential.set_offsets`). All parameters can be trained and stay positive;
    one that is zero stays zero.

    Below the ``contact`` of a pair, phi and the densities depend on a distance q(r) that becomes constant within a
    fifth of the contact (:func:`keel.potentials.classical.contact.clamped`): two atoms closer than any of the data bind
    each other no more strongly than at contact. :class:`ContactRepulsion` and :class:`ZBL` keep them apart.

    Source: Daw and Baskes, Phys. Rev. B 29, 6443 (1984), eqs. 10-12; sqrt embedding: Finnis and Sinclair, Phil.
    Mag. A 50, 45 (1984); Morse, Phys. Rev. 34, 57 (1929).

    Parameters
    ----------
    elements
        For each symbol ``density``, ``beta`` (1/angstrom), ``radius`` (angstrom) and ``embedding`` (eV).
    pairs
        For each pair of elements (``"O-Si"``, lower atomic number first) ``alpha`` (1/angstrom), ``repulsion`` and
        ``attraction`` (eV) and ``radius`` (angstrom), and ``contact`` (angstrom) if there is one.
    cutoff
        In angstrom.
    delta
        Smooths the embedding function at rho = 0; dimensionless like rho, whose mean is about 1.
    pairs_without_data
        Names of the pairs whose parameters rest on mixing rules alone.

    Raises
    ------
    ConfigError
        If a pair or a value is missing, or a value is not a number of the right sign.
    """

    half_list = True
    closed_form = True

    pair_index: Tensor
    pair_radius: Tensor
    pair_contact: Tensor
    element_radius: Tensor

    def __init__(
        self,
        elements: Mapping[str, Mapping[str, float]],
        pairs: Mapping[str, Mapping[str, float]],
        cutoff: float = 8.0,
        delta: float = 0.01,
        pairs_without_data: Iterable[str] = (),
    ) -> None:
        super().__init__(cutoff, [atomic_number(e) for e in elements])
        self.delta = float(delta)
        self.pairs_without_data = tuple(pairs_without_data)
        self.symbols = [symbol(z) for z in self.elements or ()]
        self.pair_names = pair_names(self.symbols)
        first, second = torch.triu_indices(len(self.symbols), len(self.symbols))
        index = torch.empty(len(self.symbols), len(self.symbols), dtype=torch.int64)
        index[first, second] = index[second, first] = torch.arange(len(first))
        self.register_buffer("pair_index", index.reshape(-1), persistent=False)
        self.register_buffer("pair_radius", _column(pairs, self.pair_names, "radius"))
        self.register_buffer("pair_contact", _column(pairs, self.pair_names, "contact", 0.0), persistent=False)
        self.register_buffer("element_radius", _column(elements, self.symbols, "radius"))
        for name in PAIR_PARAMETERS:
            self._register_positive(name, _column(pairs, self.pair_names, name))
        for name in ELEMENT_PARAMETERS:
            self._register_positive(name, _column(elements, self.symbols, name))

    @classmethod
    def from_elements(cls, elements: Iterable[int | str], cutoff: float = 8.0) -> Self:
        """Return a plausible, unfitted EAM: bonds as long as the sum of the covalent radii, half an eV deep.

        Parameters
        ----------
        elements
            Symbols or atomic numbers.
        cutoff
            In angstrom.
        """
        numbers = sorted(set(atomic_numbers_of(elements)))
        radii = {symbol(z): 2.0 * float(COVALENT_RADII[z]) for z in numbers}
        return cls(
            {e: {"density": 0.1, "beta": 2.0, "radius": r, "embedding": 1.0} for e, r in radii.items()},
            {
                name: {"alpha": 1.6, "repulsion": 0.5, "attraction": 1.0, "radius": 0.5 * (radii[a] + radii[b])}
                for name in pair_names(list(radii))
                for a, b in [name.split("-")]
            },
            cutoff,
        )

    def config(self) -> dict[str, Any]:
        """See :class:`Potential`."""
        contacts = {"contact": self.pair_contact} if bool(self.pair_contact.any()) else {}
        return {
            "cutoff": self.cutoff,
            "delta": self.delta,
            "elements": _rows(self.symbols, radius=self.element_radius, **self.values(ELEMENT_PARAMETERS)),
            "pairs": _rows(self.pair_names, radius=self.pair_radius, **contacts, **self.values(PAIR_PARAMETERS)),
            "pairs_without_data": list(self.pairs_without_data),
        }

    def values(self, names: Iterable[str] = PAIR_PARAMETERS + ELEMENT_PARAMETERS) -> dict[str, Tensor]:
        """Return parameters by name: per pair (in the order of ``pair_names``) or per element (``symbols``).

        Parameters
        ----------
        names
            Names of parameters.
        """
        return {n: getattr(self, f"{n}_start") * torch.exp(getattr(self, f"{n}_log_change")) for n in names}

    def wells(self) -> dict[str, tuple[float, float]]:
        """Return depth D (eV) and position r0 (angstrom) of the Morse interaction of the pairs that have a well."""
        v = {name: value.detach() for name, value in self.values(PAIR_PARAMETERS).items()}
        depth = v["attraction"].square() / (4.0 * v["repulsion"])
        position = self.pair_radius + torch.log(2.0 * v["repulsion"] / v["attraction"]) / v["alpha"]
        table = zip(self.pair_names, depth.tolist(), position.tolist(), strict=True)
        return {name: (d, r0) for name, d, r0 in table if d > 0 and 0 < r0 < self.cutoff}

    def _register_positive(self, name: str, start: Tensor) -> None:
        # value = start exp(log change): positive by construction, zero if it starts so, and the file's value exactly
        # as long as nothing is trained.
        self.register_buffer(f"{name}_start", start)
        self.register_parameter(f"{name}_log_change", nn.Parameter(torch.zeros_like(start)))

    def atomic_energies(self, graph: AtomGraph, vectors: Tensor) -> Tensor:
        """See :class:`Potential`."""
        return self.energies_and_gradient(graph, vectors, differentiable=vectors.requires_grad)[0]

    def energies_and_gradient(
        self, graph: AtomGraph, vectors: Tensor, *, differentiable: bool
    ) -> tuple[Tensor, Tensor]:
        """See :class:`Potential`; closed form."""
        if not differentiable and runs_kernels(vectors):
            from keel.potentials.classical.eam_kernel import evaluate

            i, j = plain(graph.edge_index)
            edges = plain(vectors.double().contiguous()), i, j
            energies, gradient = evaluate(self._exact_terms(), edges, plain(self.species(graph)))
            return torch.from_numpy(energies).to(vectors.dtype), torch.from_numpy(gradient).to(vectors.dtype)
        r = lengths(vectors)
        terms = self.terms(self.values()).evaluate(r, graph.edge_index, self.species(graph))
        return terms.energies, (terms.slope / r)[:, None] * vectors

    def along_lists(self) -> Along:
        """See :class:`keel.potentials.classical.along.AlongLists`."""
        from keel.potentials.classical.eam_along import EAMAlong

        return EAMAlong(self._tables(), plain(self.species_index))

    def _tables(self) -> EAMTables:
        """Return tables of the functions, rebuilt where a parameter has changed."""
        state = tuple((t.data_ptr(), t._version, t.dtype) for t in [*self.parameters(), *self.buffers()])
        known = _TABLES.get(self)
        if known is None or known[0] != state:
            known = _TABLES[self] = state, EAMTables(self._exact_terms())
        return known[1]

    def _exact_terms(self) -> EAMTerms:
        """Return the functions in float64 on CPU, to be evaluated only."""
        with torch.no_grad():
            return self.terms({name: value.double().cpu() for name, value in self.values().items()})

    def terms(self, values: Mapping[str, Tensor]) -> EAMTerms:
        """Return the functions of this potential with the given parameter values (see :meth:`values`)."""
        return EAMTerms(
            n_elements=len(self.symbols),
            alpha=values["alpha"][self.pair_index],
            log_scale=(values["alpha"] * self.pair_radius)[self.pair_index],
            repulsion=values["repulsion"][self.pair_index],
            attraction=values["attraction"][self.pair_index],
            contact=self.pair_contact[self.pair_index],
            beta=values["beta"],
            log_density=torch.log(values["density"]) + values["beta"] * self.element_radius,
            embedding=values["embedding"],
            delta=self.delta,
            cutoff=self.cutoff,
        )

    def pair_energy(self, r: Tensor, first: int | str, second: int | str) -> Tensor:
        """Return phi(r) in eV between two elements, shape of ``r`` (angstrom)."""
        pair = torch.full(r.shape, self._index(first) * len(self.symbols) + self._index(second))
        with torch.no_grad():
            terms = self.terms(self.values())
            return terms.pair(terms.felt(r, pair), pair)[0]

    def density(self, r: Tensor, donor: int | str, at: int | str) -> Tensor:
        """Return the electron density that an atom of ``donor`` gives at one of ``at``, r away (angstrom)."""
        pair = torch.full(r.shape, self._index(at) * len(self.symbols) + self._index(donor))
        with torch.no_grad():
            terms = self.terms(self.values())
            return terms.density(terms.felt(r, pair), pair % len(self.symbols))[0]

    def embedding_energy(self, rho: Tensor, element: int | str) -> Tensor:
        """Return F(rho) in eV of an element, shape of ``rho``; without the element's offset."""
        with torch.no_grad():
            return self.terms(self.values()).embed(rho, torch.full(rho.shape, self._index(element)))[0]

    def _index(self, element: int | str) -> int:
        index = int(self.species_index[atomic_number(element)])
        if index < 0:
            raise ConfigError(f"this EAM knows {', '.join(self.symbols)} but not {element}")
        return index


_TABLES: WeakKeyDictionary[EAM, tuple[object, EAMTables]] = WeakKeyDictionary()


def pair_names(symbols: Sequence[str]) -> list[str]:
    """Return the names of all pairs of elements, ordered as the upper triangle of a matrix."""
    numbers = [atomic_number(s) for s in symbols]
    return [pair_name(a, b) for a, b in combinations_with_replacement(numbers, 2)]


def _column(
    table: Mapping[str, Mapping[str, float]], rows: Sequence[str], name: str, otherwise: float | None = None
) -> Tensor:
    known = {row: table[row] if otherwise is None else {name: otherwise, **table[row]} for row in rows if row in table}
    try:
        column = torch.tensor([float(known[row][name]) for row in rows], dtype=torch.float64)
    except KeyError as error:
        raise ConfigError(f"an EAM needs {name!r} for {', '.join(rows)}; {error} is missing") from None
    may_vanish = name in ("repulsion", "attraction", "embedding", "contact")
    if not bool((torch.isfinite(column) & ((column >= 0) if may_vanish else (column > 0))).all()):
        raise ConfigError(f"the EAM parameter {name!r} must be a positive number for {', '.join(rows)}")
    return column


def _rows(names: Sequence[str], **columns: Tensor) -> dict[str, dict[str, float]]:
    numbers = {key: column.detach().tolist() for key, column in columns.items()}
    return {name: {key: numbers[key][k] for key in numbers} for k, name in enumerate(names)}
