"""Training networks: losses, strategies, the loop, checkpoints."""

from keel.training.settings import LossSettings, TrainingSettings
from keel.training.stages import TrainingResult, train
from keel.training.strategies import STRATEGIES, Strategy

__all__ = ["STRATEGIES", "LossSettings", "Strategy", "TrainingResult", "TrainingSettings", "train"]
