"""What strategies took in optimiser steps, in words."""

import json
from dataclasses import replace

import pytest
import yaml

from keel.config import NetworkSettings
from keel.reporting import load_results, write_report
from keel.reporting.budgets import _label, has_patience, inequality, steps_text
from keel.reporting.study import write_study
from run_folder import HELPS, build_run_folder, phosphorus

PATIENT = """
networks: [{architecture: CGCNN}]
strategies: [vanilla, repair, pretrain, brief]
custom_strategies: {brief: {budget: 0.6}}
training: {patience: 3, steps: 1000}
"""
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
    assert inequality(records, [""]) is None
    assert inequality(records, [PATIENT]) is None


def test_unequal_steps_are_told_and_why(records):
    some = stopped(records, 700, 400, 500, 500)
    text = "the strategies took unequal numbers of optimiser steps (vanilla 400 to 700, pretrain 600)"
    assert inequality(some, [""]) == text
    assert inequality(some, [PATIENT]) == (
        f"{text}: vanilla and pretrain stopped early, when the validation loss no longer decreased, and the comparison "
        "is by that rule, not at equal cost"
    )


def early(records, configuration=PATIENT):
    """Return who is said to have stopped early."""
    sentence = inequality(records, [configuration])
    return sentence.partition("): ")[2].partition(" stopped early")[0]


def of(record, strategy, pretrain_steps, train_steps):
    return replace(record, strategy=strategy, pretrain_steps=pretrain_steps, train_steps=train_steps)


def test_only_trainings_that_stopped_early_are_said_to_have(records):
    first, second = records[:2]
    whole = [of(first, "vanilla", 0, 1000), of(second, "vanilla", 0, 1000)]
    assert early([*whole, of(first, "pretrain", 100, 800)]) == "pretrain"
    assert early([whole[0], of(second, "vanilla", 0, 999)]) == "vanilla (1 of 2 seeds)"
    assert early([*whole, of(first, "brief", 0, 600)]) == "", "its budget is 0.6 of the steps"
    assert early([*whole, of(first, "brief", 0, 599)]) == "brief"


def test_repair_has_the_steps_of_vanilla_among_its_own(records):
    whole, cut = of(records[0], "vanilla", 0, 1000), of(records[0], "vanilla", 0, 700)
    assert early([whole, of(records[0], "repair", 40, 1360)]) == ""
    assert early([whole, of(records[0], "repair", 40, 1300)]) == "repair"
    assert early([cut, of(records[0], "repair", 40, 1060)]) == "vanilla"
    assert early([cut, of(records[0], "repair", 40, 1059)]) == "vanilla and repair"


def test_only_a_configuration_with_that_network_and_strategy_tells(records):
    some = [of(records[0], "vanilla", 0, 500), of(records[0], "pretrain", 50, 850)]
    both = "vanilla and pretrain"
    assert early(some) == both
    assert early(some, PATIENT.replace("vanilla, ", "")) == "pretrain"
    assert early(some, PATIENT.replace("CGCNN", "M3GNet")) == ""
    named = [replace(record, network="old") for record in some]
    assert early(named, PATIENT.replace("architecture: CGCNN", "start: a/old.safetensors")) == both
    assert early(named, PATIENT.replace("CGCNN", "CGCNN, name: old")) == both
    assert early(some, PATIENT.replace("CGCNN", "CGCNN, training: {patience: null}")) == ""
    assert early(some, PATIENT.replace("CGCNN", "CGCNN, training: {steps: 500}")) == ""
    assert early(some, PATIENT.replace("steps: 1000", "steps: many")) == ""
    assert early([replace(record, strategy=f"mine-{record.strategy}") for record in some]) == ""


@pytest.mark.parametrize("content", [{}, {"architecture": "M3GNet"}, {"start": "a/b.safetensors"}, {"name": "x"}])
def test_networks_have_the_names_of_the_configuration(content):
    settings = NetworkSettings(**content)
    assert _label(settings.model_dump()) == settings.label


def test_the_report_and_the_study_say_so(tmp_path):
    folder = build_run_folder(tmp_path / "patient", phosphorus(), TWO)
    (folder / "config.yaml").write_text((folder / "config.yaml").read_text() + PATIENT.splitlines()[-1])
    path = folder / "summary.json"
    rows = json.loads(path.read_text())
    for row, taken in zip(rows, (700, 400, 500, 500), strict=True):
        row["train_steps"] = taken
    path.write_text(json.dumps(rows))
    words = "(vanilla 400 to 700, pretrain 600): vanilla and pretrain stopped early"
    report = write_report(folder).read_text(encoding="utf-8")
    page = write_study(tmp_path).read_text(encoding="utf-8")
    for text in (report, page):
        assert words in text and "0 + 400 to 700" in text
