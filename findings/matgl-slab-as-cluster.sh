#!/usr/bin/env bash
# matgl 4.1.2: its ASE calculator takes a slab (periodic in two directions) for an isolated cluster, without a word.
#
# With pymatgen's neighbour search (the default; nvalchemi's is used only where that is installed) the calculator asks
# whether an Atoms object is periodic in all three directions; if not, bonds across every boundary are dropped. A slab
# of copper, three layers of 2 x 2 atoms, so loses the neighbours of its images in the plane.
#
# Expected: bonds across the two periodic boundaries, as with the same slab in a cell that is periodic in three
# directions with 24 angstrom of vacuum, or a refusal.
#
# Output, after what a package underneath says of itself (the weights are random, so only the comparison counts):
#     pbc=(True, True, False): 112 bonds
#     pbc=(True, True, True): 360 bonds
#     pbc=(False, False, False): 112 bonds
#     energy with pbc=(True, True, False) is that of the cluster: True, of the slab: False
#
# Exit status: 0 if this is seen, 1 if the behaviour has changed, 2 if the packages could not be installed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
if ! { python3 -m venv venv && venv/bin/python -m pip install --quiet torch==2.13.0 &&
    venv/bin/python -m pip install --quiet matgl==4.1.2 ase==3.29.0; } >install.log 2>&1; then
    cat install.log >&2
    exit 2
fi

venv/bin/python -I - 2>/dev/null <<'END'
import torch
from ase.build import fcc111
from matgl.apps.pes import Potential
from matgl.ext.ase import Atoms2Graph, PESCalculator
from matgl.models import M3GNet

torch.manual_seed(0)
calculator = PESCalculator(Potential(M3GNet(element_types=("Cu",), is_intensive=False)), stress_unit="eV/A3")
bonds, energies = {}, {}
for pbc in ((True, True, False), (True, True, True), (False, False, False)):
    atoms = fcc111("Cu", (2, 2, 3), vacuum=12.0)
    atoms.pbc = pbc
    graph = Atoms2Graph(("Cu",), cutoff=5.0).get_graph(atoms)[0]
    bonds[pbc] = graph.num_edges
    atoms.calc = calculator
    energies[pbc] = atoms.get_potential_energy()
    print(f"pbc={pbc}: {bonds[pbc]} bonds")
slab, crystal, cluster = energies.values()
same, right = abs(slab - cluster) < 1e-6, abs(slab - crystal) < 1e-6
print(f"energy with pbc=(True, True, False) is that of the cluster: {same}, of the slab: {right}")
few, many, none = bonds.values()
raise SystemExit(not (few == none < many and same and not right))
END
