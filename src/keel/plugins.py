"""Third-party packages that add networks, teachers, probes, readers and strategies: their modules are imported.

Importing a module runs it, so keel imports only what is installed for it (entry points of the group ``keel.plugins``)
and what the user names (``--plugin``, ``plugins:`` in the configuration of a run, the variable ``KEEL_PLUGINS``), and
never what a potential file or a run folder names.
"""

from __future__ import annotations

import inspect
import os
import sys
import traceback
import warnings
from collections.abc import Iterable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from keel.errors import ConfigError, KeelError, KeelWarning

GROUP = "keel.plugins"
"""Group of the entry points whose modules are imported."""
VARIABLE = "KEEL_PLUGINS"
"""Environment variable with names of modules, separated by commas."""
HOW = "--plugin {0} (plugins: [{0}] in YAML, or the environment variable " + VARIABLE + ")"
"""How to name a module, on the command line and elsewhere."""

_named: dict[str, str] = {}
_registering: dict[str, None] = {}
_looked = False


def load_plugins(names: Iterable[str], folder: str | Path | None = None) -> None:
    """Import modules that extend keel; modules already imported are skipped.

    Parameters
    ----------
    names
        Modules, such as ``"mypackage"`` or ``"mypackage.networks"``, or files, such as ``"mine.py"``.
    folder
        Where files, and modules that are not installed, are searched for; None: the working folder, for those not yet
        loaded.

    Raises
    ------
    ConfigError
        If there is no such module, or it cannot be imported.
    """
    for name in names:
        if folder is None and name in _named:
            continue
        module, place = _module_and_place(name, Path(folder or "."))
        if str(place) not in sys.path:
            sys.path.append(str(place))
        _import(module, name)
        if name.endswith(".py") and not _is_from(module, place):
            raise ConfigError(f"the plugin {name}: Python has another module {module}; give the file another name")
        _named[name] = module


def load_plugins_of(configuration: Any, folder: Path) -> None:
    """Import the plugins that a configuration names, before it is checked; the check reports invalid names."""
    names = configuration.get("plugins") if isinstance(configuration, dict) else None
    names = [names] if isinstance(names, str) else names
    load_plugins((n for n in names if isinstance(n, str)) if isinstance(names, list) else (), folder)


def discover() -> None:
    """Import, once, what is installed for keel and what ``KEEL_PLUGINS`` names; called when a name is not found."""
    global _looked
    if _looked:
        return
    from importlib.metadata import entry_points  # late: it takes a while

    _looked = True  # before the imports: what is imported may itself lack something
    for entry in entry_points(group=GROUP):
        try:
            entry.load()
        except Exception as error:
            package = entry.dist.name if entry.dist else entry.value
            message = (
                f"the plugin {entry.value} of {package} cannot be imported ({_reason(error)}); continuing without it"
            )
            warnings.warn(message, KeelWarning, stacklevel=2)
    load_plugins(filter(None, (name.strip() for name in os.environ.get(VARIABLE, "").split(","))))
    for module in _registering.copy():
        # Another process has them; if one is missing here, its first use reports it.
        with suppress(Exception):
            import_module(module)


def register(kind: str, name: str, value: Any, among: dict[str, Any]) -> None:
    """Register a function or class under a name.

    It may be defined again, as when a notebook cell is run twice.

    Raises
    ------
    ConfigError
        If the name is taken.
    """
    other = among.get(name, value)
    if _place(other) != _place(value):
        raise ConfigError(
            f"there is already a {kind} {name}, in {other.__module__}; give the one in {value.__module__} another name"
        )
    remember(value.__module__)
    among[name] = value


def remember(module: str) -> None:
    """Record that a module extends keel, so that processes started from this one can import it too."""
    if module.split(".")[0] not in ("keel", "__main__", "__mp_main__"):
        _registering[module] = None


def source_of(value: Any) -> str:
    """Return the code of a class or function of a plugin, on which results depend; empty for keel's own."""
    if value.__module__.split(".")[0] == "keel":
        return ""
    with suppress(OSError, TypeError):  # of code that was typed in
        return inspect.getsource(value)
    return ""


def failure_in(error: Exception) -> str:
    """Return a sentence on an error that arose in the code of a plugin, or in what it called; empty for all others."""
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        module = frame.f_globals.get("__name__", "")
        if module in _registering or module in _named.values():
            return f"the plugin {module} failed: {_reason(error)} ({frame.f_code.co_filename}, line {line})"
    return ""


def in_use() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the modules that the user has named, and others that extend keel, for :func:`take_over`."""
    return tuple(_named.values()), tuple(_registering)


def take_over(modules: tuple[tuple[str, ...], tuple[str, ...]]) -> None:
    """Import the plugins of another process, see :func:`in_use`."""
    load_plugins(modules[0])
    _registering.update(dict.fromkeys(modules[1]))


def _module_and_place(name: str, folder: Path) -> tuple[str, Path]:
    if name.endswith(".py"):
        if not (folder / name).is_file():
            raise ConfigError(f"the plugin {folder / name}: there is no such file")
        return Path(name).stem, (folder / name).parent.resolve()
    if not all(part.isidentifier() for part in name.split(".")):
        raise ConfigError(f"the plugin {name!r} is neither a module, such as mypackage, nor a file, such as mine.py")
    return name, folder.resolve()


def _import(module: str, name: str) -> None:
    try:
        import_module(module)
    except KeelError:
        raise
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name and f"{module}.".startswith(f"{error.name}."):
            raise ConfigError(
                f"the plugin {name}: there is no module {error.name}; install its package, or run keel in the folder "
                "that contains it"
            ) from None
        raise ConfigError(f"the plugin {name} cannot be imported ({_reason(error)})") from None


def _is_from(module: str, place: Path) -> bool:
    file = getattr(sys.modules[module], "__file__", None)
    return file is not None and Path(file).resolve().parent == place


def _place(value: Any) -> tuple[str, str]:
    return value.__module__, value.__qualname__


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")
