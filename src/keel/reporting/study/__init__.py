"""A study: what several run folders found, as plain tables, figures that are drawn from them, and one page."""

from keel.reporting.study.write import is_study, write_study

__all__ = ["is_study", "write_study"]
