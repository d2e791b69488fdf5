"""A package of one's own: a network, teacher, probe, reader and strategy, without a line of keel being edited."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors import safe_open
from typer.testing import CliRunner

import keel
from keel import plugins
from keel.cli import app
from keel.config import NetworkSettings, TeacherSettings
from keel.errors import ConfigError, DataError, KeelWarning
from keel.evaluation import battery
from keel.fitting.teachers import TEACHERS, fitted
from keel.kinds import FRAME_FORMATS
from keel.plugins import discover, in_use, source_of, take_over
from keel.reporting import write_report
from keel.training.known import KNOWN, STRATEGIES, look_of, strategy_of
from keel.workflow import make
from tiny_run import FEW

pytestmark = pytest.mark.xdist_group("plugins")
PAGE = (Path(__file__).parents[1] / "docs" / "extending.md").read_text()
SCRIPT = "from undrawn import undrawn; from keel.cli import main\nwith undrawn(): main()"
TINY = {
    "training": {"steps": 10, "batch_size": 2, "warmup_steps": 2},
    "md": {"temperatures": [500], "runs": 2, "length_fs": 5, "longest_fs": 5},
}


@pytest.fixture(autouse=True)
def _no_traces(monkeypatch):
    """Leave other tests, and their workers, without the plugins of these."""
    monkeypatch.setattr(plugins, "_named", {})
    monkeypatch.setattr(plugins, "_registering", {})
    monkeypatch.setattr(sys, "path", [*sys.path])


def block(language: str) -> str:
    """Return the code of the page."""
    return re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)[1]


def toy_table(frames: list[keel.Frame]) -> str:
    """Return frames as the reader of the page expects them."""

    def row(name: str, values: np.ndarray) -> str:
        return " ".join([name, *(repr(float(value)) for value in values)])

    blocks = []
    for frame in frames:
        cell = [row("cell", np.r_[vector, 0, 0, 0]) for vector in frame.cell]
        atoms = [row("P", np.r_[x, f]) for x, f in zip(frame.positions, frame.forces, strict=True)]
        blocks.append("\n".join([repr(frame.energy), *cell, *atoms]))
    return "\n\n".join(blocks)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with the package and the configuration of the page, and data."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "toykit.py").write_text(block("python"))
    frames = sorted(keel.read(FEW), key=len)[:8]
    (folder / "data.toy").write_text(toy_table(frames))
    settings = yaml.safe_load(block("yaml"))
    settings["evaluation"] |= {"dimers": False}
    (folder / "run.yaml").write_text(yaml.safe_dump({**settings, **TINY}))
    return folder


def keel_in(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own; figures are not drawn, which takes longer than all else."""
    paths = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-P", "-c", SCRIPT, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": paths, **environment},
    )


@pytest.fixture(scope="module")
def run(folder) -> Path:
    """The run of the page, with two workers, started from another folder than that of the package."""
    done = keel_in(folder.parent, "run", str(folder / "run.yaml"), "--out", str(folder / "run"), "--workers", "2")
    assert done.returncode == 0, done.stderr
    return folder / "run"


class TestARun:
    def test_trains_and_judges_what_the_package_has(self, run):
        records = json.loads((run / "summary.json").read_text())
        assert [(r["network"], r["strategy"], r["pretrain_steps"]) for r in records] == [
            ("CoordinationNet", "vanilla", 0),
            ("CoordinationNet", "half-taught", 5),
        ]
        with safe_open(next(run.glob("stages/teacher/*/teacher.safetensors")), framework="pt") as file:
            teacher = json.loads(file.metadata()["keel"])
        assert teacher["potential"] == "Repulsion" and teacher["modules"] == {"Repulsion": "toykit"}
        assert records[0]["force_mae_mev_per_angstrom"] > 0

    def test_shows_it_in_the_report(self, run):
        page = (run / "report.html").read_text()
        for words in (
            "CoordinationNet, each trained as vanilla, half-taught",
            "“repulsion” fitted to the training frames",
            "<h2>Probes</h2>",
            "lone atom: half-taught",
            "alone, an atom has",
            "8 frames",
        ):
            assert words in page, words
        assert "The EAM teacher" not in page

    def test_is_reported_again_without_the_package(self, run, tmp_path):
        assert "CoordinationNet" not in keel.Potential.registry
        assert "alone, an atom has" in write_report(run, tmp_path).read_text()


class TestAPotentialOfThePackage:
    def test_says_what_it_needs_and_imports_nothing_by_itself(self, run, folder, monkeypatch):
        monkeypatch.syspath_prepend(folder)
        path = next(run.glob("stages/train/*half-taught*/potential.safetensors"))
        with pytest.raises(DataError, match="CoordinationNet is of the module toykit, which a file cannot") as error:
            keel.open_potential(path)
        assert "name it: --plugin toykit (plugins: [toykit] in YAML" in str(error.value)
        assert "toykit" not in sys.modules

    def test_is_trained_where_the_file_is_named(self, folder):
        train = ["train", "data.toy", "--network", "CoordinationNet", "--teacher", "repulsion", "--out", "m"]
        train += ["--strategy", "half-taught", "--steps", "4", "--validation", "0.25", "--plugin", "./toykit.py"]
        done = keel_in(folder, *train)
        assert done.returncode == 0, done.stderr
        assert (folder / "m" / "potential.safetensors").is_file()


class TestDiscovery:
    """Of what is installed, and of what the environment names."""

    @pytest.fixture(autouse=True)
    def _anew(self, monkeypatch, tmp_path):
        monkeypatch.setattr(plugins, "_looked", False)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.chdir(tmp_path)

    def test_an_installed_package_needs_no_word(self, tmp_path):
        info = tmp_path / "ownkit-1.0.dist-info"
        info.mkdir()
        (tmp_path / "ownkit.py").write_text("import keel\nkeel.register_strategy('of-ownkit', keel.Strategy())")
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ownkit\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[keel.plugins]\nownkit = ownkit\nbroken = nothing_there\n")
        with pytest.warns(
            KeelWarning, match="the plugin nothing_there of ownkit cannot be imported .*; continuing without"
        ):
            assert strategy_of("of-ownkit") == keel.Strategy()
        assert look_of("of-ownkit").colour
        assert STRATEGIES.pop("of-ownkit") is KNOWN.pop("of-ownkit").strategy

    def test_the_environment_names_modules(self, tmp_path, monkeypatch):
        (tmp_path / "named_here.py").touch()
        monkeypatch.setenv("KEEL_PLUGINS", "named_here, nowhere_to_be_found")
        with pytest.raises(ConfigError, match="there is no module nowhere_to_be_found"):
            discover()
        assert "named_here" in sys.modules

    def test_what_one_process_has_another_takes_over(self, tmp_path):
        (tmp_path / "handed_over.py").touch()
        (tmp_path / "registered_there.py").touch()
        take_over((("handed_over",), ("registered_there", "gone_since")))
        assert "handed_over" in sys.modules and "registered_there" not in sys.modules
        discover()
        assert "registered_there" in sys.modules
        assert in_use() == (("handed_over",), ("registered_there", "gone_since"))


class TestMistakes:
    @pytest.mark.parametrize(
        ("name", "content", "sentence"),
        [
            (
                "nowhere",
                None,
                "the plugin nowhere: there is no module nowhere; install its package, or run keel in the",
            ),
            ("nowhere.py", None, "nowhere.py: there is no such file"),
            ("a b", None, "the plugin 'a b' is neither a module, such as mypackage, nor a file"),
            (
                "with_error",
                "1 / 0",
                r"the plugin with_error cannot be imported \(ZeroDivisionError: division by zero\)",
            ),
            ("lacks", "import torch_nowhere", r"the plugin lacks cannot be imported \(ModuleNotFoundError: No module"),
            ("calendar.py", "", "Python has another module calendar; give the file another name"),
            (
                "takes_name",
                "import keel\nclass CGCNN(keel.LennardJones): pass",
                "there is already a potential CGCNN, in",
            ),
            (
                "takes_suffix",
                "import keel\n@keel.register_reader('mine', ['.xyz'])\ndef read(path): pass",
                r"the reader takes_suffix.read: .xyz files already belong to extended XYZ",
            ),
            (
                "tells_nothing",
                "import keel\n@keel.register_reader('mine')\ndef read(path): pass",
                "the reader tells_nothing.read: give the suffixes, names or beginning",
            ),
            (
                "takes_strategy",
                "import keel\nkeel.register_strategy('sam', keel.Strategy())",
                "there is already a strategy 'sam'",
            ),
            (
                "takes_teacher",
                "import keel\n@keel.register_teacher('eam')\ndef fit(frames): pass",
                "there is already a teacher eam",
            ),
            (
                "takes_probe",
                "import keel\n@keel.register_probe('exact')\ndef probe(subject): pass",
                "there is already a probe exact, in keel.evaluation.battery; give the one in takes_probe another",
            ),
        ],
    )
    def test_are_told_in_one_sentence(self, name, content, sentence, tmp_path):
        if content is not None:
            (tmp_path / f"{name.removesuffix('.py')}.py").write_text(content)
        with pytest.raises(ConfigError, match=sentence) as error:
            keel.load_plugins([name], tmp_path)
        assert "\n" not in str(error.value)

    @pytest.mark.parametrize(
        ("body", "sentence"),
        [
            ("return 1 / 0", r"data\.bad: reader_\d\.read, which reads mine, fails \(ZeroDivisionError"),
            ("yield 1 / 0", r"data\.bad, frame 0: reader_\d\.read, which reads mine, fails"),
            ("yield 'H 0 0 0'", r"frame 0: reader_\d\.read yields str instead of ase\.Atoms"),
            ("return []", "it contains no frames"),
        ],
    )
    def test_of_readers_name_file_and_frame(self, body, sentence, tmp_path, request):
        number = request.node.callspec.indices["body"]
        text = f"import keel\n@keel.register_reader('mine', ['.bad'])\ndef read(path):\n    {body}"
        (tmp_path / f"reader_{number}.py").write_text(text)
        (tmp_path / "data.bad").write_text("x")
        before = list(FRAME_FORMATS)
        try:
            keel.load_plugins([f"reader_{number}"], tmp_path)
            with pytest.raises(DataError, match=sentence):
                keel.read(tmp_path / "data.bad")
        finally:
            FRAME_FORMATS[:] = before

    def test_of_teachers(self):
        frames = keel.read(FEW)[:2]
        with pytest.raises(ConfigError, match=r"there is no teacher 'mine'; choose from eam.*--plugin MODULE"):
            fitted("mine", frames)
        keel.register_teacher("numbers")(numbers)
        try:
            with pytest.raises(ConfigError, match=r"the teacher numbers returns int instead of a keel\.Potential"):
                fitted("numbers", frames)
            with pytest.raises(ConfigError, match=r"cannot be fitted with {'cutoff': 3} \(.*unexpected keyword"):
                fitted("numbers", frames, {"cutoff": 3})
        finally:
            del TEACHERS["numbers"]

    @pytest.mark.parametrize(
        ("given", "sentence"),
        [
            ({"fit": "mine", "file": "a.json"}, "the teacher is fitted, or it is a file or a calculator, not both"),
            ({"arguments": {"a": 1}}, "arguments belong to a calculator, but none is named"),
        ],
    )
    def test_of_configured_teachers(self, given, sentence):
        with pytest.raises(ConfigError, match=sentence):
            TeacherSettings(**given)


def numbers(frames: list[keel.Frame]) -> int:
    return len(frames)


def test_the_same_may_be_registered_again():
    for _ in range(2):
        keel.register_teacher("numbers")(numbers)
    assert TEACHERS.pop("numbers") is numbers


def test_a_damaged_list_of_modules_is_told(tmp_path):
    potential = keel.LennardJones()
    potential.save(str(tmp_path / "a.json"))
    content = json.loads((tmp_path / "a.json").read_text())
    assert "modules" not in content
    for modules in (["a"], {"A": 1}, {"A": "os; import sys"}):
        (tmp_path / "a.json").write_text(json.dumps({**content, "modules": modules}))
        with pytest.raises(DataError, match=r"a\.json: its modules are damaged"):
            keel.load(tmp_path / "a.json")
    (tmp_path / "a.json").write_text(json.dumps({**content, "modules": {"A": "__main__"}}))
    with pytest.raises(DataError, match="its class A was defined in a script or notebook"):
        keel.load(tmp_path / "a.json")


class TestCode:
    """Results of a plugin's classes and functions are made again when these change."""

    def test_of_classes_and_functions(self, tmp_path, monkeypatch):
        for number, strength in enumerate((1.0, 2.0)):
            text = f"import keel\nclass Own{number}(keel.LennardJones):\n    strength = {strength}\n"
            (tmp_path / f"own_class_{number}.py").write_text(text)
            keel.load_plugins([f"own_class_{number}"], tmp_path)
        first, second = (keel.Potential.registry.pop(f"Own{number}") for number in range(2))
        assert "strength = 1.0" in source_of(first) and "strength = 2.0" in source_of(second)
        assert source_of(numbers) == "def numbers(frames: list[keel.Frame]) -> int:\n    return len(frames)\n"

    def test_of_keel_itself_is_no_part_of_a_result(self):
        for settings in (NetworkSettings(), NetworkSettings(start="a.model"), TeacherSettings()):
            assert make.code_of(settings) == {}
        assert all(battery.code_of(name) == "" for name in battery.BATTERY)

    def test_stands_in_what_names_the_tasks(self, run):
        inputs = {path.parents[1].name: json.loads(path.read_text())["inputs"] for path in run.rglob("done.json")}
        assert {kind for kind, found in inputs.items() if "code" in found} == {"train", "teacher", "probes"}


def test_a_plugin_may_be_named_before_the_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "named_first.py").write_text("raise ZeroDivisionError\n")
    done = CliRunner().invoke(app, ["--plugin", "named_first", "md", "a.json", "b.xyz", "-T", "300"])
    assert "the plugin named_first cannot be imported (ZeroDivisionError" in str(done.exception)
