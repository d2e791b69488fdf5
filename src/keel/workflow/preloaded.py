"""What every worker needs, imported once for all of them: they begin as copies of a process that has only imported."""

from keel.lazy import imported_for_good

with imported_for_good("torch"):
    import keel.workflow.pipeline  # noqa: F401
