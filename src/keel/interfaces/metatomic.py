"""Export of a potential to metatomic: one file that LAMMPS, GROMACS, i-PI, EON, PLUMED, torch-sim and ASE run.

The file contains the potential as TorchScript, the only format of metatomic 0.1: it does not accept programs of
``torch.export``, and compiles everything with ``torch.jit.script``; :mod:`keel.interfaces.torchscript` makes it. A file
that would give different numbers from the potential is never written.

Positions and energies are float64 at the interface, so that large energies of elements do not cost the interaction its
digits; internally, a network computes in its own precision.
"""

from __future__ import annotations

from pathlib import Path

import torch

from keel.atoms.elements import symbol
from keel.errors import ConfigError
from keel.files import replace_file
from keel.interfaces.moving import opened
from keel.interfaces.torchscript import scripted
from keel.potentials.base import Potential
from keel.potentials.external.extras import optional, quiet
from keel.potentials.external.network import ForeignNetwork
from keel.potentials.external.opening import Given
from keel.potentials.networks.clamped import ClampedNetwork
from keel.potentials.networks.network import Edges, Network
from keel.potentials.sum import SumPotential
from keel.version import __version__

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
        Range in angstrom within which atoms affect the energy of an atom, by which engines divide large systems; None:
        number of layers times the cutoff.
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
    script = scripted(model)
    with quiet():
        exported = metatomic.AtomisticModel(
            engine.Engine(script.energies, script.slopes, model.cutoff, model.half_list).eval(),
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
                supported_devices=script.devices,
                dtype="float64",
            ),
        )
        replace_file(Path(path), lambda temporary: exported.save(str(temporary)))
    return reach


def range_of(potential: Potential) -> float:
    """Return the range within which atoms affect the energy of an atom in angstrom: number of layers times the cutoff.

    Raises
    ------
    ConfigError
        If the potential does not state it.
    """
    if isinstance(potential, SumPotential):
        return max(range_of(m) for m in potential.members if isinstance(m, Potential))
    if isinstance(potential, ClampedNetwork):
        return range_of(potential.network)
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
