"""Potentials as TorchScript: functions of tensors that run without Python and without keel.

There are two, because TorchScript's own differentiation costs time: the energies of atoms, traced
(``torch.jit.trace``), for whoever differentiates them; and energies together with the gradient of their sum, which
PyTorch's automatic differentiation writes down once (``make_fx``, with symbolic shapes) and TorchScript then only runs.
The second does not exist for potentials whose code cannot be followed with symbolic shapes, such as MACE.

Neither is returned before its numbers have been compared with the potential's for structures of several sizes.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

from keel.atoms.batching import batch
from keel.atoms.elements import COVALENT_RADII
from keel.atoms.frame import Frame
from keel.atoms.graph import AtomGraph
from keel.errors import ConfigError, KeelError
from keel.potentials.base import Potential

AGREES = 1e-5
"""Relative to the largest value, by how much numbers may differ in float32; in float64 a millionth of it."""

Arguments = tuple[Tensor, Tensor, Tensor, Tensor]
"""Atomic numbers, edges, shifts and edge vectors."""


class Scripted(NamedTuple):
    """A potential as TorchScript.

    Parameters
    ----------
    energies
        From atomic numbers (N,), edges (2, E), shifts (E, 3) and edge vectors (E, 3) in angstrom to the energy of each
        atom in eV (N,), float64, offsets included.
    slopes
        From the same and a weight of each atom (N,) to energies (N,) and the gradient of their weighted sum with
        respect to the edge vectors in eV/angstrom (E, 3); None where the potential's code cannot be followed.
    devices
        Where they run.
    """

    energies: Any
    slopes: Any
    devices: list[str]


def scripted(potential: Potential) -> Scripted:
    """Return a potential as TorchScript.

    Raises
    ------
    ConfigError
        If TorchScript cannot follow the potential, or would give other numbers.
    """
    # A trace records which tensors had gradients, and would continue to differentiate with respect to the weights.
    core, trials = Core(deepcopy(potential)).requires_grad_(False), list(trial_arguments(potential))
    tolerance = AGREES if potential.dtype == torch.float32 else 1e-6 * AGREES
    name = type(potential).__name__
    try:
        # Without gradients of edge vectors a closed form would run machine code, which no trace follows.
        with warnings.catch_warnings(), torch.enable_grad():
            warnings.simplefilter("ignore")
            example = (*trials[0][:3], trials[0][3].requires_grad_())
            energies = torch.jit.trace(core, example, check_trace=False)
            if not _agree(lambda *trial: by_autograd(energies, *trial), core, trials, tolerance):
                raise ConfigError(f"a {name} cannot be exported: its trace gives different numbers")
            slopes = _slopes(core, trials, tolerance)
    except KeelError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[-150:]
        raise ConfigError(f"a {name} cannot be exported: TorchScript cannot follow it ({reason})") from None
    # A device that is named in a trace is that on which it was made.
    bound = re.search(r'Device = prim::Constant\[value="cpu"', str(energies.inlined_graph))
    return Scripted(energies, slopes, ["cpu"] if bound else ["cpu", "cuda"])


class Core(nn.Module):
    """Energies of atoms in eV, float64, with offsets, as a function of tensors only."""

    offsets: Tensor

    def __init__(self, potential: Potential) -> None:
        super().__init__()
        self.potential, self.dtype = potential, potential.dtype
        self.register_buffer("offsets", potential.offsets().clone())

    def forward(self, numbers: Tensor, edges: Tensor, shifts: Tensor, vectors: Tensor) -> Tensor:
        """Return the energies, shape (N,)."""
        graph = AtomGraph(
            numbers=numbers,
            positions=vectors.new_zeros(numbers.shape[0], 3),
            cell=vectors.new_zeros(1, 3, 3),
            pbc=vectors.new_zeros(1, 3) > 0,
            batch=torch.zeros_like(numbers),
            edge_index=edges,
            edge_shift=shifts,
            cutoff=self.potential.cutoff,
            half_list=self.potential.half_list,
        ).to(dtype=self.dtype)
        energies = self.potential.atomic_energies(graph, vectors.to(self.dtype))
        return energies.double() + self.offsets.index_select(0, numbers)


def by_autograd(
    core: Any, numbers: Tensor, edges: Tensor, shifts: Tensor, vectors: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor]:
    """Return energies of atoms (N,) and the gradient (E, 3) of their sum, weighted by ``weights`` (N,)."""
    with torch.enable_grad():
        vectors = vectors.detach().requires_grad_()
        energies = core(numbers, edges, shifts, vectors)
        if not energies.requires_grad:
            return energies, torch.zeros_like(vectors)
        total = (energies * weights).sum()
        (slopes,) = torch.autograd.grad(total, vectors, allow_unused=True, materialize_grads=True)
    return energies.detach(), slopes


def _agree(found: Callable[..., tuple[Tensor, Tensor]], core: Core, trials: list[Arguments], tolerance: float) -> bool:
    """Return whether a function gives the numbers of the core for all trials."""
    generator = torch.Generator().manual_seed(0)
    for trial in trials:
        weights = torch.rand(len(trial[0]), generator=generator, dtype=torch.float64)
        truth = by_autograd(core, *trial, weights)
        # Twice: TorchScript makes faster code of what it has seen once.
        for _ in range(2):
            for ours, theirs in zip(truth, found(*trial, weights), strict=True):
                largest = float(ours.abs().max()) if ours.numel() else 0.0
                if not torch.allclose(ours, theirs, rtol=0.0, atol=tolerance * max(largest, 1.0)):
                    return False
    return True


def _slopes(core: Core, trials: list[Arguments], tolerance: float) -> Any:
    """Return energies and the gradient of their weighted sum as TorchScript; None if that cannot be had."""
    weights = torch.ones(len(trials[0][0]), dtype=torch.float64)
    try:
        follow = make_fx(partial(by_autograd, core), tracing_mode="symbolic", _allow_non_fake_inputs=True)
        followed = follow(*trials[0], weights)
        slopes = torch.jit.script(_for_torchscript(followed))
        return slopes if _agree(slopes, core, trials, tolerance) else None
    except Exception:  # whatever another package's code, or a PyTorch that follows less, objects to
        return None


def _for_torchscript(module: GraphModule) -> GraphModule:
    """Rewrite what TorchScript does not know: chosen overloads, symbolic sizes and fixed devices."""
    graph, names = module.graph, torch.ops.aten
    renamed = {names.sym_size.int: names.size, names.sym_numel.default: names.numel, names._to_copy.default: names.to}
    vectors = [node for node in graph.nodes if node.op == "placeholder"][3]
    with graph.inserting_after(vectors):
        device = graph.call_function(getattr, (vectors, "device"))
    for node in graph.nodes:
        if isinstance(node.target, torch._ops.OpOverload):
            node.target = renamed.get(node.target, node.target.overloadpacket)
            if node.kwargs.get("device") is not None:
                node.update_kwarg("device", device)
    graph.eliminate_dead_code()
    graph.lint()
    module.recompile()
    return module


def trial_arguments(potential: Potential) -> Iterator[Arguments]:
    """Yield arguments of a core: a small cell with crowded atoms and images, a crystal, a molecule, an atom alone."""
    rng, elements = np.random.default_rng(0), np.array(potential.elements, dtype=np.int64)
    bond = 2.0 * float(COVALENT_RADII[elements].mean())
    for n, density, pbc in ((4, 4.0, True), (16, 1.0, True), (5, 1.0, False), (1, 1.0, False)):
        length = bond * (n / density) ** (1 / 3)
        frame = Frame(
            numbers=np.resize(elements, n),
            positions=length * rng.uniform(size=(n, 3)),
            cell=length * np.eye(3) * pbc,
            pbc=np.full(3, pbc),
            source="trial of an export",
        )
        graph = batch([frame], potential.cutoff, half_list=potential.half_list, dtype=torch.float64)
        yield graph.numbers, graph.edge_index, graph.edge_shift, graph.edge_vectors()
