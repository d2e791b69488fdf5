#!/usr/bin/env bash
# quippy-ase 0.10.3: a slab whose cell has no third vector gets a wrong energy, without a word.
#
# ASE's builders of surfaces make slabs that are periodic in two directions with a third vector of zero length unless
# told how much vacuum to add. For such a slab the energy and the forces are wrong as soon as a vector of the plane is
# short against the cutoff: neighbours are lost. The same slab in a larger cell of the plane is right, and so is it
# with vacuum. Chains with one vector go wrong the same way.
#
# Expected: the energy per atom of a slab does not depend on how many cells of it are given, nor on a third vector
# along which it is not periodic; or a refusal.
#
# Output (three layers of copper with a Lennard-Jones potential cut at 5 angstrom):
#     1 x 1 cells, 8 angstrom of vacuum: -1.6600 eV/atom
#     1 x 1 cells, no third vector: -1.5693 eV/atom
#     4 x 4 cells, no third vector: -1.6600 eV/atom
#
# Exit status: 0 if this is seen, 1 if the behaviour has changed, 2 if the packages could not be installed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
if ! { python3 -m venv venv && venv/bin/python -m pip install --quiet quippy-ase==0.10.3 ase==3.29.0; } >install.log 2>&1; then
    cat install.log >&2
    exit 2
fi

venv/bin/python -I - <<'END'
from ase.build import fcc111
from quippy.potential import Potential

XML = """<LJ_params n_types="1"><per_type_data type="1" atomic_num="29"/><per_pair_data type1="1" type2="1"
sigma="2.3" eps6="1.2" eps12="1.2" cutoff="5.0" energy_shift="T" linear_force_shift="F"/></LJ_params>"""
energies = []
for cells, vacuum in ((1, 8.0), (1, None), (4, None)):
    slab = fcc111("Cu", (cells, cells, 3), vacuum=vacuum)
    assert slab.pbc.tolist() == [True, True, False]
    slab.calc = Potential("IP LJ", param_str=XML)
    energies.append(slab.get_potential_energy() / len(slab))
    room = "no third vector" if vacuum is None else f"{vacuum:.0f} angstrom of vacuum"
    print(f"{cells} x {cells} cells, {room}: {energies[-1]:.4f} eV/atom")
right, wrong, large = energies
raise SystemExit(not (abs(large - right) < 1e-6 and abs(wrong - right) > 0.01))
END
