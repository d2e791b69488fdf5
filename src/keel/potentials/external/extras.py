"""Importing optional packages."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib import import_module
from io import StringIO
from typing import Any

import torch

from keel.errors import UnavailableError

UNSAFE_LOAD = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"


def optional(module: str, user: str, package: str, extra: str) -> Any:
    """Return a module of an optional package, imported silently.

    Parameters
    ----------
    module
        What to import, e.g. ``"mace.modules"``.
    user
        What needs it, e.g. ``"MACE"``.
    package, extra
        Where it comes from: the distribution, and the extra of keel that installs it.

    Raises
    ------
    UnavailableError
        If it is not installed, or cannot be imported.
    """
    command = f"pip install 'mlip-keel[{extra}]'"
    try:
        with _unchanged_process(), quiet():
            found = import_module(module)
            _hush_warp()
            return found
    except ModuleNotFoundError as error:
        why = "" if error.name == module.split(".")[0] else f" ({error})"
        raise UnavailableError(f"{user} needs {package}; install it with: {command}{why}") from None
    except ImportError as error:
        raise UnavailableError(f"{user} needs {package}, which cannot be imported here ({error}): {command}") from None


def _hush_warp() -> None:
    """Let Warp, on which models of matgl run, report errors only: it names each kernel that it compiles or loads."""
    warp = sys.modules.get("warp")
    if warp is not None and hasattr(warp, "LOG_ERROR"):
        warp.config.log_level = warp.LOG_ERROR


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress what a package prints and its warnings while it is set up."""
    with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        warnings.simplefilter("ignore")
        yield


@contextmanager
def trusting() -> Iterator[None]:
    """Let files run code when they are read, including those that a package reads in turn."""
    with _unchanged_process():
        os.environ[UNSAFE_LOAD] = "1"
        yield


@contextmanager
def built_in_float64() -> Iterator[None]:
    """Let modules be built in float64, so that their constants are exact in whatever precision they are used."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def _unchanged_process() -> Iterator[None]:
    # Some packages disable the safe reading of files for the whole process when they are imported.
    before = os.environ.get(UNSAFE_LOAD)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(UNSAFE_LOAD, None)
        else:
            os.environ[UNSAFE_LOAD] = before
