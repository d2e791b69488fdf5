#!/usr/bin/env bash
# ase 3.29.0: outputs of Qbox are read without conversion: hartree pass for eV, bohr for angstrom.
#
# Qbox prints energies, positions, cells and forces in atomic units, and the stress in GPa, as the attribute `unit` of
# its XML says (http://qboxcode.org). ASE's units are eV and angstrom, and all numbers are returned as they are, without
# a warning: the cell is 6.7 times too large by volume, forces are 51.4 times too small.
#
# Expected: a cell of 8.467 angstrom, -476.200 eV, 0.514 eV/angstrom and 0.0062 eV/angstrom^3 in magnitude.
#
# Output:
#     in the file: cell 16 bohr, energy -17.5 hartree, force 0.01 hartree/bohr, stress 1 GPa
#     read: cell 16.000 angstrom, energy -17.500 eV, force 0.010 eV/angstrom, stress 1.0000 eV/angstrom^3
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

cat >run.r <<'END'
<?xml version="1.0" encoding="UTF-8"?>
<fpmd:simulation xmlns:fpmd="http://www.quantum-simulation.org/ns/fpmd/fpmd-1.0">
<release> qbox-1.63.5 </release>
<species name="oxygen">
<symbol>O</symbol>
<atomic_number>8</atomic_number>
<mass>15.9994</mass>
</species>
<cmd>run 1 10</cmd>
<iteration count="1">
<etotal> -17.50000000 </etotal>
<atomset>
<unit_cell a="16.0 0.0 0.0" b="0.0 16.0 0.0" c="0.0 0.0 16.0" />
<atom name="O1" species="oxygen">
  <position> 0.0 0.0 0.0 </position>
  <velocity> 0.0 0.0 0.0 </velocity>
  <force> 0.01 0.0 0.0 </force>
</atom>
<atom name="O2" species="oxygen">
  <position> 2.3 0.0 0.0 </position>
  <velocity> 0.0 0.0 0.0 </velocity>
  <force> -0.01 0.0 0.0 </force>
</atom>
</atomset>
<stress_tensor unit="GPa">
  <sigma_xx> 1.0 </sigma_xx>
  <sigma_yy> 1.0 </sigma_yy>
  <sigma_zz> 1.0 </sigma_zz>
  <sigma_xy> 0.0 </sigma_xy>
  <sigma_yz> 0.0 </sigma_yz>
  <sigma_xz> 0.0 </sigma_xz>
</stress_tensor>
</iteration>
</fpmd:simulation>
END
cat >seen.py <<'END'
import ase.io

atoms = ase.io.read("run.r", format="qbox")
print("in the file: cell 16 bohr, energy -17.5 hartree, force 0.01 hartree/bohr, stress 1 GPa")
print(
    f"read: cell {atoms.cell[0, 0]:.3f} angstrom, energy {atoms.get_potential_energy():.3f} eV, "
    f"force {atoms.get_forces()[0, 0]:.3f} eV/angstrom, stress {atoms.get_stress()[0]:.4f} eV/angstrom^3"
)
END
venv/bin/python seen.py | tee seen
diff seen - <<'END' || exit 1
in the file: cell 16 bohr, energy -17.5 hartree, force 0.01 hartree/bohr, stress 1 GPa
read: cell 16.000 angstrom, energy -17.500 eV, force 0.010 eV/angstrom, stress 1.0000 eV/angstrom^3
END
