#!/usr/bin/env bash
# ase 3.29.0: energies read from CASTEP output lack the dispersion correction.
#
# For a run with a semi-empirical dispersion correction, CASTEP prints the final energies twice, without the
# correction and with it. The reader keeps both, but stores the corrected ones under keys that end in
# `_with_dispersion_correlation` and later looks for keys that end in `_with_dispersion_correction`. It never finds
# them, so `energy` and `free_energy` are always the uncorrected values. There is no warning.
#
# Expected: -100.55 eV as energy and -100.60 eV as free energy, the corrected values. The reader's own code prefers
# them where they exist, and CASTEP's forces contain the correction.
#
# Output:
#     uncorrected free energy -100.2 eV, corrected -100.6 eV
#     energy -100.15 eV, free_energy -100.20 eV
#     keys of the corrected values:
#     energy_with_dispersion_correlation
#     energy_zero_with_dispersion_correlation
#     free_energy_with_dispersion_correlation
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

cat >run.castep <<'END'
 |                 Welcome to Academic Release CASTEP version 22.11            |

 ************************************ Title ************************************


 *******************************************************************************
                                    Unit Cell
        Real Lattice(A)              Reciprocal Lattice(1/A)
     6.0000000     0.0000000     0.0000000     1.047197551   0.000000000   0.000000000
     0.0000000     6.0000000     0.0000000     0.000000000   1.047197551   0.000000000
     0.0000000     0.0000000     6.0000000     0.000000000   0.000000000   1.047197551

                                  Cell Contents
                         Total number of ions in cell =    2
                      Total number of species in cell =    1

            x  Element    Atom        Fractional coordinates of atoms  x
            x     Ar         1         0.000000   0.000000   0.000000   x
            x     Ar         2         0.600000   0.000000   0.000000   x

Final energy, E             =  -100.1000000000     eV
Final free energy (E-TS)    =  -100.2000000000     eV
NB est. 0K energy (E-0.5TS)      =  -100.1500000000     eV

 Dispersion corrected final energy*, Ecor          =  -100.5000000000     eV
 Dispersion corrected final free energy* (Ecor-TS) =  -100.6000000000     eV
 NB dispersion corrected est. 0K energy* (Ecor-0.5TS) =  -100.5500000000     eV

 ************************** Forces **************************
 * Ar              1     -0.01000      0.00000      0.00000 *
 * Ar              2      0.01000      0.00000      0.00000 *

 Finalisation time   =      0.01 s
END
venv/bin/python -I - <<'END'
from ase.io import read

results = read("run.castep", format="castep-castep").calc.results
print("uncorrected free energy -100.2 eV, corrected -100.6 eV")
print(f"energy {results['energy']:.2f} eV, free_energy {results['free_energy']:.2f} eV")
keys = sorted(key for key in results if "with_dispersion" in key)
print("keys of the corrected values:", *keys, sep="\n")
raise SystemExit(not (results["free_energy"] == -100.2 and results["energy"] == -100.15))
END
