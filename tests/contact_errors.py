"""Made-up errors by contact, for the folder of a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from keel.evaluation.labels.by_contact import ContactErrors
from keel.records import read_object, write_json
from keel.results.measured import Contacts

COUNTS = {"frames": [0, 0, 3, 12, 40, 0], "formulas": [0, 0, 1, 4, 9, 0], "values": [0, 0, 5, 80, 900, 0]}
LABEL = np.array([np.nan, np.nan, 4000.0, 2000.0, 500.0, np.nan])


def by_contact(share: float) -> ContactErrors:
    """Errors that are a share of the labels; of one formula in a bin no interval is known."""
    error = share * LABEL
    low, high = 0.9 * error, 1.1 * error
    low[2], high[2] = 0.0, np.inf
    return ContactErrors(
        lower=np.array([0, 0.5, 0.6, 0.75, 0.9, 1.1]),
        upper=np.array([0.5, 0.6, 0.75, 0.9, 1.1, np.inf]),
        contact=np.array([np.nan, np.nan, 0.7, 0.85, 1.0, np.nan]),
        **{name: np.array(values, dtype=float) for name, values in COUNTS.items()},
        error=error,
        low=low,
        high=high,
        label=LABEL,
        excess_low=low - LABEL,
        excess_high=high - LABEL,
    )


def add_contacts(root: Path, shares: Mapping[str, float], teacher: float) -> None:
    """Add them to every trial of a run folder and to its teacher; errors are shares of the labels, by strategy."""
    index = read_object(root / "results.json", (), "")
    for cell in index["cells"]:
        share = shares[cell["strategy"]] + 0.1 * cell["seed"]
        cell["contacts"] = f"stages/contacts/{cell['network']}-{cell['strategy']}-{cell['seed']}"
        (root / cell["contacts"]).mkdir(parents=True)
        Contacts({"forces": by_contact(share), "pressure": by_contact(share)}).write(root / cell["contacts"])
    index["teacher_contacts"] = "stages/contacts/teacher"
    (root / index["teacher_contacts"]).mkdir()
    Contacts({"forces": by_contact(teacher)}).write(root / index["teacher_contacts"])
    write_json(root / "results.json", index)
