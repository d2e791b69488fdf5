#!/usr/bin/env bash
# mace-torch 0.3.16: the stress of a slab is divided by the volume of a cell that is not the slab's.
#
# Where a structure is not periodic in a direction, the neighbour search replaces that vector of the cell by a long
# one, and the model then divides the virial by the volume of the replaced cell. The length depends on where the
# atoms happen to be: a slab moved along its normal gets another stress. Energy and forces are right, and so is the
# stress of the same slab in a cell that is called periodic in all directions. Training on stresses of slabs goes the
# same way, as data sets hold the replaced cell too.
#
# Expected: the derivative of the energy by the strain over the volume of the cell that was given, as ASE defines
# stress. Reported as https://github.com/ACEsuit/mace/issues/1509.
#
# Output, after what packages underneath say of themselves (the weights are random, so only ratios count):
#     pbc=(True, True, True): stress is 1.000 of the energy's derivative
#     pbc=(True, True, False): stress is 0.061 of the energy's derivative
#     the same, 50 angstrom higher: 0.013
#
# Exit status: 0 if this is seen, 1 if the behaviour has changed, 2 if the packages could not be installed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
if ! { python3 -m venv venv && venv/bin/python -m pip install --quiet torch==2.13.0 &&
    venv/bin/python -m pip install --quiet mace-torch==0.3.16 ase==3.29.0; } >install.log 2>&1; then
    cat install.log >&2
    exit 2
fi

venv/bin/python -I - 2>/dev/null <<'END'
import mace  # before e3nn, which it prepares for newer releases of PyTorch
import numpy as np
import torch
from ase.build import fcc111
from e3nn.o3 import Irreps
from mace.calculators import MACECalculator
from mace.modules import RealAgnosticResidualInteractionBlock, ScaleShiftMACE

torch.manual_seed(0)
torch.set_default_dtype(torch.float64)
model = ScaleShiftMACE(
    r_max=5.0, num_bessel=4, num_polynomial_cutoff=5, max_ell=1, num_interactions=1, num_elements=1,
    interaction_cls=RealAgnosticResidualInteractionBlock, interaction_cls_first=RealAgnosticResidualInteractionBlock,
    hidden_irreps=Irreps("4x0e"), MLP_irreps=Irreps("4x0e"), gate=torch.nn.functional.silu, correlation=1,
    atomic_energies=np.zeros(1), atomic_numbers=[29], avg_num_neighbors=10.0,
    atomic_inter_scale=1.0, atomic_inter_shift=0.0,
)
calculator = MACECalculator(models=model, device="cpu", default_dtype="float64")


def ratio(pbc, height):
    slab = fcc111("Cu", (2, 2, 3), vacuum=8.0)
    slab.pbc = pbc
    slab.positions[:, 2] += height
    slab.calc = calculator
    energies = []
    for strain in (1e-4, -1e-4):
        strained = slab.copy()
        strained.set_cell(slab.cell.array @ np.diag([1.0 + strain, 1.0, 1.0]), scale_atoms=True)
        strained.calc = calculator
        energies.append(strained.get_potential_energy())
    return slab.get_stress()[0] / ((energies[0] - energies[1]) / 2e-4 / slab.get_volume())


crystal, low, high = (ratio(*case) for case in (((1, 1, 1), 0.0), ((1, 1, 0), 0.0), ((1, 1, 0), 50.0)))
print(f"pbc=(True, True, True): stress is {crystal:.3f} of the energy's derivative")
print(f"pbc=(True, True, False): stress is {low:.3f} of the energy's derivative")
print(f"the same, 50 angstrom higher: {high:.3f}")
raise SystemExit(not (abs(crystal - 1.0) < 1e-3 and low < 0.5 and abs(high - low) > 1e-3))
END
