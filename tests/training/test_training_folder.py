"""A training says from which step it goes on, and a second process in its folder waits."""

import io
from pathlib import Path

import pytest
from rich.console import Console

import keel
from keel.errors import ConfigError
from keel.training import TrainingSettings
from keel.training.folder import one_at_a_time
from small_training import SHORT, argon, network
from test_locks import LOCKED, neighbour

FRAMES = argon(4)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What is written to the terminal."""
    text = io.StringIO()
    monkeypatch.setattr("keel.training.folder.console", Console(file=text, width=200, highlight=False))
    return text


def trained(folder: Path | None, settings: TrainingSettings = SHORT, stop_at: int | None = None) -> int:
    """Train, and return the number of steps; ``stop_at`` interrupts it there."""

    def on_step(row: dict) -> None:
        if row["taken"] == stop_at:
            raise KeyboardInterrupt

    result = keel.train(network(), FRAMES, settings=settings, folder=folder, loggers=[on_step])
    return len(result.history)


def test_it_says_where_it_goes_on(tmp_path, said):
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path, stop_at=6)
    assert said.getvalue() == ""
    assert trained(tmp_path) == 12
    assert f"{tmp_path}: continuing from step 5 of 12" in said.getvalue()


def test_and_that_nothing_is_left_to_do(tmp_path, said):
    trained(tmp_path)
    assert trained(tmp_path) == 12
    assert said.getvalue().split(": ")[1] == "already trained, for 12 steps\n"


def test_without_a_folder_there_is_nothing_to_say(said):
    assert trained(None) == 12 and said.getvalue() == ""


def test_a_second_process_waits_and_says_for_whom(tmp_path, said, monkeypatch):
    with neighbour(LOCKED, tmp_path / ".in-use") as process:
        held = keel.training.folder._say_that_waiting

        def tell(folder: Path, holder: str) -> None:
            held(folder, holder)
            process.kill()

        monkeypatch.setattr("keel.training.folder._say_that_waiting", tell)
        assert trained(tmp_path) == 12
    assert f"waiting for another keel that is training in {tmp_path} (process {process.pid} on " in said.getvalue()


def test_other_processes_of_a_job_do_not_wait(tmp_path, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    with neighbour(LOCKED, tmp_path / ".in-use"):
        assert one_at_a_time(lambda *, folder: folder)(folder=tmp_path) == tmp_path


def test_a_training_that_fails_lets_the_next_one_in(tmp_path, said):
    with pytest.raises(ConfigError, match="patience"):
        trained(tmp_path, SHORT.model_copy(update={"patience": 2}))
    assert trained(tmp_path) == 12
    assert "waiting" not in said.getvalue()
