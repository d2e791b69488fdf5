#!/usr/bin/env bash
# ase 3.29.0: the reader of GPAW's text output drops the free energy that the forces belong to.
#
# GPAW prints the free energy and, below it, the energy extrapolated to zero smearing. The reader passes on the
# extrapolated value alone; `free_energy` is not among the results, and asking for the force-consistent energy raises
# an error, although the reader has parsed the number and keeps it in `calc.energy_contributions`.
#
# Expected: results with `free_energy` -10.5 eV beside `energy` -10.25 eV. ASE's documentation of
# `Atoms.get_potential_energy` calls the free energy the one consistent with the forces, and GPAW itself, used as a
# calculator, provides both. Fits that use such files pair extrapolated energies with forces of the free energy.
#
# Output:
#     printed: free energy -10.5 eV, extrapolated -10.25 eV
#     results: energy, forces, magmoms; energy -10.25 eV
#     force-consistent energy: PropertyNotImplementedError
#     energy_contributions['free energy'] = -10.5
#
# Exit status: 0 if this is seen, 1 if the behaviour has changed, 2 if the packages could not be installed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
if ! { python3 -m venv venv && venv/bin/python -m pip install --quiet ase==3.29.0; } >install.log 2>&1; then
    cat install.log >&2
    exit 2
fi

cat >gpaw.txt <<'END'

  ___ ___ ___ _ _ _
 |   |   |_  | | | |
 | | | | | . | | | |
 |__ |  _|___|_____|  24.1.0
 |___|_|

Positions:
   0 Al     0.000000    0.000000    0.000000    ( 0.0000,  0.0000,  0.0000)
   1 Al     2.600000    0.000000    0.000000    ( 0.0000,  0.0000,  0.0000)

Unit cell:
           periodic     x           y           z      points  spacing
  1. axis:    yes    6.000000    0.000000    0.000000    24     0.2500
  2. axis:    yes    0.000000    6.000000    0.000000    24     0.2500
  3. axis:    yes    0.000000    0.000000    6.000000    24     0.2500

Energy contributions relative to reference atoms: (reference = -13000.0)

Kinetic:         +5.000000
Potential:      -10.000000
XC:              -5.000000
Entropy (-ST):   -0.500000
--------------------------
Free energy:    -10.500000
Extrapolated:   -10.250000

Forces in eV/Ang:
  0 Al    0.10000    0.00000    0.00000
  1 Al   -0.10000    0.00000    0.00000

END
venv/bin/python -I - <<'END'
from ase.calculators.calculator import PropertyNotImplementedError
from ase.io import read

atoms = read("gpaw.txt", format="gpaw-out")
results = atoms.calc.results
print("printed: free energy -10.5 eV, extrapolated -10.25 eV")
print(f"results: {', '.join(sorted(results))}; energy {results['energy']} eV")
try:
    answer = atoms.get_potential_energy(force_consistent=True)
except PropertyNotImplementedError as error:
    answer = type(error).__name__
print(f"force-consistent energy: {answer}")
print(f"energy_contributions['free energy'] = {atoms.calc.energy_contributions['free energy']}")
raise SystemExit(not ("free_energy" not in results and results["energy"] == -10.25))
END
