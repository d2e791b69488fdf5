#!/usr/bin/env bash
# ase 3.29.0: crystals in files of EON and Qb@ll are read as clusters: the cell is there, but pbc is False.
#
# Both codes are periodic in three directions, and their formats have no word for it. What ASE itself writes for a
# crystal comes back without the neighbours across the faces of its cell, and without a warning. A file of CASTEP,
# whose format has no such word either, comes back periodic.
#
# Expected: the energy (EMT) of the crystal that was written.
#
# Output:
#     written: pbc [True, True, True], energy -0.2 eV
#     castep-cell: pbc [True, True, True], energy -0.2 eV
#     eon: pbc [False, False, False], energy 21.0 eV
#     sys: pbc [False, False, False], energy 21.0 eV
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

cat >seen.py <<'END'
import ase.io
from ase.build import bulk
from ase.calculators.emt import EMT


def say(name, atoms):
    atoms.calc = EMT()
    print(f"{name}: pbc {atoms.pbc.tolist()}, energy {atoms.get_potential_energy():.1f} eV")


crystal = bulk("Cu", cubic=True).repeat(2)
say("written", crystal)
for form in ("castep-cell", "eon", "sys"):
    crystal.write(f"crystal.{form}", format=form)
    say(form, ase.io.read(f"crystal.{form}", format=form))
END
venv/bin/python -W ignore seen.py | tee seen
diff seen - <<'END' || exit 1
written: pbc [True, True, True], energy -0.2 eV
castep-cell: pbc [True, True, True], energy -0.2 eV
eon: pbc [False, False, False], energy 21.0 eV
sys: pbc [False, False, False], energy 21.0 eV
END
