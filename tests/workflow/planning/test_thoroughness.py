"""An assessment that fits a time."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ase.build import bulk
from hypothesis import given
from hypothesis import strategies as st

import keel
from keel.atoms.conversion import as_frame
from keel.config import AssessmentSettings
from keel.errors import ConfigError
from keel.evaluation.battery import groups_of
from keel.evaluation.stability.conditions import SHORTEST_FS
from keel.evaluation.subject import Subject
from keel.potentials import LennardJones
from keel.potentials.external.opening import Opening
from keel.reporting.assessment.advice import next_step
from keel.results.assessment import read_assessments
from keel.workflow.assess import Assessing, Material, assess
from keel.workflow.planning import thoroughness as rules
from keel.workflow.planning.thoroughness import (
    SIMULATING,
    busiest_fs,
    fitted_assessment,
    left_out,
    longest_first,
    seconds_of_a_step,
    simulated_fs,
    simulating,
    usual_budget,
    within,
)

ARGON = as_frame(bulk("Ar", a=5.3, cubic=True))


def subject(starts: int = 8) -> Subject:
    return Subject(LennardJones(), (ARGON,), (ARGON,) * starts, (ARGON,), ARGON, (18,))


@pytest.fixture
def a_step(monkeypatch):
    """Let a step of MD of each potential take 10 ms."""
    monkeypatch.setattr(rules, "seconds_of_a_step", lambda subject: 0.01)


def needed(settings: AssessmentSettings, workers: int = 1) -> float:
    return 0.01 * busiest_fs(settings, workers)


def test_simulated_are_three_temperatures_structure_density_and_conservation_of_energy():
    usual = AssessmentSettings(length_fs=2000.0, starts=2)
    assert simulated_fs(usual) == {"stability": 12000.0, "structure": 4000.0, "density": 4000.0, "exact": 3000.0}
    more = usual.replace(compression=[0.9, 0.8], pressures=[(0.0, 10.0)], probes=["stability", "contacts"])
    assert simulated_fs(more) == {"stability": 24000.0}
    assert simulated_fs(AssessmentSettings(probes=["exact", "contacts"])) == {"exact": 9000.0}


@given(workers=st.integers(1, 20), length=st.sampled_from([1000.0, 5000.0]))
def test_processes_share_groups_but_not_the_simulations_of_one(workers, length):
    usual = AssessmentSettings(length_fs=length)
    assert busiest_fs(usual, workers) == max(3 * 8 * length, sum(simulated_fs(usual).values()) / workers)
    assert busiest_fs(usual.replace(probes=["density"]), workers) == 8 * length


def test_the_longest_begin_first_and_the_others_in_the_order_of_the_page():
    order = longest_first(AssessmentSettings(length_fs=1000.0, starts=2))
    assert order[:6] == ["stability", "exact", "structure", "density", "equilibrium", "accuracy"]
    assert sorted(order) == sorted(groups_of(None))


@pytest.mark.usefixtures("a_step")
class TestFitted:
    @given(minutes=st.floats(4.0, 1000.0), workers=st.integers(1, 8))
    def test_fits_and_is_never_too_short_to_count(self, minutes, workers):
        usual = AssessmentSettings()
        found = fitted_assessment(usual, [subject()], 60 * minutes, workers)
        assert found.length_fs >= SHORTEST_FS and 2 <= found.starts <= usual.starts
        assert needed(found, workers) <= SIMULATING * 60 * minutes
        assert found.length_fs == usual.length_fs or needed(found, workers) > 0.6 * SIMULATING * 60 * minutes
        assert found.probes is None or found.length_fs == SHORTEST_FS
        assert found.probes is not None or found.starts == usual.starts
        others = ("starts", "length_fs", "probes")
        assert found.model_dump(exclude=others) == usual.model_dump(exclude=others)

    def test_simulations_become_shorter_before_they_become_fewer(self):
        found = [fitted_assessment(AssessmentSettings(), [subject()], 60 * m, 1) for m in (1000, 30, 12, 8, 4)]
        starts, lengths = [s.starts for s in found], [s.length_fs for s in found]
        assert starts == sorted(starts, reverse=True) and lengths == sorted(lengths, reverse=True)
        assert all(n == 8 for n, length in zip(starts, lengths, strict=True) if length > SHORTEST_FS)
        assert starts[-1] < 8

    def test_before_they_become_fewer_structure_is_left_out_unless_there_is_a_reference(self):
        usual, compared = AssessmentSettings(), replace(subject(), reference=(ARGON,))
        spared = fitted_assessment(usual, [subject()], 600, 1)
        assert set(groups_of(None)) - set(spared.probes) == {"structure"}
        assert "only diffusion, for which" in left_out(usual, spared, 600)["structure"]
        kept = fitted_assessment(usual, [compared], 600, 1)
        assert kept.probes is None and not left_out(usual, kept, 600)
        assert 2 <= kept.starts < spared.starts
        alone = fitted_assessment(AssessmentSettings(probes=["structure", "exact"]), [subject()], 100, 1)
        assert simulating(alone)

    def test_several_potentials_share_it(self):
        one = fitted_assessment(AssessmentSettings(), [subject()], 600, 1)
        assert fitted_assessment(AssessmentSettings(), [subject()] * 2, 1200, 1) == one

    def test_what_cannot_fit_is_left_out(self, tmp_path, capsys):
        usual = AssessmentSettings()
        found = within(60.0, tmp_path, usual, lambda: [subject()], 1)
        assert not simulating(found) and not {"stability", "structure", "density"} & set(found.probes)
        assert {"exact", "clusters", "compression", "accuracy"} <= set(found.probes)
        assert "no simulations, because not even 2 of each kind fit 1 min" in capsys.readouterr().err

    def test_where_nothing_else_was_asked_for_it_is_refused_with_what_would_fit(self):
        only = AssessmentSettings(probes=["stability"])
        with pytest.raises(
            ConfigError, match=r"--budget: 1 min 0 s is too short: 2 starts of 1000 fs .* about 1 min 40 s"
        ):
            fitted_assessment(only, [subject()], 60, 1)

    def test_shorter_ones_that_were_asked_for_stay(self):
        short = AssessmentSettings(length_fs=20.0, starts=2)
        assert fitted_assessment(short, [subject()], 60, 1) == short

    def test_without_simulations_nothing_is_fitted(self):
        exact = AssessmentSettings(probes=["exact"])
        assert fitted_assessment(exact, [], 1.0, 1) is exact

    def test_the_same_budget_has_the_same_result(self, tmp_path, monkeypatch, capsys):
        usual = AssessmentSettings()
        found = within(600.0, tmp_path, usual, lambda: [subject()], 1)
        assert "--budget: simulations of 1 ps from up to 6 starts fit 10 min" in capsys.readouterr().err
        monkeypatch.setattr(rules, "seconds_of_a_step", lambda _: 1.0)
        assert within(600.0, tmp_path, usual, list, 1) == found
        assert "as determined before" in capsys.readouterr().err
        assert not simulating(within(601.0, tmp_path, usual, lambda: [subject()], 1))


def test_calculators_have_a_limit_unless_their_simulations_are_chosen():
    emt, file = (Opening(name) for name in ("ase.calculators.emt.EMT", "network.safetensors"))
    assert usual_budget(AssessmentSettings(), [file, emt]) == 720.0
    assert usual_budget(AssessmentSettings(temperatures=[500.0]), [emt]) == 720.0
    assert usual_budget(AssessmentSettings(), [file]) is None
    for chosen in ({"starts": 8}, {"length_fs": 5000.0}):
        assert usual_budget(AssessmentSettings(**chosen), [emt]) is None


def test_choosing_something_else_is_not_choosing_simulations():
    emt = [Opening("ase.calculators.emt.EMT")]
    assert usual_budget(AssessmentSettings().replace(probes=["stability"]), emt) == 720.0
    assert usual_budget(AssessmentSettings(starts=8).replace(probes=["stability"]), emt) is None


def test_the_page_shows_what_did_not_fit(tmp_path):
    LennardJones().save(str(tmp_path / "lj.json"))
    keel.write(tmp_path / "data.extxyz", [ARGON])
    settings = AssessmentSettings(probes=["stability", "contacts", "structure"])
    page = assess(
        [Opening(str(tmp_path / "lj.json"))],
        Material(tmp_path / "data.extxyz"),
        settings,
        tmp_path / "out",
        budget=1e-3,
    )
    (found,) = read_assessments(page.with_suffix(".json"))
    simulated = ["MD stability", "pair structure", "bond angles", "diffusion"]
    assert [r.name for r in found.results] == [*simulated, "errors by contact"]
    assert all("not even 2 simulations of each kind fit" in found.by_probe[name].verdict for name in simulated)
    assert "Not tested: MD stability" in found.unjudged and "Simulate before you trust it" in next_step(found)


def test_a_step_takes_time():
    assert 0.0 < seconds_of_a_step(subject(2)) < 60.0


def test_assess_uses_what_fits(tmp_path, monkeypatch):
    monkeypatch.setattr(rules, "seconds_of_a_step", lambda subject: 0.001)
    lengths = []

    def folder(self: Assessing, name: str):
        lengths.append((self.settings.length_fs, self.settings.starts))
        raise InterruptedError

    monkeypatch.setattr(Assessing, "folder", folder)
    keel.write(tmp_path / "data.extxyz", [ARGON] * 4)
    LennardJones().save(str(tmp_path / "lj.json"))
    opening = Opening(str(tmp_path / "lj.json"))
    with pytest.raises(InterruptedError):
        assess([opening], Material(tmp_path / "data.extxyz"), AssessmentSettings(), tmp_path / "out", budget=60.0)
    assert lengths[0] == (1500.0, 4)
