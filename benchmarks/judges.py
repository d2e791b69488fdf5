"""DFT as the judge of networks where data end: errors of a study's networks as atoms come close, and their squeeze.

    python benchmarks/judges.py runs/study --far ../shared/data/far --out docs/results/judges

Reads the finished potentials of each run (``RUN/potentials``) and judges them on structures that nobody trained on or
chose by: silica and phosphorus on single points of squeezed crystals (tests/files/README.md), the others on hot and
compressed frames of many materials (``--far``), and all of them on the walls of DFT dimers (``dimers-pbe`` in
``--far``). Writes ``judges.csv``, ``walls.csv`` and ``judges.md``. Of several seeds the one with the median error
counts. Forces and pressures have their own numbers of frames: a frame has one pressure, in the bin of its closest
contact, but atoms in several.
"""

from __future__ import annotations

import argparse
import csv
import math
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import keel
from keel.atoms.frame import Frame
from keel.evaluation.clusters.dimers import DimerCurve
from keel.evaluation.clusters.labelled_dimers import dimer_curves_of
from keel.evaluation.clusters.landmarks import TOO_DEEP, marked
from keel.evaluation.labels.by_contact import bin_name, errors_by_contact
from keel.potentials.accuracy import accuracy
from keel.potentials.batches import known_to
from keel.training.known import STRATEGIES

SQUEEZED = Path(__file__).parents[1] / "tests" / "files"
OWN = ("silica", "phosphorus")
FAR = ("mpf-tp", "mpf-alkali-tp", "random-tp")
BINS = ((0.5, 0.6), (0.6, 0.75), (0.75, 0.9), (0.9, 1.1))
QUANTITIES = ("forces", "pressure")
TITLE = """# Judged by DFT where the data end

Errors of the study's networks divided by the mean label (1: the error of predicting zero), by closest contact in
units of the covalent radii; [how to read them](../../assessment.md#errors-as-atoms-come-close). In brackets 95 %
intervals of the errors, divided by the same label, where they are known, which takes several formulas or frames.

"""
WALLS = """## Walls of dimers

The distance at which two atoms are 10 eV above the atoms apart, less that of PBE, for the elements of the data: mean
of the absolute values and the largest, in angstrom; and how many pairs have no wall, or a well deeper than DFT's by
more than 1 eV.

| system | network | strategy | pairs | mean | largest | no wall | too deep |
| --- | --- | --- | ---: | ---: | --- | ---: | ---: |
"""
COLUMNS = (
    "system",
    "network",
    "strategy",
    "seed",
    "quantity",
    "lower",
    "upper",
    "frames",
    "error",
    "low",
    "high",
    "label",
)


def judges(system: str, far: Path | None) -> list[Frame]:
    """Return the labelled structures that judge a system; none if they are not there."""
    if system in OWN:
        return keel.read(SQUEEZED / f"squeezed-{system}.extxyz.xz")
    if far is None:
        return []
    return [frame for name in FAR for frame in keel.read(far / f"{name}.extxyz")]


def subjects(run: Path) -> Iterator[tuple[str, str, int | None, Path]]:
    """Yield network, strategy, seed and file of each potential of a run, the teacher's first."""
    folder = run / "potentials"
    teacher = next(iter(run.glob("stages/teacher/*/teacher.json")), folder / "teacher.json")
    if teacher.is_file():
        yield "", "teacher", None, teacher
    for path in sorted(folder.glob("*-seed*.safetensors")):
        name, _, seed = path.stem.rpartition("-seed")
        strategy = max((s for s in STRATEGIES if name.endswith(f"-{s}")), key=len)
        yield name.removesuffix(f"-{strategy}"), strategy, int(seed), path


def rows(run: Path, frames: Sequence[Frame], done: set[tuple[str, ...]]) -> Iterator[dict[str, object]]:
    """Yield a row for each potential, quantity and bin that has frames, of potentials that are not done."""
    for network, strategy, seed, path in subjects(run):
        key = (run.name, network, strategy, "" if seed is None else str(seed))
        if key in done:
            continue
        potential = keel.load(path)
        if not (known := known_to(potential, frames)):
            continue
        found = errors_by_contact(accuracy(potential, known), known)
        for quantity in QUANTITIES:
            errors = found.quantities.get(quantity)
            for lower, upper, count, *sizes in (
                zip(*(getattr(errors, column) for column in COLUMNS[5:]), strict=True) if errors is not None else ()
            ):
                if count:
                    values = (quantity, lower, upper, int(count), *(f"{size:.5g}" for size in sizes))
                    yield dict(zip(COLUMNS, (*key, *values), strict=True))
        print(f"{run.name:12} {network:10} {strategy:14} {'' if seed is None else seed}", flush=True)


def table(found: Sequence[dict[str, str]], quantity: str) -> list[str]:
    """Return a table of errors over labels, of the median seed, by system, network and strategy; last the frames."""
    ratios: dict[tuple[str, str, str], dict[tuple[float, float], list[Ratio]]] = defaultdict(lambda: defaultdict(list))
    frames: dict[tuple[str, tuple[float, float]], int] = {}
    for row in found:
        place = (float(row["lower"]), float(row["upper"]))
        if row["quantity"] == quantity and place in BINS:
            ratios[row["system"], row["network"], row["strategy"]][place].append(
                Ratio(*(float(row[size]) / float(row["label"]) for size in ("error", "low", "high")))
            )
            frames[row["system"], place] = int(row["frames"])
    order = ["teacher", *STRATEGIES]
    lines = [f"| system | network | strategy | {' | '.join(bin_name(*b) for b in BINS)} |"]
    lines.append(f"| --- | --- | --- | {' | '.join('---:' for _ in BINS)} |")
    for key in sorted(ratios, key=lambda k: (k[0], k[1], order.index(k[2]))):
        cells = (str(statistics.median_low(ratios[key][b])) if b in ratios[key] else "" for b in BINS)
        lines.append(f"| {key[0]} | {key[1]} | {key[2]} | {' | '.join(cells)} |")
    for system in sorted({s for s, _ in frames}):
        counts = (str(frames.get((system, b), "")) for b in BINS)
        lines.append(f"| {system} | | frames ({quantity}) | {' | '.join(counts)} |")
    return lines


class Ratio(NamedTuple):
    """An error over the label, and its 95 % interval."""

    error: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.error:.2f}" + (f" [{self.low:.2f}, {self.high:.2f}]" if math.isfinite(self.high) else "")


class Wall(NamedTuple):
    """How far wall (angstrom) and well (eV) of a dimer are from those of the reference; the teacher has no seed."""

    system: str
    network: str
    strategy: str
    seed: int | None
    pair: str
    wall: float
    depth: float


def walls(run: Path, reference: Mapping[str, DimerCurve]) -> Iterator[Wall]:
    """Yield the walls of all dimers that the potentials of a run know, where the reference has one."""
    for network, strategy, seed, path in subjects(run):
        potential = keel.load(path).double()
        for pair, curve in reference.items():
            if not set(curve.numbers) <= set(potential.elements or ()):
                continue
            marks = marked(potential, curve)
            if math.isfinite(marks.reference.wall):
                yield Wall(run.name, network, strategy, seed, pair, marks.difference.wall, marks.difference.depth)


def wall_table(found: Sequence[Wall]) -> str:
    """Return a row for each potential of the first seed."""
    by_potential: dict[tuple[str, str, str], list[Wall]] = defaultdict(list)
    for one in found:
        if not one.seed:
            by_potential[one.system, one.network, one.strategy].append(one)
    lines = []
    for key, pairs in by_potential.items():
        standing = [one for one in pairs if math.isfinite(one.wall)]
        worst = max(standing, key=lambda one: abs(one.wall), default=None)
        mean = f"{statistics.mean(abs(one.wall) for one in standing):.2f}" if standing else ""
        largest = f"{worst.wall:+.2f} ({worst.pair})" if worst else ""
        cells = (
            *key,
            len(pairs),
            mean,
            largest,
            len(pairs) - len(standing),
            sum(one.depth > TOO_DEEP for one in pairs),
        )
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return WALLS + "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    parser.add_argument("--far", type=Path, help="folder of hot and compressed DFT frames; without it only --own")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "judges.csv"
    found = []
    if path.is_file():
        with path.open(newline="") as file:
            reader = csv.DictReader(file)
            found = list(reader)
        if reader.fieldnames != list(COLUMNS):
            raise SystemExit(
                f"{path} has other columns than {', '.join(COLUMNS)}; remove it to compute all of it again"
            )
    runs = sorted(p for p in arguments.study.iterdir() if (p / "potentials").is_dir())
    for run in runs:
        frames = judges(run.name, arguments.far)
        done = {tuple(row[c] for c in COLUMNS[:4]) for row in found}
        for row in rows(run, frames, done) if frames else ():
            found.append({k: str(v) for k, v in row.items()})
            with path.open("w", newline="") as file:
                writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
                writer.writeheader()
                writer.writerows(found)
    parts = [f"## {quantity.capitalize()}\n\n" + "\n".join(table(found, quantity)) for quantity in QUANTITIES]
    if arguments.far is not None:
        reference = dimer_curves_of(keel.read(arguments.far / "dimers-pbe.extxyz"))
        apart = [one for run in runs for one in walls(run, reference)]
        with (arguments.out / "walls.csv").open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(Wall._fields)
            writer.writerows((*one[:5], f"{one.wall:.4g}", f"{one.depth:.4g}") for one in apart)
        parts.append(wall_table(apart))
    (arguments.out / "judges.md").write_text(TITLE + "\n\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
