"""Does the disagreement of potentials foretell errors of forces? A study's networks, their teachers, other seeds.

    python benchmarks/uncertainty.py runs/study --far ../shared/data/far --out docs/results/uncertainty

Reads finished potentials (``RUN/potentials``). The CGCNN that is used is compared with its teacher, with the networks
of the other strategies, and with the same training from other seeds where the run has some. Judged on every k-th frame
of the study's test part, and far from the data: silica and phosphorus on single points of squeezed crystals
(tests/files/README.md), the others on ``--far``. ``--md phosphorus`` runs the vanilla network hot beside its teacher
and reports when they first disagree more than on any test frame. Nothing is chosen by any of these numbers. Writes
``uncertainty.csv``, ``bins.csv`` and ``uncertainty.png`` or, with ``--md``, ``md.csv``; rows of systems that are not
measured again (``--only``) stay.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

import keel
from keel.atoms.frame import Frame
from keel.config import read_config
from keel.disagreement import force_disagreement
from keel.dynamics import simulate
from keel.evaluation import accuracy, errors_by_disagreement
from keel.potentials.batches import known_to
from keel.records import write_csv
from keel.reporting.figures.style import QUIET, house_style
from keel.workflow.pipeline import Pipeline

SQUEEZED = Path(__file__).parents[1] / "tests" / "files"
OWN, FAR = ("silica", "phosphorus"), ("mpf-tp", "mpf-alkali-tp", "random-tp")
SYSTEMS = (*OWN, "li-mn-o", "oxides")
STRATEGIES = ("vanilla", "zbl-delta", "pretrain")
TEST_FRAMES = 48
KEYS = ("system", "frames_of", "network", "beside")
COLOURS = {"teacher": "#c2571a", "strategies": "#2b6cb0", "seeds": "#2f855a"}


def test_frames(run: Path) -> list[Frame]:
    """Return some frames of the test part, divided as in the run."""
    config = read_config(run / "config.yaml")
    config = config.model_copy(update={"networks": [n for n in config.networks if n.architecture == "CGCNN"]})
    with tempfile.TemporaryDirectory() as root:
        frames = list(Pipeline(config, Path(root), run).split.test)
    return frames[:: max(1, len(frames) // TEST_FRAMES)]


def far_frames(system: str, far: Path | None, potential: keel.Potential) -> list[Frame]:
    if system in OWN:
        return list(keel.read(SQUEEZED / f"squeezed-{system}.extxyz.xz"))
    files = [far / f"{name}.extxyz" for name in FAR] if far else []
    return [frame for file in files for frame in known_to(potential, keel.read(file))]


def subjects(run: Path) -> Iterator[tuple[str, str, keel.Potential, list[keel.Potential]]]:
    """Yield the strategy that is used and what stands beside, with the potentials."""
    known = {s: keel.load(run / "potentials" / f"CGCNN-{s}-seed0.safetensors") for s in STRATEGIES}
    teacher = keel.load(run / "potentials" / "teacher.json")
    for strategy in ("vanilla", "pretrain"):
        yield strategy, "teacher", known[strategy], [teacher]
        yield strategy, "strategies", known[strategy], [p for s, p in known.items() if s != strategy]
    others = sorted(run.glob("stages/train/CGCNN-vanilla-seed[1-9]*/potential.safetensors"))
    if others:
        yield "vanilla", "seeds", known["vanilla"], [keel.load(path) for path in others]


def measured(run: Path, far: Path | None) -> Iterator[tuple[dict[str, object], list[dict]]]:
    """Yield a row and the bins of each comparison."""
    near = test_frames(run)
    for strategy, beside, potential, others in subjects(run):
        for where, frames in (("test", near), ("far", far_frames(run.name, far, potential))):
            if not frames:
                continue
            key = {"system": run.name, "frames_of": where, "network": strategy, "beside": beside, "others": len(others)}
            accurate = accuracy(potential, frames)
            found = errors_by_disagreement(accurate, others, frames)
            ranks = {"rank": found.rank, "size": found.rank_of_size, "more": found.more}
            numbers = {f"{n}_{e}": getattr(r, e) for n, r in ranks.items() for e in ("value", "low", "high")}
            error = float(3**0.5 * accurate.forces.rmse)
            row = {**key, "frames": found.frames, "atoms": found.atoms, **numbers, "error": error, "ratio": found.ratio}
            print(row, flush=True)
            yield row, [{**key, **bin} for bin in found.bins.rows]


def hot(run: Path, temperature: float, length_fs: float) -> list[dict[str, object]]:
    """Return of each run when it failed, and when it first left what teacher and network say of test frames."""
    network, teacher = (
        keel.load(run / "potentials" / name) for name in ("CGCNN-vanilla-seed0.safetensors", "teacher.json")
    )
    frames = test_frames(run)
    limit = max(d.max() for d in force_disagreement(network, teacher, frames))
    starts, settings = frames[:: len(frames) // 8][:8], keel.MDSettings(temperature=temperature, length_fs=length_fs)
    rows = []
    for t in simulate(network, starts, settings.replace(record_every=10), beside=[teacher]):
        states = list({s.step: s for s in (*t.snapshots, t.last)}.values())
        beyond = next((s.time for s in states if s.disagreement.max() > limit), None)
        largest = max(float(s.disagreement.max()) for s in states)
        rows.append(
            {
                "system": run.name,
                "run": t.run,
                "limit": float(limit),
                "left_fs": beyond,
                "ended_fs": t.time,
                "cause": t.cause,
                "largest": largest,
            }
        )
        print(rows[-1], flush=True)
    return rows


def earlier(path: Path, measured: Sequence[str]) -> list[dict[str, Any]]:
    """Return the rows of a file but for those of systems that are measured anew."""
    rows = list(csv.DictReader(path.open())) if path.is_file() else []
    return [
        {k: v if k in KEYS else float(v or "nan") for k, v in r.items()} for r in rows if r["system"] not in measured
    ]


def write_rows(path: Path, rows: Sequence[dict[str, object]]) -> None:
    write_csv(path, list(rows[0]), [list(row.values()) for row in rows], digits=4)


def draw(bins: Sequence[dict], path: Path) -> None:
    """Draw errors against disagreement in bins: systems in columns, test above, far below; vanilla."""
    import matplotlib.pyplot as plt
    from matplotlib.ticker import NullFormatter

    systems = [s for s in SYSTEMS if any(b["system"] == s for b in bins)]
    with house_style():
        figure, axes = plt.subplots(
            2, len(systems), figsize=(2.2 * len(systems), 4.4), squeeze=False, layout="constrained"
        )
        for (row, where), (column, system) in product(enumerate(("test", "far")), enumerate(systems)):
            ax = axes[row, column]
            ax.set(xscale="log", yscale="log", title=f"{system}, {where}")
            for beside, colour in COLOURS.items():
                own = [b for b in bins if tuple(b[k] for k in KEYS) == (system, where, "vanilla", beside)]
                if own:
                    x, y = (np.array([b[k] for b in own]) for k in ("disagreement", "error"))
                    ax.plot(x, y, color=colour, marker="o", markersize=3, linewidth=1, label=beside)
            ends = ax.dataLim.intervalx
            ax.plot(ends, ends, color=QUIET, linewidth=0.7, zorder=0)
            for axis in (ax.xaxis, ax.yaxis):
                axis.set_major_formatter("{x:g}")
                axis.set_minor_formatter(NullFormatter())
        figure.supxlabel("disagreement (eV/Å)", fontsize=8.5)
        figure.supylabel("force error (eV/Å)", fontsize=8.5)
        drawn = {line.get_label(): line for ax in axes.flat for line in ax.lines if line.get_label() in COLOURS}
        figure.legend(drawn.values(), drawn.keys(), loc="outside upper center", ncols=3)
        figure.savefig(path, dpi=110)


def table(rows: Sequence[dict[str, Any]], bins: Sequence[dict[str, Any]]) -> str:
    """Return a table in Markdown."""
    head = ("system", "frames", "network", "beside", "error", "rank", "size", "difference", "ratio", "in bins")
    lines = [head, ("---",) * len(head)]
    for r in rows:
        own = [b["ratio"] for b in bins if all(b[k] == r[k] for k in KEYS)]
        frames = f"{r['frames_of']}: {r['frames']:.0f}, {r['atoms']:.0f} atoms"
        ranks = (f"{r['rank_value']:.2f}", f"{r['size_value']:.2f}", f"{r['more_low']:.2f} to {r['more_high']:.2f}")
        ratios = (f"{r['ratio']:.2g}", f"{own[0]:.2g} to {own[-1]:.2g}")
        lines.append((r["system"], frames, r["network"], r["beside"], f"{r['error']:.3g}", *ranks, *ratios))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    parser.add_argument(
        "--far", type=Path, help="folder of hot and compressed DFT frames; without it only those at hand"
    )
    parser.add_argument("--md", metavar="RUN", help="simulate with the vanilla network of this run")
    parser.add_argument("--temperature", type=float, default=1000.0)
    parser.add_argument("--length-fs", type=float, default=600.0)
    parser.add_argument("--only", nargs="*", default=SYSTEMS, metavar="RUN")
    parser.add_argument("--out", type=Path, required=True)
    a = parser.parse_args()
    torch.set_flush_denormal(True)
    if a.md:
        write_rows(a.out / "md.csv", hot(a.study / a.md, a.temperature, a.length_fs))
        return
    rows, bins = (earlier(a.out / f"{name}.csv", a.only) for name in ("uncertainty", "bins"))
    for name in a.only:
        for row, found in measured(a.study / name, a.far):
            rows.append(row)
            bins += found
    write_rows(a.out / "uncertainty.csv", rows)
    write_rows(a.out / "bins.csv", bins)
    draw(bins, a.out / "uncertainty.png")
    print(table(rows, bins))


if __name__ == "__main__":
    main()
