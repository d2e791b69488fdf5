"""Every number of every command and setting: what cannot be meant is refused by its name, before any work."""

from __future__ import annotations

import inspect
import math
import re
from typing import Annotated, Any, get_args

import pytest
import typer
from pydantic import BaseModel

import keel.cli
from keel.commands.checked import mark_of
from keel.config import AssessmentSettings, RunSettings
from keel.dynamics import ComputeSettings, MDSettings
from keel.errors import ConfigError, KeelError
from keel.files import Output
from keel.mistakes import settings_in
from keel.potentials.networks.network import Network
from keel.ranges import Range, range_in
from keel.settings import parse
from keel.workflow.make import build_network
from small_potentials import built_in_networks

TRIED = ("0", "-1", "nan", "1e9", "1000000000", "plenty")
ABSENT = "no-such-file"
GROUP = typer.main.get_command(keel.cli.app)
TEXTS = {
    ("assess", "temperatures"): "300,{}",
    ("assess", "to_pressure"): "{}",
    ("assess", "compress"): "{}",
    ("train", "validation"): "{}",
}
"""Options that hold numbers in a text, and how."""
NOT_READ = {("assess", "to_pressure"): {"0", "-1"}, ("train", "validation"): {"0"}}
"""What these may be."""


def annotations(name: str) -> dict[str, Any]:
    """Return the types of a command's parameters."""
    named = {c.name or c.callback.__name__: c.callback for c in keel.cli.app.registered_commands}
    return {
        p.name: p.annotation for p in inspect.signature(inspect.unwrap(named[name]), eval_str=True).parameters.values()
    }


def holds_number(annotation: Any) -> bool:
    parts = get_args(annotation)
    return annotation in (int, float) or any(holds_number(part) for part in parts if not isinstance(part, Range))


def options() -> list[tuple[str, str, str]]:
    """Return the command, parameter and option of each number on the command line."""
    return [
        (name, parameter.name, max(parameter.opts, key=len))
        for name, command in GROUP.commands.items()
        for parameter in command.params
        if (name, parameter.name) in TEXTS or holds_number(annotations(name).get(parameter.name))
    ]


def command_line(name: str, option: str, values: list[str]) -> list[str]:
    """Return a command with files that are not there, so that no work is done whatever is accepted."""
    given = [name, option, *values]
    needed = {"temperature": "300", "out": f"new{_suffix(name)}"}
    for parameter in GROUP.commands[name].params:
        if parameter.param_type_name == "argument" and parameter.required:
            given.append(ABSENT)
        elif parameter.required and option not in parameter.opts:
            given += [parameter.opts[0], needed.get(parameter.name, ABSENT)]
    return [*given, *(["--pressure", "0"] if (name, option) == ("md", "--to-pressure") else [])]


def _suffix(name: str) -> str:
    return {"fit": ".json", "perturb": ".extxyz", "import": ".safetensors"}.get(name, "")


def outcome(arguments: list[str], monkeypatch, capsys) -> tuple[int, str]:
    """Return exit code and what is said of it."""
    monkeypatch.setattr("sys.argv", ["keel", *arguments])
    with pytest.raises(SystemExit) as ended:
        keel.cli.main()
    captured = capsys.readouterr()
    return int(ended.value.code or 0), " ".join((captured.out + captured.err).replace("│", " ").split())


def range_of(name: str, parameter: str) -> Range:
    """Return the range by which a command checks a number."""
    mark = mark_of(annotations(name)[parameter])
    assert isinstance(mark, Range), f"keel {name}: {parameter} has no range"
    return mark


def in_range(value: str, allowed: Range) -> bool:
    try:
        allowed.number(value)
    except ValueError:
        return False
    return not (allowed.whole and "e" in value)  # on the command line 1e9 is no whole number


@pytest.mark.parametrize(("name", "parameter", "option"), options())
def test_every_number_of_the_command_line(name, parameter, option, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("keel.workflow.run", lambda *_, **__: pytest.fail("work"))
    monkeypatch.setattr("keel.config.read_config", _no_config)
    for value in TRIED:
        nargs = next(p for p in GROUP.commands[name].params if p.name == parameter).nargs
        given = TEXTS.get((name, parameter), "{}").format(value)
        code, said = outcome(command_line(name, option, [given] * nargs), monkeypatch, capsys)
        assert code == 2 and "Traceback" not in said, (value, said)
        if (name, parameter) in TEXTS:
            accepted = value in NOT_READ.get((name, parameter), ())
        else:
            accepted = in_range(value, range_of(name, parameter))
        # Either the first thing that is read is not there, or the number is refused by its name.
        assert (ABSENT in said) if accepted else (option in said and ABSENT not in said), (value, said)


def _no_config(path: Any) -> None:
    raise ConfigError(f"{ABSENT}: there is no such file")


def numbers(model: type[BaseModel], before: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    """Return the place and type of each number in settings."""
    found = []
    for name, field in model.model_fields.items():
        annotation = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
        inside = settings_in(annotation)
        if inside is not None:
            found += numbers(inside, (*before, name))
        elif holds_number(annotation):
            found.append(((*before, name), annotation))
    return found


SIZES = {("data", "split", part) for part in ("train", "validation", "test")}
"""Numbers, shares or names; their range depends on which."""
RUN = {"name": "test", "data": {"files": ["phosphorus"], "split": {"train": 8, "validation": 4, "test": 4}}}
SETTINGS = [
    (model, place, annotation, given)
    for model, given in (
        (RunSettings, RUN),
        (AssessmentSettings, {}),
        (MDSettings, {"temperature": 300, "length_fs": 100}),
        (ComputeSettings, {}),
    )
    for place, annotation in numbers(model)
]


@pytest.mark.parametrize(
    ("model", "place", "annotation", "given"), SETTINGS, ids=[f"{m.__name__}-{'.'.join(p)}" for m, p, *_ in SETTINGS]
)
def test_every_number_of_the_settings(model, place, annotation, given):
    allowed = range_in(annotation)
    assert allowed is not None or place in SIZES, f"{'.'.join(place)} has no range"
    for value in (0, -1, math.nan, 1e9, "plenty", True):
        content = with_value(given, place, value, annotation)
        try:
            parse(model, content, "run.yaml")
        except ConfigError as error:
            said = str(error)
            assert ".".join(place).replace("networks", "networks.0") in said.replace(".mine", "") or place in SIZES, (
                said
            )
            assert "\n" not in said
        else:
            held = allowed is None or (not isinstance(value, str | bool) and allowed.holds(value))
            assert held or value in also_meant(place), (place, value)


def also_meant(place: tuple[str, ...]) -> tuple[Any, ...]:
    """Return what is meant beside a number."""
    return (True, 0) if place[-1] == "dimers" else ()


def with_value(given: dict[str, Any], place: tuple[str, ...], value: Any, annotation: Any) -> dict[str, Any]:
    """Return settings with a value at a place, as often as a list there needs it."""
    first, *rest = place
    if rest:
        inner = given.get(first, {})
        below = with_value(inner if isinstance(inner, dict) else {}, tuple(rest), value, annotation)
        below = {"mine": below} if first == "custom_strategies" else [below] if first == "networks" else below
        return {**given, first: below}
    text = str(annotation)
    several = [value, value] if re.search(r"tuple\[[^.]*\]", text) and "float | tuple" not in text else value
    return {**given, first: {"vanilla": value} if "dict[" in text else several}


@pytest.mark.parametrize("model", [RunSettings, AssessmentSettings, MDSettings, ComputeSettings])
def test_limits_are_limits(model):
    # An upper limit everywhere, but for what may be without: nothing is set aside.
    open_ended = {
        place[-1] for place, annotation in numbers(model) if (r := range_in(annotation)) and r.high == math.inf
    }
    assert open_ended <= {"force_cap", "energy_cap"}


def arguments() -> list[tuple[str, str]]:
    return [
        (name, option)
        for name, cls in built_in_networks().items()
        for option, usual in {**cls.presets["small"], **cls.same}.items()
        if isinstance(usual, int | float) and not isinstance(usual, bool)
    ]


@pytest.mark.parametrize(("architecture", "option"), arguments())
def test_every_argument_of_a_network(architecture, option):
    for value in (0, -1, math.nan, 1e9, "plenty"):
        settings = parse(RunSettings, {**RUN, "networks": {"architecture": architecture, option: value}}, "run.yaml")
        if value == 0 and option in ("switch_from", "cutoff_lower"):
            assert isinstance(build_network(settings.networks[0], [1], 0), Network)
            continue
        with pytest.raises(KeelError, match=option) as error:
            build_network(settings.networks[0], [1], 0)
        assert "\n" not in str(error.value)


OUTPUTS = [
    (name, parameter.name)
    for name, command in GROUP.commands.items()
    for parameter in command.params
    if parameter.name in ("out", "write_to", "skip_bad")
]


@pytest.mark.parametrize(("name", "parameter"), OUTPUTS)
def test_where_results_go_is_looked_at_before_the_work(name, parameter, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a-file").write_text("")
    (tmp_path / "a-folder").mkdir()
    option = max(next(p for p in GROUP.commands[name].params if p.name == parameter).opts, key=len)
    code, said = outcome(command_line(name, option, ["a-file/below"]), monkeypatch, capsys)
    assert code == 2 and f"{option} cannot be a-file/below, because" in said
    mark = mark_of(annotations(name)[parameter])
    assert isinstance(mark, Output)
    if mark.folder is not None:
        wrong = "a-file" if mark.folder else "a-folder"
        assert (
            f"{option} cannot be {wrong}, which" in outcome(command_line(name, option, [wrong]), monkeypatch, capsys)[1]
        )
    if mark.suffixes:
        assert f"{option} must end in" in outcome(command_line(name, option, ["x.odd"]), monkeypatch, capsys)[1]
