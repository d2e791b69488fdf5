#!/usr/bin/env bash
# ase 3.29.0: forces in aenet's training files (XSF) come out 27.2 times too large.
#
# XCrySDen's format has forces in hartree/angstrom after the positions, and ASE converts them. aenet trains on files of
# the same format whose first line is `# total energy = ... eV`, with forces in eV/angstrom (structural energy reference
# data in http://ann.atomistic.net/documentation). ASE reads these as XCrySDen's, without a warning, and leaves out the
# energy.
#
# Expected: forces of 0.1 and -0.1 eV/angstrom, an energy of -5.0 eV; or a warning.
#
# Output:
#     force on the first atom 2.7211 eV/angstrom, 27.2 times what is written
#     energy None
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

cat >structure.xsf <<'END'
# total energy = -5.0 eV

CRYSTAL
PRIMVEC
    6.0 0.0 0.0
    0.0 6.0 0.0
    0.0 0.0 6.0
PRIMCOORD
    2 1
Cu  0.0 0.0 0.0   0.1 0.0 0.0
Cu  2.2 0.0 0.0  -0.1 0.0 0.0
END
cat >seen.py <<'END'
import ase.io

atoms = ase.io.read("structure.xsf")
force = atoms.get_forces()[0, 0]
print(f"force on the first atom {force:.4f} eV/angstrom, {force / 0.1:.1f} times what is written")
print("energy", atoms.calc.results.get("energy"))
END
venv/bin/python seen.py | tee seen
diff seen - <<'END' || exit 1
force on the first atom 2.7211 eV/angstrom, 27.2 times what is written
energy None
END
