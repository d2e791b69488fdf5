"""Assessments and their files: the results of all probes on one potential, and their verdict.

The results of a group of probes are in a folder; an assessment is combined from such folders, and written as JSON and
CSV beside its page.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

from keel.atoms.elements import symbol
from keel.atoms.read import read
from keel.atoms.write import write
from keel.errors import DataError
from keel.evaluation.check import CheckResult, Film, Outcome
from keel.formats import Format
from keel.identity import of_file
from keel.potentials.base import Potential
from keel.potentials.external.ase import VACUUM, ASEPotential
from keel.records import plain, read_json, read_object, write_csv, write_json
from keel.results.meaning import nothing_learnt
from keel.showing import Facts, Shown, table
from keel.wording import SYMBOLS, listed

ASSESSMENT = Format("assessment")
"""Covers the folders of groups, where the number is in ``description.json``, and ``assessment.json``."""
REMEDY = "assess the potential again"
METRICS = ("potential", "probe", "outcome", "metric", "value", "unit", "limit", "passed")
Texts = Mapping[str, str]


@dataclass(frozen=True, eq=False, repr=False)
class Assessment(Shown):
    """The results of the probes of one potential, and all that is needed to judge it.

    Parameters
    ----------
    potential
        Its name, e.g. that of its file.
    results
        Of each probe, in the order of the page.
    description
        Description of the potential, by term.
    structures
        Description of the structures, by term.
    versions
        Versions of the packages, by name.
    wall_seconds
        How long the probes took; None if unknown.
    """

    potential: str
    results: tuple[CheckResult, ...]
    description: Texts = field(default_factory=lambda: MappingProxyType({}))
    structures: Texts = field(default_factory=lambda: MappingProxyType({}))
    versions: Texts = field(default_factory=lambda: MappingProxyType({}))
    wall_seconds: float | None = None

    def facts(self) -> Facts:
        """See :class:`~keel.showing.Shown`."""
        return {"of": self.potential, "verdict": self.verdict}

    def _repr_html_(self) -> str:
        """Show the verdict of each probe."""
        rows = [(f"{SYMBOLS[r.outcome]} {name}", r.outcome, r.verdict) for name, r in self.by_probe.items()]
        return table(rows, title=f"{self.potential}: {self.verdict}", header=("probe", "outcome", "verdict"))

    def named(self, outcome: Outcome) -> list[str]:
        """Return the names of the probes with an outcome."""
        return [result.name for result in self.results if result.outcome == outcome]

    @property
    def outcome(self) -> Outcome:
        """``failed`` if any probe failed or nothing was learnt, ``passed`` if any passed otherwise, else ``noted``."""
        if self.named("failed") or self.nothing_learnt:
            return "failed"
        return "passed" if self.named("passed") else "noted"

    @property
    def nothing_learnt(self) -> str:
        """The evidence that the potential has learnt nothing; empty if it has, or if that is unknown."""
        return nothing_learnt(self.results)

    @property
    def verdict(self) -> str:
        """Whether nothing was learnt; how many probes passed, and which did not."""
        if not (why := self.nothing_learnt):
            return self._count
        sound = " Those that passed only test the code." if self.named("passed") else ""
        return f"Nothing learnt: {why}. {self._count}{sound}"

    @property
    def _count(self) -> str:
        passed, failed = self.named("passed"), self.named("failed")
        judged = len(passed) + len(failed)
        if not judged:
            return "No probe judged it."
        sentence = f"{len(passed)} of {judged} probes passed" if judged > 1 else f"{len(passed)} of 1 probe passed"
        if not failed:
            return f"{sentence}; none failed."
        return f"{sentence}; {listed(failed)} failed."

    @property
    def unjudged(self) -> str:
        """Probes that the verdict does not count; may be empty."""
        parts = []
        if noted := self.named("noted"):
            parts.append(f"Without a limit: {listed(noted)}.")
        if skipped := self.named("skipped"):
            parts.append(f"Not tested: {listed(skipped)}.")
        return " ".join(parts)

    @property
    def by_probe(self) -> dict[str, CheckResult]:
        """The results by the name of their probe; repeated names are numbered."""
        return dict(zip(unique(result.name for result in self.results), self.results, strict=True))


def unique(names: Iterable[str]) -> list[str]:
    """Return names, repeated ones numbered: ``phonons``, ``phonons (2)``."""
    seen: Counter[str] = Counter()
    found = []
    for name in names:
        seen[name] += 1
        found.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return found


def described(potential: Potential, file: str | Path | None = None) -> dict[str, str]:
    """Return a description of a potential for :class:`Assessment`, with the hash of its file, if it has one."""
    parameters = sum(p.numel() for p in potential.parameters())
    elements = potential.elements
    words = {
        "Type": potential.called(),
        "Elements": "all" if elements is None else ", ".join(symbol(int(z)) for z in elements),
        "Cutoff": f"{potential.cutoff:g} angstrom",
        "Parameters": f"{parameters:,}",
        "Precision": str(potential.dtype).removeprefix("torch."),
    }
    if any(isinstance(part, ASEPotential) and part.boxed for part in potential.modules()):
        words["Molecules"] = (
            f"in periodic boxes, {2 * VACUUM:g} angstrom from image to image: the calculator needs a cell"
        )
    if file is not None:
        words["File"] = Path(file).name
        words["SHA-256"] = of_file(Path(file))
    return words


@dataclass(frozen=True, eq=False)
class GroupResults:
    """The results of a group of probes, and descriptions, by term, of the potential and the structures."""

    results: Sequence[CheckResult]
    potential: Texts
    structures: Texts

    def write(self, folder: Path) -> None:
        """Leave it in a folder: JSON, and each film as extended XYZ beside it."""
        content = []
        for k, result in enumerate(self.results):
            films = []
            for m, film in enumerate(result.films):
                file = f"film-{k}-{m}.extxyz"
                write(folder / file, film.frames)
                films.append({"name": film.name, "times": film.times, "file": file})
            content.append({**result.to_dict(), "films": films})
        write_json(folder / "results.json", content)
        write_json(
            folder / "description.json",
            {**ASSESSMENT.stamp, "potential": dict(self.potential), "structures": dict(self.structures)},
        )

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read what :meth:`write` left; DataError if a file is absent or damaged."""
        path = folder / "description.json"
        words = ASSESSMENT.upgraded(read_object(path, ("potential", "structures"), REMEDY), path)
        results = [_result(folder, content) for content in read_json(folder / "results.json", REMEDY)]
        return cls(results, words["potential"], words["structures"])


def _result(folder: Path, content: Mapping[str, Any]) -> CheckResult:
    films = [
        Film(f["name"], tuple(read(folder / f["file"], labels=False)), tuple(f["times"])) for f in content["films"]
    ]
    return CheckResult.from_dict(dict(content), films)


def write_assessments(
    assessments: Sequence[Assessment], path: Path, version: str, comparisons: Sequence[Mapping[str, Any]] = ()
) -> None:
    """Write all but the films as JSON, with comparisons with the first potential, and every metric as CSV beside it.

    Parameters
    ----------
    assessments
        At least one.
    path
        Of the JSON file.
    version
        Of keel.
    comparisons
        Plain data.
    """
    content = {
        **ASSESSMENT.stamp,
        "keel": version,
        "assessments": [_plain(a) for a in assessments],
        "comparisons": list(comparisons),
    }
    write_json(path, content, compact=True)
    write_csv(path.with_suffix(".csv"), METRICS, (row for a in assessments for row in _metrics(a)), digits=10)


def read_assessments(path: str | Path) -> list[Assessment]:
    """Read the assessments that :func:`write_assessments` wrote, e.g. of several potentials; without films.

    Parameters
    ----------
    path
        The JSON file.

    Raises
    ------
    DataError
        If the file is absent, or not of this kind.
    """
    content = ASSESSMENT.upgraded(read_object(Path(path), ("assessments",), REMEDY), path)
    try:
        return [_assessment(entry) for entry in content["assessments"]]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        why = f"{type(error).__name__}: {error}"
        raise DataError(f"{path} is not a readable assessment ({why}); {REMEDY}") from None


def _plain(assessment: Assessment) -> dict[str, Any]:
    return {
        "potential": assessment.potential,
        "verdict": assessment.verdict,
        "description": dict(assessment.description),
        "structures": dict(assessment.structures),
        "versions": dict(assessment.versions),
        "wall_seconds": assessment.wall_seconds,
        "results": [result.to_dict() for result in assessment.results],
    }


def _assessment(entry: Mapping[str, Any]) -> Assessment:
    return Assessment(
        potential=str(entry["potential"]),
        results=tuple(map(CheckResult.from_dict, entry["results"])),
        description=dict(entry["description"]),
        structures=dict(entry["structures"]),
        versions=dict(entry["versions"]),
        wall_seconds=entry["wall_seconds"],
    )


def _metrics(assessment: Assessment) -> list[tuple[object, ...]]:
    """Return a row for each metric; an empty cell is a value that was not found, or no limit."""
    return [
        (assessment.potential, result.name, result.outcome, m.name, plain(m.value), m.unit, m.limit, m.passed)
        for result in assessment.results
        for m in result.metrics
    ]
