"""The main job: read, check, fit, perturb, pretrain, fine-tune, evaluate, simulate, report, as cached stages."""

from keel.workflow.run import run

__all__ = ["run"]
