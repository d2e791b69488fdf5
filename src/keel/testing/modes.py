"""The two modes of a network, smooth and reference: the contract applies to both, but only one is smooth at the cutoff.

A network declares them with an argument ``mode`` in its ``config()``, like those of keel: ``"smooth"``, or
``"reference"`` for exactly what another implementation computes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch

from keel.errors import ConfigError
from keel.potentials.base import Potential

MODES = ("smooth", "reference")

EXEMPT: Mapping[str, frozenset[str]] = {"reference": frozenset({"smooth_cutoff"})}
"""Checks that a mode does not guarantee."""


def in_each_mode(potential: Potential, without: Collection[str] = ()) -> dict[str, Potential]:
    """Return the potential by the name of its mode, ``""`` if it has none, followed by its twin in the other mode.

    The twin has the same options and, where their names and shapes agree, the same weights. There is none ``without``
    its mode, or if the constructor refuses it with a ConfigError, since some options belong to one mode.

    Raises
    ------
    AssertionError
        If the constructor fails in another way.
    """
    own = getattr(potential, "mode", None)
    if own not in MODES or "mode" not in potential.config():
        return {"": potential}
    twins = {mode: _twin(potential, mode) for mode in MODES if mode != own and mode not in without}
    return {own: potential, **{mode: twin for mode, twin in twins.items() if twin is not None}}


def _twin(potential: Potential, mode: str) -> Potential | None:
    # With a random state of its own: a check neither depends on what ran before, nor changes what comes after.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            twin = type(potential).from_config({**potential.config(), "mode": mode})
        except ConfigError:
            return None
        except Exception as error:
            what = f"{type(error).__name__}: {' '.join(str(error).split())}"
            name = type(potential).__name__
            raise AssertionError(f"config() of {name} names a mode, but {name}(mode={mode!r}) raises {what}") from error
    twin = twin.to(device=potential.device, dtype=potential.dtype).train(potential.training)
    shapes = {name: tensor.shape for name, tensor in twin.state_dict().items()}
    fitting = {name: tensor for name, tensor in potential.state_dict().items() if shapes.get(name) == tensor.shape}
    twin.load_state_dict(fitting, strict=False)
    return twin
