"""Files of every format that keel 0.1.0 wrote, in ``tests/files/v1``: they are read, found again and gone on with."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ase.calculators import eam
from safetensors import safe_open
from samples import FOLDERS, RUNS, TRAINING, TRAJECTORIES, V1, configured, given, simulated, told, trained
from schemas import differences, of_value

import keel
from keel.cli import app
from keel.dynamics import Trajectory, read_trajectories
from keel.errors import ConfigError
from keel.reporting import load_results, read_assessments
from keel.reporting.study import write_study
from keel.reporting.study.data import read_study
from keel.results.made import TrainingCurve
from keel.results.run import read_records
from keel.workflow.cache import TaskCache
from keel.workflow.run import run

DIGITS = {"float32": 3e-5, "float64": 1e-10}
"""What processors and releases of PyTorch may differ by, relative to the largest number."""

LATER = ("squeeze", "contacts")
"""Kinds of tasks that keel 0.1.0 did not have."""


@pytest.fixture
def nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that is not found fails, unless it is of a kind that came later."""
    task = TaskCache.task

    def found(self: TaskCache, kind: str, name: str, inputs: dict[str, Any], work: Callable[[Path], None]) -> Path:
        def refuse(folder: Path) -> None:
            raise AssertionError(f"{kind} {name} is done again, in {folder.name}")

        return task(self, kind, name, inputs, work if kind in LATER else refuse)

    monkeypatch.setattr(TaskCache, "task", found)


def stages(root: Path | str) -> list[str]:
    """Return the folders of finished tasks, without those of later kinds."""
    found = (p.parent.relative_to(root) for p in Path(root).rglob("done.json"))
    return sorted(folder.as_posix() for folder in found if folder.parts[1] not in LATER)


def assert_close(found: Any, stored: Any, relative: float) -> None:
    found, stored = np.asarray(found, dtype=float), np.asarray(stored, dtype=float)
    np.testing.assert_allclose(found, stored, rtol=0, atol=relative * np.abs(stored).max(initial=0.0))


def assert_same_weights(first: Path | str, second: Path | str) -> None:
    """What a few steps of training can make of different roundings is less than one of them can change."""
    a, b = keel.load(first).state_dict(), keel.load(second).state_dict()
    assert list(a) == list(b)
    for name, weights in a.items():
        assert_close(weights, b[name], 1e-3)


REWORDED = {"can be told": "can be shown", "may behave otherwise": "may behave differently"}
"""Words of verdicts in the first release, and today's."""


def reworded(found: Any) -> Any:
    """Return a text of the first release in today's words, anything else unchanged."""
    for before, now in REWORDED.items() if isinstance(found, str) else ():
        found = found.replace(before, now)
    return found


class TestPotentials:
    EXPECTED: dict[str, Any] = told(V1 / "potentials" / "expected.json")

    def test_none_is_left_out(self) -> None:
        files = {p.name for p in (V1 / "potentials").iterdir()} - {"expected.json", "structure.extxyz"}
        assert files == self.EXPECTED.keys()

    @pytest.mark.parametrize("name", EXPECTED)
    def test_each_says_what_it_said(self, name: str, tmp_path: Path) -> None:
        stored, (frame,) = self.EXPECTED[name], keel.read(V1 / "potentials" / "structure.extxyz", require=())
        potential = keel.load(V1 / "potentials" / name)
        assert type(potential).__name__ == stored["class"]
        assert str(potential.dtype) == f"torch.{stored['dtype']}"
        found = potential(keel.batch(frame, cutoff=potential.cutoff, dtype=potential.dtype))
        relative = DIGITS[stored["dtype"]]
        assert_close(found.energy.item(), stored["energy"], relative)
        assert_close(found.forces, stored["forces"], relative)
        assert_close(found.stress[0], stored["stress"], relative)

        potential.save(str(tmp_path / name))
        again = keel.load(tmp_path / name)(keel.batch(frame, cutoff=potential.cutoff, dtype=potential.dtype))
        assert torch.equal(again.energy, found.energy) and torch.equal(again.forces, found.forces)

    def test_trained_networks_are_read(self) -> None:
        for path in V1.glob("run*/stages/train/*/potential.safetensors"):
            assert keel.load(path).trained

    def test_the_table_for_other_programs_is_read_by_ase(self, tmp_path: Path) -> None:
        table = tmp_path / "eam.alloy"
        table.write_bytes(gzip.decompress((V1 / "text" / "eam.alloy.gz").read_bytes()))
        frame = keel.read(V1 / "structures.extxyz")[0]
        atoms = frame.to_ase()
        atoms.calc = eam.EAM(potential=str(table))
        potential = keel.load(V1 / "potentials" / "eam-start.json")
        own = potential(keel.batch(frame, cutoff=potential.cutoff, dtype=torch.float64))
        assert_close(atoms.get_forces(), own.forces, 1e-3)


class TestRuns:
    @pytest.mark.parametrize("name", RUNS)
    def test_every_task_is_found_again(self, name: str, v1: Path, nothing_is_done: None, pictures: list[str]) -> None:
        stored = read_records(V1 / name / "summary.json")
        page = run(configured(f"{name}.yaml"), name)
        assert stages(name) == FOLDERS[name]
        again = read_records(v1 / name / "summary.json")
        # The seconds are those of all tasks, later ones too, of which the summary tells.
        later = {"cell_seconds": None, "squeeze": None}
        assert [replace(r, **later) for r in again] == [replace(r, **later) for r in stored]
        assert all(r.squeeze for r in again) and not any(r.squeeze for r in stored)
        squeezed = load_results(v1 / name)
        assert squeezed.teacher_squeeze.crystals and all(trial.squeezed for trial in squeezed.trials)
        assert squeezed.teacher_contacts.quantities and all(trial.by_contact for trial in squeezed.trials)
        assert page.stat().st_size > 10_000 and len(pictures) > 3

    @pytest.mark.parametrize("name", RUNS)
    def test_results_are_read(self, name: str) -> None:
        index, results = told(V1 / name / "results.json"), load_results(V1 / name)
        assert len(results.trials) == len(index["cells"]) == len(told(V1 / name / "summary.json"))
        for record, trial, folders in zip(results.records, results.trials, index["cells"], strict=True):
            assert record.key == (trial.network, trial.strategy, trial.seed)
            parts = [trial.training, trial.accuracy, trial.stability, trial.rdf, trial.dimers]
            tasks = ("train", "accuracy", "stability", "rdf", "dimers")
            assert [part is not None for part in parts] == [folders[task] is not None for task in tasks]
            assert len(trial.training.step) == record.pretrain_steps + record.train_steps or "repair" in trial.strategy
            assert trial.accuracy.errors["force_mae_mev_per_angstrom"] == record.force_mae_mev_per_angstrom
            assert tuple(trial.stability.time_to_failure_fs) == record.time_to_failure_fs
            assert len(trial.failures) == sum(cause is not None for cause in record.failure_cause)
            assert all(curve.r.size for curve in (*trial.rdf_curves.values(), *trial.dimer_curves.values()))
        assert results.teacher_squeeze is None and not any(trial.squeezed for trial in results.trials)
        assert results.teacher_contacts is None and not any(trial.by_contact for trial in results.trials)
        assert results.rungs.keys() == {trial.network for trial in results.trials}
        assert results.teacher.decomposition and results.census["frames"] and results.versions["keel"] == "0.1.0"

    def test_a_stopped_run_goes_on(self, v1: Path, pictures: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
        steps: list[int] = []

        @contextmanager
        def noting(*_: object) -> Iterator[Callable[..., None]]:
            yield lambda taken, *_: steps.append(taken)

        monkeypatch.setattr("keel.workflow.make.bar", noting)
        run(configured("run-stopped.yaml"), "run-stopped")
        assert steps == list(range(9, 21)), "it goes on from its checkpoint"
        finished = {f for f in FOLDERS["run"] if "vanilla" in f or f.split("/")[1] in ("data", "teacher", "rung")}
        assert stages("run-stopped") == sorted(finished)
        (trained,) = (f for f in finished if f.startswith("stages/train"))
        assert_same_weights(*(v1 / name / trained / "potential.safetensors" for name in ("run-stopped", "run")))
        whole = next(r for r in read_records(v1 / "run" / "summary.json") if r.strategy == "vanilla")
        (ended,) = read_records(v1 / "run-stopped" / "summary.json")
        assert ended.force_mae_mev_per_angstrom == pytest.approx(whole.force_mae_mev_per_angstrom, rel=1e-3)
        assert ended.md_temperature_k == whole.md_temperature_k

    def test_a_study_is_put_together_from_runs_and_read_from_tables(self, v1: Path, pictures: list[str]) -> None:
        stored = read_study(v1 / "study" / "tables")
        assert [r["folder"] for r in stored.runs] == sorted(("run-stopped", *RUNS))
        records = {r.key: r for name in RUNS for r in read_records(v1 / name / "summary.json")}
        assert len(stored.records) == len(records)
        assert not len(stored.tables["squeeze"]) and not len(stored.tables["contacts"])
        for record in stored.records:
            assert record.time_to_failure_fs == pytest.approx(records[record.key].time_to_failure_fs)
        again = read_study(write_study(v1, v1 / "again").parent / "tables")
        for name, table in stored.tables.items():
            for column, values in table.columns.items():
                expected = [reworded(value) for value in values]
                np.testing.assert_array_equal(again.tables[name][column], expected, f"{name}, {column}")
        (v1 / "tables-only").mkdir()
        (v1 / "study" / "tables").rename(v1 / "tables-only" / "tables")
        del pictures[:]
        assert reworded(write_study(v1 / "tables-only").read_text()) == (v1 / "again" / "study.md").read_text()
        assert pictures


def judged_now(result: dict[str, Any]) -> dict[str, Any]:
    """Return a result of the first release as it is judged today: a simulation of 10 fs passes no more."""
    if (result["name"], result["outcome"]) != ("MD stability", "passed"):
        return result
    why = "runs of 10 fs are too short to pass: 1000 fs are needed; "
    return result | {"outcome": "skipped", "verdict": why + result["verdict"]}


def without_intervals(found: Any) -> Any:
    """Return results without the ends of intervals, in numbers and in words."""
    if isinstance(found, dict):
        return {key: without_intervals(value) for key, value in found.items() if key not in ("low", "high")}
    if isinstance(found, list):
        return [without_intervals(value) for value in found]
    return re.sub(r"\[[^]]*\]", "[]", reworded(found)) if isinstance(found, str) else found


class TestAssessment:
    def test_every_group_of_probes_is_found_again(self, v1: Path, nothing_is_done: None) -> None:
        stored = told("assessment/assessment.json")
        table = (v1 / "assessment" / "assessment.csv").read_text()
        app(given("assess"), standalone_mode=False)
        assert stages("assessment") == FOLDERS["assessment"]
        # Numbers stay; that runs of 10 fs are too short to pass is said since.
        assert (v1 / "assessment" / "assessment.csv").read_text() == table.replace(
            "stability,passed", "stability,skipped"
        )
        again = told("assessment/assessment.json")
        for before, after in zip(stored["assessments"], again["assessments"], strict=True):
            assert after["results"] == [judged_now(result) for result in before["results"]]
            assert after["verdict"] == before["verdict"].replace("1 of 3", "0 of 2").replace("3 of 3", "2 of 2")
            changed = {"versions": None, "results": None, "verdict": None}
            assert before | changed == after | changed
        # How wide intervals are was made right since.
        assert without_intervals(stored["comparisons"]) == without_intervals(again["comparisons"])

    def test_it_is_read(self) -> None:
        stored = told(V1 / "assessment" / "assessment.json")["assessments"]
        found = read_assessments(V1 / "assessment" / "assessment.json")
        assert [a.potential for a in found] == ["cgcnn-smooth-float32", "eam"]
        for before, after in zip(stored, found, strict=True):
            assert after.verdict == before["verdict"] and after.description == before["description"]
            assert [r.to_dict() for r in after.results] == before["results"]


class TestTraining:
    @pytest.mark.parametrize("name", [*TRAINING["interrupted"], "finished"])
    def test_an_interrupted_one_goes_on(self, name: str, v1: Path) -> None:
        folder, rows = v1 / "training" / name, []
        with safe_open(folder / "checkpoint.safetensors", "pt") as file:
            done = json.loads(file.metadata()["keel"])
        (folder / "metrics.csv").unlink(missing_ok=True)
        result = trained(folder, rows.append)
        assert len(rows) == len(result.history) - len(done["history"])
        result.potential.save(str(folder / "potential.safetensors"))
        finished = V1 / "training" / "finished"
        assert_same_weights(folder / "potential.safetensors", finished / "potential.safetensors")
        again, before = (TrainingCurve.read(path) for path in (folder, finished))
        np.testing.assert_array_equal(again.step, before.step)
        np.testing.assert_allclose(again.total, before.total, rtol=1e-3)
        np.testing.assert_allclose(again.validation, before.validation, rtol=1e-3)

    def test_a_command_that_has_finished_does_nothing_again(self, v1: Path) -> None:
        try:
            app(given("train", "training/command"), standalone_mode=False)
        except ConfigError:
            pytest.skip("of a network that goes on, the fit of its energies is rounded otherwise by this processor")
        again, before = (root / "training" / "command" for root in (v1, V1))
        assert (again / "checkpoint.safetensors").read_bytes() == (before / "checkpoint.safetensors").read_bytes()
        assert (again / "metrics.csv").read_text() == (before / "metrics.csv").read_text()
        assert_same_weights(again / "potential.safetensors", before / "potential.safetensors")


class TestTrajectories:
    NAMES = tuple(TRAJECTORIES["files"])

    @pytest.fixture(autouse=True)
    def _unpacked(self, v1: Path) -> None:
        shutil.unpack_archive(v1 / "trajectories" / "hdf5.zip", v1 / "trajectories")

    def gone_on(self, name: str) -> tuple[list[Trajectory], int]:
        """Give the call that wrote a file again; return what comes out, and how many steps were taken for it."""
        steps: list[int] = []
        found = simulated(name, TRAJECTORIES["files"][name], lambda done, _: steps.append(done))
        return found, len(steps)

    def assert_ends_as_stored(self, name: str, found: list[Trajectory]) -> None:
        for end, one in zip(TRAJECTORIES[TRAJECTORIES["files"][name]]["results"], found, strict=True):
            assert (one.run, one.time, one.cause) == (end["run"], end["time"], end["cause"])
            for before, after in ((end["last"], one.last), (end["failed"], one.failed)):
                assert (before is None) == (after is None)
                if before is not None:
                    assert after.step == before["step"]
                    assert_close(after.frame.energy, before["energy"], 1e-5)
                    assert_close(after.frame.positions, before["positions"], 1e-5)
                    assert_close(after.frame.cell, before["cell"], 1e-5)
                    assert_close(after.velocities, before["velocities"], 1e-3)

    def assert_same_states(self, first: str, second: str, relative: float) -> None:
        one, other = (read_trajectories(f"trajectories/{name}") for name in (first, second))
        assert list(one) == list(other) == [0, 1, 2]
        assert [state.step for state in one[0]] == list(range(0, 41, 4))
        for number, states in one.items():
            for a, b in zip(states, other[number], strict=True):
                assert (a.step, a.time) == (b.step, b.time)
                assert_close(b.frame.positions, a.frame.positions, relative)
                assert_close(b.velocities, a.velocities, 100 * relative)

    @pytest.mark.parametrize("name", [n for n in NAMES if n.startswith("interrupted")])
    def test_an_interrupted_one_goes_on(self, name: str) -> None:
        found, steps = self.gone_on(name)
        assert steps == 25, "it goes on from its checkpoint, at step 15 of its second batch"
        self.assert_ends_as_stored(name, found)
        assert self.gone_on(name)[1] == 0, "now it has finished"
        if name != "interrupted-npt.extxyz":
            self.assert_same_states(name.replace("interrupted", "finished"), name, 1e-5)

    @pytest.mark.parametrize("name", [n for n in NAMES if not n.startswith("interrupted")])
    def test_a_finished_one_does_nothing_again(self, name: str) -> None:
        files = {path: path.read_bytes() for path in Path("trajectories").rglob("*") if path.is_file()}
        found, steps = self.gone_on(name)
        assert steps == 0
        self.assert_ends_as_stored(name, found)
        assert {path: path.read_bytes() for path in files} == files

    def test_the_command_does_nothing_again(self) -> None:
        path = Path("trajectories/finished.extxyz")
        before = path.read_bytes()
        app(given(str(path)), standalone_mode=False)
        assert path.read_bytes() == before

    def test_all_formats_hold_the_same_states(self) -> None:
        for name in (n for n in self.NAMES if not n.startswith("interrupted")):
            self.assert_same_states("finished.extxyz", name, 1e-12)


class TestStructures:
    FORMATS = ("extxyz", "extxyz.gz", "extxyz.xz", "xyz.bz2", "npz", "db")

    @pytest.mark.parametrize("suffix", FORMATS)
    def test_each_format_holds_the_same_frames(self, suffix: str, v1: Path) -> None:
        packed = v1 / "structures" / "frames.db.gz"
        packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
        labelled = keel.read("structures.extxyz")
        start = keel.read("trajectories/starts.extxyz", require=())[2]
        alone = labelled[0].replace(pbc=np.zeros(3, dtype=bool), cell=np.zeros((3, 3)), stress=None)
        found = keel.read(f"structures/frames.{suffix}", require=())
        for before, after in zip([*labelled, start, alone], found, strict=True):
            for name in ("numbers", "positions", "cell", "pbc", "energy", "forces", "stress"):
                np.testing.assert_array_equal(getattr(after, name), getattr(before, name), name)
            assert dict(after.info) == dict(before.info)

    def test_perturbed_ones_are_the_same_in_both_formats(self) -> None:
        first, second = (keel.read(V1 / "structures" / f"perturbed.{suffix}") for suffix in ("extxyz", "npz"))
        assert len(first) == len(second) > 0
        for a, b in zip(first, second, strict=True):
            assert a.energy == b.energy and dict(a.info) == dict(b.info)
            np.testing.assert_array_equal(a.forces, b.forces)


@pytest.mark.parametrize("name", ["census", "fit", "evaluate", "md", "dimers"])
def test_scripts_find_what_a_command_printed(name: str, v1: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It may print more."""
    *arguments, _, _ = given(name, "--json")
    app(arguments, standalone_mode=False)
    now, before = json.loads(capsys.readouterr().out), told(V1 / "text" / f"{name}.json")
    changes = differences(of_value(before), of_value(now))
    assert [change for change in changes if not change.endswith(" is new")] == []
