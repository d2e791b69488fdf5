"""Results of probes on the networks of a run."""

from __future__ import annotations

from keel.evaluation.settings import AssessmentSettings
from keel.reporting.assessment.parts import deciding
from keel.reporting.run.tables import Table
from keel.results.assessment import unique
from keel.results.meaning import meaningful
from keel.results.run import Trials
from keel.wording import OUTCOMES


def probe_table(trials: Trials) -> Table | None:
    """Return a row for each probe on each network, grouped by probe; None if nothing was probed.

    Passes without significance are skipped, as on the page of an assessment. A run probes with the settings of an
    assessment, except for the temperature.
    """
    several = len({trial.seed for trial in trials}) > 1
    found: dict[str, list[tuple[str, ...]]] = {}
    for trial in trials:
        groups = {name: group.results for name, group in trial.probes.items()}
        results = meaningful(groups, AssessmentSettings().length_fs)
        trained = f"{trial.strategy}, seed {trial.seed}" if several else trial.strategy
        for name, result in zip(unique(r.name for r in results), results, strict=True):
            row = (f"{name}: {trained}", OUTCOMES[result.outcome], deciding(result) or "–", result.verdict)
            found.setdefault(name, []).append(row)
    rows = tuple(row for group in found.values() for row in group)
    caption = "Probes of the trained networks; “for information”: no limit; “not tested”: does not apply"
    return Table(caption, ("", "outcome", "decided by", "verdict"), rows) if rows else None
