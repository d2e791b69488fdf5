"""What an assessment is: the results of all probes on one potential, and what must be known to judge them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from keel.evaluation.check import CheckResult, Outcome
from keel.potentials.base import Potential
from keel.reporting.page.wording import listed

Texts = Mapping[str, str]


@dataclass(frozen=True, eq=False)
class Assessment:
    """What the probes found out about one potential, and all that one must know to judge it.

    Parameters
    ----------
    potential
        Its name, e.g. that of its file.
    results
        Of each probe, in the order of the page.
    description
        What it is, by term; see :func:`described`.
    structures
        What it was probed on, by term.
    versions
        Of the packages, by name.
    wall_seconds
        How long the probes took; None if unknown.
    """

    potential: str
    results: tuple[CheckResult, ...]
    description: Texts = field(default_factory=lambda: MappingProxyType({}))
    structures: Texts = field(default_factory=lambda: MappingProxyType({}))
    versions: Texts = field(default_factory=lambda: MappingProxyType({}))
    wall_seconds: float | None = None

    def named(self, outcome: Outcome) -> list[str]:
        """Return the names of the probes with an outcome."""
        return [result.name for result in self.results if result.outcome == outcome]

    @property
    def outcome(self) -> Outcome:
        """``failed`` if any probe failed, ``passed`` if any passed and none failed, else ``noted``."""
        if self.named("failed"):
            return "failed"
        return "passed" if self.named("passed") else "noted"

    @property
    def verdict(self) -> str:
        """One sentence: how many probes passed, and which did not."""
        passed, failed = self.named("passed"), self.named("failed")
        judged = len(passed) + len(failed)
        if not judged:
            return "No probe passed judgement on it."
        sentence = f"{len(passed)} of {judged} probes passed" if judged > 1 else f"{len(passed)} of 1 probe passed"
        if not failed:
            return f"{sentence}; none failed."
        return f"{sentence}; {listed(failed)} failed."

    @property
    def unjudged(self) -> str:
        """What the verdict does not count; may be empty."""
        parts = []
        if noted := self.named("noted"):
            parts.append(f"Without a limit: {listed(noted)}.")
        if skipped := self.named("skipped"):
            parts.append(f"Skipped: {listed(skipped)}.")
        return " ".join(parts)

    @property
    def by_probe(self) -> dict[str, CheckResult]:
        """The results by the name of their probe; a name that comes again is numbered."""
        return dict(zip(unique(result.name for result in self.results), self.results, strict=True))


def unique(names: Iterable[str]) -> list[str]:
    """Return names with those that come again numbered: ``phonons``, ``phonons (2)``."""
    seen: Counter[str] = Counter()
    found = []
    for name in names:
        seen[name] += 1
        found.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return found


def described(potential: Potential, file: str | Path | None = None) -> dict[str, str]:
    """Return what a potential is, in words for :class:`Assessment`; with the hash of its file, where it has one."""
    from keel.atoms.elements import symbol

    parameters = sum(p.numel() for p in potential.parameters())
    elements = potential.elements
    words = {
        "Type": type(potential).__name__,
        "Elements": "all" if elements is None else ", ".join(symbol(int(z)) for z in elements),
        "Cutoff": f"{potential.cutoff:g} angstrom",
        "Parameters": f"{parameters:,}",
        "Precision": str(potential.dtype).removeprefix("torch."),
    }
    if file is not None:
        words["File"] = Path(file).name
        words["SHA-256"] = hashlib.sha256(Path(file).read_bytes()).hexdigest()
    return words
