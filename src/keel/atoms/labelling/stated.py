"""What a file states of the calculation behind its labels: charge, spin, functional, cutoff, under any usual name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np

from keel.atoms.labelling.names import letters_of
from keel.atoms.units import spelled

STATES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "charge": frozenset(
            {
                *("charge", "totalcharge", "totcharge", "netcharge", "cellcharge", "qtot", "systemcharge"),
                *("chargemult", "totalinitialcharge"),
            }
        ),
        "number of electrons": frozenset({"nelect", "nelec", "nelectrons", "nelectron", "numberofelectrons"}),
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
                *("uvalue", "uvalues", "d3", "dftd3", "vdwcorrection", "dispersioncorrection", "vdwmethod", "ivdw"),
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
        "sampling of k points": frozenset({"kspacing", "kpointspacing", "kspace", "kpointdensity", "kdensity"}),
        "pseudopotentials": frozenset(
            {"pseudopotential", "pseudopotentials", "pseudo", "pseudos", "potcar", "potcars"}
        ),
        "program": frozenset({"code", "program", "software", "dftcode", "simulationcode"}),
        "surrounding": frozenset({"solvent", "solvation", "solventmodel", "efield", "electricfield"}),
    }
)
"""States that sets of frames may mix, and their names in files, in lower case and without separators."""
OF_COMPOSITION = frozenset({"number of electrons", "pseudopotentials"})
"""States that differ between compositions for a good reason, so that only frames of one composition are compared."""
MOMENTS = frozenset(
    {
        *("totalmagmom", "totalmagneticmoment", "totalmagnetization", "totalmagnetisation", "totmag", "magmom"),
        *("netmagmom", "magneticmoment", "magnetization", "magnetisation", "nupdown", "totalinitialmagmom"),
    }
)
"""Names of the magnetic moment of a structure, which differs between frames of one study for good reasons too."""
_TOTALS = {"initial_charges": "total_initial_charge", "initial_magmoms": "total_initial_magmom"}
TOTALLED = frozenset(_TOTALS)
"""Columns of ASE whose sum over the atoms says which state was asked for."""

CALCULATION = "calc_"
"""Prefix in ``Frame.info`` of what an output states of its own calculation."""
_PREFIXES = ("ref", "dft", "qm", "vasp", "cp2k", "orca", "mace", "target", "true", "info", "mol", "molecular", "calc")


@lru_cache(maxsize=1024)
def state_of(key: str) -> str | None:
    """Return which state a key names, if any: ``charge`` for ``total_charge``."""
    shorter = frozenset(_shorter(key))
    return next((state for state, names in STATES.items() if not names.isdisjoint(shorter)), None)


def is_moment(key: str) -> bool:
    """Return whether a key names the magnetic moment of a structure."""
    return not MOMENTS.isdisjoint(_shorter(key))


def _shorter(key: str) -> Iterator[str]:
    """Yield a name without separators, and without the prefix or the unit of energy that it may have."""
    head, _, tail = key.rpartition("_")
    for name in map(letters_of, (key, head) if head and spelled("energy", tail) else (key,)):
        yield from (name.removeprefix(prefix) for prefix in ("", *_PREFIXES) if name.startswith(prefix))


def totals(arrays: Mapping[str, Any], atoms: int) -> dict[str, float]:
    """Return the charge, if there is any, and the magnetic moment that a calculation began with."""
    columns = {_TOTALS[name]: np.asarray(arrays[name]) for name in sorted(TOTALLED & arrays.keys())}
    fit = {k: v for k, v in columns.items() if v.shape == (atoms,) and v.dtype.kind in "if" and np.isfinite(v).all()}
    sums = {key: round(float(values.sum()), 2) for key, values in fit.items()}
    # Frames without charges are neutral, too.
    return {key: total for key, total in sums.items() if total or "charge" not in key}


def charge_and_spin(info: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers that name charge or spin of a structure, under their own names; none of a calculation."""
    found = {k: v for k, v in info.items() if not k.startswith(CALCULATION) and state_of(k) in ("charge", "spin")}
    numbers = {k: np.asarray(v) for k, v in found.items()}
    return {k: v.item() for k, v in numbers.items() if v.size == 1 and v.dtype.kind in "iuf"}


def of_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of a calculator's parameters that decide which surface of potential energy it computes."""
    # To a pair potential, sigma is a length.
    found = {
        k: v for k, v in _flat(parameters) if v is not None and (state_of(k) or is_moment(k)) and k.lower() != "sigma"
    }
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
