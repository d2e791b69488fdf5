"""Modules that every worker needs, imported once for all: workers begin as copies of a process that has only
imported.
"""

import gc

import numpy as np

# Nothing here is garbage; a worker looks for its own.
gc.disable()

import keel.workflow.pipeline  # noqa: E402, F401
from keel.atoms.kernels.moved import moved_beyond  # noqa: E402

# Running a first kernel prepares Numba for all others.
moved_beyond(np.zeros((1, 3)), np.zeros((1, 3)), 1.0)
