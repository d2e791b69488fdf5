"""An option that takes one value is refused when it is given twice: the first would be lost; so is a file."""

import pytest
from typer.testing import CliRunner

import keel
from keel.atoms.settings import DataSettings
from keel.cli import app
from keel.errors import ConfigError
from keel.settings import parse


@pytest.mark.parametrize(
    "arguments",
    [
        ["md", "a.json", "b.extxyz", "-T", "300", "-T", "600"],
        ["md", "a.json", "b.extxyz", "-T", "300", "--temperature=600"],
        ["train", "b.extxyz", "--out", "m", "--strategy", "sam", "--strategy", "vanilla"],
    ],
)
def test_once_is_enough(arguments):
    found = CliRunner().invoke(app, arguments)
    assert isinstance(found.exception, ConfigError)
    assert str(found.exception).endswith("is given twice; it takes one value")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["md", "a.json", "b.extxyz", "-T", "300K"], "--temperature must be a number, not '300K'"),
        (["md", "a.json", "b.extxyz", "-T", "300,600"], "--temperature must be a number, not '300,600'"),
        (["train", "b.extxyz", "--out", "m", "--steps", "4.5"], "--steps must be a whole number, not '4.5'"),
    ],
)
def test_what_is_no_number_is_repeated(arguments, said):
    found = CliRunner().invoke(app, arguments)
    assert isinstance(found.exception, ConfigError)
    assert str(found.exception) == said


def test_the_folder_of_a_run_is_no_data(tmp_path):
    (tmp_path / "config.yaml").write_text("name: a\n")
    found = CliRunner().invoke(app, ["run", str(tmp_path)])
    assert isinstance(found.exception, ConfigError)
    assert "this is the folder of a run; to continue it, give its configuration or data files again with --out" in str(
        found.exception
    )


def test_what_may_be_repeated_may():
    found = CliRunner().invoke(app, ["run", "--plugin", "none_a.py", "--plugin", "none_b.py", "c.yaml"])
    assert "none_a.py: there is no such file" in str(found.exception)


@pytest.mark.parametrize(("command", "out"), [("census", ""), ("fit", "a.json"), ("train", "a"), ("run", "a")])
def test_a_file_that_is_named_twice(command, out, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keel.write("a.extxyz", keel.datasets.phosphorus()[:20])
    found = CliRunner().invoke(app, [command, "a.extxyz", "./a.extxyz", *(["--out", out] if out else [])])
    assert "a.extxyz is named twice" in str(found.exception)


@pytest.mark.parametrize("files", [["a.xyz", "b/../a.xyz"], {"train": ["a.xyz"], "test": ["./a.xyz"]}])
def test_in_a_configuration(files):
    with pytest.raises(ConfigError, match=r"a\.xyz is named twice"):
        parse(DataSettings, {"files": files}, "data")


def test_training_and_validation_on_one_file(tmp_path):
    file = str(tmp_path / "a.extxyz")
    keel.write(file, keel.datasets.phosphorus()[:12:4])
    size = ["--cutoff", "4", "--preset", "small", "--steps", "1", "--strategy", "vanilla"]
    found = CliRunner().invoke(app, ["train", file, "--validation", file, *size, "--out", str(tmp_path / "made")])
    assert "the validation part has 3 frames of structures that are also in the training part" in found.output
