#!/usr/bin/env bash
# ase 3.29.0: structures read from a .db or .json file have lost what their calculator was set to.
#
# A calculator's parameters (functional, cutoff) are written to databases, JSON and .traj alike, and tell whether the
# energies of two structures may be used together. `ase.io.read` returns them from .traj. From .db and .json it returns
# an empty dictionary, although the name of the calculator comes back and the row holds the parameters.
#
# Expected: {'xc': 'PBE'} from all three.
#
# Output:
#     a.traj gpaw {'xc': 'PBE'}
#     a.db gpaw {}
#     a.json gpaw {}
#     in the row of a.db {'xc': 'PBE'}
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
import ase.db
import ase.io
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator

atoms = bulk("Cu")
atoms.calc = SinglePointCalculator(atoms, energy=-3.7)
atoms.calc.name = "gpaw"
atoms.calc.parameters = {"xc": "PBE"}
for name in ("a.traj", "a.db", "a.json"):
    ase.io.write(name, atoms)
    read = ase.io.read(name)
    print(name, read.calc.name, dict(read.calc.parameters))
print("in the row of a.db", ase.db.connect("a.db").get(1).calculator_parameters)
END
venv/bin/python seen.py | tee seen
diff seen - <<'END' || exit 1
a.traj gpaw {'xc': 'PBE'}
a.db gpaw {}
a.json gpaw {}
in the row of a.db {'xc': 'PBE'}
END
