"""Turn a run folder into a page of docs/results: the table in Markdown, with configuration, versions and records.

python benchmarks/publish.py RUN docs/results/NAME

RUN may be docs/results/NAME itself, to write its page anew.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from keel.dynamics import kaplan_meier
from keel.reporting.comparison import compare, verdicts
from keel.reporting.results import load_results, read_records

HEADER = (
    "| network | strategy | steps (EAM + DFT) | energy MAE (meV/atom) | force MAE (meV/Å) | failed runs "
    "| median time to failure (fs) | mean time survived (fs) |\n|---|---|---|---|---|---|---|---|"
)


def spread(records: Sequence[dict[str, Any]], key: str) -> str:
    """Mean and standard deviation over seeds."""
    values = [r[key] for r in records if r[key] is not None]
    return f"{np.mean(values):.1f} ± {np.std(values, ddof=1):.1f}" if len(values) > 1 else f"{np.mean(values):.1f}"


def row(records: Sequence[dict[str, Any]]) -> str:
    """One strategy of one network, runs of all seeds pooled."""
    first = records[0]
    times = [t for r in records for t in r["time_to_failure_fs"]]
    causes = [c for r in records for c in r["failure_cause"]]
    survival = kaplan_meier(times, [c is not None for c in causes])
    cells = [
        first["network"],
        first["strategy"],
        f"{first['pretrain_steps']} + {first['train_steps']}",
        spread(records, "energy_mae_mev_per_atom"),
        spread(records, "force_mae_mev_per_angstrom"),
        f"{sum(c is not None for c in causes)} of {len(causes)}",
        survival.median_text,
        f"{survival.restricted_mean():.0f}",
    ]
    return "| " + " | ".join(cells) + " |"


def sentences(run: Path) -> list[str]:
    """What each strategy changed; a folder of docs/results does not tell which MD runs share a start."""
    records = load_results(run).records if (run / "results.json").is_file() else read_records(run / "summary.json")
    networks = dict.fromkeys(record.network for record in records)
    return [f"* {network}: {v.sentence}" for network in networks for v in verdicts(compare(records, network))]


def page(run: Path, name: str) -> str:
    """The page in Markdown."""
    records = json.loads((run / "summary.json").read_text())
    versions = json.loads((run / "versions.json").read_text())
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for record in records:
        groups.setdefault((record["network"], record["strategy"]), []).append(record)
    first = records[0]
    seeds = sorted({r["seed"] for r in records})
    about = (
        f"{first['train_frames']} training frames; {len(seeds)} seed(s); MD at {first['md_temperature_k']:g} K, "
        f"runs of {first['md_length_fs']:g} fs, steps of {first['md_timestep_fs']:g} fs, friction "
        f"{first['md_friction_per_fs']:g}/fs. Errors: mean ± standard deviation over seeds. MD: runs of all seeds "
        "pooled, Kaplan-Meier."
    )
    paired = (
        "Against vanilla, pair by pair: the same seed, start and noise. Brackets: 95 % intervals over seeds and starts."
    )
    machine = ", ".join(f"{k} {versions[k]}" for k in ("keel", "python", "torch", "ase", "vesin", "platform", "cores"))
    made = f"Made with {machine} ({versions['started']}), from `{name}/config.yaml`; records in `{name}/summary.json`."
    table, found = "\n".join([HEADER, *(row(g) for g in groups.values())]), sentences(run)
    compared = [paired, "\n".join(found)] if found else []
    return "\n\n".join([f"# {name}", about, table, *compared, made]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for file in ("versions.json", "summary.json"):
        if options.run.resolve() != options.out.resolve():
            shutil.copy(options.run / file, options.out / file)
    config = yaml.safe_load((options.run / "config.yaml").read_text())
    # Where the data lay on this machine is nobody's concern.
    config["data"]["files"] = [Path(f).name for f in config["data"]["files"]]
    (options.out / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    options.out.with_suffix(".md").write_text(page(options.run, options.out.name))


if __name__ == "__main__":
    main()
