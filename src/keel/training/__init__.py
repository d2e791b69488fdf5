"""Training networks: losses, strategies, the loop, checkpoints."""

from keel.lazy import find_submodules
from keel.training.known import BASELINE, METHOD, STRATEGIES, register_strategy
from keel.training.result import TrainingResult
from keel.training.settings import LossSettings, TrainingSettings
from keel.training.strategies import Strategy
from keel.training.train import train

__all__ = [
    "BASELINE",
    "METHOD",
    "STRATEGIES",
    "LossSettings",
    "Strategy",
    "TrainingResult",
    "TrainingSettings",
    "register_strategy",
    "train",
]

find_submodules(__name__)
