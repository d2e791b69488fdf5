"""The seconds of each task, from the costs of little parts of them."""

import os
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from keel.atoms.frame import Frame
from keel.records import write_json
from keel.workflow.pipeline import Pipeline
from keel.workflow.planning import forecast as rules
from keel.workflow.planning.forecast import REPORT, Forecast, forecast_of
from keel.workflow.planning.timing import Costs, Stopwatch, measure, representative, training_device
from tiny_run import TINY, tiny

COSTS = Costs(
    labelled_step=1.0, taught_step=10.0, preparation=0.0, prediction=0.0, md_step=0.01, squeeze=5.0, dimer=3.0
)


def of(tmp_path, costs=COSTS, workers=1, **changes):
    return forecast_of(Pipeline(tiny(**changes), tmp_path, tmp_path), {"CGCNN": costs}, workers).seconds


def done(root, kind, name, seconds, after=0.0):
    folder = root / "stages" / kind / f"{name}-0123456789"
    folder.mkdir(parents=True)
    write_json(folder / "done.json", {"seconds": seconds, "inputs": {}})
    os.utime(folder / "done.json", (time.time() + after,) * 2)


def test_each_step_has_its_price(tmp_path):
    found = of(tmp_path, strategies=["vanilla", "sam", "pretrain-only"])
    assert found["train", "CGCNN-vanilla-seed0"] == 20.0
    assert found["train", "CGCNN-sam-seed0"] == 20.0 * rules.SECOND_GRADIENT
    assert found["train", "CGCNN-pretrain-only-seed0"] == 4 * 10.0 + 16 * 1.0


def test_reminders_are_taught_steps_too(tmp_path):
    reminded = {"reminded": {"replay_share": 0.5}}
    found = of(tmp_path, strategies=["reminded"], custom_strategies=reminded)
    assert found["train", "CGCNN-reminded-seed0"] == 10 * 10.0 + 10 * 1.0


def test_repair_costs_its_own_steps_alone(tmp_path):
    on = {"on": {"after": "vanilla", "budget": 0.5}}
    assert of(tmp_path, strategies=["vanilla", "on"], custom_strategies=on)["train", "CGCNN-on-seed0"] == 10.0


def test_validation_and_neighbours_have_theirs(tmp_path):
    costs = replace(COSTS, labelled_step=0.0, preparation=1.0, prediction=0.1)
    found = of(tmp_path, costs, strategies=["vanilla"])
    assert found["train", "CGCNN-vanilla-seed0"] == pytest.approx(8 * 1.0 + 3 * 4 * 0.1)
    assert found["accuracy", "CGCNN-vanilla-seed0"] == pytest.approx(6 * 0.1)


def test_simulations_cost_by_step_and_run(tmp_path):
    found = of(tmp_path)
    assert found["rung", "CGCNN"] == pytest.approx(rules.HOT * rules.RUNG * 2 * 2 * 20 * 0.01)
    assert found["stability", "CGCNN-pretrain-seed0"] == pytest.approx(rules.HOT * 2 * 20 * 0.01)
    assert found["stability", "CGCNN-vanilla-seed0"] == pytest.approx(rules.HOT * rules.FAILING * 2 * 20 * 0.01)
    assert found["rdf", "CGCNN-vanilla-seed0"] == pytest.approx(rules.HOT * 20 * 0.01)
    assert (found["squeeze", "CGCNN-vanilla-seed0"], found["dimers", "CGCNN-vanilla-seed0"]) == (5.0, 3.0)
    less = of(tmp_path, evaluation={"dimers": False})
    assert not {kind for kind, _ in less} & {"rdf", "dimers"}


def test_probes_are_foreseen(tmp_path):
    found = of(tmp_path, evaluation={"probes": ["stability", "density", "clusters", "exact"]})
    times = {name.removeprefix("CGCNN-vanilla-seed0-"): s for (kind, name), s in found.items() if kind == "probes"}
    assert times["density"] == pytest.approx(rules.COMPILED["md"] * rules.HOT * 8 * 5000 * 0.01 + rules.COMPILING["md"])
    assert times["stability"] == pytest.approx(3 * times["density"])
    assert times["clusters"] == 3.0


def test_each_network_has_its_part_of_the_report(tmp_path):
    assert Forecast(tmp_path, {}, networks=3).total == 3 * REPORT


def test_much_work_is_compiled(tmp_path, monkeypatch):
    training = {**TINY["training"], "steps": 10_000}
    eager = of(tmp_path, training={**training, "compile": False})["train", "CGCNN-vanilla-seed0"]
    assert eager == 10_000.0
    compiled = of(tmp_path, training={**training, "compile": True})["train", "CGCNN-vanilla-seed0"]
    assert compiled == rules.COMPILED["train"] * eager + rules.COMPILING["train"]
    asked = []
    monkeypatch.setattr(rules, "worth_compiling", lambda device, work: asked.append(work) or True)
    assert of(tmp_path, training=training)["train", "CGCNN-vanilla-seed0"] == compiled
    assert 10_000 * 2 * 32 in asked


def test_what_is_left_is_learnt_from_what_is_done(tmp_path):
    seconds = {("train", "a"): 10.0, ("train", "b"): 20.0, ("accuracy", "a"): 1.0}
    forecast = Forecast(tmp_path, seconds)
    assert forecast.left() == forecast.total == 31.0 + REPORT
    done(tmp_path, "train", "a", 30.0, after=1.0)
    assert forecast.left() == pytest.approx(3 * 20.0 + 3 * 1.0 + REPORT)
    done(tmp_path, "accuracy", "a", 1.0, after=1.0)
    assert forecast.left() == pytest.approx(3 * 20.0 + REPORT)
    done(tmp_path, "train", "b", 60.0, after=1.0)
    assert forecast.left() == REPORT


def test_tasks_of_earlier_runs_tell_nothing(tmp_path):
    done(tmp_path, "train", "a", 30.0, after=-100.0)
    assert Forecast(tmp_path, {("train", "a"): 10.0}).left() == 10.0 + REPORT


def test_workers_share_but_no_task_is_divided(tmp_path):
    tasks = {("train", name): 10.0 for name in "abcd"}
    assert Forecast(tmp_path, tasks, workers=2).total == 20.0 + REPORT
    assert Forecast(tmp_path, tasks, workers=9).total == 10.0 + REPORT


def test_times_by_kind_make_up_the_whole(tmp_path):
    forecast = Forecast(tmp_path, of(tmp_path))
    assert sum(forecast.by_kind().values()) == pytest.approx(forecast.total)


def test_the_watch_leaves_out_steps_that_load_code(monkeypatch):
    at = iter([0.0, 10.0, 11.0, 12.0, 50.0, 52.0, 54.0])
    monkeypatch.setattr("keel.workflow.planning.timing.time.perf_counter", lambda: next(at))
    watch = Stopwatch(skipped=2)
    for stage in ("pretrain",) * 4 + ("train",) * 3:
        watch({"stage": stage})
    assert (watch.step("pretrain"), watch.step("train"), watch.step("absent")) == (1.0, 2.0, 0.0)


def test_some_frames_stand_for_all():
    frames = [Frame(np.full(n, 14), np.zeros((n, 3))) for n in (9, 1, 3, 2, 8, 7)]
    assert [len(f) for f in representative(frames, 3)] == [2, 7, 9]
    assert len(representative(frames, 100)) == 6


def test_where_a_network_trains():
    settings = tiny().training
    assert training_device(settings.replace(device="cpu")) == torch.device("cpu")
    there = torch.cuda.is_available() or torch.backends.mps.is_available()
    assert (training_device(settings).type == "cpu") is not there


def test_costs_are_measured_by_doing_a_little_of_all(tmp_path):
    """And leave nothing behind, in the run folder or in the numbers of the real training."""
    pipeline = Pipeline(tiny(), tmp_path, tmp_path)
    pipeline.teacher()
    before = set(tmp_path.rglob("*"))
    costs = measure(pipeline, pipeline.networks[0])
    assert set(tmp_path.rglob("*")) == before
    assert all(value > 0 for value in vars(costs).values())
    plain = Pipeline(tiny(strategies=["vanilla"]), tmp_path, tmp_path)
    assert measure(plain, plain.networks[0]).taught_step == 0.0
