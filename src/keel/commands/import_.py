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
    out: Annotated[Path, Output((".safetensors",)), typer.Option(help="File for the network: .safetensors.")],
    elements: Annotated[
        str | None, typer.Option(help="torchmd-net: elements to keep, e.g. Si,O; default: all of the checkpoint.")
    ] = None,
    energy_unit: Annotated[
        EnergyUnit, typer.Option(help="torchmd-net: energy unit of the checkpoint in eV; checkpoints do not record it.")
    ] = 1.0,
    head: Annotated[
        str | None, typer.Option(help="MACE: which of several heads; default: the only one, or the one named default.")
    ] = None,
    trust: Trust = False,
) -> None:
    """Convert a trained model of matgl, torchmd-net or MACE to a file of keel.

    It gives the same energies and forces, and can be simulated (keel md), trained further (start: in keel run), or
    inspected (keel dimers); keel export converts it back. From files of matgl and torchmd-net only settings and numbers
    are read, and nothing is executed; MACE files run code when they are read, here, once, with --trust. A file of keel
    never does.

    Example: keel import M3GNet-PES-MatPES-PBE/ --out m3gnet.safetensors
    """
    from keel.errors import ConfigError
    from keel.kinds import PICKLED_SUFFIXES
    from keel.potentials import Potential, open_potential
    from keel.potentials.external.opening import refuse_recognised
    from keel.potentials.networks.network import Network
    from keel.showing import number_of

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
        raise ConfigError(f"{checkpoint}: this contains a potential of class {type(network).__name__}, not a network")
    network.save(str(out))
    weights = sum(p.numel() for p in network.parameters())
    typer.echo(f"{out}: {type(network).__name__} of {number_of(network.n_species, 'element')}, {weights:,} weights")
