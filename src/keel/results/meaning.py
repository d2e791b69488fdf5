"""Which results of probes are significant: a pass that proves nothing counts as not tested."""

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
"""Groups that only test the code: random weights pass them too."""
FLAT = 1.0
"""eV: bonds are stronger, and bringing two atoms to 0.1 angstrom costs far more. Random weights of CGCNN,
M3GNet, TorchMD-NET's transformer and MACE stay below 0.8 eV, plainly trained networks with holes in their walls do
not."""
Groups = Mapping[str, Sequence[CheckResult]]


def meaningful(groups: Groups, length_fs: float) -> tuple[CheckResult, ...]:
    """Return the results of all groups; insignificant ones are skipped, with the reason.

    These are passes in simulations shorter than :data:`~keel.evaluation.stability.conditions.SHORTEST_FS`, probes that
    need a relaxed crystal if there is none, and, for a potential that has learnt nothing, all passes except tests of
    the code. Failures remain failures.

    Parameters
    ----------
    groups
        Results by the name of their group (:data:`keel.evaluation.battery.BATTERY`).
    length_fs
        Of the simulations.
    """
    found = {name: list(results) for name, results in groups.items()}
    if length_fs < SHORTEST_FS:
        short = f"runs of {length_fs:g} fs are too short to pass: {SHORTEST_FS:g} fs are needed"
        found |= {name: [_revoked(r, short) for r in found[name]] for name in SIMULATED if name in found}
    if "equilibrium" in found:
        found["equilibrium"] = _without_rest(found["equilibrium"])
    if nothing_learnt(r for results in found.values() for r in results):
        empty = "a pass means nothing for a potential that has learnt nothing"
        found |= {name: [_revoked(r, empty) for r in found[name]] for name in found if name not in OF_CODE}
    return tuple(r for results in found.values() for r in results)


def nothing_learnt(results: Iterable[CheckResult]) -> str:
    """Return the evidence that a potential has learnt nothing; empty if it has, or if that is unknown.

    Labels decide (not in results of the first release, which lack this metric); without them it is certain only if
    atoms that meet neither repel nor bind.
    """
    by_name = {result.name: result for result in results}
    if (accuracy := by_name.get("accuracy")) and any(m.name == LEFT for m in accuracy.metrics):
        return (
            "its forces on labelled structures are no better than predicting zero"
            if accuracy.outcome == "failed"
            else ""
        )
    height = _height(by_name.get("diatomics"))
    if height is None or height >= FLAT:
        return ""
    return (
        f"two atoms neither repel nor bind each other: the energies of all pairs stay within {height:.2g} eV down "
        "to 0.1 angstrom, as with random weights"
    )


def _height(diatomics: CheckResult | None) -> float | None:
    """Return the largest variation in eV of a pair's energy with its distance; None if not known."""
    curves = [] if diatomics is None else [c for c in diatomics.curves if c.y_label == "energy (eV)"]
    own = [c for c in curves if not c.name.startswith(("reference ", "DFT "))]
    return max((float(np.ptp(c.y)) for c in own if np.isfinite(c.y).all()), default=None)


def _without_rest(results: Sequence[CheckResult]) -> list[CheckResult]:
    """Return the results on a crystal, in which a failed relaxation counts once."""
    first, *others = results
    if first.outcome != "failed" or first.metrics:
        return list(results)
    why = "there is no relaxed crystal to start from, see relaxation"
    return [first, *(replace(r, outcome="skipped", verdict=why) if _unmeasured(r) else r for r in others)]


def _unmeasured(result: CheckResult) -> bool:
    return result.outcome == "failed" and not result.metrics


def _revoked(result: CheckResult, why: str) -> CheckResult:
    if result.outcome != "passed":
        return result
    return replace(result, outcome="skipped", verdict=f"{why}; {result.verdict}")
