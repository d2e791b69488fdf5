"""Fitting: an EAM potential to labelled frames, per-element energy offsets, errors against labels."""

from keel.fitting.eam import EAMFit, fit_eam
from keel.fitting.errors import LabelErrors, label_errors
from keel.fitting.offsets import fit_offsets

__all__ = ["EAMFit", "LabelErrors", "fit_eam", "fit_offsets", "label_errors"]
