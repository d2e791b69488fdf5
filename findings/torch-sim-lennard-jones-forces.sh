#!/usr/bin/env bash
# torch-sim-atomistic 0.3.0: the forces and the stress of LennardJonesModel are twice what its energy says.
#
# Every pair is in the neighbour list twice, once in each direction. The energy is halved for that; forces and stress
# are not. So energy is not conserved in NVE, and Lennard-Jones runs with twice the forces. It does not depend on
# whether a neighbour list is used. (0.3.0 is the newest release for Python 3.11.)
#
# Expected: the force on an atom is minus the slope of the energy.
#
# Output:
#     energy -0.983372 eV, analytic -0.983372 eV
#     force 1.588095 eV/angstrom, slope of its own energy 0.794048 eV/angstrom, ratio 2.000
#
# Exit status: 0 if this is seen, 1 if the behaviour has changed, 2 if the packages could not be installed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
if ! { python3 -m venv venv && venv/bin/python -m pip install --quiet torch==2.13.0 &&
    venv/bin/python -m pip install --quiet torch-sim-atomistic==0.3.0 ase==3.29.0; } >install.log 2>&1; then
    cat install.log >&2
    exit 2
fi

venv/bin/python -I - <<'END'
import torch
from ase import Atoms
from torch_sim.io import atoms_to_state
from torch_sim.models.lennard_jones import LennardJonesModel

EPSILON, SIGMA, DISTANCE, STEP = 1.0, 2.0, 2.2, 1e-5
model = LennardJonesModel(sigma=SIGMA, epsilon=EPSILON, cutoff=6.0, dtype=torch.float64, compute_forces=True)


def found(distance: float) -> dict[str, torch.Tensor]:
    atoms = Atoms("Ar2", positions=[[5.0, 5.0, 5.0], [5.0 + distance, 5.0, 5.0]], cell=[20.0] * 3, pbc=True)
    return model(atoms_to_state([atoms], torch.device("cpu"), torch.float64))


energy = float(found(DISTANCE)["energy"])
force = float(found(DISTANCE)["forces"][1, 0])
slope = -float(found(DISTANCE + STEP)["energy"] - found(DISTANCE - STEP)["energy"]) / (2 * STEP)
x = (SIGMA / DISTANCE) ** 6
print(f"energy {energy:.6f} eV, analytic {4 * EPSILON * (x * x - x):.6f} eV")
print(f"force {force:.6f} eV/angstrom, slope of its own energy {slope:.6f} eV/angstrom, ratio {force / slope:.3f}")
raise SystemExit(not abs(force / slope - 2.0) < 1e-3)
END
