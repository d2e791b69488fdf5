#!/usr/bin/env bash
# ase 3.29.0: an empty text in `atoms.info` makes an extended XYZ file lose the next value when it is read back.
#
# The writer prints an empty text as `config_type=` with nothing behind the equals sign. Its own reader takes the
# next word of the line for the value. When the next word is the energy, `config_type` becomes the text "energy=-3.5"
# and there is no energy any more. Neither step gives a warning.
#
# Expected: what was written, an empty text and an energy. The pattern for a quoted text in the specification of
# extended XYZ (README of github.com/libAtoms/extxyz) matches an empty one and that for a bare text does not, so the
# writer should print `config_type=""`.
#
# Output:
#     written: ... config_type= energy=-3.5 pbc="T T T"
#     read back: config_type is 'energy=-3.5', results: forces
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

venv/bin/python -I - <<'END'
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write

atoms = Atoms("SiO", [[0, 0, 0], [1.6, 0, 0]], cell=[6, 6, 6], pbc=True, info={"config_type": ""})
atoms.calc = SinglePointCalculator(atoms, energy=-3.5, forces=[[0.2, 0, 0], [-0.2, 0, 0]])
write("frame.xyz", atoms, format="extxyz")
with open("frame.xyz") as file:
    comment = file.readlines()[1].strip()
print("written: ...", comment[comment.index("config_type") :])
again = read("frame.xyz", format="extxyz")
results = again.calc.results if again.calc else {}
print(f"read back: config_type is {again.info.get('config_type')!r}, results: {', '.join(sorted(results))}")
raise SystemExit(not ("energy" not in results and again.info.get("config_type") == "energy=-3.5"))
END
