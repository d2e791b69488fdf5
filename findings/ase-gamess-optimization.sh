#!/usr/bin/env bash
# ase 3.29.0: of an optimization with GAMESS-US, the first positions are returned with the last energy and forces.
#
# GAMESS prints the initial structure as `COORDINATES (BOHR)` and that of each later step as `COORDINATES OF ALL ATOMS
# ARE (ANGS)`. ASE looks for the former only, but takes every energy and gradient, so the last of them end up on the
# structure of the input, without a warning.
#
# Expected: positions, energy and forces of one step; here of the last, with 0.74 angstrom and no forces, or of all.
#
# Output:
#     in the file: 0.60 angstrom with 5.14 eV/angstrom, 0.74 angstrom with 0.00 eV/angstrom
#     read: 0.60 angstrom with 0.00 eV/angstrom
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

cat >h2.out <<'END'
          ******************************************************
          *         GAMESS VERSION = 30 SEP 2021 (R2)          *
          ******************************************************

 ATOM      ATOMIC                      COORDINATES (BOHR)
           CHARGE         X                   Y                   Z
 H           1.0     0.0000000000        0.0000000000       -0.5669178
 H           1.0     0.0000000000        0.0000000000        0.5669178

 BEGINNING GEOMETRY SEARCH POINT NSERCH=   0 ...

 FINAL RHF ENERGY IS       -1.1000000000 AFTER   8 ITERATIONS

                         ----------------------
                         GRADIENT OF THE ENERGY
                         ----------------------

 UNITS ARE HARTREE/BOHR    E'X               E'Y               E'Z
    1 H                0.000000000       0.000000000       0.100000000
    2 H                0.000000000       0.000000000      -0.100000000

1NSERCH=   1

 COORDINATES OF ALL ATOMS ARE (ANGS)
   ATOM   CHARGE       X              Y              Z
 ------------------------------------------------------------
 H           1.0   0.0000000000   0.0000000000  -0.3700000000
 H           1.0   0.0000000000   0.0000000000   0.3700000000

 FINAL RHF ENERGY IS       -1.1300000000 AFTER   7 ITERATIONS

                         ----------------------
                         GRADIENT OF THE ENERGY
                         ----------------------

 UNITS ARE HARTREE/BOHR    E'X               E'Y               E'Z
    1 H                0.000000000       0.000000000       0.000000000
    2 H                0.000000000       0.000000000       0.000000000

      ***** EQUILIBRIUM GEOMETRY LOCATED *****
END
cat >seen.py <<'END'
import ase.io
from ase.units import Bohr, Hartree

atoms = ase.io.read("h2.out", format="gamess-us-out")
first = 0.1 * Hartree / Bohr
print(f"in the file: 0.60 angstrom with {first:.2f} eV/angstrom, 0.74 angstrom with 0.00 eV/angstrom")
print(f"read: {atoms.get_distance(0, 1):.2f} angstrom with {abs(atoms.get_forces()).max():.2f} eV/angstrom")
END
venv/bin/python seen.py | tee seen
diff seen - <<'END' || exit 1
in the file: 0.60 angstrom with 5.14 eV/angstrom, 0.74 angstrom with 0.00 eV/angstrom
read: 0.60 angstrom with 0.00 eV/angstrom
END
