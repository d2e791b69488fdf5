#!/usr/bin/env bash
# ase 3.29.0: the reader of LAMMPS text dumps makes up an energy of zero.
#
# A dump with columns fx, fy and fz becomes atoms with forces and with an energy of exactly 0.0 eV. Nothing in the
# file is an energy.
#
# Expected: forces alone. A text dump holds columns of atoms (manual page of the `dump` command of LAMMPS); the
# potential energy of the cell is not among its items, so asking for it should raise an error, as it does for any
# other file without one. A fit to such frames would be told that every structure has the same energy.
#
# Output:
#     results: energy, forces
#     get_potential_energy() = 0.0 eV
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
ITEM: TIMESTEP
0
ITEM: NUMBER OF ATOMS
2
ITEM: BOX BOUNDS pp pp pp
0.0 6.0
0.0 6.0
0.0 6.0
ITEM: ATOMS id type element x y z fx fy fz
1 1 Si 0.0 0.0 0.0 0.5 0.0 0.0
2 2 O 1.6 0.0 0.0 -0.5 0.0 0.0
END
venv/bin/python -I - <<'END'
from ase.io import read

atoms = read("md.lammpstrj", format="lammps-dump-text")
print(f"results: {', '.join(sorted(atoms.calc.results))}")
print(f"get_potential_energy() = {atoms.get_potential_energy()} eV")
raise SystemExit(not atoms.get_potential_energy() == 0.0)
END
