"""A run that only repairs the network of a file, and puts probes to it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import keel
from keel.config import RunSettings
from keel.errors import ConfigError
from keel.reporting.run.judgement import judgements, short_table
from keel.results.run import load_results
from keel.settings import parse
from keel.workflow import run
from keel.workflow.pipeline import Pipeline
from tiny_run import FEW, TINY, tiny

REPAIR = {"strategies": ["repair"], "networks": [{"start": "mine.safetensors"}]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with a network of one's own."""
    folder = tmp_path_factory.mktemp("mending")
    torch.manual_seed(0)
    network = keel.CGCNN(["P"], cutoff=4.0, features=8, convolutions=1, hidden=8)
    settings = keel.TrainingSettings(steps=2, batch_size=2)
    keel.train(network, keel.read(FEW)[:4], settings=settings).potential.save(str(folder / "mine.safetensors"))
    return folder


class TestConfiguration:
    @pytest.mark.parametrize("strategies", [["repair"], ["vanilla", "repair"], ["pretrain", "repair"]])
    def test_a_network_of_a_file_is_repaired_with_or_without_what_stands_before(self, strategies):
        config = parse(RunSettings, {**TINY, **REPAIR, "strategies": strategies}, "test")
        assert config.before("repair") == ("vanilla" if "vanilla" in strategies else None)
        assert config.strategy("repair").after == "vanilla"

    @pytest.mark.parametrize(
        ("changes", "sentence"),
        [
            (
                {"networks": TINY["networks"]},
                "'repair' continues from 'vanilla', which must come before it, or CGCNN must start from a trained",
            ),
            (
                {"networks": [*REPAIR["networks"], {"name": "new"}]},
                "which must come before it, or new must start from a trained network (start: FILE)",
            ),
            ({"strategies": ["repair", "vanilla"]}, "'repair' continues from 'vanilla', which must come before it"),
        ],
    )
    def test_a_new_network_cannot_be_repaired(self, changes, sentence):
        with pytest.raises(ConfigError, match=re.escape(sentence)):
            parse(RunSettings, {**TINY, **REPAIR, **changes}, "test")

    @pytest.mark.parametrize(
        ("probes", "sentence"), [(["phonon"], "there are no probes phonon; choose from stability, accuracy")]
    )
    def test_probes_that_there_are_not(self, probes, sentence, tmp_path):
        with pytest.raises(ConfigError, match=sentence):
            run(tiny(evaluation={"probes": probes}), tmp_path)


@pytest.fixture(scope="module")
def repaired(folder) -> Path:
    config = tiny(**REPAIR, evaluation={"dimers": False, "probes": ["accuracy", "clusters"]})
    run(config, folder / "run", base=folder)
    return folder / "run"


class TestRun:
    def test_repairs_the_network_of_the_file(self, repaired, folder):
        (record,) = json.loads((repaired / "summary.json").read_text())
        assert (record["network"], record["strategy"]) == ("mine", "repair")
        # A repair takes 0.4 of the steps, which stand alone: those before are nobody's.
        assert record["pretrain_steps"] + record["train_steps"] == 8
        (path,) = repaired.glob("stages/train/mine-repair-seed0-*/potential.safetensors")
        clamped, *walls = keel.load(path).members
        network = clamped.network
        before = keel.load(folder / "mine.safetensors")
        assert network.scale == before.scale and [type(w) for w in walls] == [keel.ContactRepulsion, keel.ZBL]
        assert not torch.equal(network.readout[0].weight, before.readout[0].weight)

    def test_the_given_network_chooses_the_temperature(self, repaired, folder):
        (done,) = repaired.glob("stages/rung/*/done.json")
        pipeline = Pipeline(tiny(**REPAIR), repaired, folder)
        names, potentials = pipeline._reference(pipeline.networks[0])
        assert json.loads(done.read_text())["inputs"]["networks"] == names
        assert names[0] == pipeline.data.name
        assert len(names[1]) == 64 and torch.equal(
            potentials()[0].readout[0].weight, keel.load(folder / "mine.safetensors").readout[0].weight
        )
        assert "the network as it was given" in page(repaired) and "vanilla fail" not in page(repaired)

    def test_the_verdict_is_beside_the_network_as_given(self, repaired):
        (found,) = judgements(load_results(repaired))
        share = 100 * max(found.given.failing_share.values())
        assert found.findings[-1].sentence.startswith("As given, the network failed in ")
        assert "with repair " in found.findings[-1].sentence
        assert "keel assess" in replace(found, warning=None).next_step  # of one that has learnt something
        first, second = short_table([found]).rows
        assert first[1] == "as given" and float(first[2].split()[0]) <= share + 0.5
        assert second[1] == "repair" and len(first) == len(second)
        assert "as given" in page(repaired) and "Not compared" not in page(repaired)

    def test_the_report_says_what_probes_found(self, repaired):
        (trial,) = load_results(repaired).trials
        assert list(trial.probes) == ["accuracy", "clusters"]
        names = [result.name for group in trial.probes.values() for result in group.results]
        assert len(names) >= 3
        for name in names:
            assert f"{name}: repair</th>" in page(repaired)

    def test_a_second_run_does_nothing_again(self, repaired, folder):
        before = {p: p.stat().st_mtime_ns for p in repaired.rglob("done.json")}
        run(tiny(**REPAIR, evaluation={"dimers": False, "probes": ["accuracy", "clusters"]}), repaired, base=folder)
        assert {p: p.stat().st_mtime_ns for p in repaired.rglob("done.json")} == before


def page(folder: Path) -> str:
    return (folder / "report.html").read_text()
