#!/usr/bin/env bash
# motep 0.2.0: a number in exponent form in the block AtomData of a .cfg file stops `read_cfg`.
#
# Numbers such as 1.0e-05 and numbers with a plus sign are refused with a RuntimeError that consists of the number
# alone: it names neither the file nor the column. The same number without an exponent, 0.00001, is read. In other
# blocks of the same file (Energy, Supercell, PlusStress) the reader accepts exponents.
#
# Expected: the number. Small forces are often printed in this form, for instance by Python's `str`, and the reader
# itself takes it in the other blocks of the file.
#
# Output:
#     energy -3.5e+00, force 0.00001: read, energy -3.5, force 1e-05
#     energy -3.5e+00, force 1.0e-05: RuntimeError: 1.0e-05
#     energy -3.5e+00, force +0.2: RuntimeError: +0.2
#
# Exit status: 0 if this is seen, 1 if the behaviour has changed, 2 if the packages could not be installed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
if ! { python3 -m venv venv && venv/bin/python -m pip install --quiet motep==0.2.0; } >install.log 2>&1; then
    cat install.log >&2
    exit 2
fi

venv/bin/python -I - <<'END'
from motep.io.mlip.cfg import read_cfg

TEXT = """BEGIN_CFG
 Size
    2
 Supercell
    6.0 0.0 0.0
    0.0 6.0 0.0
    0.0 0.0 6.0
 AtomData:  id type cartes_x cartes_y cartes_z fx fy fz
    1 0 0.0 0.0 0.0 {force} 0.0 0.0
    2 1 1.6 0.0 0.0 -0.2 0.0 0.0
 Energy
    -3.5e+00
END_CFG
"""


def read(force: str) -> str:
    with open("train.cfg", "w") as file:
        file.write(TEXT.format(force=force))
    try:
        results = read_cfg("train.cfg", species=["Si", "O"]).calc.results
    except RuntimeError as error:
        return f"RuntimeError: {error}"
    return f"read, energy {results['energy']}, force {results['forces'][0, 0]}"


seen = {force: read(force) for force in ("0.00001", "1.0e-05", "+0.2")}
for force, answer in seen.items():
    print(f"energy -3.5e+00, force {force}: {answer}")
raise SystemExit(not (seen["0.00001"].startswith("read") and seen["1.0e-05"] == "RuntimeError: 1.0e-05"))
END
