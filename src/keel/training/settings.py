"""Settings of training: what is minimised, how, and for how long."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from keel.launch import Precision
from keel.ranges import (
    AtomCount,
    BatchSize,
    Count,
    Devices,
    Every,
    Factor,
    Force,
    Nodes,
    Rate,
    Share,
    ShareBelowOne,
    Steps,
    StepsOrNone,
    Weight,
)
from keel.settings import Listed, Settings

LoggerName = Literal["csv", "tensorboard", "wandb"]


class LossSettings(Settings):
    """Weights and form of the loss (see :func:`keel.training.losses.loss`)."""

    kind: Literal["l1", "l2", "huber"] = Field("huber", description="penalty of a residual in units of the force scale")
    huber_delta: Factor = Field(0.1, description="residual at which the Huber penalty becomes linear")
    energy: Weight = Field(1.0, description="weight of the energy per atom")
    forces: Weight = Field(1.0, description="weight of the force components")
    stress: Weight = Field(1.0, description="weight of the stress components")
    force_falloff: Force | None = Field(
        4.0, description="atoms with a larger label |F| have the weight falloff/|F|; null: all have weight 1"
    )
    stress_scale: Literal["force", "own"] = Field(
        "force", description="scale of the stress: the number of the force scale, or the RMS of the stresses"
    )

    @model_validator(mode="after")
    def _some(self) -> LossSettings:
        if not (self.energy or self.forces or self.stress):
            raise ValueError("one of the weights of energy, forces and stress must be above zero")
        return self


class TrainingSettings(Settings):
    """Settings of one training run.

    The budget is in optimiser steps. Strategies that pretrain take their steps from it, so that strategies with
    the same settings are compared at equal cost. With ``patience`` it is the upper limit for each, and strategies are
    compared where the same rule stops them.
    """

    steps: Steps = Field(1500, description="optimiser steps of all stages together")
    batch_size: BatchSize = Field(4, description="structures in a batch")
    batch_atoms: AtomCount | None = Field(
        None,
        description="instead of batch_size: as many structures as have at most this many atoms together, at least one",
    )
    accumulate: Count = Field(
        1, description="batches of each device whose mean gradient one optimiser step takes (gradient accumulation)"
    )
    learning_rate: Rate = Field(3e-3, description="highest learning rate of AdamW")
    pretrain_learning_rate: Rate | None = Field(
        None, description="highest learning rate of pretraining; null: the same"
    )
    final_learning_rate: Share = Field(0.01, description="final learning rate, relative to the highest")
    schedule: Literal["cosine", "linear", "constant"] = Field("cosine", description="decay of the learning rate")
    warmup_steps: StepsOrNone = Field(50, description="steps of linear rise of the learning rate, in each stage")
    weight_decay: Weight = Field(0.0, description="decoupled weight decay of AdamW")
    clip_norm: Factor | None = Field(1.0, description="largest norm of the gradient; null: not clipped")
    replay_clip: Factor = Field(
        0.2,
        description="largest norm of the gradient of teacher batches among DFT ones, relative to that of the DFT "
        "batches",
    )
    ema_decay: ShareBelowOne = Field(0.99, description="decay of the moving average of the weights; 0: none")
    validate_every: Every = Field(100, description="steps between validations")
    patience: Count | None = Field(
        None,
        description="end the last stage early after this many validations in a row without a lower loss; null: never",
    )
    checkpoint_every: Every = Field(50, description="steps between checkpoints")
    loggers: Listed[LoggerName] = Field(
        [], description="where metrics go besides metrics.csv: csv, tensorboard, wandb (the folder logs, or W&B)"
    )
    loss: LossSettings = Field(default_factory=LossSettings)
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="where to train")
    devices: Devices = Field(1, description="number of devices of each node (data-parallel)")
    nodes: Nodes = Field(1, description="number of nodes")
    compile: bool | None = Field(None, description="compile the network (torch.compile); null: if that saves time")
    precision: Precision = Field("32-true", description="precision of the network")
