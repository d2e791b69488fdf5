#!/usr/bin/env bash
# dpdata 1.1.0: from outputs of SIESTA, atom numbers are read as forces, and virials have the wrong sign.
#
# With `WriteForces F`, the default, SIESTA prints the head `siesta: Atomic forces` for each step without the forces; it
# prints them at the end, on lines that begin with `siesta:` (SIESTA's read_options.F90 and write_subs.F). Of these
# lines the reader takes the second to the fourth word, which are the number of the atom, x and y.
# SIESTA's stress is positive under tension, as its pressure beside it shows; the reader multiplies it by the volume.
# Virials of dpdata are positive under compression: those that it makes of ASE's stress are -V * stress.
#
# Expected: forces of 0.25 and -0.25 eV/angstrom along x; virials of +1.7576 eV, which are V times the pressure.
#
# Output:
#     forces [[1.0, 0.25, 0.0], [2.0, -0.25, 0.0]] eV/angstrom
#     virial from SIESTA -1.7576 eV, from the same stress in ASE 1.7576 eV
#
# Exit status: 0 if this is seen, 1 if the behaviour has changed, 2 if the packages could not be installed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
if ! { python3 -m venv venv &&
    venv/bin/python -m pip install --quiet dpdata==1.1.0 ase==3.29.0; } >install.log 2>&1; then
    cat install.log >&2
    exit 2
fi

cat >siesta.out <<'END'
Siesta Version  : v4.1.5

                           ***********************
                           *  WELCOME TO SIESTA  *
                           ***********************

 Species number:   1 Atomic number:   14 Label: Si

initatomlists: Number of atoms, orbitals, and projectors:      2    26    32

redata: Number of Atomic Species         =        1

outcoor: Atomic coordinates (Ang):
    0.00000000    0.00000000    0.00000000   1       1  Si
    1.32000000    1.30000000    1.30000000   1       2  Si

outcell: Unit cell vectors (Ang):
        0.000000    2.600000    2.600000
        2.600000    0.000000    2.600000
        2.600000    2.600000    0.000000

siesta: E_KS(eV) =             -214.5000

siesta: Atomic forces (eV/Ang):
----------------------------------------
   Tot    0.000000    0.000000    0.000000
----------------------------------------
   Max    0.250000
   Res    0.144338    sqrt( Sum f_i^2 / 3N )
----------------------------------------
   Max    0.250000    constrained

siesta: Atomic forces (eV/Ang):
siesta:      1    0.250000    0.000000    0.000000
siesta:      2   -0.250000    0.000000    0.000000
siesta: ----------------------------------------
siesta:    Tot    0.000000    0.000000    0.000000

siesta: Stress tensor (static) (eV/Ang**3):
siesta:    -0.050000    0.000000    0.000000
siesta:     0.000000   -0.050000    0.000000
siesta:     0.000000    0.000000   -0.050000

siesta: Cell volume =         35.152000 Ang**3

siesta: Pressure (static):
siesta:                Solid            Molecule  Units
siesta:           0.00054457          0.00054457  Ry/Bohr**3
siesta:           0.05000000          0.05000000  eV/Ang**3
siesta:          80.10883170         80.10883170  kBar
END
cat >seen.py <<'END'
import dpdata
import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

read = dpdata.LabeledSystem("siesta.out", fmt="siesta/output")
print("forces", read["forces"][0].tolist(), "eV/angstrom")
atoms = Atoms("Si2", positions=read["coords"][0], cell=read["cells"][0], pbc=True)
stress = np.array([-0.05, -0.05, -0.05, 0.0, 0.0, 0.0])
atoms.calc = SinglePointCalculator(atoms, energy=-214.5, forces=np.zeros((2, 3)), stress=stress)
same = dpdata.LabeledSystem(atoms, fmt="ase/structure")
print(
    f"virial from SIESTA {read['virials'][0, 0, 0]:.4f} eV, "
    f"from the same stress in ASE {same['virials'][0, 0, 0]:.4f} eV"
)
END
venv/bin/python -W ignore seen.py | tee seen
diff seen - <<'END' || exit 1
forces [[1.0, 0.25, 0.0], [2.0, -0.25, 0.0]] eV/angstrom
virial from SIESTA -1.7576 eV, from the same stress in ASE 1.7576 eV
END
