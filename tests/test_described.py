"""Settings explain themselves: on the terminal, as a page and to editors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from keel.cli import app
from keel.config import RunSettings, read_config
from keel.described import described, page, within
from keel.errors import ConfigError
from keel.potentials.networks.arguments import arguments_described
from keel.potentials.networks.network import Network, network_class
from keel.schema import schema_of_files

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").rglob("*.yaml"))
ALL = [*described(RunSettings), *arguments_described()]


def places(section: str | None) -> list[str]:
    return [one.place for one in within(ALL, section)]


def test_the_page_is_that_of_the_classes():
    assert (ROOT / "docs" / "settings.md").read_text() == page(ALL), "make docs"


def test_every_setting_has_a_meaning():
    names = [one.place for one in ALL]
    assert len(set(names)) == len(names)
    assert [one.place for one in ALL if not one.meaning] == []
    assert not [one for one in ALL if ":func:" in one.meaning or "`" in one.place]


def test_facts_come_from_the_fields():
    (timestep,) = within(ALL, "md.timestep_fs")
    assert (timestep.kind, timestep.default, timestep.unit, timestep.limits) == (
        "number or null",
        "null",
        "fs",
        "0 < x <= 20",
    )
    (seeds,) = within(ALL, "seeds")
    assert (seeds.kind, seeds.default, seeds.limits) == ("list of whole numbers", "[0]", "x >= 0")


@pytest.mark.parametrize("name", ["CGCNN", "M3GNet", "TorchMDET", "MACE"])
def test_arguments_of_each_network_are_there(name: str):
    cls: type[Network] = network_class(name)
    section = f"networks[architecture: {name}]"
    found = {one.name: one for one in ALL if one.section == section and one.kind != "settings"}
    assert set(found) == {"preset", *cls.presets["default"], *cls.same} | ({"mode"} & set(found))
    assert (found["cutoff"].default, found["cutoff"].unit) == (str(cls.presets["default"]["cutoff"]), "Å")
    assert {one.place for one in within(ALL, "networks")} >= {one.place for one in found.values()}


def test_a_section_is_found_by_its_name():
    assert places("training.loss") == places("loss")
    assert places("loss")[0] == "training.loss" and "training.loss.kind" in places("loss")
    assert places("networks")[:2] == ["networks", "networks[].architecture"]
    assert places("custom_strategies.replay_share") == ["custom_strategies.NAME.replay_share"]
    assert len(places("patience")) == 1
    with pytest.raises(ConfigError, match="there is no setting 'trianing'; did you mean training"):
        places("trianing")


def test_on_the_terminal():
    result = CliRunner().invoke(app, ["settings", "training.loss"])
    assert result.exit_code == 0 and "huber_delta" in result.output and "eV/Å" in result.output
    assert "learning_rate" not in result.output
    everything = CliRunner().invoke(app, ["settings"], env={"COLUMNS": "80"}).output
    assert all(one.name in everything for one in ALL)
    assert max(map(len, everything.splitlines())) <= 80


class TestSchema:
    schema = schema_of_files(RunSettings)

    def errors(self, content: object) -> list[str]:
        jsonschema = pytest.importorskip("jsonschema")
        return [error.message for error in jsonschema.Draft202012Validator(self.schema).iter_errors(content)]

    def test_is_what_the_command_prints(self):
        assert json.loads(CliRunner().invoke(app, ["settings", "--schema"]).output) == self.schema

    @pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
    def test_examples(self, path):
        assert self.errors(yaml.safe_load(path.read_text())) == []

    def test_what_keel_writes(self):
        written = read_config(ROOT / "examples" / "silica.yaml").model_dump(mode="json")
        assert self.errors(written) == []

    @pytest.mark.parametrize(
        "change",
        [
            {"stratgies": ["vanilla"]},
            {"training": {"steps": 0}},
            {"training": {"loss": {"kind": "cosine"}}},
            {"md": {"timestep_fs": 100}},
            {"data": {"elements": "P"}},
            {"seeds": "many"},
        ],
        ids=str,
    )
    def test_mistakes(self, change):
        good = {"name": "test", "data": {"files": "phosphorus"}, "seeds": 0, "networks": "CGCNN"}
        assert self.errors(good) == []
        assert self.errors({**good, **change}) != []
        # In a file that extends another only what must be given may be left out.
        assert bool(self.errors({"extends": "other.yaml", **change})) == ("data" not in change)


def test_help_in_working_order():
    output = CliRunner().invoke(app, ["help"]).output
    order = ["census", "fit", "perturb", "train", "md", "evaluate", "assess", "run", "study", "report"]
    found = [output.index(f"│ {name} ") for name in order]
    assert found == sorted(found)


def test_help_of_a_command():
    runner = CliRunner()
    assert runner.invoke(app, ["help", "run"]).output.split() == runner.invoke(app, ["run", "--help"]).output.split()
    assert runner.invoke(app, ["help", "rum"]).exit_code == 2


def test_version():
    assert CliRunner().invoke(app, ["--version"]).output.startswith("keel 0.")


def test_help_of_train_names_every_strategy():
    from keel.training.known import KNOWN

    output = CliRunner().invoke(app, ["train", "--help"], env={"COLUMNS": "200"}).output
    assert all(name in output for name in KNOWN)
