"""Label structures by DFT, each for itself: energy, forces and stress with CP2K.

    python single_points.py input silicon.extxyz      # silicon/000.inp and so on
    for name in silicon/*.inp; do cp2k -i $name -o ${name%.inp}.out; done      # half a minute each on one core
    python single_points.py collect silicon.extxyz --out silicon-pbe.extxyz.xz

Bands are occupied as at 1000 K, so that metals converge too; energies are free energies, whose derivatives the forces
and the stress are.
"""

import argparse
import re
from pathlib import Path

import numpy as np
from generate import BOHR, HARTREE

import keel

GPA = 160.21766208  # of an eV/angstrom^3
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
KIND = """
    &KIND {symbol}
      BASIS_SET DZVP-MOLOPT-SR-GTH
      POTENTIAL GTH-PBE-q{valence}
    &END"""
INPUT = """\
&GLOBAL
  PROJECT {project}
  RUN_TYPE ENERGY_FORCE
  PRINT_LEVEL LOW
&END
&FORCE_EVAL
  METHOD QS
  STRESS_TENSOR ANALYTICAL
  &PRINT
    &FORCES
    &END
    &STRESS_TENSOR
    &END
  &END
  &DFT
    BASIS_SET_FILE_NAME BASIS_MOLOPT
    POTENTIAL_FILE_NAME GTH_POTENTIALS
    &MGRID
      CUTOFF {cutoff}
      REL_CUTOFF {relative_cutoff}
    &END
    &QS
      EPS_DEFAULT 1e-8
    &END
    &SCF
      SCF_GUESS ATOMIC
      EPS_SCF 5e-6
      MAX_SCF 100
      ADDED_MOS {empty}
      &DIAGONALIZATION
      &END
      &SMEAR
        METHOD FERMI_DIRAC
        ELECTRONIC_TEMPERATURE 1000
      &END
      &MIXING
        METHOD BROYDEN_MIXING
        ALPHA 0.3
        NBROYDEN 8
      &END
      &PRINT
        &RESTART OFF
        &END
      &END
    &END
    &XC
      &XC_FUNCTIONAL PBE
      &END{dispersion}
    &END
  &END
  &SUBSYS
    &CELL
{cell}
    &END
    &COORD
{coordinates}
    &END{kinds}
  &END
&END
"""


def cp2k_input(frame: keel.Frame, project: str, cutoff: float, dispersion: bool) -> str:
    """Input of CP2K for one structure; the grid's cutoff is in Ry."""
    rows = (" ".join(f"{x:.8f}" for x in p) for p in frame.positions)
    symbols = [keel.symbol(z) for z in frame.numbers]
    return INPUT.format(
        project=project,
        cutoff=cutoff,
        relative_cutoff=cutoff / 4,
        empty=len(frame),
        dispersion=DISPERSION if dispersion else "",
        cell="\n".join(f"      {n} " + " ".join(f"{x:.8f}" for x in v) for n, v in zip("ABC", frame.cell, strict=True)),
        coordinates="\n".join(f"      {s} {row}" for s, row in zip(symbols, rows, strict=True)),
        kinds="".join(KIND.format(symbol=s, valence=VALENCE[s]) for s in sorted(set(symbols))),
    )
