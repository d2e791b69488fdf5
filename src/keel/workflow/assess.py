"""``keel assess``: every group of probes as a cached task, then the pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from keel.atoms.elements import symbol
from keel.atoms.frame import Frame
from keel.atoms.named_parts import only_those
from keel.atoms.read import read
from keel.config import AssessmentSettings
from keel.errors import ConfigError, DataError
from keel.evaluation.battery import TITLES, code_of, groups_of
from keel.evaluation.check import CheckResult
from keel.evaluation.clusters.labelled_dimers import dimer_curves_of
from keel.evaluation.subject import Subject
from keel.identity import of_file, of_settings, of_text
from keel.potentials.base import Potential
from keel.potentials.convert import converted
from keel.potentials.external.opening import Opening
from keel.results.assessment import Assessment, GroupResults, unique
from keel.results.meaning import meaningful
from keel.workflow.cache import TaskCache, seconds_of
from keel.workflow.cluster import Cluster
from keel.workflow.planning.thoroughness import left_out, longest_first, usual_budget, within
from keel.workflow.probes import measure_probes, subject_of
from keel.workflow.sharing import working_in
from keel.workflow.versions import versions

MOST_ELEMENTS = 8
"""With more elements, crystals are not probed unless elements are named."""


@dataclass(frozen=True)
class Material:
    """Files with structures; see :class:`~keel.evaluation.subject.Subject` for what they are for.

    ``only`` selects frames of ``data``, such as ``"part=test"``; None: all.
    """

    data: Path | None = None
    reference: Path | None = None
    crystal: Path | None = None
    dimers: Path | None = None
    elements: tuple[str, ...] = ()
    only: str | None = None

    @property
    def identity(self) -> dict[str, Any]:
        """What the results depend on, JSON-compatible."""
        files = {"data": self.data, "reference": self.reference, "crystal": self.crystal, "dimers": self.dimers}
        chosen = {"only": self.only} if self.only else {}
        return {**{k: p and of_file(p) for k, p in files.items()}, "elements": self.elements, **chosen}

    @property
    def said(self) -> str:
        """The data in words; empty without."""
        return "" if self.data is None else f"{self.data}{f', {self.only}' if self.only else ''}"


@dataclass(frozen=True)
class Assessing:
    """One potential, judged in tasks whose results are kept in a folder.

    Parameters
    ----------
    opening
        The potential.
    material, settings
        What it is judged on, and how thoroughly.
    root
        The folder.
    beside
        Another potential to compare with, or None.
    left_out
        Groups of probes that were asked for but are not run, each with the reason.
    """

    opening: Opening
    material: Material
    settings: AssessmentSettings
    root: Path
    beside: Opening | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        groups_of(self.settings.probes)

    @property
    def groups(self) -> list[str]:
        """Names of the groups of probes, in the order of the page."""
        return groups_of(self.settings.probes)

    def folder(self, name: str) -> Path:
        """Return the folder of a group of probes, after measuring what has not been measured."""
        inputs: dict[str, Any] = {
            "potential": self.opening.identity,
            "material": self.material.identity,
            "teacher": self.beside and self.beside.identity,
            "settings": of_settings(self.settings, exclude=("probes",)),
        }
        if code := code_of(name):
            inputs["code"] = of_text(code)
        return TaskCache(self.root).task("probes", name, inputs, lambda f: self._measure(f, name))

    def assessment(self, name: str, folders: Sequence[Path]) -> Assessment:
        """Return the results in the folders of the groups, with what is needed to judge them.

        Neither the potential nor the data are opened: each group has stored their description.
        """
        groups = [GroupResults.read(folder) for folder in folders]
        by_name: dict[str, Sequence[CheckResult]] = {
            group: [CheckResult(title, (), (), "skipped", why) for title in TITLES.get(group, (group,))]
            for group, why in self.left_out.items()
        }
        by_name |= {group: found.results for group, found in zip(self.groups, groups, strict=True)}
        return Assessment(
            potential=name,
            results=meaningful(by_name, self.settings.length_fs),
            # Whether molecules needed boxes is known only to groups that have some.
            description={term: word for group in groups for term, word in group.potential.items()},
            structures=groups[0].structures,
            versions={key: str(value) for key, value in versions(1).items()},
            wall_seconds=sum(map(seconds_of, folders)),
        )

    @cached_property
    def subject(self) -> Subject:
        """The potential and its structures."""
        s, potential = self.settings, converted(self.opening.open(), device=self.settings.device)
        return subject_of(
            potential,
            self._frames(potential),
            s,
            read(self.material.crystal, labels=False)[0] if self.material.crystal else None,
            reference=tuple(read(self.material.reference, labels=False)) if self.material.reference else (),
            beside=None if self.beside is None else converted(self.beside.open(), device=s.device),
            dimers=dimer_curves_of(read(self.material.dimers, require=("energy",))) if self.material.dimers else {},
        )

    def _frames(self, potential: Potential) -> Sequence[Frame]:
        if self.material.data is not None:
            return list(only_those(read(self.material.data), self.material.only))
        elements = self.material.elements or [symbol(z) for z in potential.elements or ()]
        if not 0 < len(elements) <= MOST_ELEMENTS:
            raise ConfigError(
                f"{self.opening.name} knows {len(elements) or 'all'} elements; name structures with --data, "
                "or some elements with --elements"
            )
        return crystals(elements)

    def _measure(self, folder: Path, name: str) -> None:
        path = Path(self.opening.name)
        measure_probes(folder, name, self.subject, path if path.is_file() else None, self._structures())

    def _structures(self) -> dict[str, str]:
        """Return descriptions of the potential and the structures."""
        s = self.subject
        return {
            "Structures": self.material.said or ", ".join(f.source for f in s.frames),
            "Starts of simulations": ", ".join(sorted({f"{f.formula}" for f in s.starts})),
            "Crystal": f"{s.crystal.formula} ({s.crystal.source})",
            "Reference": str(self.material.reference or "none"),
            "Dimers": str(self.material.dimers or "none"),
            "Compared with": self.beside.name if self.beside else "nothing",
        }


def assess(
    openings: Sequence[Opening],
    material: Material,
    settings: AssessmentSettings,
    folder: str | Path,
    *,
    beside: Opening | None = None,
    workers: int = 1,
    scheduler: str | None = None,
    budget: float | None = None,
) -> Path:
    """Apply every group of probes to potentials and write the page: of one, or of several side by side.

    Groups that were done before in this folder, with the same inputs, are not done again; several processes that assess
    in one folder share them.

    Parameters
    ----------
    openings
        The potentials.
    material, settings, beside
        See :class:`Assessing`.
    folder
        Where results and pages go.
    workers
        Processes that work on groups side by side, each on one thread if there are several.
    scheduler
        Dask scheduler whose workers do that instead; see :class:`~keel.workflow.cluster.Cluster`.
    budget
        Seconds that it may take, by which length and number of simulations are chosen
        (:mod:`keel.workflow.planning.thoroughness`); None: as the settings have it, but 12 minutes for ASE calculators
        whose simulations are not chosen.

    Returns
    -------
    Path
        The HTML page.

    Raises
    ------
    ConfigError, DataError
        If a potential or a structure cannot be read, a setting is impossible, or the budget is too small.
    """
    from keel.reporting.assessment.page import write_assessment

    root = Path(folder)
    names = unique(opening.label for opening in openings)
    places = [root / name.replace(" ", "-") for name in names]
    assessments = []
    with (
        working_in(root, begun=any((place / "stages").is_dir() for place in places)),
        Cluster(workers, scheduler=scheduler, device=settings.device) as cluster,
    ):
        every = [Assessing(o, material, settings, place, beside) for o, place in zip(openings, places, strict=True)]
        budget = budget or usual_budget(settings, openings)
        if budget is not None:
            fitted = within(budget, root, settings, lambda: [a.subject for a in every], cluster.workers)
            omitted = left_out(settings, fitted, budget)
            every = [replace(assessing, settings=fitted, left_out=omitted) for assessing in every]
        for name, assessing in zip(names, every, strict=True):
            groups = longest_first(assessing.settings)
            folders = dict(zip(groups, cluster.each(assessing.folder, groups), strict=True))
            assessments.append(assessing.assessment(name, [folders[group] for group in assessing.groups]))
        return write_assessment(assessments, root / "assessment.html")


def crystals(elements: Sequence[str]) -> list[Frame]:
    """Return the crystals of elements as they are under ordinary conditions, near their experimental size.

    Raises
    ------
    DataError
        If none of the elements has a simple crystal.
    """
    from ase.build import bulk

    from keel.atoms.conversion import as_frame

    frames = []
    for element in elements:
        try:
            frames.append(as_frame(bulk(element)).replace(source=f"crystal of {element}"))
        except (ValueError, RuntimeError, NotImplementedError):
            continue
    if not frames:
        raise DataError(f"no simple crystal is known of {', '.join(elements)}; give structures with --data")
    return frames
