"""Compiled evaluation of networks: when it pays, and what happens without a compiler."""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

import torch
from torch import Tensor

from keel.errors import KeelWarning
from keel.potentials.base import Potential
from keel.potentials.compiling.repairs import keep_order_of_sums

PAYS_FROM = 500_000
"""Atoms times steps above which compiled code saves more time than compiling takes."""
MOST_THREADS = 4
"""With more threads on CPU, nothing is compiled unless requested: loops of compiled code use a single thread."""
VARIANTS = 64
"""Versions of a compiled function: each architecture and precision has its own, with and without gradients."""

Result = TypeVar("Result")


def obstacle(device: torch.device) -> str | None:
    """Return why nothing can be compiled for a device, None if it can."""
    if device.type == "cpu":
        compilers = [os.environ.get("CXX"), "g++", "clang++", "c++", "cl"]
        return None if any(c and shutil.which(c) for c in compilers) else "there is no C++ compiler; install g++"
    if device.type == "cuda":
        return None if importlib.util.find_spec("triton") else "Triton is not installed; run pip install triton"
    return f"torch.compile does not support the device {device.type}"


def worth_compiling(device: torch.device, atom_steps: float) -> bool:
    """Return whether there is a compiler for a device, and so much work that it pays to use it."""
    few = device.type != "cpu" or torch.get_num_threads() <= MOST_THREADS
    return atom_steps >= PAYS_FROM and few and obstacle(device) is None


@contextmanager
def compiling(potential: Potential, wanted: bool | None, atom_steps: float) -> Iterator[None]:
    """Run the networks in a potential compiled within the block.

    Compiling takes some ten seconds for inference and a minute for training, once for each architecture; results
    agree with those of eager evaluation up to rounding. Batches with few edges are evaluated eagerly.

    Parameters
    ----------
    potential
        Any; only its networks are affected.
    wanted
        True or False; None: if ``atom_steps`` is at least :data:`PAYS_FROM`, there is a compiler, and threads are few.
    atom_steps
        The work ahead: number of atoms times number of steps.
    """
    networks = [m for m in potential.modules() if isinstance(m, Potential) and m.compilable and not m.compiled]
    if wanted is None:
        wanted = worth_compiling(potential.device, atom_steps)
    elif wanted and networks and (reason := obstacle(potential.device)):
        warnings.warn(f"nothing is compiled, which is slower but equally correct: {reason}", KeelWarning, stacklevel=3)
        wanted = False
    for network in networks:
        network.compiled = wanted
    try:
        yield
    finally:
        for network in networks:
            network.compiled = False


def compiled(function: Callable[..., Result], *arguments: Any) -> Result | None:
    """Call the compiled version of a function; None, with a warning, if it cannot be compiled."""
    for last in (False, True):
        try:
            version: Callable[..., Result] = _version(function)
            return version(*arguments)
        except torch._dynamo.exc.TorchDynamoException as error:
            reason = " ".join(str(error).split())[:200]
        if not last:
            _forget()
    warnings.warn(
        f"continuing without compiled code, which is slower but equally correct ({reason})", KeelWarning, stacklevel=2
    )
    return None


def agree(results: Sequence[Tensor | None], expected: Sequence[Tensor | None]) -> bool:
    """Return whether the results of compiled code are right, but for rounding: |a - b| <= sqrt(eps) |b| for each b.

    Compilers have had faults that silently made results wrong. Values that are not finite prove nothing.
    """
    for a, b in zip(results, expected, strict=True):
        if b is None or not bool(b.isfinite().all()):
            continue
        if a is None or not bool((a - b).norm() <= torch.finfo(b.dtype).eps ** 0.5 * b.norm()):
            return False
    return True


def _forget() -> None:
    """Start with an empty folder of compiled code: a killed process may have left half a file in the old one."""
    from torch._inductor.utils import clear_inductor_caches

    os.environ["TORCHINDUCTOR_CACHE_DIR"] = tempfile.mkdtemp(prefix="keel-compiled-")
    # Paths of the old folder are remembered in many places.
    clear_inductor_caches()
    torch._dynamo.reset()
    _version.cache_clear()


@cache
def _version(function: Callable[..., Result]) -> Callable[..., Result]:
    # Importing the compiler takes longer than a short simulation.
    from keel.potentials.compiling.products import OneDNNProducts, SeparateSums, pays

    keep_order_of_sums()
    config = torch._dynamo.config
    config.recompile_limit = max(config.recompile_limit, VARIANTS)
    # Sizes of a batch and of a layer that are equal by chance must not be identified.
    torch.fx.experimental._config.use_duck_shape = False
    # Less memory, and less time: cheap operations are recomputed in the backward pass rather than kept.
    torch._functorch.config.aggressive_recomputation = True
    # Loops run on one thread: with more, sums over edges need atomic additions, which take longer. Products use all.
    products = OneDNNProducts() if pays() else SeparateSums()
    options: dict[str, Any] = {"cpp.threads": 1, "post_grad_custom_post_pass": products}
    # Shapes are symbols from the start: no two batches have as many edges.
    version: Callable[..., Result] = torch.compile(function, dynamic=True, fullgraph=True, options=options)
    return version
