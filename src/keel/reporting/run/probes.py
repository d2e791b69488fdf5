"""What probes say of the networks of a run."""

from __future__ import annotations

from keel.evaluation.settings import AssessmentSettings
from keel.reporting.assessment.parts import deciding
from keel.reporting.run.tables import Table
from keel.results.assessment import unique
from keel.results.meaning import meaningful
from keel.results.run import Trials


def probe_table(trials: Trials) -> Table | None:
    """A row for each probe on each network, those of one probe together; None if nothing was probed.

    What passed without telling anything is skipped, as on the page of an assessment. A run probes with the settings of
    an assessment, but for the temperature.
    """
    several = len({trial.seed for trial in trials}) > 1
    found: dict[str, list[tuple[str, ...]]] = {}
    for trial in trials:
        groups = {name: group.results for name, group in trial.probes.items()}
        results = meaningful(groups, AssessmentSettings().length_fs)
        trained = f"{trial.strategy}, seed {trial.seed}" if several else trial.strategy
        for name, result in zip(unique(r.name for r in results), results, strict=True):
            row = (f"{name}: {trained}", result.outcome, deciding(result) or "–", result.verdict)
            found.setdefault(name, []).append(row)
    rows = tuple(row for group in found.values() for row in group)
    caption = "Probes of the trained networks; “noted” has no limit, “skipped” does not apply"
    return Table(caption, ("", "outcome", "decided by", "verdict"), rows) if rows else None
