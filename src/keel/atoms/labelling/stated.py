"""What a file states of the calculation behind its labels: charge, spin, functional, cutoff, under any usual name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np

from keel.atoms.labelling.names import letters_of

STATES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "charge": frozenset(
            {"charge", "totalcharge", "totcharge", "netcharge", "cellcharge", "qtot", "systemcharge", "chargemult"}
        ),
        "spin": frozenset(
            {
                *("spin", "totalspin", "spinmultiplicity", "multiplicity", "mult", "unpairedelectrons", "nunpaired"),
                *("uhf", "nspin", "nspins", "ispin", "spinmult", "spinpolarized", "spinpolarised", "spinstate"),
                *("soc", "spinorbit", "lsorbit", "spinorbitcoupling"),
                *("magneticstate", "magneticorder", "magneticordering", "magorder", "ordering"),
            }
        ),
        "functional": frozenset(
            {
                *("functional", "xc", "xcfunctional", "method", "leveloftheory", "theory", "theorylevel", "dft", "gga"),
                *("metagga", "runtype", "calctype", "basis", "basisset", "dispersion", "vdw", "hybrid"),
                *("ldau", "ldauu", "dftu", "dftplusu", "hubbard", "hubbards", "hubbardu", "ishubbard"),
                *("uvalue", "uvalues", "d3", "dftd3"),
            }
        ),
        "head": frozenset({"head"}),
        "electronic temperature": frozenset(
            {
                *("electronictemperature", "telec", "etemp", "electrontemperature"),
                *("smearing", "smearingwidth", "sigma", "ismear", "degauss"),
            }
        ),
        "plane-wave cutoff": frozenset({"encut", "ecutwfc", "ecut", "cutoffenergy", "planewavecutoff"}),
        "surrounding": frozenset({"solvent", "solvation", "solventmodel", "efield", "electricfield"}),
    }
)
"""States that sets of frames may mix, and their names in files, in lower case and without separators."""

CALCULATION = "calc_"
"""Prefix in ``Frame.info`` of what an output states of its own calculation."""
_PREFIXES = ("ref", "dft", "qm", "vasp", "cp2k", "orca", "mace", "target", "true", "info", "mol", "molecular", "calc")


@lru_cache(maxsize=1024)
def state_of(key: str) -> str | None:
    """Return which state a key names, if any: ``charge`` for ``total_charge``."""
    name = letters_of(key)
    shorter = [name.removeprefix(prefix) for prefix in ("", *_PREFIXES) if name.startswith(prefix)]
    return next((state for state, names in STATES.items() if any(n in names for n in shorter)), None)


def charge_and_spin(info: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers that name charge or spin of a structure, under their own names; none of a calculation."""
    found = {k: v for k, v in info.items() if not k.startswith(CALCULATION) and state_of(k) in ("charge", "spin")}
    numbers = {k: np.asarray(v) for k, v in found.items()}
    return {k: v.item() for k, v in numbers.items() if v.size == 1 and v.dtype.kind in "iuf"}


def of_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of a calculator's parameters that decide which surface of potential energy it computes."""
    # To a pair potential, sigma is a length.
    found = {k: v for k, v in _flat(parameters) if v is not None and state_of(k) and k.lower() != "sigma"}
    return {CALCULATION + re.sub(r"\W", "_", key.lower()): _plain(value) for key, value in found.items()}


def _flat(parameters: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in parameters.items():
        # GPAW: mode={"name": "pw", "ecut": 340}.
        if isinstance(value, Mapping) and state_of(str(key)) is None:
            yield from ((str(k), v) for k, v in value.items())
        else:
            yield str(key), value


def _plain(value: Any) -> Any:
    """Return a value that every format can hold."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    return value if isinstance(value, bool | int | float | str) else str(value)
