"""The house stands as CONTRIBUTING says: rooms in order, no circle, no arrow up, nothing overgrown."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "keel"
ROW = re.compile(r"\| `([\w/.]+)`")

MOST_LINES = 300
MOST_PARAMETERS = 10
MOST_ENTRIES = {"evaluation": 12, "reporting": 8, "potentials": 14}


def rooms() -> list[str]:
    """Return the rooms of CONTRIBUTING's table, the lowest first."""
    return [name.rstrip("/").removesuffix(".py") for name in ROW.findall((ROOT / "CONTRIBUTING.md").read_text())]


@cache
def modules() -> dict[str, Path]:
    """Return every module of the package by its dotted name, a package by that of its folder."""
    paths = sorted(SOURCE.rglob("*.py"))
    return {".".join(p.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__"): p for p in paths}


def imported(path: Path) -> Iterator[str]:
    """Yield the modules of the package that a file imports anywhere in it, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "keel")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "keel":
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in modules() else str(node.module)


@cache
def arrows() -> dict[str, set[str]]:
    """Return what each module imports; names that a package hands on count as the package."""
    return {name: {m for m in imported(path) if m in modules() and m != name} for name, path in modules().items()}


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def test_the_table_names_every_room():
    found = {room_of(name) for name in modules()} - {"", "__main__"}
    assert sorted(rooms()) == sorted(found)


def test_no_room_imports_from_one_below():
    order = {name: place for place, name in enumerate(rooms())}
    upward = [
        f"{name} imports {other}"
        for name, others in arrows().items()
        for other in others
        if room_of(name) in order and room_of(other) in order and order[room_of(other)] > order[room_of(name)]
    ]
    assert not upward


def test_no_circle_of_imports():
    state: dict[str, str] = {}

    def visit(name: str, route: tuple[str, ...]) -> None:
        assert state.get(name) != "open", " -> ".join([*route[route.index(name) :], name])
        if name in state:
            return
        state[name] = "open"
        for other in sorted(arrows()[name]):
            visit(other, (*route, name))
        state[name] = "done"

    for name in modules():
        visit(name, ())


def test_nobody_goes_through_the_face_of_a_room_that_he_stands_in():
    # It would depend on the order of imports there; the face of all is that of the package.
    found = [
        f"{name} imports {other}"
        for name, others in arrows().items()
        for other in others
        if f"{name}.".startswith(f"{other}.")
    ]
    assert not found


def test_no_crowded_room():
    for room, most in MOST_ENTRIES.items():
        entries = [p.name for p in (SOURCE / room).iterdir() if p.name != "__pycache__"]
        assert len(entries) <= most, f"{room}: {sorted(entries)}"


@pytest.mark.parametrize("name", sorted(modules()))
def test_no_overgrown_file_or_function(name):
    text = modules()[name].read_text()
    assert text.count("\n") <= MOST_LINES
    if name.startswith("keel.commands."):
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            a = node.args
            own = [p.arg for p in (*a.posonlyargs, *a.args, *a.kwonlyargs) if p.arg not in ("self", "cls")]
            assert len(own) + bool(a.vararg) + bool(a.kwarg) <= MOST_PARAMETERS, f"{name}.{node.name}"
