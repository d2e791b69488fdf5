"""A run says which groups went where, on the terminal and in its report, and finds its tasks again."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from ase.build import bulk
from ase.calculators.emt import EMT
from typer.testing import CliRunner

import keel
from keel.atoms.labelling.labelled import frame_from_ase
from keel.cli import app
from keel.config import RunSettings, read_config
from keel.reporting.run.notes import remarks, story
from keel.reporting.run.tables import census_table
from keel.results.made import DataDescription, parts_in_words
from keel.workflow.data import read_data
from keel.workflow.pipeline import Pipeline
from keel.workflow.run import print_data
from tiny_run import FEW, TINY, tiny

PHASES = {"by": "phase", "train": "black", "validation": 0.2, "test": "liquid-P4"}


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """Frames that say what they are for; one of the test is trained on too."""
    names = ["train"] * 8 + ["val"] * 3 + ["test"] * 4
    frames = [f.replace(info={"Split": name}) for name, f in zip(names, keel.read(FEW)[:15], strict=True)]
    path = tmp_path_factory.mktemp("data") / "own.extxyz"
    keel.write(path, [*frames, frames[0].replace(info={"Split": "test"})])
    return path


def pipeline(data, folder) -> Pipeline:
    return Pipeline(tiny(data=data, evaluation={}), folder, folder)


def told(made, capsys) -> list[str]:
    print_data(made)
    lines = [line.strip() for line in capsys.readouterr().err.splitlines()]
    return [line for line in lines if not line.startswith("data ")]


def test_named_groups_are_told(tmp_path, capsys):
    made = pipeline({"files": [str(FEW)], "split": {**PHASES, "train_frames": 4000}}, tmp_path)
    asked, train, validation, test = told(made, capsys)
    there = len(made.split.train)
    assert asked == (
        f"note  data.split.train_frames asks for 4,000 frames, but the training part has {there}: all are used"
    )
    assert train == f"split  {len(made.split.train)} frames train: black"
    assert validation == f"split  {len(made.split.validation)} frames choose the weights: black"
    assert test == f"split  {len(made.split.test)} frames test: liquid-P4"
    assert {f.info["phase"] for f in made.split.test} == {"liquid-P4"}


def test_data_that_divide_themselves_need_no_split(own, tmp_path, capsys):
    lines = told(pipeline({"files": [str(own)]}, tmp_path), capsys)
    assert lines[0].startswith(
        "note  no split is given; the data contain one, which is used: {by: Split, train: train,"
    )
    assert lines[1:4] == [
        "split  8 frames train: train",
        "split  3 frames choose the weights: val",
        "split  5 frames test: test",
    ]
    assert lines[4].startswith(
        "note  the test part has 1 frame of structures that are also in the training part, such as"
    )


def test_the_same_parts_are_found_again_however_they_were_made(own, tmp_path, capsys):
    frames = keel.read(own)
    for part in ("train", "val", "test"):
        keel.write(tmp_path / f"{part}.extxyz", [f for f in frames if f.info["Split"] == part])
    files = {part: f"{name}.extxyz" for part, name in (("train", "train"), ("validation", "val"), ("test", "test"))}
    by_name, by_file = pipeline({"files": [str(own)]}, tmp_path), pipeline({"files": files}, tmp_path)
    assert by_name.data == by_file.data
    assert [by_file.divided().split["by"], by_name.divided().split["by"]] == ["file", "Split"]
    description = DataDescription.read(by_file.data)
    assert description.parts == ["8 frames train: train", "3 frames choose the weights: val", "5 frames test: test"]
    assert len(description.split["leaks"]) == 1 and len(description.split["sources"]["test"]) == 5


def test_counted_groups_have_the_tasks_of_named_ones(tmp_path):
    counted = {"by": "phase", "train": 1, "validation": 0, "test": 1}
    made = pipeline({"files": [str(FEW)], "split": counted}, tmp_path)
    names = {part: frames[0].info["phase"] for part, frames in made.split.divided.items() if frames}
    named = pipeline({"files": [str(FEW)], "split": {"by": "phase", "validation": 0, **names}}, tmp_path)
    assert named.fingerprint == made.fingerprint


def test_elements_are_chosen_in_each_part(tmp_path):
    frame = keel.read(FEW)[0]
    silicon = frame.replace(numbers=np.full(len(frame), 14))
    keel.write(tmp_path / "a.extxyz", [frame, silicon, frame])
    keel.write(tmp_path / "b.extxyz", [silicon, frame])
    data = {"files": {"train": "a.extxyz", "test": "b.extxyz"}, "elements": ["P"]}
    found = read_data(tiny(data=data).data, tmp_path)
    assert {part: len(frames) for part, frames in found.items()} == {"train": 2, "test": 1}


def test_the_report_has_the_groups_and_what_stands_twice():
    groups = [{"part": "train", "name": f"g{k}", "frames": 5} for k in range(9)]
    split = {"train": 45, "validation": 0, "test": 3, "by": "k", "description": "Divided by k.", "leaks": ["a leak"]}
    split["groups"] = [*groups, {"part": "test", "name": "held", "frames": 3}]
    nothing = {"census": {}, "teacher": None, "networks": [], "rungs": {}, "trials": []}
    steps = {"pretrain_steps": 0, "train_steps": 1}
    nothing["records"] = [SimpleNamespace(strategy="vanilla", seed=0, time_to_failure_fs=(), **steps)]
    results = SimpleNamespace(split=split, configuration="", **nothing)
    words = dict(story(results))["Split"]
    assert words == (
        "45 frames train: g0 (5 frames), g1 (5), g2 (5), g3 (5), g4 (5) and 4 more; 3 frames test: held. Divided by k."
    )
    assert remarks(results)[0] == "a leak"


def test_parts_of_earlier_versions_are_told_by_their_sizes():
    assert parts_in_words({"train": 1, "validation": 0, "test": 1200, "sources": {}}) == [
        "1 frame train",
        "1,200 frames test",
    ]


def test_a_configuration_is_written_out_and_reads_back(tmp_path):
    for data in ({"files": {"train": "a", "test": ["b"]}}, {"files": ["a"], "split": PHASES}, {"files": ["a"]}):
        path = tmp_path / "c.yaml"
        path.write_text(yaml.safe_dump({**TINY, "data": data}))
        settings = read_config(path)
        path.write_text(yaml.safe_dump(settings.model_dump(mode="json")))
        assert read_config(path) == settings


def test_patience_needs_validations():
    patient = {**TINY["training"], "patience": 2}
    assert isinstance(tiny(training=patient, data={"files": ["a"]}), RunSettings)
    with pytest.raises(keel.errors.ConfigError, match="patience counts validations"):
        tiny(training=patient, data={"files": ["a"], "split": {"train": 3, "validation": 0}})


class TestCommands:
    def run(self, *arguments):
        result = CliRunner().invoke(app, [str(a) for a in arguments])
        return result.exit_code, " ".join((result.output + str(result.exception or "")).split())

    def train(self, own, out, *options):
        small = ("--preset", "small", "--strategy", "vanilla", "--steps", 2)
        return self.run("train", own, "--out", out / "model", *small, *options)

    def test_census_proposes_the_split(self, own):
        _, words = self.run("census", own)
        assert "split: {by: Split, train: train, validation: val, test: test}, which `keel run` uses" in words
        assert "the test part has 1 frame of structures that are also in the training part" in words
        _, words = self.run("census", own, "--json")
        split = json.loads(words)["split"]
        assert split == {"by": "Split", "train": ["train"], "validation": ["val"], "test": ["test"], "others": []}

    @pytest.mark.parametrize(
        ("options", "lines"),
        [
            (
                ("--by", "Split"),
                ["training: train (8 frames)", "validation: val (3 frames)", "not used: test (5 frames)"],
            ),
            (("--by", "Split", "--validation", 0.25), ["training: train (6 frames)", "validation: train (2 frames)"]),
            (
                ("--by", "Split", "--train", "train,val", "--validation", "test"),
                [
                    "training: train (8 frames) and val (3)",
                    "validation: test (5 frames)",
                    "the validation part has 1 frame",
                ],
            ),
            ((), ["all frames are used; they have a split of their own, which --by Split would use: {by: Split,"]),
        ],
    )
    def test_train_by_names(self, own, tmp_path, options, lines):
        code, words = self.train(own, tmp_path, *options)
        assert code == 0
        assert all(line in words for line in lines), words

    def test_train_with_a_file_that_validates(self, own, tmp_path):
        code, words = self.train(own, tmp_path, "--validation", FEW)
        assert code == 0 and "validation: energy" in words

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (("--train", "train"), "--train names groups of frames; give the key of the frames that has"),
            (("--validation", "val"), "--validation val is neither a share nor a file; names of groups need --by KEY"),
            (("--validation", "nan"), "--validation is a share of the frames in [0, 1), such as 0.1, not nan"),
            (("--by", "Split", "--train", "tran"), "train: no frame has Split 'tran'; there are train (8 frames)"),
            (("--by", "split"), "it has no 'split' to group by; its keys are Split"),
        ],
    )
    def test_mistakes(self, own, tmp_path, options, message):
        code, words = self.train(own, tmp_path, *options)
        assert code != 0 and message in words

    @pytest.mark.parametrize(
        ("only", "frames"),
        [
            ("Split=test", 5),
            ("Split=val,test", 8),
            ("Split=nil", "no frame has Split 'nil'; there are train (8 frames)"),
        ]
        + [(text, "--only takes a key and names, such as part=test") for text in ("Split", "=a", "Split=", "Split=,")],
    )
    def test_evaluate_only_some_groups(self, own, tmp_path, only, frames):
        keel.LennardJones(epsilon=0.1, sigma=2.0, cutoff=5.0).save(str(tmp_path / "lj.json"))
        code, words = self.run("evaluate", tmp_path / "lj.json", own, "--json", "--only", only)
        if isinstance(frames, int):
            assert json.loads(words)["frames"] == frames
        else:
            assert code != 0 and frames in words

    def test_fit_by_names(self, own, tmp_path):
        fit = ("fit", own, "--out", tmp_path / "eam.json", "--cutoff", 4, "--by", "Split", "--json")
        _, words = self.run(*fit)
        content = json.loads(words)
        assert content["data_notes"][:3] == [
            "training: train (8 frames)",
            "test: test (5 frames)",
            "not used: val (3 frames)",
        ]
        assert (content["training"]["frames"], content["test"]["frames"]) == (8, 5)
        _, words = self.run(*fit, "--train", "train", "--test", "val")
        assert json.loads(words)["test"]["frames"] == 3


def test_a_wrong_file_among_the_data_is_told_and_the_report_says_what_was_checked(tmp_path, capsys):
    rng = np.random.default_rng(0)
    frames = []
    for _ in range(40):
        atoms = bulk("Cu", cubic=True) * (2, 2, 1)
        atoms.positions += rng.normal(scale=0.18, size=(16, 3))
        atoms.calc = EMT()
        atoms.get_stress()
        frames.append(frame_from_ase(atoms))
    keel.write(tmp_path / "good.extxyz", frames[:32])
    keel.write(tmp_path / "bad.extxyz", [f.replace(forces=-f.forces) for f in frames[32:]])
    made = pipeline({"files": ["good.extxyz", "bad.extxyz"], "split": {"by": "frame"}}, tmp_path)
    said = " ".join(told(made, capsys))
    assert "have forces of the opposite sign" in said
    assert f"all 8 of {tmp_path / 'bad.extxyz'}" in said
    rows = dict(census_table(made.divided().census).rows)
    assert rows["Check of the stress"].startswith(("agrees, in sign", "cannot be checked"))
    census = {"frames": 1, "labels": {"stress": 1}, "stress": {"verdict": "cannot be checked: few"}}
    judged = {**census, "judge": {"checked": {"stress": "agrees with the forces"}}}
    assert dict(census_table(census).rows)["Check of the stress"] == "cannot be checked: few"
    assert dict(census_table(judged).rows)["Check of the stress"] == "agrees with the forces"
