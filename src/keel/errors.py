"""Errors that a user can cause and correct; each message is one sentence that says what is wrong and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_ON_COMMAND_LINE: ContextVar[bool] = ContextVar("on_command_line", default=False)


class KeelError(Exception):
    """Base of every error that keel raises for a user's mistake; the command line prints it and exits with 2."""


class KeelWarning(UserWarning):
    """Something a user should know although the work continues; one sentence."""


class DataError(KeelError, ValueError):
    """A file, frame or graph cannot be used as it is."""


class RefusedError(DataError):
    """A foreign model refuses a structure or fails on it."""


class NotFiniteError(DataError):
    """A potential returns an energy or forces that are not finite."""


class ConfigError(KeelError, ValueError):
    """A setting is unknown, impossible, or contradicts another."""


class UnavailableError(ConfigError):
    """Something optional is needed that is not installed, that a potential lacks, or that a file may not request."""


@contextmanager
def naming(source: str) -> Iterator[None]:
    """Prefix the message of a DataError with the name of what is being read.

    Parameters
    ----------
    source
        Its name, such as ``"train.extxyz, frame 12"``.

    Raises
    ------
    DataError
        With the name before its message.
    """
    try:
        yield
    except DataError as error:
        kind = RefusedError if isinstance(error, RefusedError) else DataError
        raise kind(f"{source}: {error}") from None


@contextmanager
def of_command_line() -> Iterator[None]:
    """Make advice name options of commands, not arguments of Python."""
    before = _ON_COMMAND_LINE.set(True)
    try:
        yield
    finally:
        _ON_COMMAND_LINE.reset(before)


def advice(argument: str, option: str) -> str:
    """Return what to do in the interface that is in use.

    Parameters
    ----------
    argument, option
        What it is called in Python, ``cutoff``, and on the command line, ``--cutoff``.
    """
    return option if _ON_COMMAND_LINE.get() else argument


def in_python(argument: str) -> str:
    """Return an argument to give in Python, to precede an option of a command; nothing on the command line."""
    return advice(f"{argument} or ", "")
