"""Errors that a user can cause and mend; each message is one sentence that says what is wrong and what to do."""

from __future__ import annotations


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
