"""Below the closest contact of its data an EAM holds the force, and nuclei do the rest."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from salts import CUTOFF, labelled, rock_salt, salt

import keel
from keel.atoms.frame import Frame
from keel.evaluation import accuracy
from keel.fitting.contacts import CONTACT_WITHOUT_DATA, LEAST_PUSH, MANY_PAIRS, MOST_WORK, contacts_in
from keel.fitting.eam import EAMFit
from keel.fitting.walls import soft_walls
from keel.potentials.classical.contact import CLAMPED_WITHIN
from keel.potentials.classical.dimer import core_energy, dimer
from keel.testing import check_potential

CORNER = np.zeros(3)
# One process makes the fixtures of this file.
pytestmark = pytest.mark.xdist_group("closest_contacts")


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    return labelled(salt(), [rock_salt(seed) for seed in range(30)])


@pytest.fixture(scope="module")
def fit(frames) -> EAMFit:
    return keel.fit_eam(frames, CUTOFF)


@pytest.fixture(scope="module")
def free(frames) -> EAMFit:
    return keel.fit_eam(frames, CUTOFF, contacts=False)


def atoms_apart(numbers: tuple[int, int], r: float) -> Frame:
    return Frame(np.array(numbers), np.stack([CORNER, [r, 0.0, 0.0]]))


def pushes_of(fit: EAMFit) -> dict[str, float]:
    """The constant force of each pair in eV/angstrom."""
    return {name: known["push"] for name, known in fit.potential.members[1].config()["pairs"].items()}


def most_push(contact: float, bond: float) -> float:
    return MOST_WORK / max(contact - 0.8 * bond, 1e-6)


def energy(potential: keel.Potential, frame: Frame) -> float:
    return float(potential(keel.batch(frame, potential.cutoff, dtype=torch.float64)).energy)


def test_contacts_are_the_closest_of_all_frames(frames, fit):
    closest = dict.fromkeys(fit.eam.pair_names, np.inf)
    for frame in frames:
        distances = frame.to_ase().get_all_distances(mic=True)
        for i, j in zip(*np.triu_indices(len(frame), 1), strict=True):
            name = "-".join(keel.atoms.elements.symbol(int(z)) for z in sorted(frame.numbers[[i, j]]))
            closest[name] = min(closest[name], distances[i, j])
    assert dict(zip(fit.eam.pair_names, fit.eam.pair_contact.tolist(), strict=True)) == pytest.approx(closest)


def test_nothing_changes_where_data_are(frames, fit, free):
    for name in ("energy", "forces", "stress"):
        ours, theirs = (getattr(accuracy(f.potential, frames), name).prediction for f in (fit, free))
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)


def test_what_was_fitted_is_trusted_a_tenth_of_the_contact_further(fit, free):
    """Of two atoms the force is then the push, and what the core adds."""
    pushed = fit.potential.members[1]
    for name, contact in zip(fit.eam.pair_names, fit.eam.pair_contact.tolist(), strict=True):
        push = pushed.config()["pairs"][name]["push"]
        r = torch.linspace(0.3, (1.0 - CLAMPED_WITHIN) * contact, 200, dtype=torch.float64)
        phi, density = fit.eam.pair_energy(r, *name.split("-")), fit.eam.density(r, *name.split("-"))
        at_rest = free.eam.density(torch.tensor([(1.0 - 0.5 * CLAMPED_WITHIN) * contact]).double(), *name.split("-"))
        torch.testing.assert_close(density, at_rest.expand(len(r)))
        torch.testing.assert_close(phi, phi[:1].expand(len(r)))
        torch.testing.assert_close(core_energy(pushed, r, *numbers(name)).diff(), -push * r.diff())


def test_the_push_is_the_force_among_the_usual_neighbours_and_its_work_is_bounded(frames, fit, free):
    """In a crystal of salt the pair force is that of two atoms whose embedding energies have the slopes of the bulk."""
    eam, bonds = free.eam, fit.eam.pair_radius
    terms = eam.terms(eam.values())
    slopes: dict[int, list[float]] = {0: [], 1: []}
    for frame in frames:
        graph = keel.batch(frame, CUTOFF, half_list=True, dtype=torch.float64)
        species = eam.species(graph)
        found = terms.evaluate(graph.edge_vectors().norm(dim=1), graph.edge_index, species)
        for k, slope in zip(species.tolist(), terms.embed(found.density, species)[1].tolist(), strict=True):
            slopes[k].append(slope)
    usual = {k: np.mean(values) for k, values in slopes.items()}
    h = 1e-5
    pushes = pushes_of(fit)
    for name, contact, bond in zip(fit.eam.pair_names, fit.eam.pair_contact.tolist(), bonds.tolist(), strict=True):
        push = pushes[name]
        a, b = name.split("-")
        r = torch.tensor([-h, h], dtype=torch.float64) + (1.0 - 0.5 * CLAMPED_WITHIN) * contact
        effective = eam.pair_energy(r, a, b)
        effective = effective + usual[eam.symbols.index(a)] * eam.density(r, b, a)
        effective = effective + usual[eam.symbols.index(b)] * eam.density(r, a, b)
        force = -float(effective.diff() / (2 * h))
        assert push == pytest.approx(min(max(LEAST_PUSH, force), most_push(contact, bond)), rel=1e-4, abs=1e-6), name


def faint(frames: list[Frame]) -> list[Frame]:
    """Labels so small that the fitted functions hardly push."""
    return [f.replace(energy=1e-3 * f.energy, forces=1e-3 * f.forces, stress=None) for f in frames]


def test_where_the_eam_hardly_repels_pairs_with_many_data_get_the_least_push(frames):
    fit = keel.fit_eam(faint(frames), CUTOFF)
    near = contacts_in(fit.eam, frames).near
    assert np.all(near >= MANY_PAIRS)
    pushes = pushes_of(fit)
    for name, contact, bond in zip(
        fit.eam.pair_names, fit.eam.pair_contact.tolist(), fit.eam.pair_radius.tolist(), strict=True
    ):
        assert pushes[name] == pytest.approx(min(LEAST_PUSH, most_push(contact, bond))), name


def test_pairs_with_few_data_push_no_harder_than_the_eam(frames):
    few = faint(frames[:2])
    fit = keel.fit_eam(few, CUTOFF)
    near = contacts_in(fit.eam, few).near
    assert np.any(near < MANY_PAIRS)
    for (name, push), n in zip(pushes_of(fit).items(), near.tolist(), strict=True):
        assert n >= MANY_PAIRS or push < 0.1, name


def test_two_atoms_repel_each_other_all_the_way(fit):
    for name in fit.eam.pair_names:
        r = torch.arange(0.1, 1.5, 0.01, dtype=torch.float64)
        assert bool((dimer(fit.potential, *name.split("-"), r).total.diff() < 0.0).all()), name


def test_pressure_rises_at_every_step_of_a_compression(fit):
    frame = rock_salt(0)
    pressures = []
    for scale in np.linspace(0.95, 0.6, 15):
        squeezed = frame.replace(positions=scale * frame.positions, cell=scale * frame.cell)
        prediction = fit.potential(keel.batch(squeezed, fit.potential.cutoff, dtype=torch.float64))
        pressures.append(-float(prediction.stress[0].diagonal().mean()))
    assert np.all(np.diff(pressures) > 0.0)


def test_a_core_ends_at_a_contact_that_is_closer(frames):
    """Two sodium atoms that nearly touch say nothing of chlorine."""
    close = [f.replace(stress=None) for f in labelled(salt(), [atoms_apart((11, 11), 0.3 * 2 * 1.66)])]
    ends = [keel.fit_eam(given, CUTOFF).potential.members[2].pairs for given in (frames, [*frames, *close])]
    assert ends[0][11, 11] > 0.6
    assert ends[1][11, 11] == pytest.approx(0.3)
    assert all(ends[1][pair] == end for pair, end in ends[0].items() if pair != (11, 11))


def test_without_contacts_a_soft_wall_gets_a_core_and_is_named(frames, free):
    soft = soft_walls(free.eam)
    assert soft
    assert any(all(name in w for name in soft) and "softer than that of nuclei" in w for w in free.warnings)
    assert isinstance(free.potential, keel.SumPotential)
    hard = labelled(keel.SumPotential([salt(), keel.ZBL(inner=0.8, outer=1.6, elements=[11, 17])]), frames)
    assert keel.fit_eam(hard, CUTOFF, contacts=False).warnings == ()
    every = keel.fit_eam(frames, CUTOFF, contacts=False, zbl=True)
    assert set(every.potential.members[1].pairs) == {(11, 11), (11, 17), (17, 17)}
    assert every.errors.forces.mae == pytest.approx(free.errors.forces.mae)


def test_a_wall_is_soft_where_it_is_a_tenth_of_that_of_nuclei(free):
    assert soft_walls(free.eam) == [
        name
        for name, radius in zip(free.eam.pair_names, free.eam.pair_radius.tolist(), strict=True)
        for r in [torch.tensor([0.3, 0.4 * radius], dtype=torch.float64)]
        if bool((dimer(free.eam, *name.split("-"), r).total < 0.1 * nuclei(name, r)).any())
    ]


def numbers(name: str) -> list[int]:
    return [keel.atoms.elements.atomic_number(e) for e in name.split("-")]


def nuclei(name: str, r: torch.Tensor) -> torch.Tensor:
    return core_energy(keel.ZBL(elements=[11, 17]), r, *numbers(name))


def test_walls_of_a_pair_that_was_never_seen_begin_at_the_sum_of_the_radii():
    """Beyond them there is nothing: mixing rules say little about such a pair."""
    first = [rock_salt(s, 11, 17) for s in range(12)]
    second = [rock_salt(s, 12, 8) for s in range(12)]
    teacher = keel.EAM.from_elements([8, 11, 12, 17], CUTOFF)
    fit = keel.fit_eam(labelled(teacher, first + second), CUTOFF)
    (wall,) = (m for m in fit.potential.members if isinstance(m, keel.ContactRepulsion))
    assert fit.pairs_without_data
    for name in fit.pairs_without_data:
        radius = fit.eam.pair_radius[fit.eam.pair_names.index(name)]
        assert wall.config()["pairs"][name]["contact"] == CONTACT_WITHOUT_DATA * radius
        r = torch.linspace(1.05 * radius, CUTOFF, 9, dtype=torch.float64)
        assert dimer(fit.potential, *name.split("-"), r).total.abs().max() < 1e-12


def test_functions_of_a_pair_that_was_rarely_seen_are_constant_below_that_contact():
    frames = [rock_salt(seed) for seed in range(12)]
    few = frames[0].numbers.copy()
    few[np.flatnonzero(few == 11)[:2]] = 3
    mixed = labelled(keel.EAM.from_elements([3, 11, 17], CUTOFF), [frames[0].replace(numbers=few), *frames[1:]])
    fit = keel.fit_eam(mixed, CUTOFF)
    place = fit.eam.pair_names.index("Li-Na")
    seen = contacts_in(fit.eam, mixed).closest[place]
    assert "Li-Na" in fit.pairs_without_data
    assert CONTACT_WITHOUT_DATA * fit.eam.pair_radius[place] < fit.eam.pair_contact[place] == seen < CUTOFF
    assert accuracy(fit.eam, mixed).forces.mae == pytest.approx(accuracy(keel.EAM(**unbent(fit.eam)), mixed).forces.mae)


def unbent(eam: keel.EAM) -> dict[str, Any]:
    """The arguments of an EAM without contacts."""
    config = eam.config()
    for row in config["pairs"].values():
        row["contact"] = 0.0
    return config


def test_no_frame_within_reach_has_no_contact():
    found = contacts_in(keel.EAM.from_elements(["P"], 8.0), [atoms_apart((15, 15), 6.0)])
    assert np.isinf(found.closest).all()
    assert not found.near.any()


contacts = st.lists(st.tuples(st.floats(0.8, 3.5), st.floats(0.0, 30.0)), min_size=3, max_size=3)


@settings(max_examples=2)
@given(contacts)
def test_contract(values):
    config = keel.EAM.from_elements(["O", "Si"], 4.0).config()
    for row, (contact, _) in zip(config["pairs"].values(), values, strict=True):
        row["contact"] = contact
    pushes = {name: {"contact": c, "push": p} for name, (c, p) in zip(config["pairs"], values, strict=True)}
    eam, pushed = keel.EAM(**config), keel.ContactRepulsion(pushes)
    assert keel.EAM(**eam.config()).config() == config
    assert pushed.config() == {"pairs": pushes}
    check_potential(keel.SumPotential([eam, pushed]))


@settings(max_examples=20)
@given(st.floats(0.8, 3.0), st.floats(1.0, 30.0))
def test_forces_bend_without_a_step_at_a_contact(contact, push):
    """Energy, force and its slope are continuous at both ends of the bend."""
    config = keel.EAM.from_elements(["P"], 5.0).config()
    config["pairs"]["P-P"]["contact"] = contact
    eam, h = keel.EAM(**config), 1e-4
    pushed = keel.ContactRepulsion({"P-P": {"contact": contact, "push": push}})
    bend = torch.linspace((1.0 - CLAMPED_WITHIN) * contact, contact, 100, dtype=torch.float64)
    for function in (eam.pair_energy, eam.density, partial(core_energy, pushed)):
        p = 15 if isinstance(function, partial) else "P"
        size = float((function(bend, p, p).diff(n=2) / (bend[1] - bend[0]) ** 2).abs().max())
        for end in (bend[0], bend[-1]):
            curvature = function(end + h * torch.arange(-3.0, 4.0, dtype=torch.float64), p, p).diff(n=2) / h**2
            assert float((curvature[-1] - curvature[0]).abs()) < 0.03 * size


def test_files_without_contacts_have_none(tmp_path):
    eam = keel.EAM.from_elements(["P"], 5.0)
    assert "contact" not in eam.config()["pairs"]["P-P"]
    with pytest.raises(keel.ConfigError, match="contact"):
        keel.EAM(**eam.config() | {"pairs": {"P-P": eam.config()["pairs"]["P-P"] | {"contact": -1.0}}})


def test_a_push_ends_at_its_contact_and_is_constant_below(tmp_path):
    pushed = keel.ContactRepulsion({"O-Si": {"contact": 1.5, "push": 4.0}})
    r = torch.tensor([0.2, 0.7, 1.2, 1.5, 2.0], dtype=torch.float64)
    si, o = torch.full((5,), 14), torch.full((5,), 8)
    energy, slope = pushed.pair_energy(r, si, o)
    assert slope[:3].tolist() == [-4.0] * 3
    assert slope[3:].tolist() == energy[3:].tolist() == [0.0, 0.0]
    assert float(energy[0] - energy[2]) == pytest.approx(4.0)
    assert pushed.pair_energy(r, o, o)[0].tolist() == [0.0] * 5
    pushed.save(tmp_path / "push.json")
    assert keel.load(tmp_path / "push.json").config() == pushed.config()
    for pairs, wrong in (({}, "at least one pair"), ({"O-Si": {"contact": 1.5}}, "O-Si needs a contact and a push")):
        with pytest.raises(keel.ConfigError, match=wrong):
            keel.ContactRepulsion(pairs)
