"""The whole job on a tiny scale: results, caching, resumption after a kill, mistakes."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from ase.data import atomic_numbers

import keel
from keel.atoms.write import write
from keel.cli import app, main
from keel.config import DataSettings, RunSettings
from keel.errors import ConfigError
from keel.evaluation import squeeze
from keel.identity import of_split
from keel.records import write_json
from keel.results.index import RunIndex
from keel.results.measured import RadialDistributions
from keel.results.run import load_results
from keel.results.squeezed import summary_of
from keel.settings import parse
from keel.workflow import run
from keel.workflow.cache import TaskCache, seconds_of
from keel.workflow.cluster import Cluster
from keel.workflow.data import frequent_pairs, read_data
from keel.workflow.division import divide
from tiny_run import FEW, TINY, numbers, tiny
from waiting import wait_for

pytestmark = pytest.mark.xdist_group("workflow")
FIELDS = {
    "system", "network", "strategy", "seed", "train_frames", "pretrain_steps", "train_steps", "energy_mae_mev_per_atom",
    "force_mae_mev_per_angstrom", "stress_mae_mev_per_cubic_angstrom", "gradient_evaluations", "md_temperature_k",
    "md_timestep_fs", "md_friction_per_fs", "md_length_fs", "time_to_failure_fs", "failure_cause", "wall_seconds",
    "cell_seconds", "peak_memory_mb", "close_contacts_per_1000_atoms", "squeeze",
}  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    run(tiny(), folder)
    return folder


def test_leaves_report_and_summary(finished):
    assert (finished / "report.html").stat().st_size > 10_000
    records = json.loads((finished / "summary.json").read_text())
    assert [set(r) for r in records] == [FIELDS, FIELDS]
    vanilla, pretrain = records
    assert vanilla["pretrain_steps"] + vanilla["train_steps"] == pretrain["pretrain_steps"] + pretrain["train_steps"]
    assert pretrain["pretrain_steps"] == 2
    for r in records:
        assert len(r["time_to_failure_fs"]) == len(r["failure_cause"]) == 2
        for t, cause in zip(r["time_to_failure_fs"], r["failure_cause"], strict=True):
            assert (t == r["md_length_fs"]) if cause is None else (t <= r["md_length_fs"])


def test_crystals_are_squeezed_with_each_network_and_the_teacher(finished):
    results = load_results(finished)
    assert [len(trial.squeezed) for trial in results.trials] == [2, 2]
    assert len(list((finished / "stages" / "squeeze").iterdir())) == 3
    split = json.loads(next((finished / "stages" / "data").glob("*/split.json")).read_text())
    for found in (*results.trials[0].squeezed, *results.teacher_squeeze.crystals):
        assert found.source in split["sources"]["test"]
        assert found.length[-1] == pytest.approx(0.4 ** (1 / 3))
    frames = {frame.source: frame for frame in keel.read(FEW)}
    potential = keel.load(finished / RunIndex.read(finished).cells[1].train / "potential.safetensors")
    crystals = [frames[found.source] for found in results.trials[1].squeezed]
    for stored, again in zip(results.trials[1].squeezed, squeeze(potential, crystals), strict=True):
        assert stored.name == again.name
        assert stored.first_fall == pytest.approx(again.first_fall)
        np.testing.assert_allclose(stored.pressure, again.pressure, rtol=1e-6)
    assert "Under compression" in (finished / "report.html").read_text()
    for record, trial in zip(results.records, results.trials, strict=True):
        assert record.squeeze == summary_of(trial.squeezed, results.teacher_squeeze.crystals)
        assert record.squeeze["crystals"] == 2


def test_errors_are_divided_by_contact_for_strategies_and_the_teacher(finished):
    results = load_results(finished)
    forces = [
        found["forces"] for found in (results.teacher_contacts.quantities, *(t.by_contact for t in results.trials))
    ]
    assert len({tuple(f.values) for f in forces}) == 1
    assert forces[0].values.sum() == results.trials[0].accuracy.errors["atoms"]
    assert len({np.nanmean(f.error) for f in forces}) == 3
    assert "Errors as atoms come close" in (finished / "report.html").read_text()


def test_no_test_or_validation_frame_is_trained_on(finished):
    folder = next((finished / "stages" / "data").iterdir())
    sources = json.loads((folder / "split.json").read_text())["sources"]
    parts = [set(sources[p]) for p in ("train", "validation", "test")]
    assert not (parts[0] & parts[1] or parts[0] & parts[2] or parts[1] & parts[2])
    assert all(parts)


def test_configuration_is_written_out_and_reads_back(finished):
    assert parse(RunSettings, yaml.safe_load((finished / "config.yaml").read_text()), "x") == tiny()


def test_the_temperature_can_be_found_by_shorter_runs(finished, tmp_path):
    run(tiny(strategies=["vanilla"], md={**TINY["md"], "rung_fs": 5, "length_fs": 40}), tmp_path)
    (rung,) = tmp_path.glob("stages/rung/*/rung.json")
    assert json.loads(rung.read_text())["length_fs"] == 40
    times = numbers(tmp_path)[0]["time_to_failure_fs"]
    assert max(times) == 40
    assert (json.loads(rung.read_text())["median_fs"] or 0) <= 5


def test_second_run_does_nothing_again(finished):
    before = {p: p.stat().st_mtime_ns for p in finished.rglob("done.json")}
    expected = numbers(finished)
    run(tiny(), finished)
    assert {p: p.stat().st_mtime_ns for p in finished.rglob("done.json")} == before
    assert numbers(finished) == expected


def test_versions_of_earlier_stages_are_kept(finished):
    path = finished / "versions.json"
    now = json.loads(path.read_text())
    assert now["keel"] == keel.__version__
    path.write_text(json.dumps({**now, "torch": "2.8.0"}))
    run(tiny(), finished)
    run(tiny(), finished, workers=1)
    after = json.loads(path.read_text())
    assert [v["torch"] for v in after.pop("before")] == ["2.8.0"]
    assert after["torch"] == now["torch"]
    path.write_text("{")
    run(tiny(), finished)
    assert "before" not in json.loads(path.read_text())


def test_only_what_depends_on_a_change_is_done_anew(finished):
    before = set(finished.rglob("done.json"))
    run(tiny(md={**TINY["md"], "runs": 1}), finished)
    new = {p.parent.parent.name for p in set(finished.rglob("done.json")) - before}
    assert new == {"rung", "stability", "rdf"}
    run(tiny(), finished)


def test_killed_and_run_again(finished, tmp_path):
    """Killed in the midst of training, and of judging what came of it; ends with the numbers of an undisturbed run."""
    config, folder = tmp_path / "tiny.yaml", tmp_path / "run"
    config.write_text(yaml.safe_dump(TINY))
    command = [sys.executable, "-m", "keel", "run", str(config), "--out", str(folder)]
    for reached in ("checkpoint.safetensors", "stability/*/done.json"):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ)
        wait_for(lambda: any(folder.rglob(reached)), process)
        process.send_signal(signal.SIGKILL)
        process.wait()
    run(tiny(), folder)
    assert numbers(folder) == numbers(finished)


@pytest.fixture(scope="module")
def repaired(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("repaired")
    strategies = {"repair": {"after": "vanilla", "budget": 0.5, "replay_share": 0.5}}
    run(tiny(strategies=["vanilla", "repair"], custom_strategies=strategies), folder)
    return folder


def test_repair_goes_on_from_vanilla(repaired, finished):
    vanilla, repair = numbers(repaired)
    assert vanilla == numbers(finished)[0]
    assert (repair["train_steps"], repair["gradient_evaluations"]) == (30, 30)
    assert repair["force_mae_mev_per_angstrom"] != vanilla["force_mae_mev_per_angstrom"]
    first, second = (
        keel.load(next((repaired / "stages" / "train").glob(f"CGCNN-{name}-*")) / "potential.safetensors")
        for name in ("vanilla", "repair")
    )
    assert first.scale == second.scale  # the scale is set once, from the DFT forces


@pytest.mark.slow
def test_workers_give_the_same_numbers(finished, repaired, tmp_path):
    """Two at a time, and one that waits for the network from which it goes on."""
    config = parse(RunSettings, yaml.safe_load((repaired / "config.yaml").read_text()), "test")
    run(config.model_copy(update={"strategies": ["vanilla", "pretrain", "repair"]}), tmp_path, workers=2)
    assert numbers(tmp_path) == [*numbers(finished), numbers(repaired)[1]]


def test_one_trial_alone_has_the_same_numbers(finished, tmp_path):
    run(tiny(), tmp_path, only=["CGCNN-pretrain-seed0"])
    assert numbers(tmp_path) == numbers(finished)[1:]
    with pytest.raises(ConfigError, match=r"no trial 'MACE'.*CGCNN-vanilla-seed0"):
        run(tiny(), tmp_path, only=["MACE"])


def test_one_cell_done_again_leaves_the_others(finished, tmp_path):
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    run(tiny(), tmp_path, only=["CGCNN-pretrain-seed0"])
    assert numbers(tmp_path) == numbers(finished)
    run(tiny(training={**TINY["training"], "steps": 10}), tmp_path, only=["CGCNN-pretrain-seed0"])
    assert [cell["strategy"] for cell in numbers(tmp_path)] == ["pretrain"]  # vanilla had other settings


@pytest.mark.parametrize(
    ("change", "cell", "kept"),
    [
        ({"md": {**TINY["md"], "temperatures": [700]}}, "CGCNN-vanilla-seed0", []),
        ({"teacher": {"cutoff": 4.5}}, "CGCNN-vanilla-seed0", []),
        ({"teacher": {"cutoff": 4.5}}, "CGCNN-pretrain-seed0", ["vanilla"]),
    ],
)
def test_trials_of_other_settings_do_not_stand_beside_a_new_one(finished, tmp_path, change, cell, kept):
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    run(tiny(**change), tmp_path, only=[cell])
    assert [row["strategy"] for row in numbers(tmp_path)] == [*kept, cell.split("-")[1]]


class Worker:
    """What a worker process does in these tests."""

    def told_to_stop(self, number: int) -> bool:
        return signal.getsignal(signal.SIGINT) == signal.SIG_DFL


def test_workers_do_not_go_on_after_an_interruption():
    with Cluster(2) as cluster:
        assert list(cluster.each(Worker().told_to_stop, [1, 2])) == [True, True]


def test_data_named_on_the_command_line_do_not_move_other_files(tmp_path, monkeypatch):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "a.yaml").write_text(yaml.safe_dump(TINY))
    told = {}

    def told_what_to_do(config, out, **more):
        told.update(more, config=config)
        raise ConfigError("enough")  # before anything is done, of which the command would tell

    monkeypatch.setattr("keel.workflow.run", told_what_to_do)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="enough"):
        app(["run", "configs/a.yaml", "--data", "p.extxyz", "--data", "phosphorus"], standalone_mode=False)
    assert told["config"].data.files == [str(tmp_path / "p.extxyz"), "phosphorus"]
    assert told["base"] == Path("configs")


def test_frames_differ_where_their_boundaries_do():
    frame = keel.read(FEW)[0]
    assert frame.pbc.all()
    both = [of_split(([f], [], [])) for f in (frame, frame.replace(pbc=np.array([True, True, False])))]
    assert both[0] != both[1]


def test_an_element_that_only_the_test_has(tmp_path):
    """Frames with it are set aside: neither the network nor the teacher knows it."""
    *known, last = keel.read(FEW)[:8]
    last = last.replace(numbers=np.where(np.arange(len(last)) == 0, atomic_numbers["As"], last.numbers))
    frames = [f.replace(info={"part": k // 6}) for k, f in enumerate([*known, last])]
    write(tmp_path / "p.extxyz", frames)
    split = {"by": "start", "group": "part", "train": 1, "validation": 0}
    data = {"files": [str(tmp_path / "p.extxyz")], "split": split}
    run(tiny(strategies=["vanilla"], data=data, evaluation={"dimers": False}), tmp_path / "run")
    (found,) = (tmp_path / "run").glob("stages/teacher/*/fit.json")
    fit = json.loads(found.read_text())
    (described,) = (tmp_path / "run").glob("stages/data/*/split.json")
    parts = json.loads(described.read_text())
    assert not any("frame 7" in source for source in parts["sources"]["test"])
    assert (fit["train"]["frames"], fit["test"]["frames"]) == (parts["train"], parts["test"])


def test_without_crystals_nothing_is_squeezed(tmp_path):
    frames = [f.replace(pbc=np.array([True, True, False]), stress=None) for f in keel.read(FEW)[:8]]
    write(tmp_path / "p.extxyz", frames)
    data = {"files": [str(tmp_path / "p.extxyz")], "split": {"train": 4, "validation": 2}}
    run(tiny(data=data, strategies=["vanilla"], evaluation={"dimers": False}), tmp_path / "run")
    assert not (tmp_path / "run" / "stages" / "squeeze").exists()
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Under compression" not in page
    assert "Not part of this run: crystals under compression" in page


def test_g_of_r_is_refused_before_anything_is_trained(tmp_path):
    frames = [f.replace(pbc=np.array([True, True, False])) for f in keel.read(FEW)[:8]]
    write(tmp_path / "p.extxyz", frames)
    data = {"files": [str(tmp_path / "p.extxyz")], "split": {"train": 4, "validation": 2}}
    with pytest.raises(ConfigError, match=r"rdf_temperature: .*p\.extxyz.* is not periodic"):
        run(tiny(data=data), tmp_path / "run")
    assert not (tmp_path / "run" / "stages" / "train").exists()


def test_rdf_has_a_floor_only_with_a_reference(finished, tmp_path):
    found = next(finished.glob("stages/rdf/CGCNN-vanilla-*/rdf.json"))
    assert set(json.loads(found.read_text())["floor"]) == {"P-P"}
    run(tiny(strategies=["vanilla"], evaluation={**TINY["evaluation"], "rdf_reference": False}), tmp_path)
    (folder,) = tmp_path.glob("stages/rdf/CGCNN-vanilla-*")
    content = json.loads((folder / "rdf.json").read_text())
    assert (content["errors"], content["floor"]) == ({}, {})
    assert np.isnan(RadialDistributions.read(folder).curves["P-P"].reference).all()


def test_pairs_that_most_frames_hold():
    def frame(symbols):
        return keel.Frame(np.array([atomic_numbers[s] for s in symbols]), np.zeros((len(symbols), 3)))

    frames = [frame(["O", "Si"]), frame(["O", "Li"]), frame(["O"])]
    assert frequent_pairs(frames, 1) == [(8, 8)]
    assert frequent_pairs(frames, 2) == [(3, 3), (8, 8)]
    assert frequent_pairs(frames) == [(3, 3), (3, 8), (3, 14), (8, 8), (8, 14), (14, 14)]


def test_frames_chosen_by_their_elements():
    data = parse(DataSettings, {**TINY["data"], "files": ["phosphorus"], "elements": ["P", "O"]}, "test")
    assert {part: len(frames) for part, frames in read_data(data, Path()).items()} == {"train": 777}
    with pytest.raises(ConfigError, match="none of 777 frames is made of O, Si"):
        read_data(data.model_copy(update={"elements": ["O", "Si"]}), Path())


def test_task_that_failed_runs_again(tmp_path):
    cache, calls = TaskCache(tmp_path), []

    def work(folder: Path) -> None:
        calls.append(folder)
        if len(calls) == 1:
            raise RuntimeError("the machine went down")

    with pytest.raises(RuntimeError):
        cache.task("train", "name", {"a": 1}, work)
    stopped = calls[0] / "stopped.json"
    assert 0 <= json.loads(stopped.read_text())["seconds"] < 100
    write_json(stopped, {"seconds": 1000.0})
    first = cache.task("train", "name", {"a": 1}, work)
    assert seconds_of(first) >= 1000, "the time before it was stopped counts"
    assert not stopped.exists()
    assert cache.task("train", "name", {"a": 1}, work) == first
    assert len(calls) == 2
    assert cache.task("train", "name", {"a": 2}, work) != first


def test_unknown_network_and_argument(tmp_path):
    with pytest.raises(ConfigError, match=r"there is no 'Nothing'; choose from .*CGCNN"):
        run(tiny(networks=[{"architecture": "Nothing"}]), tmp_path)
    with pytest.raises(ConfigError, match="colour"):
        run(tiny(networks=[{"architecture": "CGCNN", "colour": 3}]), tmp_path)


def test_split_by_group_and_thinning():
    from keel.datasets import phosphorus

    settings = tiny(
        data={
            "files": ["x"],
            "split": {"by": "phase", "train": 1, "validation": 0, "test": 1, "train_frames": 5, "test_frames": 7},
        }
    ).data.split
    parts = divide({"train": phosphorus()}, settings).split
    assert (len(parts.train), len(parts.validation), len(parts.test)) == (5, 0, 7)
    assert {f.info["phase"] for f in parts.train}.isdisjoint({f.info["phase"] for f in parts.test})


class TestCommandLine:
    def run(self, *arguments: str, capsys) -> tuple[int, str]:
        old = sys.argv
        sys.argv = ["keel", *arguments]
        try:
            with pytest.raises(SystemExit) as stop:
                main()
        finally:
            sys.argv = old
        return stop.value.code, capsys.readouterr().err

    @pytest.mark.parametrize("content", ["", "name: x", "data: [", "name: 3\ncolour: blue", "\x00\x01"])
    def test_bad_configuration(self, content, tmp_path, capsys):
        path = tmp_path / "c.yaml"
        path.write_text(content)
        code, error = self.run("run", str(path), "--out", str(tmp_path / "out"), capsys=capsys)
        assert code == 2
        first, *more = error.splitlines()
        assert first.startswith("keel: ")
        # One sentence, or below the first line one for each setting that is wrong.
        assert len(more) == (int(first.split()[-4]) if "settings are wrong" in first else 0)

    def test_absent_data(self, tmp_path, capsys):
        path = tmp_path / "c.yaml"
        path.write_text(yaml.safe_dump({**TINY, "data": {**TINY["data"], "files": ["absent.xyz"]}}))
        code, error = self.run("run", str(path), "--out", str(tmp_path / "out"), capsys=capsys)
        assert code == 2
        assert "absent.xyz" in error

    @pytest.mark.parametrize("command", sorted(c.callback.__name__.rstrip("_") for c in app.registered_commands))
    def test_help_teaches(self, command, capsys):
        code, _ = self.run(command, "--help", capsys=capsys)
        assert code == 0

    @pytest.mark.parametrize("validation", ["20", "1", "-0.1"])
    def test_validation_is_a_share(self, validation, tmp_path, capsys):
        write(tmp_path / "p.extxyz", keel.read(FEW)[:4])
        arguments = ["train", tmp_path / "p.extxyz", "--out", tmp_path / "model", "--validation", validation]
        code, error = self.run(*map(str, arguments), capsys=capsys)
        assert code == 2
        assert error.startswith("keel: --validation is a share")

    def test_train(self, tmp_path, capsys):
        import keel

        keel.write(str(tmp_path / "p.extxyz"), keel.read(FEW)[:10])
        code, _ = self.run(
            "train", str(tmp_path / "p.extxyz"), "--out", str(tmp_path / "m"), "--steps", "20",
            "--strategy", "pretrain", "--batch-size", "2", capsys=capsys,
        )  # fmt: skip
        assert code == 0
        first = keel.load(tmp_path / "m" / "potential.safetensors")
        assert first.elements == (15,)
        again = [
            "train",
            str(tmp_path / "p.extxyz"),
            "--steps",
            "2",
            "--start",
            str(tmp_path / "m/potential.safetensors"),
        ]
        code, _ = self.run(*again, "--strategy", "vanilla", "--out", str(tmp_path / "n"), capsys=capsys)
        assert code == 0
        second = keel.load(tmp_path / "n" / "potential.safetensors")
        assert second.config() == first.config() and torch.equal(second.members[0].scale, first.members[0].scale)
        assert not torch.equal(*(p.members[0].network.embedding.weight for p in (second, first)))
        code, error = self.run(*again, "--cutoff", "4", "--out", str(tmp_path / "o"), capsys=capsys)
        assert code == 2 and "--cutoff are for a new network" in error

    def test_train_a_preset(self, tmp_path, capsys):
        import keel

        keel.write(str(tmp_path / "p.extxyz"), keel.read(FEW)[:8])
        arguments = ["train", str(tmp_path / "p.extxyz"), "--steps", "1", "--strategy", "vanilla", "--preset", "small"]
        code, _ = self.run(*arguments, "--network", "M3GNet", "--out", str(tmp_path / "m"), capsys=capsys)
        assert code == 0
        found = keel.load(tmp_path / "m" / "potential.safetensors")
        assert found.config() == keel.M3GNet(["P"], preset="small").config()
