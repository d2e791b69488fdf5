"""Fitting: an EAM potential to labelled frames, per-element energy offsets, errors against labels."""

from keel.fitting.eam import EAMFit, fit_eam
from keel.fitting.offsets import fit_offsets
from keel.fitting.teachers import register_teacher
from keel.lazy import find_submodules

__all__ = ["EAMFit", "fit_eam", "fit_offsets", "register_teacher"]

find_submodules(__name__)
