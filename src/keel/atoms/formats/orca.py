"""Outputs of ORCA with several jobs or with numerical gradients, of which ASE 3.29 reads other forces or none."""

from __future__ import annotations

import re

from keel.errors import DataError

_ENDS = re.compile("ORCA TERMINATED NORMALLY|ORCA GEOMETRY RELAXATION STEP")
"""Where ASE begins another structure."""
GRADIENT, POSITIONS = "CARTESIAN GRADIENT", "CARTESIAN COORDINATES (ANGSTROEM)"
_NUMERICAL = re.compile(r"(CARTESIAN GRADIENT \(NUMERICAL\)\s*\n[^\S\n]*-+[^\S\n]*\n)(?=[^\n]*\d)")
"""A gradient without the blank line before its first atom that ASE skips."""
SEVERAL = (
    "this output of ORCA has several structures in one part (several jobs, or molecular dynamics), of which ASE "
    "combines the forces of the first with the positions of the last; give outputs of single jobs"
)


def as_ase_reads(text: str) -> str:
    """Return an output in which ASE finds the forces of each structure.

    Raises
    ------
    DataError
        If it has forces of a structure beside positions of another, where ASE finds one structure.
    """
    for part in _ENDS.split(text):
        if POSITIONS in part.partition(GRADIENT)[2]:
            raise DataError(SEVERAL)
    return _NUMERICAL.sub(r"\1\n", text)
