#!/usr/bin/env bash
# motep 0.2.0: a slab is written to an MTP .cfg file without its cell.
#
# `write_cfg` writes the block `Supercell` only for structures that are periodic in all three directions. A slab,
# periodic in two, comes out as a molecule, with the energy and the forces of the slab. The block `PlusStress` is
# written all the same. There is no warning.
#
# Expected: a block `Supercell`, or a refusal. The forces of the file belong to neighbours that it no longer has.
#
# Output:
#     written: pbc [True, True, False], distance of the atoms 1.0 angstrom
#     lines `Supercell` in the file: 0, lines `PlusStress:` 1
#     read: pbc [False, False, False], distance of the atoms 3.0 angstrom, energy -3.5 eV
#
# Exit status: 0 if this is seen, 1 if the behaviour has changed, 2 if the packages could not be installed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
if ! { python3 -m venv venv && venv/bin/python -m pip install --quiet motep==0.2.0 ase==3.29.0; } >install.log 2>&1; then
    cat install.log >&2
    exit 2
fi

venv/bin/python -I - <<'END'
from pathlib import Path

from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from motep.io.mlip.cfg import read_cfg, write_cfg

slab = Atoms("CuO", positions=[[0.5, 0, 5], [3.5, 0, 5]], cell=[4.0, 4.0, 20.0], pbc=(True, True, False))
labels = {"energy": -3.5, "forces": [[0.2, 0, 0], [-0.2, 0, 0]], "stress": [0.01, 0, 0, 0, 0, 0]}
slab.calc = SinglePointCalculator(slab, **labels)
write_cfg("slab.cfg", slab, species=["Cu", "O"])
print(f"written: pbc {slab.pbc.tolist()}, distance of the atoms {slab.get_distance(0, 1, mic=True):.1f} angstrom")
words = Path("slab.cfg").read_text().split()
print(f"lines `Supercell` in the file: {words.count('Supercell')}, lines `PlusStress:` {words.count('PlusStress:')}")
back = read_cfg("slab.cfg", species=["Cu", "O"])
distance, energy = back.get_distance(0, 1, mic=True), back.get_potential_energy()
print(f"read: pbc {back.pbc.tolist()}, distance of the atoms {distance:.1f} angstrom, energy {energy} eV")
raise SystemExit(not ("Supercell" not in words and not back.pbc.any() and energy == -3.5))
END
