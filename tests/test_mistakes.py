"""All mistakes of a file at once, each at its place, with the name that was meant."""

from __future__ import annotations

import pytest
import yaml

from keel.config import RunSettings, read_config
from keel.dynamics.settings import MDSettings
from keel.errors import ConfigError, advice, in_python, of_command_line
from keel.settings import parse, parse_given

GOOD = {"name": "test", "data": {"files": "phosphorus"}}


def told(**changes) -> list[str]:
    with pytest.raises(ConfigError) as error:
        parse(RunSettings, {**GOOD, **changes}, "run.yaml")
    return str(error.value).removeprefix("run.yaml: ").split("\n  ")


def test_all_at_once():
    wrong = {"stratgies": ["sam"], "seeds": ["x", -1], "training": {"stepz": 3, "steps": 0, "loss": {"kind": "cosine"}}}
    assert told(**wrong) == [
        "6 settings are wrong",
        "training.stepz: there is no such setting; did you mean steps?",
        "stratgies: there is no such setting; did you mean strategies?",
        "seeds.0 must be a whole number, not 'x'",
        "seeds.1 must not be negative, but is -1",
        "training.steps must be at least 1, not 0",
        "training.loss.kind must be l1, l2 or huber, not 'cosine'",
    ]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"evaluation": {"dimers": "x"}}, "evaluation.dimers must be true or false, not 'x'; or it must be a whole "
         "number, not 'x'"),
        ({"custom_strategies": {"mine": {"rate": 0}}}, "custom_strategies.mine.rate must be positive, not 0"),
        ({"custom_strategies": {"mine": 3}}, "custom_strategies.mine: it must contain settings, as NAME: VALUE lines"),
        ({"fewer_seeds": {"sam": 0}}, "fewer_seeds.sam must be at least 1, not 0"),
        ({"networks": {"training": {"stepz": 1, "steps": 0}}}, "networks.0.training: stepz: there is no such setting; "
         "did you mean steps?; steps must be at least 1, not 0"),
        ({"strategies": "pretrian"}, "there is no strategy 'pretrian'; did you mean pretrain?"),
        ({"perturbation": {"displacement": [0, 99]}}, "perturbation.displacement.1 must be at most 10 Å, not 99"),
        ({"name": 3}, "name must be text, not 3"),
        ({"training": 3}, "training: it must contain settings, as NAME: VALUE lines"),
    ],
)  # fmt: skip
def test_one_is_one_sentence(changes, sentence):
    assert told(**changes) == [sentence]


def test_a_name_that_was_meant_is_not_missing_too():
    with pytest.raises(ConfigError, match=r"^run.yaml: nme: there is no such setting; did you mean name\?$"):
        parse(RunSettings, {"nme": "test", "data": {"files": "phosphorus"}}, "run.yaml")


def test_what_is_long_is_cut():
    (said,) = told(name=list(range(1000)))
    assert len(said) < 100


def test_a_list_of_one_needs_no_brackets():
    given = {"seeds": 3, "networks": "M3GNet", "strategies": "vanilla", "md": {"temperatures": 900}}
    settings = parse(RunSettings, {**GOOD, **given, "perturbation": {"compressions": 0.9}}, "run.yaml")
    assert settings.seeds == [3] and settings.strategies == ["vanilla"] and settings.md.temperatures == [900]
    assert [network.architecture for network in settings.networks] == ["M3GNet"]
    assert settings.data.files == ["phosphorus"] and settings.perturbation.compressions == (0.9,)
    one = parse(RunSettings, {**GOOD, "networks": {"architecture": "CGCNN", "features": 8}}, "run.yaml")
    both = parse(RunSettings, {**GOOD, "networks": [{"features": 8}, "M3GNet"]}, "run.yaml")
    assert one.networks[0].arguments == both.networks[0].arguments == {"features": 8}


def test_commands_name_their_options():
    for given, sentence in (
        ({"temperature": -1}, "--temperature must not be negative, but is -1"),
        ({"temperature": 1, "length_fs": -1}, "--length-fs must not be negative, but is -1"),
        ({"temperature": 1, "pressure": "x"}, "--to must be a number"),
    ):
        with pytest.raises(ConfigError, match=f"^keel md: {sentence}"):
            parse_given(MDSettings, {"length_fs": 1, **given}, "keel md", {"pressure": "--to"})


def test_advice_is_for_the_interface_in_use():
    assert (advice("cutoff", "--cutoff"), in_python("LabelKeys()")) == ("cutoff", "LabelKeys() or ")
    with of_command_line():
        assert (advice("cutoff", "--cutoff"), in_python("LabelKeys()")) == ("--cutoff", "")
    assert advice("cutoff", "--cutoff") == "cutoff"


def test_no_name_stands_twice(tmp_path):
    path = tmp_path / "twice.yaml"
    path.write_text(yaml.safe_dump(GOOD) + "training: {steps: 3, steps: 4}\n")
    with pytest.raises(ConfigError, match=r"twice.yaml: steps is given twice, in lines \d+ and \d+"):
        read_config(path)
