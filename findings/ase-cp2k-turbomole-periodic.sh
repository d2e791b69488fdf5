#!/usr/bin/env bash
# ase 3.29.0: what restart files of CP2K and `coord` files of TURBOMOLE say of periodicity is not read.
#
# In CP2K, which directions are periodic is said by `PERIODIC NONE`, `XY`, `XYZ` and so on, beside the vectors of the
# cell (https://manual.cp2k.org, FORCE_EVAL/SUBSYS/CELL/PERIODIC). ASE takes every vector for a periodic direction, so
# a molecule in its box becomes a crystal. TURBOMOLE has `$periodic 3` and `$cell` (manual, chapter on riper); ASE
# reads only `$coord`, so a crystal loses its cell and becomes a cluster. There is no warning.
#
# Expected: what the file says.
#
# Output:
#     CP2K, PERIODIC NONE: pbc [True, True, True], lengths of the cell [6.0, 6.0, 6.0]
#     CP2K, PERIODIC XY: pbc [True, True, True], lengths of the cell [6.0, 6.0, 6.0]
#     TURBOMOLE, $periodic 3: pbc [False, False, False], lengths of the cell [0.0, 0.0, 0.0]
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

for word in NONE XY; do
    cat >"$word.restart" <<END
 &FORCE_EVAL
   METHOD  QS
   &SUBSYS
     &CELL
       A     6.0000000000000000E+00    0.0000000000000000E+00    0.0000000000000000E+00
       B     0.0000000000000000E+00    6.0000000000000000E+00    0.0000000000000000E+00
       C     0.0000000000000000E+00    0.0000000000000000E+00    6.0000000000000000E+00
       PERIODIC  $word
       MULTIPLE_UNIT_CELL  1 1 1
     &END CELL
     &COORD
H    3.0000000000000000E+00    3.0000000000000000E+00    2.6300000000000000E+00
H    3.0000000000000000E+00    3.0000000000000000E+00    3.3700000000000000E+00
     &END COORD
   &END SUBSYS
 &END FORCE_EVAL
END
done
cat >coord <<'END'
$coord
    0.00000000000000      0.00000000000000      0.00000000000000      cu
    3.41100000000000      3.41100000000000      0.00000000000000      cu
    3.41100000000000      0.00000000000000      3.41100000000000      cu
    0.00000000000000      3.41100000000000      3.41100000000000      cu
$periodic 3
$cell
    6.822  6.822  6.822  90.0  90.0  90.0
$end
END
cat >seen.py <<'END'
import ase.io

for name, path, form in (
    ("CP2K, PERIODIC NONE", "NONE.restart", "cp2k-restart"),
    ("CP2K, PERIODIC XY", "XY.restart", "cp2k-restart"),
    ("TURBOMOLE, $periodic 3", "coord", "turbomole"),
):
    atoms = ase.io.read(path, format=form)
    print(f"{name}: pbc {atoms.pbc.tolist()}, lengths of the cell {atoms.cell.lengths().tolist()}")
END
venv/bin/python seen.py | tee seen
diff seen - <<'END' || exit 1
CP2K, PERIODIC NONE: pbc [True, True, True], lengths of the cell [6.0, 6.0, 6.0]
CP2K, PERIODIC XY: pbc [True, True, True], lengths of the cell [6.0, 6.0, 6.0]
TURBOMOLE, $periodic 3: pbc [False, False, False], lengths of the cell [0.0, 0.0, 0.0]
END
