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
from collections.abc import Callable
from contextlib import chdir, suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file
from samples import V1, given, simulated, told, trained, unsaved_pictures
from schemas import differences, of_folder, of_value, text, union

import keel
from keel.cli import app
from keel.config import read_config
from keel.dynamics import checkpoint as simulation
from keel.formats import Format
from keel.potentials import saving as potential
from keel.reporting.study import write_study
from keel.reporting.study.columns import STUDY
from keel.results.assessment import ASSESSMENT
from keel.results.index import RUN
from keel.training import checkpoint as training
from keel.workflow.run import run

SCHEMAS = Path(__file__).parents[1] / "files" / "schemas.json"


def write_potentials() -> None:
    """Networks in each mode, closed forms and sums, in both kinds of files."""
    Path("potential").mkdir()
    alike = ("float64", "eam-", "zbl-pairs")
    for name in (n for n in told("potentials/expected.json") if not any(words in n for words in alike)):
        keel.load(f"potentials/{name}").save(f"potential/{name}")
    keel.SumPotential([keel.ZBL(), keel.LennardJones().float()]).save("potential/sum-of-two-precisions.json")


def write_run() -> None:
    """A network with all tasks of a run."""
    config = read_config("run.yaml")
    run(config.model_copy(update={"strategies": ["pretrain"]}), "new-run")


def write_assessment() -> None:
    """Two potentials side by side; runs of one fail."""
    arguments = given("assess")
    arguments[arguments.index("assessment")] = "new-assessment"
    app(arguments, standalone_mode=False)
    shutil.rmtree("new-assessment/eam")


def write_study_tables() -> None:
    """Of all stored runs."""
    write_study(".", "new-study")


def write_simulations() -> None:
    """A trajectory in each format, stopped when one of its batches has finished; checkpoints are alike."""
    for suffix in ("extxyz", "extxyz.gz", "h5", "traj"):
        with suppress(KeyboardInterrupt):
            simulated(f"new/a.{suffix}", "nvt", stop_after(57))
        if suffix != "traj":
            shutil.rmtree(f"trajectories/new/a.{suffix}.checkpoint")


def write_training() -> None:
    """Training, stopped in its last stage."""

    def stop(row: dict[str, Any]) -> None:
        if (row["stage"], row["step"]) == ("train", 11):
            raise KeyboardInterrupt

    with suppress(KeyboardInterrupt):
        trained("new-training", stop)


def stop_after(steps: int) -> Callable[..., None]:
    left = iter(range(steps))

    def stop(*_: object) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt

    return stop


KINDS: dict[str, tuple[Format, Callable[[], None], str]] = {
    "potential": (potential.FORMAT, write_potentials, "potential"),
    "run folder": (RUN, write_run, "new-run"),
    "assessment": (ASSESSMENT, write_assessment, "new-assessment"),
    "study": (STUDY, write_study_tables, "new-study"),
    "simulation": (simulation.FORMAT, write_simulations, "trajectories/new"),
    "training": (training.FORMAT, write_training, "new-training"),
}
"""The format of each kind of files, what writes a sample of it in a copy of the stored ones, and where."""


def sample(kind: str, folder: Path) -> Path:
    """Write a sample of a kind of files below a new folder and return where."""
    _, write, place = KINDS[kind]
    shutil.copytree(V1, folder)
    with chdir(folder), unsaved_pictures():
        write()
    return folder / place


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Samples of this session by kind, each written once."""

    @cache
    def written(kind: str) -> Path:
        return sample(kind, tmp_path_factory.mktemp("new") / "v1")

    return written


def problem(kind: str, folder: Path) -> str | None:
    """Return what is to be done because files differ from what is known of their format; None: nothing."""
    form, _, _ = KINDS[kind]
    known = told(SCHEMAS)[kind].get(str(form.number))
    keep = "run python tests/released/test_formats_are_numbered.py"
    if known is None:
        return f"it is not kept what a {form.name} of format {form.number} consists of; {keep}"
    found = differences(known, of_folder(folder))
    if not found:
        return None
    return (
        f"a {form.name} is written otherwise than format {form.number} says; give it a new number with a step that "
        f"upgrades what was before (keel.formats.Format(steps=...)), then {keep}:\n" + "\n".join(found)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_has_the_number_that_it_says(kind: str, samples: Callable[[str], Path]) -> None:
    assert problem(kind, samples(kind)) is None


def edit_json(change: Callable[[Any], object]) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        content = told(path)
        change(content)
        path.write_text(json.dumps(content))

    return edit


def edit_tensors(change: Callable[[dict[str, Any], dict[str, Any]], object]) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        with safe_open(path, "numpy") as file:
            facts = json.loads(file.metadata()["keel"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        change(facts, tensors)
        save_file(tensors, path, {"keel": json.dumps(facts)})

    return edit


def in_half(_: object, tensors: dict[str, Any]) -> None:
    tensors.update({name: tensor.astype(np.float16) for name, tensor in tensors.items()})


def edit_text(before: str, after: str) -> Callable[[Path], None]:
    return lambda path: path.write_text(path.read_text().replace(before, after))


CHANGES: dict[str, tuple[str, str, Callable[[Path], object], str]] = {
    "a key that is gone": ("run folder", "results.json", edit_json(lambda c: c.pop("teacher")), "teacher is gone"),
    "a key that is new": ("run folder", "rung.json", edit_json(lambda c: c.update(seed=1)), "seed is new"),
    "a key of each item": ("run folder", "summary.json", edit_json(lambda c: c[0].pop("seed")), "seed is gone"),
    "another type": ("potential", "eam.json", edit_json(lambda c: c["config"].update(delta="a")), "delta: "),
    "an item": ("assessment", "results.json", edit_json(lambda c: c[0]["metrics"].append(1)), '"number" is new'),
    "a column": ("study", "rungs.csv", edit_text("failing_share,", ""), "columns"),
    "a tensor": ("potential", "zbl.safetensors", edit_tensors(lambda _, t: t.update(a=np.ones(1))), "a is new"),
    "a precision": ("training", "checkpoint.safetensors", edit_tensors(in_half), '"F32 (2)" became "F16 (2)"'),
    "what describes tensors": (
        "simulation",
        "batch-00001.safetensors",
        edit_tensors(lambda told, _: told.pop("runs")),
        "runs may be absent now",
    ),
    "what is told of a frame": ("simulation", "a.extxyz", edit_text("time_fs=", "time="), "time_fs is gone"),
    "a file that is gone": ("run folder", "fit.json", Path.unlink, "fit.json is gone"),
    "a file that is new": ("study", "runs.json", lambda p: p.with_name("b.json").write_text("[]"), "b.json is new"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_noticed(change: str, samples: Callable[[str], Path], tmp_path: Path) -> None:
    kind, name, edit, words = CHANGES[change]
    folder = tmp_path / "changed" / samples(kind).name
    shutil.copytree(samples(kind), folder)
    edit(next(folder.rglob(name)))
    told = problem(kind, folder)
    assert told is not None and words in told
    assert "give it a new number with a step" in told and "test_formats_are_numbered.py" in told


def test_a_number_of_which_nothing_is_kept_is_noticed(
    samples: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    form, *others = KINDS["study"]
    monkeypatch.setitem(KINDS, "study", (replace(form, steps=(*form.steps, dict)), *others))
    assert "what a study of format 4 consists of" in (problem("study", samples("study")) or "")


def test_other_data_are_no_change() -> None:
    """What is not known, of no or of other elements, or may be absent."""
    known = of_value(
        {"a": [1, None], "floor": {"O-Si": {"fu": 1.0}}, "elements": {"P": 1}, "cause": "force", "more": []}
    )
    now = of_value({"a": [], "floor": {}, "elements": {"Si": 2, "O": 3}, "cause": None, "more": ["x"]})
    assert not differences(known, now) and not differences(now, known)
    assert not differences(union(map(of_value, [{"a": 1, "b": 2}, {"a": 1}])), of_value({"a": 3}))


def main() -> None:
    """Keep what is not kept yet."""
    kept: dict[str, dict[str, Any]] = told(SCHEMAS) if SCHEMAS.is_file() else {}
    with TemporaryDirectory() as room:
        for kind, (form, _, _) in KINDS.items():
            number = str(form.number)
            if number not in kept.setdefault(kind, {}):
                kept[kind][number] = of_folder(sample(kind, Path(room) / kind))
                print(f"{kind}: format {number}")
    SCHEMAS.write_text(text(kept) + "\n")


if __name__ == "__main__":
    main()
