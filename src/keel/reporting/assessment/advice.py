"""What to do after an assessment: the words of the page and of the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from keel.reporting.run.tables import Table
from keel.results.assessment import Assessment
from keel.wording import OUTCOMES

WALLS = {"MD stability", "density", "diatomics", "trimers", "bond scans", "compression"}
"""Probes that fail if a potential does not describe atoms that come close."""
CODE = {"force consistency", "Jacobian symmetry", "smoothness", "invariance", "extensivity", "locality", "NVE drift"}
"""Probes that fail if energy and forces are inconsistent, or depend on what they should not."""
WITHOUT_WEIGHTS = {"ASEPotential", "TorchSimPotential"}
"""Types of potentials that keel cannot train."""
MEND = "keel train FRAMES --start POTENTIAL --strategy repair --out FOLDER"


def next_step(assessment: Assessment) -> str:
    """Return what to do next, in one sentence."""
    failed, outcomes = set(assessment.named("failed")), {r.name: r.outcome for r in assessment.results}
    if assessment.nothing_learnt:
        labels = "" if outcomes.get("accuracy") == "failed" else "; labelled frames (--data) would settle it"
        return f"Train it (keel run, keel train){labels}."
    if failed & CODE:
        return (
            "Fix the code, or check whether the model was made for another precision (--precision float32): as it "
            "is, simulations heat up or depend on the orientation and numbering of the atoms."
        )
    if failed & WALLS and assessment.description.get("Type") in WITHOUT_WEIGHTS:
        return (
            "Keep simulations away from atoms that come close (small time steps, low temperatures, no compression), "
            "or let a network of keel learn from it (teacher: {calculator: ...}): keel cannot train a calculator."
        )
    if failed & WALLS:
        return f"A network that fails as atoms come close can be repaired: {MEND}."
    if failed:
        return "See on the page by how much, and whether that matters for your use of the potential."
    if outcomes.get("MD stability") != "passed":
        return "Simulate before you trust it in MD: --probes stability, with runs of 5000 fs or more (--length-fs)."
    return "No probe found a reason against MD of such structures at the temperatures and for the times on the page."


def counts(assessments: Sequence[Assessment]) -> Table:
    """Return how many probes had each outcome, with a row for each potential."""
    head = ("Potential", *(word.capitalize() for word in OUTCOMES.values()))
    found = {a.potential: Counter(str(r.outcome) for r in a.results) for a in assessments}
    rows = tuple((name, *(str(counter[outcome]) for outcome in OUTCOMES)) for name, counter in found.items())
    return Table("For information: probes without a limit", head, rows)
