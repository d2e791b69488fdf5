"""Returning networks to the packages that they come from: files that mace-torch, matgl and torchmd-net load.

A file is written only if the package's own code reproduces the network from it.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from keel.atoms.batching import batch
from keel.atoms.elements import COVALENT_RADII
from keel.atoms.frame import Frame
from keel.errors import ConfigError
from keel.files import WRITING, replace_file
from keel.interfaces.moving import opened
from keel.potentials.base import Potential
from keel.potentials.convert import floating
from keel.potentials.external.back import to_matgl, to_torchmdnet
from keel.potentials.external.extras import optional, quiet
from keel.potentials.external.mace import MACE
from keel.potentials.external.matgl import MatglPotential
from keel.potentials.external.opening import Given
from keel.potentials.external.torchmdnet import TorchMDNetPotential
from keel.potentials.networks.clamped import Learner
from keel.potentials.networks.m3gnet import M3GNet
from keel.potentials.networks.network import Network
from keel.potentials.networks.torchmd_et import TorchMDET
from keel.potentials.sum import SumPotential

EXACT = 1e-6
"""Largest rounding of the energy of an element in a file in eV, unless a precision is requested."""
AGREES = {torch.float32: 1e-5, torch.float64: 1e-9}
"""Largest difference of energies and forces in a trial, relative to the largest value, ..."""
AGREES_MATGL = {torch.float32: 1e-5, torch.float64: 1e-6}
"""... in matgl, which rounds the zeros of its Bessel functions to float32 in every precision."""
INSTEAD = "keel export --to metatomic writes a file that LAMMPS, ASE and others run"


def write_mace(
    potential: Given, path: str | Path, *, dtype: torch.dtype | str | None = None, trust: bool = False
) -> Network:
    """Write a network as a ``ScaleShiftMACE`` of one head, which mace's calculator and its tools for LAMMPS load.

    Parameters
    ----------
    potential
        A network, or what has or names one (:func:`keel.open_potential`).
    path
        Of the file, usually ``.model``.
    dtype
        Precision of the file. None: that of the network, or float64 if float32 would round the energies of the elements
        by more than 1e-6 eV.
    trust
        See :func:`keel.open_potential`.

    Returns
    -------
    Network
        The network in the precision of the file.

    Raises
    ------
    UnavailableError
        If mace-torch is not installed.
    ConfigError
        If mace-torch has no such network.
    """
    network = _network(potential, "mace-torch", (MACE,), dtype, trust, enough=True)
    assert isinstance(network, MACE)
    model = network.to_model()

    def write(temporary: Path) -> None:
        torch.save(model, temporary)
        read = torch.load(temporary, map_location="cpu", weights_only=False)
        _compare(network, MACE.from_model(read), "mace-torch")

    replace_file(Path(path), write)
    return network


def write_matgl(
    potential: Given, path: str | Path, *, dtype: torch.dtype | str | None = None, trust: bool = False
) -> Network:
    """Write a network as the folder of a ``Potential`` of matgl, which ``matgl.load_model`` reads.

    Parameters
    ----------
    potential, trust
        See :func:`write_mace`.
    path
        The folder.
    dtype
        Precision of the folder; None: that of the network. matgl reads in its default precision, float32, and a
        TensorNet of float64 only where ``matgl.set_default_dtype("float", 64)`` comes before.

    Returns
    -------
    Network
        The network in the precision of the file.

    Raises
    ------
    UnavailableError
        If matgl is not installed.
    ConfigError
        If matgl has no such network, or it has a setting that matgl does not know.
    """
    network = _network(potential, "matgl", (MatglPotential, M3GNet), dtype, trust, enough=False)
    assert isinstance(network, MatglPotential | M3GNet)
    model, path = to_matgl(network), Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=WRITING) as folder:
        model.save(folder, metadata={"units": {"energy": "eV", "length": "angstrom"}})
        arguments = json.loads((Path(folder) / "model.json").read_text())["kwargs"]
        state = torch.load(Path(folder) / "state.pt", map_location="cpu", weights_only=True)
        _compare(network, MatglPotential.from_checkpoint(arguments, state), "matgl", AGREES_MATGL)
        path.mkdir(exist_ok=True)
        for file in sorted(Path(folder).iterdir()):
            os.replace(file, path / file.name)
    return network


def write_torchmdnet(
    potential: Given,
    path: str | Path,
    *,
    energy_unit: float = 1.0,
    dtype: torch.dtype | str | None = None,
    trust: bool = False,
) -> Network:
    """Write a network as a checkpoint of torchmd-net, which its ``load_model`` and its calculators read.

    Parameters
    ----------
    potential, dtype, trust
        See :func:`write_mace`.
    path
        Of the file, usually ``.ckpt``.
    energy_unit
        Unit of energy in the file in eV; lengths are in angstrom.

    Returns
    -------
    Network
        The network in the precision of the file.

    Raises
    ------
    UnavailableError
        If torchmd-net is not installed.
    ConfigError
        If torchmd-net has no such network, or it has a setting that torchmd-net does not know.
    """
    network = _network(potential, "torchmd-net", (TorchMDNetPotential, TorchMDET), dtype, trust, enough=True)
    assert isinstance(network, TorchMDNetPotential | TorchMDET)
    checkpoint = to_torchmdnet(network, energy_unit=energy_unit)
    load = optional("torchmdnet.models.model", "keel export", "torchmd-net", "torchmd-net").load_model

    def write(temporary: Path) -> None:
        torch.save(checkpoint, temporary)
        with quiet():
            model = load(str(temporary))
        read = TorchMDNetPotential.from_model(model, checkpoint["hyper_parameters"], network.elements or ())
        read.scale.mul_(energy_unit)
        read.energy_offsets.mul_(energy_unit)
        _compare(network, read, "torchmd-net")

    replace_file(Path(path), write)
    return network


def _network(
    potential: Given,
    package: str,
    kinds: tuple[type[Network], ...],
    dtype: torch.dtype | str | None,
    trust: bool,
    *,
    enough: bool,
) -> Network:
    """Return the network to be written, in the precision of the file; ``enough``: in the one that its energies need."""
    if dtype is not None:
        floating(dtype)
    found = opened(potential, None, "cpu", trust=trust)
    if isinstance(found, SumPotential):
        under = " and ".join(type(m).__name__ for m in found.members if not isinstance(m, Learner))
        raise ConfigError(
            f"this network is on {under or 'another potential'}, which a file of {package} cannot store; {INSTEAD}, "
            "and the "
            "strategy repair-only repairs a network without walls"
        )
    if not isinstance(found, kinds):
        names = " or ".join(kind.__name__ for kind in kinds)
        raise ConfigError(f"{package} has no {type(found).__name__}, only what is {names} in keel; {INSTEAD}")
    if enough and dtype is None and rounding(found) > EXACT:
        dtype = torch.float64
    network = opened(found, dtype, "cpu").eval()
    assert isinstance(network, Network)
    return network


def rounding(network: Potential) -> float:
    """Return by how much the precision of a network rounds the energies of its elements, in eV."""
    offsets = network.offsets()
    return float((offsets - offsets.to(network.dtype).double()).abs().max())


def _compare(
    network: Potential, read: Potential, package: str, tolerance: Mapping[torch.dtype, float] = AGREES
) -> None:
    """Raise a ConfigError if a network that the package computes differs from the one that was written."""
    graph = batch(_trials(network), network.cutoff, dtype=network.dtype)
    graphs = [graph.to_half_list() if p.half_list else graph for p in (network, read)]
    ours, theirs = (p.derivatives(g, differentiable=False)[:2] for p, g in zip((network, read), graphs, strict=True))
    known = list(network.elements or ())
    pairs = [
        *zip(ours, theirs, strict=True),
        (network.offsets()[known].to(network.dtype).double(), read.offsets()[known]),
    ]
    for name, (x, y) in zip(("energies", "forces", "energies of elements"), pairs, strict=True):
        far = float((x - y).detach().abs().max()) / max(float(x.detach().abs().max()), 1e-30)
        if not far <= tolerance[network.dtype]:
            kind = type(network).__name__
            raise ConfigError(f"this {kind} cannot be written: {name} that {package} gives of it differ by {far:.1g}")


def _trials(network: Potential) -> list[Frame]:
    """Return clusters of all elements; not periodic, as torchmd-net takes an atom's image for the atom itself."""
    rng, elements = np.random.default_rng(0), np.array(network.elements, dtype=np.int64)
    frames = []
    for part in np.array_split(np.resize(elements, max(16, len(elements))), max(2, len(elements) // 8)):
        length = 2.0 * float(COVALENT_RADII[part].mean()) * len(part) ** (1 / 3)
        positions = length * rng.uniform(size=(len(part), 3))
        frames.append(Frame(part, positions, np.zeros((3, 3)), np.zeros(3, dtype=bool), source="trial of an export"))
    return frames
