#!/usr/bin/env bash
# ase 3.29.0: the reader of LAMMPS text dumps ignores the units that the file names.
#
# With `dump_modify ID units yes`, LAMMPS writes its style of units at the top of the dump. In the style `real`
# forces are in kcal/mol/angstrom. The reader passes over this header and takes the numbers for those of the style
# `metal`, so forces come out 23.06 times too large, without a warning. The argument `units="real"` gives the right
# forces, but the reader does not take it from the file.
#
# Expected: 1 eV/angstrom for 23.0605 kcal/mol/angstrom (manual pages of the commands `dump_modify` and `units` of
# LAMMPS), or at least an error or a warning that the units in the file differ from those assumed.
#
# Output:
#     in the file: 23.0605 kcal/mol/angstrom, which is 1 eV/angstrom
#     force by default: 23.0605 eV/angstrom
#     force with units="real": 1.0000 eV/angstrom
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

cat >md.lammpstrj <<'END'
ITEM: UNITS
real
ITEM: TIMESTEP
0
ITEM: NUMBER OF ATOMS
2
ITEM: BOX BOUNDS pp pp pp
0.0 6.0
0.0 6.0
0.0 6.0
ITEM: ATOMS id type element x y z fx fy fz
1 1 Si 0.0 0.0 0.0 23.0605 0.0 0.0
2 2 O 1.6 0.0 0.0 -23.0605 0.0 0.0
END
venv/bin/python -I - <<'END'
from ase.io import read

plain, told = (
    read("md.lammpstrj", format="lammps-dump-text", **options).get_forces()[0, 0] for options in ({}, {"units": "real"})
)
print("in the file: 23.0605 kcal/mol/angstrom, which is 1 eV/angstrom")
print(f"force by default: {plain:.4f} eV/angstrom")
print(f'force with units="real": {told:.4f} eV/angstrom')
raise SystemExit(not (abs(plain - 23.0605) < 1e-6 and abs(told - 1.0) < 1e-3))
END
