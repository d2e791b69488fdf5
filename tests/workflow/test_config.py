"""Configuration: what is checked, and how a mistake is told."""

from pathlib import Path

import pytest
import yaml

from keel.config import RunSettings, dump_yaml, read_config
from keel.errors import ConfigError
from keel.settings import parse

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
        (changed(training={"devices": 2}), "one device; run with --workers"),
        (changed(strategies=["magic"]), "no strategy 'magic'"),
        (changed(strategies=["sam", "sam"]), "strategies contains sam twice"),
        (changed(seeds=[]), "seeds"),
        (changed(seeds=[-1]), "seeds.0"),
        (changed(training={"loss": {"energy": 0, "forces": 0, "stress": 0}}), "must be above zero"),
        (
            changed(strategies=["eam-delta"], teacher={"calculator": "ase.calculators.emt.EMT"}),
            "cannot be a calculator",
        ),
        (
            changed(strategies=["zbl-delta", "on"], custom_strategies={"on": {"after": "zbl-delta"}}),
            "whose network is on a base",
        ),
        (changed(seeds=[1, 1]), "seeds contains 1 twice"),
        (changed(networks=[{}, {}]), "networks contains CGCNN twice; give one of them a name"),
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


def test_a_network_changes_only_what_it_names():
    networks = [{"training": {"loss": {"energy": 5}}}]
    settings = parse(RunSettings, changed(networks=networks, training={"loss": {"forces": 10, "stress": 0}}), "test")
    found = settings.training_of(settings.networks[0]).loss
    assert (found.energy, found.forces, found.stress) == (5, 10, 0)


def test_unreadable(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_config(tmp_path / "absent.yaml")
    (tmp_path / "binary.yaml").write_bytes(bytes(range(256)))
    with pytest.raises(ConfigError, match="this is not UTF-8 text; save it in this encoding"):
        read_config(tmp_path / "binary.yaml")
    (tmp_path / "broken.yaml").write_text("a: [1, 2\nb: }")
    with pytest.raises(ConfigError, match=r"broken\.yaml, line 2: this is not YAML .*; check indentation"):
        read_config(tmp_path / "broken.yaml")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a:\n\tb: 1\n", r"line 2: this is not YAML \(found character '\\t' that cannot start any token\)"),
        ("a: *b\n", r"line 1: this is not YAML \(found undefined alias"),
        ("a: !!python/name:os.system x\n", r"line 1: this is not YAML \(could not determine a constructor for the tag"),
    ],
)
def test_what_is_wrong_with_yaml_is_said(content, said, tmp_path):
    (tmp_path / "a.yaml").write_text(content)
    with pytest.raises(ConfigError, match=said):
        read_config(tmp_path / "a.yaml")


def test_numbers_are_what_they_look_like(tmp_path):
    text = yaml.safe_dump(changed()) + "seeds: [010, 1_000]\n"
    (tmp_path / "a.yaml").write_text("\ufeff" + text, encoding="utf-8")
    assert read_config(tmp_path / "a.yaml").seeds == [10, 1000]
    (tmp_path / "b.yaml").write_text(yaml.safe_dump(changed()) + "training: {steps: 1:30}\n")
    with pytest.raises(ConfigError, match=r"training\.steps must be a whole number"):
        read_config(tmp_path / "b.yaml")


def test_settings_of_a_network_of_ones_own_are_shown():
    settings = parse(RunSettings, changed(networks=[{"architecture": "CGCNN", "features": 16}]), "test")
    assert "features=16" in str(settings)


def test_network_arguments_pass_through():
    settings = parse(RunSettings, changed(networks=[{"architecture": "CGCNN", "features": 16}]), "test")
    assert settings.networks[0].arguments == {"features": 16}
    assert settings.networks[0].label == "CGCNN"


class TestExtends:
    def write(self, folder, name, content):
        (folder / name).write_text(yaml.safe_dump(content))
        return folder / name

    def test_says_only_what_is_other(self, tmp_path):
        self.write(tmp_path, "base.yaml", changed(training={"steps": 7, "batch_size": 2}, seeds=[0, 1]))
        other = {"extends": "base.yaml", "name": "other", "training": {"steps": 9}, "seeds": [5]}
        settings = read_config(self.write(tmp_path, "other.yaml", other))
        assert (settings.name, settings.seeds) == ("other", [5])
        assert (settings.training.steps, settings.training.batch_size) == (9, 2)
        assert settings.data == parse(RunSettings, GOOD, "test").data

    def test_through_several_files_and_folders(self, tmp_path):
        (tmp_path / "large").mkdir()
        self.write(tmp_path, "a.yaml", changed(training={"steps": 7}))
        self.write(tmp_path, "b.yaml", {"extends": "a.yaml", "training": {"batch_size": 3}})
        last = self.write(tmp_path, "large/c.yaml", {"extends": "../b.yaml", "training": {"steps": 70}})
        assert (read_config(last).training.steps, read_config(last).training.batch_size) == (70, 3)

    def test_itself_is_refused(self, tmp_path):
        self.write(tmp_path, "a.yaml", {"extends": "b.yaml"})
        path = self.write(tmp_path, "b.yaml", {"extends": "a.yaml"})
        with pytest.raises(ConfigError, match="extends itself"):
            read_config(path)

    def test_a_number_is_no_file(self, tmp_path):
        path = self.write(tmp_path, "a.yaml", {"extends": 3})
        with pytest.raises(ConfigError, match=r"a\.yaml: extends should be a file such as other.yaml, not 3"):
            read_config(path)

    def test_absent_file_is_named(self, tmp_path):
        path = self.write(tmp_path, "a.yaml", {"extends": "nowhere.yaml"})
        with pytest.raises(ConfigError, match=r"nowhere\.yaml: cannot be read"):
            read_config(path)


class TestTrainingOfANetwork:
    def test_own_settings_come_first(self):
        network = {"architecture": "M3GNet", "training": {"learning_rate": 0.004}}
        settings = parse(RunSettings, changed(networks=[{}, network], training={"steps": 7}), "test")
        assert [settings.training_of(n).learning_rate for n in settings.networks] == [0.003, 0.004]
        assert {settings.training_of(n).steps for n in settings.networks} == {7}
        assert settings.networks[1].arguments == {}

    def test_unknown_setting_is_refused(self):
        with pytest.raises(ConfigError, match="stepz"):
            parse(RunSettings, changed(networks=[{"training": {"stepz": 3}}]), "test")


def test_a_strategy_stands_after_the_one_that_it_goes_on_from():
    parse(RunSettings, changed(strategies=["vanilla", "repair"]), "test")
    for strategies in (["repair"], ["repair", "vanilla"]):
        with pytest.raises(ConfigError, match="'repair' continues from 'vanilla'"):
            parse(RunSettings, changed(strategies=strategies), "test")


def test_a_trained_network_is_not_put_on_the_teacher():
    old = {"start": "trained.safetensors"}
    parse(RunSettings, changed(networks=[old], strategies=["vanilla", "zbl-delta"]), "test")
    with pytest.raises(ConfigError, match="'eam-delta' is for new networks, but 'trained' is already trained"):
        parse(RunSettings, changed(networks=[old], strategies=["eam-delta"]), "test")


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[2] / "examples").rglob("*.yaml")), ids=lambda p: p.stem)
def test_examples_are_valid(path):
    settings = read_config(path)
    assert all(settings.training_of(network).steps >= 1000 for network in settings.networks)


def test_some_strategies_have_fewer_seeds():
    three = {"strategies": ["vanilla", "sam", "repair"], "seeds": [4, 0, 1]}
    settings = parse(RunSettings, changed(**three, fewer_seeds={"sam": 1, "repair": 2}), "test")
    assert [settings.seeds_of(name) for name in settings.strategies] == [[4, 0, 1], [4], [4, 0]]
    for fewer, wrong in (
        ({"pretrian": 1}, "there is no strategy 'pretrian'"),
        ({"vanilla": 1}, "'repair' continues from 'vanilla', which has fewer seeds"),
        ({"sam": 0}, "fewer_seeds"),
    ):
        with pytest.raises(ConfigError, match=wrong):
            parse(RunSettings, changed(**three, fewer_seeds=fewer), "test")
