"""``keel assess`` from Python: potentials and structures in memory are put into files of the folder first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from keel.atoms.conversion import Structures, as_frames
from keel.atoms.write import write
from keel.config import AssessmentSettings
from keel.potentials.external.opening import Given, Opening, open_potential
from keel.results.assessment import Assessment, read_assessments, unique
from keel.showing import Facts, Shown
from keel.workflow.assess import Material
from keel.workflow.assess import assess as assess_files


@dataclass(frozen=True, eq=False, repr=False)
class Assessments(Shown):
    """The results of the probes for one potential or several; ``[0]`` is the first.

    Parameters
    ----------
    assessments
        Of each potential.
    page
        The HTML page that shows everything, including films and curves.
    """

    assessments: tuple[Assessment, ...]
    page: Path

    def facts(self) -> Facts:
        """See :class:`~keel.showing.Shown`."""
        return {**{f"{a.potential}:": a.verdict for a in self.assessments}, "page": str(self.page)}

    def _repr_html_(self) -> str:
        """Show the verdicts, and where the page is."""
        return "".join(a._repr_html_() for a in self.assessments) + super()._repr_html_()

    def __len__(self) -> int:
        return len(self.assessments)

    def __iter__(self) -> Iterator[Assessment]:
        return iter(self.assessments)

    def __getitem__(self, index: int) -> Assessment:
        return self.assessments[index]


def assess(
    potentials: Given | Opening | Sequence[Given | Opening],
    structures: Structures | None = None,
    *,
    out: str | Path = "assessment",
    settings: AssessmentSettings | Mapping[str, Any] | None = None,
    probes: Sequence[str] | None = None,
    reference: Structures | None = None,
    crystal: Structures | None = None,
    dimers: Structures | None = None,
    beside: Given | Opening | None = None,
    workers: int = 1,
) -> Assessments:
    """Apply every probe to a potential: can it be trusted in MD? Of several, the first is the baseline.

    What was measured before in the folder, with the same inputs, is not measured again.

    Parameters
    ----------
    potentials
        One or several: potentials, or what has or names one (:func:`keel.open_potential`).
    structures
        Of the material, with labels or without: frames, ``ase.Atoms`` or files (:func:`keel.atoms.as_frames`). None:
        crystals of the elements that the potential knows.
    out
        Folder of the results and the page.
    settings
        How thoroughly; the defaults if None. With ASE calculators, simulations are shortened so that all takes about 12
        minutes, unless ``starts`` or ``length_fs`` is set here.
    probes
        Groups of probes (:data:`keel.evaluation.battery.BATTERY`), such as ``["exact", "clusters"]``; None: all.
    reference, crystal, dimers, beside
        See :class:`keel.evaluation.subject.Subject`.
    workers
        Processes side by side.

    Raises
    ------
    ConfigError, DataError
        If a potential cannot be opened or saved, structures cannot be used, or a setting is impossible.
    """
    root = Path(out)
    root.mkdir(parents=True, exist_ok=True)
    several = list(potentials) if isinstance(potentials, list | tuple) else [potentials]
    chosen = AssessmentSettings.given(settings)
    page = assess_files(
        _opened(several, root / "potentials"),
        Material(
            data=_file(structures, root / "structures.extxyz"),
            reference=_file(reference, root / "reference.extxyz"),
            crystal=_file(crystal, root / "crystal.extxyz"),
            dimers=_file(dimers, root / "dimers.extxyz"),
        ),
        chosen if probes is None else chosen.replace(probes=tuple([probes] if isinstance(probes, str) else probes)),
        root,
        beside=None if beside is None else _opened([beside], root / "beside")[0],
        workers=workers,
    )
    return Assessments(tuple(read_assessments(page.with_suffix(".json"))), page)


def _opened(potentials: Sequence[Given | Opening], folder: Path) -> list[Opening]:
    """Return how each potential is opened, after saving those without a name."""
    in_memory = {k: open_potential(p) for k, p in enumerate(potentials) if not isinstance(p, str | PathLike | Opening)}
    names = unique(Path(p.source).stem if p.source else type(p).__name__ for p in in_memory.values())
    files = dict(zip(in_memory, (folder / f"{name}.safetensors" for name in names), strict=True))
    for k, file in files.items():
        folder.mkdir(parents=True, exist_ok=True)
        in_memory[k].save(str(file))
    return [p if isinstance(p, Opening) else Opening(str(files.get(k, p))) for k, p in enumerate(potentials)]


def _file(structures: Structures | None, path: Path) -> Path | None:
    """Return the file of some structures, after writing those without one."""
    if structures is None or isinstance(structures, str | PathLike):
        return None if structures is None else Path(structures)
    write(path, as_frames(structures))
    return path
