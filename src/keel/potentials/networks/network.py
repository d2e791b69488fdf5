"""Networks: potentials whose energies are learned, in units of the training forces."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any, ClassVar, Literal, NamedTuple, get_args

import torch
from torch import Tensor

from keel.atoms.elements import atomic_numbers_of
from keel.atoms.graph import AtomGraph
from keel.errors import ConfigError, KeelWarning
from keel.mistakes import instead
from keel.plugins import HOW, discover
from keel.potentials.base import Potential
from keel.potentials.compiling.compiled import agree, compiled
from keel.potentials.networks import layered
from keel.potentials.networks.gather import gather
from keel.potentials.networks.layered import Chain, Tile, atomic_energies
from keel.potentials.registry import concrete
from keel.process import give_back_freed_memory
from keel.ranges import Cutoff, Length, Size, checked

FEWEST_EDGES = 32
"""Smaller batches are not worth compiling, and sizes of 0 and 1 would need their own code."""
PROVEN_EDGES = 2_000
"""Number of edges for which compiled code is compared with plain code, which takes more memory."""

Preset = Literal["small", "default", "paper"]
Mode = Literal["smooth", "reference"]


class Edges(NamedTuple):
    """The neighbours of each atom: all that a network needs of a batch besides the edge vectors.

    Parameters
    ----------
    species
        Index of each atom's element among those of the network, shape (N,).
    i, j
        Centre and neighbour of each edge, each pair twice and sorted by i, shape (E,).
    near
        The edges that some networks treat separately, ascending, shape (E',): see :meth:`Network.near`.
    """

    species: Tensor
    i: Tensor
    j: Tensor
    near: Tensor


class Network(Potential):
    """A learned potential: E_i = scale * network_i + offset of the element.

    ``scale`` (eV) is a fixed number, the root mean square of the DFT training forces in eV/angstrom, so that the
    network itself works with numbers of order one.

    A concrete network implements :meth:`chain`, a function of tensors only, and names its ``presets``.

    Parameters
    ----------
    elements
        Symbols or atomic numbers that the network knows.
    cutoff
        In angstrom.
    mode
        ``"smooth"``: energy and forces vanish at the cutoff. ``"reference"``: exactly as the reference implementation.
    """

    compilable = True
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Options by the name of the preset: ``"small"``, ``"default"``, ``"paper"``."""
    same: ClassVar[Mapping[str, Any]] = {}
    """Options that are the same in every preset; None: decided by the network."""

    layer_by_layer: bool | None = None
    """Keep only the states between the layers and recompute the rest: for large cells and little memory
    (gradient checkpointing; in training, of compiled networks). None: for more than ``many_edges``."""
    many_edges: ClassVar[int] = 200_000
    """More edges are evaluated layer by layer, ..."""
    tile_edges: ClassVar[int] = 100_000
    """... in tiles of about this many."""
    trained_in_layers: bool = False
    """Compiled layer by layer for training, where compiling the whole would take many minutes."""

    scale: Tensor

    def __init__(self, elements: Iterable[int | str], cutoff: float, mode: Mode = "smooth") -> None:
        numbers = atomic_numbers_of(elements)
        if not numbers:
            raise ConfigError("a network needs at least one element, e.g. elements=['Si', 'O']")
        cutoff = checked(Cutoff, cutoff, "the cutoff")
        if mode not in get_args(Mode):
            raise ConfigError(f"mode must be 'smooth' or 'reference', not {mode!r}")
        super().__init__(cutoff, numbers)
        self.mode = mode
        self._proofs: dict[tuple[Any, ...], bool] = {}
        self.register_buffer("scale", torch.ones(()))

    @abstractmethod
    def chain(self, edges: Edges) -> Chain:
        """Return the network as a chain that ends with the energy of each atom in units of ``scale``.

        It may be compiled: shapes must not depend on the values of tensors.

        Parameters
        ----------
        edges
            The neighbours of each atom.
        """

    def near(self, vectors: Tensor) -> Tensor:
        """Return the edges that :meth:`chain` finds in ``edges.near``, shape (E',); none by default.

        Parameters
        ----------
        vectors
            Edge vectors in angstrom, shape (E, 3).
        """
        return vectors.new_empty(0, dtype=torch.int64)

    def atomic_energies(self, graph: AtomGraph, vectors: Tensor) -> Tensor:
        """See :class:`Potential`."""
        return self.scale * atomic_energies(self.chain(self.edges(graph, vectors)), vectors)

    def energies_and_gradient(
        self, graph: AtomGraph, vectors: Tensor, *, differentiable: bool
    ) -> tuple[Tensor, Tensor]:
        """See :class:`Potential`."""
        if self.compiled and graph.n_edges >= FEWEST_EDGES:
            edges, vectors = self.edges(graph, vectors), vectors.detach()
            in_layers = self._in_layers(graph.n_edges) or (torch.is_grad_enabled() and self.trained_in_layers)
            result = self._compiled_energies_and_gradient(edges, vectors, in_layers)
            if result is not None and self._proven(edges, vectors, in_layers, differentiable):
                return result
            self.compiled = False
        if self._in_layers(graph.n_edges):
            return self._layered_energies_and_gradient(self.edges(graph, vectors), vectors.detach())
        return super().energies_and_gradient(graph, vectors, differentiable=differentiable)

    def _in_layers(self, n_edges: int) -> bool:
        return n_edges > self.many_edges if self.layer_by_layer is None else self.layer_by_layer

    def _compiled_energies_and_gradient(
        self, edges: Edges, vectors: Tensor, in_layers: bool
    ) -> tuple[Tensor, Tensor] | None:
        """Return atomic energies in eV and the gradient of their sum, by compiled code; None if nothing compiles."""
        if not in_layers:
            return compiled(scaled_energies_and_gradient, self, edges, vectors)
        try:
            return self._layered_energies_and_gradient(edges, vectors)
        except layered.NotCompiledError:
            return None

    def _layered_energies_and_gradient(self, edges: Edges, vectors: Tensor) -> tuple[Tensor, Tensor]:
        results = layered.energies_and_gradient(self._tiles(edges), vectors, compile=self.compiled)
        energies, gradient = (self.scale * result for result in results)
        return energies, gradient

    def _tiles(self, edges: Edges) -> list[Tile]:
        """Cut a batch into tiles of about ``tile_edges``; one where edges give to both of their atoms."""
        n_atoms, n_edges = len(edges.species), len(edges.i)
        n_tiles = 1 if self.half_list else max(1, round(n_edges / self.tile_edges))
        cuts = edges.i[[k * n_edges // n_tiles for k in range(1, n_tiles)]].unique().tolist()
        bounds = [0, *cuts, n_atoms]
        starts = [0, *torch.searchsorted(edges.i, edges.i.new_tensor(cuts)).tolist(), n_edges]
        return [
            self._tile(edges, atoms, slice(*within))
            for atoms, within in zip(pairwise(bounds), pairwise(starts), strict=True)
        ]

    def _tile(self, edges: Edges, own: tuple[int, int], within: slice) -> Tile:
        first, last = own
        i, j = edges.i[within], edges.j[within]
        others = j[(j < first) | (j >= last)].unique()
        atoms = torch.cat([torch.arange(first, last, device=j.device), others])
        place = atoms.new_empty(len(edges.species)).index_copy(0, atoms, torch.arange(len(atoms), device=j.device))
        near = edges.near[(edges.near >= within.start) & (edges.near < within.stop)] - within.start
        part = Edges(edges.species[atoms], i - first, gather(place, j), near)
        return Tile(self.chain(part), first, last, within, atoms)

    def _proven(self, edges: Edges, vectors: Tensor, in_layers: bool, differentiable: bool) -> bool:
        """Return whether compiled code gives the right numbers for some edges of a first batch, see :func:`agree`."""
        kind = (in_layers, differentiable, vectors.dtype, vectors.device)
        if kind not in self._proofs:
            n = PROVEN_EDGES
            few = Edges(edges.species, edges.i[:n], edges.j[:n], edges.near[edges.near < n])
            fast = self._compiled_energies_and_gradient(few, vectors[:n], in_layers)
            if fast is None:
                return False
            pairs = (fast, scaled_energies_and_gradient(self, few, vectors[:n]))
            self._proofs[kind] = agree(*([*p, *(self._slopes(*p) if differentiable else ())] for p in pairs))
            give_back_freed_memory()  # of the compiler
            if not self._proofs[kind]:
                warnings.warn(
                    f"the compiler of PyTorch {torch.__version__} gives wrong numbers for this {type(self).__name__}; "
                    "continuing without compiled code, which is slower but correct",
                    KeelWarning,
                    stacklevel=2,
                )
        return self._proofs[kind]

    def _slopes(self, energies: Tensor, gradient: Tensor) -> tuple[Tensor, ...]:
        """Return the derivatives of some function of both results with respect to the parameters."""
        parameters = [p for p in self.parameters() if p.requires_grad]
        if not parameters:
            return ()
        value = energies.sum() + (gradient * gradient.detach().sign()).sum()
        return torch.autograd.grad(value, parameters, allow_unused=True)

    def edges(self, graph: AtomGraph, vectors: Tensor) -> Edges:
        """Return the edges of a batch."""
        i, j = graph.edge_index
        return Edges(self.species(graph), i, j, self.near(vectors.detach()))

    @property
    def n_species(self) -> int:
        """Number of elements that the network knows."""
        return len(self.elements or ())

    @classmethod
    def options(cls, preset: str, **given: Any) -> dict[str, Any]:
        """Return the options of a preset, replaced by those that are given (not None).

        Raises
        ------
        ConfigError
            If there is no such preset, or no such option.
        """
        if preset not in cls.presets:
            raise ConfigError(f"{cls.__name__}: preset must be one of {', '.join(cls.presets)}, not {preset!r}")
        # In this order, because the hash of a training depends on it.
        known = {**cls.presets[preset], **cls.same}
        if unknown := [name for name in given if name not in known]:
            raise ConfigError(f"{cls.__name__}: there is no option {unknown[0]!r}; {instead(unknown[0], list(known))}")
        own = {name: value for name, value in given.items() if value is not None}
        return {**known, **{name: _fitting(cls, name, value, known[name]) for name, value in own.items()}}


def _fitting(cls: type[Network], name: str, value: Any, usual: Any) -> Any:
    """Return an option; a number must be one where the preset has one."""
    if name == "cutoff" or isinstance(usual, bool) or not isinstance(usual, int | float):
        return value
    return checked(Size if isinstance(usual, int) else Length, value, f"{cls.__name__}: {name}")


def network_class(name: str) -> type[Network]:
    """Return a class of networks by its name: built in, from another package, or your own.

    Raises
    ------
    ConfigError
        If there is none; names all classes.
    """
    if name not in Potential.registry:
        discover()
    known = concrete(Potential.registry, Network)
    if name not in known:
        raise ConfigError(
            f"networks: there is no {name!r}; choose from {', '.join(known)}, or name the module that defines it: "
            f"{HOW.format('MODULE')}"
        )
    found: type[Network] = known[name]
    return found


def scaled_energies_and_gradient(network: Network, edges: Edges, vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Return atomic energies in eV and the gradient of their sum, as a function that can be compiled.

    Compilers cannot differentiate twice, but a function that differentiates itself (``torch.func.grad``) can be
    compiled and then differentiated once more, with respect to the parameters.
    """

    def total(vectors: Tensor) -> tuple[Tensor, Tensor]:
        energies = network.scale * atomic_energies(network.chain(edges), vectors)
        return energies.sum(), energies

    gradient, energies = torch.func.grad(total, has_aux=True)(vectors)
    return energies, gradient
