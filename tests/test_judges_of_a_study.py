"""benchmarks/judges.py: its tables give intervals, and the frames of each quantity."""

import csv
import runpy
import sys
from pathlib import Path

import pytest

import keel

SCRIPT = str(Path(__file__).parents[1] / "benchmarks" / "judges.py")


@pytest.fixture
def study(tmp_path):
    folder = tmp_path / "study" / "phosphorus" / "potentials"
    folder.mkdir(parents=True)
    keel.EAM.from_elements(["P"], cutoff=4.0).save(str(folder / "teacher.json"))
    return tmp_path


def judge(study, monkeypatch):
    out = study / "out"
    monkeypatch.setattr(sys, "argv", [SCRIPT, str(study / "study"), "--out", str(out)])
    runpy.run_path(SCRIPT, run_name="__main__")
    return (out / "judges.md").read_text(), list(csv.DictReader((out / "judges.csv").open()))


def test_each_quantity_has_its_frames_and_each_error_an_interval(study, monkeypatch):
    text, rows = judge(study, monkeypatch)
    for quantity in ("forces", "pressure"):
        found = {row["lower"]: row for row in rows if row["quantity"] == quantity}
        (counts,) = [line for line in text.splitlines() if f"frames ({quantity})" in line]
        bins = ["0.5", "0.6", "0.75", "0.9"]
        assert [cell.strip() for cell in counts.split("|")[4:8]] == [found.get(b, {}).get("frames", "") for b in bins]
        row = found["0.6"]
        error, low, high, label = (float(row[name]) for name in ("error", "low", "high", "label"))
        assert low < error < high
        assert f" {error / label:.2f} [{low / label:.2f}, {high / label:.2f}] " in text
    assert {row["lower"]: row["frames"] for row in rows if row["quantity"] == "forces"} != {
        row["lower"]: row["frames"] for row in rows if row["quantity"] == "pressure"
    }


def test_rows_without_intervals_are_not_continued(study, monkeypatch):
    judge(study, monkeypatch)
    path = study / "out" / "judges.csv"
    path.write_text(path.read_text().replace("low,high,", "", 1))
    with pytest.raises(SystemExit, match="other columns"):
        judge(study, monkeypatch)


def test_of_three_seeds_the_median_one_counts():
    script = runpy.run_path(SCRIPT)
    rows = []
    for seed, error in enumerate((30.0, 10.0, 20.0)):
        values = ("a", "CGCNN", "vanilla", seed, "forces", 0.6, 0.75, 7, error, error - 1, error + 1, 10.0)
        rows.append(dict(zip(script["COLUMNS"], map(str, values), strict=True)))
    assert any("| 2.00 [1.90, 2.10] |" in line for line in script["table"](rows, "forces"))
    rows[2] |= {"low": "0", "high": "inf"}
    assert any("| 2.00 |" in line for line in script["table"](rows, "forces")), "one formula has no interval"
