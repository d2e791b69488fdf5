"""Keys by which a frame says that its calculation did not converge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keel.atoms.labelling.names import letters_of
from keel.atoms.labelling.numbers import TRUTHS

UNCONVERGED = "electronic steps that did not converge"
OF_EITHER = "which may be said of the electrons (if it is said of the relaxation, use `--unconverged`)"
ELECTRONIC = frozenset(
    {f"{a}{b}" for b in ("converged", "convergence") for a in ("electronic", "scf", "isscf", "iselectronic", "elec")}
    | {f"converged{of}" for of in ("electronic", "scf", "electronically")}
)
EITHER = frozenset({"converged", "isconverged"})
SAYS_CONVERGED = ELECTRONIC | EITHER
"""Names of keys, without separators. What a relaxation has reached (``ionic_converged``) says nothing of labels."""


def unconverged(info: Mapping[str, Any]) -> str | None:
    """Return why the labels are not those of a converged calculation, if a frame says so."""
    saying = [key for key in info if letters_of(key) in SAYS_CONVERGED]
    said = {key: TRUTHS.get(str(info[key]).strip().lower()) for key in saying}
    electronic = {key: true for key, true in said.items() if letters_of(key) in ELECTRONIC}
    for key, true in electronic.items():
        if true is False:
            return f"{UNCONVERGED} ({key}=F)"
    if True in electronic.values():
        return None
    # Codes and workflows say it of the electrons, of the relaxation, or of both. Labels that were left out by mistake
    # are missed and can be had with one option; wrong ones that were taken would be found by nobody.
    either = next((key for key, true in said.items() if true is False and letters_of(key) in EITHER), None)
    return f"{either}=F, {OF_EITHER}" if either else None
