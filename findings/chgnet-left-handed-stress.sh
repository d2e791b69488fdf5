#!/usr/bin/env bash
# chgnet 0.4.2: for a left-handed cell the stress has the opposite sign.
#
# Swapping two lattice vectors describes the same crystal, but makes the determinant of the cell negative. The stress is
# divided by that signed volume, so that compression becomes tension. Energies and forces are not affected, so that a
# relaxation of the cell, or MD at constant pressure, runs the wrong way with sound-looking forces.
#
# Expected: the same stress for the same crystal, as ASE's own calculators return.
#
# Output:
#     CHGNet: xx stress -0.1733 eV/A^3 right-handed, 0.1733 left-handed; energies equal: True
#     EMT:    xx stress -0.1262 eV/A^3 right-handed, -0.1262 left-handed
#
# Exit status: 0 if this is seen, 1 if the behaviour has changed, 2 if the packages could not be installed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
if ! { python3 -m venv venv && venv/bin/python -m pip install --quiet torch==2.13.0 &&
    venv/bin/python -m pip install --quiet chgnet==0.4.2 ase==3.29.0; } >install.log 2>&1; then
    cat install.log >&2
    exit 2
fi

venv/bin/python -I - 2>/dev/null <<'END'
import contextlib
import io

from ase.build import bulk
from ase.calculators.emt import EMT

with contextlib.redirect_stdout(io.StringIO()):
    from chgnet.model import CHGNetCalculator

    chgnet = CHGNetCalculator(use_device="cpu")

right = bulk("Cu", a=3.45, cubic=True)
left = right.copy()
left.set_cell(right.cell[[1, 0, 2]], scale_atoms=False)
stress, energy = {}, {}
for name, calculator in (("CHGNet", chgnet), ("EMT", EMT())):
    for hand, atoms in (("right", right), ("left", left)):
        atoms.calc = calculator
        stress[name, hand] = atoms.get_stress()[0]
        energy[name, hand] = atoms.get_potential_energy()
same = abs(energy["CHGNet", "right"] - energy["CHGNet", "left"]) < 1e-4
for name in ("CHGNet", "EMT"):
    ends = f"; energies equal: {same}" if name == "CHGNet" else ""
    label = f"{name}:".ljust(7)
    print(f"{label} xx stress {stress[name, 'right']:.4f} eV/A^3 right-handed, {stress[name, 'left']:.4f} left-handed{ends}")
turned = abs(stress["CHGNet", "right"] + stress["CHGNet", "left"]) < 1e-4 < abs(stress["CHGNet", "right"])
sound = abs(stress["EMT", "right"] - stress["EMT", "left"]) < 1e-9
raise SystemExit(not (same and turned and sound))
END
