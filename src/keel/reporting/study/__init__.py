"""A study: results of several run folders as plain tables, figures drawn from these, and one page."""

from keel.lazy import find_submodules
from keel.reporting.study.write import is_study, write_study

__all__ = ["is_study", "write_study"]

find_submodules(__name__)
