"""Export of a potential to metatomic: one file that LAMMPS, GROMACS, i-PI, EON, PLUMED, torch-sim and ASE run.

The file contains the potential as TorchScript, the only format of metatomic 0.1: it does not accept programs of
``torch.export``, and compiles everything with ``torch.jit.script``. The energy function is traced
(``torch.jit.trace``), which leaves tensors and their shapes, and the engine differentiates it. A trace that gives
different numbers from the potential is never written.

Positions and energies are float64 at the interface, so that large energies of elements do not cost the interaction its
digits; internally, a network computes in its own precision.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from keel.atoms.batching import batch
from keel.atoms.elements import COVALENT_RADII, symbol
from keel.atoms.frame import Frame
from keel.atoms.graph import AtomGraph
from keel.errors import ConfigError, KeelError
from keel.files import replace_file
from keel.interfaces.moving import opened
from keel.potentials.base import Potential
from keel.potentials.external.extras import optional, quiet
from keel.potentials.external.given import Given
from keel.potentials.external.network import ForeignNetwork
from keel.potentials.networks.network import Edges, Network
from keel.potentials.sum import SumPotential
from keel.version import __version__

AGREES = 1e-5
"""Relative to the largest value, what a trace may differ in float32; a thousandth of a thousandth of it in float64."""
LAYERS = ("layers", "num_layers", "n_blocks", "nblocks", "num_blocks", "num_interactions")
"""Options of networks of other packages that give their number of layers."""


def write_metatomic(
    potential: Given,
    path: str | Path,
    *,
    interaction_range: float | None = None,
    dtype: torch.dtype | str | None = None,
    trust: bool = False,
) -> float:
    """Write a potential as a model of metatomic, and return the range of its interaction in angstrom.

    Parameters
    ----------
    potential
        A potential, or what has or names one (:func:`keel.open_potential`).
    path
        Of the file, usually ``.pt``.
    interaction_range
        How far the energy of an atom feels others, in angstrom, by which engines divide large systems; None: number
        of layers times the cutoff.
    dtype
        Precision inside; None keeps that of the potential.
    trust
        See :func:`keel.open_potential`.

    Raises
    ------
    UnavailableError
        If metatomic-torch is not installed.
    ConfigError
        If the potential cannot be exported.
    """
    metatomic = optional("metatomic.torch", "keel export", "metatomic-torch", "metatomic")
    engine = optional("keel.interfaces._engine", "keel export", "metatomic-torch", "metatomic")
    model = opened(potential, dtype, "cpu", trust=trust).eval()
    name = type(model).__name__
    if model.elements is None:
        raise ConfigError(f"a {name} that takes every element cannot be exported; name its elements when it is made")
    reach = range_of(model) if interaction_range is None else interaction_range
    traced, devices = _traced(model)
    with quiet():
        exported = metatomic.AtomisticModel(
            engine.Engine(traced, model.cutoff, model.half_list).eval(),
            metatomic.ModelMetadata(
                name=Path(model.source).stem if model.source else name,
                description=f"{name} of keel {__version__} for {', '.join(map(symbol, model.elements))}"
                + (f", trained by {model.trained_by}" if model.trained_by else ""),
            ),
            metatomic.ModelCapabilities(
                outputs={"energy": metatomic.ModelOutput(unit="eV", sample_kind="atom", explicit_gradients=[])},
                atomic_types=list(model.elements),
                interaction_range=reach,
                length_unit="angstrom",
                supported_devices=devices,
                dtype="float64",
            ),
        )
        replace_file(Path(path), lambda temporary: exported.save(str(temporary)))
    return reach


def range_of(potential: Potential) -> float:
    """Return how far the energy of an atom feels others in angstrom: number of layers times the cutoff.

    Raises
    ------
    ConfigError
        If the potential does not say it.
    """
    if isinstance(potential, SumPotential):
        return max(range_of(m) for m in potential.members if isinstance(m, Potential))
    if isinstance(potential, ForeignNetwork):
        layers = next((potential.architecture[name] for name in LAYERS if name in potential.architecture), None)
        if layers is not None:
            return int(layers) * potential.cutoff
    elif isinstance(potential, Network):
        nothing = torch.zeros(0, dtype=torch.int64)
        return len(list(potential.chain(Edges(*[nothing] * 4)).layers)) * potential.cutoff
    elif potential.closed_form:
        return potential.cutoff
    raise ConfigError(
        f"the interaction range of a {type(potential).__name__} is unknown; give it in angstrom with --range"
    )


class _Core(nn.Module):
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


def _traced(potential: Potential) -> tuple[Any, list[str]]:
    """Return the potential's energy function as TorchScript, and the devices on which that runs.

    Raises
    ------
    ConfigError
        If it cannot be traced, or the trace gives other numbers.
    """
    # A trace records which tensors had gradients, and would continue to differentiate with respect to the weights.
    core, trials = _Core(deepcopy(potential)).requires_grad_(False), list(_trials(potential))
    name = type(potential).__name__
    try:
        # Without gradients of edge vectors a closed form would run machine code, which no trace follows.
        with warnings.catch_warnings(), torch.enable_grad():
            warnings.simplefilter("ignore")
            traced = torch.jit.trace(core, (*trials[0][:3], trials[0][3].requires_grad_()), check_trace=False)
            tolerance = AGREES if potential.dtype == torch.float32 else 1e-6 * AGREES
            for trial in trials:
                # Twice: TorchScript makes faster code of what it has seen once.
                for found in (_slopes(traced, *trial), _slopes(traced, *trial)):
                    for ours, theirs in zip(_slopes(core, *trial), found, strict=True):
                        largest = float(ours.abs().max()) if ours.numel() else 0.0
                        if not torch.allclose(ours, theirs, rtol=0.0, atol=tolerance * max(largest, 1.0)):
                            raise ConfigError(f"a {name} cannot be exported: its trace gives different numbers")
    except KeelError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[-150:]
        raise ConfigError(f"a {name} cannot be exported: TorchScript cannot follow it ({reason})") from None
    # A device that is named in a trace is that on which it was made.
    bound = re.search(r'Device = prim::Constant\[value="cpu"', str(traced.inlined_graph))
    return traced, ["cpu"] if bound else ["cpu", "cuda"]


def _slopes(core: Any, numbers: Tensor, edges: Tensor, shifts: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
    vectors = vectors.detach().requires_grad_()
    energies = core(numbers, edges, shifts, vectors)
    if not energies.requires_grad:
        return energies, torch.zeros_like(vectors)
    (slopes,) = torch.autograd.grad(energies.sum(), vectors, allow_unused=True, materialize_grads=True)
    return energies.detach(), slopes


def _trials(potential: Potential) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
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
