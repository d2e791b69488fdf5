"""``keel import``: networks of other packages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keel.commands.potential_options import Trust
from keel.files import Output
from keel.ranges import EnergyUnit


def import_(
    checkpoint: Annotated[
        Path, typer.Argument(help="matgl: the folder with model.json and state.pt; torchmd-net: .ckpt; MACE: .model.")
    ],
    out: Annotated[Path, Output((".safetensors",)), typer.Option(help="Where the network goes: .safetensors.")],
    elements: Annotated[
        str | None, typer.Option(help="torchmd-net: elements to take over, e.g. Si,O; all that it has if not given.")
    ] = None,
    energy_unit: Annotated[
        EnergyUnit, typer.Option(help="torchmd-net: the checkpoint's unit of energy in eV, which it does not tell.")
    ] = 1.0,
    head: Annotated[
        str | None, typer.Option(help="MACE: which of several heads; default: the only one, or that called default.")
    ] = None,
    trust: Trust = False,
) -> None:
    """Turn a trained model of matgl, torchmd-net or MACE into a file of keel.

    It gives the same energies and forces, and can be simulated (keel md), trained further (start: in keel run), or
    looked at (keel dimers); keel export gives it back. Of matgl's and torchmd-net's files only settings and numbers are
    read, and nothing is executed; MACE's run code when they are read, once, here, with --trust. A file of keel never
    does.

    Example: keel import M3GNet-PES-MatPES-PBE/ --out m3gnet.safetensors
    """
    from keel.errors import ConfigError
    from keel.kinds import PICKLED_SUFFIXES
    from keel.potentials import Potential, open_potential
    from keel.potentials.external.opening import refuse_recognised
    from keel.potentials.networks.network import Network

    if head is not None and checkpoint.suffix not in PICKLED_SUFFIXES:
        raise ConfigError("--head is for models of MACE")
    if checkpoint.suffix == ".ckpt":
        refuse_recognised(checkpoint)
        from keel.potentials.external.torchmdnet_checkpoint import from_torchmdnet

        chosen = None if elements is None else [e.strip() for e in elements.split(",")]
        network: Potential = from_torchmdnet(checkpoint, chosen, energy_unit=energy_unit)
    else:
        if elements is not None or energy_unit != 1.0:
            raise ConfigError("--elements and --energy-unit are for checkpoints of torchmd-net")
        network = open_potential(checkpoint, None if head is None else {"head": head}, trust=trust)
    if not isinstance(network, Network):
        raise ConfigError(f"{checkpoint}: this holds no network but a {type(network).__name__}")
    network.save(str(out))
    weights = sum(p.numel() for p in network.parameters())
    typer.echo(f"{out}: {type(network).__name__} of {network.n_species} elements, {weights} weights")
