"""What a run says of a network, on page and terminal: the label, what to do next, which potential to take."""

from dataclasses import replace
from pathlib import Path

import pytest
from test_report_verdict import EARLY, LATE, result, several

from keel.reporting.run.judgement import (
    BASELINE_ALONE,
    NO_BASELINE,
    Judgement,
    judgements,
    nothing_learnt,
    short_table,
)
from keel.reporting.run.skill import REMEDY, Skill
from keel.reporting.run.winner import RULE, exportable, uses, winners
from keel.reporting.strategies import StrategyResult, verdicts
from keel.results.run import load_results
from run_folder import HELPS, Scenario, build_run_folder

BARE = ("data", "teacher", "train", "accuracy", "rdf", "dimers", "squeeze")


def judged(*strategies: StrategyResult, warning: str | None = None) -> Judgement:
    return Judgement("CGCNN", strategies, warning, verdicts(strategies))


def shorter(length: float, *results: StrategyResult) -> list[StrategyResult]:
    """The same runs, none of which failed, with another length."""
    return [
        StrategyResult(s.network, s.strategy, tuple(replace(r, md_length_fs=length) for r in s.records))
        for s in results
    ]


CALM = (result("vanilla", []), result("pretrain", []))
CASES = {
    "one seed": ((result("vanilla", EARLY), result("pretrain", [])), "More stable", "Train with more seeds"),
    "seeds": (
        (several("vanilla", dict.fromkeys(range(4), EARLY)), several("pretrain", {k: [] for k in range(4)})),
        "More stable",
        "keel assess on the potential that you choose",
    ),
    "better, and yet": (
        (result("vanilla", [*EARLY, 900]), result("pretrain", LATE)),
        "More stable",
        "Still, 8 of 8 runs failed",
    ),
    "worse": ((result("vanilla", []), result("pretrain", EARLY)), "Less stable", "Keep vanilla training"),
    "unclear": (
        (result("vanilla", EARLY), result("pretrain", [t + 1 for t in EARLY])),
        "No clear difference",
        "More runs (md: runs) and more seeds",
    ),
    "nothing failed": (CALM, "Not tested", "Vanilla training does not fail at 3000 K either"),
    "too short": (tuple(shorter(20, *CALM)), "Not tested", "Runs of 20 fs are too short for a comparison"),
    "no runs": ((result("vanilla", [], runs=0), result("pretrain", [], runs=0)), "Not tested", "and MD runs"),
    "no baseline": ((result("pretrain", []), result("sam", [])), "Not compared", "Add vanilla to strategies"),
}


@pytest.mark.parametrize("case", CASES)
def test_each_outcome_has_its_label_and_its_next_step(case):
    strategies, label, step = CASES[case]
    found = judged(*strategies)
    assert found.findings[0].label == label
    assert step in found.next_step and found.next_step.endswith(".")


def test_the_sentence_is_that_of_the_verdict_and_nothing_learnt_stands_before_it():
    found = judged(*CALM)
    assert [f.sentence for f in found.findings] == [v.sentence for v in verdicts(CALM)]
    empty = judged(*CALM, warning=Skill("CGCNN", 80.0, 40.0).sentence)
    assert [f.label for f in empty.findings] == ["Nothing learnt", "Not tested"]
    assert empty.next_step == REMEDY and REMEDY not in empty.findings[0].sentence
    assert nothing_learnt([found, empty]) == ["CGCNN"]


def test_the_table_has_a_row_for_each_strategy_and_only_what_was_measured():
    sam = StrategyResult("CGCNN", "sam", result("sam", EARLY[:2]).records)
    table = short_table([judged(result("vanilla", EARLY), sam, result("pretrain", [], force=81.0))])
    heads = [" ".join(name.split()) for name in table.head]
    assert heads[:4] == ["Network", "Strategy", "Failed runs", "Median life (fs)"]
    assert heads[-1] == "Stability vs vanilla"
    by_strategy = {row[1]: dict(zip(heads, row, strict=True)) for row in table.rows}
    assert by_strategy["vanilla"]["Failed runs"] == "7 of 8" and by_strategy["vanilla"]["Median life (fs)"] == "241"
    assert by_strategy["pretrain"]["Median life (fs)"] == "> 3000"
    assert by_strategy["pretrain"]["Forces (meV/Å)"] == "81"
    assert [row[-1] for row in table.rows] == ["–", "more stable", "more stable"]
    assert "Contacts per 1000" not in heads
    counted = StrategyResult("CGCNN", "sam", tuple(replace(r, close_contacts_per_1000_atoms=2.5) for r in sam.records))
    assert short_table([judged(counted)]).rows[0][-2] == "2.5"


def test_plain_training_alone_is_not_called_absent():
    alone = judged(result("vanilla", []))
    assert [f.sentence for f in alone.findings] == [BASELINE_ALONE]
    assert alone.next_step == "Add walls-delta or pretrain to strategies to see what they gain."
    assert [f.sentence for f in judged(result("pretrain", [])).findings] == [NO_BASELINE]


def test_strategies_without_runs_have_dashes():
    (row,) = short_table([judged(result("vanilla", [], runs=0))]).rows
    assert row[2:4] == ("–", "–")


class TestWinner:
    def test_fewest_failed_runs_come_before_the_force_error(self):
        (found,) = winners([judged(result("vanilla", EARLY, force=60.0), result("pretrain", [], force=81.0))])
        assert found.name == "CGCNN-pretrain-seed0"
        assert found.sentence == (
            "CGCNN-pretrain-seed0 (with pretrain 0 of 8 runs failed; its force error is 81 meV/Å)"
        )

    def test_of_equals_the_force_error_decides_between_strategies_and_seeds(self):
        calm = {k: [] for k in range(3)}
        (found,) = winners([judged(several("vanilla", calm, force=78.0), several("pretrain", calm, force=77.0))])
        assert found.name == "CGCNN-pretrain-seed0"
        (found,) = winners([judged(several("vanilla", {0: EARLY, 1: [], 2: []}))])
        assert found.name == "CGCNN-vanilla-seed1", "a seed that failed less, though its error is larger"

    def test_where_all_is_the_same_plain_training_is_not_proposed(self):
        given = result("vanilla", [], force=30.61), result("walls-delta", [], force=30.62)
        for order in (given, given[::-1]):
            assert winners([judged(*order)])[0].record.strategy == "walls-delta"

    def test_runs_count_by_their_share(self):
        (found,) = winners([judged(result("vanilla", EARLY[:3], runs=24), result("pretrain", EARLY[:2], runs=4))])
        assert found.record.strategy == "vanilla"

    def test_what_is_not_known_comes_last(self):
        (found,) = winners([judged(result("sam", [], force=None), result("vanilla", [], force=99.0))])
        assert found.record.strategy == "vanilla"
        (found,) = winners([judged(result("sam", [], runs=0, force=1.0), result("vanilla", EARLY))])
        assert found.record.strategy == "vanilla"

    def test_a_network_that_has_learnt_nothing_is_not_proposed(self):
        good = judged(result("vanilla", [], force=90.0))
        better = replace(judged(result("vanilla", [], force=40.0)), network="M3GNet")
        assert winners([replace(good, warning="nothing")]) == []
        assert [w.record.force_mae_mev_per_angstrom for w in winners([good, better])] == [40.0, 90.0]

    def test_the_lines_use_the_file_and_survive_spaces(self):
        lines = dict(uses(Path("my runs/potentials/a.safetensors"), Path("my runs/teacher.json")))
        assert lines["simulate"].startswith("keel md 'my runs/potentials/a.safetensors' START.extxyz -T 300")
        assert lines["in Python, with ASE"] == 'atoms.calc = keel.KeelCalculator("my runs/potentials/a.safetensors")'
        assert "keel export 'my runs/teacher.json'" in lines["the EAM teacher in LAMMPS"]
        assert "the EAM teacher in LAMMPS" not in dict(uses(Path("a.safetensors")))

    @pytest.mark.parametrize(
        ("name", "text", "can"),
        [
            ("teacher.json", '{"potential": "EAM"}', True),
            ("teacher.json", '{"members": [{"potential": "EAM"}, {"potential": "ThreeBody"}]}', False),
            ("teacher.json", '{"potential": "LennardJones"}', False),
            ("teacher.safetensors", "EAM", False),
        ],
    )
    def test_only_an_eam_is_exported(self, tmp_path, name, text, can):
        (tmp_path / name).write_text(text)
        assert exportable(tmp_path, {"teacher": Path(name)}) == (Path(name) if can else None)
        assert exportable(tmp_path, {}) is None


def test_the_page_tells_how_to_use_the_potential_to_take(tmp_path):
    from html_page import Page
    from keel.reporting import write_report

    folder = build_run_folder(tmp_path / "run", seeds=1, without=[s for s in BARE if s != "train"])
    assert "How to use it" not in Page(write_report(folder).read_text()).text
    for path in (folder / "stages" / "train").iterdir():
        (path / "potential.safetensors").write_text(path.name)
    text = " ".join(Page(write_report(folder).read_text()).text.split())
    assert "Use CGCNN-pretrain-seed0 (with pretrain 0 of 8 runs failed" in text and RULE in text
    assert 'KeelCalculator("potentials/CGCNN-pretrain-seed0.safetensors")' in text
    assert (folder / "potentials" / "CGCNN-sam-seed0.safetensors").is_file()
    assert "What next? Train with more seeds" in text


def test_judgements_come_from_a_run_folder(tmp_path):
    two = build_run_folder(tmp_path / "run", networks=("A", "B"), without=BARE, seeds=1)
    assert [j.network for j in judgements(load_results(two))] == ["A", "B"]
    calm = build_run_folder(tmp_path / "calm", scenario=Scenario({}, HELPS.force_mae), without=BARE)
    (found,) = judgements(load_results(calm))
    assert {f.label for f in found.findings} == {"Not tested"}
