"""The main job: read, check, fit, perturb, pretrain, fine-tune, evaluate, simulate, report, as cached stages."""

from keel.lazy import find_submodules
from keel.workflow.run import run

__all__ = ["run"]

find_submodules(__name__)
