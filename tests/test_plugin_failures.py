"""Errors in the code of a plugin end in one sentence that names its file and line; those of keel keep theirs whole."""

import sys

import pytest

import keel
from keel import cli, plugins
from keel.errors import KeelWarning
from keel.evaluation import battery
from keel.evaluation.subject import Subject
from keel.fitting.teachers import TEACHERS
from keel.showing import number_of

pytestmark = pytest.mark.xdist_group("plugins")
TEACHER = """import keel
@keel.register_teacher("boom")
def fit(frames):
    return frames[0].energy / 0
"""
NETWORK = """import keel
class Boom{0}(keel.CGCNN):
    def chain(self, edges):
        raise ValueError("no chain today")
"""
RUN = """name: boom
plugins: [badnet{0}.py]
data:
  files: [p.extxyz]
  split:
    by: frame
networks: [Boom{0}]
strategies: [vanilla]
training:
  steps: 2
"""
PROBE = """import keel
@keel.register_probe("boom")
def probe(subject):
    raise ValueError("no crystal today")
"""


@pytest.fixture(autouse=True)
def _no_traces(monkeypatch):
    monkeypatch.setattr(plugins, "_named", {})
    monkeypatch.setattr(plugins, "_registering", {})
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(battery, "BATTERY", dict(battery.BATTERY))
    yield
    TEACHERS.pop("boom", None)


def ends(capsys, monkeypatch, *arguments: str) -> tuple[int, str]:
    """Return the exit code of a command and its last line."""
    monkeypatch.setattr(sys, "argv", ["keel", *arguments])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    return stopped.value.code, capsys.readouterr().err.strip().splitlines()[-1]


def test_a_failing_teacher_is_told_with_file_and_line(tmp_path, monkeypatch, capsys):
    (tmp_path / "badfit.py").write_text(TEACHER)
    keel.write(tmp_path / "p.extxyz", keel.datasets.phosphorus()[:12])
    monkeypatch.chdir(tmp_path)
    named = ("--plugin", "badfit.py", "--teacher", "boom")
    code, told = ends(capsys, monkeypatch, "train", "p.extxyz", "--out", "m", "--steps", "2", *named)
    assert code == 2
    assert told.startswith("keel: the plugin badfit failed: ZeroDivisionError: ")
    assert told.endswith("badfit.py, line 4)")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_failing_network_is_told_from_a_worker_too(tmp_path, monkeypatch, capsys, workers):
    (tmp_path / f"badnet{workers}.py").write_text(NETWORK.format(workers))
    (tmp_path / "run.yaml").write_text(RUN.format(workers))
    keel.write(tmp_path / "p.extxyz", keel.datasets.phosphorus()[:30])
    monkeypatch.chdir(tmp_path)
    code, told = ends(capsys, monkeypatch, "run", "run.yaml", "--workers", workers)
    assert code == 2
    assert told.startswith(f"keel: the plugin badnet{workers} failed: ValueError: no chain today ")
    assert told.endswith(f"badnet{workers}.py, line 4)")


def test_what_fails_in_keel_itself_is_not_put_down_to_a_plugin(tmp_path):
    (tmp_path / "harmless.py").write_text("x = 1")
    keel.load_plugins(["harmless.py"], tmp_path)
    with pytest.raises(TypeError) as error:
        number_of(None, "run")
    assert plugins.failure_in(error.value) == ""


def test_a_failing_probe_leaves_the_others(tmp_path):
    (tmp_path / "badprobe.py").write_text(PROBE)
    keel.load_plugins(["badprobe.py"], tmp_path)
    frame = keel.datasets.phosphorus()[0]
    subject = Subject(keel.LennardJones(), (frame,), (frame,), (frame,), frame, (15,))
    with pytest.warns(KeelWarning, match="the plugin badprobe failed: ValueError: no crystal today"):
        (found,) = battery.probed("boom", subject, lambda *_: None)
    assert found.outcome == "skipped" and "badprobe.py, line 4" in found.verdict
