"""Loops as machine code: how all CPU kernels are compiled.

Numba compiles a kernel when it is first called and keeps the code on disk; no compiler is needed. A module of kernels
is imported where it is first used, because importing Numba takes half a second.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])

MATHS = frozenset({"contract", "arcp", "nsz"})
"""A product and a sum may be rounded once, together. NaN and infinity stay what they are."""


def kernel(function: F) -> F:
    """Compile a loop; it releases the interpreter's lock, and divides as numpy does.

    Sums are evaluated in the order in which they are written. With reordering, a fit would be 12 % faster; but in loops
    that also write to arrays, the order would depend on memory addresses.
    """
    return _compiled(function, set(MATHS))


def inlined(function: F) -> F:
    """Compile a function that only kernels call."""
    compiled: Any = numba.njit(inline="always", error_model="numpy", fastmath=set(MATHS))(function)
    return cast("F", compiled)


def exact_kernel(function: F) -> F:
    """Compile a loop in which every operation rounds as written."""
    return _compiled(function, False)


def _compiled(function: F, fastmath: set[str] | bool) -> F:
    compiled: Any = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=fastmath)(function)
    return cast("F", compiled)
