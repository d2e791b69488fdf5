"""Sound potentials hold up a ladder of temperatures and pressures; broken ones end, and the cause is named."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from ase.build import bulk

import keel
from broken import HalfPrecision, NonConservative, SignFlip, Truncated
from keel.dynamics import MDSettings, simulate
from keel.errors import ConfigError, DataError
from keel.evaluation import Condition, LadderSettings, judge_ladder, ladder, md_stability
from keel.evaluation.stability.md_stability import FILM, film_of
from simulated import Given, argon, frame_of, molecule

pytestmark = pytest.mark.xdist_group("md_stability")
LJ = keel.LennardJones(cutoff=8.5)
HOT = LadderSettings(temperatures=(4000,), length_fs=300, n_runs=6, must_hold=4000)


def soft() -> tuple[keel.Potential, keel.Frame]:
    """Atoms of a covalent diameter of 1.5 angstrom that come closer than 1 angstrom in the heat, and back."""
    crystal = frame_of(bulk("C", "fcc", a=1.9, cubic=True).repeat(2))
    return keel.LennardJones(epsilon=0.05, sigma=1.16, cutoff=2.6), crystal


@pytest.fixture(scope="module")
def flipped():
    """The ladder of a potential whose force changes its sign below 1 angstrom."""
    potential, crystal = soft()
    return ladder(SignFlip(potential), [crystal], HOT.replace(temperatures=(4000, 300, 2000)))


# --- on sound potentials ---------------------------------------------------------------------------------------------


def test_lennard_jones_holds():
    settings = LadderSettings(
        temperatures=(60, 20),
        pressures=(0.0, (0, 5)),
        compression=(0.9, 0.8),
        length_fs=200,
        n_runs=3,
        must_hold=50,
    )
    result = md_stability(LJ, [argon(rattle=0), argon()], settings)
    assert result.outcome == "passed" and result.films == ()
    assert "none of 3 runs failed within 200 fs at 20 K, 60 K, 20 K and 0 GPa" in result.verdict
    # The exact binomial limit: with a share of 0.708 failing, 3 runs would all hold with probability 0.025.
    assert f"at most {100 * (1 - 0.025 ** (1 / 3)):.0f} % of such runs" in result.verdict
    assert result["failed runs at 20 K in 80 % of the volume"] == 0 and len(result.curves) == 6
    assert result["mean time survived at 20 K and 0 to 5 GPa"] == 200
    assert "median time to failure at 60 K" not in {m.name for m in result.metrics}
    limits = {m.name: m.limit for m in result.metrics if m.name.startswith("failed")}
    assert limits.pop("failed runs at 60 K") is None and limits.pop("failed runs under all conditions") is None
    assert set(limits.values()) == {0.0}


def test_an_eam_holds():
    eam, crystal = keel.EAM.from_elements(["Mo"], cutoff=5.0), frame_of(bulk("Mo", "bcc", a=3.16, cubic=True).repeat(2))
    settings = LadderSettings(temperatures=(300, 1000), compression=(0.8,), length_fs=100, n_runs=2)
    result = md_stability(eam, [crystal], settings)
    assert result.outcome == "passed"


def test_what_is_asked_for_comes_about():
    start = argon(rattle=0, repeat=3)
    settings = LadderSettings(
        temperatures=(40,),
        pressures=((0, 3),),
        compression=(0.9,),
        length_fs=600,
        friction_per_fs=0.05,
        pressure_time_fs=100.0,
        timestep_fs=4.0,
    )
    runs = ladder(LJ, [start], settings)
    assert [str(c) for c in runs] == ["40 K", "40 K and 0 to 3 GPa", "40 K in 90 % of the volume"]
    volumes = [result.trajectories[0].last.frame.volume / argon(repeat=3).volume for result in runs.values()]
    assert volumes[0] == pytest.approx(1) and volumes[1] < 0.97 and volumes[2] == pytest.approx(0.9)
    for condition, result in runs.items():
        (alone,) = simulate(LJ, [condition.start(start)], settings.at(condition).replace(record_every=5))
        late = [s.temperature for s in alone.snapshots if s.time > 300]
        assert np.mean(late) == pytest.approx(40, rel=0.25)
        assert (result.temperature, result.length_fs) == (condition.temperature, 600)
        np.testing.assert_array_equal(alone.last.frame.positions, result.trajectories[0].last.frame.positions)


def test_a_compressed_start_has_all_its_distances_scaled():
    frame = argon()
    squeezed = Condition(100, volume=0.512).start(frame)
    assert squeezed.volume == pytest.approx(0.512 * frame.volume)
    np.testing.assert_allclose(squeezed.positions, 0.8 * frame.positions)
    assert Condition(100).start(frame) is frame


# --- on a broken one -------------------------------------------------------------------------------------------------


def test_only_the_broken_potential_fails(flipped):
    potential, crystal = soft()
    assert judge_ladder(flipped, must_hold=4000).outcome == "failed"
    assert md_stability(potential, [crystal], HOT).outcome == "passed"


@pytest.mark.parametrize("broken", [Truncated(LJ), HalfPrecision(LJ), NonConservative(LJ, 5e-4), SignFlip(LJ)])
def test_what_does_not_end_a_simulation_is_none_of_its_business(broken):
    """A thermostat hides energy that is not conserved, and argon never comes as close as 1 angstrom."""
    settings = LadderSettings(temperatures=(60,), compression=(0.8,), length_fs=100, n_runs=2)
    assert md_stability(broken, [argon()], settings).outcome == "passed"


def test_the_cause_is_named_by_its_share(flipped):
    result = judge_ladder(flipped, must_hold=2000)
    assert result.verdict.startswith("simulations fail where they must hold: at 2000 K 6 of 6 runs failed (fused atoms")
    assert "none of 6 runs failed within 300 fs at 300 K" in result.verdict
    # What is above the limit stands at the end.
    assert result.verdict.rindex("at 4000 K") > result.verdict.index("none of 6")
    times = sorted(flipped[Condition(4000.0)].times)
    assert result["median time to failure at 4000 K"] == times[2]
    assert result["mean time survived at 4000 K"] == pytest.approx(np.mean(times))
    assert [result[f"failed runs at {t} K"] for t in (300, 2000, 4000)] == [0, 100, 100]


def test_above_the_limit_failures_are_noted(flipped):
    assert judge_ladder(flipped, must_hold=300).outcome == "passed"
    noted = judge_ladder(flipped, must_hold=0)
    assert noted.outcome == "noted" and "must hold" not in noted.verdict and "at 2000 K 6 of 6" in noted.verdict


def test_a_censored_median_is_a_lower_bound():
    """One of two runs, and one of three."""
    early = Given(lambda graph: torch.where(graph.positions[:, :1] > 8, torch.nan, 0.0).expand(-1, 3).clone())
    here, there = (molecule([[x, 0, 0], [x + 2, 0, 0]], [18, 18]) for x in (0.0, 50.0))
    settings = LadderSettings(temperatures=(100.0,), length_fs=10)
    half = md_stability(early, [here, there], settings)
    assert "(non-finite 50 %), median time to failure 0 fs" in half.verdict
    third = md_stability(early, [here, here, there], settings)
    assert "1 of 3 runs failed (non-finite 33 %), median time to failure > 10 fs" in third.verdict
    assert half["median time to failure at 100 K"] == 0
    assert all("median" not in m.name for m in third.metrics)


def test_the_film_ends_with_the_first_failure(flipped):
    result = judge_ladder(flipped, must_hold=1000)
    assert len(result.films) == 2
    for film, temperature in zip(result.films, (2000.0, 4000.0), strict=True):
        runs = flipped[Condition(temperature)]
        assert film.times[-1] == min(runs.times) == runs.first_failure.time
        assert f"fused atoms at {temperature:g} K, run {runs.first_failure.run}" == film.name
        assert len(film.frames) == len(film.times) == min(FILM, int(film.times[-1])) + 1
        assert set(np.diff(film.times)) == {1.0}
        assert {len(frame) for frame in film.frames} == {32}


def test_a_film_shows_nothing_that_is_no_number():
    """Forces that are none go, as do states without positions; the rest stays."""
    gone = Given(
        lambda graph: torch.where(graph.positions[:1, :1] > 1e-3, torch.nan, 0.0).expand(len(graph.numbers), 3)
    )
    start = molecule([[0, 0, 0], [2.5, 0, 0]], [18, 18])
    settings = LadderSettings(temperatures=(50,), length_fs=400, n_runs=4)
    run = ladder(gone, [start], settings)[Condition(50)].first_failure
    film = film_of("end", run)
    assert film.times == (*(s.time for s in run.recent), run.time) and film.frames[-1].forces is None
    assert film.frames[-2] is run.last.frame
    lost = replace(run.failed, frame=run.failed.frame.replace(positions=np.full((2, 3), np.nan)))
    assert film_of("end", replace(run, failed=lost)).frames == film.frames[:-1]


# --- as a curve, and as a service ------------------------------------------------------------------------------------


def test_the_curve_has_steps_and_a_band(flipped):
    curve = judge_ladder(flipped, must_hold=1000).curves[1]
    survival = flipped[Condition(2000)].survival
    assert (curve.name, curve.y[0], curve.y[-1]) == ("2000 K", 1.0, 0.0) and (np.diff(curve.x) >= 0).all()
    assert (curve.low <= curve.y).all() and (curve.y <= curve.high).all()
    # Straight lines through the points enclose the area of the steps.
    assert np.trapezoid(curve.y, curve.x) == pytest.approx(survival.restricted_mean())


def test_runs_are_those_of_a_simulation():
    progress = []
    settings = LadderSettings(temperatures=(30, 60), length_fs=10, n_runs=3, seed=4)
    runs = ladder(LJ, [argon(), argon(seed=1)], settings, callback=lambda *p: progress.append(p))
    alone = simulate(LJ, [argon()], MDSettings(temperature=60, length_fs=10, seed=4), runs=[2])[0]
    np.testing.assert_allclose(
        runs[Condition(60)].trajectories[2].last.frame.positions, alone.last.frame.positions, atol=1e-5
    )
    assert progress[-1] == (60, 60) and progress == sorted(progress)


def test_the_same_seed_gives_the_same_result(flipped):
    potential, crystal = soft()
    again = ladder(SignFlip(potential), [crystal], HOT.replace(max_atoms=40))
    assert again[Condition(4000)].times == flipped[Condition(4000)].times


def test_mistakes_are_named():
    alone = molecule([[0, 0, 0], [3, 0, 0]], [18, 18])
    for frame, error, message, settings in (
        (argon(), ConfigError, "temperatures must have at least 1", {"temperatures": ()}),
        (argon(), ConfigError, "compression.1 must be positive, not 0", {"compression": (0.9, 0.0)}),
        (argon(), ConfigError, "the first and the last", {"pressures": ((0, 1, 2),)}),
        (argon(), ConfigError, "length_fs must be positive", {"length_fs": 0.0}),
        (alone, DataError, "compression needs", {"compression": (0.9,)}),
        (alone, DataError, "a pressure needs", {"pressures": (1.0,), "length_fs": 1.0}),
    ):
        with pytest.raises(error, match=message):
            md_stability(LJ, [frame], LadderSettings(**settings))
    with pytest.raises(DataError, match="at least one"):
        md_stability(LJ, [])
