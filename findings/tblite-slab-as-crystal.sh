#!/usr/bin/env bash
# tblite 0.8.0: its ASE calculator takes a slab (periodic in two directions) for a crystal, without a word.
#
# The calculator hands on which directions are periodic, but a structure that is periodic in some of them is computed
# as if it were in all. A layer of boron nitride in a cell 3 angstrom high, not periodic along the height, gets the
# energy of a crystal of such layers, and the energy depends on the height of the cell.
#
# Expected: an energy that does not depend on the length of a vector along which the structure is not periodic, or a
# refusal. Structures labelled by GFN-xTB for a fit with little vacuum so get labels of another structure.
#
# Output:
#     height 3 angstrom, pbc=(True, True, False): -454.6389 eV
#     height 3 angstrom, pbc=(True, True, True): -454.6389 eV
#     height 20 angstrom, pbc=(True, True, False): -458.9191 eV
#
# Exit status: 0 if this is seen, 1 if the behaviour has changed, 2 if the packages could not be installed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
if ! { python3 -m venv venv && venv/bin/python -m pip install --quiet tblite==0.8.0 ase==3.29.0; } >install.log 2>&1; then
    cat install.log >&2
    exit 2
fi

venv/bin/python -I - <<'END'
from ase import Atoms
from tblite.ase import TBLite

energies = []
for height, pbc in ((3.0, (True, True, False)), (3.0, (True, True, True)), (20.0, (True, True, False))):
    cell = [[2.5, 0.0, 0.0], [-1.25, 2.165, 0.0], [0.0, 0.0, height]]
    layer = Atoms("BN", scaled_positions=[[0, 0, 0], [1 / 3, 2 / 3, 0]], cell=cell, pbc=pbc).repeat((2, 2, 1))
    layer.calc = TBLite(method="GFN2-xTB", verbosity=0)
    energies.append(layer.get_potential_energy())
    print(f"height {height:.0f} angstrom, pbc={pbc}: {energies[-1]:.4f} eV")
layer, crystal, free = energies
raise SystemExit(not (abs(layer - crystal) < 1e-6 and abs(layer - free) > 0.1))
END
