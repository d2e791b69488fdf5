"""Rules for a potential as a whole: its cutoff, elements, offsets, parameters, files."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from itertools import combinations_with_replacement
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from keel.atoms.batching import batch
from keel.atoms.elements import symbol
from keel.atoms.frame import Array
from keel.atoms.graph import AtomGraph
from keel.errors import DataError
from keel.potentials.base import Potential
from keel.potentials.loading import load
from keel.testing.checks import SINGLE, STEP, assert_equal, assert_same
from keel.testing.differences import STENCIL, slopes
from keel.testing.structures import STRUCTURES, atom, dimer, trial_frames
from keel.testing.transformations import predict

Rule = Callable[[Potential], None]

DEFAULT_ELEMENTS = (8, 14)


def trial_elements(potential: Potential) -> tuple[int, ...]:
    """Return up to three elements that the potential knows."""
    return (potential.elements or DEFAULT_ELEMENTS)[:3]


def smooth_cutoff(potential: Potential) -> None:
    """Energy and force of every pair of elements vanish smoothly at the cutoff, and are exactly zero beyond."""
    potential = copy.deepcopy(potential).double()
    elements = potential.elements or DEFAULT_ELEMENTS
    pairs = list(combinations_with_replacement(elements, 2))
    alone = dict(zip(elements, predict(potential, [atom(z) for z in elements]).energy.tolist(), strict=True))
    apart = np.array([alone[a] + alone[b] for a, b in pairs])
    energy, force = {}, {}
    for share in (0.98, 0.99, 0.999, 1.001):
        found = predict(potential, [dimer(a, b, potential.cutoff * share) for a, b in pairs])
        assert found.forces is not None
        energy[share] = np.abs(found.energy.numpy() - apart)
        force[share] = found.forces.reshape(-1, 2, 3).norm(dim=2).amax(dim=1).numpy()
    assert not force[1.001].any(), "there are forces beyond the cutoff"
    what = "energies beyond the cutoff and of atoms alone"
    assert_equal(what, energy[1.001], np.zeros_like(apart), float(np.abs(apart).max()), 1e-12)
    _vanishes("energy", energy, pairs)
    _vanishes("force", force, pairs)


def _vanishes(what: str, sizes: Mapping[float, Array], pairs: Sequence[tuple[int, int]]) -> None:
    """Raise unless the values of each pair of elements, by distance in cutoffs, become small enough towards it."""
    # A value that vanishes at least linearly is twenty times smaller at 0.999 of the cutoff than at 0.98, and ten times
    # smaller than at 0.99; at one of the two it may pass through zero.
    far, near = np.maximum(sizes[0.98], sizes[0.99]), sizes[0.999]
    worst = int((near - 0.1 * far).argmax())
    pair = "-".join(map(symbol, pairs[worst]))
    assert near[worst] <= 0.1 * far[worst] + 1e-10, (
        f"the {what} of {pair} jumps at the cutoff: up to {far[worst]:.3g} at 0.98 and 0.99 of it, "
        f"still {near[worst]:.3g} at 0.999"
    )


def offsets(potential: Potential) -> None:
    """Per-element offsets add to the energy exactly, however large; with them alone an isolated atom is a reference."""
    potential = copy.deepcopy(potential)
    elements = trial_elements(potential)
    frames = [*trial_frames("periodic", elements, potential.cutoff), atom(elements[0])]
    before, zero = predict(potential, frames), potential.offsets().clone()
    potential.set_offsets({z: 1e5 + z for z in elements})
    after, change = predict(potential, frames), potential.offsets() - zero
    expected = torch.stack([change[torch.from_numpy(f.numbers)].sum() for f in frames])
    assert_equal("change of energy and of offsets", after.energy - before.energy, expected, 1e5, 1e-14)
    if potential.closed_form:
        assert_equal(
            "energy of an isolated atom and its offset", after.energy[1:], expected[1:] + zero[elements[0]], 1, 0
        )


def unknown_elements(potential: Potential) -> None:
    """An element that the potential does not know is refused."""
    if potential.elements is None:
        return
    stranger = next(z for z in range(1, 119) if z not in potential.elements)
    try:
        predict(potential, [dimer(potential.elements[0], stranger, 2.0)])
    except DataError:
        return
    except Exception as error:
        what = f"{symbol(stranger)} is not among its elements and is refused"
        raise AssertionError(f"{what} by a {type(error).__name__} instead of a DataError") from error
    raise AssertionError(f"{symbol(stranger)} is not among its elements but was not refused")


def small_cutoff(potential: Potential) -> None:
    """A graph whose cutoff is too small is refused."""
    frames = trial_frames("molecule", trial_elements(potential), potential.cutoff)
    try:
        potential(batch(frames, 0.9 * potential.cutoff, dtype=potential.dtype))
    except DataError:
        return
    raise AssertionError("a graph with a smaller cutoff than the potential's was not refused")


def inputs_untouched(potential: Potential) -> None:
    """Neither the graph nor the parameters are changed by a prediction."""
    frames = trial_frames("two systems", trial_elements(potential), potential.cutoff)
    graph = batch(frames, potential.cutoff, dtype=potential.dtype)
    before, state = copy.deepcopy(graph), copy.deepcopy(potential.state_dict())
    potential(graph)
    potential(graph, differentiable=True)
    for field in fields(AtomGraph):
        value, old = getattr(graph, field.name), getattr(before, field.name)
        if isinstance(value, Tensor):
            assert torch.equal(value, old), f"{field.name} of the graph was changed"
            assert not value.requires_grad, f"{field.name} of the graph was left requiring a gradient"
    for name, value in potential.state_dict().items():
        assert torch.equal(value, state[name]), f"{name} of the potential was changed"


def files(potential: Potential) -> None:
    """A saved potential loads again identical to the last bit."""
    with tempfile.TemporaryDirectory() as folder:
        for suffix in (".safetensors", ".json") if potential.closed_form else (".safetensors",):
            path = Path(folder) / f"potential{suffix}"
            potential.save(str(path))
            again = load(path)
            assert type(again) is type(potential), f"{type(again).__name__} was loaded"
            assert again.elements == potential.elements, "the elements differ"
            assert again.cutoff == potential.cutoff, "the cutoff differs"
            for name in STRUCTURES:
                frames = trial_frames(name, trial_elements(potential), potential.cutoff)
                tolerance = 0.0 if potential.dtype == torch.float64 else 1e-6
                what = f"saved and loaded ({suffix}, {name!r})"
                assert_same(predict(again, frames), predict(potential, frames), what, tolerance)


def precision(potential: Potential) -> None:
    """float32 agrees with float64 to rounding."""
    single, double = copy.deepcopy(potential).float(), copy.deepcopy(potential).double()
    for name in STRUCTURES:
        frames = trial_frames(name, trial_elements(potential), potential.cutoff)
        assert_same(predict(single, frames), predict(double, frames), f"float32 and float64 ({name!r})", SINGLE)


def parameter_gradients(potential: Potential) -> None:
    """With ``differentiable=True`` a loss of energy, forces and stress has the right parameter gradients."""
    potential = copy.deepcopy(potential).double()
    parameters = [p for p in potential.parameters() if p.requires_grad]
    if not parameters:
        return
    frames = trial_frames("two systems", trial_elements(potential), potential.cutoff)
    graph = batch(frames, potential.cutoff, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    weights = [
        torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((2,), (graph.n_atoms, 3), (3, 3))
    ]
    direction = _direction(parameters, generator)

    def loss() -> Tensor:
        p = potential(graph, differentiable=True)
        assert p.forces is not None
        assert p.stress is not None
        terms: Tensor = (p.energy * weights[0]).sum() + (p.forces * weights[1]).sum() + (p.stress[1] * weights[2]).sum()
        return terms

    gradients = torch.autograd.grad(loss(), parameters, allow_unused=True, materialize_grads=True)
    slope = float(sum((g * d).sum() for g, d in zip(gradients, direction, strict=True)))
    values, place = [], 0
    for k in STENCIL:
        with torch.no_grad():
            for parameter, d in zip(parameters, direction, strict=True):
                parameter.add_(d, alpha=(k - place) * STEP)
        values.append(float(loss().detach()))
        place = k
    difference = slopes(np.array(values), STEP)
    # Along a single direction a slope may vanish by chance.
    expected = _length(gradients) / sum(d.numel() for d in direction) ** 0.5
    assert_equal("parameter gradients and differences", [slope], difference, max(abs(slope), expected), 1e-4)


def _direction(parameters: Sequence[Tensor], generator: torch.Generator) -> list[Tensor]:
    """Return a random direction of length 1 among all parameters, so that a step is small whatever their number."""
    direction = [torch.randn(p.shape, generator=generator, dtype=torch.float64) for p in parameters]
    return [d / _length(direction) for d in direction]


def _length(tensors: Sequence[Tensor]) -> float:
    return float(sum(float(t.square().sum()) for t in tensors) ** 0.5)


RULES: dict[str, Rule] = {
    rule.__name__: rule
    for rule in (
        smooth_cutoff,
        offsets,
        unknown_elements,
        small_cutoff,
        inputs_untouched,
        files,
        precision,
        parameter_gradients,
    )
}
