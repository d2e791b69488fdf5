"""Every code block of the documents is executed, checked, or says why it is not run.

Python is executed by the test named here, or marked ``<!-- not run: REASON -->`` in the line above. YAML has to be
part of a valid configuration. Commands in shell blocks have to be understood by the command line. ``text`` is output,
or input of other programs.
"""

from __future__ import annotations

import re
import shlex

import pytest
import typer
import yaml

import keel
import notebooks
from documents import ROOT, blocks, run_python
from keel.cli import app
from keel.config import RunSettings

LANGUAGES = {"python", "yaml", "toml", "shell", "text"}
EXECUTED = {
    "README.md": "test_examples.py",
    "assessment.md": "test_examples.py",
    "notebook.md": "test_examples.py",
    "engines.md": "interfaces/test_engines.py",
    "extending.md": "test_plugins.py",
    "data.md": "test_documents.py",
}
"""Documents whose Python is executed from beginning to end, and the test that does it; tutorials are by `make docs`."""


def commands(code: str) -> list[list[str]]:
    """Return the arguments of every keel command in a shell block, also behind a launcher."""
    lines = code.replace("\\\n", " ").splitlines()
    words = [shlex.split(line.strip().removeprefix("$ "), comments=True) for line in lines]
    found = []
    for line in words:
        if line and line[0] in ("keel", "torchrun", "srun") and "keel" in line:
            found.append(line[line.index("keel") + 1 :])
    return found


def test_every_block_names_its_language():
    assert [str(b) for b in blocks() if b.language not in LANGUAGES] == []


def test_python_is_executed_or_says_why_not():
    executed = {ROOT / "docs" / "tutorials" / path.name for path in notebooks.sources()}
    left = [b for b in blocks("python") if not b.marked and b.document.name not in EXECUTED]
    left = [b for b in left if b.document not in executed]
    assert [str(b) for b in left] == []
    for document, test in EXECUTED.items():
        assert document in (ROOT / "tests" / test).read_text(), f"{test} does not read {document}"


# The configuration of extending.md needs the package that the page makes, with which a test runs it.
@pytest.mark.parametrize("block", [b for b in blocks("yaml") if "plugins:" not in b.code], ids=str)
def test_yaml_is_part_of_a_configuration(block):
    content = yaml.safe_load(block.code)
    whole = {"name": "x", "data": {"files": ["x.extxyz"]}, "networks": [{"architecture": "CGCNN"}], **content}
    assert RunSettings(**whole).name == whole["name"]


@pytest.mark.parametrize("block", blocks("shell"), ids=str)
def test_commands_are_understood(block):
    known, targets = typer.main.get_command(app).commands, re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M)
    for name, *arguments in commands(block.code):
        with known[name].make_context(name, arguments):
            pass
    for target in re.findall(r"^make (\w+)", block.code, re.M):
        assert target in targets


def test_there_are_commands_to_check():
    assert sum(len(commands(b.code)) for b in blocks("shell")) > 30


def test_a_store_is_read_by_arrow_alone(tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    monkeypatch.chdir(tmp_path)
    keel.write("some.extxyz", keel.datasets.phosphorus()[:3])
    with pytest.raises(SystemExit) as ended:
        app(["pack", "some.extxyz", "--out", "mptrj.keel"])
    assert ended.value.code == 0
    names, _ = run_python("docs/data.md")
    assert names["table"].num_rows == 3 and {"numbers", "positions", "energy"} <= set(names["table"].column_names)
