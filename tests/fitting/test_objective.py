"""The kernels of an EAM fit say what the loss says as it is written down, with exact derivatives."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from salts import CUTOFF, labelled, rock_salt, salt
from torch_loss import torch_errors, torch_loss

import keel
from keel.atoms.frame import Frame
from keel.fitting.chunk import COLUMNS
from keel.fitting.data import fit_data
from keel.fitting.descent import ROUGHLY, THOROUGHLY, descend
from keel.fitting.kernels import exponential
from keel.fitting.objective import GAUGE_WEIGHT, SHRINKAGE, Objective
from keel.fitting.parameters import Parametrisation
from keel.fitting.quick import QuickEAM
from keel.fitting.start import LINEAR, _solve, expected, starts
from keel.jit import kernel


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    """Crystals and a molecule, some with a third element, some without energy, forces or stress."""
    made = labelled(
        keel.EAM.from_elements([8, 11, 17], CUTOFF), [rock_salt(s, *((8, 17), (11, 17))[s % 2]) for s in range(7)]
    )
    made[2], made[3] = made[2].replace(energy=None), made[3].replace(stress=None)
    molecule = made[4].replace(cell=np.zeros((3, 3)), pbc=np.zeros(3, dtype=bool), stress=None)
    return [*made, molecule]


@pytest.fixture(scope="module")
def objective(frames: list[Frame]) -> Objective:
    model = keel.EAM.from_elements([8, 11, 17], CUTOFF)
    par = Parametrisation(model, 0.6 * model.pair_radius)
    return Objective(fit_data(frames, model, 5.0, 0.3, {8: -2.0}), par, expected(par))


def somewhere(objective: Objective, seed: int = 0) -> np.ndarray:
    theta = expected(objective.parametrisation).numpy()
    return theta + np.random.default_rng(seed).normal(0, 0.3, len(theta))


def unfitted(frames: list[Frame]) -> list[Frame]:
    """Frames whose cell has a volume, for the stress that nobody asks for."""
    return [f if f.pbc.all() else f.replace(cell=np.eye(3)) for f in frames]


@pytest.mark.parametrize("seed", range(3))
def test_loss_and_gradient_are_those_of_the_torch_form(frames, objective, seed):
    theta = somewhere(objective, seed)
    loss, gradient = objective(theta)
    x = torch.tensor(theta, requires_grad=True)
    whole = torch_loss(
        unfitted(frames), objective.data, objective.parametrisation.model, objective.parametrisation.values(x)
    )
    whole = whole + SHRINKAGE * (x - objective.expected).square().sum()
    whole.backward()
    assert loss == pytest.approx(float(whole.detach()), rel=1e-12)
    np.testing.assert_allclose(gradient, x.grad.numpy(), rtol=1e-9, atol=1e-10 * np.abs(gradient).max())


def test_gradient_is_the_difference_of_losses(objective):
    theta = somewhere(objective)
    _, gradient = objective(theta)
    for k, step in enumerate(1e-5 * np.eye(len(theta))):
        difference = (objective(theta + step)[0] - objective(theta - step)[0]) / 2e-5
        assert gradient[k] == pytest.approx(difference, rel=1e-5, abs=1e-6), k


def test_normal_equations_are_those_of_the_errors_in_torch(frames, objective):
    par = objective.parametrisation
    values = par.values(torch.tensor(somewhere(objective)))
    sizes = [len(values[name]) for name in COLUMNS]

    def errors(row: torch.Tensor) -> torch.Tensor:
        named = dict(zip(COLUMNS, row.split(sizes), strict=True))
        found, density = torch_errors(unfitted(frames), objective.data, par.model, named)
        return torch.cat([found, math.sqrt(GAUGE_WEIGHT) * torch.log(density)[None]])

    row = torch.cat([values[name] for name in COLUMNS])
    jacobian = torch.autograd.functional.jacobian(errors, row).numpy()
    error = errors(row).numpy()
    loss, gradient, matrix = objective.equations(values)
    assert loss == pytest.approx(error @ error, rel=1e-12)
    np.testing.assert_allclose(gradient, jacobian.T @ error, rtol=1e-8, atol=1e-10 * np.abs(gradient).max())
    np.testing.assert_allclose(matrix, jacobian.T @ jacobian, rtol=1e-8, atol=1e-10 * np.abs(matrix).max())


def test_loss_and_gradient_of_the_normal_equations_are_those_of_the_objective(objective):
    theta = somewhere(objective)
    loss, gradient = objective(theta)
    equations = objective.normal(theta)
    assert equations.loss == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(2.0 * equations.gradient, gradient, rtol=1e-8, atol=1e-10)


def test_the_loss_does_not_depend_on_the_order_of_frames(frames, objective):
    par, theta = objective.parametrisation, somewhere(objective)
    reverse = Objective(fit_data(frames[::-1], par.model, 5.0, 0.3, {8: -2.0}), par, objective.expected)
    for one, other in zip(objective.normal(theta), reverse.normal(theta), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)


def test_several_threads_fit_the_same_eam():
    frames = labelled(salt(), [rock_salt(seed) for seed in range(80)])
    one = keel.fit_eam(frames, CUTOFF)
    torch.set_num_threads(2)
    try:
        two = keel.fit_eam(frames, CUTOFF)
    finally:
        torch.set_num_threads(1)
    assert two.potential.config() == one.potential.config()
    assert torch.equal(two.potential.offsets(), one.potential.offsets())


def test_a_start_is_the_best_of_its_exponents(objective):
    """Changing slack, attraction or embedding, none below zero, makes nothing better."""
    par = objective.parametrisation
    loss, _ = _solve(objective, 1.6, 2.0)
    data = fit_data(labelled(salt(), [rock_salt(s) for s in range(6)]), salt(), 5.0, 0.3)
    two = Objective(data, Parametrisation(salt(), 0.6 * salt().pair_radius), torch.zeros(21, dtype=torch.float64))
    best, theta = _solve(two, 1.6, 2.0)
    values = two.parametrisation.values(theta)
    slack = values["repulsion"] - two.parametrisation.least_repulsion(values)
    at = values | {"slack": slack}
    again = two.equations(two.parametrisation.with_wall(at)).loss
    # theta cannot be zero: what is about zero starts at a fiftieth.
    assert best <= again * (1 + 1e-9)
    for name in LINEAR:
        for k in range(len(at[name])):
            other = at[name].clone()
            other[k] *= 1.1
            changed = two.equations(two.parametrisation.with_wall(at | {name: other})).loss
            assert best <= changed * (1 + 1e-9)
    assert loss > 0 and par.n_pairs == 6


def test_gauss_newton_goes_where_lbfgs_goes_and_further(objective, monkeypatch):
    start = starts(objective)[0]
    newton, theta = descend(objective, start, THOROUGHLY)
    assert newton == pytest.approx(objective(theta.numpy())[0], rel=1e-9)
    assert newton <= descend(objective, start, ROUGHLY)[0]
    monkeypatch.setattr("keel.fitting.descent.MOST_PAIRS", 0)
    lbfgs, _ = descend(objective, start, THOROUGHLY)
    assert newton <= 1.02 * lbfgs
    assert lbfgs < 0.5 * objective(start.numpy())[0]


@kernel
def _exponentials(y, found):
    for k in range(len(y)):
        found[k] = exponential(y[k])


@given(st.lists(st.floats(-700, 700), min_size=1, max_size=9))
def test_the_exponential_is_that_of_the_library(numbers):
    y, found = np.array(numbers), np.zeros(len(numbers))
    _exponentials(y, found)
    assert np.all(np.abs(found / np.exp(y) - 1.0) < 4e-16 * (1.0 + np.abs(y)))


def test_a_quick_eam_predicts_as_its_potential(frames):
    quick = QuickEAM.fit(frames)
    config = quick.model.config()
    for table, names in (("elements", quick.model.symbols), ("pairs", quick.model.pair_names)):
        for name, row in config[table].items():
            row |= {k: float(quick.values[k][names.index(name)]) for k in row if k in quick.values}
    crystals = [f for f in frames if f.pbc.all()]
    expected_labels = labelled(keel.EAM(**config), crystals)
    for found, label in zip(quick.predict(crystals), expected_labels, strict=True):
        assert found.energy == pytest.approx(quick.scale * label.energy, rel=1e-6)
        np.testing.assert_allclose(found.forces, quick.scale * label.forces, atol=1e-5 * quick.scale)
        np.testing.assert_allclose(found.stress, quick.scale * label.stress, atol=1e-6 * quick.scale)
