#!/usr/bin/env bash
# ase 3.29.0: forces and velocities in files of DL_POLY are read in atomic units and written as if they were.
#
# CONFIG, REVCON and HISTORY have forces in Da angstrom/ps^2 and velocities in angstrom/ps (user manual of DL_POLY 4,
# section on the CONFIG file). ASE divides them by the atomic units of force and velocity, so what `get_forces` returns
# is in hartree/bohr, 51.4 times too small, and what `get_velocities` returns is in atomic units too. What it writes
# for DL_POLY is 222.7 times too fast: a temperature almost 50000 times as high.
#
# Expected: 1 eV/angstrom for 9648.5332 Da angstrom/ps^2, and 1 angstrom/ps for 1 angstrom/ps in both directions.
#
# Output:
#     read: force 0.019447 eV/angstrom, velocity 0.004490 angstrom/ps
#     written: velocity 222.718 angstrom/ps
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

cat >CONFIG <<'END'
two argon atoms
         2         1         2
       20.0000000000        0.0000000000        0.0000000000
        0.0000000000       20.0000000000        0.0000000000
        0.0000000000        0.0000000000       20.0000000000
Ar               1
       -1.9000000000        0.0000000000        0.0000000000
        1.0000000000        0.0000000000        0.0000000000
     9648.5332000000        0.0000000000        0.0000000000
Ar               2
        1.9000000000        0.0000000000        0.0000000000
       -1.0000000000        0.0000000000        0.0000000000
    -9648.5332000000        0.0000000000        0.0000000000
END
cat >seen.py <<'END'
import ase.io
from ase import units

ANGSTROM_PER_PS = units.Angstrom / (1000 * units.fs)
atoms = ase.io.read("CONFIG", format="dlp4")
force, velocity = atoms.get_forces()[0, 0], atoms.get_velocities()[0, 0] / ANGSTROM_PER_PS
print(f"read: force {force:.6f} eV/angstrom, velocity {velocity:.6f} angstrom/ps")
atoms.set_velocities([[ANGSTROM_PER_PS, 0, 0], [-ANGSTROM_PER_PS, 0, 0]])
atoms.write("REVCON", format="dlp4", levcfg=1)
with open("REVCON") as file:
    velocity = float(file.read().splitlines()[7].split()[0])
print(f"written: velocity {velocity:.3f} angstrom/ps")
END
venv/bin/python seen.py | tee seen
diff seen - <<'END' || exit 1
read: force 0.019447 eV/angstrom, velocity 0.004490 angstrom/ps
written: velocity 222.718 angstrom/ps
END
