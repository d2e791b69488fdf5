#!/usr/bin/env bash
# dpdata 1.1.0: the format `n2p2` scales files that are in angstrom and eV as if they were in bohr and hartree.
#
# A file input.data has no field for units. dpdata multiplies every length by 0.529, every energy by 27.2 and every
# force by 51.4 when it reads one, whatever its units are. There is no option to say that the file is in angstrom and
# eV, and no warning. A bond of 1.6 angstrom comes out as 0.85 angstrom. The docstring of the format does say that it
# assumes atomic units, and what dpdata itself writes is read back correctly.
#
# Expected: a choice of units. The documentation of n2p2 (page "Units") says that the program works in any consistent
# system of units and leaves the numbers of input files unaltered, so the format itself does not have atomic units.
#
# Output:
#     in the file: 1.6 angstrom, -3.5 eV, 0.2 eV/angstrom
#     read: 0.8467 angstrom, -95.2399 eV, 10.2844 eV/angstrom
#
# Exit status: 0 if this is seen, 1 if the behaviour has changed, 2 if the packages could not be installed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
if ! { python3 -m venv venv && venv/bin/python -m pip install --quiet dpdata==1.1.0; } >install.log 2>&1; then
    cat install.log >&2
    exit 2
fi

cat >input.data <<'END'
begin
comment angstrom and eV
lattice 6.0 0.0 0.0
lattice 0.0 6.0 0.0
lattice 0.0 0.0 6.0
atom 0.0 0.0 0.0 Si 0.0 0.0 0.2 0.0 0.0
atom 1.6 0.0 0.0 O 0.0 0.0 -0.2 0.0 0.0
energy -3.5
charge 0.0
end
END
venv/bin/python -I - <<'END'
import dpdata

data = dpdata.LabeledSystem("input.data", fmt="n2p2").data
length, energy, force = data["coords"][0, 1, 0], data["energies"][0], data["forces"][0, 0, 0]
print("in the file: 1.6 angstrom, -3.5 eV, 0.2 eV/angstrom")
print(f"read: {length:.4f} angstrom, {energy:.4f} eV, {force:.4f} eV/angstrom")
raise SystemExit(not (abs(length - 0.8467) < 1e-3 and abs(energy + 95.24) < 1e-2 and abs(force - 10.284) < 1e-2))
END
