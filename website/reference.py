"""Pages of reference, made from the code: commands, public classes and functions, and one page that lists all."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from html import unescape
from importlib import import_module
from typing import Any

import typer.main

import keel
from keel.cli import app
from keel.described import described, table
from keel.settings import Settings

ROOMS = (
    *("keel", "keel.atoms", "keel.potentials", "keel.fitting", "keel.perturbation", "keel.training", "keel.dynamics"),
    *("keel.evaluation", "keel.comparison", "keel.workflow", "keel.interfaces", "keel.testing", "keel.reporting"),
    *("keel.datasets", "keel.errors"),
)
ROLE = re.compile(r":(?:func|class|mod|data|meth|attr):`~?([\w.]+)`")
"""What docstrings name: ``:func:`keel.read` ``."""
ALSO = {
    "keel.comparison": ("lifetimes.Lifetimes", "paired.Comparison", "samples.Sample", "statistics.Interval"),
    "keel.evaluation": ("check.judged", "subject.Subject"),
    "keel.interfaces": (
        *("ase.KeelCalculator", "lammps.attach", "lammps.start", "lammps.Attached", "metatomic.write_metatomic"),
        *("torchsim.torch_sim_model", "openmm.openmm_force", "setfl.write_setfl", "moving.Moving", "moving.Moved"),
    ),
    "keel.potentials": ("networks.network.Network",),
    "keel.reporting": ("keel.results.run.TrialResults", "keel.results.run.Record"),
    "keel.training": ("known.KnownStrategy",),
    "keel.workflow": (
        "assess_given.assess",
        "assess_given.Assessments",
        "keel.config.RunSettings",
        "keel.config.read_config",
    ),
}
"""What users meet besides what a room offers by itself."""


def path_of(thing: Any) -> str:
    """Return where a class or function is defined: ``keel.atoms.frame.Frame``."""
    return f"{thing.__module__}.{thing.__qualname__}"


def offered(room: str) -> dict[str, Any]:
    """Return the public classes and functions of a room by the names under which users have them."""
    module = import_module(room)
    names = keel._PUBLIC if module is keel else getattr(module, "__all__", None) or dir(module)
    found = {f"{room}.{name}": getattr(module, name) for name in names}
    for name in ALSO.get(room, ()):
        whole = name if name.startswith("keel.") else f"{room}.{name}"
        found[whole] = getattr(import_module(whole.rpartition(".")[0]), whole.rpartition(".")[2])
    kept = {name: thing for name, thing in found.items() if inspect.isclass(thing) or inspect.isfunction(thing)}
    return {name: thing for name, thing in kept.items() if thing.__module__.startswith("keel.")}


@cache
def homes() -> Mapping[str, str]:
    """Return the room on whose page each class and function is described, by where it is defined.

    It is the room that it is defined in, if that offers it; else the first that does, and ``keel`` only if no other.
    """
    found: dict[str, str] = {}
    for room in (*ROOMS[1:], "keel"):
        for thing in offered(room).values():
            path = path_of(thing)
            if path not in found or (path.startswith(f"{room}.") and room != "keel"):
                found[path] = room
    return found


@cache
def known() -> Mapping[str, str]:
    """Return where each public class or function is defined, by all names that documents and docstrings use for it."""
    names = {name: path_of(thing) for room in ROOMS for name, thing in offered(room).items()}
    names |= {path: path for path in homes()}
    short: dict[str, set[str]] = {}
    for path in homes():
        short.setdefault(path.rpartition(".")[2], set()).add(path)
    return names | {name: min(paths) for name, paths in short.items() if len(paths) == 1}


def page_of(room: str) -> str:
    """Return the page of a room."""
    return f"reference/{room.removeprefix('keel.')}.md"


def link_of(name: str) -> tuple[str, str] | None:
    """Return page and anchor of a class or function, or of the class of a method; None if it has no page."""
    for part in (name, name.rpartition(".")[0]):
        path = known().get(part)
        if path is not None:
            return page_of(homes()[path]), path
    return None


def with_links(text: str) -> str:
    """Turn the roles of a docstring into links of mkdocstrings, or plain code where there is no page."""

    def to_link(match: re.Match[str]) -> str:
        found, name = link_of(match[1]), match[1].removeprefix("keel.")
        return f"[`{name}`][{found[1]}]" if found else f"`{match[1]}`"

    return ROLE.sub(to_link, text)


def summary(thing: Any) -> str:
    """Return the first paragraph of a docstring."""
    words = (inspect.getdoc(thing) or "").partition("\n\n")[0].replace("\n", " ").replace("|", "\\|")
    return ROLE.sub(r"`\1`", words)


def pages() -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each page."""
    yield "reference/index.md", _overview()
    yield "reference/commands.md", _commands()
    for room in ROOMS:
        yield page_of(room), _room(room)


def _room(room: str) -> str:
    module = import_module(room)
    head, _, rest = (inspect.getdoc(module) or "").partition("\n\n")
    here = sorted((p for p, home in homes().items() if home == room), key=lambda p: p.rpartition(".")[2].lower())
    parts = [f"# {room}", with_links(head), with_links(rest), _table(offered(room), page_of(room), room)]
    return "\n\n".join([*parts, *map(_entry, here)])


def _entry(path: str) -> str:
    """Return what mkdocstrings is to show, and of settings a table of them."""
    room, _, name = path.rpartition(".")
    thing = getattr(import_module(room), name)
    settings = inspect.isclass(thing) and issubclass(thing, Settings)
    return f"::: {path}" + (f"\n\n{table([*described(thing)])}" if settings else "")


def _table(things: Mapping[str, Any], page: str, room: str = "") -> str:
    rows = ["| name | what it is |", "|---|---|"]
    for name, thing in sorted(things.items(), key=lambda item: item[0].rpartition(".")[2].lower()):
        where = page_of(homes()[path_of(thing)])
        target = f"{'' if where == page else where.removeprefix('reference/')}#{path_of(thing)}"
        shown = name.removeprefix(f"{room}.") if room else name
        rows.append(f"| [`{shown}`]({target}) | {summary(thing)} |")
    return "\n".join(rows)


def _overview() -> str:
    from keel.config import RunSettings

    commands = typer.main.get_command(app).commands
    sections = dict.fromkeys(one.place.partition(".")[0] for one in described(RunSettings) if one.kind == "settings")
    parts = [
        "# Reference",
        "Every command, every setting, every public class and function.",
        "## Commands",
        "\n".join([
            *("| command | what it does |", "|---|---|"),
            *(f"| [`keel {n}`](commands.md#keel-{n}) | {_first(c)} |" for n, c in commands.items()),
        ]),
        "## Settings",
        f"[Every setting of a configuration](../settings.md), by section: "
        f"{', '.join(f'[`{name}`](../settings.md#{name})' for name in sections)}.",
    ]  # fmt: skip
    for room in ROOMS:
        parts += [f"## {room}", f"[The page of `{room}`]({page_of(room).removeprefix('reference/')})"]
        own = {n: t for n, t in offered(room).items() if room != "keel" or homes()[path_of(t)] == "keel"}
        parts.append(_table(own, "reference/index.md"))
    return "\n\n".join(parts)


def _first(command: Any) -> str:
    return (command.help or "").strip().partition("\n\n")[0].replace("\n", " ")


def _commands() -> str:
    """Return what Typer writes of the commands, without its list of their beginnings."""
    documented = [sys.executable, "-m", "typer", "keel.cli", "utils", "docs", "--name", "keel"]
    text = unescape(subprocess.run(documented, capture_output=True, text=True, check=True).stdout)
    head, _, commands = text.partition("\n## ")
    guide = "[How commands end, resume and share](../commands.md)."
    head = head.partition("**Commands**")[0].replace("# `keel`", f"# Commands\n\n{guide}", 1)
    commands = re.sub(r"^Example: (.*)$", r"*Example:* `\1`", commands, flags=re.MULTILINE)
    return f"{head}## {commands}".replace("```console\n$ ", "```text\n")
