"""Fitting a run to a time: fewer or more training steps, and shorter simulations where these would take most of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from keel.config import NetworkSettings, RunSettings
from keel.errors import ConfigError, DataError
from keel.records import read_object, write_json
from keel.settings import Settings
from keel.wording import duration

Chosen = TypeVar("Chosen", bound=Settings)

NUMBER = r"(\d+(?:\.\d+)?)"
TIME = re.compile(rf"(?:{NUMBER}h)?(?:{NUMBER}(?:min|m)|(?<=h){NUMBER}$)?(?:{NUMBER}s)?")
FEWEST_STEPS = 100
"""Fewest steps: with fewer, no network learns enough to be compared."""
MOST_STEPS = 200_000
SHORTEST_FS = 200.0
"""Shortest length of shortened simulations."""
SIMULATING = 0.4
"""Share of the time that simulations may take before they are shortened: when they will fail is unknown."""
FILE = "budget.json"
"""File in the run folder: the result of a budget, so that the same command continues with the same numbers."""


def seconds_in(text: str) -> float:
    """Return the seconds of a time such as ``90s``, ``30min``, ``2h`` or ``1h30``.

    Raises
    ------
    ConfigError
        If it is not a time, or not positive.
    """
    found = TIME.fullmatch("".join(text.lower().split()))
    hours, minutes, more, seconds = (float(part or 0) for part in found.groups()) if found else [0.0] * 4
    total = 3600 * hours + 60 * (minutes + more) + seconds
    if total <= 0:
        raise ConfigError(f"--budget is a time such as 90s, 30min, 2h or 1h30, not {text!r}")
    return total


def fitted(config: RunSettings, budget: float, needed: Callable[[RunSettings], float]) -> RunSettings:
    """Return the configuration with as many training steps as a time allows.

    Simulations are shortened if they would take more than :data:`SIMULATING` of the time.

    Parameters
    ----------
    config
        The configuration without a time limit.
    budget
        Seconds.
    needed
        Seconds that a configuration takes.

    Raises
    ------
    ConfigError
        If not even :data:`FEWEST_STEPS` steps and simulations of :data:`SHORTEST_FS` fit.
    """
    least, most = FEWEST_STEPS / config.training.steps, MOST_STEPS / config.training.steps
    shortest = with_length(with_steps(config, least), 0.0)
    if (time := needed(shortest)) > budget:
        raise ConfigError(
            f"--budget: {duration(budget)} is too short: with {FEWEST_STEPS} steps of training and simulations of "
            f"{shortest.md.length_fs / 1000:g} ps this run takes about {duration(time)}"
        )
    simulating = needed(with_steps(config, least)) - time
    config = with_length(config, min(1.0, SIMULATING * (budget - time) / simulating) if simulating > 0 else 1.0)
    if needed(with_steps(config, most)) <= budget:
        return with_steps(config, most)
    for _ in range(30):
        middle = 0.5 * (least + most)
        least, most = (middle, most) if needed(with_steps(config, middle)) <= budget else (least, middle)
    return with_steps(config, least)


def with_steps(config: RunSettings, factor: float) -> RunSettings:
    """Return a configuration with the training steps multiplied by a factor, including those of single networks."""

    def scaled(steps: int) -> int:
        return max(2, int(factor * steps))

    def own(network: NetworkSettings) -> NetworkSettings:
        if "steps" not in network.training:
            return network
        return network.model_copy(update={"training": {**network.training, "steps": scaled(network.training["steps"])}})

    training = config.training.replace(steps=scaled(config.training.steps))
    return config.replace(training=training, networks=[own(n) for n in config.networks])


def with_length(config: RunSettings, factor: float) -> RunSettings:
    """Return a configuration with simulations longer by a factor, but not below :data:`SHORTEST_FS`."""

    def scaled(length: float | None) -> float | None:
        return length and min(length, max(SHORTEST_FS, round(factor * length, -1)))

    names = ("length_fs", "rung_fs", "longest_fs")
    md = config.md.replace(**{name: scaled(getattr(config.md, name)) for name in names})
    rdf = scaled(config.evaluation.rdf_length_fs)
    evaluation = config.evaluation.replace(rdf_length_fs=rdf)
    return config.replace(md=md, evaluation=evaluation)


def remembered(root: Path, config: Chosen, budget: float) -> Chosen | None:
    """Return the earlier result of the same budget for the same configuration; None if there is none."""
    try:
        kept = read_object(root / FILE, ("seconds", "of", "fitted"), "delete it to fit the budget again")
    except DataError:
        return None
    same = kept["seconds"] == budget and kept["of"] == _content(config)
    return type(config).model_validate(kept["fitted"]) if same else None


def remember(root: Path, config: Settings, budget: float, found: Settings) -> None:
    """Store the result of a budget."""
    write_json(root / FILE, {"seconds": budget, "of": _content(config), "fitted": _content(found)})


def _content(config: Settings) -> dict[str, Any]:
    return config.model_dump(mode="json")
