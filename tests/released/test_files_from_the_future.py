"""A file that a newer keel wrote is refused in one sentence, and left as it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from safetensors.numpy import save_file
from samples import V1, configured, given, simulated, told, trained

import keel
from keel.cli import app
from keel.dynamics import checkpoint as simulation
from keel.errors import DataError
from keel.formats import Format
from keel.potentials import saving as potential
from keel.reporting import load_results, read_assessments
from keel.reporting.study import write_study
from keel.reporting.study.columns import STUDY
from keel.results.assessment import ASSESSMENT, GroupResults
from keel.results.index import RUN
from keel.training import checkpoint as training
from keel.workflow.run import run

(PROBES,) = (p.relative_to(V1).as_posix() for p in (V1 / "assessment/eam/stages/probes").glob("stability-*/desc*.json"))
ASSESS = given("assess")

CASES: dict[str, tuple[Format, str, Callable[[Path], object]]] = {
    "a potential": (potential.FORMAT, "potentials/eam.json", keel.load),
    "a potential with weights": (potential.FORMAT, "potentials/zbl.safetensors", keel.load),
    "a run that is read": (RUN, "run/results.json", lambda path: load_results(path.parent)),
    "a run that goes on": (RUN, "run/results.json", lambda path: run(configured("run.yaml"), path.parent)),
    "a group of probes": (ASSESSMENT, PROBES, lambda path: GroupResults.read(path.parent)),
    "an assessment that goes on": (ASSESSMENT, PROBES, lambda _: app(ASSESS, standalone_mode=False)),
    "an assessment": (ASSESSMENT, "assessment/assessment.json", read_assessments),
    "a study": (STUDY, "study/tables/runs.json", lambda path: write_study(path.parents[1])),
    "a simulation": (
        simulation.FORMAT,
        "trajectories/interrupted.extxyz.checkpoint/batch-00001.safetensors",
        lambda _: simulated("interrupted.extxyz", "nvt"),
    ),
    "a training": (
        training.FORMAT,
        "training/pretraining/checkpoint.safetensors",
        lambda path: trained(path.parent),
    ),
}


def renumber(path: Path, form: Format) -> None:
    """Make a file one of the next format."""

    def later(content: Any) -> str:
        content = content if isinstance(content, dict) else {"runs": content}
        return json.dumps({**content, form.key: form.number + 1})

    if path.suffix == ".json":
        path.write_text(later(told(path)))
        return
    with safe_open(path, "numpy") as file:
        metadata, tensors = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    save_file(tensors, path, {**metadata, "keel": later(json.loads(metadata["keel"]))})


def contents(root: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in root.rglob("*") if p.is_file()}


@pytest.mark.parametrize("name", CASES)
def test_it_is_refused_and_left_alone(name: str, v1: Path) -> None:
    form, place, read = CASES[name]
    path = Path(place)
    renumber(path, form)
    before = contents(v1)
    with pytest.raises(DataError) as error:
        read(path)
    assert contents(v1) == before
    told, sentence = str(error.value).split(": ", 1)
    assert Path(told).name == path.name
    assert sentence == f"it was written by a newer keel ({form.name} format {form.number + 1}); update keel"


def test_every_format_has_a_name_of_its_own() -> None:
    names = {form.name for form, _, _ in CASES.values()}
    assert names == {"potential", "run folder", "assessment", "study", "simulation checkpoint", "training checkpoint"}


@pytest.mark.parametrize("name", ["a run that is read", "a run that goes on"])
def test_a_run_folder_that_is_damaged_is_not_taken_for_a_newer_one(name: str, v1: Path, pictures: list[str]) -> None:
    """It is written again."""
    path = Path("run-teacher-calculator/results.json")
    path.write_text('{"format": ')
    if name == "a run that is read":
        with pytest.raises(DataError, match="run `keel run` again to rewrite it"):
            load_results(path.parent)
    else:
        run(configured("run-teacher-calculator.yaml"), path.parent)
        assert load_results(path.parent).trials
