"""Commands that judge end with a table, the verdict, what to do next and the path; --strict exits by the verdict."""

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

import keel
from keel.cli import EXIT_CODES, app
from keel.commands.ending import end_assessment, end_run, show_table
from keel.comparison.samples import Sample
from keel.evaluation.check import CheckResult
from keel.evaluation.labels.against_labels import FORCES
from keel.reporting import write_assessment
from keel.reporting.run.tables import Table
from keel.results.assessment import Assessment
from run_folder import build_run_folder

BARE = ("data", "teacher", "accuracy", "rdf", "dimers", "squeeze")


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run in which pretraining helped, with potentials."""
    found = build_run_folder(tmp_path / "run", seeds=1, without=BARE)
    for path in (found / "stages" / "train").iterdir():
        (path / "potential.safetensors").write_text(path.name)
    return found


class TestRun:
    def test_table_verdict_use_and_last_the_path(self, folder, capsys):
        end_run(folder, folder / "report.html")
        lines = capsys.readouterr().out.splitlines()
        assert lines[-1] == f"report: {folder / 'report.html'}"
        text = "\n".join(lines)
        assert (
            text.index("7 of 8") < text.index("CGCNN: more stable. Pretraining lengthened") < text.index("Use CGCNN-")
        )
        assert f"keel md {folder / 'potentials' / 'CGCNN-pretrain-seed0.safetensors'} START.extxyz" in text
        assert "Train with more seeds" in text

    def test_of_several_networks_each_has_its_verdict(self, tmp_path, capsys):
        end_run(build_run_folder(tmp_path / "run", networks=("A", "B"), without=BARE), tmp_path / "report.html")
        text = capsys.readouterr().out
        assert "A: more stable." in text and "B: more stable." in text
        assert "Use " not in text, "there are no potentials"

    def test_strict_fails_where_nothing_was_learnt(self, folder, monkeypatch, capsys):
        end_run(folder, folder / "report.html", strict=True)
        monkeypatch.setattr("keel.reporting.run.judgement.nothing_learnt", lambda found: ["CGCNN"])
        end_run(folder, folder / "report.html")
        with pytest.raises(typer.Exit) as ended:
            end_run(folder, folder / "report.html", strict=True)
        assert ended.value.exit_code == 1
        assert capsys.readouterr().out.splitlines()[-1] == f"report: {folder / 'report.html'}"


def assessed(name: str, **outcomes: str) -> Assessment:
    return Assessment(name, tuple(CheckResult(probe, (), (), outcome, "so") for probe, outcome in outcomes.items()))


class TestAssessment:
    @pytest.mark.parametrize(("outcome", "code"), [("passed", 0), ("skipped", 0), ("noted", 0), ("failed", 1)])
    def test_the_exit_code_is_that_of_the_worst_potential(self, tmp_path, capsys, outcome, code):
        page = write_assessment([assessed("a", phonons="passed"), assessed("b", phonons=outcome)], tmp_path / "a.html")
        end_assessment(page)
        if code:
            with pytest.raises(typer.Exit) as ended:
                end_assessment(page, strict=True)
            assert ended.value.exit_code == code
        else:
            end_assessment(page, strict=True)
        assert capsys.readouterr().out.splitlines()[-1] == f"page: {page}"

    def test_counts_verdict_and_what_to_do(self, tmp_path, capsys):
        net = assessed("net", trimers="failed", phonons="skipped", locality="passed")
        end_assessment(write_assessment([net], tmp_path / "a.html"))
        text = capsys.readouterr().out
        assert "net 1 1 0 1" in [" ".join(line.split()) for line in text.splitlines()]
        assert "1 of 2 probes passed; trimers failed. Not tested: phonons." in text and "--strategy repair" in text
        assert "net:" not in text, "a potential alone is not named again"

    def test_the_page_says_the_same(self, tmp_path, capsys):
        page = write_assessment([assessed("net", locality="passed")], tmp_path / "a.html")
        end_assessment(page)
        sentence = "Simulate before you trust it in MD"
        assert sentence in capsys.readouterr().out and sentence in page.read_text()

    def test_several_are_compared(self, tmp_path, capsys):
        def with_errors(name: str, *values: float) -> Assessment:
            sample = Sample(FORCES, "meV/angstrom", np.array(values), ("a", "b", "c"))
            return Assessment(name, (CheckResult("accuracy", (), (), "noted", "so", samples=(sample,)),))

        potentials = [with_errors("first", 1.0, 2.0, 3.0), with_errors("second", 2.0, 3.1, 4.0)]
        end_assessment(write_assessment(potentials, tmp_path / "a.html"))
        text = capsys.readouterr().out
        assert "“second”" in text and "force error larger" in text and "first: No probe judged it" in text


class TestDimers:
    @pytest.fixture
    def sound(self, tmp_path: Path) -> Path:
        keel.EAM.from_elements(["Cu"], cutoff=5.0).save(str(tmp_path / "eam.json"))
        return tmp_path / "eam.json"

    @pytest.fixture
    def flat(self, tmp_path: Path) -> Path:
        keel.CGCNN(elements=["Cu", "O"], features=8, convolutions=1).save(str(tmp_path / "new.safetensors"))
        return tmp_path / "new.safetensors"

    def test_sound_ones_pass(self, sound):
        done = invoke("dimers", sound, "--strict")
        assert done.exit_code == 0 and "1 of 1 pairs passed, none failed: Cu-Cu." in done.output

    def test_others_are_named_and_fail_under_strict_only(self, flat, tmp_path):
        assert invoke("dimers", flat).exit_code == 0
        done = invoke("dimers", flat, "--strict", "--out", tmp_path / "out")
        assert done.exit_code == 1
        assert "0 of 3 pairs passed, 3 failed" in done.output and "O-Cu is not sound" in done.output
        assert done.output.splitlines()[-1].startswith("curves: ")

    def test_json_stays_json_and_tells_the_outcome(self, flat):
        done = invoke("dimers", flat, "--elements", "O", "--json", "--strict")
        found = json.loads(done.stdout)["O-O"]["judged"]
        assert done.exit_code == 1
        assert found["outcome"] == "failed" and found["verdict"].startswith("O-O is not sound")


def test_a_mistake_is_no_judgement(tmp_path):
    done = invoke("dimers", tmp_path / "nowhere.json", "--strict")
    assert done.exception is not None and not isinstance(done.exception, SystemExit), "main makes code 2 of it"


def test_help_names_the_exit_codes():
    assert " ".join(EXIT_CODES.split()[:3]) in " ".join(invoke("--help").output.split())
    for command in ("run", "assess", "dimers"):
        assert "--strict" in invoke(command, "--help").output


def test_tables_fit_into_log_files(capsys):
    show_table(Table("", ("a" * 60, "b" * 60), (("x", "1"),)))
    assert any("a" * 60 in line and "b" * 60 in line for line in capsys.readouterr().out.splitlines())
