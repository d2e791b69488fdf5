"""Configuration: what is checked, and how a mistake is told."""

import pytest
import yaml

from keel.config import RunSettings, dump_yaml, parse, read_config
from keel.errors import ConfigError

GOOD = {"name": "test", "data": {"files": ["phosphorus"], "split": {"train": 8, "validation": 4}}}


def changed(**changes):
    return {**GOOD, **changes}


def test_round_trip_through_yaml(tmp_path):
    settings = parse(RunSettings, GOOD, "test")
    path = tmp_path / "config.yaml"
    path.write_text(dump_yaml(settings))
    assert read_config(path) == settings


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (changed(colour="blue"), "colour: there is no such setting"),
        (changed(training={"stepz": 3}), "training.stepz: there is no such setting"),
        (changed(training={"steps": -1}), "training.steps"),
        (changed(training={"loss": {"kind": "cosine"}}), "training.loss.kind"),
        (changed(strategies=["magic"]), "no strategy 'magic'"),
        (changed(strategies=["sam", "sam"]), "one name twice"),
        (changed(seeds=[]), "seeds"),
        (changed(seeds=[1, 1]), "one name twice"),
        (changed(networks=[{}, {}]), "one name twice"),
        (changed(md={"temperatures": [-3]}), "md.temperatures.0"),
        ({"name": "x"}, "data"),
        ([1, 2], "the file"),
        (None, "the file"),
    ],
)
def test_mistakes_name_the_setting(content, message, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match=r"config\.yaml") as error:
        read_config(path)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_unreadable(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_config(tmp_path / "absent.yaml")
    (tmp_path / "binary.yaml").write_bytes(bytes(range(256)))
    with pytest.raises(ConfigError, match="not YAML"):
        read_config(tmp_path / "binary.yaml")
    (tmp_path / "broken.yaml").write_text("a: [1, 2\nb: }")
    with pytest.raises(ConfigError, match="not YAML"):
        read_config(tmp_path / "broken.yaml")


def test_network_arguments_pass_through():
    settings = parse(RunSettings, changed(networks=[{"architecture": "CGCNN", "features": 16}]), "test")
    assert settings.networks[0].arguments == {"features": 16}
    assert settings.networks[0].label == "CGCNN"
