"""Potentials compared pair by pair: known differences are found, none is invented, and the page says so."""

import json
from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_rel

import keel
from broken import SignFlip
from html_page import Page
from keel.atoms.frame import Frame
from keel.comparison.samples import compare_samples, mean_difference
from keel.errors import DataError
from keel.evaluation import CheckResult, LadderSettings, Sample, md_stability
from keel.evaluation.labels.against_labels import errors
from keel.identity import of_geometry
from keel.reporting import Assessment, read_assessments, write_assessment
from keel.reporting.assessment.pairs import comparisons, versus
from simulated import argon, frame_of

pytestmark = pytest.mark.xdist_group("assessment_pairs")
LENGTH = 1000.0
RUNS = 12
finite = st.floats(-1e3, 1e3)


def lifetimes(times, condition="3000 K", temperature=3000.0, pressure=None, seed=0) -> Sample:
    """Runs of the given times, each from its own structure, that end after LENGTH."""
    times = np.asarray(times, dtype=float)
    settings = {"temperature": temperature, "pressure": pressure, "volume": 1.0, "length": LENGTH, "seed": seed}
    causes = tuple("fused atoms" if t < LENGTH else None for t in times)
    names = tuple(f"start {k}" for k in range(len(times)))
    return Sample("time to failure", "fs", np.minimum(times, LENGTH), names, condition, settings, causes)


def forces(values, weights=None) -> Sample:
    values = np.asarray(values, dtype=float)
    return Sample("MAE of forces", "meV/angstrom", values, tuple(map(str, range(len(values)))), weights=weights)


def assessed(name: str, *samples: Sample) -> Assessment:
    return Assessment(name, (CheckResult("MD stability", (), (), "noted", "it was tried", samples=samples),))


def spread(scale: float, n: int = RUNS) -> np.ndarray:
    return scale * np.random.default_rng(1).lognormal(0, 0.3, n)


# --- numbers ---------------------------------------------------------------------------------------------------------


def test_the_interval_of_a_difference_is_that_of_the_paired_t_test():
    base, other = np.random.default_rng(0).normal(100, 20, (2, 9))
    found = mean_difference(forces(base), forces(other), confidence=0.9)
    expected = ttest_rel(other, base).confidence_interval(0.9)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.value == pytest.approx(np.mean(other - base))


@settings(max_examples=50)
@given(st.lists(st.tuples(finite, finite, st.integers(1, 50)), min_size=2, max_size=9), st.floats(0.1, 10))
def test_differences_change_sign_with_the_sides_and_know_no_scale_of_weights(values, scale):
    base, other, weights = np.array(values, dtype=float).T
    first, second = forces(base, weights), forces(other, weights)
    there, back = mean_difference(first, second), mean_difference(second, first)
    assert there.value == pytest.approx(second.mean - first.mean, abs=1e-9)
    assert (back.value, back.low, back.high) == pytest.approx((-there.value, -there.high, -there.low), abs=1e-9)
    scaled = mean_difference(forces(base, scale * weights), forces(other, scale * weights))
    assert (scaled.low, scaled.high) == pytest.approx((there.low, there.high), rel=1e-6, abs=1e-6)


def test_weighted_intervals_cover_the_mean_of_all_atoms():
    """Frames of 10 and of 100 atoms whose errors differ: 95 % of intervals cover the ratio of expectations."""
    rng, hits = np.random.default_rng(3), []
    for _ in range(400):
        large = rng.random(40) < 0.5
        weights, difference = np.where(large, 100.0, 10.0), rng.normal(np.where(large, 2.0, 0.0), 1.0)
        hits.append(mean_difference(forces(np.zeros(40), weights), forces(difference, weights)).covers(2.0 * 100 / 110))
    assert 0.91 <= np.mean(hits) <= 0.985


def test_values_of_one_structure_are_no_several_structures():
    same = replace(forces([1.0, 2.0, 4.0]), structures=("a", "a", "a"))
    assert mean_difference(same, replace(same, values=2 * same.values)).low == -np.inf
    twice = replace(forces([1.0, 1.0, 5.0, 5.0]), structures=("a", "a", "b", "b"))
    once = forces([1.0, 5.0])
    found, expected = (mean_difference(s, replace(s, values=0 * s.values)) for s in (twice, once))
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_only_pairs_are_compared():
    base = lifetimes(spread(200))
    strangers = [
        lifetimes(spread(200, 5)),
        lifetimes(spread(200), seed=1),
        lifetimes(spread(200), "300 K"),
        forces([1]),
    ]
    for stranger in strangers:
        assert not base.pairs_with(stranger)
        with pytest.raises(DataError, match="same structures with the same settings"):
            compare_samples(base, stranger)
    with pytest.raises(DataError, match="not a lifetime"):
        compare_samples(forces([1.0]), forces([2.0]))
    with pytest.raises(DataError, match="not finite"):
        mean_difference(forces([1.0, 2.0]), forces([1.0, np.nan]))


def test_a_digest_is_that_of_the_structure_and_of_nothing_else():
    frame = argon()
    assert of_geometry(frame) == of_geometry(frame.replace(energy=1.0, source="elsewhere", info={"a": 1}))
    moved = frame.positions + 1e-6
    assert (
        len({of_geometry(f) for f in (frame, frame.replace(positions=moved), frame.replace(cell=2 * frame.cell))}) == 3
    )


# --- what is said ----------------------------------------------------------------------------------------------------


def test_a_known_ratio_is_told():
    good = replace(forces([99.0, 101.0, 100.0]), values=np.array([99.2, 100.9, 100.1]))
    base = assessed("plain", lifetimes(spread(100)), forces([99.0, 101.0, 100.0]))
    (found,) = comparisons([base, assessed("taught", lifetimes(4 * spread(100)), good)])
    assert found.effect == "better" and found.choice == ""
    assert found.verdict.startswith(
        "“taught” in place of “plain” lengthened the median time to failure 4.0x [4.0, 4.0] (12 runs each of 1000 fs at"
    )
    assert "force error unchanged (+0.067 meV/Å" in found.verdict and found.verdict.endswith("may behave differently.")
    (back,) = comparisons([assessed("taught", lifetimes(4 * spread(100))), base])
    assert (
        back.effect == "worse" and "“plain” in place of “taught” shortened the median time to failure" in back.verdict
    )


def test_the_same_potential_twice_differs_in_nothing():
    for scale, effect, words in ((300, "unclear", "no difference in stability"), (1e9, "untested", "not be tested")):
        one = assessed("one", lifetimes(spread(scale)), forces(spread(50)))
        (found,) = comparisons([one, replace(one, potential="two")])
        assert found.effect == effect and words in found.verdict.lower()
        assert "force error unchanged (+0 meV/Å [0, 0])" in found.verdict


def test_the_rung_is_the_lowest_at_which_one_of_the_two_fails_in_half_of_its_runs():
    cold, hot, hotter = (300.0, "300 K"), (2000.0, "2000 K"), (3000.0, "3000 K")

    def ladder(name: str, *scales: float) -> Assessment:
        rungs = zip((hotter, cold, hot), scales, strict=True)
        squeezed = lifetimes(spread(1), "300 K and 20 GPa", 300.0, pressure=20.0)
        return assessed(name, squeezed, *(lifetimes(spread(scale), text, t) for (t, text), scale in rungs))

    sound, broken = ladder("sound", 800, 1e9, 1e9), ladder("broken", 5, 1e9, 200)
    for pair in ((sound, broken), (broken, sound)):
        found = versus(*pair)
        assert found.deciding.condition == "2000 K"
        assert "the lowest temperature at which one of the two failed in at least half" in found.choice
    assert versus(sound, broken).effect == "worse" and versus(broken, sound).effect == "better"
    neither = versus(ladder("a", 1e9, 1e9, 1e9), ladder("b", 1e9, 1e9, 1e9))
    assert neither.deciding.condition == "3000 K" and "the highest temperature" in neither.choice


def test_what_cannot_be_compared_is_said():
    base = assessed("base", lifetimes(spread(200)), forces([10.0, 11.0]))
    without = versus(base, assessed("other", forces([10.0, np.nan])))
    assert without.verdict == (
        "The stability of “other” was not compared with that of “base”: no simulations of “other” are on record."
    )
    assert without.left_out == ("MAE of forces",) and without.effect == "untested" and without.rows == ()
    strange = versus(base, assessed("other", lifetimes(spread(200), seed=1), forces([20.0, 21.0])))
    assert "runs had different starts, random numbers or settings; force error larger (+10 meV/Å" in strange.verdict
    assert strange.left_out == ("time to failure at 3000 K",)
    assert comparisons([base]) == () == comparisons([assessed("a"), assessed("b")])


# --- files and pages -------------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(st.lists(st.tuples(st.floats(), st.sampled_from([None, "fused atoms"])), min_size=1, max_size=6), st.booleans())
def test_samples_come_back_from_json(values, weighted):
    numbers = np.array([v if np.isfinite(v) else np.nan for v, _ in values])
    names = tuple(f"{k}" for k in range(len(values)))
    weights = np.arange(1.0, len(values) + 1) if weighted else None
    sample = Sample("t", "fs", numbers, names, "c", {"pressure": [0.0, 5.0]}, tuple(c for _, c in values), weights)
    back = Sample.from_dict(json.loads(json.dumps(sample.to_dict(), allow_nan=False)))
    np.testing.assert_array_equal(back.values, sample.values)
    assert back.pairs_with(sample) and back.causes == sample.causes and back.to_dict() == sample.to_dict()


def test_results_without_samples_are_still_read():
    content = CheckResult("old", (), (), "passed", "fine").to_dict()
    del content["samples"]
    assert CheckResult.from_dict(content).samples == ()


def test_errors_keep_those_of_each_frame():
    """Frames of different sizes, some without forces or without an energy."""
    potential, rng = keel.LennardJones(cutoff=6.0), np.random.default_rng(0)
    frames = [
        argon(repeat=k).replace(energy=float(k), forces=rng.normal(0, 1, (len(argon(repeat=k)), 3))) for k in (1, 2)
    ]
    frames += [frames[0].replace(energy=None), frames[1].replace(forces=None)]
    result = errors(potential, frames)
    by_name = {s.name: s for s in result.samples}
    assert {name: len(s.values) for name, s in by_name.items()} == {"MAE of forces": 3, "MAE of energy": 3}
    for name, sample in by_name.items():
        assert sample.mean == pytest.approx(result[name], rel=1e-6)
    alone = errors(potential, frames[1:2])
    assert by_name["MAE of forces"].values[1] == pytest.approx(alone["MAE of forces"], rel=1e-6)
    assert by_name["MAE of energy"].structures == tuple(map(of_geometry, [frames[0], frames[1], frames[3]]))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A sound potential, a broken one, and the page of both."""
    sound, crystal = (
        keel.LennardJones(epsilon=0.05, sigma=1.16, cutoff=2.6),
        frame_of(bulk("C", "fcc", a=1.9, cubic=True)),
    )
    starts = [crystal.repeated((2, 2, 2)).replace(positions=p) for p in _rattled(crystal.repeated((2, 2, 2)))]
    settings = LadderSettings(temperatures=(300, 4000), compression=(0.95,), length_fs=100, n_runs=6, must_hold=300)
    found = {name: md_stability(p, starts, settings) for name, p in (("sound", sound), ("flipped", SignFlip(sound)))}
    assessments = [Assessment(name, (result,)) for name, result in found.items()]
    return assessments, write_assessment(assessments, tmp_path_factory.mktemp("pairs") / "page.html")


def _rattled(frame: Frame) -> list[np.ndarray]:
    return [frame.positions + np.random.default_rng(k).normal(0, 0.01, frame.positions.shape) for k in range(3)]


def test_runs_are_kept_one_by_one(written):
    (result,) = written[0][1].results
    hot = {s.condition: s for s in result.samples}["4000 K"]
    assert len(hot.values) == 6 and hot.structures[:3] == hot.structures[3:] and len(set(hot.structures)) == 3
    assert np.mean([c is not None for c in hot.causes]) * 100 == result["failed runs at 4000 K"] > 50
    assert [s.condition for s in result.samples] == ["300 K", "4000 K", "300 K in 95 % of the volume"]


def test_the_page_tells_that_the_broken_one_is_worse(written):
    assessments, path = written
    (found,) = comparisons(assessments)
    text = Page(path.read_text()).text
    assert found.effect == "worse" and found.deciding.condition == "4000 K"
    assert "“flipped” in place of “sound”" in found.verdict
    for words in (found.verdict, found.choice, "Less stable", "Pair by pair", "flipped compared with sound",
                  "none of 6 runs failed on either side"):  # fmt: skip
        assert words in text, words
    titles = [f"Share of runs that live against time, {s.condition}" for s in assessments[0].results[0].samples]
    assert all(title in text for title in titles)


def test_the_comparison_is_in_the_file_and_comes_back(written):
    assessments, path = written
    content = json.loads(path.with_suffix(".json").read_text(), parse_constant=pytest.fail)
    (told,) = content["comparisons"]
    (found,) = comparisons(read_assessments(path.with_suffix(".json")))
    assert told == found.to_dict() == comparisons(assessments)[0].to_dict()
    hot = next(c for c in told["conditions"] if c["condition"] == "4000 K")
    assert hot["mean_time_ratio"]["value"] < 1 and hot["failed_share_difference"]["value"] > 0.5


def test_the_order_says_what_is_better(written):
    first, second = written[0]
    (found,) = comparisons([second, first])
    assert found.effect == "better" and "in place of “flipped”" in found.verdict


def test_hostile_names_stay_text(tmp_path):
    name = "<b>\"'&</b></script>"
    assessments = [assessed(name, lifetimes(spread(100)), forces([1.0, 2.0])), assessed("x", lifetimes(spread(1)))]
    page = Page(write_assessment(assessments, tmp_path / "page.html").read_text())
    assert "b" not in {tag for tag, _ in page.tags} and f"in place of “{name}” shortened" in page.text
    assert "not found on the same structures with the same settings: MAE of forces." in page.text
