import re
from dataclasses import MISSING, fields, replace

import pytest

from keel.reporting.run.notes import remarks, tiles
from keel.reporting.strategies import StrategyResult, compare, number, paired, verdict, verdicts
from keel.results.made import RungChoice
from keel.results.run import Record

LENGTH = 3000.0


def result(strategy: str, failures: list[float], runs: int = 8, force: float | None = 78.0) -> StrategyResult:
    """Runs of which some fail, at the given times."""
    alive = runs - len(failures)
    values: dict[str, object] = {f.name: 0 for f in fields(Record) if f.default is MISSING}
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
ALONE = "; seeds were not varied, so another training may behave differently."
AT_8, AT_24 = "8 runs each of 3000 fs at 3000 K", "24 runs each of 3000 fs at 3000 K"
CASES = {
    "helps, censored": (
        result("vanilla", EARLY),
        result("pretrain", [], force=81.0),
        "better",
        f"Pretraining lengthened the median time to failure at least 12x [...] ({AT_8}); "
        "force error +3 meV/Å, without an interval" + ALONE,
    ),
    "helps, both medians known": (
        result("vanilla", [*EARLY, 900]),
        result("pretrain", LATE),
        "better",
        f"Pretraining lengthened the median time to failure 7.5x [...] ({AT_8}); "
        "force error +0 meV/Å, without an interval" + ALONE,
    ),
    "helps, both medians censored": (
        result("vanilla", EARLY + LATE[:2], runs=24),
        result("pretrain", [], runs=24),
        "better",
        f"Pretraining lowered the number of failed runs from 9 to 0 of 24 (-38 percentage points [...]; {AT_24}); "
        "force error +0 meV/Å, without an interval" + ALONE,
    ),
    "hurts": (
        result("vanilla", LATE),
        result("pretrain", [*EARLY, 900], force=113.0),
        "worse",
        f"Pretraining shortened the median time to failure to 0.13x [...] ({AT_8}); "
        "force error +35 meV/Å, without an interval" + ALONE,
    ),
    "hurts, vanilla never failed": (
        result("vanilla", []),
        result("pretrain", EARLY, force=None),
        "worse",
        f"Pretraining shortened the median time to failure to at most 0.080x [...] ({AT_8})" + ALONE,
    ),
    "helps although the median is shorter": (
        result("vanilla", [100.0] * 11 + [1000.0] * 13, runs=24, force=None),
        result("pretrain", [900.0] * 12, runs=24),
        "better",
        f"Pretraining lowered the number of failed runs from 24 to 12 of 24 (-50 percentage points [...]; {AT_24})"
        + ALONE,
    ),
    "helps by the mean alone": (
        result("vanilla", [100.0] * 11 + [1000.0] * 13, runs=24, force=None),
        result("pretrain", [900.0] * 12 + [2900.0] * 12, runs=24, force=None),
        "better",
        f"Pretraining lengthened the mean time survived 3.2x [...] ({AT_24})" + ALONE,
    ),
    "no effect": (
        result("vanilla", EARLY, force=None),
        result("pretrain", [t + 1 for t in EARLY]),
        "unclear",
        "No difference in stability can be shown: with pretraining the mean time survived is 1.0x [...], and 7 of 8 "
        f"runs failed instead of 7 ({AT_8})" + ALONE,
    ),
    "few failures": (
        result("vanilla", EARLY[:2], force=None),
        result("sam", EARLY[:1], runs=6),
        "unclear",
        "No difference in stability can be shown: with SAM training the mean time survived is 1.2x [...], and 1 of 6 "
        "runs failed instead of 2 (6 runs each of 3000 fs at 3000 K, without the runs of vanilla after the first 6 of "
        "each seed)" + ALONE,
    ),
    "nothing failed": (
        result("vanilla", [], force=None),
        result("pretrain", []),
        "untested",
        "The effect of pretraining on stability could not be tested: none of 8 runs failed on either side "
        f"({AT_8})" + ALONE,
    ),
    "no runs, no forces": (
        result("vanilla", [], runs=0),
        result("zbl-delta", [], runs=0, force=None),
        "untested",
        "The stability of zbl-delta was not compared with that of vanilla: no MD runs.",
    ),
    "no runs": (
        result("vanilla", [], runs=0),
        result("zbl-delta", [], runs=0, force=80.0),
        "untested",
        "The stability of zbl-delta was not compared with that of vanilla: no MD runs; "
        "force error +2 meV/Å, without an interval.",
    ),
}


def masked(sentence: str) -> str:
    """Without the ends of intervals, which are tested where they are made."""
    return re.sub(r"\[[^]]+\]", "[...]", sentence)


@pytest.mark.parametrize("case", CASES)
def test_verdict_says_what_happened(case):
    base, other, effect, sentence = CASES[case]
    found = verdict(base, other)
    assert found.effect == effect
    assert masked(found.sentence) == sentence


def several(strategy: str, failures: dict[int, list[float]], *, force: float = 78.0, **changes) -> StrategyResult:
    """One strategy with the failures of each seed; force errors rise from seed to seed."""
    records = [
        replace(result(strategy, times, force=force + 2 * seed).records[0], seed=seed, **changes)
        for seed, times in failures.items()
    ]
    return StrategyResult("CGCNN", strategy, tuple(records))


VANILLA = several("vanilla", {seed: [t + 20 * seed for t in EARLY] for seed in range(4)})
PRETRAIN = several("pretrain", {seed: [] for seed in range(4)}, force=78.4)


def test_seeds_are_compared_in_pairs():
    """The force errors of seeds differ more than those of the strategies: only pairs tell them apart."""
    found = verdict(VANILLA, PRETRAIN)
    assert masked(found.sentence) == (
        "Pretraining lengthened the median time to failure at least 11x [...] (32 runs each of 3000 fs at 3000 K); "
        "force error larger (+0.4 meV/Å [...])."
    )
    assert "[0.4, 0.4]" in found.sentence
    shuffled = StrategyResult("CGCNN", "pretrain", tuple(PRETRAIN.records[k] for k in (2, 0, 3, 1)))
    assert verdict(VANILLA, shuffled) == found


def test_what_has_no_counterpart_is_left_out_and_named():
    fewer = StrategyResult("CGCNN", "pretrain", PRETRAIN.records[1:3])
    found = verdict(VANILLA, fewer)
    assert "(16 runs each of 3000 fs at 3000 K, without seeds 0, 3 of vanilla); force error" in found.sentence
    same = verdict(StrategyResult("CGCNN", "vanilla", VANILLA.records[1:3]), fewer)
    assert found.sentence.replace(", without seeds 0, 3 of vanilla", "") == same.sentence
    others = StrategyResult("CGCNN", "pretrain", tuple(replace(r, seed=r.seed + 10) for r in PRETRAIN.records))
    nothing = verdict(VANILLA, others)
    assert nothing.effect == "untested"
    assert nothing.sentence == "The stability of pretrain was not compared with that of vanilla: no seed in common."


def test_runs_from_one_structure_belong_together():
    """Eight runs from two structures tell less than from eight; starts that differ between strategies tell nothing."""
    later = several("pretrain", {seed: [150.0, 160, 170, 180, *LATE[4:]] for seed in range(4)})

    def width(*starts: str) -> float:
        first, second = (
            StrategyResult(s.network, s.strategy, tuple(replace(r, sources=tuple(names)) for r in s.records))
            for s, names in zip((VANILLA, later), starts, strict=True)
        )
        mean = paired(first, second).mean
        return mean.high / mean.low

    two, eight = "aaaabbbb", "abcdefgh"
    assert width(two, two) > 1.3 * width(eight, eight)
    assert width(eight, eight) == width("", "") == width(two, eight)


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
        self.records, self.configuration = tuple(record for s in strategies for record in s.records), ""
        self.split = {}
        self.networks, self.teacher, self.census, self.trials = ("CGCNN",), None, {}, ()
        self.rungs = {"CGCNN": RungChoice(4000.0, 3000.0, reached, {}, None, [4000.0])}


def test_remarks_name_what_makes_a_comparison_doubtful():
    sam = result("sam", EARLY)
    dearer = StrategyResult("CGCNN", "sam", (replace(sam.records[0], train_steps=900, md_length_fs=1000.0),))
    text = " ".join(remarks(Run(result("vanilla", EARLY), dearer, reached=False)))
    for part in (
        "did not fail in half of its validation runs at any temperature tried",
        "unequal numbers of optimiser steps (vanilla 0, sam 900).",
        "1000, 3000 fs",
        "one seed",
    ):
        assert part in text
    fair = Run(StrategyResult("CGCNN", "vanilla", result("vanilla", EARLY).records * 2))
    assert not any("CGCNN" in remark for remark in remarks(fair))
    assert [s.strategy for s in compare(fair.records, "CGCNN")] == ["vanilla"]


def test_a_remark_says_where_the_walls_alone_keep_as_many_runs_alive():
    plain, pretrained = result("vanilla", EARLY), result("pretrain", [], force=77.0)

    def remark(*strategies):
        return [text for text in remarks(Run(*strategies)) if "walls alone" in text]

    assert remark(plain, result("walls-delta", [], force=80.0), pretrained) == [
        "CGCNN: with the EAM's walls alone, without pretraining, 0 of 8 runs failed (with pretraining 0 of 8), at a "
        "force error of 80 meV/Å (77); errors, close contacts and compression show what pretraining adds."
    ]
    assert remark(plain, result("walls-delta", EARLY[:1]), pretrained) == []
    assert remark(plain, result("walls-delta", EARLY[:1], runs=16), result("pretrain", EARLY[:1])) != []
    assert remark(plain, result("walls-delta", [], runs=0), pretrained) == [] == remark(plain, pretrained)


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
