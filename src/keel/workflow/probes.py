"""Groups of probes as tasks: their inputs and results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from keel.atoms.frame import Frame
from keel.atoms.isolated import set_apart
from keel.atoms.splits import Keys, evenly
from keel.config import AssessmentSettings, EvaluationSettings
from keel.evaluation.battery import code_of, probed
from keel.evaluation.subject import Subject
from keel.identity import of_settings, of_text
from keel.potentials.base import Potential
from keel.progress import bar
from keel.results.assessment import GroupResults, described

FEW, SMALL = 3, 64
"""Number of structures for expensive probes, and their largest number of atoms if smaller ones are available."""


def subject_of(
    potential: Potential,
    frames: Sequence[Frame],
    settings: AssessmentSettings,
    crystal: Frame | None = None,
    **more: Any,
) -> Subject:
    """Return a potential with the structures that it is probed on; ``more`` as :class:`Subject` has it."""
    # An atom alone is neither a crystal nor a start of a simulation; its energy is compared nevertheless.
    material = set_apart(frames)[0] or list(frames)
    small = [f for f in material if len(f) <= SMALL] or [min(material, key=len)]
    return Subject(
        potential=potential,
        frames=tuple(frames),
        starts=tuple(evenly(material, settings.starts)),
        few=tuple(evenly(small, FEW)),
        crystal=crystal or crystal_of(material),
        elements=tuple(sorted({int(z) for f in frames for z in f.numbers})),
        settings=settings,
        **more,
    )


def crystal_of(frames: Sequence[Frame]) -> Frame:
    """Return the smallest periodic structure; of several, the one with the lowest energy."""
    periodic = [f for f in frames if f.pbc.all()] or list(frames)
    return min(periodic, key=lambda f: (len(f), f.energy if f.energy is not None else 0.0))


def settings_of(evaluation: EvaluationSettings, by: Keys | None = None) -> AssessmentSettings:
    """Return how the networks of a run are probed: structure at the temperature of the data, if that is known.

    ``by`` is the key that names the structure, if there are several.
    """
    temperature = evaluation.rdf_temperature or AssessmentSettings().temperature
    return AssessmentSettings(temperature=temperature, by=by if isinstance(by, str) else None)


def probing(
    group: str,
    inputs: Mapping[str, Any],
    potential: Callable[[], Potential],
    frames: Sequence[Frame],
    evaluation: EvaluationSettings,
    by: Keys | None = None,
) -> tuple[dict[str, Any], Callable[[Path], None], str]:
    """Return inputs, work and end of the name of a task that applies a group of probes to a network of a run."""
    settings = settings_of(evaluation, by)
    reference = tuple(frames) if evaluation.rdf_temperature is not None and evaluation.rdf_reference else ()

    def measured(folder: Path) -> None:
        subject = subject_of(potential(), frames, settings, reference=reference)
        measure_probes(folder, group, subject, None, {"Structures": "the test frames"})

    depends = {**inputs, "group": group, "reference": bool(reference), "settings": of_settings(settings)}
    if code := code_of(group):
        depends["code"] = of_text(code)
    return depends, measured, probes_end(group)


def probes_end(group: str) -> str:
    """Return the end of the name of a task that applies a group of probes to a network."""
    return f"-{group.replace(' ', '-')}"


def measure_probes(folder: Path, group: str, subject: Subject, file: Path | None, structures: dict[str, str]) -> None:
    """Apply a group of probes to a potential and store the results, with descriptions of potential and structures."""
    with bar(f"   probes  {group}") as advance:
        results = probed(group, subject, advance)
    description = described(subject.potential, file)
    if subject.dtype != subject.settings.dtype:
        description["Precision"] = "float32, whatever is asked of it: exact properties are judged by that"
    GroupResults(results, description, structures).write(folder)
