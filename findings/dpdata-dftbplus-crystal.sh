#!/usr/bin/env bash
# dpdata 1.1.0: a crystal computed with DFTB+ is read as a cluster, with the energy to which its forces do not belong.
#
# The reader converts fractional positions of the GEN format (`F`) with the lattice vectors in the file, and then
# returns no cell and `nopbc`; for Cartesian ones of a supercell (`S`) it does not read the vectors at all. There is no
# warning. Of the energies in detailed.out it takes `Total energy`, though DFTB+ prints `Force related energy` below:
# where occupations are smeared, that is the free energy.
#
# Expected: the cell, periodic, and -76.8694 eV; or an error.
#
# Output:
#     F: nopbc True, cell with 0 vectors, energy -76.8392 eV
#     S: nopbc True, cell with 0 vectors, energy -76.8392 eV
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

cat >F.hsd <<'END'
Geometry = GenFormat {
2  F
Si
    1 1    0.00  0.00  0.00
    2 1    0.25  0.25  0.26
    0.0  0.0  0.0
    0.0  2.7  2.7
    2.7  0.0  2.7
    2.7  2.7  0.0
}
END
cat >S.hsd <<'END'
Geometry = GenFormat {
2  S
Si
    1 1    0.000  0.000  0.000
    2 1    1.377  1.377  1.350
    0.0  0.0  0.0
    0.0  2.7  2.7
    2.7  0.0  2.7
    2.7  2.7  0.0
}
END
cat >rest.hsd <<'END'
Hamiltonian = DFTB {
    SCC = Yes
    MaxAngularMomentum = { Si = "p" }
    SlaterKosterFiles = Type2FileNames {
        Separator = "-"
        Suffix = ".skf"
    }
    Filling = Fermi { Temperature [Kelvin] = 3000 }
    KPointsAndWeights = SupercellFolding {
        4 0 0
        0 4 0
        0 0 4
        0.5 0.5 0.5
    }
}
Analysis = { PrintForces = Yes }
END
for kind in F S; do cat rest.hsd >>"$kind.hsd"; done
cat >detailed.out <<'END'
Fermi level:                        -0.1500000000 H           -4.0817 eV
Band energy:                        -2.7000000000 H          -73.4707 eV
TS:                                  0.0011100000 H            0.0302 eV
Band free energy (E-TS):            -2.7011100000 H          -73.5009 eV
Total Electronic energy:            -2.8337880000 H          -77.1113 eV
Repulsive energy:                    0.0100000000 H            0.2721 eV
Total energy:                       -2.8237880000 H          -76.8392 eV
Extrapolated to 0:                  -2.8243430000 H          -76.8543 eV
Total Mermin free energy:           -2.8248980000 H          -76.8694 eV
Force related energy:               -2.8248980000 H          -76.8694 eV

SCC converged

Total Forces
    1      0.000000000000      0.000000000000      0.010000000000
    2      0.000000000000      0.000000000000     -0.010000000000
END
cat >seen.py <<'END'
import dpdata
import numpy as np

for kind in "FS":
    read = dpdata.LabeledSystem((f"{kind}.hsd", "detailed.out"), fmt="dftbplus")
    vectors = np.linalg.matrix_rank(read["cells"][0])
    print(f"{kind}: nopbc {read.nopbc}, cell with {vectors} vectors, energy {read['energies'][0]:.4f} eV")
END
venv/bin/python -W ignore seen.py | tee seen
diff seen - <<'END' || exit 1
F: nopbc True, cell with 0 vectors, energy -76.8392 eV
S: nopbc True, cell with 0 vectors, energy -76.8392 eV
END
