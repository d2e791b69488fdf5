"""A configuration made from files alone, and the file that says the same."""

from pathlib import Path

import numpy as np
import pytest
import yaml

import keel
from keel.cli import app
from keel.config import read_config
from keel.errors import ConfigError, DataError
from keel.workflow.division import divide
from keel.workflow.planning import proposal as rules
from keel.workflow.planning.proposal import name_of, propose, read_files, temperatures
from tiny_run import FEW


@pytest.fixture(scope="module")
def phosphorus():
    return keel.read(FEW)


def with_info(frames, info):
    return [f.replace(info=info(k)) for k, f in enumerate(frames)]


def test_compares_plain_training_with_walls_alone_and_pretraining(phosphorus):
    found = propose(["data/p.extxyz.xz"], phosphorus)
    config = found.config
    assert (config.name, config.data.files) == ("p", ["data/p.extxyz.xz"])
    assert [n.label for n in config.networks] == ["CGCNN"]
    assert (config.strategies, config.seeds) == (["vanilla", "walls-delta", "pretrain"], [0])
    assert found.facts == (
        f"{len(phosphorus)} frames of 32 atoms: P",
        "labels: energy and forces of all frames, stress of none",
    )
    assert set(found.reasons) == {"data.split", "md.temperatures"}


def test_the_same_files_have_the_same_configuration(phosphorus):
    assert propose(["p.extxyz"], phosphorus).config == propose(["p.extxyz"], keel.read(FEW)).config


def test_other_networks_are_small(phosphorus):
    found = propose(["p.extxyz"], phosphorus, ["M3GNet", "TorchMDET", "CGCNN"]).config
    assert [n.label for n in found.networks] == ["M3GNet", "TorchMDET", "CGCNN"]
    assert [n.arguments.get("preset") for n in found.networks] == ["small", "small", None]
    assert found.training_of(found.networks[0]).learning_rate == 0.004
    for network in found.networks:
        keel.workflow.make.build_network(network, [15], 0)
    with pytest.raises(ConfigError, match="there is no 'SchNet'; choose from"):
        propose(["p.extxyz"], phosphorus, ["SchNet"])
    with pytest.raises(ConfigError, match="twice"):
        propose(["p.extxyz"], phosphorus, ["CGCNN", "CGCNN"])


@pytest.mark.parametrize(
    ("known", "ladder", "compared_at"),
    [
        ([], [1000, 2000, 3000, 4000], None),
        ([300.0], [1000, 2000, 3000, 4000], 300),
        ([300.0, 900.0], [1000, 2000, 3000, 4000], None),
        ([2500.0, 2510.0], [3000, 4000, 5000, 6000], 2505),
    ],
)
def test_md_is_hotter_than_the_data(phosphorus, known, ladder, compared_at):
    frames = with_info(phosphorus, lambda k: {"temperature": known[k % len(known)]} if known else {})
    config = propose(["p.extxyz"], frames).config
    assert config.md.temperatures == ladder
    assert config.evaluation.rdf_temperature == compared_at


def test_temperatures_are_numbers_under_their_usual_names():
    frames = with_info(keel.read(FEW)[:5], lambda k: {("temperature", "T_K", "Temp", "type", "t2")[k]: 300 + k})
    assert temperatures(frames) == [300.0, 301.0, 302.0]
    assert temperatures(with_info(frames, lambda k: {"temperature": "hot"})) == []


def test_frames_without_a_period_have_no_pair_structure(phosphorus):
    hot = with_info(phosphorus, lambda k: {"temperature": 300.0})
    molecules = [f.replace(pbc=np.zeros(3, dtype=bool)) for f in hot]
    assert propose(["p.extxyz"], molecules).config.evaluation.rdf_temperature is None


def test_of_many_elements_some_dimers(phosphorus):
    many = [f.replace(numbers=np.arange(1, len(f) + 1)) for f in phosphorus]
    found = propose(["p.extxyz"], many)
    assert found.config.evaluation.dimers == rules.PAIRS
    assert found.facts[0].endswith("32 elements")
    assert propose(["p.extxyz"], phosphorus).config.evaluation.dimers is True


def test_elements_that_would_not_train_are_left_out(phosphorus):
    """Wherever the frame that holds one stands, the others are divided so that all their elements train."""
    for k in range(0, len(phosphorus), 3):
        frames = [f.replace(info={}) for f in phosphorus]
        frames[k] = frames[k].replace(numbers=np.where(np.arange(32) == 0, 33, 15))
        found = propose(["p.extxyz"], frames)
        settings = found.config.data
        used = [f for f in frames if settings.elements is None or 33 not in f.numbers]
        parts = divide({"train": used}, settings.split).split
        trained = {int(z) for f in parts.train for z in f.numbers}
        assert {int(z) for part in parts.divided.values() for f in part for z in f.numbers} == trained
        assert (settings.elements == ["P"]) == ("As would be in no training" in found.reasons.get("data.elements", ""))


def test_what_cannot_be_learnt_from_is_refused(phosphorus):
    with pytest.raises(DataError, match="has forces"):
        propose(["p.extxyz"], [f.replace(forces=None) for f in phosphorus])


def test_labels_are_counted(phosphorus):
    some = [f.replace(energy=None) if k < 2 else f for k, f in enumerate(phosphorus)]
    assert rules.facts(some)[1] == f"labels: forces of all frames, energy of {len(some) - 2} frames, stress of none"


@pytest.mark.parametrize(
    ("file", "name"),
    [("a/zeolites.extxyz", "zeolites"), ("z.extxyz.gz", "z"), ("phosphorus", "phosphorus"), ("a.b.xyz", "a.b")],
)
def test_a_run_is_named_by_its_first_file(file, name):
    assert name_of(file) == name


def test_a_file_that_is_named_by_its_format_is_told_by_its_folder(tmp_path):
    (tmp_path / "quartz").mkdir()
    (tmp_path / "quartz" / "OUTCAR").touch()
    assert name_of(str(tmp_path / "quartz" / "OUTCAR")) == "quartz-OUTCAR"


def test_the_embedded_set_needs_no_file():
    assert len(read_files(["phosphorus"])) == len(keel.datasets.phosphorus())


@pytest.fixture
def told(monkeypatch, tmp_path, phosphorus):
    """Files in a folder, and what `keel run` is asked to do there."""
    (tmp_path / "data").mkdir()
    keel.write(tmp_path / "data" / "p.extxyz", phosphorus)
    found = {}
    monkeypatch.setattr("keel.commands.run.end_run", lambda *given, **more: None)
    monkeypatch.setattr("keel.workflow.run", lambda config, out, **more: found.update(more, config=config, out=out))
    monkeypatch.chdir(tmp_path)
    return found


def command(*words):
    app(list(words), standalone_mode=False)


def test_init_writes_what_run_does(told):
    command("run", "data/p.extxyz", "--network", "M3GNet")
    of_files = dict(told)
    command("init", "data/p.extxyz", "--network", "M3GNet")
    command("run", "p.yaml")
    assert told == of_files
    assert told["out"] == Path("runs/p") and told["config"].data.files == ["data/p.extxyz"]


def test_a_configuration_elsewhere_finds_its_files(told):
    command("run", "data/p.extxyz")
    of_files = told["config"]
    command("init", "data/p.extxyz", "--out", "deep/er/mine.yaml")
    found = read_config("deep/er/mine.yaml")
    assert found.replace(data=of_files.data) == of_files
    assert found.data.files == ["../../data/p.extxyz"]
    command("run", "deep/er/mine.yaml")
    assert told["base"] == Path("deep/er") and (told["base"] / found.data.files[0]).is_file()


def test_every_setting_is_explained(told):
    command("init", "data/p.extxyz")
    lines = Path("p.yaml").read_text().splitlines()
    assert any("32 atoms: P" in line for line in lines) and any("stress of none" in line for line in lines)
    settings = [k for k, line in enumerate(lines) if line.strip() and not line.strip().startswith(("#", "-"))]
    assert len(settings) > 20
    assert all(lines[k - 1].strip().startswith("#") for k in settings)
    assert max(map(len, lines)) <= 130


def test_nothing_is_overwritten(told):
    Path("p.yaml").write_text("mine")
    with pytest.raises(ConfigError, match=r"p\.yaml already exists; name another file with --out"):
        command("init", "data/p.extxyz")
    assert Path("p.yaml").read_text() == "mine"
    with pytest.raises(ConfigError, match=r"must end in \.yaml"):
        command("init", "data/p.extxyz", "--out", "p.json")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("p.yaml", "data/p.extxyz"), "one configuration, or data files"),
        (("p.yaml", "--network", "M3GNet"), "--network is for data files"),
        (("data/p.extxyz", "--data", "data/p.extxyz"), "--data replaces"),
        (("data/absent.extxyz",), "absent.extxyz"),
        (("data/p.extxyz", "--budget", "soon"), "--budget is a time"),
    ],
)
def test_mistakes_on_the_command_line(told, words, message):
    Path("p.yaml").write_text(yaml.safe_dump({"name": "p", "data": {"files": ["data/p.extxyz"]}}))
    with pytest.raises((ConfigError, DataError), match=message):
        command("run", *words)
    assert not told
