"""What a three-body term gains: errors of fitted EAMs with and without it, on frames that were held out.

    python benchmarks/three_body.py --data ../shared/data --out docs/results/three_body.csv

Silica, phosphorus and Li-Mn-O are divided as in the study, molybdenum as its authors did; every fifth frame of copper
is held out, and silicon (tests/files/silicon.extxyz.xz) is judged in threefold cross-validation, with the mean of its
three errors. ``--only`` measures some of them; the rows of the others stay.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean

import keel
from keel.atoms.frame import Frame
from keel.config import read_config
from keel.potentials.accuracy import accuracy
from keel.records import write_csv
from keel.workflow.pipeline import Pipeline

HERE = Path(__file__).parents[1]
SILICON = HERE / "tests" / "files" / "silicon.extxyz.xz"
STUDIED = ("phosphorus", "silica", "li-mn-o")
SYSTEMS = ("silicon", *STUDIED, "mo", "cu")
ERRORS = ("energy_mae_mev_per_atom", "force_mae_mev_per_angstrom")
COLUMNS = ("system", "three_body", "train_frames", "held_out_frames", *ERRORS)


def divisions(system: str, data: Path) -> Iterator[tuple[Sequence[Frame], Sequence[Frame]]]:
    """Yield the frames of each fit and those held out."""
    if system in STUDIED:
        with tempfile.TemporaryDirectory() as root:
            study = HERE / "examples" / "study" / "laptop"
            split = Pipeline(read_config(study / f"{system}.yaml"), Path(root), study).split
            yield list(split.train), list(split.test)
    elif system == "mo":
        yield keel.read(data / "metals" / "mo-train.extxyz"), keel.read(data / "metals" / "mo-test.extxyz")
    else:
        file, folds, held = (SILICON, 3, 3) if system == "silicon" else (data / "metals" / "cu-train.extxyz", 5, 1)
        frames = keel.read(file)
        for fold in range(held):
            yield [f for k, f in enumerate(frames) if k % folds != fold], frames[fold::folds]


def measured(system: str, data: Path) -> Iterator[dict[str, object]]:
    """Yield a row for the plain EAM and one for that with a three-body term."""
    parts = list(divisions(system, data))
    for three_body in (False, True):
        fits = [keel.fit_eam(train, three_body=three_body).potential for train, _ in parts]
        errors = [accuracy(fit, held).to_dict() for fit, (_, held) in zip(fits, parts, strict=True)]
        frames = {"train_frames": len(parts[0][0]), "held_out_frames": sum(len(held) for _, held in parts)}
        row = {"system": system, "three_body": int(three_body), **frames}
        yield row | {name: f"{mean(e[name] for e in errors):.4g}" for name in ERRORS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=SYSTEMS, default=SYSTEMS)
    arguments = parser.parse_args()
    rows: list[dict[str, object]] = list(csv.DictReader(arguments.out.open())) if arguments.out.is_file() else []
    for system in arguments.only:
        rows = [row for row in rows if row["system"] != system]
        for row in measured(system, arguments.data):
            print(row, flush=True)
            rows.append(row)
        write_csv(arguments.out, COLUMNS, [[row[c] for c in COLUMNS] for row in rows])


if __name__ == "__main__":
    main()
