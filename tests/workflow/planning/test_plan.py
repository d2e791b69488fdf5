"""What a run says before it starts, and while it goes on."""

import re

import pytest

from keel.errors import ConfigError
from keel.progress import console
from keel.wording import duration
from keel.workflow import run
from keel.workflow.pipeline import Pipeline
from keel.workflow.planning import budget
from keel.workflow.planning.plan import _work, rounded
from tiny_run import TINY, numbers, tiny

pytestmark = pytest.mark.xdist_group("workflow")
LONGER = {"training": {**TINY["training"], "steps": 100}, "evaluation": {"dimers": False}}


def said(*arguments, **options):
    """Run and return what was said."""
    with console.capture() as heard:
        run(*arguments, **options)
    return heard.get()


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planned")
    return folder, said(tiny(), folder, plan=True)


def test_a_run_says_what_it_will_do(first):
    _, text = first
    before, _, after = text.partition("     time  ")
    assert "18 frames of 32 atoms: P" in before
    assert "CGCNN trained with vanilla and pretrain from 1 seed, 20 steps each" in before
    assert "2 runs of 0.02 ps with each network, at the lowest of 500 to 2000 K" in before
    assert re.match(r"about [\d ]+(s|min)\b.*until \d\d:\d\d \(training .*, MD .* and everything else .*\)", after)
    assert "train  CGCNN" not in before


def test_with_patience_the_steps_are_the_most(tmp_path):
    pipeline = Pipeline(tiny(training={**TINY["training"], "patience": 2}), tmp_path, tmp_path)
    assert "from 1 seed, at most 20 steps each" in _work(pipeline)[0]


def test_each_task_says_how_much_time_is_left(first):
    _, text = first
    tasks = re.findall(r"(?m)^ *(train|rung|accuracy|stability|rdf|dimers)  CGCNN\S* +[\d.]+ s(, .* left)?", text)
    assert len(tasks) == 11 and all(left for _, left in tasks)


def test_measuring_changes_no_number(first, tmp_path):
    folder, _ = first
    run(tiny(), tmp_path)
    assert numbers(tmp_path) == numbers(folder)


def test_where_all_is_done_nothing_is_measured(first, monkeypatch):
    folder, _ = first
    monkeypatch.setattr("keel.workflow.planning.plan.measure", None)
    text = said(tiny(), folder, plan=True)
    assert "everything is done" in text and "     time  " not in text


def test_only_what_is_to_be_done_counts(first, monkeypatch):
    folder, _ = first
    two = tiny(networks=[*TINY["networks"], {**TINY["networks"][0], "name": "other"}])
    asked = []
    monkeypatch.setattr("keel.workflow.planning.plan.measure", lambda _, network: asked.append(network.label))
    monkeypatch.setattr("keel.workflow.planning.plan.forecast_of", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(two, folder, plan=True)
    assert asked == ["other"]


def test_a_budget_is_fitted_once_and_gone_on_with(tmp_path, monkeypatch):
    """However fast the machine is when the run goes on."""
    monkeypatch.setattr(budget, "FEWEST_STEPS", 2)
    fits = []

    def fitted(config, seconds, needed):
        fits.append((seconds, needed(config) > 0))
        return budget.with_steps(config, 0.3)

    monkeypatch.setattr("keel.workflow.planning.plan.fitted", fitted)
    texts = [said(tiny(**LONGER), tmp_path, budget=3600.0) for _ in range(2)]
    assert fits == [(3600.0, True)]
    assert "--budget: 30 steps of training fit 1 h 0 min\n" in texts[0]
    assert "fit 1 h 0 min, as determined before" in texts[1] and "everything is done" in texts[1]
    assert {row["train_steps"] + row["pretrain_steps"] for row in numbers(tmp_path)} == {30}


def test_too_small_a_budget_is_one_sentence(tmp_path):
    with pytest.raises(ConfigError, match=r"--budget: 0.01 s is too short: with 100 steps .* takes about") as error:
        run(tiny(**LONGER), tmp_path, budget=0.01)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.glob("stages/train/*"))


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "5 s"), (33, "35 s"), (104, "1 min 40 s"), (1000, "17 min 0 s"), (9100, "2 h 30 min")]
)
def test_no_more_digits_than_are_known(seconds, text):
    assert rounded(seconds) == text
    assert duration(seconds) != text
