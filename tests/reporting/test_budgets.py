"""What strategies took in optimiser steps, in words."""

import json
from dataclasses import replace

import pytest
import yaml

from keel.reporting import load_results, write_report
from keel.reporting.budgets import has_patience, inequality, steps_text
from keel.reporting.study import write_study
from run_folder import HELPS, build_run_folder, phosphorus

PATIENT = "training: {patience: 3}\n"
TWO = replace(HELPS, force_mae={"vanilla": 78.0, "pretrain": 81.0})


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Two strategies from two seeds, of 1,000 steps each."""
    return load_results(build_run_folder(tmp_path_factory.mktemp("run"), phosphorus(), TWO)).records


def stopped(records, *steps):
    return [replace(record, train_steps=taken) for record, taken in zip(records, steps, strict=True)]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", False),
        ("a: [", False),
        ("training: {patience: null}", False),
        ("training: {steps: 5}", False),
        (PATIENT, True),
        (yaml.safe_dump({"networks": [{"training": {}}, {"training": {"patience": 2}}]}), True),
        (yaml.safe_dump({"networks": [{"architecture": "CGCNN"}], "training": None}), False),
    ],
)
def test_patience_is_that_of_the_run_or_of_a_network(content, expected):
    assert has_patience(content) is expected


def test_steps_of_all_seeds(records):
    vanilla = [r for r in records if r.strategy == "vanilla"]
    assert steps_text(vanilla) == "0 + 1000"
    assert steps_text(stopped(vanilla, 700, 400)) == "0 + 400 to 700"


def test_equal_steps_need_no_words(records):
    assert inequality(records, "") is None
    assert inequality(records, PATIENT) is None


def test_unequal_steps_are_told_and_why(records):
    some = stopped(records, 700, 400, 500, 500)
    text = "the strategies took unequal numbers of optimiser steps (vanilla 400 to 700, pretrain 600)"
    assert inequality(some, "") == text
    assert inequality(some, PATIENT) == (
        f"{text}: each stopped when its validation loss no longer decreased, and the comparison is by that rule, "
        "not at equal cost"
    )


def test_the_report_and_the_study_say_so(tmp_path):
    folder = build_run_folder(tmp_path / "patient", phosphorus(), TWO)
    (folder / "config.yaml").write_text((folder / "config.yaml").read_text() + PATIENT)
    path = folder / "summary.json"
    rows = json.loads(path.read_text())
    for row, taken in zip(rows, (700, 400, 500, 500), strict=True):
        row["train_steps"] = taken
    path.write_text(json.dumps(rows))
    words = "CGCNN: the strategies took unequal numbers of optimiser steps (vanilla 400 to 700, pretrain 600): each"
    report = write_report(folder).read_text(encoding="utf-8")
    page = write_study(tmp_path).read_text(encoding="utf-8")
    for text in (report, page):
        assert words in text and "0 + 400 to 700" in text
