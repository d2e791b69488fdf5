"""``keel dimers``: isolated pairs of atoms, from 0.1 to 8 angstrom."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keel.commands.ending import Strict, leave, say
from keel.commands.potential_options import Arguments, PotentialName, Trust, opened
from keel.files import Output
from keel.wording import listed, typeset

if TYPE_CHECKING:
    from keel.evaluation.check import CheckResult
    from keel.evaluation.clusters.dimers import DimerCurve
    from keel.evaluation.clusters.landmarks import Marked
    from keel.potentials import Potential

WORST = 8
"""Number of pairs whose faults are shown."""


def dimers(
    potential: PotentialName,
    elements: Annotated[
        str | None,
        typer.Option(help='Elements such as "Si,O"; default: all elements of the potential.'),
    ] = None,
    dimer_reference: Annotated[
        Path | None,
        typer.Option(
            "--dimer-reference", "--reference", help="Labelled frames of two atoms, e.g. from DFT, for comparison."
        ),
    ] = None,
    out: Annotated[
        Path | None, Output(folder=True), typer.Option(help="Folder for dimers.csv, dimers.png and dimers.svg.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the metrics as JSON.")] = False,
    arguments: Arguments = "{}",
    trust: Trust = False,
    strict: Strict = False,
) -> None:
    """Draw the energy of every pair of elements against distance, and judge the curves.

    A sound curve rises towards short distances without holes (tortuosity 1, at most one force flip, repulsive from 0.1
    angstrom) and vanishes far away. The metrics are given for the whole curve and for a window, from 0.9 covalent to
    3.1 van der Waals radii. With --dimer-reference, its points are drawn, and the root mean square difference of
    energies around the bond is given, with the positions of the wall (10 eV above the separated atoms) and of the well
    in both; a pair fails if its wall is more than 0.2 angstrom from that of the reference, or its well more than 1 eV
    deeper. In JSON, pairs of like atoms also have the metrics of two public leaderboards, each at its own distances.

    Example: keel dimers cgcnn.safetensors --out dimers/
    """
    import torch

    from keel.atoms.read import read
    from keel.evaluation.clusters.diatomics import judged_dimer
    from keel.evaluation.clusters.dimers import dimers as all_dimers
    from keel.evaluation.clusters.dimers import write_curves
    from keel.evaluation.clusters.labelled_dimers import dimer_curves_of
    from keel.potentials.convert import converted
    from keel.records import json_text

    # Once for all that follows: each conversion is a copy.
    model = converted(opened(potential, arguments, trust), torch.float64)
    chosen = None if elements is None else [e.strip() for e in elements.split(",") if e.strip()]
    given = {} if dimer_reference is None else dimer_curves_of(read(dimer_reference, require=("energy",)))
    curves = all_dimers(model, chosen)
    differences, landmarks = _beside(model, curves, given)
    judged = {name: judged_dimer(model, *curve.numbers) for name, curve in curves.items()}
    faults = _faults(judged, landmarks)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        write_curves(curves, out / "dimers.csv")
        _draw(curves, given, landmarks, out)
    if as_json:
        metrics = _metrics(model, curves)
        for name, result in judged.items():
            metrics[name]["judged"] = {"outcome": result.outcome, "verdict": result.verdict}
        for name, value in differences.items():
            marks = landmarks[name]
            found: dict[str, Any] = {"rms_difference_ev": value, **marks.to_dict()}
            metrics[name]["reference"] = found | {"beyond_limits": marks.beyond_limits}
        typer.echo(json_text(metrics))
    else:
        _show(curves, differences, judged)
        if given:
            _show_landmarks(landmarks, [name for name in given if name not in curves])
        _conclude(judged, landmarks, faults, out)
    leave(bad=bool(faults), strict=strict)


def _faults(judged: dict[str, CheckResult], landmarks: dict[str, Marked]) -> dict[str, list[str]]:
    """Return, by pair, what is wrong with the curve itself and what a reference refutes."""
    faults = {name: [result.verdict] for name, result in judged.items() if result.outcome == "failed"}
    for name, marks in landmarks.items():
        if found := marks.beyond_limits:
            faults[name] = [*faults.get(name, ()), f"{name}: {listed(found)}"]
    return {name: faults[name] for name in judged if name in faults}


def _conclude(
    judged: dict[str, CheckResult], landmarks: dict[str, Marked], faults: dict[str, list[str]], out: Path | None
) -> None:
    """Print which pairs are sound, what is wrong with the others, what to do, and where the curves are."""
    from keel.evaluation.clusters.landmarks import TOO_DEEP, WALL_APART
    from keel.reporting.assessment.advice import MEND

    n = len(judged)
    for sentence in [sentence for found in list(faults.values())[:WORST] for sentence in found]:
        say(typeset(sentence))
    passed = f"{n - len(faults)} of {n} pairs passed"
    if not faults:
        say(f"{passed}, none failed: {listed(list(judged))}.")
    else:
        more = f" ({len(faults) - WORST} of them not shown here; see --json)" if len(faults) > WORST else ""
        say(f"{passed}, {len(faults)} failed{more}.")
    if any(result.outcome == "failed" for result in judged.values()):
        say(f"Atoms that come this close in a simulation may fuse. A network can be repaired: {MEND}.")
    if landmarks:
        limits = f"walls at most {WALL_APART:g} angstrom off, wells at most {TOO_DEEP:g} eV deeper"
        say(typeset(f"Compared with the reference ({limits}): {listed(list(landmarks))}."))
    if refuted := [name for name, marks in landmarks.items() if marks.beyond_limits]:
        say(f"Do not rely on the potential where atoms of {listed(refuted)} meet: its data need frames where they do.")
    if out is not None:
        typer.echo(f"curves: {out / 'dimers.csv'}, {out / 'dimers.png'}")


def _beside(
    model: Potential, curves: dict[str, DimerCurve], reference: dict[str, DimerCurve]
) -> tuple[dict[str, float], dict[str, Marked]]:
    """Return, by pair, how far energies are from a reference around the bond, and the landmarks of both."""
    from keel.errors import DataError
    from keel.evaluation.clusters.diatomics import bonding_difference
    from keel.evaluation.clusters.landmarks import marked

    drawn = {name: curve for name, curve in reference.items() if name in curves}
    if reference and not drawn:
        raise DataError(f"--reference contains dimers of {', '.join(reference)}, none of which is drawn")
    differences = {name: bonding_difference(model, curve) for name, curve in drawn.items()}
    return differences, {name: marked(model, curve) for name, curve in drawn.items()}


def _metrics(model: Potential, curves: dict[str, DimerCurve]) -> dict[str, dict[str, dict[str, Any]]]:
    from keel.evaluation.clusters.leaderboards import LEADERBOARDS, leaderboard_curve, leaderboard_metrics

    found: dict[str, dict[str, dict[str, Any]]] = {
        name: {"full": curve.metrics(), "window": curve.window_metrics()} for name, curve in curves.items()
    }
    for name, curve in curves.items():
        first, second = curve.numbers
        if first == second:
            judged = {board: leaderboard_curve(model, first, second, board) for board in LEADERBOARDS}
            found[name] |= {board: leaderboard_metrics(c, board) for board, c in judged.items()}
    return found


def _show(curves: dict[str, DimerCurve], differences: dict[str, float], judged: dict[str, CheckResult]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    columns = {
        "tortuosity": "tortuosity",
        "force\nflips": "force_flips",
        "jumps\n(eV)": "energy_jump_ev",
        "10 eV\nat (Å)": "wall_position_angstrom",
        "repulsive\nfrom (Å)": "repulsive_from_angstrom",
    }
    table = Table(
        "pair", "sound", *columns, "tortuosity\n(window)", "flips\n(window)", box=box.SIMPLE, padding=(0, 1, 0, 0)
    )
    if differences:
        table.add_column("from reference\n(RMS, eV)")
    for name, curve in curves.items():
        full, window = curve.metrics(), curve.window_metrics()
        values = [*(full[key] for key in columns.values()), window["tortuosity"], window["force_flips"]]
        values += [differences.get(name, math.nan)] if differences else []
        table.add_row(
            name,
            "no" if judged[name].outcome == "failed" else "yes",
            *("-" if math.isnan(v) else f"{v:.4g}" for v in values),
        )
    Console(highlight=False).print(table)


def _show_landmarks(landmarks: dict[str, Marked], absent: list[str]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console, table = Console(highlight=False), Table("pair", box=box.SIMPLE, padding=(0, 1, 0, 0))
    for what in ("wall\n(Å)", "well\n(Å)", "depth\n(eV)"):
        for whose in (what, "refer-\nence", "differ-\nence"):
            table.add_column(whose, justify="right")
    for name, marks in landmarks.items():
        cells = []
        for key in ("wall", "well", "depth"):
            ours, theirs, apart = (getattr(m, key) for m in (marks.potential, marks.reference, marks.difference))
            # A reference that does not rise so high has its wall, if any, below its first distance.
            unknown = f"<{marks.begins:.3g}" if key == "wall" else "none"
            shown = ("none" if math.isnan(ours) else f"{ours:.3f}", unknown if math.isnan(theirs) else f"{theirs:.3f}")
            cells += [*shown, "-" if math.isnan(apart) else f"{apart:+.3f}"]
        table.add_row(name, *cells)
    console.print(table)
    console.print("wall: 10 eV above the separated atoms; well: lowest outside the wall")
    if absent:
        console.print(f"Left out of the reference, because they are not drawn: {', '.join(absent)}")


def _draw(
    curves: dict[str, DimerCurve], reference: dict[str, DimerCurve], landmarks: dict[str, Marked], folder: Path
) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    from keel.evaluation.clusters.landmarks import HEIGHT

    n = len(curves)
    columns = min(n, 4)
    rows = -(-n // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(3.2 * columns, 2.6 * rows), squeeze=False)
    for axis in axes.flat[n:]:
        axis.remove()
    for axis, (name, curve) in zip(axes.flat, curves.items(), strict=False):
        axis.plot(curve.r, curve.energy, color="#0072B2")
        if name in reference:
            axis.plot(reference[name].r, reference[name].energy, ".", color="#D55E00", label="reference")
            for marks, colour in ((landmarks[name].potential, "#0072B2"), (landmarks[name].reference, "#D55E00")):
                axis.plot([marks.wall, marks.well], [HEIGHT, -marks.depth], "x", color=colour)
            axis.legend()
        axis.axhline(0.0, color="0.7", linewidth=0.8)
        axis.set(title=name, xlabel="r (Å)", ylabel="E (eV)", xlim=(0, curve.r[-1]))
        # Walls of 1e4 eV and wells of a few eV on one axis.
        axis.set_yscale("symlog", linthresh=1.0)
    figure.tight_layout()
    for kind in ("png", "svg"):
        figure.savefig(folder / f"dimers.{kind}", dpi=150)
    plt.close(figure)
