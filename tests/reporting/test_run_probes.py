"""Probes of a run's networks are judged as those of an assessment: a pass that tells nothing is none."""

from keel.evaluation.check import CheckResult, Metric
from keel.evaluation.labels.against_labels import LEFT
from keel.reporting.run.probes import probe_table
from keel.results.assessment import GroupResults
from keel.results.run import TrialResults


def group(name: str, outcome: str, metric: str = "energy") -> GroupResults:
    return GroupResults([CheckResult(name, (Metric(metric, 1.0, "eV"),), (), outcome, f"{name} is fine")], {}, {})


def outcomes(accuracy: str) -> dict[str, str]:
    probes = {"accuracy": group("accuracy", accuracy, LEFT), "clusters": group("trimers", "passed")}
    table = probe_table([TrialResults("CGCNN", "repair", 0, probes=probes)])
    return {row[0]: row[1] for row in table.rows}


def test_a_network_that_has_learnt_nothing_passes_nothing() -> None:
    assert outcomes("failed") == {"accuracy: repair": "failed", "trimers: repair": "not tested"}
    assert outcomes("passed") == {"accuracy: repair": "passed", "trimers: repair": "passed"}
