"""Assessments as JSON and CSV, and from JSON again."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keel import __version__
from keel.errors import DataError
from keel.evaluation.check import CheckResult
from keel.files import replace_file
from keel.reporting.assessment.pairs import Versus
from keel.results.assessment import Assessment

HEADER = ("potential", "probe", "outcome", "metric", "value", "unit", "limit", "passed")
TEXTS = ("description", "structures", "versions")


def write_json(assessments: Sequence[Assessment], path: Path, pairs: Sequence[Versus] = ()) -> None:
    """Write all but the films, and comparisons with the first potential; what is not finite is null."""
    content = {
        "keel": __version__,
        "assessments": [as_dict(a) for a in assessments],
        "comparisons": [pair.to_dict() for pair in pairs],
    }
    text = json.dumps(content, ensure_ascii=False, allow_nan=False) + "\n"
    replace_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def as_dict(assessment: Assessment) -> dict[str, Any]:
    """Return an assessment as plain data for JSON, without films."""
    return {
        "potential": assessment.potential,
        "verdict": assessment.verdict,
        **{name: dict(getattr(assessment, name)) for name in TEXTS},
        "wall_seconds": assessment.wall_seconds,
        "results": [result.to_dict() for result in assessment.results],
    }


def write_metrics(assessments: Sequence[Assessment], path: Path) -> None:
    """Write a line for each metric; an empty cell is a value that was not found, or no limit."""

    def write(temporary: Path) -> None:
        with temporary.open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(HEADER)
            for assessment in assessments:
                for result in assessment.results:
                    rows.writerows([assessment.potential, *row] for row in _rows(result))

    replace_file(path, write)


def _rows(result: CheckResult) -> list[list[object]]:
    return [
        [result.name, result.outcome, m.name, f"{m.value:.10g}" if np.isfinite(m.value) else "", m.unit,
         "" if m.limit is None else f"{m.limit:.10g}", m.passed]
        for m in result.metrics
    ]  # fmt: skip


def read_assessments(path: str | Path) -> list[Assessment]:
    """Read the assessments that :func:`write_json` wrote, e.g. of several potentials to compare; films are not there.

    Raises
    ------
    DataError
        If the file is absent, or not of this kind.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        return [
            Assessment(
                str(entry["potential"]),
                tuple(map(CheckResult.from_dict, entry["results"])),
                **{name: dict(entry[name]) for name in TEXTS},
                wall_seconds=entry["wall_seconds"],
            )
            for entry in content["assessments"]
        ]
    except FileNotFoundError:
        raise DataError(f"{path} is absent; assess the potential first") from None
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        why = f"{type(error).__name__}: {error}"
        raise DataError(f"{path} is no readable assessment ({why}); assess the potential again") from None
