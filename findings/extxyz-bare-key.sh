#!/usr/bin/env bash
# extxyz 0.4.6: a key without a value in the comment line makes the cell and all labels vanish without a word.
#
# If the comment line of a frame has a word such as `relaxed` without an equals sign, the default reader (the C
# parser) returns the frame with a cell of zeros and without energy or any other value of the line. There is no error
# and no warning, and the line is not kept as a comment either. Frames with further columns such as forces stop with
# an error; those with element and position alone go through. The package's other parser (use_cextxyz=False) refuses
# the line.
#
# Expected: an error, as from the parser written in Python, or the other values of the line. The specification
# (README of github.com/libAtoms/extxyz) has key=value pairs only, so the line is outside it, and treats a frame as
# plain XYZ only if the key Properties is missing, with the line kept as `comment`. What to do with lines that cannot
# be parsed is listed there as an open question. ASE writes such lines, for an entry of `atoms.info` that is None.
#
# Output:
#     without the bare key: cell 6.0 6.0 6.0, info {'energy': -3.5}
#     with it: cell 0.0 0.0 0.0, info {}
#     with it, parser in Python: SyntaxError
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

HEAD = 'Lattice="6.0 0.0 0.0 0.0 6.0 0.0 0.0 0.0 6.0" Properties=species:S:1:pos:R:3 energy=-3.5'


def read(comment: str, **options: bool) -> str:
    with open("frame.xyz", "w") as file:
        file.write(f"2\n{comment}\nSi 0.0 0.0 0.0\nO 1.6 0.0 0.0\n")
    try:
        frame = extxyz.read_dicts("frame.xyz", **options)
    except SyntaxError:
        return "SyntaxError"
    return f"cell {' '.join(str(x) for x in frame.cell.diagonal())}, info {frame.info}"


plain, bare, python = read(HEAD), read(f"{HEAD} relaxed"), read(f"{HEAD} relaxed", use_cextxyz=False)
print(f"without the bare key: {plain}")
print(f"with it: {bare}")
print(f"with it, parser in Python: {python}")
raise SystemExit(not (plain.startswith("cell 6.0") and bare == "cell 0.0 0.0 0.0, info {}"))
END
