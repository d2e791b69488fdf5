"""The site holds every page, command and public name, and its tutorials are what their notebooks were made from."""

from __future__ import annotations

import ast
import importlib
import json
import re
from pathlib import Path

import pytest
import typer.main
import yaml

import keel
import links
import notebooks
import pages
import reference
from keel.cli import app
from keel.config import RunSettings, StabilitySettings

ROOT = Path(__file__).parents[1]
MADE = {"index.md", "changelog.md", "contributing.md", "cite.md"}
TUTORIALS = pytest.mark.parametrize("path", notebooks.sources(), ids=lambda path: path.stem)
COMMANDS = typer.main.get_command(app).commands
LARGEST = 200_000


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    """The pages that are made of the code."""
    return dict(reference.pages())


class AnyTag(yaml.SafeLoader):
    """Reads what MkDocs adds to YAML as text."""


AnyTag.add_multi_constructor("!", lambda loader, suffix, node: suffix)
AnyTag.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, suffix, node: suffix)


def in_navigation(entries: list) -> list[str]:
    """Return the pages of the navigation."""
    found = []
    for entry in entries:
        content = next(iter(entry.values())) if isinstance(entry, dict) else entry
        found += [content] if isinstance(content, str) else in_navigation(content)
    return found


def test_every_page_is_in_the_navigation(made):
    pages = in_navigation(yaml.load((ROOT / "mkdocs.yml").read_text(), AnyTag)["nav"])
    written = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert sorted(pages) == sorted({*written, *made, *MADE})


def test_reference_has_every_command_room_and_public_name(made):
    assert set(re.findall(r"^## `keel ([\w-]+)`$", made["reference/commands.md"], re.M)) == set(COMMANDS)
    assert {f"keel.{room}" for room in keel._ROOMS} - set(reference.ROOMS) == {"keel.results"}
    described = re.findall(r"^::: (\S+)$", "\n".join(made.values()), re.M)
    assert len(described) == len(set(described))
    listed = set(re.findall(r"#([\w.]+)\)", made["reference/index.md"]))
    assert set(described) <= listed
    public = [getattr(keel, name) for name in keel.__all__]
    assert {reference.path_of(thing) for thing in public if hasattr(thing, "__qualname__")} <= set(described)


def test_reference_shows_options_as_help_does(made):
    text = made["reference/commands.md"]
    rows = text[text.index("## `keel train`") : text.index("## `keel md`")]
    options = {name for one in COMMANDS["train"].params for name in one.opts if name.startswith("-")}
    assert {name for name in options if f"`{name}" not in rows and f", {name}" not in rows} == set()
    assert "Optimiser steps, pretraining included." in rows and "*Example:* `keel train train.extxyz" in rows


@pytest.mark.parametrize(
    ("name", "page"),
    [
        ("Potential", "reference/potentials.md"),
        ("keel.atoms.as_frames", "reference/atoms.md"),
        ("Potential.set_offsets", "reference/potentials.md"),
        ("keel.KeelError", "reference/errors.md"),
        ("no_such_name", None),
    ],
)
def test_roles_of_docstrings_find_their_page(name, page):
    found = reference.link_of(name)
    assert (found and found[0]) == page


@TUTORIALS
def test_notebooks_are_made_of_their_tutorials(path):
    notebook = path.with_suffix(".ipynb")
    content = json.loads(notebook.read_text())
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in content["cells"]]
    assert cells == notebooks.cells_of(path.read_text()), f"make docs, or: python website/notebooks.py {path.stem}"
    assert notebook.stat().st_size < LARGEST
    outputs = [output for cell in content["cells"] for output in cell.get("outputs", ())]
    assert outputs and all(output["output_type"] != "error" for output in outputs)


def test_links_of_documents_lead_somewhere(made):
    written = pages.written()
    lost = [
        f"{name}: {path}"
        for name, text in written.items()
        for path in pages.linked(pages.source_of(name), text)
        if not (ROOT / path).exists() and pages.page_of(path) not in {*written, *made}
    ]
    assert lost == []


def test_links_of_the_repository_become_those_of_the_site():
    assert pages.with_links("runs.md", "[a](data.md#b) [c](../README.md) [d](https://x.org)") == (
        "[a](data.md#b) [c](index.md) [d](https://x.org)"
    )
    assert pages.with_links("tutorials/mend.md", "[a](../../src/keel/cli.py)") == "[a](../reference/commands.md)"
    assert pages.with_links("index.md", "[a](examples/silica.yaml)") == "[a](files/examples/silica.yaml.md)"
    assert pages.with_links("index.md", "```\n[a](docs/data.md)\n```") == "```\n[a](docs/data.md)\n```"
    assert pages.showing("examples/silica.yaml").startswith("# examples/silica.yaml\n\n```yaml\n")


def test_dead_links_and_lost_markup_are_found(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "index.html").write_text('<h1 id="top">x</h1><p><code>* a</code> fine</p>')
    (tmp_path / "index.html").write_text(
        '<a href="there/#top">1</a><a href="there/#end">2</a><a href="gone/">3</a><a href="https://x.org/gone">4</a>'
        "<p>These are\n* lost</p>"
    )
    assert list(links.complaints(tmp_path)) == [
        "index.html: the link gone/ leads nowhere",
        "index.html: the link there/#end leads to a page that has no such place",
        "index.html: markup was not understood: '* lost'",
    ]


def test_cells_of_a_tutorial():
    text = "---\nneeds: lammps\n---\nA\n```python\nx = 1\n```\n"
    text += "<!-- not run: y -->\n```shell\nkeel\n```\n```shell\nls\n```\n"
    assert notebooks.needed(text) == "lammps"
    assert notebooks.cells_of(text) == [
        ("markdown", "A"),
        ("code", "x = 1"),
        ("markdown", "<!-- not run: y -->\n```shell\nkeel\n```"),
        ("code", "%%bash\nls"),
    ]


def python_of(path: Path) -> list[str]:
    """Return the Python of a tutorial, cell by cell."""
    code = [content for kind, content in notebooks.cells_of(path.read_text()) if kind == "code"]
    return [content for content in code if not content.startswith(notebooks.SHELL)]


@TUTORIALS
def test_names_of_tutorials_exist(path):
    for tree in map(ast.parse, python_of(path)):
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("keel"):
                assert all(hasattr(importlib.import_module(node.module), alias.name) for alias in node.names)
            if isinstance(node, ast.Attribute) and ast.unparse(node).startswith("keel."):
                place = keel
                for name in ast.unparse(node).split(".")[1:]:
                    if not name.isidentifier():
                        break
                    assert hasattr(place, name), ast.unparse(node)
                    place = getattr(place, name)
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("keel.TrainingSettings", "keel.MDSettings"):
                known = set(eval(ast.unparse(node.func)).model_fields)
                assert {keyword.arg for keyword in node.keywords} <= known


def test_the_short_configuration_of_a_tutorial_has_settings_that_exist():
    text = (ROOT / "docs" / "tutorials" / "my-data.md").read_text()
    (short,) = re.findall(r"<<'END'\n(.*?)^END$", text, re.DOTALL | re.MULTILINE)
    content = yaml.safe_load(short)
    assert set(content) - {"extends"} <= set(RunSettings.model_fields)
    assert set(content["md"]) <= set(StabilitySettings.model_fields)
