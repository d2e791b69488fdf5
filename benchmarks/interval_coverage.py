"""How often does each 95 % interval that keel states contain the truth? Measured on data whose truth is known.

    OMP_NUM_THREADS=1 python benchmarks/interval_coverage.py --repeats 200 --out docs/results/coverage

The cases are those of ``tests/coverage_cases.py``; every repeat has random numbers of its own. A table
(``.md``) and its numbers (``.json``) are written after each case, so that a long run can be looked at.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from coverage_cases import Case, cases

Rows = dict[tuple[str, str], dict[str, Any]]

CHEAP = 5
"""Cheap cases are repeated so many times as often."""

ABOUT = """# Do stated intervals contain the truth?

`python benchmarks/interval_coverage.py --repeats 200`

Every kind of interval that keel states was computed for many sets of synthetic data whose true value is known. The data
are correlated as those of simulations are: each frame resembles the next, and so do atoms of a frame, runs from one
structure and networks of one seed; "that remember for 10 of 320 records" is a correlation time. Every interval should
contain the truth in 95 % of the sets; 200 sets determine this share to within 3.0 points, 1000 to within 1.4. The cases
are in `tests/coverage_cases.py`; the tests run a few repeats of each.

| interval | data | sets | contains the truth (%) |
|---|---|---|---|
"""


def covered(case: Case, repeats: int) -> float:
    """Return the share of intervals that contain the truth."""
    place = zlib.crc32(case.data.encode())
    held = [np.mean(case.repeat(np.random.default_rng([place, k]))) for k in range(repeats)]
    return float(np.mean(held))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("docs/results/coverage"))
    parser.add_argument("--only", default="", help="cases whose interval begins so")
    arguments = parser.parse_args()
    rows = known(arguments.out)
    for case in cases():
        if not case.interval.startswith(arguments.only):
            continue
        repeats = arguments.repeats * (CHEAP if case.cheap else 1)
        start, share = time.perf_counter(), covered(case, repeats)
        row = {"interval": case.interval, "data": case.data, "nominal": 0.95, "covered": round(share, 4)}
        rows[case.interval, case.data] = row | {"repeats": repeats}
        print(f"{100 * share:5.1f} %  {case.interval}: {case.data}  ({time.perf_counter() - start:.0f} s)", flush=True)
        write(arguments.out, rows)


def known(out: Path) -> Rows:
    """Return the rows of an earlier run; those computed again replace them."""
    path = out.with_suffix(".json")
    rows = json.loads(path.read_text())["rows"] if path.exists() else []
    return {(row["interval"], row["data"]): row for row in rows}


def write(out: Path, rows: Rows) -> None:
    ordered = [row for case in cases() if (row := rows.get((case.interval, case.data)))]
    lines = [f"| {r['interval']} | {r['data']} | {r['repeats']} | {100 * r['covered']:.1f} |" for r in ordered]
    out.with_suffix(".md").write_text(ABOUT + "\n".join(lines) + "\n")
    out.with_suffix(".json").write_text(json.dumps({"rows": ordered}, indent=1) + "\n")


if __name__ == "__main__":
    main()
