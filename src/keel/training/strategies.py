"""Ways of training a network, as combinations of a few choices; :mod:`keel.training.known` names some."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import Field, model_validator

from keel.errors import ConfigError
from keel.ranges import Multiple, Radius, ShareBelowOne
from keel.settings import Settings
from keel.training.settings import TrainingSettings


class Strategy(Settings):
    """What is done with a budget of optimiser steps.

    The default is plain training on the DFT labels.
    """

    pretrain_share: ShareBelowOne = Field(0.0, description="share of the steps on teacher-labelled structures")
    replay_share: ShareBelowOne = Field(0.0, description="share of the fine-tuning steps on teacher-labelled ones")
    teacher_energies: bool = Field(True, description="learn the teacher's energies and stress as well as its forces")
    base: Literal["walls", "zbl", "teacher"] | None = Field(
        None,
        description="potential that the network corrects and is used with: the walls of the teacher, felt only where "
        "atoms are closer than in the data; a nuclear repulsion; or all of the teacher",
    )
    clamped: bool = Field(
        False,
        description="clamp the distances that the network is given at the closest contacts of the data, as the EAM "
        "does with its own, so that it does not pull atoms together against the walls under it",
    )
    sam_rho: Radius | None = Field(None, description="radius of adaptive sharpness-aware minimisation")
    after: str | None = Field(None, description="strategy from whose trained network to continue, instead of a new one")
    budget: Multiple = Field(1.0, description="optimiser steps, relative to those of the settings")
    rate: Multiple = Field(1.0, description="highest learning rate, relative to that of the settings")

    @property
    def learns_from_teacher(self) -> bool:
        """True if structures labelled by a teacher are part of it."""
        return self.pretrain_share > 0 or self.replay_share > 0

    @property
    def needs_teacher(self) -> bool:
        """True if there must be a teacher."""
        return self.learns_from_teacher or self.base in ("walls", "teacher")

    @property
    def relies_on_teacher(self) -> bool:
        """True if more of a teacher counts than its walls."""
        return self.learns_from_teacher or self.base == "teacher"

    @model_validator(mode="after")
    def _possible(self) -> Strategy:
        if self.clamped and self.base not in ("walls", "teacher"):
            raise ValueError("clamped distances need the contacts of a teacher; add base: walls")
        if self.base == "teacher" and self.learns_from_teacher:
            raise ValueError("a network that corrects the teacher has nothing to learn from it")
        if self.base == "teacher" and self.after is not None:
            raise ValueError("a network that continues from another has learnt what the teacher under it would give")
        return self


@dataclass(frozen=True)
class Stage:
    """A part of training with its own data and its own cycle of the learning rate.

    Parameters
    ----------
    name
        ``"pretrain"`` or ``"train"``.
    steps
        Optimiser steps.
    learning_rate
        Highest learning rate.
    teacher_share
        Share of the steps whose batch comes from the teacher.
    sam_rho
        Radius of sharpness-aware minimisation, or None.
    """

    name: str
    steps: int
    learning_rate: float
    teacher_share: float
    sam_rho: float | None

    def from_teacher(self, step: int) -> bool:
        """Return whether the batch of a step (from 0) comes from the teacher; evenly spread."""
        return int((step + 1) * self.teacher_share + 1e-9) > int(step * self.teacher_share + 1e-9)


def stages_of(strategy: Strategy, settings: TrainingSettings) -> list[Stage]:
    """Divide the budget of optimiser steps into stages."""
    steps = max(1, round(strategy.budget * settings.steps))
    pretrain_steps = max(1, round(strategy.pretrain_share * steps)) if strategy.pretrain_share else 0
    if pretrain_steps >= steps:
        raise ConfigError(f"a share of {strategy.pretrain_share:g} of {steps} steps leaves no step for the DFT labels")
    stages = []
    if pretrain_steps:
        rate = strategy.rate * (settings.pretrain_learning_rate or settings.learning_rate)
        stages.append(Stage("pretrain", pretrain_steps, rate, 1.0, None))
    rate = strategy.rate * settings.learning_rate
    stages.append(Stage("train", steps - pretrain_steps, rate, strategy.replay_share, strategy.sam_rho))
    return stages


def steps_of(strategy: Strategy, settings: TrainingSettings) -> int:
    """Return the optimiser steps of all stages together."""
    return sum(stage.steps for stage in stages_of(strategy, settings))
