"""Settings travel whole: mistakes are told in one sentence, defaults stand once, old checkpoints are gone on from."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import typer

import keel
from keel.cli import app
from keel.config import RunSettings, StabilitySettings
from keel.dynamics import ComputeSettings, MDSettings, SimulationSettings, default_criteria
from keel.dynamics.recorder import identity
from keel.dynamics.settings import Schedule
from keel.dynamics.simulate import CHECKPOINT_EVERY
from keel.errors import ConfigError
from keel.evaluation import AssessmentSettings, Condition, LadderSettings
from keel.identity import of_settings
from keel.records import plain
from keel.settings import Settings, parse
from keel.training import Strategy, TrainingSettings
from simulated import argon, molecule

SOURCE = Path(keel.__file__).parent
RUN = {"name": "x", "data": {"files": ["phosphorus"], "split": {"train": 8, "validation": 4}}}


# --- mistakes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cls", "given", "message"),
    [
        (MDSettings, {"temperature": 80, "length_fs": 3, "timestep": 1}, "timestep: there is no such setting; did you "
         "mean timestep_fs?"),
        (MDSettings, {"temperature": 80, "lenght_fs": 3}, "lenght_fs: there is no such setting; did you mean "
         "length_fs?"),
        (MDSettings, {"temperature": 80, "length_fs": 3, "colour": 1}, "colour: there is no such setting; choose from "
         "timestep_fs, friction_per_fs, seed, max_atoms, pressure_time_fs, compressibility, temperature, length_fs, "
         "ensemble, pressure, velocities, record_every, recent, skin, stop_above, compare_every"),
        (MDSettings, {"temperature": 80}, "length_fs must be given"),
        (MDSettings, {"temperature": -80, "length_fs": 3}, "temperature must not be negative, but is -80"),
        (MDSettings, {"temperature": 80, "length_fs": 3, "timestep_fs": float("nan")}, "timestep_fs must be a number "
         "(fs), not nan"),
        (MDSettings, {"temperature": 80, "length_fs": 3, "pressure": (0, 1, 2)}, "pressure: a pressure is one number "
         "in GPa, or the first and the last of a ramp, not [0, 1, 2]"),
        (ComputeSettings, {"dtype": torch.float64}, "dtype: there is no such setting; choose from precision, device, "
         "devices, nodes, compile"),
        (LadderSettings, {"must_holt": 300}, "must_holt: there is no such setting; did you mean must_hold?"),
        (TrainingSettings, {"loss": {"force": 1}}, "loss.force: there is no such setting; did you mean forces?"),
        (Strategy, {"base": "teacher", "after": "vanilla"}, "a network that continues from another has learnt what the "
         "teacher under it would give"),
    ],
)  # fmt: skip
def test_a_mistake_from_python_is_one_sentence(cls, given, message):
    with pytest.raises(ConfigError) as error:
        cls(**given)
    assert str(error.value) == f"{cls.__name__}: {message}"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"md": {"timestep": 1}}, "md.timestep: there is no such setting; did you mean timestep_fs?"),
        ({"md": {"friction_per_fs": 0}}, "md.friction_per_fs: runs at a temperature need a thermostat, so a friction "
         "above zero"),
        ({"md": {"temperatures": [300, -3]}}, "md.temperatures.1 must be positive, not -3"),
        ({"custom_strategies": {"mine": {"replay_shar": 1}}}, "custom_strategies.mine.replay_shar: there is no such "
         "setting; did you mean replay_share?"),
        ({"networks": [{"training": {"stepz": 1}}]}, "networks.0.training: stepz: there is no such setting; did you "
         "mean steps?"),
    ],
)  # fmt: skip
def test_and_from_a_file(content, message):
    with pytest.raises(ConfigError) as error:
        parse(RunSettings, {**RUN, **content}, "run.yaml")
    assert str(error.value) == f"run.yaml: {message}"


def test_changes_are_checked_and_leave_the_settings_alone():
    settings = MDSettings(temperature=80, length_fs=3)
    assert settings.replace(seed=3).seed == 3 and settings.seed == 0
    assert settings.replace(pressure=[0, 1]).pressure == (0.0, 1.0)
    for changes in ({"seed": -1}, {"sead": 1}):
        with pytest.raises(ConfigError, match=next(iter(changes))):
            settings.replace(**changes)


# --- one place for each default --------------------------------------------------------------------------------------


def options(command: str) -> dict[str, typer.core.TyperOption]:
    return {p.name: p for p in typer.main.get_command(app).commands[command].params if p.param_type_name == "option"}


def shown(default: object) -> str:
    values = default if isinstance(default, list) else [default]
    return ",".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)


@pytest.mark.parametrize(("command", "settings"), [("md", MDSettings), ("assess", AssessmentSettings)])
def test_the_command_line_has_no_defaults_of_its_own_and_tells_those_of_the_settings(command, settings):
    known = {
        name: field.get_default(call_default_factory=True)
        for name, field in settings.model_fields.items()
        if not field.is_required()
    }
    if command == "md":
        # Without a file to write to nothing is recorded; with one, every tenth step.
        del known["record_every"]
    found = {name: option for name, option in options(command).items() if name in known}
    assert len(found) > 4
    for name, option in found.items():
        assert option.default is None, name
        if known[name] not in (None, [], 0.0) and name != "seed":
            assert f"default {shown(known[name])}" in option.help, name


def test_nor_a_number_of_steps_between_checkpoints():
    option = options("md")["checkpoint_every"]
    assert option.default is None and f"default {CHECKPOINT_EVERY}" in option.help


def functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    for path in sorted(p for room in ("dynamics", "evaluation") for p in (SOURCE / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                yield f"{path.relative_to(SOURCE)}: {node.name}", node


def test_functions_take_settings_instead_of_many_arguments():
    for name, function in functions():
        arguments = function.args
        assert arguments.kwarg is None, name
        assert len(arguments.posonlyargs + arguments.args + arguments.kwonlyargs) <= 10, name


def test_what_is_a_setting_has_its_default_there():
    names = {name for cls in (MDSettings, ComputeSettings, LadderSettings) for name in cls.model_fields}
    # Of exact probes, whose rattling and displacements a seed fixes as well.
    names -= {"seed", "max_atoms"}
    for name, function in functions():
        arguments = function.args
        positional = (arguments.posonlyargs + arguments.args)[::-1]
        given = dict(zip((a.arg for a in positional), arguments.defaults[::-1], strict=False))
        given |= {a.arg: d for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d is not None}
        chosen = {argument for argument, default in given.items() if ast.unparse(default) != "None"}
        assert not names & chosen, name


def test_the_sections_of_a_file_are_settings_of_simulations():
    assert issubclass(StabilitySettings, SimulationSettings) and issubclass(AssessmentSettings, LadderSettings)
    md = StabilitySettings(seed=3, timestep_fs=2, friction_per_fs=0.05, max_atoms=7).md(500, 20)
    assert md == MDSettings(temperature=500, length_fs=20, seed=3, timestep_fs=2, friction_per_fs=0.05, max_atoms=7)
    for cls in (MDSettings, StabilitySettings, AssessmentSettings):
        assert inspect.getdoc(cls) and all(field.description for field in cls.model_fields.values())
        assert issubclass(cls, Settings)


def test_a_ladder_is_a_simulation_for_each_condition():
    settings = AssessmentSettings(temperatures=[60, 20], pressures=[(0, 5)], compression=[0.9], seed=2, length_fs=30)
    conditions = [Condition(20), Condition(60), Condition(20, pressure=(0, 5)), Condition(20, volume=0.9)]
    assert settings.conditions == conditions
    assert settings.at(conditions[1]) == MDSettings(temperature=60, length_fs=30, seed=2)
    squeezed = MDSettings(temperature=20, length_fs=30, seed=2, ensemble="npt", pressure=(0, 5))
    assert settings.at(conditions[2]) == squeezed


# --- time steps and lengths ------------------------------------------------------------------------------------------


def test_the_time_step_is_decided_by_hydrogen_unless_it_is_set():
    hydrogen = molecule([[0, 0, 0], [4.0, 0, 0]], [1, 18])
    settings = MDSettings(temperature=80, length_fs=10)
    steps = [Schedule.of(settings, structures).steps for structures in ([argon()], [argon(), hydrogen])]
    assert steps == [10, 20]
    assert Schedule.of(settings.replace(timestep_fs=2), [hydrogen]).steps == 5


@pytest.mark.parametrize(
    ("length", "step", "steps"), [(0, 1, 0), (1e-9, 1, 1), (1, 0.1, 10), (1, 0.3, 4), (600 * 0.7, 0.7, 600)]
)
def test_the_length_is_reached_in_whole_steps(length, step, steps):
    assert Schedule.of(MDSettings(temperature=80, length_fs=length, timestep_fs=step), []).steps == steps


# --- what was written by the first release ---------------------------------------------------------------------------

IDENTITY = {
    "temperature": 80.0,
    "steps": 50,
    "timestep": 4.0,
    "friction": 0.01,
    "seed": 5,
    "ensemble": "npt",
    "record_every": 7,
    "recent": 5,
    "skin": 1.0,
    "pressure": [0.0, 3.0],
    "pressure_time": 500.0,
    "compressibility": 0.01,
    "potential": "ce4c91e7e69ec9a9800397f1601f7b95213762a7d4d761669b3f20c17fad25a0",
    "starts": "5f90e9c11fe6a37b1d8a1e83da3034b517e6c4145c9c387c197ee1f2e16a8af1",
    "runs": [0, 3],
    "criteria": [
        "NonFinite(cause='non-finite')",
        "Overheated(excess=10000.0, factor=10.0, cause='temperature')",
        "FusedAtoms(fraction=0.5, cause='fused atoms')",
        "ForceCap(cap=100.0, cause='force')",
        "AtomsLost(cause='atoms lost')",
    ],
    "max_atoms": "1024",
    "dtype": "torch.float32",
    "device": "cpu",
    "compile": "None",
}
"""What the first release wrote beside a trajectory, to know it again."""


def test_checkpoints_of_the_first_release_are_known_again():
    settings = MDSettings(
        temperature=80, length_fs=200, timestep_fs=4, seed=5, ensemble="npt", pressure=(0, 3), record_every=7
    )
    found = identity(
        keel.LennardJones(cutoff=6.0),
        [argon(1), argon(1, seed=1)],
        [0, 3],
        Schedule.of(settings, []),
        default_criteria(),
        ComputeSettings(),
        max_atoms=1024,
        device="cpu",
    )
    assert plain(found) == IDENTITY


def test_results_of_the_first_release_are_found_again():
    assert of_settings(StabilitySettings()) == {
        "temperatures": [1000.0, 2000.0, 3000.0, 4000.0], "runs": 8, "length_fs": 2000.0, "rung_fs": None,
        "longest_fs": 5000.0, "timestep_fs": None, "friction_per_fs": 0.01, "seed": 0, "max_atoms": None,
    }  # fmt: skip
    given = AssessmentSettings(pressures=[(0.0, 20.0)], compression=[0.9])
    assert of_settings(given, exclude=("probes",)) == {
        "starts": 8, "length_fs": 5000.0, "timestep_fs": None, "temperatures": [1000.0, 2000.0, 3000.0],
        "must_hold": 1000.0, "pressures": [(0.0, 20.0)], "compression": [0.9], "temperature": 300.0, "pressure": 0.0,
        "by": None, "precision": "float64", "device": None, "seed": 0,
    }  # fmt: skip
