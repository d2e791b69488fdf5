"""``keel evaluate``: errors of a potential against labelled frames."""

from __future__ import annotations

import math
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keel.commands.potential_options import Arguments, Beside, PotentialName, Trust, openings
from keel.commands.split_options import Only
from keel.kinds import readable
from keel.ranges import Devices, Nodes

if TYPE_CHECKING:
    from rich.console import Console

    from keel.atoms.frame import Frame
    from keel.evaluation.labels.by_contact import ContactErrors, ErrorsByContact
    from keel.evaluation.labels.by_disagreement import ErrorsByDisagreement
    from keel.potentials.accuracy import Accuracy

WORSE = "!"
WORDS = (
    "Contacts are in sums of the covalent radii: to the nearest neighbour of each atom for forces, of the "
    "closest pair of a frame for pressure and energy. label: mean absolute label, the error of a potential that "
    "predicts zero; "
    f"{WORSE} where the error is significantly larger. Intervals are 95 %, over formulas, or over frames if all have "
    "one formula."
)
ZERO = (
    "Energies are compared after fitting an offset for each element that minimises their mean absolute error; their "
    "label is the residual of one energy for each element."
)

DISAGREEMENT = (
    "Disagreement and error are root mean squares over atoms, of lengths of vectors; intervals hold 95 %, over frames."
)


class By(StrEnum):
    """What errors may be grouped by."""

    CONTACT = "contact"


def evaluate(
    potential: PotentialName,
    file: Annotated[list[Path], typer.Argument(help=f"Labelled frames: {readable()}.")],
    by: Annotated[
        By | None,
        typer.Option(help="Also group errors by how close atoms are; frames with unknown elements are left out."),
    ] = None,
    beside: Beside = None,
    only: Only = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the errors as JSON.")] = False,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ...")] = None,
    devices: Annotated[Devices, typer.Option(help="Number of devices per node that share the frames.")] = 1,
    nodes: Annotated[Nodes, typer.Option(help="Number of nodes that share the frames.")] = 1,
    arguments: Arguments = "{}",
    trust: Trust = False,
) -> None:
    """Compare a potential with labelled frames: energy per atom, forces and stress, also by element.

    With --by contact, errors are also given for atoms at 0.5, 0.6, 0.75, 0.9 and 1.1 times the sum of their covalent
    radii, each beside the mean size of the label, which shows where a potential knows nothing.

    With --beside (the teacher, or trainings from other seeds) errors of forces are also divided by how far these
    disagree about them, which shows how to read the numbers of keel md --beside, and which --stop-above suits.

    Example: keel evaluate runs/silica/cgcnn.safetensors test.extxyz
    """
    from rich.console import Console

    from keel.atoms.named_parts import only_those
    from keel.atoms.read import iter_frames
    from keel.commands.ending import WIDTH
    from keel.dynamics.spread import Ranks
    from keel.evaluation.labels.by_contact import errors_by_contact, known_frames
    from keel.evaluation.labels.by_disagreement import errors_by_disagreement
    from keel.potentials.accuracy import compared, together
    from keel.potentials.convert import converted
    from keel.records import json_text

    named = openings([potential, *(beside or [])], arguments, trust)
    model = named[potential].open()
    ranks = Ranks.started(device or model.device.type, devices, nodes)
    place = device if ranks.size == 1 else ranks.device
    model = converted(model, device=place)
    others = [converted(named[name].open(), device=place) for name in beside or []]
    frames, left_out = only_those(iter_frames(file), only), None
    known: list[Frame] = []
    if by is not None:
        known, left_out = known_frames(model, list(frames))
    elif others:
        known = list(frames)
    if by is None and not others:
        share = islice(frames, ranks.rank, None, ranks.size)
    else:
        # Shares are consecutive frames, so that joined they are in order again.
        first, last = (len(known) * rank // ranks.size for rank in (ranks.rank, ranks.rank + 1))
        share = islice(known, first, last)
    result = together(ranks.gathered(lambda: [compared(model, share)]))
    if ranks.rank:
        return
    divided = None if by is None else errors_by_contact(result, known)
    apart = errors_by_disagreement(result, others, known) if others else None
    if as_json:
        more: dict[str, Any] = {}
        if divided is not None and left_out is not None:
            more["by_contact"] = divided.to_dict() | left_out.to_dict()
        if apart is not None:
            more["by_disagreement"] = apart.to_dict()
        typer.echo(json_text(result.to_dict() | more))
        return
    console = Console(highlight=False)
    console.width = console.width if console.is_terminal else WIDTH
    _show(console, result, Path(potential).name)
    if divided is not None and left_out is not None:
        _show_by_contact(console, divided)
        console.print(*([left_out.sentence] if left_out.frames else []))
    if apart is not None:
        _show_by_disagreement(console, apart, [Path(name).name for name in beside or []])


def _show(console: Console, result: Accuracy, name: str) -> None:
    from rich.table import Table

    from keel.potentials.accuracy import MILLI

    table = Table(title=f"{name}: {result.n_frames} frames, {result.n_atoms} atoms")
    for column in ("", "MAE", "RMSE", "unit", "values"):
        table.add_column(column, justify="left" if column in ("", "unit") else "right")
    rows = [("energy", result.energy, "meV/atom"), ("forces", result.forces, "meV/Å")]
    rows += [(f"  {element}", parity, "meV/Å") for element, parity in result.by_element().items()]
    rows += [("stress", result.stress, "meV/Å³")]
    rows += [("isolated atoms", result.alone, "meV")] if result.alone.reference.size else []
    for row_name, parity, unit in rows:
        values = [_plain(MILLI * x) if parity.reference.size else "no labels" for x in (parity.mae, parity.rmse)]
        table.add_row(row_name, *values, unit, str(parity.reference.size))
    console.print(table)


def _show_by_contact(console: Console, divided: ErrorsByContact) -> None:
    from rich import box
    from rich.table import Table

    from keel.evaluation.labels.by_contact import UNITS
    from keel.wording import typeset

    for name, errors in divided.quantities.items():
        table = Table(box=box.SIMPLE, padding=(0, 1, 0, 0))
        table.add_column(f"{name} ({typeset(UNITS[name])})", no_wrap=True)
        for column in ("frames", "formulas", "values", "MAE", "95 %", "label", "MAE/label"):
            table.add_column(column, justify="right")
        for row in _rows(errors):
            table.add_row(*row)
        console.print(table)
    notes = [WORDS, *([ZERO] if divided.offsets else [])]
    for words in (*notes, *([f"Energies are not grouped: {divided.unjudged}."] if divided.unjudged else [])):
        console.print(words)


def _plain(value: float) -> str:
    """Return a number without powers of ten, which a narrow terminal would cut off."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _show_by_disagreement(console: Console, found: ErrorsByDisagreement, names: list[str]) -> None:
    from rich import box
    from rich.table import Table

    from keel.wording import listed

    table = Table(title=f"disagreement with {listed(names)} (eV/Å)", box=box.SIMPLE, padding=(0, 1, 0, 0))
    for column in ("from", "to", "atoms", "disagreement", "error", "95 %", "error/disagreement"):
        table.add_column(column, justify="right")
    for row in found.bins.rows:
        numbers = (f"{row[key]:.3g}" for key in ("lower", "upper", "atoms", "disagreement", "error"))
        table.add_row(*numbers, f"{row['low']:.3g}-{row['high']:.3g}", f"{row['ratio']:.2f}")
    console.print(table)
    for words in (f"{name}: {value}." for name, value in found.facts().items()):
        console.print(words[0].upper() + words[1:])
    console.print(f"{found.verdict}.", DISAGREEMENT)


def _rows(errors: ContactErrors) -> list[tuple[str, ...]]:
    """Return the cells of each bin that is not empty."""
    rows = []
    for name, row in zip(errors.names, errors.rows, strict=True):
        if not row["values"]:
            continue
        interval = f"{_plain(row['low'])}-{_plain(row['high'])}" if math.isfinite(row["high"]) else "unknown"
        ratio = f"{row['error'] / row['label']:.2f}" if row["label"] > 0 else "-"
        mark = WORSE if row["excess_low"] > 0 else " "
        counts = (str(row[key]) for key in ("frames", "formulas", "values"))
        rows.append((name, *counts, _plain(row["error"]), interval, _plain(row["label"]), f"{ratio}{mark}"))
    return rows
