"""Optimiser steps of the strategies, and whether the comparison is at equal cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from keel.errors import ConfigError
from keel.results.run import Record
from keel.settings import parse
from keel.training.known import strategy_of
from keel.training.settings import TrainingSettings
from keel.training.strategies import Strategy, steps_of
from keel.wording import listed


def steps_text(records: Sequence[Record]) -> str:
    """Return the steps of pretraining and afterwards over all seeds: ``300 + 1200``, or ``300 + 700 to 1200``."""
    return f"{_span(r.pretrain_steps for r in records)} + {_span(r.train_steps for r in records)}"


def inequality(records: Sequence[Record], configurations: Sequence[str]) -> str | None:
    """Report how many steps the strategies of a network took in all, where these differ; None where they do not.

    Parameters
    ----------
    records
        Of the network.
    configurations
        Of its runs, as YAML: with patience, strategies that took fewer steps than planned stopped early.
    """
    taken: dict[str, list[int]] = {}
    for r in records:
        taken.setdefault(r.strategy, []).append(_steps(r))
    if len({steps for found in taken.values() for steps in found}) < 2:
        return None
    text = ", ".join(f"{strategy} {_span(found)}" for strategy, found in taken.items())
    sentence = f"the strategies took unequal numbers of optimiser steps ({text})"
    plans = [_content(configuration) for configuration in configurations]
    early = Counter(r.strategy for r in records if any(_stopped_early(r, records, plan) for plan in plans))
    if not early:
        return sentence
    names = [
        strategy if n == len(taken[strategy]) else f"{strategy} ({n} of {len(taken[strategy])} seeds)"
        for strategy, n in early.items()
    ]
    return (
        f"{sentence}: {listed(names)} stopped early, when the validation loss no longer decreased, and the comparison "
        "is by that rule, not at equal cost"
    )


def has_patience(configuration: str) -> bool:
    """Whether a configuration lets trainings stop before their steps are used up."""
    content = _content(configuration)
    parts = [content, *(content.get("networks") or ())]
    return any(_training(part).get("patience") is not None for part in parts)


def _stopped_early(record: Record, records: Sequence[Record], content: dict[str, Any]) -> bool:
    """Whether a training took fewer steps than planned; False where the configuration does not tell."""
    part = next((p for p in content.get("networks") or () if isinstance(p, dict) and _label(p) == record.network), None)
    if part is None or record.strategy not in (content.get("strategies") or ()):
        return False
    training = _training(content) | _training(part)
    own = (content.get("custom_strategies") or {}).get(record.strategy)
    try:
        strategy = strategy_of(record.strategy) if own is None else parse(Strategy, own, "custom_strategies")
        given = {key: training[key] for key in ("steps", "patience") if key in training}
        settings = parse(TrainingSettings, given, "training")
    except ConfigError:  # of a plugin that is not here, or written over by hand
        return False
    if settings.patience is None:
        return False
    # The steps of the strategy from whose network it continued are among its own.
    before = [_steps(r) for r in records if (r.strategy, r.seed) == (strategy.after, record.seed)]
    return _steps(record) - sum(before) < steps_of(strategy, settings)


def _content(configuration: str) -> dict[str, Any]:
    try:
        content = yaml.safe_load(configuration)
    except yaml.YAMLError:  # written over by hand
        return {}
    return content if isinstance(content, dict) else {}


def _label(network: dict[str, Any]) -> str:
    """Return the name of a network in tables, as ``keel.config`` gives it."""
    start = network.get("start")
    return str(network.get("name") or (Path(start).stem if start else network.get("architecture") or "CGCNN"))


def _steps(record: Record) -> int:
    return record.pretrain_steps + record.train_steps


def _training(part: Any) -> dict[str, Any]:
    found = part.get("training") if isinstance(part, dict) else None
    return found if isinstance(found, dict) else {}


def _span(values: Iterable[int]) -> str:
    found = sorted(set(values))
    return f"{found[0]}" if len(found) == 1 else f"{found[0]} to {found[-1]}"
