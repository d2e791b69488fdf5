#!/usr/bin/env bash
# ase 3.29.0: the reader of pw.x output takes the energy of the wrong functional.
#
# In a run with a hybrid functional, pw.x first converges without exact exchange and prints that energy with one
# exclamation mark. It then switches exact exchange on, repeats the self-consistent loop, and prints the energy of
# the settled state with two exclamation marks. The reader looks for one mark and takes the first match in each
# geometry, so for a single point it returns the energy of the semilocal functional, as `energy` and as
# `free_energy`, without a warning. The forces beside it are those of the hybrid functional.
#
# Expected: -20.9 Ry, the line with two marks. pw.x marks the converged energy in this way (PW/src/electrons.f90 of
# Quantum ESPRESSO: the marks are printed when the estimated exchange error is below the threshold, together with
# "EXX self-consistency reached").
#
# Output:
#     printed before exact exchange: -20.0 Ry; settled: -20.9 Ry
#     energy -20.0000 Ry, free_energy -20.0000 Ry
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

cat >scf.out <<'END'

     Program PWSCF v.7.2 starts
     number of atoms/cell      =            2
     number of atomic types    =            2
     EXX-fraction              =        0.25
     celldm(1)=  10.000000  celldm(2)=   0.000000  celldm(3)=   0.000000
     crystal axes: (cart. coord. in units of alat)
               a(1) = (   1.000000   0.000000   0.000000 )
               a(2) = (   0.000000   1.000000   0.000000 )
               a(3) = (   0.000000   0.000000   1.000000 )

     site n.     atom                  positions (alat units)
         1           C   tau(   1) = (   0.0000000   0.0000000   0.0000000  )
         2           O   tau(   2) = (   0.2200000   0.0000000   0.0000000  )

!    total energy              =     -20.00000000 Ry
     EXX: now go back to refine exchange calculation
!    total energy              =     -20.80000000 Ry

!!   total energy              =     -20.90000000 Ry
     EXX self-consistency reached

     Forces acting on atoms (cartesian axes, Ry/au):

     atom    1 type  1   force =     0.01000000    0.00000000    0.00000000
     atom    2 type  2   force =    -0.01000000    0.00000000    0.00000000

END
venv/bin/python -I - <<'END'
from ase import units
from ase.io import read

results = read("scf.out", format="espresso-out").calc.results
energy, free = (results[name] / units.Ry for name in ("energy", "free_energy"))
print("printed before exact exchange: -20.0 Ry; settled: -20.9 Ry")
print(f"energy {energy:.4f} Ry, free_energy {free:.4f} Ry")
raise SystemExit(not abs(energy + 20.0) < 1e-4)
END
