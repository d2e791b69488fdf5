"""How often does each 95 % interval that keel states hold the truth? Of data whose truth is known.

    OMP_NUM_THREADS=1 python benchmarks/coverage.py --repeats 200 --out docs/results/coverage

The cases are those of ``tests/coverage_cases.py``; every repeat has random numbers of its own. Written are a table
(``.md``) and its numbers (``.json``), after each case, so that a long run can be looked at.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import zlib
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from coverage_cases import Case, cases

ABOUT = """# Do stated intervals hold the truth?

`python benchmarks/coverage.py --repeats {repeats}`

Each interval that keel states was asked of {repeats} sets of synthetic data whose truth is known. They are correlated
as those of simulations are: frames resemble the next, atoms of a frame each other, runs from one structure and
networks of one seed each other. Nominal is 95 % everywhere; {repeats} sets tell the share to {sure:.1f} points. The
cases are in `tests/coverage_cases.py`; some repeats of each are among the tests.

| interval | data | holds the truth (%) |
|---|---|---|
"""


def covered(case: Case, repeats: int) -> float:
    """Return the share of intervals that held the truth."""
    place = zlib.crc32(case.data.encode())
    held = [np.mean(case.repeat(np.random.default_rng([place, k]))) for k in range(repeats)]
    return float(np.mean(held))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("docs/results/coverage"))
    parser.add_argument("--only", default="", help="cases whose interval begins so")
    arguments = parser.parse_args()
    rows = []
    for case in cases():
        if not case.interval.startswith(arguments.only):
            continue
        start, share = time.perf_counter(), covered(case, arguments.repeats)
        rows.append({"interval": case.interval, "data": case.data, "nominal": 0.95, "covered": round(share, 4)})
        print(f"{100 * share:5.1f} %  {case.interval}: {case.data}  ({time.perf_counter() - start:.0f} s)", flush=True)
        write(arguments.out, rows, arguments.repeats)


def write(out: Path, rows: list[dict[str, object]], repeats: int) -> None:
    text = ABOUT.format(repeats=repeats, sure=196 * np.sqrt(0.95 * 0.05 / repeats))
    lines = [f"| {r['interval']} | {r['data']} | {100 * float(str(r['covered'])):.1f} |" for r in rows]
    out.with_suffix(".md").write_text(text + "\n".join(lines) + "\n")
    out.with_suffix(".json").write_text(json.dumps({"repeats": repeats, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
