"""All trials of a potential: each check on each structure in each dtype, and each rule."""

from __future__ import annotations

import copy
from collections.abc import Collection
from typing import NamedTuple

import torch

from keel.errors import ConfigError
from keel.potentials.base import Potential
from keel.testing.causes import CAUSES
from keel.testing.checks import DERIVATIVES, INVARIANCES
from keel.testing.modes import EXEMPT, MODES
from keel.testing.rules import RULES, trial_elements
from keel.testing.structures import STRUCTURES, trial_frames


class Trial(NamedTuple):
    """A check on a structure in a dtype; of a rule both are empty, since it chooses them itself."""

    check: str
    structure: str = ""
    dtype: str = ""

    def __str__(self) -> str:
        return repr(self.check) + (self.structure and f" on {self.structure!r}") + (self.dtype and f" in {self.dtype}")


DTYPES = {"float32": torch.float32, "float64": torch.float64}

TRIALS: tuple[Trial, ...] = (
    *(Trial(check, structure, dtype) for dtype in DTYPES for check in INVARIANCES for structure in STRUCTURES),
    *(Trial(check, structure, "float64") for check in DERIVATIVES for structure in STRUCTURES),
    *(Trial(rule) for rule in RULES),
)


def known(exempt: Collection[str]) -> frozenset[str]:
    """Return the names of checks, rules and modes that do not apply, as a set.

    Raises
    ------
    ConfigError
        If a name is unknown.
    """
    exempt = frozenset([exempt] if isinstance(exempt, str) else exempt)
    unknown = sorted(exempt - {*CAUSES, *MODES})
    if unknown:
        names = ", ".join([*CAUSES, *MODES])
        raise ConfigError(f"there is no check {unknown[0]!r} to be exempt from; choose from {names}")
    return exempt


def applies(trial: Trial, mode: str, exempt: Collection[str]) -> bool:
    """Return whether a trial is made in a mode: not if exempt, or if that mode does not guarantee it."""
    return trial.check not in exempt and trial.check not in EXEMPT.get(mode, ())


def cast(potential: Potential, dtype: str) -> Potential:
    """Return a copy of the potential in the dtype of a trial, itself where there is none; on the CPU."""
    if not dtype and potential.device.type == "cpu":
        return potential
    return copy.deepcopy(potential).to(device="cpu", dtype=DTYPES[dtype] if dtype else potential.dtype)


def attempt(trial: Trial, potential: Potential, mode: str = "") -> None:
    """Perform a trial of a potential that already has its dtype.

    Raises
    ------
    AssertionError
        One sentence: what fails in which mode, on which structure, by how much, and the usual cause.
    """
    name = type(potential).__name__ + (mode and f" in {mode} mode")
    try:
        _make(trial, potential)
    except AssertionError as error:
        raise AssertionError(f"{name} fails {trial}: {error}; usual cause: {CAUSES[trial.check]}") from None
    except Exception as error:
        what = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise AssertionError(f"{name} cannot be tried for {trial}, it raises {what}") from error


def _make(trial: Trial, potential: Potential) -> None:
    if trial.check in RULES:
        RULES[trial.check](potential)
    else:
        frames = trial_frames(trial.structure, trial_elements(potential), potential.cutoff)
        {**INVARIANCES, **DERIVATIVES}[trial.check](potential, frames)
