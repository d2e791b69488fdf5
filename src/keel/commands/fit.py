"""``keel fit``: an EAM from labelled frames."""

from __future__ import annotations

from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keel.commands.potential_options import WHAT, Arguments, Trust, openings
from keel.commands.reading_options import Elements, keys_of
from keel.commands.split_options import By, TrainNames, needs_key, not_taken, parts_in_sentences, to_fit
from keel.files import Output
from keel.kinds import POTENTIAL_FILE, readable
from keel.ranges import AtomCount, Cutoff, Seed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from keel.atoms.frame import Frame
    from keel.fitting import EAMFit
    from keel.potentials.accuracy import Accuracy

TRAINING, TEST, HELD_OUT = "training", "test", "held out"
MOST_ROWS = 40


def fit(
    files: Annotated[list[Path], typer.Argument(help=f"Labelled frames with forces: {readable()}.")],
    out: Annotated[
        Path, POTENTIAL_FILE, typer.Option(help="File for the potential: .json (readable) or .safetensors.")
    ],
    test: Annotated[
        str | None, typer.Option(help="Other labelled frames for measuring the errors, or with --by names of groups.")
    ] = None,
    by: By = None,
    train_names: TrainNames = None,
    beside: Annotated[
        str | None, typer.Option(help=f"A potential whose errors on the same frames are shown for comparison. {WHAT}")
    ] = None,
    cutoff: Annotated[Cutoff, typer.Option(help="In Å.")] = 8.0,
    contacts: Annotated[
        bool,
        typer.Option(
            help="Keep the force constant below the closest contacts of the data, and leave the rest to a nuclear "
            "repulsion (ZBL)."
        ),
    ] = True,
    zbl: Annotated[
        bool, typer.Option("--zbl", help="With --no-contacts: a nuclear repulsion (ZBL) for every pair.")
    ] = False,
    three_body: Annotated[
        bool, typer.Option("--three-body", help="Also fit a three-body term: the energy of bond angles.")
    ] = False,
    index: Annotated[str | None, typer.Option(help="Which frames, as a slice such as :100 or ::10.")] = None,
    max_atoms: Annotated[AtomCount | None, typer.Option(help="Fit to about this many atoms, chosen at random.")] = None,
    seed: Annotated[Seed, typer.Option(help="Seed of that choice.")] = 0,
    skip_bad: Annotated[
        Path | None, Output(), typer.Option(help="Write frames that cannot be used to this file.")
    ] = None,
    elements: Elements = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print errors, warnings and counts as JSON.")] = False,
    arguments: Arguments = "{}",
    trust: Trust = False,
) -> None:
    """Fit an embedded-atom potential (EAM) to energies, forces and, where present, stresses.

    Any number of elements. Atoms of every pair of elements repel each other at short range, whatever the data say: that
    is what a network learns from the EAM in pretraining. Errors are printed for the frames of the fit and for those of
    --test; a force error of a third of the mean force is good for an EAM of an oxide or a metal. Energies of another
    potential (--beside) are relative to its own zero. The file is readable, can be edited, and works wherever a
    potential does (keel md, keel dimers, keel export).

    Example: keel fit train.extxyz --test test.extxyz --out eam.json
    """
    from keel.atoms.frames import Frames
    from keel.atoms.partial import LabelledSet
    from keel.atoms.read import read
    from keel.fitting import fit_eam
    from keel.fitting.judge import faults
    from keel.fitting.worth import doubts
    from keel.potentials.accuracy import accuracy
    from keel.progress import console
    from keel.records import json_text

    needs_key(by, train_names)
    named = openings([beside], arguments, trust)
    other = named[beside].open() if beside else None
    frames = read(files, index=index, keys=keys_of(elements), skip_bad=skip_bad)
    material = LabelledSet(frames)
    material.require(("forces",))
    where: list[str] = []
    parts: list[Sequence[Frame]]
    if by is not None:
        divided = to_fit(material.labelled, by, train_names, test)
        where = parts_in_sentences(material.labelled, divided, by)
        frames, parts = Frames([*divided.train, *material.atoms]), [divided.train, divided.test]
    else:
        where = not_taken(frames)
        parts = [frames] if test is None else [frames, read(Path(test), keys=keys_of(elements))]
    with console.status(f"fitting an EAM to {len(frames)} frames"):
        walls: dict[str, bool] = {"contacts": contacts, "zbl": zbl}
        result = fit_eam(frames, cutoff, **walls, three_body=three_body, max_atoms=max_atoms, seed=seed)
    result.potential.save(str(out))
    names, judged = [TRAINING, TEST][: len(parts)], result.potential
    errors = dict(zip(names, [result.errors, *(accuracy(judged, part) for part in parts[1:])], strict=True))
    compared = dict(zip(names, [accuracy(other, part) for part in parts], strict=True)) if other else {}
    which, last = f"the {names[-1]} frames", parts[-1]
    held = result.held_out
    if TEST not in errors and held.potential is not None:
        # Of frames that it was fitted to an EAM with many parameters may know everything.
        judged, last = held.potential, held.frames
        which, errors[HELD_OUT] = "frames held out of a fit to the others", accuracy(judged, last)
    notes = [*faults(frames), *result.warnings, *doubts(judged, last, which, [*errors.values()][-1])]
    if as_json:
        more = {"beside": {"potential": beside, **_by_part(compared)}} if other else {}
        typer.echo(
            json_text({**_by_part(errors), **more, **_notes(result, notes), "data_notes": [*material.notes, *where]})
        )
        return
    columns = errors | {f"{part}\n{Path(str(beside)).name}": e for part, e in compared.items()}
    _show(result, columns, (*material.notes, *where, *notes), out)


def _by_part(errors: Mapping[str, Accuracy]) -> dict[str, object]:
    """Return the errors on the test frames, or else on those of the fit, under summary names; and each separately."""
    return {
        **errors.get(TEST, errors[TRAINING]).to_dict(),
        **{part.replace(" ", "_"): e.to_dict() for part, e in errors.items()},
    }


def _notes(result: EAMFit, warnings: list[str]) -> dict[str, object]:
    return {
        "frames_used": result.frames_used,
        "warnings": warnings,
        "pairs_without_data": list(result.pairs_without_data),
    }


def _show(result: EAMFit, columns: dict[str, Accuracy], notes: Sequence[str], out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    screen = Console(highlight=False)
    table, errors = Table("MAE (RMSE)", *columns, "unit"), columns.values()
    for name, key, unit in (
        ("energy", "energy_{}_mev_per_atom", "meV/atom"),
        ("forces", "force_{}_mev_per_angstrom", "meV/Å"),
        ("stress", "stress_{}_mev_per_cubic_angstrom", "meV/Å³"),
    ):
        values = [(e.to_dict()[key.format("mae")], e.to_dict()[key.format("rmse")]) for e in errors]
        table.add_row(name, *("no labels" if m is None else f"{m:.4g} ({r:.4g})" for m, r in values), unit)
    sizes = [1e3 * e.forces.mean_absolute_label for e in errors]
    table.add_row("size of forces", *("no labels" if isnan(s) else f"{s:.4g}" for s in sizes), "meV/Å")
    table.add_row("frames", *(str(e.n_frames) for e in errors), "")
    screen.print(table)
    _show_parameters(result, screen)
    for note in notes:
        screen.print(f"[yellow]note:[/] {note}", soft_wrap=True)
    screen.print(f"fitted to {result.frames_used} frames; written to {out}")


def _show_parameters(result: EAMFit, screen: Console) -> None:
    from rich.table import Table

    eam = result.eam
    config, wells = eam.config(), eam.wells()
    offsets = result.potential.offsets()
    elements = Table("element", "offset (eV)", "density", "beta (1/Å)", "embedding (eV)", title="Elements")
    for number, name in zip(eam.elements or (), eam.symbols, strict=True):
        row = config["elements"][name]
        elements.add_row(
            name, f"{float(offsets[number]):.4f}", *(f"{row[k]:.4g}" for k in ("density", "beta", "embedding"))
        )
    pairs = Table("pair", "alpha (1/Å)", "repulsion (eV)", "attraction (eV)", "D (eV)", "r0 (Å)", title="Pairs")
    for name in eam.pair_names[:MOST_ROWS]:
        row, well = config["pairs"][name], wells.get(name)
        shape = ("no well", "") if well is None else (f"{well[0]:.4g}", f"{well[1]:.4g}")
        mark = " (no data)" if name in result.pairs_without_data else ""
        pairs.add_row(name + mark, *(f"{row[k]:.4g}" for k in ("alpha", "repulsion", "attraction")), *shape)
    screen.print(elements)
    screen.print(pairs)
    if len(eam.pair_names) > MOST_ROWS:
        screen.print(f"... and {len(eam.pair_names) - MOST_ROWS} more pairs in the file")
