"""A pass that proves nothing is none: runs that are too short, a crystal without rest, random weights."""

import numpy as np
import pytest
import torch

import keel
from keel.evaluation.check import CheckResult, Curve, Metric
from keel.evaluation.clusters.diatomics import diatomics
from keel.evaluation.labels.against_labels import LEFT
from keel.evaluation.stability.conditions import SHORTEST_FS
from keel.results.assessment import Assessment
from keel.results.meaning import FLAT, meaningful, nothing_learnt

R = np.linspace(0.1, 8.0, 50)


def result(name: str, outcome: str = "passed", *metrics: Metric, verdict: str = "it holds") -> CheckResult:
    return CheckResult(name, metrics, (), outcome, verdict)


def accuracy(left: float) -> CheckResult:
    return result("accuracy", "failed" if left > 0.95 else "noted", Metric(LEFT, left, "", 0.95))


def dimers(height: float, *others: Curve) -> CheckResult:
    curve = Curve("P-P", R, height * np.exp(-R + R[0]), "r (angstrom)", "energy (eV)")
    force = Curve("P-P, force", R, 1e4 * np.exp(-R), "r (angstrom)", "force (eV/angstrom)")
    return CheckResult("diatomics", (), (curve, force, *others), "failed", "P-P is not sound")


def outcomes(groups, length_fs: float = SHORTEST_FS) -> dict[str, str]:
    return {r.name: r.outcome for r in meaningful(groups, length_fs)}


SIMULATED = {
    "stability": [result("MD stability")],
    "structure": [result("pair structure"), result("bond angles", "failed"), result("diffusion", "noted")],
    "density": [result("density")],
}


def test_runs_that_are_too_short_pass_nothing_and_what_failed_has_failed():
    found = meaningful({**SIMULATED, "exact": [result("NVE drift")]}, SHORTEST_FS - 1)
    assert [r.outcome for r in found] == ["skipped", "skipped", "failed", "noted", "skipped", "passed"]
    assert found[0].verdict == "runs of 999 fs are too short to pass: 1000 fs are needed; it holds"


def test_runs_that_are_long_enough_pass():
    assert outcomes(SIMULATED)["MD stability"] == outcomes(SIMULATED)["density"] == "passed"


def test_a_crystal_without_rest_fails_once():
    lost = "Cu has no equilibrium: while it relaxes its volume changes by a factor of 0.24"
    others = [result(name, "failed", verdict=lost) for name in ("equation of state", "elastic constants")]
    found = meaningful({"equilibrium": [result("relaxation", "failed", verdict=lost), *others]}, SHORTEST_FS)
    assert [r.outcome for r in found] == ["failed", "skipped", "skipped"]
    assert found[0].verdict == lost and "see relaxation" in found[1].verdict


def test_a_fault_of_its_own_stays_one():
    at_rest = [result("relaxation"), result("vacancy", "failed", verdict="Cu has no equilibrium: around a vacancy")]
    assert outcomes({"equilibrium": at_rest})["vacancy"] == "failed"
    elsewhere = [result("relaxation", "failed", Metric("change of the volume", 30.0, "%", 20.0)), at_rest[1]]
    assert outcomes({"equilibrium": elsewhere})["vacancy"] == "failed"


def test_what_has_learnt_nothing_passes_only_what_asks_for_sound_code():
    groups = {"clusters": [dimers(0.3)], "compression": [result("compression")], "exact": [result("invariance")]}
    assert outcomes(groups) == {"diatomics": "failed", "compression": "skipped", "invariance": "passed"}
    assert outcomes({**groups, "clusters": [dimers(30.0)]})["compression"] == "passed"


@pytest.mark.parametrize(
    ("results", "told"),
    [
        ([accuracy(0.99), dimers(1e4)], "no better than predicting zero"),
        ([accuracy(0.2), dimers(0.01)], ""),
        ([result("accuracy", "skipped"), dimers(0.01)], "within 0.01 eV down to 0.1 angstrom"),
        ([dimers(2 * FLAT)], ""),
        ([result("accuracy", "noted")], ""),
        ([], ""),
    ],
    ids=["by labels", "labels decide", "without labels", "not flat", "nothing to tell by", "no probes"],
)
def test_by_what_it_is_known(results, told):
    assert nothing_learnt(results).endswith(told) if not told else told in nothing_learnt(results)
    assert bool(nothing_learnt(results)) == bool(told)


def test_curves_of_others_and_broken_ones_do_not_count():
    theirs = Curve("DFT P-P", R, 50 * np.exp(-R), "r (angstrom)", "energy (eV)")
    assert nothing_learnt([dimers(0.3, theirs)])
    assert not nothing_learnt([CheckResult("diatomics", (), (theirs,), "failed", "")])
    assert not nothing_learnt([dimers(float("nan"))])


@pytest.mark.parametrize("network", [keel.CGCNN, keel.M3GNet, keel.TorchMDET])
@pytest.mark.parametrize("seed", [0, 1])
def test_random_weights_are_told_without_labels(network, seed):
    torch.manual_seed(seed)
    potential = network(elements=["Na", "Cl"], **network.presets["small"])
    assert nothing_learnt([diatomics(potential, ["Na", "Cl"])])


def test_potentials_that_know_something_are_not_accused():
    for potential in (keel.EAM.from_elements(["Cu"], cutoff=5.0), keel.LennardJones(), keel.ZBL()):
        assert not nothing_learnt([diatomics(potential, ["Cu"])])


def test_the_verdict_says_it_first():
    found = Assessment("new", (result("invariance"), dimers(0.3), result("phonons", "skipped")))
    assert found.verdict.startswith("Nothing learnt: two atoms neither repel nor bind")
    assert found.verdict.endswith("1 of 2 probes passed; diatomics failed. Those that passed only test the code.")
    assert found.outcome == "failed" and found.unjudged == "Not tested: phonons."
    good = Assessment("old", (result("invariance"), accuracy(0.1)))
    assert (good.verdict, good.outcome) == ("1 of 1 probe passed; none failed.", "passed")
