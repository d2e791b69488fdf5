"""JSON and CSV of a run folder."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from keel.files import replace_file


def write_json(path: Path, content: Any) -> None:
    """Write JSON completely or not at all."""
    text = json.dumps(content, indent=1, allow_nan=False, default=_plain)
    replace_file(path, lambda temporary: temporary.write_text(text + "\n"))


def _plain(value: Any) -> Any:
    """Turn numpy and torch numbers and arrays into JSON."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not JSON")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write rows as CSV completely or not at all."""

    def fill(temporary: Path) -> None:
        with temporary.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(header)
            writer.writerows(rows)

    replace_file(path, fill)


def finite(content: Any) -> Any:
    """Return JSON content with None for every number that is not finite, which JSON cannot hold."""
    if isinstance(content, dict):
        return {key: finite(value) for key, value in content.items()}
    return None if isinstance(content, float) and not math.isfinite(content) else content
