"""The stored samples of what keel 0.1.0 wrote, and the calls that wrote them, as they are given now."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

import keel
from keel.config import RunSettings, read_config
from keel.dynamics import MDSettings, Trajectory, simulate
from keel.training import Strategy, TrainingResult
from pinned import pinned

V1 = Path(__file__).parents[1] / "files" / "v1"
RUNS = ("run", "run-teacher-file", "run-teacher-calculator")
NOW = {"timestep": "timestep_fs", "friction": "friction_per_fs", "pressure_time": "pressure_time_fs"}
"""Settings of a simulation that had other names then."""


def told(path: Path | str) -> Any:
    return json.loads(Path(path).read_text())


FOLDERS: dict[str, list[str]] = told(V1 / "folders.json")
TRAINING: dict[str, Any] = told(V1 / "training" / "arguments.json")
TRAJECTORIES: dict[str, Any] = told(V1 / "trajectories" / "expected.json")


def given(*words: str) -> list[str]:
    """Return the arguments of the stored command that has these words."""
    lines = (V1 / "commands.txt").read_text().splitlines()
    (line,) = (line for line in lines if set(words) <= set(shlex.split(line)))
    return shlex.split(line)[1:]


STRATEGIES = {
    "vanilla": Strategy(),
    "sam": Strategy(sam_rho=0.005),
    "pretrain": Strategy(pretrain_share=0.2, replay_share=0.02),
    "pretrain-only": Strategy(pretrain_share=0.2),
    "pretrain-forces": Strategy(pretrain_share=0.2, replay_share=0.02, teacher_energies=False),
    "repair": Strategy(after="vanilla", budget=0.4, rate=0.5, pretrain_share=0.2, replay_share=0.4),
    "zbl-delta": Strategy(base="zbl"),
    "eam-delta": Strategy(base="teacher"),
}
"""What each name stood for."""


def configured(path: str) -> RunSettings:
    """Read a configuration, and say what was not to be said then."""
    config = pinned(read_config(path))
    return config.model_copy(update={"custom_strategies": {**STRATEGIES, **config.custom_strategies}})


def trained(folder: Path | str, on_step: Callable[[dict[str, Any]], None] | None = None) -> TrainingResult:
    """Give the call of training again, in a copy of the samples."""
    network = dict(TRAINING["network"])
    torch.manual_seed(network.pop("seed"))
    return keel.train(
        getattr(keel, network.pop("class"))(**network),
        keel.read(TRAINING["frames"]),
        validation=keel.read(TRAINING["validation"]),
        teacher=keel.load(TRAINING["teacher"]),
        strategy=STRATEGIES[TRAINING["strategy"]],
        settings=pinned(keel.TrainingSettings(**TRAINING["settings"])),
        perturbation=pinned(keel.PerturbationSettings()),
        seed=TRAINING["seed"],
        folder=folder,
        loggers=[] if on_step is None else [on_step],
    )


def simulated(name: str, kind: str, callback: Callable[[int, int], None] | None = None) -> list[Trajectory]:
    """Give the call of a simulation again, ``"nvt"`` or ``"npt"``, in a copy of the samples."""
    arguments = dict(TRAJECTORIES[kind]["arguments"])
    others = {key: arguments.pop(key) for key in ("runs", "checkpoint_every") if key in arguments}
    arguments["length_fs"] = arguments.pop("steps") * arguments["timestep"]
    return simulate(
        keel.load(TRAJECTORIES["potential"]),
        keel.read(TRAJECTORIES["starts"], require=()),
        MDSettings(**{NOW.get(key, key): value for key, value in arguments.items()}),
        **others,
        out=f"trajectories/{name}",
        callback=callback,
    )


@contextmanager
def unsaved_pictures() -> Iterator[list[str]]:
    """Within this block figures are made but not saved, which takes most of the time; their names are noted."""
    names: list[str] = []

    def note(picture: Any, folder: Path) -> str:
        names.append(picture.name)
        return ""

    with patch("keel.reporting.figures.save", note), patch("keel.reporting.study.write.save", note):
        yield names
