import re
from dataclasses import fields, replace

import numpy as np
import pytest

from keel.reporting.comparison import StrategyResult, compare, log_rank, number, verdict, verdicts
from keel.reporting.notes import remarks, tiles
from keel.reporting.results import Record

LENGTH = 3000.0


def result(strategy: str, failures: list[float], runs: int = 8, force: float | None = 78.0) -> StrategyResult:
    """Runs of which some fail, at the given times."""
    alive = runs - len(failures)
    values: dict[str, object] = {f.name: 0 for f in fields(Record)}
    values |= {
        "network": "CGCNN",
        "strategy": strategy,
        "force_mae_mev_per_angstrom": force,
        "md_temperature_k": 3000.0,
        "md_length_fs": LENGTH,
        "time_to_failure_fs": (*failures, *[LENGTH] * alive),
        "failure_cause": (*["force"] * len(failures), *[None] * alive),
    }
    return StrategyResult("CGCNN", strategy, (Record(**values),))


EARLY, LATE = [150.0, 190, 225, 241, 260, 410, 700], [1500.0, 1600, 1700, 1800, 1900, 2000, 2100, 2200]
CASES = {
    "helps, censored": (
        result("vanilla", EARLY),
        result("pretrain", [], force=81.0),
        "better",
        "Pretraining lengthened the median time to failure from 241 fs to more than 3000 fs "
        "(8 runs each of 3000 fs at 3000 K); force error 81 instead of 78 meV/Å.",
    ),
    "helps, both medians known": (
        result("vanilla", [*EARLY, 900]),
        result("pretrain", LATE),
        "better",
        "Pretraining lengthened the median time to failure from 241 fs to 1800 fs (8 runs each of 3000 fs at 3000 K); "
        "force error unchanged at 78 meV/Å.",
    ),
    "helps, both medians censored": (
        result("vanilla", EARLY + LATE[:2], runs=24),
        result("pretrain", [], runs=24),
        "better",
        "Pretraining lowered the number of failing runs from 9 of 24 to 0 of 24 (24 runs each of 3000 fs at 3000 K); "
        "force error unchanged at 78 meV/Å.",
    ),
    "hurts": (
        result("vanilla", LATE),
        result("pretrain", [*EARLY, 900], force=113.0),
        "worse",
        "Pretraining shortened the median time to failure from 1800 fs to 241 fs (8 runs each of 3000 fs at 3000 K); "
        "force error 113 instead of 78 meV/Å.",
    ),
    "hurts, vanilla never failed": (
        result("vanilla", []),
        result("pretrain", EARLY),
        "worse",
        "Pretraining shortened the median time to failure from more than 3000 fs to 241 fs "
        "(8 runs each of 3000 fs at 3000 K); force error unchanged at 78 meV/Å.",
    ),
    "helps although the median is shorter": (
        result("vanilla", [100.0] * 11 + [1000.0] * 13, runs=24),
        result("pretrain", [900.0] * 12, runs=24),
        "better",
        "Pretraining lowered the number of failing runs from 24 of 24 to 12 of 24 (24 runs each of 3000 fs at 3000 K); "
        "force error unchanged at 78 meV/Å.",
    ),
    "helps by the mean alone": (
        result("vanilla", [100.0] * 11 + [1000.0] * 13, runs=24),
        result("pretrain", [900.0] * 12 + [2900.0] * 12, runs=24),
        "better",
        "Pretraining lengthened the mean time survived from 588 to 1900 fs (24 runs each of 3000 fs at 3000 K); "
        "force error unchanged at 78 meV/Å.",
    ),
    "no effect": (
        result("vanilla", EARLY),
        result("pretrain", [t + 1 for t in EARLY]),
        "unclear",
        "Pretraining made no clear difference to stability (log-rank p = 0.84): median time to failure 242 fs against "
        "241 fs (8 runs each of 3000 fs at 3000 K); force error unchanged at 78 meV/Å.",
    ),
    "few failures": (
        result("vanilla", EARLY[:2]),
        result("sam", EARLY[:1], runs=6),
        "unclear",
        "SAM training made no clear difference to stability (log-rank p = 0.73): 1 of 6 runs failed, against 2 of 8 "
        "with vanilla (8 and 6 runs of 3000 fs at 3000 K); force error unchanged at 78 meV/Å.",
    ),
    "nothing failed": (
        result("vanilla", []),
        result("pretrain", []),
        "untested",
        "Pretraining could not be tested for stability: none of the runs failed, with vanilla or pretrain "
        "(8 runs each of 3000 fs at 3000 K); force error unchanged at 78 meV/Å.",
    ),
    "no runs, no forces": (
        result("vanilla", [], runs=0),
        result("zbl-delta", [], runs=0, force=None),
        "untested",
        "The stability of zbl-delta was not compared with vanilla's: no MD runs.",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_verdict_says_what_happened(case):
    base, other, effect, sentence = CASES[case]
    found = verdict(base, other)
    assert found.effect == effect
    assert re.sub(r"p = 0\.\d+", "p", found.sentence) == re.sub(r"p = 0\.\d+", "p", sentence)


def test_log_rank_equals_the_sum_over_failure_times():
    a, b = result("vanilla", EARLY), result("pretrain", LATE[:5])
    excess = variance = 0.0
    for time in sorted({*a.times[a.failed], *b.times[b.failed]}):
        n, total = (a.times >= time).sum(), (a.times >= time).sum() + (b.times >= time).sum()
        excess += (a.times[a.failed] == time).sum() - n / total
        variance += n / total * (1 - n / total)
    z = abs(excess) / np.sqrt(variance)
    # Two-sided tail of the normal distribution by numerical integration.
    x = np.linspace(z, 40, 400_001)
    tail = 2 * np.trapezoid(np.exp(-0.5 * x**2), x) / np.sqrt(2 * np.pi)
    assert log_rank(a, b) == pytest.approx(tail, rel=1e-5)
    assert log_rank(a, b) == pytest.approx(log_rank(b, a))


@pytest.mark.filterwarnings("error")
def test_log_rank_where_nothing_can_be_told():
    assert log_rank(result("vanilla", []), result("pretrain", [])) == 1.0
    assert log_rank(result("vanilla", [5.0] * 8), result("pretrain", [5.0] * 8)) == 1.0


def test_seeds_are_pooled_and_errors_averaged():
    seeds = [result("vanilla", [100.0 + k], force=70.0 + 4 * k).records[0] for k in range(3)]
    pooled = StrategyResult("CGCNN", "vanilla", tuple(seeds))
    assert (pooled.runs, pooled.failures) == (24, 3)
    assert pooled.mean("force_mae_mev_per_angstrom") == 74.0
    assert pooled.spread("force_mae_mev_per_angstrom") == pytest.approx(4.0)
    assert pooled.seeds()[0].spread("force_mae_mev_per_angstrom") is None
    assert pooled.median_fs is None


def test_the_method_comes_first_and_without_vanilla_there_is_no_verdict():
    some = [result(name, EARLY) for name in ("sam", "vanilla", "pretrain")]
    assert [v.strategy for v in verdicts(some)] == ["pretrain", "sam"]
    assert verdicts([some[0], some[2]]) == () == tiles([some[0], some[2]])
    assert tiles(some)[0] == ("median time to failure", "241 fs", "vanilla: 241 fs")


class Run:
    """The part of a run's results that remarks look at."""

    def __init__(self, *strategies, reached=True):
        self.records = tuple(record for s in strategies for record in s.records)
        self.networks, self.teacher, self.census, self.cells = ("CGCNN",), None, {}, ()
        self.rungs = {"CGCNN": {"reached": reached, "temperature_k": 4000.0}}


def test_remarks_name_what_makes_a_comparison_doubtful():
    sam = result("sam", EARLY)
    dearer = StrategyResult("CGCNN", "sam", (replace(sam.records[0], train_steps=900, md_length_fs=1000.0),))
    text = " ".join(remarks(Run(result("vanilla", EARLY), dearer, reached=False)))
    for part in (
        "at none of the temperatures tried",
        "unequal numbers of optimiser steps (0, 900)",
        "1000, 3000 fs",
        "one seed",
    ):
        assert part in text
    fair = Run(StrategyResult("CGCNN", "vanilla", result("vanilla", EARLY).records * 2))
    assert not any("CGCNN" in remark for remark in remarks(fair))
    assert [s.strategy for s in compare(fair, "CGCNN")] == ["vanilla"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (0.0, "0"),
        (81.23, "81.2"),
        (1234.5, "1234"),
        (0.012345, "0.0123"),
        (99.96, "100"),
    ],
)
def test_numbers_have_three_digits(value, text):
    assert number(value) == text
