"""The page of a study: words, tables and figures, all from its tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from keel.reporting.budgets import has_patience, inequality
from keel.reporting.figures import ReportFigure
from keel.reporting.run.skill import Skill
from keel.reporting.strategies import number
from keel.reporting.study.beyond import contact_tables, squeeze_table
from keel.reporting.study.columns import TRIAL, Columns
from keel.reporting.study.data import Study
from keel.reporting.study.dynamics import FLOOR, rdf_grid, survival_row
from keel.reporting.study.landscapes import dimer_landscapes, eam_curves, eam_decomposition
from keel.reporting.study.learning import accuracy_over_frames
from keel.reporting.study.markdown import (
    comparison_table,
    cost_table,
    dimer_table,
    frames_table,
    overview_table,
    provenance_table,
    rdf_table,
    rung_table,
    stability_table,
)
from keel.reporting.study.schematic import workflow_figure
from keel.training.known import KNOWN
from keel.wording import listed

Draw = Callable[[ReportFigure], str]
"""Saves a figure and returns the Markdown that shows it."""

HOW_TO_READ = (
    "Errors are mean absolute errors on test frames, mean ± standard deviation over seeds. A run of molecular dynamics "
    "(MD) ends at its first failure: atoms fused, temperature or forces run away, numbers not finite, atoms lost. The "
    "median time to failure is the time by which half of the runs have failed; “> 2000” means that more than half "
    "still survived at 2000 fs, so the median is longer. In the mean time survived, a run without failure counts with "
    "its whole length."
)
OVERVIEW = (
    "Failed runs of molecular dynamics, and the force error of plain training with the others relative to it, over the "
    "seeds that both have."
)
INTERVALS = (
    "Each strategy against vanilla, pair by pair: the same seed, the same start and the same random numbers. "
    "Brackets contain 95 % intervals over seeds and starts. A ratio above 1 means that runs survived longer; failed "
    "runs are in percentage points, below 0 means that fewer failed."
)
SQUEEZED = (
    "Crystals of the test frames, compressed uniformly to 0.4 of the volume. Where the pressure falls, a crystal under "
    "load caves in, which no real material does. Pressures are relative to the teacher's, where that is positive: "
    "median, and lowest to highest of crystals and seeds."
)
VERSIONS = ("keel", "python", "torch", "ase", "platform", "device", "cores", "workers", "started")


def render(study: Study, draw: Draw) -> str:
    """Return the page as Markdown, drawing its figures on the way."""
    parts = [
        "# Study",
        *_opening(study),
        draw(workflow_figure()),
        "## Results",
        OVERVIEW,
        overview_table(study),
        *(part for system in study.systems for part in _system(study, system, draw)),
        *_over_frames(study, draw),
        *_provenance(study),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _opening(study: Study) -> Iterator[str]:
    trials = study.tables["cells"]
    networks, strategies = trials.different("network"), trials.different("strategy")
    yield (
        f"Networks {listed(networks)} on {listed(study.systems)}, trained as {listed(strategies)} from "
        f"{_seeds(trials)}: {len(trials)} training{'s' if len(trials) != 1 else ''}, "
        f"{len(study.tables['lifetimes'])} runs of molecular dynamics{_hours(trials)}. Every number and curve below is "
        "in [tables/](tables)."
    )
    yield HOW_TO_READ
    yield from (KNOWN[name].note for name in strategies if name in KNOWN and KNOWN[name].note)
    waiting = [run for run in study.runs if run.get("planned") and run["cells"] < run["planned"]]
    if waiting:
        found = listed([f"`{run['folder']}` ({run['cells']} of {run['planned']} trials)" for run in waiting])
        yield f"**Not finished yet:** {found}. What is finished is shown."


def _seeds(trials: Columns) -> str:
    """State how many seeds each strategy has; the numbers may differ."""
    seeds_of = Counter(zip(*(trials[name].tolist() for name in TRIAL), strict=True))
    fewest, most = min(seeds_of.values()), max(seeds_of.values())
    return f"{most} seed{'s' if most != 1 else ''}" if fewest == most else f"{fewest} to {most} seeds"


def _hours(trials: Columns) -> str:
    """State how long all trials took; nothing where that is not known for each."""
    seconds = trials["cell_seconds"]
    return f", {seconds.sum() / 3600:.1f} hours of one worker" if np.isfinite(seconds).all() else ""


def _system(study: Study, system: str, draw: Draw) -> Iterator[str]:
    yield f"## {system}"
    yield _data(study, system)
    yield "### Accuracy and stability"
    yield stability_table(study, system)
    if (text := _skills(study.run(system))) is not None:
        yield text
    if len(lifetimes := study.tables["lifetimes"].where(system=system)):
        yield draw(survival_row(system, lifetimes))
    if (rungs := rung_table(study, system)) is not None:
        yield (
            "How the temperature was chosen: share of short runs of `vanilla` (or else the first strategy) that failed "
            "at each temperature tried, from validation structures (or else those of the test):"
        )
        yield rungs
    if len(study.tables["comparisons"].where(system=system)):
        yield "### Against vanilla training"
        yield INTERVALS
        yield comparison_table(study, system)
        found = study.tables["comparisons"].where(system=system)
        yield "\n".join(f"* {n}: {s}" for n, s in zip(found["network"], found["sentence"], strict=True))
    yield from _beyond(study, system)
    yield "### Cost of one training"
    yield from _unequal(study, system)
    yield cost_table(study, system)
    yield from _rdf(study, system, draw)
    yield from _dimers(study, system, draw)
    yield from _eam(study, system, draw)


def _unequal(study: Study, system: str) -> Iterator[str]:
    """State where patience stopped trainings, which are then compared by one rule and not at equal cost."""
    texts = {run["folder"]: str(run.get("configuration") or "") for run in study.runs if run.get("system") == system}
    patient = [text for text in texts.values() if has_patience(text)]
    for network in study.networks(system) if patient else ():
        records = [record for result in study.strategies(system, network) for record in result.records]
        if (sentence := inequality(records, patient)) is not None:
            yield f"{network}: {sentence}."


def _data(study: Study, system: str) -> str:
    run = study.run(system)
    split, data = run.get("split") or {}, run.get("data") or {}
    sentences = [str(run.get("description") or "")]
    if data:
        count = len(data.get("elements") or {})
        of = f"of {count} element{'s' if count != 1 else ''}"
        sentences.append(f"{data.get('frames', 0):,} DFT frames {of}: {_count(split)}.")
    return " ".join(sentence for sentence in sentences if sentence)


def _skills(run: Mapping[str, Any]) -> str | None:
    """Compare typical force errors with typical forces."""
    found = [Skill(**skill) for skill in run.get("skills") or ()]
    if not found:
        return None
    errors = listed([f"{number(skill.error)} ({skill.network})" for skill in found])
    text = (
        f"Half of the force components of the test frames are smaller than {number(found[0].force)} meV/Å; half of "
        f"the errors of plain training are smaller than {errors}."
    )
    if at_rest := [skill for skill in found if skill.is_of_atoms_at_rest]:
        shares = listed([f"{100 * skill.left:.0f} % ({skill.network})" for skill in at_rest])
        text = f"{text} Most atoms are at rest; by MAE or RMSE, errors are {shares} of those of predicting zero."
    lost = [skill.network for skill in found if skill.is_none]
    if not lost:
        return text
    return (
        f"{text} **{listed(lost)} did not learn these forces:** predicting zero is about as good. How long such "
        "simulations last says little."
    )


def _count(split: dict[str, Any]) -> str:
    names = {"train": "to train", "validation": "to choose the weights", "test": "to test"}
    return listed([f"{split[key]} {words}" for key, words in names.items() if key in split]) or "not divided"


def _beyond(study: Study, system: str) -> Iterator[str]:
    """Results beyond the data, which survival hides."""
    if (found := squeeze_table(study, system)) is not None:
        yield "### Crystals under compression"
        yield SQUEEZED
        yield found
    tables = list(contact_tables(study, system))
    if tables:
        yield "### Errors by closest contact"
    for heading, found in tables:
        yield heading
        yield found


def _rdf(study: Study, system: str, draw: Draw) -> Iterator[str]:
    rdf, errors = (study.tables[name].where(system=system) for name in ("rdf", "rdf_errors"))
    if not len(rdf):
        return
    yield "### Radial distribution functions"
    yield draw(rdf_grid(system, rdf, errors))
    if (found := rdf_table(study, system)) is not None:
        yield _about_errors(errors)
        yield found


def _about_errors(errors: Columns) -> str:
    if not len(errors):
        return "Runs that failed at this temperature, all seeds together:"
    text = (
        "Runs that failed at this temperature, all seeds together, and the error of g(r) against DFT, mean over seeds: "
        "per cent (100 is as far from DFT as an ideal gas) and the integral of |Δg| up to 6 Å."
    )
    return f"{text} {FLOOR}" if np.isfinite(errors["floor_percent"]).any() else text


def _dimers(study: Study, system: str, draw: Draw) -> Iterator[str]:
    dimers, eam = (study.tables[name].where(system=system) for name in ("dimers", "eam"))
    if not len(dimers):
        return
    yield "### Isolated pairs of atoms"
    yield draw(dimer_landscapes(system, dimers, eam))
    if (found := dimer_table(study, system)) is not None:
        pairs = len(study.tables["dimer_metrics"].where(system=system).different("pair"))
        yield f"Medians over {pairs} pair{'s' if pairs != 1 else ''} of elements and all seeds:"
        yield found


def _eam(study: Study, system: str, draw: Draw) -> Iterator[str]:
    eam = study.tables["eam"].where(system=system)
    if len(eam):
        yield "### The EAM teacher"
        if np.isfinite(eam["morse"]).any():
            yield draw(eam_decomposition(system, eam))
        yield draw(eam_curves(system, eam))


def _over_frames(study: Study, draw: Draw) -> Iterator[str]:
    families = study.over_frames()
    if families:
        yield "## Fewer and more DFT frames"
    for system, trials in families.items():
        yield draw(accuracy_over_frames(system, trials))
        yield f"{system}: force MAE (meV/Å, mean ± standard deviation over seeds); failed runs"
        yield frames_table(trials)


def _provenance(study: Study) -> Iterator[str]:
    yield "## Provenance"
    yield (
        "One row for each configuration; its text and the fit of its EAM are in [tables/runs.json](tables/runs.json). "
        "A run folder made from it with `keel run` and the same number of workers contains the same numbers on the "
        "same machine."
    )
    present = [name for name in VERSIONS if any(name in run.get("versions", {}) for run in study.runs)]
    yield provenance_table(study.runs, present)
    seeds = sorted(int(seed) for seed in study.tables["cells"].different("seed"))
    yield f"Seeds: {', '.join(map(str, seeds))}. Figures are in [figures/](figures) as PNG and PDF."
