#!/usr/bin/env bash
# dpdata 1.1.0: clusters become crystals if the data set has a crystal of the same composition.
#
# A MultiSystems gathers frames of one composition in one system, which has one flag for periodicity. As soon as one
# of its frames is periodic, all of them are, without a word. A cluster whose frame has a box, and says that it is
# not periodic, is then a crystal with the cell of that box, and keeps the energy and forces of the cluster. The same
# file without its second frame is read rightly. What is written for DeePMD-kit has no file `nopbc`.
#
# Expected: two systems, or a refusal, as when only some of the frames have virials.
#
# Output:
#     the cluster alone: pbc False, energy -2.0 eV
#     the cluster and a crystal: pbc True, energies -2.0, -1.0 eV
#     distance of its two atoms across the boundary: 0.8 angstrom
#
# Exit status: 0 if this is seen, 1 if the behaviour has changed, 2 if the packages could not be installed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
if ! { python3 -m venv venv && venv/bin/python -m pip install --quiet dpdata==1.1.0 ase==3.29.0; } >install.log 2>&1; then
    cat install.log >&2
    exit 2
fi

for name in one two; do
    cat >$name.xyz <<'END'
2
Lattice="4.0 0.0 0.0 0.0 8.0 0.0 0.0 0.0 8.0" Properties=species:S:1:pos:R:3:forces:R:3 energy=-2.0 pbc="F F F"
Cu 0.0 0.0 0.0 0.5 0.0 0.0
Cu 3.2 0.0 0.0 -0.5 0.0 0.0
END
done
cat >>two.xyz <<'END'
2
Lattice="3.6 0.0 0.0 0.0 3.6 0.0 0.0 0.0 3.6" Properties=species:S:1:pos:R:3:forces:R:3 energy=-1.0 pbc="T T T"
Cu 0.0 0.0 0.0 0.0 0.0 0.1
Cu 1.8 1.8 1.8 0.0 0.0 -0.1
END
venv/bin/python -I - <<'END'
import dpdata


def read(path):
    (system,) = dpdata.MultiSystems.from_file(path, fmt="extxyz").systems.values()
    return system.to("ase/structure"), system.data["energies"]


alone, energies = read("one.xyz")
print(f"the cluster alone: pbc {alone[0].pbc.all()}, energy {energies[0]} eV")
both, energies = read("two.xyz")
print(f"the cluster and a crystal: pbc {both[0].pbc.all()}, energies {', '.join(map(str, energies))} eV")
distance = both[0].get_distance(0, 1, mic=True)
print(f"distance of its two atoms across the boundary: {distance:.1f} angstrom")
raise SystemExit(not (not alone[0].pbc.any() and both[0].pbc.all() and abs(distance - 0.8) < 1e-6))
END
