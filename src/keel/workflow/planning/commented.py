"""A configuration as YAML that explains itself: each setting with its meaning and the reason for its value."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, get_args

import yaml
from pydantic import BaseModel

from keel.config import RunSettings
from keel.training.known import BASELINE, KNOWN, METHOD, WALLS
from keel.workflow.planning.proposal import Proposal

WIDTH = 110
MEANT = {
    "data": "The DFT data.",
    "data.files": "Files with labelled structures; paths are relative to the folder of this file.",
    "data.split": "Frames for training, for choosing the weights and the MD temperature, and for testing.",
    "data.split.by": "How to split: frame (at random), start (in time), or the key that names a frame's group.",
    "data.split.train": "For training: names of groups, or a number of groups or frames, or a share.",
    "data.split.validation": "For choosing the weights and the MD temperature, likewise.",
    "data.split.test": "For testing, likewise.",
    "networks": "Networks, each trained with every strategy; one per line.",
    "strategies": "Ways of training to compare: plain, on the walls of an EAM alone, and with pretraining on its "
    f"labels. Others: {', '.join(name for name in KNOWN if name not in (BASELINE, WALLS, METHOD))}.",
    "seeds": "Each network is trained once per seed; three seeds give more reliable results than one.",
    "training": "How each network is trained.",
    "training.steps": "Optimiser steps of each training, including pretraining; more steps improve all networks.",
    "md": "Simulations that test how long each network remains physical.",
    "md.temperatures": "K; networks are compared at the lowest temperature at which plain training fails.",
    "evaluation": "Further evaluations.",
}
"""Explanations of settings, where the descriptions in their classes are too terse."""


def commented(proposal: Proposal, command: str) -> str:
    """Return a proposal as YAML with comments, which reads back as the proposed configuration.

    Parameters
    ----------
    proposal
        The configuration, with facts and reasons.
    command
        The command that runs the file.
    """
    head = [f"# {fact[0].upper()}{fact[1:]}." for fact in proposal.facts]
    lines = _section(proposal.given, RunSettings, "", proposal.reasons)
    return "\n".join([f"# Configuration of a run of keel. Run it with: {command}", *head, "", *lines]) + "\n"


def _section(
    content: Mapping[str, Any], model: type[BaseModel] | None, place: str, reasons: Mapping[str, str]
) -> Iterator[str]:
    indent = "  " * place.count(".")
    for name, value in content.items():
        field = model.model_fields.get(name) if model else None
        meant = MEANT.get(f"{place}{name}") or (field.description if field else None) or ""
        for text in (meant, reasons.get(f"{place}{name}", "")):
            yield from textwrap.wrap(
                _sentence(text), WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# "
            )
        inner = _class_in(field.annotation) if field else None
        if isinstance(value, dict) and inner is not None:
            yield f"{indent}{name}:"
            yield from _section(value, inner, f"{place}{name}.", reasons)
        elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
            yield f"{indent}{name}:"
            yield from (f"{indent}  - {_inline(item)}" for item in value)
        else:
            yield f"{indent}{name}: {_inline(value)}"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}." if text else ""


def _inline(value: Any) -> str:
    """Return a value as YAML on one line."""
    text: str = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10**6, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")


def _class_in(annotation: Any) -> type[BaseModel] | None:
    """Return the settings class in a type such as ``SplitSettings | None``, if there is one."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_class_in, get_args(annotation))), None)
