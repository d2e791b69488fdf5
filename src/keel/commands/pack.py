"""``keel pack``: pack files into a store, for data larger than memory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keel.commands.reading_options import (
    Elements,
    EnergyKey,
    EnergyUnit,
    ForcesKey,
    ForcesUnit,
    LengthUnit,
    Require,
    StressConvention,
    StressKey,
    Unconverged,
    named_elements,
)
from keel.files import Output
from keel.kinds import readable
from keel.ranges import Processes


def pack(
    files: Annotated[list[Path], typer.Argument(help=f"Structures: {readable()}.")],
    out: Annotated[
        Path, Output((".keel",), folder=True), typer.Option(help="Folder of the store, whose name ends in .keel.")
    ],
    workers: Annotated[Processes | None, typer.Option(help="Parallel processes; default: one per core.")] = None,
    skip_bad: Annotated[
        Path | None,
        Output(),
        typer.Option(help="Write frames that cannot be used to this file and continue with the others."),
    ] = None,
    require: Require = None,
    energy_key: EnergyKey = None,
    forces_key: ForcesKey = None,
    stress_key: StressKey = None,
    stress_convention: StressConvention = None,
    energy_unit: EnergyUnit = None,
    forces_unit: ForcesUnit = None,
    length_unit: LengthUnit = None,
    elements: Elements = None,
    unconverged: Unconverged = False,
) -> None:
    """Pack structures into a store: a folder that every command accepts like a file and that need not fit into memory.

    Frames are checked as by keel census. If it is killed, the same command continues where it stopped and ends with the
    same bytes.

    Example: keel pack mptrj.json --out mptrj.keel

    then keel train mptrj.keel --network M3GNet --out model
    """
    import os

    from keel.atoms.read import BadFrames
    from keel.atoms.record import LabelKeys
    from keel.atoms.store.packing import pack as pack_files
    from keel.progress import bar, console
    from keel.showing import number_of

    units = stress_convention, energy_unit, forces_unit, length_unit
    keys = LabelKeys(energy_key, forces_key, stress_key, *units, named_elements(elements), unconverged)
    bad = BadFrames(skip_bad) if skip_bad else None
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with bar(f"packing {number_of(len(files), 'file')}") as advance:
        frames = pack_files(
            files, out, workers=workers or cores, keys=keys, require=require or (), skip_bad=bad, advance=advance
        )
    for term, value in frames.facts().items():
        print(f"{term:>10}  {value}")
    if bad:
        count = "1 frame was" if len(bad) == 1 else f"{len(bad):,} frames were"
        console.print(f"{count} set aside in {bad.path}", style="yellow", soft_wrap=True)
