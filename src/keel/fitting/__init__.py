"""Fitting: an EAM potential to labelled frames, and per-element energy offsets."""

from keel.fitting.offsets import fit_offsets

__all__ = ["fit_offsets"]
