"""What of the results of probes means anything: a pass that proves nothing counts as not tested."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from keel.evaluation.check import CheckResult
from keel.evaluation.labels.against_labels import LEFT
from keel.evaluation.stability.conditions import SHORTEST_FS

SIMULATED = ("stability", "structure", "density")
"""Groups of probes whose simulations have the length of the settings."""
OF_CODE = ("exact", "elsewhere")
"""Groups that ask for sound code only: random weights pass them too."""
FLAT = 1.0
"""eV: bonds are stronger, and no two atoms come as close as 0.1 angstrom for so little. Random weights of CGCNN,
M3GNet, TorchMD-NET's transformer and MACE stay below 0.8 eV, plainly trained networks with holes in their walls do
not."""
Groups = Mapping[str, Sequence[CheckResult]]


def meaningful(groups: Groups, length_fs: float) -> tuple[CheckResult, ...]:
    """Return the results of all groups, in which what tells nothing is skipped and says why.

    That is what passed in simulations shorter than :data:`~keel.evaluation.stability.conditions.SHORTEST_FS`, what was
    to start from a crystal at rest where there is none, and, of a potential that has learnt nothing, whatever it passed
    but for questions of sound code. What failed has failed.

    Parameters
    ----------
    groups
        Results by the name of their group (:data:`keel.evaluation.battery.BATTERY`).
    length_fs
        Of the simulations.
    """
    found = {name: list(results) for name, results in groups.items()}
    if length_fs < SHORTEST_FS:
        short = f"runs of {length_fs:g} fs are too short to pass: it takes {SHORTEST_FS:g} fs"
        found |= {name: [_untold(r, short) for r in found[name]] for name in SIMULATED if name in found}
    if "equilibrium" in found:
        found["equilibrium"] = _without_rest(found["equilibrium"])
    if nothing_learnt(r for results in found.values() for r in results):
        empty = "a pass tells nothing of a potential that has learnt nothing"
        found |= {name: [_untold(r, empty) for r in found[name]] for name in found if name not in OF_CODE}
    return tuple(r for results in found.values() for r in results)


def nothing_learnt(results: Iterable[CheckResult]) -> str:
    """Say how one knows that a potential has learnt nothing; empty where it has, or that cannot be told.

    Labels decide (not in results of the first release, which say nothing of it); without them it is certain only of
    one with which atoms that meet neither repel nor bind.
    """
    by_name = {result.name: result for result in results}
    if (accuracy := by_name.get("accuracy")) and any(m.name == LEFT for m in accuracy.metrics):
        return "its forces are no better than none where they are labelled" if accuracy.outcome == "failed" else ""
    height = _height(by_name.get("diatomics"))
    if height is None or height >= FLAT:
        return ""
    return (
        f"two atoms neither repel nor bind each other, the energies of all pairs stay within {height:.2g} eV down to "
        "0.1 angstrom, as with random weights"
    )


def _height(diatomics: CheckResult | None) -> float | None:
    """Return by how many eV the energy of the most different pair varies with its distance; None if not known."""
    curves = [] if diatomics is None else [c for c in diatomics.curves if c.y_label == "energy (eV)"]
    own = [c for c in curves if not c.name.startswith(("reference ", "DFT "))]
    return max((float(np.ptp(c.y)) for c in own if np.isfinite(c.y).all()), default=None)


def _without_rest(results: Sequence[CheckResult]) -> list[CheckResult]:
    """Return the results on a crystal, in which the one fault that it finds no rest counts once."""
    first, *others = results
    if first.outcome != "failed" or first.metrics:
        return list(results)
    why = "there is no crystal at rest to start from, see relaxation"
    return [first, *(replace(r, outcome="skipped", verdict=why) if _unmeasured(r) else r for r in others)]


def _unmeasured(result: CheckResult) -> bool:
    return result.outcome == "failed" and not result.metrics


def _untold(result: CheckResult, why: str) -> CheckResult:
    if result.outcome != "passed":
        return result
    return replace(result, outcome="skipped", verdict=f"{why}; {result.verdict}")
