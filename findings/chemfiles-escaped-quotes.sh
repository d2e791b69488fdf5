#!/usr/bin/env bash
# chemfiles 0.10.4: what follows an escaped quotation mark in the comment line of extended XYZ is dropped.
#
# The reader ends a quoted text at the first quotation mark, even if a backslash stands before it. The rest of the
# line is dropped, with a warning but no error: in the frame below the text, the energy and the cell are gone, and
# the frame has no cell. If the text stands last in the line, only the text itself is lost.
#
# Expected: the text say "x" and the cell and energy behind it. The specification (README of
# github.com/libAtoms/extxyz) has quotation marks inside a quoted text escaped by a backslash, and ASE writes them
# so.
#
# Output:
#     without quotation marks: cell 6.0 6.0 6.0, properties energy, note
#     with escaped ones: cell 0.0 0.0 0.0, properties none
#     warning: Extended XYZ: expected whitespace after the value for note, got x
#
# Exit status: 0 if this is seen, 1 if the behaviour has changed, 2 if the packages could not be installed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
if ! { python3 -m venv venv && venv/bin/python -m pip install --quiet chemfiles==0.10.4; } >install.log 2>&1; then
    cat install.log >&2
    exit 2
fi

venv/bin/python -I - <<'END'
import warnings

import chemfiles


def read(note: str) -> str:
    lattice, columns = "6.0 0.0 0.0 0.0 6.0 0.0 0.0 0.0 6.0", "species:S:1:pos:R:3"
    with open("frame.xyz", "w") as file:
        file.write(f'2\nnote="{note}" Lattice="{lattice}" Properties={columns} energy=-3.5\n')
        file.write("Si 0.0 0.0 0.0\nO 1.6 0.0 0.0\n")
    with chemfiles.Trajectory("frame.xyz") as trajectory:
        frame = trajectory.read()
    names = ", ".join(sorted(frame.list_properties())) or "none"
    return f"cell {' '.join(str(x) for x in frame.cell.lengths)}, properties {names}"


plain = read("say x")
print(f"without quotation marks: {plain}")
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    escaped = read(r"say \"x\"")
print(f"with escaped ones: {escaped}")
for warning in caught:
    print(f"warning: {warning.message}")
raise SystemExit(not (plain.startswith("cell 6.0") and escaped == "cell 0.0 0.0 0.0, properties none"))
END
