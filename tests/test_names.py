"""Every name that the documents promise is there after ``import keel`` alone, and ``import keel`` stays quick."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import keel

pytestmark = pytest.mark.xdist_group("names")
ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
DOTTED = re.compile(r"(?<![\w./-])keel(?:\.[A-Za-z_]\w*)+")
IMPORTED = re.compile(r"from (keel[\w.]*) import (\w+(?:, \w+)*)")
ROLE = re.compile(r":(?:func|class|mod|data|meth):`~?([\w.]+)`")
PREFIX = "import importlib, inspect, json, pkgutil, sys, keel\n"

RESOLVE = """
def found(start, dotted):
    for name in dotted.split("."):
        if not hasattr(start, name):
            return False
        start = getattr(start, name)
    return True

def places(module):
    # A role may name what its module holds, a method of a class in it, or one of keel's own names.
    module = importlib.import_module(module)
    return [module, *(c for c in vars(module).values() if inspect.isclass(c)), keel]

promised, roles = given
print(json.dumps([
    *(f"{where}: {name}" for where, name in promised if not found(keel, name.removeprefix("keel."))),
    *(f"{where}: {name}" for where, name in roles if not any(found(place, name) for place in places(where))),
]))
"""

MODULES = """
def lacking(package):
    modules = list(pkgutil.iter_modules(package.__path__, package.__name__ + "."))
    if modules and "__getattr__" not in vars(package):
        yield package.__name__
    for module in modules:
        if module.ispkg:
            yield from lacking(importlib.import_module(module.name))

print(json.dumps(list(lacking(keel))))
"""

ALONE = """
def lacking(name):
    child = os.fork()
    if child == 0:
        eval(f"keel.{name}")
        os._exit(0)
    return os.waitpid(child, 0)[1] != 0

print(json.dumps([name for name in given if lacking(name)]))
"""

# What others have written takes most of the time, and is imported once.
FORKS = """
import os, traceback, torch, ase, scipy.optimize, lightning.fabric, pydantic

for line in sys.stdin:
    script, given = json.loads(line)
    child = os.fork()
    if child == 0:
        try:
            exec(script)
            sys.stdout.flush()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    os.waitpid(child, 0)
    print(flush=True)
"""


@pytest.fixture(scope="module")
def told() -> Iterator[Callable[..., list]]:
    """What a fresh process prints that has imported of keel only its name."""
    command = [sys.executable, "-c", PREFIX + FORKS]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def answer(script: str, given: object = None) -> list:
            print(json.dumps([script, given]), file=process.stdin, flush=True)
            printed = process.stdout.readline()
            assert printed.strip(), "it has failed; its error is above"
            process.stdout.readline()
            return json.loads(printed)

        yield answer


def promised() -> list[tuple[str, str]]:
    """Return where a dotted name stands, and the name."""
    names = []
    for path in DOCUMENTS:
        text = path.read_text()
        imports = [f"{module}.{name}" for module, group in IMPORTED.findall(text) for name in group.split(", ")]
        names += [(str(path.relative_to(ROOT)), name) for name in [*DOTTED.findall(text), *imports]]
    return names


def roles() -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return the module of a role in a docstring, and the name in it: those that begin with keel, and the others."""
    src, found = ROOT / "src", []
    for path in sorted((src / "keel").rglob("*.py")):
        module = ".".join(path.relative_to(src).with_suffix("").parts).removesuffix(".__init__")
        found += [(module, name) for name in ROLE.findall(path.read_text())]
    return [r for r in found if r[1].startswith("keel.")], [r for r in found if not r[1].startswith("keel.")]


def test_names_of_the_documents_and_docstrings_are_there(told):
    absolute, relative = roles()
    names = promised()
    assert len(names) > 25 and len(absolute) > 40 and len(relative) > 80
    assert told(RESOLVE, [[*names, *absolute], relative]) == []


def test_every_package_finds_its_modules(told):
    """Where this fails, the package lacks ``find_submodules(__name__)`` at its end."""
    assert told(MODULES) == []


def test_a_name_alone_is_enough(told):
    """Here nothing else has imported it."""
    names = [
        "potentials.external.ASEPotential",
        "evaluation.structure.rdf.rdf",
        "evaluation.battery",
        "comparison.paired",
        "commands.train.train",
        "testing.PotentialContract",
    ]
    assert told(ALONE, [*names, "evaluation.battle"]) == ["evaluation.battle"]  # the last there is not


def test_a_function_is_not_hidden_by_the_module_of_its_name(told):
    names = "keel.training.train, keel.evaluation.rdf, keel.workflow.run, keel.evaluation.structure.rdf"
    assert told(f"print(json.dumps([type(thing).__name__ for thing in ({names})]))") == [*3 * ["function"], "module"]


def test_names_are_listed_before_they_are_imported(told):
    listed, nested = told("print(json.dumps([dir(keel), dir(keel.commands)]))")
    assert {"potentials", "evaluation", "testing", "EAM", "__version__"} <= set(listed)
    assert {"train", "fit"} <= set(nested) and not {"__main__"} & {*listed, *nested}


def test_nothing_is_listed_that_is_not_meant_for_users(told):
    places = "keel", "keel.atoms", "keel.potentials", "keel.evaluation", "keel.testing"
    lists = told(f"print(json.dumps([dir(place) for place in ({', '.join(places)})]))")
    for name, listed in zip(places, lists, strict=True):
        hidden = {"torch", "np", "Any", "TYPE_CHECKING", "annotations", "import_module", "find_submodules", "submodule"}
        assert not hidden & set(listed), name
    assert {name for name in lists[0] if not name.startswith("__")} == {*keel.__all__, *keel._ROOMS}
    assert set(lists[0]) - {*keel.__all__, *keel._ROOMS} == {"__all__", "__doc__", "__version__"}


def test_every_command_that_gives_something_back_has_its_function(told):
    names = ["census", "perturb", "train", "evaluate", "md", "assess"]
    assert told(f"print(json.dumps([callable(getattr(keel, name)) for name in {names}]))") == [True] * len(names)


def test_nothing_heavy_is_imported_before_it_is_used():
    command = [sys.executable, "-c", PREFIX + "import keel.cli; print(json.dumps(sorted(sys.modules)))"]
    loaded = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert not {"torch", "numpy", "ase", "scipy", "pydantic", "matplotlib", "keel.potentials"} & set(loaded)


@pytest.mark.parametrize("name", ["absent", "__wrapped__", "Potentials"])
def test_other_names_are_refused(name):
    for place in (keel, keel.commands, keel.potentials):
        with pytest.raises(AttributeError, match=f"module '{place.__name__}' has no attribute '{name}'"):
            getattr(place, name)
