"""What to do after an assessment, and how many probes had which outcome."""

import pytest
from ase.build import bulk

import keel
from keel.atoms.conversion import as_frame
from keel.evaluation.battery import exact
from keel.evaluation.check import CheckResult, Metric
from keel.evaluation.labels.against_labels import LEFT
from keel.evaluation.subject import Subject
from keel.reporting.assessment.advice import CODE, MEND, counts, next_step
from keel.results.assessment import Assessment


def assessed(*outcomes: tuple[str, str], name: str = "net") -> Assessment:
    return Assessment(name, tuple(CheckResult(probe, (), (), outcome, "so") for probe, outcome in outcomes))


HELD = ("MD stability", "passed")
CASES = {
    "all held": ([HELD, ("diatomics", "passed")], "No probe found a reason against MD"),
    "too short": ([("MD stability", "skipped")], "Simulate before you trust it in MD"),
    "not simulated": ([("diatomics", "passed")], "Simulate before you trust it in MD"),
    "holes": ([HELD, ("diatomics", "failed"), ("phonons", "failed")], MEND),
    "unsound code": ([HELD, ("diatomics", "failed"), ("invariance", "failed")], "--precision float32"),
    "something else": ([HELD, ("phonons", "failed")], "See on the page by how much"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_gravest_fault_decides(case):
    outcomes, told = CASES[case]
    assert told in next_step(assessed(*outcomes))


def test_a_calculator_is_not_to_be_trained():
    holes = assessed(HELD, ("diatomics", "failed"))
    calculator = Assessment("chgnet", holes.results, {"Type": "ASEPotential"})
    assert MEND in next_step(holes)
    assert MEND not in next_step(calculator) and "cannot train a calculator" in next_step(calculator)


def test_what_has_learnt_nothing_is_to_be_trained_whatever_else_failed():
    nothing = CheckResult("accuracy", (Metric(LEFT, 1.0, "", 0.95),), (), "failed", "no better than none")
    found = Assessment("net", (nothing, *assessed(("invariance", "failed")).results))
    assert next_step(found) == "Train it (keel run, keel train)."


def test_probes_of_code_are_those_of_the_battery():
    eam = keel.EAM.from_elements(["Cu"], cutoff=5.0)
    crystal = as_frame(bulk("Cu", cubic=True))
    subject = Subject(eam, (crystal,), (crystal,), (crystal,), crystal, (29,))
    assert {result.name for result in exact(subject, lambda *_: None)} == CODE


def test_outcomes_are_counted_by_potential():
    table = counts([assessed(HELD, ("a", "failed"), ("b", "skipped")), assessed(HELD, ("c", "noted"), name="other")])
    assert table.head == ("Potential", "Passed", "Failed", "For information", "Not tested")
    assert table.rows == (("net", "1", "1", "0", "1"), ("other", "1", "0", "1", "0"))
