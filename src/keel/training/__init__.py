"""Training networks: losses, strategies, the loop, checkpoints."""

from keel.training.settings import LossSettings, TrainingSettings
from keel.training.strategies import STRATEGIES, Strategy
from keel.training.train import TrainingResult, train

__all__ = ["STRATEGIES", "LossSettings", "Strategy", "TrainingResult", "TrainingSettings", "train"]
