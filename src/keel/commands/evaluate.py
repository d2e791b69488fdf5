"""``keel evaluate``: errors of a potential against labelled frames."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keel.commands.potential_options import Arguments, PotentialName, Trust, opened
from keel.kinds import readable


def evaluate(
    potential: PotentialName,
    file: Annotated[list[Path], typer.Argument(help=f"Labelled frames: {readable()}.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the errors as JSON.")] = False,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ...")] = None,
    arguments: Arguments = "{}",
    trust: Trust = False,
) -> None:
    """Compare a potential with the labels of some frames: energy per atom, forces and stress, also by element.

    Example: keel evaluate runs/silica/cgcnn.safetensors test.extxyz
    """
    from rich.console import Console
    from rich.table import Table

    from keel.atoms.read import iter_frames
    from keel.potentials.accuracy import MILLI, accuracy
    from keel.records import json_text

    result = accuracy(opened(potential, arguments, trust), iter_frames(file), device=device)
    if as_json:
        typer.echo(json_text(result.to_dict()))
        return
    table = Table(title=f"{Path(potential).name}: {result.n_frames} frames, {result.n_atoms} atoms")
    for column in ("", "MAE", "RMSE", "unit", "values"):
        table.add_column(column, justify="left" if column in ("", "unit") else "right")
    rows = [("energy", result.energy, "meV/atom"), ("forces", result.forces, "meV/Å")]
    rows += [(f"  {element}", parity, "meV/Å") for element, parity in result.by_element().items()]
    rows += [("stress", result.stress, "meV/Å³")]
    rows += [("isolated atoms", result.alone, "meV")] if result.alone.reference.size else []
    for name, parity, unit in rows:
        values = [f"{MILLI * x:.4g}" if parity.reference.size else "no labels" for x in (parity.mae, parity.rmse)]
        table.add_row(name, *values, unit, str(parity.reference.size))
    Console().print(table)
