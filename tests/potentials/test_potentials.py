"""What the closed-form potentials and their sum are worth, against independent numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule
from ase.calculators.lj import LennardJones as AseLennardJones
from ase.units import _c, _e, _eps0
from scipy.constants import physical_constants

import keel
from keel.errors import ConfigError, DataError
from keel.potentials.base import Potential, Prediction
from keel.potentials.loading import build
from keel.potentials.switch import quintic_switch, quintic_switch_derivative
from keel.testing.structures import dimer
from small_potentials import Soft, cgcnn, eam


def predict(potential: Potential, *frames: object) -> Prediction:
    return potential(keel.batch(frames, potential.cutoff, dtype=potential.dtype))


def test_switch_is_twice_continuously_differentiable() -> None:
    r = torch.linspace(0.5, 3.5, 3001, dtype=torch.float64, requires_grad=True)
    s = quintic_switch(r, 1.0, 3.0)
    (first,) = torch.autograd.grad(s.sum(), r, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), r)
    assert torch.equal(s[r <= 1.0], torch.ones_like(s[r <= 1.0]))
    assert not s[r >= 3.0].any()
    assert torch.allclose(first, quintic_switch_derivative(r, 1.0, 3.0), atol=1e-12)
    # A jump of the second derivative would be of order one between neighbouring points.
    assert float(second.diff().abs().max()) < 0.02
    assert bool((s.diff() <= 0).all())


def test_lennard_jones_equals_ase() -> None:
    cluster = molecule("C60")
    cluster.positions *= 2.5
    # Far beyond the last neighbour, so that neither switch nor shift is felt.
    ours = predict(keel.LennardJones(0.0104, 3.4, cutoff=60.0), cluster)
    cluster.calc = AseLennardJones(sigma=3.4, epsilon=0.0104, rc=1e4)
    assert float(ours.energy) == pytest.approx(cluster.get_potential_energy(), rel=1e-9)
    assert np.allclose(ours.forces, cluster.get_forces(), atol=1e-10)


def zbl_by_the_book(z1: int, z2: int, r: float) -> float:
    """Ziegler, Biersack, Littmark, with a = 0.8854 a0 / (z1^0.23 + z2^0.23)."""
    a = 0.8854 * physical_constants["Bohr radius"][0] * 1e10 / (z1**0.23 + z2**0.23)
    x = r / a
    screening = (
        0.1818 * np.exp(-3.2 * x)
        + 0.5099 * np.exp(-0.9423 * x)
        + 0.2802 * np.exp(-0.4029 * x)
        + 0.02817 * np.exp(-0.2016 * x)
    )
    return float(_e * 1e10 / (4 * np.pi * _eps0) * z1 * z2 / r * screening)


@pytest.mark.parametrize(("first", "second"), [(1, 1), (8, 14), (14, 14), (79, 92)])
def test_zbl_is_the_universal_repulsion(first: int, second: int) -> None:
    potential = keel.ZBL(inner=0.9, outer=1.2)
    for r in (0.05, 0.2, 0.5):
        energy = float(predict(potential, dimer(first, second, r)).energy)
        assert energy == pytest.approx(zbl_by_the_book(first, second, r), rel=2e-3)


def test_zbl_may_end_elsewhere_for_a_pair() -> None:
    potential = keel.ZBL(inner=0.4, outer=0.8, pairs=[("Si", "O"), ("Si", "Si", 0.5)], elements=["Si", "O"])
    whole = keel.ZBL(inner=0.25, outer=0.5, pairs=[("Si", "Si")], elements=["Si", "O"])
    alone = keel.ZBL(inner=0.4, outer=0.8, pairs=[("O", "Si")], elements=["Si", "O"])
    for r in np.linspace(0.2, 1.8, 30):
        pair = dimer(14, 14, r)
        assert float(predict(potential, pair).energy) == pytest.approx(float(predict(whole, pair).energy), rel=1e-6)
        assert float(predict(potential, dimer(8, 14, r)).energy) == float(predict(alone, dimer(14, 8, r)).energy)
    assert potential.config()["pairs"] == [[8, 14], [14, 14, 0.5]]
    assert keel.ZBL(**potential.config()).config() == potential.config()
    assert keel.ZBL(pairs=[("Si", "Si", 0.9)], elements=["Si"]).cutoff == pytest.approx(0.9 * 2 * 1.11)


def test_zbl_acts_within_its_switch_and_on_its_pairs_only() -> None:
    potential = keel.ZBL(inner=0.4, outer=0.8, pairs=[("Si", "O")], elements=["Si", "O"])
    bond = 0.66 + 1.11
    assert float(predict(potential, dimer(8, 14, 0.801 * bond)).energy) == 0.0
    assert float(predict(potential, dimer(14, 8, 0.75 * bond)).energy) > 0.0
    assert float(predict(potential, dimer(14, 14, 0.5)).energy) == 0.0
    assert float(predict(potential, dimer(8, 8, 0.5)).energy) == 0.0
    assert potential.cutoff == pytest.approx(0.8 * 2 * 1.11)
    r = [dimer(8, 14, x) for x in np.linspace(0.1, 0.8 * bond, 200)]
    assert bool((predict(potential, *r).energy.diff() <= 0).all())


SILICA = Atoms("SiO2Si", [[0, 0, 0], [1.6, 0, 0], [0, 1.7, 0], [1.2, 1.3, 1.4]], cell=[4, 4.5, 5], pbc=True)


@pytest.mark.parametrize(
    "members",
    [
        lambda: [eam(), keel.ZBL(outer=1.3, elements=["Si", "O"])],
        lambda: [cgcnn(), eam(), keel.ZBL(outer=1.3)],
        lambda: [Soft(), keel.LennardJones(0.1, 1.5, 4.0), keel.SumPotential([eam(), Soft(2.5)])],
    ],
    ids=["closed forms", "with a network", "nested"],
)
def test_a_sum_is_the_sum_of_its_members(members) -> None:
    parts = members()
    whole = keel.SumPotential(parts)
    whole.set_offsets({14: 3.0})
    graph = keel.batch([SILICA, dimer(8, 14, 1.5)], whole.cutoff, dtype=torch.float64)
    found, each = whole(graph), [part(graph) for part in parts]
    offset = torch.tensor([6.0, 3.0], dtype=torch.float64)
    assert torch.allclose(found.energy, sum(p.energy for p in each) + offset, rtol=1e-6)
    assert torch.allclose(found.forces.double(), sum(p.forces.double() for p in each), rtol=1e-4, atol=1e-4)
    assert torch.allclose(found.stress[0].double(), sum(p.stress[0].double() for p in each), rtol=1e-4, atol=1e-5)
    assert torch.equal(whole.offsets(), sum(p.offsets() for p in parts) + whole.energy_offsets)


def test_a_sum_of_closed_forms_needs_no_autograd(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = keel.SumPotential([eam(), keel.ZBL(elements=["Si", "O"])])
    assert whole.closed_form
    assert whole.half_list
    monkeypatch.setattr(torch.autograd, "grad", None)
    assert predict(whole, SILICA).forces is not None


def test_a_sum_knows_what_all_members_know() -> None:
    assert keel.SumPotential([eam(), keel.ZBL(elements=["O", "H"]), keel.LennardJones()]).elements == (8,)
    with pytest.raises(ConfigError, match="at least one member"):
        keel.SumPotential([])
    with pytest.raises(ConfigError, match="no element in common"):
        keel.SumPotential([eam(), keel.ZBL(elements=["Cu"])])


def test_members_count_by_their_weights() -> None:
    first, second = eam(), keel.ZBL(outer=1.3, elements=["Si", "O"])
    first.set_offsets({8: 5.0})
    whole, nothing = keel.SumPotential([first, second], [2.0, -1.0]), keel.SumPotential([first, first], [1.0, -1.0])
    graph = keel.batch([SILICA, dimer(8, 14, 1.1)], whole.cutoff, dtype=torch.float64)
    a, b, found, none = (p.double()(graph) for p in (first, second, whole, nothing))
    assert torch.allclose(found.energy, 2 * a.energy - b.energy)
    assert torch.allclose(found.forces, 2 * a.forces - b.forces)
    assert torch.allclose(found.atomic_energies, 2 * a.atomic_energies - b.atomic_energies)
    assert float(none.forces.abs().max()) < 1e-9
    assert float(none.energy.abs().max()) < 1e-9
    with pytest.raises(ConfigError, match="2 members need 2 weights"):
        keel.SumPotential([first, second], [1.0])


def test_a_network_in_a_sum_runs_in_its_own_way(monkeypatch: pytest.MonkeyPatch) -> None:
    network, calls = cgcnn(), []
    own = network.energies_and_gradient
    monkeypatch.setattr(network, "energies_and_gradient", lambda *a, **k: calls.append(1) or own(*a, **k))
    predict(keel.SumPotential([network, keel.ZBL(elements=["Si", "O"])]), SILICA)
    assert calls == [1]


def test_a_sum_is_rebuilt_from_its_description() -> None:
    whole = keel.SumPotential([eam(), keel.ZBL(pairs=[("Si", "O")], elements=["Si", "O"])], [1.0, -0.5])
    again = build("SumPotential", whole.config())
    assert again.config() == whole.config()


def test_unknown_elements_are_named() -> None:
    with pytest.raises(DataError, match=r"this EAM knows O, Si but the structures contain Cu, Au"):
        predict(eam(), Atoms("AuCuO", np.eye(3) * 3))


def test_offsets_stay_in_double_precision() -> None:
    potential = cgcnn()
    potential.set_offsets({8: -432.123456789012, 14: -101.9876543210987})
    potential = potential.double().float().half().float()
    assert potential.energy_offsets.dtype == torch.float64
    assert float(potential.energy_offsets[8]) == -432.123456789012


def test_the_constant_of_coulomb() -> None:
    from keel.potentials.classical.zbl import COULOMB

    assert pytest.approx(_e * 1e10 * 1e-7 * _c**2, rel=1e-8) == COULOMB
