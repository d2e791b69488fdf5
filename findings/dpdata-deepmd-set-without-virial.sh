#!/usr/bin/env bash
# dpdata 1.1.0: a DeePMD system is refused if one of its sets has a virial and another has none.
#
# The reader of `deepmd/npy` joins the arrays of all sets and leaves out those that are missing. If one of two sets
# has no virial.npy, it ends up with fewer virials than frames and stops. The message speaks of shapes and names
# neither the set nor the file. Without any virial the same system is read.
#
# Expected: the system, or a message that names the set without virials. Virials are optional labels, and DeePMD-kit
# looks for them set by set: its loader marks for each set whether the file was found (deepmd/utils/data.py).
#
# Output:
#     virials in one of two sets: DataError: Shape of virials is (1, 3, 3), but expected (2, 3, 3)
#     virials in none: 2 frames
#
# Exit status: 0 if this is seen, 1 if the behaviour has changed, 2 if the packages could not be installed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
if ! { python3 -m venv venv && venv/bin/python -m pip install --quiet dpdata==1.1.0; } >install.log 2>&1; then
    cat install.log >&2
    exit 2
fi

venv/bin/python -I - <<'END'
from pathlib import Path

import dpdata
import numpy as np

system = Path("system")
for name in ("set.000", "set.001"):
    folder = system / name
    folder.mkdir(parents=True)
    np.save(folder / "coord.npy", [[0.0, 0.0, 0.0, 1.6, 0.0, 0.0]])
    np.save(folder / "box.npy", [[6.0, 0.0, 0.0, 0.0, 6.0, 0.0, 0.0, 0.0, 6.0]])
    np.save(folder / "energy.npy", [-3.5])
    np.save(folder / "force.npy", [[0.2, 0.0, 0.0, -0.2, 0.0, 0.0]])
np.save(system / "set.000" / "virial.npy", [[0.3, 0.0, 0.0, 0.0, 0.3, 0.0, 0.0, 0.0, 0.3]])
(system / "type.raw").write_text("0\n1\n")
(system / "type_map.raw").write_text("Si\nO\n")


def read() -> str:
    try:
        return f"{dpdata.LabeledSystem(str(system), fmt='deepmd/npy').get_nframes()} frames"
    except Exception as error:
        return f"{type(error).__name__}: {error}"


partly = read()
print(f"virials in one of two sets: {partly}")
(system / "set.000" / "virial.npy").unlink()
none = read()
print(f"virials in none: {none}")
raise SystemExit(not (partly.startswith("DataError") and none == "2 frames"))
END
