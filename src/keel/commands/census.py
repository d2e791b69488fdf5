"""``keel census``: what the files contain, before anything is fitted to them."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

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
from keel.errors import ConfigError, DataError
from keel.files import Output
from keel.kinds import FRAMES_FILE, readable, writable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from keel.atoms.census import Census, Range
    from keel.atoms.frame import Frame
    from keel.atoms.read import BadFrames
    from keel.atoms.soundness.finding import Finding
    from keel.atoms.usual_splits import UsualSplit
    from keel.fitting.judge import Judgement

    Report = tuple[str, Census, Judgement]

QUANTITIES = {
    "atoms_per_frame": "atoms per frame",
    "energy_per_atom": "energy, eV/atom",
    "largest_force": "largest |F|, eV/Å",
    "pressure": "pressure, GPa",
    "nearest_distance": "nearest distance, Å",
    "volume_per_atom": "volume, Å³/atom",
}
STYLES = {"refuse": "bold red", "warn": "yellow", "note": "cyan", "set aside": "yellow"}


def census(
    files: Annotated[list[Path], typer.Argument(help=f"Labelled structures: {readable()}.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    skip_bad: Annotated[
        Path | None,
        Output(),
        typer.Option(help="Write frames that cannot be used to this file and continue with the others."),
    ] = None,
    write_to: Annotated[
        Path | None,
        FRAMES_FILE,
        typer.Option("--write", help=f"Write the usable frames, with labels under their standard names: {writable()}."),
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
    """Count and check labelled structures: elements, labels, ranges, overlaps, outliers, repeats, signs and units.

    An unusable frame ends the command with its name and the reason; --skip-bad sets such frames aside.

    For example `keel census train.extxyz test.extxyz`, or, to convert a foreign file to keel's names and units, `keel
    census raw.xyz --energy-key E_dft --require energy --skip-bad bad.xyz --write train.extxyz`.
    """
    from keel.atoms.census import take_census
    from keel.atoms.in_files import check_keys_of_store
    from keel.atoms.read import BadFrames, files_of, iter_frames, stored_frames
    from keel.atoms.record import LabelKeys
    from keel.atoms.store.frames import is_store
    from keel.atoms.store.stretches import stretches
    from keel.atoms.usual_splits import usual_split
    from keel.atoms.write import write
    from keel.files import check_not_input
    from keel.fitting.judge import judge
    from keel.progress import console
    from keel.records import json_text

    if write_to is not None:
        check_not_input(write_to, files)
        if skip_bad is not None and skip_bad.resolve() == write_to.resolve():
            raise ConfigError(f"{write_to}: bad and good frames cannot go into one file; choose another name")
    keys = LabelKeys(
        energy_key,
        forces_key,
        stress_key,
        stress_convention,
        energy_unit,
        forces_unit,
        length_unit,
        named_elements(elements),
        unconverged,
    )
    bad = BadFrames(skip_bad) if skip_bad else None
    everything: list[Frame] = []
    reports: list[Report] = []
    for file in files_of(files):
        before = len(bad.reasons) if bad else 0
        if (stored := stored_frames(file)) is not None:
            check_keys_of_store(file, keys)
            report, frames = take_census(stored), stretches(stored)
        else:
            frames = _read(file, iter_frames(file, keys=keys, require=require or (), skip_bad=bad))
            report = take_census(frames, bad.reasons[before:] if bad else ())
        with console.status(f"checking the labels of {file}"):
            reports.append((str(file), report, judge(frames, (report.forces, report.stress))))
        everything += frames
    shared = _shared_between(everything) if len(files) > 1 else 0
    compared = _compared(everything, reports) if len(files) > 1 else []
    usual = usual_split(everything)
    if as_json:
        content = [{"file": name, **report.to_dict(), "judge": asdict(judged)} for name, report, judged in reports]
        own = None if usual is None else asdict(usual)
        found = {"files": content, "structures_shared_between_files": shared, "split": own}
        print(json_text({**found, "compared": [asdict(finding) for finding in compared]}))
    else:
        _print(Console(highlight=False), reports, shared, compared, bad)
        if usual is not None:
            print(_own_split(everything, usual))
    problems = [f"{name}: {problem}" for name, report, _ in reports for problem in report.refusals()]
    if problems:
        raise DataError(problems[0])
    if write_to is not None:
        write(write_to, files if any(map(is_store, files)) else everything)


def _read(file: Path, frames: Iterator[Frame]) -> list[Frame]:
    """Read the frames of a file, and leave out invalid labels."""
    from keel.atoms.soundness.unknown import without_placeholders
    from keel.progress import bar

    found = []
    with bar(f"reading {file.name}") as advance:
        for number, frame in enumerate(frames, 1):
            found.append(frame)
            if number % 100 == 0:
                advance(number, 0)
    return without_placeholders(found)


def _own_split(frames: Sequence[Frame], usual: UsualSplit) -> str:
    """Return what the frames say about their own split, and what occurs in two of its parts."""
    from keel.atoms.isolated import set_apart
    from keel.atoms.leaks import shared_runs, shared_structures
    from keel.atoms.named_parts import split_by_name

    validation, test = list(usual.validation) or 0, list(usual.test) or 0
    bonded, _ = set_apart(frames)
    parts = split_by_name(bonded, usual.by, train=usual.train, validation=validation, test=test)
    of_it = f"{usual.by} divides the frames: split: {usual}, which `keel run` uses if no split is given"
    return "\n".join([of_it, *shared_structures(parts), *shared_runs(parts)])


def _shared_between(frames: list[Frame]) -> int:
    from keel.atoms.soundness.repeats import repeats

    def file_of(frame: Frame) -> str:
        return frame.source.rpartition(", ")[0]

    return sum(file_of(first) != file_of(again) for first, again in repeats(frames))


def _compared(frames: list[Frame], reports: list[Report]) -> list[Finding]:
    """Return what only the comparison of several files shows."""
    from keel.atoms.findings import together
    from keel.atoms.isolated import set_apart
    from keel.fitting.judge import judge

    known = {finding.message for _, report, judged in reports for finding in (*report.findings, *judged.findings)}
    found = [*together(set_apart(frames)[0]), *judge(frames).findings]
    return [finding for finding in found if finding.level != "note" and finding.message not in known]


def _print(
    screen: Console, reports: list[Report], shared: int, compared: Sequence[Finding], bad: BadFrames | None
) -> None:
    for name, report, judged in reports:
        screen.print()
        screen.print(Text(name, style="bold"), soft_wrap=True)
        screen.print(_facts(report))
        screen.print(_ranges(report))
        screen.print(_remarks(name, report, judged))
    if compared:
        table = _grid()
        for finding in compared:
            table.add_row(Text(finding.level, style=STYLES[finding.level]), finding.message)
        screen.print()
        screen.print("all files together", style="bold")
        screen.print(table)
    if shared:
        what = "1 structure of one file is" if shared == 1 else f"{shared} structures of one file are"
        screen.print(f"{what} also in another; do not train on one and test on the other", style="yellow")
    if bad:
        count = "1 frame was" if len(bad) == 1 else f"{len(bad)} frames were"
        screen.print(f"{count} set aside in {bad.path}", style="yellow")


def _facts(report: Census) -> Table:
    table = _grid()
    compositions = f", {report.compositions} compositions" if report.compositions > 1 else ""
    table.add_row("frames", f"{report.frames:,}, {report.atoms:,} atoms{compositions}")
    table.add_row("elements", _elements(report))
    names = {3: "three directions", 2: "two directions (slabs)", 1: "one direction", 0: "none (molecules)"}
    several = len(report.periodic) > 1
    parts = [names[k] + (f" {_share(n, report.frames)}" if several else "") for k, n in report.periodic.items()]
    table.add_row("periodic in", ", ".join(parts))
    if report.groups:
        table.add_row("split by", ", ".join(f"{k} ({n} values)" for k, n in report.groups.items()))
    table.add_row("labels", ", ".join(f"{k} {_share(n, report.frames)}" for k, n in report.labels.items()))
    for sentence in report.not_used:
        table.add_row("not used", sentence)
    return table


def _grid() -> Table:
    table = Table.grid(padding=(0, 2), pad_edge=True)
    table.add_column(style="bold", min_width=10)
    table.add_column()
    return table


def _elements(report: Census) -> str:
    most = sorted(report.elements.items(), key=lambda item: -item[1])
    shown = most if len(most) <= 10 else most[:7]
    text = ", ".join(f"{name} {count:,}" for name, count in shown)
    if len(shown) < len(most):
        rarest = ", ".join(f"{name} {count:,}" for name, count in most[-3:])
        text = f"{len(most)}: {text}, ..., {rarest} atoms"
    return text


def _share(count: int, total: int) -> str:
    return "all" if count == total else "none" if count == 0 else f"{count:,} of {total:,}"


def _ranges(report: Census) -> Table:
    table = Table(box=None, padding=(0, 2), header_style="dim", pad_edge=True)
    table.add_column("")
    for column in ("smallest", "median", "largest"):
        table.add_column(column, justify="right")
    table.add_column("extreme frames", style="dim")
    for name, label in QUANTITIES.items():
        if name in report.ranges:
            span = report.ranges[name]
            values = [_number(v, span) for v in (span.minimum, span.median, span.maximum)]
            where = ", ".join(w.rpartition(", ")[2].removeprefix("frame ") for w in (span.minimum_at, span.maximum_at))
            table.add_row(label, *values, where if span.minimum < span.maximum else "")
    return table


def _number(value: float, span: Range) -> str:
    if not span.unit:
        return f"{value:g}"
    spread = span.maximum - span.minimum
    decimals = 3 - math.floor(math.log10(spread)) if spread > 0 else 3
    return f"{value:.{min(max(decimals, 1), 4)}f}"


def _remarks(name: str, report: Census, judged: Judgement) -> Table:
    table = _grid()
    for check in (report.forces, report.stress):
        if report.labels[check.label] and not (check.contradiction or check.warning):
            verdict = _verdict(judged, check.label)
            table.add_row(check.label, str(check) if check.conclusive or not verdict else verdict)
    if energy := _verdict(judged, "energy"):
        table.add_row("energy", energy)
    for finding in sorted((*report.findings, *judged.findings), key=lambda f: tuple(STYLES).index(f.level)):
        table.add_row(Text(finding.level, style=STYLES[finding.level]), finding.message.replace(f"{name}, ", ""))
    for reason in report.set_aside[:5]:
        table.add_row(Text("set aside", style=STYLES["set aside"]), reason.replace(f"{name}, ", ""))
    if len(report.set_aside) > 5:
        table.add_row(Text("set aside", style=STYLES["set aside"]), f"and {len(report.set_aside) - 5} more")
    return table


def _verdict(judged: Judgement, label: str) -> str | None:
    """Return what the checks say about a label that neighbouring frames cannot check."""
    if label in judged.unchecked:
        return f"cannot be checked: {judged.unchecked[label]}"
    return judged.checked.get(label)
