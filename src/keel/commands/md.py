"""``keel md``: simulate, find how long it stays physical, keep the trajectory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keel.commands.potential_options import Arguments, Beside, PotentialName, Trust, openings
from keel.kinds import TRAJECTORY_FILE
from keel.ranges import (
    AtomCount,
    Devices,
    Duration,
    Every,
    Force,
    Friction,
    Nodes,
    PressureGPa,
    Runs,
    Seed,
    TemperatureOrZero,
    Timestep,
)

if TYPE_CHECKING:
    from keel.dynamics import StabilityResult


def md(
    potential: PotentialName,
    file: Annotated[Path, typer.Argument(help="Structures to start from (labels are not needed).")],
    temperature: Annotated[TemperatureOrZero, typer.Option("--temperature", "-T", help="In K.")],
    runs: Annotated[Runs | None, typer.Option(help="Number of runs; default: one from each structure.")] = None,
    length_fs: Annotated[Duration, typer.Option("--length-fs", help="Length of a run in fs.")] = 1000.0,
    timestep_fs: Annotated[
        Timestep | None,
        typer.Option("--timestep-fs", "--timestep", help="Time step; default 1 fs, or 0.5 fs with hydrogen."),
    ] = None,
    friction_per_fs: Annotated[
        Friction | None,
        typer.Option("--friction-per-fs", "--friction", help="Friction of the Langevin thermostat; default 0.01/fs."),
    ] = None,
    nve: Annotated[bool, typer.Option("--nve", help="Constant energy instead of constant temperature.")] = False,
    pressure: Annotated[
        PressureGPa | None, typer.Option(help="Constant isotropic pressure in GPa instead of constant volume.")
    ] = None,
    to_pressure: Annotated[
        PressureGPa | None, typer.Option(help="Ramp the pressure linearly to this value during a run.")
    ] = None,
    seed: Annotated[Seed | None, typer.Option(help="Seed of velocities and noise; default 0.")] = None,
    velocities: Annotated[
        str | None, typer.Option(help="Initial velocities: draw (at the temperature) or file; default draw.")
    ] = None,
    index: Annotated[str | None, typer.Option(help='Which structures of the file, e.g. ":8" or "::10".')] = None,
    out: Annotated[
        Path | None,
        TRAJECTORY_FILE,
        typer.Option(help="Write the trajectories of all runs to this file: .extxyz, .h5 or .traj."),
    ] = None,
    record_every: Annotated[Every, typer.Option(help="Steps between two written frames.")] = 10,
    checkpoint_every: Annotated[
        Every | None, typer.Option(help="Steps between two checkpoints, with --out; default 1000.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print times and causes as JSON.")] = False,
    beside: Beside = None,
    stop_above: Annotated[
        Force | None, typer.Option(help="End a run where the potentials beside disagree more than this, in eV/Å.")
    ] = None,
    compare_every: Annotated[Every | None, typer.Option(help="Steps between two such comparisons; default 10.")] = None,
    max_atoms: Annotated[
        AtomCount | None, typer.Option(help="Atoms simulated in one batch; default: depends on the device.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ...")] = None,
    devices: Annotated[Devices, typer.Option(help="Number of devices of this kind that share the runs.")] = 1,
    nodes: Annotated[Nodes, typer.Option(help="Number of nodes, each with --devices devices.")] = 1,
    arguments: Arguments = "{}",
    trust: Trust = False,
) -> None:
    """Run molecular dynamics until each run fails or ends, and show how long they lasted and what ended them.

    Atoms fixed in the file stay where they are, and masses from the file are used.

    A run fails when numbers are not finite, the temperature runs away, two atoms fuse, a force is absurd, or an atom is
    lost. With --out, the written file holds positions (unwrapped), velocities, energies and forces of the potential,
    and the last frame of each run before failure. A folder of checkpoints lies beside it: after an interruption, the
    same command continues where it stopped.

    With --beside, written frames say how far other potentials, such as the teacher or trainings from other seeds,
    disagree about the force on each atom (force_disagreement). With --stop-above a run ends where they disagree more:
    it has left the data. That is not a failure, and its last frame is worth a DFT calculation. keel evaluate --beside
    shows what a disagreement means.

    Several devices, or processes started by torchrun or srun, share the runs; each writes its part of the trajectories,
    hot.0-of-4.extxyz and so on, which read_trajectories finds under the plain name.

    Example: keel md cgcnn.safetensors test.extxyz -T 3000 --runs 8 --length-fs 2000 --out hot.extxyz
    """
    from keel.atoms.mobility import motion_in_words
    from keel.atoms.read import read
    from keel.dynamics import ComputeSettings, MDSettings, stability
    from keel.dynamics.simulate import CHECKPOINT_EVERY
    from keel.errors import ConfigError
    from keel.launch import is_first
    from keel.progress import bar, console, without_bars
    from keel.records import json_text
    from keel.settings import parse_given

    if nve and pressure is not None:
        raise ConfigError("--nve and --pressure exclude each other: either the energy or the pressure is constant")
    if stop_above is not None and not beside:
        raise ConfigError("--stop-above needs --beside, the potentials to compare with")
    if to_pressure is not None and pressure is None:
        raise ConfigError("--to-pressure needs --pressure, the start of the ramp")
    ends = None if pressure is None else (pressure, pressure if to_pressure is None else to_pressure)
    given = {
        "temperature": temperature,
        "length_fs": length_fs,
        "timestep_fs": timestep_fs,
        "friction_per_fs": friction_per_fs,
        "seed": seed,
        "velocities": velocities,
        "ensemble": "nve" if nve else "nvt" if ends is None else "npt",
        "pressure": ends,
        "record_every": None if out is None else record_every,
        "max_atoms": max_atoms,
        "stop_above": stop_above,
        "compare_every": compare_every,
    }
    settings = parse_given(MDSettings, given, "keel md")
    # One device is not a request: torchrun and srun decide how many there are.
    compute = ComputeSettings(device=device, devices=devices if devices * nodes > 1 else None, nodes=nodes)
    if not is_first():
        without_bars()
    starts = read(file, index=index, labels=False)
    if said := motion_in_words(starts, settings.velocities):
        console.print(f"     note  {file}: {'; '.join(said)}", soft_wrap=True)
    named = openings([potential, *(beside or [])], arguments, trust)
    model, others = named[potential].open(), [named[name].open() for name in beside or []]
    with bar(f"MD at {temperature:g} K") as advance:
        result = stability(
            model,
            starts,
            settings,
            n_runs=runs,
            compute=compute,
            out=out,
            checkpoint_every=checkpoint_every or CHECKPOINT_EVERY,
            callback=advance,
            beside=others,
        )
    if not is_first():
        return
    if as_json:
        typer.echo(json_text(result.to_dict()))
    else:
        _show(result)


def _show(result: StabilityResult) -> None:
    from rich.console import Console
    from rich.table import Table

    from keel.showing import number_of

    console = Console(highlight=False, soft_wrap=True)
    compared = any(t.last.disagreement is not None for t in result.trajectories)
    table = Table("run", "start", "lived (fs)", "ended by", *(["disagreement (eV/Å)"] if compared else []))
    for t in result.trajectories:
        source = Path(t.last.frame.source.split(" at ")[0]).name
        largest = [] if t.last.disagreement is None else [f"{t.last.disagreement.max():.3g}"]
        table.add_row(str(t.run), source, f"{'' if t.cause else '> '}{t.time:g}", t.cause or "-", *largest)
    console.print(table)
    curve = result.survival
    console.print(
        f"{number_of(len(result.times), 'run')} at {result.temperature:g} K, {result.length_fs:g} fs: "
        f"{100 * result.failed_share:.0f} % failed, median time to failure {curve.median_text} fs, "
        f"mean within this length {curve.restricted_mean():.0f} fs"
    )
    for cause, share in result.cause_shares.items():
        console.print(f"  {cause}: {100 * share:.0f} %")
