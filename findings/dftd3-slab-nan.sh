#!/usr/bin/env bash
# dftd3 1.7.0: for a slab whose cell has no third vector the ASE calculator returns NaN as the energy.
#
# ASE's builders of surfaces make slabs that are periodic in two directions with a third vector of zero length unless
# told how much vacuum to add. The calculator hands the cell on as it is. Asked for the energy it returns NaN, without
# an error or a warning; asked for forces it fails over the volume of the cell, which forces do not need. The sum with
# the energy of a network, the usual way to add dispersion to a potential, is NaN too.
#
# Expected: the energy of the same slab with a third vector, along which it is not periodic either, or a refusal.
#
# Output:
#     with vacuum: pbc [True, True, False], energy -1.15 eV
#     no third vector: pbc [True, True, False], energy nan eV
#     forces: ValueError, You have 2 lattice vectors: volume not defined
#
# Exit status: 0 if this is seen, 1 if the behaviour has changed, 2 if the packages could not be installed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
if ! { python3 -m venv venv && venv/bin/python -m pip install --quiet dftd3==1.7.0 ase==3.29.0; } >install.log 2>&1; then
    cat install.log >&2
    exit 2
fi

venv/bin/python -I - <<'END'
from math import isfinite, isnan

from ase.build import fcc111
from dftd3.ase import DFTD3

energies = []
for name, vacuum in (("with vacuum", 8.0), ("no third vector", None)):
    slab = fcc111("Cu", (1, 1, 3), vacuum=vacuum)
    slab.calc = DFTD3(method="PBE", damping="d3bj")
    energies.append(slab.get_potential_energy())
    print(f"{name}: pbc {slab.pbc.tolist()}, energy {energies[-1]:.2f} eV")
try:
    slab.get_forces()
except ValueError as error:
    print(f"forces: ValueError, {error}")
raise SystemExit(not (isfinite(energies[0]) and isnan(energies[1])))
END
