"""A file that is written otherwise than before has another number.

What files of each kind consist of is kept in ``tests/files/schemas.json``, by the number of their format. Whoever
changes one on purpose gives the format a new number with a step that upgrades what was before
(``keel.formats.Format(steps=...)``), and keeps what it consists of now, which adds what is not there yet:

    python tests/released/test_formats_are_numbered.py

A number that no release has written may be taken out of the file by hand, to be kept anew.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from contextlib import chdir, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from samples import TRAINING, V1, given, simulated, trained, unsaved_pictures
from schemas import differences, merged, of_folder, of_value

import keel
from keel.cli import app
from keel.config import read_config
from keel.dynamics import checkpoint as simulation
from keel.formats import Format
from keel.potentials import saving as potential
from keel.reporting.study import write_study
from keel.reporting.study.columns import STUDY
from keel.results.assessment import ASSESSMENT
from keel.results.run import RUN
from keel.training import checkpoint as training
from keel.workflow.run import run

SCHEMAS = Path(__file__).parents[1] / "files" / "schemas.json"


def write_potentials(folder: Path) -> None:
    """Write each kind once: networks in each mode, closed forms, sums, in both kinds of files."""
    folder.mkdir()
    for path in (V1 / "potentials").iterdir():
        if path.suffix == ".safetensors" or path.name.startswith(("eam.", "zbl.", "lenn", "sum")):
            keel.load(path).save(str(folder / path.name)) if path.name != "expected.json" else None
