"""Optimiser steps of the strategies, and whether the comparison is at equal cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import yaml

from keel.results.run import Record


def steps_text(records: Sequence[Record]) -> str:
    """Return the steps of pretraining and afterwards over all seeds: ``300 + 1200``, or ``300 + 700 to 1200``."""
    return f"{_span(r.pretrain_steps for r in records)} + {_span(r.train_steps for r in records)}"


def inequality(records: Sequence[Record], configuration: str) -> str | None:
    """Report how many steps the strategies of a network took in all, where these differ; None where they do not.

    Parameters
    ----------
    records
        Of the network.
    configuration
        Configuration of the run, as YAML: with patience the numbers are the steps that each strategy needed.
    """
    taken: dict[str, list[int]] = {}
    for r in records:
        taken.setdefault(r.strategy, []).append(r.pretrain_steps + r.train_steps)
    if len({steps for found in taken.values() for steps in found}) < 2:
        return None
    text = ", ".join(f"{strategy} {_span(found)}" for strategy, found in taken.items())
    sentence = f"the strategies took unequal numbers of optimiser steps ({text})"
    if not has_patience(configuration):
        return sentence
    return (
        f"{sentence}: each stopped when its validation loss no longer decreased, and the comparison is by that "
        "rule, not at equal cost"
    )


def has_patience(configuration: str) -> bool:
    """Whether a configuration lets trainings stop before their steps are used up."""
    try:
        content = yaml.safe_load(configuration)
    except yaml.YAMLError:  # written over by hand
        return False
    if not isinstance(content, dict):
        return False
    parts = [content, *(content.get("networks") or ())]
    return any(_training(part).get("patience") is not None for part in parts)


def _training(part: Any) -> dict[str, Any]:
    found = part.get("training") if isinstance(part, dict) else None
    return found if isinstance(found, dict) else {}


def _span(values: Iterable[int]) -> str:
    found = sorted(set(values))
    return f"{found[0]}" if len(found) == 1 else f"{found[0]} to {found[-1]}"
