"""The examples of the public surface and of the README run as they stand."""

import doctest
import importlib
import re

import pytest

import keel
from documents import ROOT, blocks, run_python

MODULES = sorted(
    {
        ".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__")
        for path in (ROOT / "src" / "keel").rglob("*.py")
        if ">>> " in path.read_text()
    }
)


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert results.attempted > 0
    assert results.failed == 0


def test_readme_example(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names, count = run_python("README.md")
    assert count
    assert names["atoms"].get_forces().shape == (len(names["atoms"]), 3)


def test_examples_of_assessment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, count = run_python("docs/assessment.md")
    assert count


def test_the_notebook(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "notebook.md").read_text()
    names: dict = {}
    for block in (b for b in blocks("python") if b.document.name == "notebook.md"):
        capsys.readouterr()
        exec(compile(block.code, "notebook.md", "exec"), names)
    (printed,) = re.findall(r"```text\n(Frames.*?)```", text, flags=re.DOTALL)
    assert capsys.readouterr().out == printed
    assert names["forces"].shape == (128, 3) and len(names["path"]) == 5 and names["verdicts"].page.is_file()


def test_public_names_exist_and_are_documented():
    for name in keel.__all__:
        assert getattr(keel, name).__doc__, name


def test_files_named_in_the_readme_exist():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", (ROOT / "README.md").read_text()):
        assert (ROOT / target).exists(), target
