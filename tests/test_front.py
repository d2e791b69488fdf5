"""What surrounds the code says what is there: benchmarks, citation, commands of the continuous integration."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
NOT_BENCHMARKS = {"interleaved.py"}


def test_every_benchmark_is_listed_and_says_how_it_is_run():
    listed = set(re.findall(r"\]\((\w+\.py)\)", (ROOT / "benchmarks" / "README.md").read_text()))
    scripts = {path.name: path.read_text() for path in (ROOT / "benchmarks").glob("*.py")}
    assert listed == set(scripts)
    unexplained = [name for name, text in scripts.items() if f"python benchmarks/{name}" not in text]
    assert set(unexplained) <= NOT_BENCHMARKS


def test_the_citation_is_that_of_the_readme():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())["preferred-citation"]
    readme = (ROOT / "README.md").read_text()
    assert " ".join(cited["title"].split()) in " ".join(readme.split())
    assert all(author["family-names"] in readme for author in cited["authors"])
    assert cited["identifiers"][0]["value"] in readme and cited["doi"] in readme


def test_continuous_integration_runs_what_make_has():
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M))
    steps = "".join(path.read_text() for path in (ROOT / ".github" / "workflows").glob("*.yml"))
    wanted = set(re.findall(r"\bmake (\w+)", steps))
    assert {"lint", "test", "oracles", "package", "docs"} <= wanted <= targets


def test_continuous_integration_tests_the_lowest_python_and_torch():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "tests.yml").read_text())["jobs"]
    lowest = next(m for m in jobs["test"]["strategy"]["matrix"]["include"] if m.get("lowest"))
    (torch,) = (d for d in project["dependencies"] if d.startswith("torch"))
    assert project["requires-python"] == f">={lowest['python']}"
    assert lowest["torch"].startswith(torch.removeprefix("torch>="))
