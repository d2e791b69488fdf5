#!/usr/bin/env bash
# dpdata 1.1.0, calorine 4.1: forces on fixed atoms become zero when labels are taken from ASE structures.
#
# Both ask ASE for forces in the way that optimisers do, in which constraints are applied: the forces on fixed atoms
# are replaced by zeros. Slabs relaxed with fixed layers carry such constraints in most formats, in extended XYZ as a
# column `move_mask`. The zeros become training data, without a word. dpdata's own reader of extended XYZ keeps the
# forces of the same file; calorine's `apply_energy_offsets` is said to pass forces through unchanged.
# (The trainer of mace-torch 0.3.16 does the same where the forces are called `forces`:
# https://github.com/ACEsuit/mace/pull/1448.)
#
# Expected: the forces in the file, which ASE has under `get_forces(apply_constraint=False)`.
#
# Output:
#     in the file: force on the fixed atom 0.7 eV/angstrom
#     dpdata, ase/structure: 0.0 eV/angstrom
#     dpdata, extxyz: 0.7 eV/angstrom
#     calorine, apply_energy_offsets: 0.0 eV/angstrom
#
# Exit status: 0 if this is seen, 1 if the behaviour has changed, 2 if the packages could not be installed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
if ! { python3 -m venv venv && venv/bin/python -m pip install --quiet dpdata==1.1.0 calorine==4.1 ase==3.29.0; } >install.log 2>&1; then
    cat install.log >&2
    exit 2
fi

cat >slab.xyz <<'END'
2
Lattice="3.0 0.0 0.0 0.0 3.0 0.0 0.0 0.0 20.0" Properties=species:S:1:pos:R:3:move_mask:L:1:forces:R:3 energy=-3.5 pbc="T T F"
Cu 0.0 0.0 8.0 F 0.0 0.0 0.7
Cu 1.5 1.5 9.8 T 0.0 0.0 -0.7
END
venv/bin/python -I - 2>/dev/null <<'END'
import dpdata
from ase.io import read
from calorine.nep import apply_energy_offsets

atoms = read("slab.xyz")
forces = {
    "in the file: force on the fixed atom": atoms.get_forces(apply_constraint=False)[0, 2],
    "dpdata, ase/structure:": dpdata.LabeledSystem(atoms, fmt="ase/structure").data["forces"][0, 0, 2],
    "dpdata, extxyz:": dpdata.MultiSystems.from_file("slab.xyz", fmt="extxyz")[0].data["forces"][0, 0, 2],
    "calorine, apply_energy_offsets:": apply_energy_offsets([atoms], {"Cu": 0.0})[0].calc.results["forces"][0, 2],
}
for name, force in forces.items():
    print(f"{name} {force:.1f} eV/angstrom")
raise SystemExit(list(forces.values()) != [0.7, 0.0, 0.7, 0.0])
END
