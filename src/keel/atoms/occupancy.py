"""Sites that are not wholly occupied by one element: a mean over many structures, not a structure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from keel.atoms.record import Record
from keel.errors import DataError

FULL = 0.999


def refuse_partial_sites(record: Record) -> None:
    """Refuse a structure with partly occupied or mixed sites, which readers turn into whole atoms.

    Parameters
    ----------
    record
        ASE's reader of CIF says in ``info["occupancy"]`` which elements share a site and how often they are there, that
        of PDB in a column ``occupancy``.

    Raises
    ------
    DataError
        If a site is not wholly occupied by one element.
    """
    sites = record.info.get("occupancy")
    partial = isinstance(sites, Mapping) and any(_is_partial(site) for site in sites.values())
    column = record.arrays.get("occupancy")
    if column is not None and np.asarray(column).dtype.kind in "fi":
        # Programs that do not use the column write zeros.
        partial |= bool(((np.asarray(column) > 0) & (np.asarray(column) < FULL)).any())
    if partial:
        raise DataError(
            f"{record.source}: it has partly occupied sites, which cannot be simulated; make an ordered structure of it"
        )


def _is_partial(site: Any) -> bool:
    if not isinstance(site, Mapping):
        return False
    present = [share for share in site.values() if isinstance(share, int | float) and share > 0]
    return len(present) != 1 or present[0] < FULL
