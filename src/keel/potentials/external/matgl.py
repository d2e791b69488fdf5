"""Networks of matgl (TensorNet, CHGNet, M3GNet) as networks of keel."""

from __future__ import annotations

import copy
import inspect
import json
from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any, Self

import torch
from torch import Tensor

from keel.atoms.elements import atomic_number, symbol
from keel.atoms.graph import AtomGraph
from keel.errors import ConfigError
from keel.potentials.external.extras import optional
from keel.potentials.external.network import ForeignNetwork
from keel.potentials.networks.network import Network

MODELS = ("TensorNet", "CHGNet", "M3GNet")


class MatglPotential(ForeignNetwork):
    """A network of matgl on keel's neighbour lists: E_i = scale * matgl_i + offset of the element.

    Parameters
    ----------
    elements
        Symbols or atomic numbers that the network knows.
    cutoff
        In angstrom.
    model
        ``"TensorNet"``, ``"CHGNet"`` or ``"M3GNet"``.
    **options
        Arguments of that class of ``matgl.models``, e.g. ``units=64``.

    Raises
    ------
    UnavailableError
        If matgl is not installed.
    ConfigError
        If there is no such model or option.
    """

    def __init__(
        self, elements: Iterable[int | str], cutoff: float = 5.0, model: str = "TensorNet", **options: Any
    ) -> None:
        super().__init__(elements, cutoff)
        if model not in MODELS:
            raise ConfigError(f"MatglPotential: model must be one of {', '.join(MODELS)}, not {model!r}")
        cls = getattr(optional("matgl.models", "MatglPotential", "matgl", "matgl"), model)
        known = inspect.signature(cls).parameters
        unknown = sorted(set(options) - set(known))
        if unknown:
            raise ConfigError(f"MatglPotential: {model} has no option {', '.join(unknown)}")
        # The energy of a structure is a sum over atoms, not a mean.
        extensive = {"is_intensive": False} if "is_intensive" in known and "is_intensive" not in options else {}
        names = tuple(symbol(z) for z in self.elements or ())
        self.architecture = {"model": model, **extensive, **options}
        self.model = cls(element_types=names, cutoff=self.cutoff, **extensive, **options)

    @classmethod
    def from_model(cls, model: Any) -> Self:
        """Take over a trained ``matgl.apps.pes.Potential`` in its own precision, energies and forces unchanged.

        Parameters
        ----------
        model
            The model; it is not changed.

        Raises
        ------
        ConfigError
            If it is of a kind that cannot be taken over (says why).
        """
        core = model.model
        elements = _check(model)
        wanted = inspect.signature(type(core)).parameters.keys() - {"element_types", "cutoff", "dtype", "kwargs"}
        arguments = {key: value for key, value in core._init_args.items() if key in wanted}
        try:
            network = cls(elements, float(core.cutoff), type(core).__name__, **json.loads(json.dumps(arguments)))
            network.to(next(core.parameters()).dtype)
            network.model.load_state_dict({k: v.cpu() for k, v in core.state_dict().items()})
        except (TypeError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise ConfigError(f"MatglPotential: the model cannot be rebuilt from its options ({reason})") from None
        network.scale.fill_(float(model.data_std))
        if model.element_refs is not None:
            offsets = model.element_refs.property_offset.double().flatten()
            network.set_offsets(dict(zip(elements, offsets.tolist(), strict=True)))
        network.trained = True
        return network.eval()

    @classmethod
    def from_checkpoint(cls, arguments: Mapping[str, Any], state: Mapping[str, Tensor]) -> Self:
        """Take over a saved ``matgl.apps.pes.Potential`` without running any of its code.

        Parameters
        ----------
        arguments
            ``kwargs`` of its ``model.json``.
        state
            Its ``state.pt``.

        Raises
        ------
        UnavailableError
            If matgl is not installed.
        ConfigError
            If it is of a kind that cannot be taken over (says why).
        """
        model = arguments["model"]
        classes = optional("matgl.models", "MatglPotential", "matgl", "matgl")
        core = getattr(classes, model["@class"])(**{k: v for k, v in model["init_args"].items() if k != "dtype"})
        state = {name.replace("_orig_mod.", ""): tensor for name, tensor in state.items()}
        weights = {name.removeprefix("model."): tensor for name, tensor in state.items() if name.startswith("model.")}
        core.to(next(t.dtype for t in weights.values() if t.is_floating_point())).load_state_dict(weights)
        offsets = state.get("element_refs.property_offset")
        potential = SimpleNamespace(
            model=core,
            data_mean=state.get("data_mean", 0.0),
            data_std=state.get("data_std", 1.0),
            calc_repuls=arguments.get("calc_repuls", False),
            element_refs=None if offsets is None else SimpleNamespace(property_offset=offsets),
        )
        return cls.from_model(potential)

    def to_model(self) -> Any:
        """Return the network as a ``matgl.apps.pes.Potential``, in its own precision: what :meth:`from_model` takes."""
        return wrapped(copy.deepcopy(self.model).cpu(), self)

    def atomic_energies(self, graph: AtomGraph, vectors: Tensor) -> Tensor:
        """See :class:`Potential`.

        matgl computes edge vectors as x_j - x_i + shift: with all atoms at the origin, they are the shifts. It sums
        energies over the atoms of each structure: with each atom a structure of its own, they are those of atoms.
        """
        atoms = torch.arange(graph.n_atoms, device=vectors.device)
        structure = SimpleNamespace(
            node_type=self.species(graph),
            pos=vectors.new_zeros(graph.n_atoms, 3),
            pbc_offshift=vectors,
            pbc_offset=graph.edge_shift,
            edge_index=graph.edge_index,
            batch=atoms,
            num_graphs=graph.n_atoms,
        )
        energies: Tensor = self.model(structure).reshape(graph.n_atoms)
        # matgl keeps its features here, and with them the autograd graph.
        self.model.feature_dict = {}
        return self.scale * energies


@torch.no_grad()
def wrapped(core: Any, network: Network) -> Any:
    """Return a model of matgl as its ``Potential``, with the scale and the offsets of a network."""
    offsets = network.energy_offsets.cpu()[list(network.elements or ())]
    if "dtype" in core._init_args:  # the precision of a TensorNet, whose layers are made in it
        core._init_args["dtype"] = network.dtype
    potential = optional("matgl.apps.pes", "keel export", "matgl", "matgl").Potential(
        core, data_std=float(network.scale), element_refs=offsets.tolist()
    )
    potential.to(network.dtype)
    # It was made in matgl's default precision, which may be lower than its own.
    potential.data_std.fill_(float(network.scale))
    potential.element_refs.property_offset.copy_(offsets)
    return potential.eval()


def _check(model: Any) -> list[int]:
    """Return the elements of a matgl potential that can be taken over."""
    core, reasons = model.model, []
    elements = [atomic_number(e) for e in core.element_types]
    if type(core).__name__ not in MODELS:
        reasons.append(f"{type(core).__name__} is not one of {', '.join(MODELS)}")
    if float(model.data_mean) != 0:
        reasons.append("it adds a constant to the energy of each structure (data_mean)")
    if model.calc_repuls:
        reasons.append("it has a nuclear repulsion (calc_repuls)")
    if getattr(core, "include_state", False) or getattr(core, "state_embedding", None) is not None:
        reasons.append("it needs a state of each structure")
    if getattr(core, "is_intensive", False):
        reasons.append("its energy is intensive")
    if elements != sorted(elements):
        reasons.append("its elements are not in the order of atomic numbers")
    if reasons:
        raise ConfigError(f"MatglPotential: this model cannot be taken over: {'; '.join(reasons)}")
    return elements
