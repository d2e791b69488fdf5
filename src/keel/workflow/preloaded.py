"""What every worker needs, imported once for all of them: they begin as copies of a process that has only imported."""

from keel.lazy import imported_for_good

with imported_for_good("torch"):
    import numpy as np

    import keel.workflow.pipeline  # noqa: F401
    from keel.atoms.kernels.moved import moved_beyond

# The first kernel that runs makes Numba ready for all others.
moved_beyond(np.zeros((1, 3)), np.zeros((1, 3)), 1.0)
