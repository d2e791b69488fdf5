"""Intervals cover what they promise, where it is known; lifetimes agree with Kaplan and Meier."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t as student

from keel.comparison.statistics import Interval, clustered_mean, resampled
from keel.dynamics import kaplan_meier
from keel.errors import ConfigError, DataError
from keel.evaluation import (
    Lifetimes,
    bootstrap_interval,
    compare_lifetimes,
    mean_interval,
    variance_components,
    verdict,
)

RATIO = 4.0
LENGTH = 3000.0


def pair(rng, seeds, structures, *, of_seeds=0.3, of_structures=0.5, ratio=RATIO, length=np.inf):
    """Exponential lifetimes of two strategies; a seed or a structure lengthens all its own by a lognormal factor.

    The ratio of means, and of medians, is the given one.
    """
    shared = of_structures * rng.normal(size=structures)
    both = []
    for factor in (1.0, ratio):
        scale = 200 * factor * np.exp(of_seeds * rng.normal(size=(seeds, 1)) + shared)
        times = scale * rng.exponential(size=(seeds, structures))
        both.append(Lifetimes(np.minimum(times, length), times <= length))
    return both


def table(times, failed=None):
    times = np.array(times, dtype=float)
    return Lifetimes(times, np.ones(times.shape, bool) if failed is None else np.array(failed))


def always(length, seeds=2, runs=8):
    return table(np.full((seeds, runs), length), np.zeros((seeds, runs), bool))


# --- lifetimes of resamples ------------------------------------------------------------------------------------------

RUNS = st.lists(st.tuples(st.integers(0, 9), st.booleans(), st.integers(0, 3)), min_size=1, max_size=20)


@given(RUNS.filter(lambda runs: any(weight for _, _, weight in runs)))
def test_a_weight_is_a_number_of_copies(runs):
    times, failed, weights = (np.array(column) for column in zip(*runs, strict=True))
    lifetimes, w = table([times], [failed]), np.array(weights, dtype=float)[None, None]
    curve = kaplan_meier(np.repeat(times, weights).astype(float), np.repeat(failed, weights))
    median = lifetimes.medians(w)[0]
    assert median == (np.inf if curve.median is None else curve.median)
    assert lifetimes.means(w)[0] == pytest.approx(curve.restricted_mean(float(times.max())))
    assert lifetimes.failed_shares(w)[0] == pytest.approx(np.repeat(failed, weights).mean())
    assert lifetimes.medians(2.5 * w)[0] == median


def test_lifetimes_of_seeds():
    lifetimes = Lifetimes.of([[5, 9], [7, 9]], [["force", None], ["rdf", None]], structures=[4, 4])
    assert lifetimes.shape == (2, 2) and lifetimes.known_until == 9 and lifetimes.survival.median == 7
    until = lifetimes.until(6)
    assert until.times.tolist() == [[5, 6], [6, 6]] and until.failed.tolist() == [[True, False], [False, False]]
    assert table([[1, 2]]).known_until == np.inf


def test_runs_that_left_the_data_count_as_survivors():
    found = Lifetimes.of([[5, 9], [7, 9]], [["force", "left the data"], [None, "rdf"]])
    assert found.failed.tolist() == [[True, False], [False, True]]


@pytest.mark.parametrize("seeds", [1, 2])
def test_a_median_of_zero_is_zero(seeds):
    interval = Lifetimes.of([[0.0, 0.0, 0.0, 5.0, 0.0]] * seeds, [["force"] * 5] * seeds).median_interval()
    assert (interval.value, interval.low) == (0.0, 0.0)
    assert interval.high > 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: table(np.empty((0, 3))), "seeds x runs"),
        (lambda: table([[1.0, 2.0]], [[True]]), "one mark of failure for each"),
        (lambda: table([[1.0, np.nan]]), "finite"),
        (lambda: Lifetimes(np.ones((1, 2)), np.ones((1, 2), bool), np.zeros(3, int)), "as many structures"),
        (lambda: Lifetimes.of([[1, 2], [1]], [[None, None], [None]]), r"\[2, 1\]"),
        (lambda: compare_lifetimes(always(9), always(9, runs=3)), "pair by pair"),
        (lambda: variance_components(np.ones((1, 5))), "two or more"),
    ],
)
def test_impossible_tables_are_refused(make, message):
    with pytest.raises(DataError, match=message):
        make()


def test_impossible_intervals_are_refused():
    for wrong in ({"method": "bca"}, {"confidence": 1.0}, {"n_resamples": 1}):
        with pytest.raises(ConfigError, match="an interval needs"):
            bootstrap_interval(lambda w: w.sum(axis=(1, 2)), (2, 2), **wrong)


# --- variances -------------------------------------------------------------------------------------------------------


def test_resampling_finds_the_mean_squares():
    values = np.random.default_rng(0).normal(size=(5, 9)) + np.arange(9)
    drawn = resampled(lambda w: (w * values).mean(axis=(1, 2)), values.shape, n_resamples=40_000)
    rows, columns = values.mean(axis=1), values.mean(axis=0)
    rest = values - rows[:, None] - columns + values.mean()
    expected = rows.var(ddof=1) / 5, columns.var(ddof=1) / 9, (rest**2).sum() / (4 * 8) / 45
    assert drawn.variances == pytest.approx(expected, rel=0.1)
    # The structures matter most, so that there are almost as many degrees of freedom as they have.
    assert 7 < drawn.degrees_of_freedom < 10


def test_one_source_gives_the_t_interval():
    values = np.array([3.0, 4.5, 5.0, 7.0])
    half = 3.1824 * values.std(ddof=1) / 2
    for given_values in (values, values[:, None]):
        found = mean_interval(given_values, n_resamples=40_000)
        assert found.value == values.mean()
        assert (found.low, found.high) == pytest.approx((found.value - half, found.value + half), abs=0.05)
    assert mean_interval(values[:1]) == Interval(3.0, -np.inf, np.inf)
    assert mean_interval(np.ones((3, 4))) == Interval(1.0, 1.0, 1.0)


def test_runs_of_one_structure_are_drawn_together():
    """Ten copies of a run tell no more than the run."""
    values = np.random.default_rng(1).normal(size=(1, 6))

    def interval(values, structures):
        def mean(w):
            return (w * values).sum(axis=(1, 2)) / w.sum(axis=(1, 2))

        return bootstrap_interval(mean, values.shape, structures=structures)

    once, copies = interval(values, None), interval(np.tile(values, 10), np.tile([7, 3, 4, 0, 1, 9], 10))
    assert (copies.low, copies.high) == pytest.approx((once.low, once.high), abs=0.15 * (once.high - once.low))
    assert interval(np.tile(values, 10), None).high - once.value < 0.5 * (once.high - once.value)


@pytest.mark.parametrize("sigmas", [(2.0, 1.0, 0.5), (0.0, 1.0, 1.0), (0.5, 0.0, 1.0)])
def test_variance_components_are_found(sigmas):
    rng = np.random.default_rng(2)
    found = []
    for _ in range(300):
        a, b, e = rng.normal(size=(6, 1)), rng.normal(size=(1, 20)), rng.normal(size=(6, 20))
        found.append(tuple(vars(variance_components(5 + sigmas[0] * a + sigmas[1] * b + sigmas[2] * e)).values()))
    # A negative estimate counts as zero, which lifts the mean of those that are zero.
    assert np.mean(found, axis=0) == pytest.approx(np.square(sigmas), rel=0.12, abs=0.03)


def test_shares_of_variance():
    rows = np.repeat(np.arange(4.0)[:, None], 5, axis=1)
    assert variance_components(rows).shares == {"seeds": 1.0, "structures": 0.0, "residual": 0.0}
    assert np.isnan(variance_components(np.ones((3, 3))).shares["seeds"])


# --- intervals of ratios ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seeds", "structures", "of_seeds", "length"),
    [(1, 40, 0.0, np.inf), (3, 24, 0.6, np.inf), (6, 24, 0.4, LENGTH)],
)
def test_intervals_cover_the_truth(seeds, structures, of_seeds, length):
    """About 95 % of them, and the ratio is recovered without bias."""
    rng, repeats = np.random.default_rng(3), 120
    found = [
        compare_lifetimes(*pair(rng, seeds, structures, of_seeds=of_seeds, length=length), n_resamples=300, seed=k)
        for k in range(repeats)
    ]
    # Three standard errors of 120 draws; intervals of the median, which jumps from run to run, may be too wide.
    assert 0.89 <= np.mean([c.median.covers(RATIO) for c in found]) <= 1.0
    assert np.median([c.median.value for c in found]) == pytest.approx(RATIO, rel=0.15)
    truth = np.divide(*(mean_within(length, 200 * f, np.hypot(of_seeds, 0.5)) for f in (RATIO, 1.0)))
    assert 0.88 <= np.mean([c.mean.covers(truth) for c in found]) <= 1.0
    assert np.median([c.mean.value for c in found]) == pytest.approx(truth, rel=0.15)
    # An interval that is too wide covers too: it has the width of normal errors, and of t with two or more degrees.
    assert np.median([np.log(c.mean.high / c.mean.low) for c in found]) < 6 * of_seeds + 1.7


def mean_within(length, scale, sigma):
    """Mean of min(t, length) for exponential t whose means are lognormal, by quadrature."""
    x, weights = np.polynomial.hermite_e.hermegauss(60)
    means = scale * np.exp(sigma * x)
    return weights @ (means * -np.expm1(-length / means)) / weights.sum()


def test_percentiles_do_not_cover_where_seeds_are_few():
    """Three seeds all lie on one side of the truth in a quarter of the cases: a reason to prefer t."""
    rng, hits = np.random.default_rng(4), {"t": 0, "percentile": 0}
    for k in range(150):
        values = rng.normal(size=(3, 1)) + 0.1 * rng.normal(size=(3, 10))

        def mean(w, values=values):
            return (w * values).sum(axis=(1, 2)) / w.sum(axis=(1, 2))

        for method in hits:
            hits[method] += bootstrap_interval(mean, (3, 10), method=method, n_resamples=300, seed=k).covers(0.0)
    assert hits["t"] / 150 > 0.9 and hits["percentile"] / 150 < 0.82


@pytest.mark.parametrize("method", ["t", "percentile"])
def test_both_methods_agree_where_there_is_much_data(method):
    values = np.random.default_rng(5).normal(size=(1, 400))
    found = bootstrap_interval(lambda w: (w * values).mean(axis=(1, 2)), (1, 400), method=method)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * values.std() / 20, rel=0.08)


def test_no_effect_is_not_told_from_one():
    rng = np.random.default_rng(6)
    found = [compare_lifetimes(*pair(rng, 4, 16, ratio=1.0, length=LENGTH), n_resamples=300) for _ in range(80)]
    assert np.mean([c.effect == "unclear" for c in found]) >= 0.88
    assert np.mean([c.mean.covers(1) and c.median.covers(1) and c.failed.covers(0) for c in found]) >= 0.85


@settings(max_examples=15)
@given(st.floats(1e-3, 1e3), st.integers(0, 100))
def test_units_of_time_do_not_matter(factor, seed):
    base, other = pair(np.random.default_rng(seed), 3, 8, length=LENGTH)
    found = compare_lifetimes(base, other, n_resamples=100)
    scaled = [Lifetimes(factor * runs.times, runs.failed) for runs in (base, other)]
    again = compare_lifetimes(*scaled, n_resamples=100)
    for name in ("median", "mean", "failed"):
        first, second = (getattr(c, name) for c in (found, again))
        assert (second.value, second.low, second.high) == pytest.approx((first.value, first.low, first.high))


def test_the_other_way_round_is_the_reciprocal():
    base, other = pair(np.random.default_rng(7), 3, 12)
    there, back = compare_lifetimes(base, other), compare_lifetimes(other, base)
    assert back.mean.value == pytest.approx(1 / there.mean.value) and back.mean.low == pytest.approx(
        1 / there.mean.high
    )
    assert (there.effect, back.effect) == ("better", "worse")


def test_pairs_tell_more_than_samples():
    """What both owe to hard structures cancels."""
    rng = np.random.default_rng(8)
    hard = 200 * np.exp(rng.normal(size=40))
    base, other = (table(f * hard * np.exp(0.3 * rng.normal(size=(3, 40)))) for f in (1.0, RATIO))
    shuffled = table(rng.permutation(other.times, axis=1))
    paired, apart = (compare_lifetimes(base, second).mean for second in (other, shuffled))
    assert np.log(paired.high / paired.low) < 0.5 * np.log(apart.high / apart.low)


def test_the_same_seed_gives_the_same_interval():
    base, other = pair(np.random.default_rng(10), 3, 12)
    first, second, third = (compare_lifetimes(base, other, n_resamples=200, seed=s).mean for s in (1, 1, 2))
    assert first == second != third and first.value == third.value


def test_runs_are_compared_up_to_the_shorter_length():
    """All of the baseline failed, so it is known to the end of the others' runs, not to its last failure only."""
    base, other = table([[10, 20, 30, 40], [10, 20, 30, 40]]), always(1000.0, runs=4)
    found = compare_lifetimes(base, other)
    assert found.mean.value == pytest.approx(1000 / 25) and found.median.value == pytest.approx(1000 / 20)
    shorter = compare_lifetimes(always(500.0, runs=4), table(np.full((2, 4), 800.0)))
    assert shorter.effect == "untested"


# --- in words --------------------------------------------------------------------------------------------------------


def spread_out(scale, seeds=4, runs=24, length=np.inf, seed=0):
    """Lifetimes around a scale in fs, of seeds that differ little."""
    times = scale * np.exp(0.4 * np.random.default_rng(seed).normal(size=(seeds, runs)))
    return Lifetimes(np.minimum(times, length), times <= length)


def say(base, other, *forces, **settings):
    if forces:
        settings |= {"base_force": np.array(forces[0]), "other_force": np.array(forces[1])}
    return verdict(compare_lifetimes(base, other, **settings))


SHORT, LONG = spread_out(200.0), spread_out(820.0, seed=1)
NUMBERS = r"\d+\.\dx \[\d\.\d, \d\.\d\]"


def test_verdict_where_it_helps():
    forces = np.array([78.0, 80, 77, 79])
    text = say(SHORT, LONG, forces, forces + np.array([0.1, 0.4, 0.3, 0.8]))
    assert_like(text, rf"pretraining lengthened the median time to failure {NUMBERS}; force error unchanged \(\+0\.4 ")
    comparison = compare_lifetimes(SHORT, LONG)
    assert 3.2 < comparison.median.low < comparison.median.value < comparison.median.high < 4.9
    assert verdict(comparison, "SAM").startswith("SAM lengthened") and "force" not in verdict(comparison)


def test_verdict_where_it_hurts():
    text = say(LONG, SHORT, [78.0, 80, 77, 79], [113.0, 116, 111, 114])
    assert_like(
        text,
        r"pretraining shortened the median time to failure to 0\.\d+x \[0\.\d+, 0\.\d+\]; "
        r"force error larger \(\+35 meV/Å \[34, 36\]\)$",
    )


def test_verdict_where_nothing_can_be_told():
    text = say(SHORT, spread_out(210.0, seed=2), [70.0, 85, 72, 90], [75.0, 80, 90, 72])
    assert_like(
        text,
        r"no difference in stability can be shown: with pretraining the mean time survived is 1\.0x \[0\.\d+, 1\.\d\], "
        r"and 96 of 96 runs failed instead of 96; no difference in force error can be shown \(",
    )


@pytest.mark.parametrize("runs", [2, 4, 8, 24])
def test_all_against_none_is_as_sure_as_the_number_of_runs(runs):
    """Agresti & Min's interval of n pairs all of which differ, by hand."""
    found = compare_lifetimes(table([np.linspace(100, 200, runs)]), always(300.0, 1, runs))
    b, n = runs + 0.5, runs + 2
    error = np.sqrt((b + 0.5 - (b - 0.5) ** 2 / n) / n**2)
    assert found.failed.low == -1
    assert found.failed.high == pytest.approx(min(1, -1 + student.ppf(0.975, runs - 1) * error))
    assert found.failed_is_clear == (runs > 4)


def test_verdict_where_fewer_fail_but_the_mean_does_not_tell():
    """Seeds of the baseline differ so much that three of them leave the ratio open, but all their runs fail."""
    base = table(np.geomspace(500, 4000, 3)[:, None] * np.linspace(0.9, 1.1, 8))
    found = compare_lifetimes(base, always(5000.0, 3))
    assert found.mean.covers(1.0) and not found.mean_is_clear and found.failed_is_clear
    assert found.effect == "better"
    assert_like(
        verdict(found, conditions="8 runs"),
        r"pretraining lowered the number of failed runs from 24 to 0 of 24 "
        r"\(-100 percentage points \[-100, -85\]; 8 runs\)$",
    )


def test_what_contradicts_itself_is_unclear():
    """Fewer runs fail, but those that do fail at once: nobody can say which is better."""
    shape = (4, 40)
    base = table(np.full(shape, 4900.0) + np.arange(160).reshape(shape) % 7)
    times, failed = np.full(shape, 5000.0), np.zeros(shape, dtype=bool)
    times[:, ::2], failed[:, ::2] = 100.0, True
    found = compare_lifetimes(base, table(times, failed))
    assert found.mean_is_clear and found.failed_is_clear
    assert found.mean.value < 1 and found.failed.value < 0
    assert found.effect == "unclear"


def test_shares_stay_between_none_and_all():
    base = table([[5.0] * 8, [5.0] * 8, [9.0] * 8], [[True] * 8, [True] * 8, [False] * 8])
    failed = compare_lifetimes(base, always(9.0, 3)).failed
    assert failed.low == -1.0 and failed.value == pytest.approx(-2 / 3) and failed.high <= 1.0


def test_conditions_follow_what_was_found():
    forces = [78.0, 80, 77, 79]
    text = verdict(
        compare_lifetimes(SHORT, LONG, base_force=np.array(forces), other_force=np.array(forces)), "SAM", "so"
    )
    assert_like(text, rf"SAM lengthened the median time to failure {NUMBERS} \(so\); force error unchanged \(\+0 meV")


def test_verdict_where_medians_are_censored():
    assert_like(say(SHORT, always(LENGTH, 4, 24)), r".* lengthened .* at least 1\dx \[1\d or more\]$")
    assert_like(say(always(LENGTH, 4, 24), SHORT), r".* shortened .* to at most 0\.0\d+x \[0\.0\d+ or less\]$")
    # Survivors of the baseline, so many that its median is none: it is the share that is told.
    few = spread_out(2000.0, length=1800.0, seed=3)
    rare = Lifetimes(np.where(few.times < 1500, few.times, 1800.0), few.failed & (few.times < 1500))
    assert rare.survival.median is None
    text = say(rare, always(1800.0, 4, 24))
    failed = int(rare.failed.sum())
    assert_like(
        text, rf"pretraining lowered the number of failed runs from {failed} to 0 of 96 \(-\d+ percentage points "
    )


def test_verdict_where_only_the_mean_tells():
    """The medians cross, and as many fail."""
    base = table(np.tile([100.0] * 11 + [1000.0] * 13, (3, 1)))
    other = table(np.tile([900.0] * 12 + [2900.0] * 12, (3, 1)))
    assert_like(say(base, other), r"pretraining lengthened the mean time survived 3\.2x \[2\.\d, 3\.\d\]$")


def test_verdict_where_one_of_two_intervals_would_do():
    """Half of the starts fail in every seed, the others never."""
    failed = np.repeat([[True] * 4 + [False] * 4], 5, axis=0)
    base, other = table(np.where(failed, 250.0, 2000.0), failed), always(2000.0, seeds=5)
    found = compare_lifetimes(base, other)
    assert found.effect == "unclear" and found.is_likely and found.failed.high < 0 and found.mean.covers(1.0)
    assert_like(
        verdict(found),
        r"a difference in stability is likely, but not certain: with pretraining .* and 0 of 40 runs failed instead of "
        r"20 \(-50 percentage points \[-\d+, -\d\.?\d*\]\)$",
    )
    assert "likely" in verdict(compare_lifetimes(other, base))
    assert not compare_lifetimes(base, base).is_likely


def test_verdict_where_nothing_failed():
    assert_like(say(always(10.0), always(10.0)), r"the effect .* could not be tested: none of 16 runs failed")


@pytest.mark.filterwarnings("error")
def test_verdict_of_two_seeds_that_contradict_each_other():
    """One degree of freedom: the interval reaches further than numbers do."""
    good_and_bad = table([[1e6, 2e6, 3e6], [1e-75, 2e-75, 3e-75]])
    found = compare_lifetimes(table([[1.0, 2, 3], [1, 2, 3]]), good_and_bad)
    assert found.effect == "unclear" and (found.mean.low, found.mean.high) == (0.0, np.inf)
    assert "[no interval]" in verdict(found)


def test_verdict_of_one_seed():
    text = say(spread_out(200.0, seeds=1), spread_out(800.0, seeds=1, seed=1), [78.0], [81.0])
    assert_like(text, r"pretraining lengthened .*; force error \+3 meV/Å, without an interval; seeds were not varied")
    nothing = say(table([[100.0]]), table([[200.0]]))
    assert "no difference in stability can be shown" in nothing and "2.0x [no interval]" in nothing


def test_times_of_zero_do_not_end_the_comparison():
    zero = table(np.zeros((2, 6)))
    assert_like(say(zero, table(np.full((2, 6), 50.0))), r"pretraining lengthened the median time to failure 2\.0x")
    assert compare_lifetimes(zero, zero).mean.value == 1.0


def assert_like(text, pattern):
    assert re.match(pattern, text), text


class TestClusteredMean:
    def test_clusters_of_one_have_the_standard_error(self):
        values = np.random.default_rng(0).normal(2.0, 1.0, 12)
        found = clustered_mean(values, np.arange(12))
        half = student.ppf(0.975, 11) * values.std(ddof=1) / np.sqrt(12)
        assert (found.value, found.low) == pytest.approx((values.mean(), values.mean() - half))
        assert found.high - found.value == pytest.approx(found.value - found.low)

    def test_values_that_repeat_within_a_cluster_add_nothing(self):
        values, clusters = np.random.default_rng(1).normal(size=9), np.arange(9)
        once, often = clustered_mean(values, clusters), clustered_mean(np.repeat(values, 7), np.repeat(clusters, 7))
        assert (often.low, often.high) == pytest.approx((once.low, once.high))
        assert clustered_mean(np.repeat(values, 7), np.arange(63)).high < often.high

    def test_weights_are_numbers_of_values(self):
        values, counts = np.array([1.0, 2.0, 5.0]), np.array([1.0, 4.0, 2.0])
        told, repeated = counts.astype(int), np.repeat([0, 1, 2], [1, 4, 2])
        weighted = clustered_mean(values, np.arange(3), counts)
        assert clustered_mean(np.repeat(values, told), repeated).high == pytest.approx(weighted.high)

    def test_nothing_is_known_from_one_cluster_or_of_what_is_not_finite(self):
        for values, clusters in (([1.0, 3.0], [4, 4]), ([1.0, np.inf], [0, 1]), ([1.0, np.nan], [0, 1])):
            found = clustered_mean(np.array(values), np.array(clusters))
            assert (found.low, found.high) == (-np.inf, np.inf)

    def test_it_covers_the_truth_where_atoms_of_a_frame_are_alike(self):
        """Errors of a lognormal size for each frame; intervals that took atoms for independent would cover a third."""
        rng, covered, naive = np.random.default_rng(3), 0, 0
        truth, tries = float(np.exp(0.5 * 0.5**2)), 400
        for _ in range(tries):
            sizes = rng.integers(5, 30, 40)
            frames = np.repeat(np.arange(40), sizes)
            values = np.repeat(np.exp(0.5 * rng.normal(size=40)), sizes) * rng.uniform(0.8, 1.2, len(frames))
            covered += clustered_mean(values, frames).covers(truth)
            naive += clustered_mean(values, np.arange(len(values))).covers(truth)
        assert 0.90 < covered / tries <= 0.99 and naive < 0.6 * tries
