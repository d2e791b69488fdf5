#!/usr/bin/env bash
# matgl 4.1.2: load_model returns a float64 potential in float32.
#
# The folder of a saved potential holds float64 weights and energies of elements, but the model is built in the package's
# default precision, which is float32 unless matgl.set_default_dtype("float", 64) was called before. With energies of
# elements of some hundred eV, as of all-electron or pseudopotential calculations, energies are then off by 1e-5 eV/atom
# and more, without a word.
#
# Expected: the precision in which the potential was saved.
#
# Output:
#     saved: torch.float64, loaded: torch.float32, with set_default_dtype: torch.float64
#     energy of an element of -431.612345678 eV, loaded: -431.612335205 eV
#
# Exit status: 0 if this is seen, 1 if the behaviour has changed, 2 if the packages could not be installed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
if ! { python3 -m venv venv && venv/bin/python -m pip install --quiet torch==2.13.0 &&
    venv/bin/python -m pip install --quiet matgl==4.1.2; } >install.log 2>&1; then
    cat install.log >&2
    exit 2
fi

venv/bin/python -I - 2>/dev/null <<'END'
import matgl
import numpy as np
import torch
from matgl.apps.pes import Potential
from matgl.models import TensorNet


def dtype(potential):
    return next(potential.model.parameters()).dtype


ENERGY = -431.612345678
matgl.set_default_dtype("float", 64)
saved = Potential(TensorNet(element_types=("O",), is_intensive=False, units=8), element_refs=np.array([ENERGY]))
saved.double().save("folder")
matgl.set_default_dtype("float", 32)
loaded = matgl.load_model("folder")
reference = float(next(b for n, b in loaded.named_buffers() if "property_offset" in n).flatten()[0])
matgl.set_default_dtype("float", 64)
again = matgl.load_model("folder")
print(f"saved: {dtype(saved)}, loaded: {dtype(loaded)}, with set_default_dtype: {dtype(again)}")
print(f"energy of an element of {ENERGY} eV, loaded: {reference:.9f} eV")
seen = (dtype(saved), dtype(loaded), dtype(again)) == (torch.float64, torch.float32, torch.float64)
raise SystemExit(not (seen and abs(reference - ENERGY) > 1e-6))
END
