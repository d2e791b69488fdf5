"""The contract of every potential: a batch of structures in, energy, forces and stress out.

A concrete potential implements one method, :meth:`Potential.atomic_energies`, from edge vectors. The base class
differentiates once with respect to the edge vectors r_ij = x_j - x_i and scatters the edge gradient g_ij = dE/dr_ij:

    F_k     = sum_{e: i = k} g_e - sum_{e: j = k} g_e
    stress  = (1/V) sum_e r_e (x) g_e        (symmetrised; ASE's sign; no strain variable is needed)

Potentials with a closed-form derivative override :meth:`Potential.energies_and_gradient` and never touch autograd.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor, nn

from keel.atoms.elements import check_known, symbol
from keel.atoms.graph import AtomGraph
from keel.atoms.scatter import scatter_gradient
from keel.atoms.stressed import have_stress
from keel.counting import count
from keel.potentials.registry import enter
from keel.potentials.saving import save
from keel.ranges import Reach, checked
from keel.showing import Facts, Shown

if TYPE_CHECKING:
    from keel.atoms.conversion import Structures

MAX_ATOMIC_NUMBER = 118


@dataclass(frozen=True, eq=False, repr=False)
class Prediction(Shown):
    """What a potential predicts for a batch of B structures and N atoms.

    Parameters
    ----------
    energy
        Total energies in eV, float64, shape (B,).
    forces
        Forces in eV/angstrom, shape (N, 3), or None if not requested.
    stress
        Stress in eV/angstrom^3 (ASE's sign), shape (B, 3, 3), of slabs and wires per volume of the cell; NaN for
        structures that are not periodic or whose cell has no volume (:mod:`keel.atoms.stressed`); None if not
        requested.
    atomic_energies
        Share of each atom in the total energy in eV, float64, shape (N,).
    """

    energy: Tensor
    forces: Tensor | None
    stress: Tensor | None
    atomic_energies: Tensor

    def facts(self) -> Facts:
        """See :class:`~keel.showing.Shown`."""
        low, high = map(float, self.energy.detach().aminmax())
        shown = {"structures": f"{len(self.energy):,}", "atoms": f"{len(self.atomic_energies):,}"}
        shown["energy"] = f"{low:.4f} eV" if low == high else f"{low:.4f} to {high:.4f} eV"
        if self.forces is not None:
            shown["largest force"] = f"{float(self.forces.detach().norm(dim=1).max()):.4g} eV/angstrom"
        return shown

    def detached(self) -> Prediction:
        """Return the prediction without its autograd history."""
        parts: dict[str, Any] = {name: part if part is None else part.detach() for name, part in vars(self).items()}
        return Prediction(**parts)


class Potential(Shown, nn.Module, ABC):
    """Base class of every potential: ``potential(structures)`` is a :class:`Prediction`.

    Parameters
    ----------
    cutoff
        Radius in angstrom beyond which two atoms do not interact directly.
    elements
        Atomic numbers that the potential knows; None for all.
    """

    half_list: bool = False
    """True if :meth:`atomic_energies` expects each pair once."""
    closed_form: bool = False
    """True if :meth:`energies_and_gradient` is closed-form, without autograd."""
    compilable: bool = False
    """True if it can run compiled; see :func:`keel.potentials.compiling.compiled.compiling`."""
    compiled: bool = False
    """Whether it currently runs compiled."""
    trained: bool = False
    """Whether its weights come from a training, here or before it was saved; further training continues from them."""
    trained_by: str = ""
    """How it was trained, in words, kept when it is saved; empty if unknown."""
    source: str = ""
    """The file from which it was read; empty if there is none."""
    of_others: bool = False
    """Whether it may see more of a structure than keel's potentials do, such as magnetic moments."""
    registry: ClassVar[dict[str, type[Potential]]] = {}
    """Every class that has been defined, by its name: the single registry of potentials."""
    energy_offsets: Tensor
    species_index: Tensor
    _precision: Tensor

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        enter(cls, Potential.registry)

    def __init__(self, cutoff: float, elements: Iterable[int] | None = None) -> None:
        super().__init__()
        self.cutoff = checked(Reach, float(cutoff), "the cutoff")
        self.elements: tuple[int, ...] | None = None if elements is None else tuple(sorted(set(elements)))
        species = torch.arange(MAX_ATOMIC_NUMBER + 1)
        if self.elements is not None:
            species = torch.full((MAX_ATOMIC_NUMBER + 1,), -1)
            species[list(self.elements)] = torch.arange(len(self.elements))
        self.register_buffer("species_index", species, persistent=False)
        self.register_buffer("energy_offsets", torch.zeros(MAX_ATOMIC_NUMBER + 1, dtype=torch.float64))
        # Follows `.to(dtype)`, so that a potential whose parameters are plain numbers has a dtype too.
        self.register_buffer("_precision", torch.zeros(()), persistent=False)

    def facts(self) -> Facts:
        """See :class:`~keel.showing.Shown`."""
        parameters = sum(p.numel() for p in self.parameters())
        trained = any(part.trained for part in self.modules() if isinstance(part, Potential))
        training = self.trained_by or ("" if trained or self.closed_form or not parameters else "nothing yet")
        words = {
            "elements": "all" if self.elements is None else ", ".join(map(symbol, self.elements)),
            "cutoff": f"{self.cutoff:g} angstrom",
            "parameters": f"{parameters:,}" if parameters else "",
            "trained by": training,
            "from": self.source,
        }
        return {term: value for term, value in words.items() if value}

    @abstractmethod
    def atomic_energies(self, graph: AtomGraph, vectors: Tensor) -> Tensor:
        """Return the energy of each atom in eV, without the per-element offsets, shape (N,).

        ``vectors`` (E, 3) are the edge vectors of ``graph``; the result must depend on the positions through
        them only.
        """

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """Return JSON-compatible constructor arguments: ``type(self)(**config())`` has the same architecture."""

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Return a new potential with the architecture given by :meth:`config`."""
        return cls(**config)

    def energies_and_gradient(
        self, graph: AtomGraph, vectors: Tensor, *, differentiable: bool
    ) -> tuple[Tensor, Tensor]:
        """Return atomic energies (N,) and dE/d vectors (E, 3), by automatic differentiation unless overridden."""
        with torch.enable_grad():
            if not vectors.requires_grad:
                vectors = vectors.requires_grad_()
            energies = self.atomic_energies(graph, vectors)
            return energies, edge_gradient(energies, vectors, differentiable=differentiable)

    def derivatives(
        self, graph: AtomGraph, *, differentiable: bool, vectors: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return atomic energies (N,), forces (N, 3) and virial-like sum r (x) g (B, 3, 3), without offsets."""
        prepared = self.prepare(graph)
        if vectors is None or prepared is not graph:
            vectors = prepared.edge_vectors()
        energies, gradient = self.energies_and_gradient(prepared, vectors, differentiable=differentiable)
        return energies, *scatter_gradient(prepared, vectors.detach(), gradient)

    def forward(
        self,
        graph: AtomGraph | Structures,
        *,
        derivatives: bool = True,
        differentiable: bool = False,
        vectors: Tensor | None = None,
    ) -> Prediction:
        """Predict energy, forces and stress of a batch.

        Parameters
        ----------
        graph
            A batch, whose cutoff must be at least the potential's (longer edges are left out), or the structures
            themselves: frames, ``ase.Atoms`` or files (:func:`keel.atoms.as_frames`), all of which make one batch.
        derivatives
            Compute forces and stress.
        differentiable
            Keep the result differentiable with respect to the parameters (for training).
        vectors
            The edge vectors of ``graph`` (E, 3) if the caller already has them, to avoid computing them again.

        Raises
        ------
        DataError
            If the graph's cutoff is too small or it has an element that the potential does not know.
        """
        if not isinstance(graph, AtomGraph):
            from keel.atoms.batching import batch

            graph = batch(graph, self.cutoff, half_list=self.half_list, dtype=self.dtype).to(self.device)
        graph = graph.to(dtype=self.dtype)
        count(graph.n_structures)
        forces, stress = None, None
        with torch.set_grad_enabled(differentiable):
            if derivatives:
                vectors = None if vectors is None else vectors.detach().to(self.dtype)
                energies, forces, virial = self.derivatives(graph, differentiable=differentiable, vectors=vectors)
                stressed = have_stress(graph.cell, graph.pbc)[:, None, None]
                volume = torch.where(stressed, graph.volume[:, None, None], 1.0)
                stress = torch.where(stressed, 0.5 * (virial + virial.transpose(1, 2)) / volume, torch.nan)
            else:
                energies = self.energies(graph)
            # Summed in float64: offsets of 1e4 eV would leave float32 no digits for the interaction.
            atomic = energies.double() + self.offsets().index_select(0, graph.numbers)
            energy = atomic.new_zeros(graph.n_structures).index_add(0, graph.batch, atomic)
        prediction = Prediction(energy, forces, stress, atomic)
        return prediction if differentiable else prediction.detached()

    def energies(self, graph: AtomGraph) -> Tensor:
        """Return atomic energies without offsets for any graph whose cutoff suffices, shape (N,)."""
        graph = self.prepare(graph)
        return self.atomic_energies(graph, graph.edge_vectors())

    def offsets(self) -> Tensor:
        """Energy of an isolated atom or reference state by atomic number in eV, float64, shape (119,)."""
        return self.energy_offsets

    def set_offsets(self, offsets: Mapping[int, float]) -> None:
        """Set the per-element energies (atomic number -> eV); elements not named get 0."""
        self.energy_offsets.zero_()
        for number, value in offsets.items():
            self.energy_offsets[number] = value

    def prepare(self, graph: AtomGraph) -> AtomGraph:
        """Give the graph this potential's cutoff and list kind; DataError if elements or cutoff do not suit it."""
        if self.elements is not None and graph.n_atoms:
            unknown = self.species_index.index_select(0, graph.numbers) < 0
            if bool(unknown.any()):
                check_known(graph.numbers[unknown].tolist(), self.elements, f"this {type(self).__name__}")
        graph = graph.within(self.cutoff)
        return graph.to_half_list() if self.half_list else graph.to_full_list()

    def species(self, graph: AtomGraph) -> Tensor:
        """Return the index of each atom's element among :attr:`elements`, shape (N,)."""
        return self.species_index.index_select(0, graph.numbers)

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point dtype of the parameters; of a potential without tensors the one it was last cast to."""
        for name, tensor in chain(self.named_parameters(), self.named_buffers()):
            if tensor.is_floating_point() and not name.endswith(("energy_offsets", "_precision")):
                return tensor.dtype
        return self._precision.dtype

    def modules_needed(self) -> dict[str, str]:
        """Return the module of each class in this potential that is not keel's own, by the name of the class."""
        classes = {type(part) for part in self.modules() if isinstance(part, Potential)}
        return {c.__name__: c.__module__ for c in classes if not c.__module__.startswith("keel.")}

    def precisions(self) -> dict[str, torch.dtype]:
        """Return the dtype of each potential in this one by its place, ``""`` for itself: they may differ in a sum."""
        return {place: part.dtype for place, part in self.named_modules() if isinstance(part, Potential)}

    @property
    def device(self) -> torch.device:
        """Device of the parameters."""
        return self.energy_offsets.device

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # Energy offsets stay float64 whatever the dtype of the network.
        offsets = self.energy_offsets
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.energy_offsets = offsets.to(self.energy_offsets.device)
        return self

    def save(self, path: str) -> None:
        """Write the potential to ``path``: ``.safetensors`` (any) or ``.json`` (closed-form, human-readable)."""
        save(self, path)


def edge_gradient(energies: Tensor, vectors: Tensor, *, differentiable: bool) -> Tensor:
    """Return d(sum of energies)/d vectors, zero where the energies do not depend on them."""
    if vectors.shape[0] == 0 or not energies.requires_grad:
        return torch.zeros_like(vectors)
    return torch.autograd.grad(
        energies.sum(), vectors, create_graph=differentiable, allow_unused=True, materialize_grads=True
    )[0]


def lengths(vectors: Tensor) -> Tensor:
    """Return |r| of vectors (E, 3), shape (E,); unlike ``vector_norm`` fast for either order in memory."""
    return vectors.square().sum(dim=1).sqrt()
