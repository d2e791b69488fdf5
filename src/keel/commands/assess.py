"""``keel assess``: can this potential be trusted in molecular dynamics?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keel.commands.ending import Strict, end_assessment
from keel.commands.potential_options import WHAT, Arguments, Trust, openings
from keel.commands.split_options import Only, check_only
from keel.commands.where import Scheduler, Workers
from keel.files import Output
from keel.ranges import Duration, PressureGPa, Seed, Starts, Temperature, Timestep

SEVERAL = f"{WHAT} If several are given, the others are compared with the first."
PROBES = (
    "Which of stability, accuracy, contacts, structure, density, clusters, exact, elsewhere, compression, "
    "equilibrium; default: all."
)


def assess(
    potentials: Annotated[list[str], typer.Argument(help=SEVERAL)],
    data: Annotated[
        Path | None, typer.Option(help="Structures of the material; default: crystals of the elements.")
    ] = None,
    only: Only = None,
    reference: Annotated[
        Path | None,
        typer.Option(help="Frames at --temperature, e.g. from DFT, for comparing distances, angles and (NPT) volumes."),
    ] = None,
    by: Annotated[
        str | None, typer.Option(help="Key of the frames that names their structure, if --reference has several.")
    ] = None,
    crystal: Annotated[
        Path | None, typer.Option(help="A crystal near equilibrium; default: the smallest structure.")
    ] = None,
    beside: Annotated[
        str | None, typer.Option(help="A potential for comparing crystals, dimers and bonds, e.g. the teacher.")
    ] = None,
    dimer_reference: Annotated[
        Path | None,
        typer.Option(
            "--dimer-reference", "--dimers", help="Labelled frames of two atoms, e.g. from DFT, for comparing dimers."
        ),
    ] = None,
    elements: Annotated[str | None, typer.Option(help="Without --data: elements to probe, e.g. Cu,Ni.")] = None,
    out: Annotated[Path, Output(folder=True), typer.Option(help="Folder of the results and the page.")] = Path(
        "assessment"
    ),
    probes: Annotated[str | None, typer.Option(help=PROBES)] = None,
    starts: Annotated[
        Starts | None, typer.Option(help="Number of starting structures of simulations; default 8.")
    ] = None,
    length_fs: Annotated[
        Duration | None, typer.Option("--length-fs", help="Length of each simulation; default 5000 fs.")
    ] = None,
    temperatures: Annotated[
        str | None, typer.Option(help="Temperatures of the stability probe in K; default 1000,2000,3000.")
    ] = None,
    must_hold: Annotated[
        Temperature | None, typer.Option(help="No simulation may fail up to this temperature; default 1000 K.")
    ] = None,
    to_pressure: Annotated[
        str | None,
        typer.Option(
            help="Also ramp the pressure from 0 to each of these values in GPa, e.g. 20,-5, at the lowest temperature."
        ),
    ] = None,
    compress: Annotated[
        str | None,
        typer.Option(help="Also start from cells compressed to these fractions of their volume, e.g. 0.9,0.8."),
    ] = None,
    temperature: Annotated[
        Temperature | None,
        typer.Option("--temperature", "-T", help="Temperature of the structure and density probes; default 300 K."),
    ] = None,
    pressure: Annotated[PressureGPa | None, typer.Option(help="Pressure of the density probe; default 0 GPa.")] = None,
    timestep_fs: Annotated[
        Timestep | None,
        typer.Option("--timestep-fs", "--timestep", help="Time step; default 1 fs, or 0.5 fs with hydrogen."),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            help="Precision of the tests of exact properties; default float64. A model that computes in nothing but "
            "float32 is judged by that."
        ),
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ...")] = None,
    seed: Annotated[Seed | None, typer.Option(help="Seed of all random choices; default 0.")] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            help="Time limit, e.g. 30min or 1h30; length and number of simulations are chosen to meet it. Default: "
            "none, or 12min for ASE calculators unless --length-fs or --starts is given."
        ),
    ] = None,
    workers: Workers = 1,
    scheduler: Scheduler = None,
    arguments: Arguments = "{}",
    trust: Trust = False,
    strict: Strict = False,
) -> None:
    """Put a potential through every probe, and write a page that shows whether it can be trusted in MD.

    Stability on a ladder of temperatures; errors; structure, diffusion and density; dimers and trimers; derivatives,
    symmetries and conservation; the same numbers in other programs; equation of state, elastic constants, phonons and
    vacancies. Run again, it continues where it stopped; a second process in the same folder shares the work. Anything
    that every potential would pass, such as a simulation shorter than 1000 fs, counts as not tested.

    Example: keel assess cgcnn.safetensors --data test.extxyz --workers 2
    """
    from keel.config import AssessmentSettings
    from keel.potentials import Opening
    from keel.settings import parse_given
    from keel.workflow.assess import Material, assess
    from keel.workflow.planning.budget import seconds_in

    check_only(only, data)
    named = openings(potentials, arguments, trust)
    chosen = {
        "probes": _names(probes),
        "starts": starts,
        "length_fs": length_fs,
        "timestep_fs": timestep_fs,
        "temperatures": _names(temperatures),
        "must_hold": must_hold,
        "pressures": [(0.0, p) for p in _names(to_pressure) or ()],
        "compression": _names(compress),
        "temperature": temperature,
        "pressure": pressure,
        "by": by,
        "precision": precision,
        "device": device,
        "seed": seed,
    }
    differently = {"pressures": "--to-pressure", "compression": "--compress"}
    settings = parse_given(AssessmentSettings, chosen, "keel assess", differently)
    page = assess(
        [named[name] for name in potentials],
        Material(data, reference, crystal, dimer_reference, tuple(_names(elements) or ()), only),
        settings,
        out,
        beside=None if beside is None else Opening(beside, trust=trust),
        workers=workers,
        scheduler=scheduler,
        budget=None if budget is None else seconds_in(budget),
    )
    end_assessment(page, strict=strict)


def _names(text: str | None) -> list[str] | None:
    """Return names separated by commas."""
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]
