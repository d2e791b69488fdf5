"""MACE (mace-torch) as a network: built from options and trained by keel, or taken over from a trained model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import pi
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from keel.atoms.graph import AtomGraph
from keel.errors import ConfigError, advice
from keel.potentials.external import mace_module
from keel.potentials.external.network import ForeignNetwork
from keel.potentials.networks.network import Preset

ATOMS_PER_VOLUME = 0.06  # per cubic angstrom, about that of an oxide


class MACE(ForeignNetwork):
    """Higher-order equivariant message passing, computed by mace-torch (its ``ScaleShiftMACE``).

    E_i = scale * mace_i + offset of the element: scale and offsets replace mace's ``scale_shift`` and
    atomic energies. Energies and forces vanish smoothly at the cutoff.

    Source: Batatia et al., NeurIPS 35, 11423 (2022).

    Parameters
    ----------
    elements
        Symbols or atomic numbers that the network knows.
    cutoff
        Of one layer, in angstrom.
    preset
        Defaults of the other options: ``"small"``, ``"default"`` or ``"paper"`` (Batatia et al., rMD17).
    head
        Index of the head that is used, if ``heads`` names several.
    channels, max_l
        The hidden features: this many of each order l = 0..max_l (64 and 1: ``64x0e + 64x1o``).
    layers
        Number of interactions.
    max_ell
        Highest order of the spherical harmonics.
    correlation
        Number of messages that are multiplied; the body order is one more.
    average_neighbours
        Divisor of sums over neighbours; by default the number of atoms within the cutoff at 0.06 atoms per cubic
        angstrom.
    **given
        These options, and others of mace's constructor, by their names there: ``pair_repulsion=True``,
        ``num_bessel=10``, ``interaction_cls="RealAgnosticDensityResidualInteractionBlock"``, ... (those of
        :data:`mace_module.OPTIONS`, and whatever else it has a default for).

    Raises
    ------
    UnavailableError
        If mace-torch is not installed.
    ConfigError
        If an option does not exist or is out of its range.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "small": {"cutoff": 5.0, "channels": 16, "max_l": 0, "layers": 2, "max_ell": 2, "correlation": 2},
        "default": {"cutoff": 5.0, "channels": 64, "max_l": 1, "layers": 2, "max_ell": 3, "correlation": 3},
        "paper": {"cutoff": 5.0, "channels": 256, "max_l": 2, "layers": 2, "max_ell": 3, "correlation": 3},
    }
    same: ClassVar[Mapping[str, Any]] = {"average_neighbours": None, **mace_module.OPTIONS}

    def __init__(
        self,
        elements: Iterable[int | str],
        cutoff: float | None = None,
        preset: Preset = "default",
        head: int = 0,
        **given: Any,
    ) -> None:
        further = mace_module.further(given)
        chosen = self.options(preset, cutoff=cutoff, **{k: v for k, v in given.items() if k not in further})
        super().__init__(elements, chosen.pop("cutoff"))
        if chosen["average_neighbours"] is None:
            chosen["average_neighbours"] = ATOMS_PER_VOLUME * 4 / 3 * pi * self.cutoff**3
        if not 0 <= head < len(chosen["heads"]):
            raise ConfigError(f"MACE: there is no head {head}; heads count from 0")
        self.architecture = {**chosen, **further, "head": head}
        self.model = mace_module.build(self.elements or (), self.cutoff, **chosen, **further)
        self.head = head
        self.to(torch.get_default_dtype())

    @classmethod
    def from_model(cls, model: Any, head: str | None = None) -> Self:
        """Take over a trained ``ScaleShiftMACE`` in its own precision, with its energies and forces unchanged.

        Load the model with mace-torch, whose files run code when they are read: do so once, where you trust them,
        and save the result as a keel file.

        Parameters
        ----------
        model
            The model; it is not changed.
        head
            Name of the head to use; None: the only one, or the one called "default", as in mace's calculator.

        Raises
        ------
        ConfigError
            If the model has no such head, has several of which none is the default, or is of a kind that cannot be
            rebuilt exactly.
        """
        arguments = mace_module.arguments_of(model)
        network = cls(**arguments, head=_index(arguments["heads"], head))
        network.to(next(model.parameters()).dtype)
        mace_module.copy_weights(model, network.model)
        network._take_scale_and_offsets()
        network.trained = True
        return network.eval()

    @torch.no_grad()
    def to_model(self) -> Any:
        """Return the network as a ``ScaleShiftMACE`` of one head, in its own precision: what :meth:`from_model` takes.

        Scale and offsets are where mace has them, so that its calculator and its file for LAMMPS give the same energies
        and forces. Other heads that the network was imported with are left out.
        """
        model = mace_module.one_head(self.model, self.head)
        block, reference = model.scale_shift, model.atomic_energies_fn.atomic_energies
        block.scale.mul_(self.scale.cpu())
        reference.copy_(self.energy_offsets.cpu()[list(self.elements or ())].expand_as(reference))
        return model.eval()

    def atomic_energies(self, graph: AtomGraph, vectors: Tensor) -> Tensor:
        """See :class:`Potential`."""
        species = nn.functional.one_hot(self.species(graph), self.n_species).to(vectors.dtype)
        return self.scale * mace_module.node_energies(self.model, species, graph.edge_index, vectors, self.head)

    @torch.no_grad()
    def _take_scale_and_offsets(self) -> None:
        """Move the scale, shift and atomic energies of the head to where keel has them."""
        block, reference = self.model.scale_shift, self.model.atomic_energies_fn.atomic_energies
        scale, shift = (torch.atleast_1d(t)[self.head].clone() for t in (block.scale, block.shift))
        offsets = torch.atleast_2d(reference)[self.head].double() + shift.double()
        self.set_offsets(dict(zip(self.elements or (), offsets.tolist(), strict=True)))
        self.scale.fill_(scale)
        block.scale.div_(scale)
        block.shift.zero_()
        reference.zero_()


def _index(heads: Sequence[str], name: str | None) -> int:
    """Return which head a name means."""
    if name is not None:
        if name not in heads:
            raise ConfigError(f"MACE: the model has no head {name!r}; choose from {', '.join(heads)}")
        return heads.index(name)
    usual = [k for k, head in enumerate(heads) if len(heads) == 1 or head.lower() == "default"]
    if not usual:
        raise ConfigError(
            f"MACE: the model has the heads {', '.join(heads)}; "
            + advice("choose one with MACE.from_model(model, head=...)", "choose one with keel import --head")
        )
    return usual[0]
