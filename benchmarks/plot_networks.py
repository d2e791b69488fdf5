"""Draw the records of networks.py, and print them as a table in Markdown.

python benchmarks/plot_networks.py docs/results/speed/networks.json docs/results/speed/networks.png
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

STEPS = {"train": 1, "md": 5}
COLOURS = {"CGCNN": "#0072b2", "M3GNet": "#d55e00", "TorchMD-ET 64x4": "#009e73", "TorchMD-ET 128x8": "#cc79a7"}
TASKS = {"train": "training step", "md": "MD step"}


def structures(row: dict[str, Any]) -> int:
    """Number of frames in a step: four small ones in training."""
    return 4 if row["kind"] == "train" and row["atoms"] < 500 else 1


def milliseconds(row: dict[str, Any], side: str, clock: str = "wall") -> float | None:
    """Time of one step, None if it could not be run."""
    value = row.get(side, {}).get(f"{clock}_ms")
    return None if value is None else value / STEPS[row["kind"]]


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """One line for each task."""
    lines = [
        "| network | threads | task | atoms | peer (ms) | keel (ms) | keel / peer | peer (MB) | keel (MB) |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        if "peer" not in row:
            continue
        ratio = row.get("wall_ratio")
        shown = f"{ratio['median']:.2f} [{ratio['quartiles'][0]:.2f}, {ratio['quartiles'][1]:.2f}]" if ratio else "-"
        times = [milliseconds(row, side) for side in ("peer", "keel")]
        size = f"{structures(row)} x {row['atoms']}" if structures(row) > 1 else str(row["atoms"])
        cells = [row["network"], row["threads"], TASKS[row["kind"]], size]
        cells += ["out of memory" if t is None else f"{t:,.0f}" if t > 100 else f"{t:.1f}" for t in times] + [shown]
        cells += [row[side].get("peak_mb", "> 14,000") for side in ("peer", "keel")]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def draw_ratios(axes: Axes, rows: Sequence[dict[str, Any]], kind: str) -> None:
    """Ratios of time on one thread, with quartiles."""
    networks = [n for n in COLOURS if any(r["network"] == n for r in rows)]
    for k, name in enumerate(networks):
        found = [r for r in rows if r["network"] == name and r["kind"] == kind and "wall_ratio" in r]
        for m, row in enumerate(sorted(found, key=lambda r: r["atoms"])):
            ratio, x = row["wall_ratio"], k + 0.25 * (m - 1)
            low, high = ratio["quartiles"]
            errors = [[ratio["median"] - low], [high - ratio["median"]]]
            axes.bar(x, ratio["median"], 0.22, yerr=errors, color=COLOURS[name], alpha=1 - 0.25 * m)
            axes.text(x, high + 0.01, f"{row['atoms']}", ha="center", fontsize=6)
    axes.set_xticks(range(len(networks)), [n.replace("TorchMD-", "") for n in networks], fontsize=7)
    axes.set_title(f"{TASKS[kind]}: time of keel / peer", fontsize=9)
    axes.set_ylim(0, 0.5)


def draw_cost(axes: Axes, rows: Sequence[dict[str, Any]]) -> None:
    """Time of an MD step per atom against the number of atoms."""
    for name, colour in COLOURS.items():
        for side, style in (("keel", "o-"), ("peer", "s:")):
            times = {
                r["atoms"]: milliseconds(r, side, "cpu") for r in rows if r["network"] == name and r["kind"] == "md"
            }
            points = sorted((n, 1e3 * t / n) for n, t in times.items() if t is not None)
            if len(points) > 1:
                axes.plot(*zip(*points, strict=True), style, color=colour, markersize=4, label=f"{name}, {side}")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("atoms")
    axes.set_title("MD step: microseconds per atom", fontsize=9)
    axes.legend(fontsize=6)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("records", type=Path)
    parser.add_argument("picture", type=Path)
    options = parser.parse_args(arguments)
    rows = json.loads(options.records.read_text())["rows"]
    print(markdown(rows))
    alone = [r for r in rows if r["threads"] == 1]
    figure, (training, md, cost) = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
    draw_ratios(training, alone, "train")
    draw_ratios(md, alone, "md")
    draw_cost(cost, alone)
    figure.savefig(options.picture, dpi=130)


if __name__ == "__main__":
    main()
