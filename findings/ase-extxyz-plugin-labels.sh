#!/usr/bin/env bash
# ase-extxyz 0.1.2: energy, forces and stress are neither written nor, as such, read by this plugin's format.
#
# The package adds the format `cextxyz` to ASE, a faster extended XYZ. Unlike ASE's own format it leaves out what the
# calculator has computed unless `write_calc=True` is given, so a labelled data set that is converted holds structures
# only; the writer of trajectories that its page shows with an optimiser does the same. Reading puts the labels of a
# file among `info` and `arrays` unless `create_calc=True` is given, where ASE's functions do not look for them. There
# is no warning, and the page of the package names neither option.
#
# Expected: the labels, as `ase.io.write` and `ase.io.read` keep them with ASE's own format, or a warning.
#
# Output:
#     written by extxyz, read by extxyz: -3.5 eV
#     written by extxyz, read by cextxyz: no calculator
#     written by cextxyz, read by extxyz: no calculator
#     in the file of cextxyz: energy False, forces False
#
# Exit status: 0 if this is seen, 1 if the behaviour has changed, 2 if the packages could not be installed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
if ! { python3 -m venv venv && venv/bin/python -m pip install --quiet ase-extxyz==0.1.2 extxyz==0.4.6 ase==3.29.0; } >install.log 2>&1; then
    cat install.log >&2
    exit 2
fi

venv/bin/python -I - <<'END'
from pathlib import Path

from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write

atoms = Atoms("CO", positions=[[0, 0, 0], [1.2, 0, 0]], cell=[8.0, 8.0, 8.0], pbc=True)
atoms.calc = SinglePointCalculator(atoms, energy=-3.5, forces=[[0.2, 0, 0], [-0.2, 0, 0]])
labelled = []
for writer, reader in (("extxyz", "extxyz"), ("extxyz", "cextxyz"), ("cextxyz", "extxyz")):
    write("co.xyz", atoms, format=writer)
    back = read("co.xyz", format=reader)
    labelled.append(back.calc is not None)
    seen = f"{back.get_potential_energy()} eV" if back.calc else "no calculator"
    print(f"written by {writer}, read by {reader}: {seen}")
text = Path("co.xyz").read_text()
print(f"in the file of cextxyz: energy {'energy' in text}, forces {'forces' in text}")
raise SystemExit(not (labelled == [True, False, False] and "energy" not in text))
END
