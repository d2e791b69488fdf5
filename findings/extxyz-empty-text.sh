#!/usr/bin/env bash
# extxyz 0.4.6: a frame with an empty text loses its cell and all labels when the package reads what it wrote.
#
# `write_dicts` prints an empty text as `note=` with nothing behind the equals sign. `read_dicts` cannot parse this
# line and, without an error or a warning, returns the frame with a cell of zeros and without energy or any other
# value.
#
# Expected: what was written. The pattern for a quoted text in the specification (README of
# github.com/libAtoms/extxyz) matches an empty one and that for a bare text does not; a file with `note=""` is read
# correctly, so the writer should print that.
#
# Output:
#     written: energy=-3.50000000 note= Lattice=...
#     read back: cell 0.0 0.0 0.0, info {}
#     with note="": cell 6.0 6.0 6.0, info {'energy': -3.5, 'note': ''}
#
# Exit status: 0 if this is seen, 1 if the behaviour has changed, 2 if the packages could not be installed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
if ! { python3 -m venv venv && venv/bin/python -m pip install --quiet extxyz==0.4.6; } >install.log 2>&1; then
    cat install.log >&2
    exit 2
fi

venv/bin/python -I - <<'END'
import extxyz
import numpy as np


def read(path: str) -> str:
    frame = extxyz.read_dicts(path)
    return f"cell {' '.join(str(x) for x in frame.cell.diagonal())}, info {frame.info}"


arrays = {"species": np.array(["Si", "O"]), "pos": np.array([[0.0, 0.0, 0.0], [1.6, 0.0, 0.0]])}
info = {"energy": -3.5, "note": ""}
extxyz.write_dicts("frame.xyz", extxyz.Frame(2, 6.0 * np.eye(3), np.array([True] * 3), info, arrays))
with open("frame.xyz") as file:
    text = file.read()
print(f"written: {text.splitlines()[1].partition('Lattice=')[0]}Lattice=...")
lost = read("frame.xyz")
print(f"read back: {lost}")
with open("quoted.xyz", "w") as file:
    file.write(text.replace("note= ", 'note="" '))
kept = read("quoted.xyz")
print(f'with note="": {kept}')
raise SystemExit(not (lost == "cell 0.0 0.0 0.0, info {}" and kept.startswith("cell 6.0 6.0 6.0")))
END
