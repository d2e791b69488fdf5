"""Errors that a user can cause and mend; each message is one sentence that says what is wrong and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class KeelError(Exception):
    """Base of every error that keel raises for a user's mistake; the command line prints it and exits with 2."""


class KeelWarning(UserWarning):
    """Something a user should know though the work goes on; one sentence."""


class DataError(KeelError, ValueError):
    """A file, frame or graph cannot be used as it is."""


class ConfigError(KeelError, ValueError):
    """A setting is unknown, impossible, or contradicts another."""


class UnavailableError(ConfigError):
    """Something optional is needed that is not installed, or that a file may not ask for."""


@contextmanager
def naming(source: str) -> Iterator[None]:
    """Put the name of what is looked at before the sentence of a DataError."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{source}: {error}") from None
