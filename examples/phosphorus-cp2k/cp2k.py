"""What all inputs of CP2K here have in common: units, elements, functional, structure."""

from collections.abc import Iterable, Sequence

import numpy as np

HARTREE = 27.211386245988  # eV, CODATA 2018
BOHR = 0.529177210903  # angstrom

VALENCE = {"O": 6, "Si": 4, "P": 5}
DISPERSION = """
      &VDW_POTENTIAL
        POTENTIAL_TYPE PAIR_POTENTIAL
        &PAIR_POTENTIAL
          TYPE DFTD3(BJ)
          PARAMETER_FILE_NAME dftd3.dat
          REFERENCE_FUNCTIONAL PBE
          R_CUTOFF 15
        &END
      &END"""
FUNCTIONAL = """\
    &XC
      &XC_FUNCTIONAL PBE
      &END{dispersion}
    &END"""
STRUCTURE = """\
  &SUBSYS
    &CELL
{cell}
    &END
    &COORD
{coordinates}
    &END{kinds}
  &END"""
KIND = """
    &KIND {symbol}
      BASIS_SET DZVP-MOLOPT-SR-GTH
      POTENTIAL GTH-PBE-q{valence}
    &END"""


def functional(dispersion: bool) -> str:
    """Section XC: PBE, with D3(BJ) or without."""
    return FUNCTIONAL.format(dispersion=DISPERSION if dispersion else "")


def structure(symbols: Sequence[str], positions: np.ndarray, cell: np.ndarray, digits: int = 8) -> str:
    """Section SUBSYS: cell, with so many ``digits``, atoms, and the basis and pseudopotential of each element."""
    return STRUCTURE.format(
        cell=rows("ABC", cell, digits),
        coordinates=rows(symbols, positions, 8),
        kinds="".join(KIND.format(symbol=s, valence=VALENCE[s]) for s in sorted(set(symbols))),
    )


def rows(names: Iterable[str], vectors: np.ndarray, digits: int) -> str:
    """Lines of a name and a vector, indented as in CP2K's sections CELL and COORD."""
    lines = (f"{name} " + " ".join(f"{x:.{digits}f}" for x in v) for name, v in zip(names, vectors, strict=True))
    return "\n".join(f"      {line}" for line in lines)
