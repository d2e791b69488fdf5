"""The moves, the lists that serve all children, and ``keel perturb``."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest
from typer.testing import CliRunner

import keel
from keel.atoms.elements import COVALENT_RADII
from keel.atoms.frame import Frame
from keel.atoms.neighbours import neighbour_list
from keel.cli import app
from keel.errors import ConfigError, DataError
from keel.perturbation import Counts, PerturbationSettings, perturb
from keel.perturbation.children import find_pairs
from keel.perturbation.moves import Chosen, choose_pairs, random_deformations, random_steps, set_distances
from keel.perturbation.parents import find_partners, largest_move, prepare
from keel.settings import parse
from perturbed import children_of, parents, silica

WILD = PerturbationSettings(
    displacement=(0.0, 0.9), pair_fraction=0.5, pair_range=(0.2, 2.5), near=2.0, reach=4.0, strain=0.25
)


@pytest.mark.parametrize(
    "impossible",
    [
        {"rounds": 0},
        {"displacement": (-0.1, 0.6)},
        {"pair_fraction": 1.5},
        {"pair_range": (1.6, 0.4)},
        {"pair_range": (0.0, 1.0)},
        {"reach": 1.0},
        {"strain": 0.7},
        {"force_cap": -1.0},
        {"displacements": (0.0, 0.6)},
    ],
)
def test_impossible_settings_are_refused_in_one_sentence(impossible: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"^here: .*[^.\n]$"):
        parse(PerturbationSettings, impossible, "here")


def test_every_setting_says_what_it_is() -> None:
    assert all(field.description for field in PerturbationSettings.model_fields.values())
    assert PerturbationSettings(rounds=4, displacement=(0.0, 0.6)).lengths == pytest.approx([0.0, 0.2, 0.4, 0.6])


def test_directions_are_uniform_over_the_sphere() -> None:
    v = random_steps(np.random.default_rng(0), np.array([1.0, 2.0]), np.array([0, 20_000, 40_000]))
    assert np.allclose(np.linalg.norm(v[:20_000], axis=1), 1.0, atol=1e-14)
    assert np.allclose(np.linalg.norm(v[20_000:], axis=1), 2.0, atol=1e-14)
    # Archimedes: each coordinate of a uniform point on a sphere is uniform.
    for axis in [*np.eye(3), np.ones(3) / 3**0.5]:
        assert kstest(v[:20_000] @ axis, "uniform", (-1, 2)).pvalue > 0.01


def test_principal_strains_are_uniform_along_uniform_axes() -> None:
    periodic = np.arange(5001) < 5000
    deformation, smallest = random_deformations(np.random.default_rng(1), periodic, 0.04)
    assert np.array_equal(deformation[-1], np.eye(3))
    e = deformation[:5000] - np.eye(3)
    assert np.allclose(e, e.transpose(0, 2, 1), atol=1e-16)
    principal, axes = np.linalg.eigh(e)
    assert np.allclose(smallest, np.append(1.0 + principal[:, 0].clip(max=0.0), 1.0), atol=1e-14)
    assert kstest(principal.ravel(), "uniform", (-0.04, 0.08)).pvalue > 0.01
    assert kstest(np.abs(axes[:, 2, 0]), "uniform").pvalue > 0.01


def test_moves_are_those_of_the_first_release() -> None:
    """The same numbers are drawn in the same order, so that a seed means the same children."""
    children = children_of(silica(), 2, PerturbationSettings(pair_fraction=0.3), seed=9)
    rng = np.random.default_rng(9)
    rng.integers(7, size=2)
    axes = np.linalg.qr(rng.standard_normal((2, 3, 3)))[0]
    principal = rng.uniform(-0.03, 0.03, (2, 1, 3))
    assert np.allclose(children.deformation, np.eye(3) + (axes * principal) @ axes.transpose(0, 2, 1), atol=1e-15)
    steps = rng.standard_normal((24, 3))
    steps *= (PerturbationSettings().lengths[children.rounds].repeat(12) / np.linalg.norm(steps, axis=1))[:, None]
    alone = np.setdiff1d(np.arange(24), children.pairs)
    assert np.allclose(children.displacement[alone], steps[alone], atol=1e-15)
    draws = rng.random((2, 24))
    assert (draws[0, children.pairs[0]] < 0.3).all()
    factors = np.empty(len(children.pair_lengths))
    factors[draws[0, children.pairs[0]].argsort()] = rng.uniform(0.4, 1.6, len(factors))
    bonds = COVALENT_RADII[np.tile(silica().numbers, 2)[children.pairs]].sum(axis=0)
    assert len(factors) > 3
    assert np.allclose(children.pair_lengths, factors * bonds, atol=1e-14)


@given(parents(), st.integers(0, 1000), st.floats(0.0, 1.0))
def test_pairs_give_way_to_smaller_draws_only(frame: Frame, seed: int, fraction: float) -> None:
    partners = find_partners(frame, WILD)
    n = len(frame)
    chosen, order = choose_pairs(np.random.default_rng(seed), [partners] * 2, np.array([0, n, 2 * n]), fraction)
    draws = np.random.default_rng(seed).random((2, 2 * n))
    kept, used = [], set()
    for i in draws[0].argsort():
        own = partners[partners["first"] == i % n]
        if draws[0, i] >= fraction or not len(own):
            continue
        choice = own[np.searchsorted(own["cumulative"], i % n + draws[1, i], side="right")]
        pair = (int(i), int(choice["second"] + i // n * n))
        if used.isdisjoint(pair):
            kept.append((pair, choice))
            used.update(pair)
    assert [tuple(pair) for pair in chosen.atoms.T[order].tolist()] == [pair for pair, _ in kept]
    assert [tuple(v) for v in chosen.vectors[order]] == [tuple(choice["vector"]) for _, choice in kept]
    assert (chosen.structure == chosen.atoms[0] // n).all()


def test_two_atoms_in_one_place_part() -> None:
    chosen = Chosen(np.array([[0], [1]]), np.zeros(1, np.int64), np.zeros((1, 3)), np.array([0.8]))
    moved = np.zeros((2, 3))
    assert set_distances(chosen, np.array([1.5]), np.array([0]), np.eye(3)[None], moved) == pytest.approx([1.2])
    assert np.allclose(moved, [[-0.6, 0, 0], [0.6, 0, 0]])


@settings(max_examples=60)
@given(parents(), st.integers(0, 1000), st.sampled_from(["float32", "float64"]))
def test_steps_are_exact(frame: Frame, seed: int, dtype: str) -> None:
    n, tolerance = 20, 1e-9 if dtype == "float64" else 2e-5
    children = children_of(frame, n, WILD, seed, dtype)
    u, child = children.displacement, np.repeat(np.arange(n), len(frame))
    paired = children.pairs.ravel()
    assert len(np.unique(paired)) == len(paired)
    alone = np.setdiff1d(np.arange(len(u)), paired)
    lengths = WILD.lengths[children.rounds]
    assert np.allclose(np.linalg.norm(u[alone], axis=1), lengths[child[alone]], atol=tolerance)
    assert np.linalg.norm(u, axis=1).max() <= largest_move(find_partners(frame, WILD), WILD) + tolerance
    # The distance that a pair was given is found in the child, for the image of its second atom that was chosen.
    partners = find_partners(frame, WILD)
    bond = COVALENT_RADII[np.tile(frame.numbers, n)[children.pairs]].sum(axis=0)
    assert np.all(children.pair_lengths >= WILD.pair_range[0] * bond - tolerance)
    assert np.all(children.pair_lengths <= WILD.pair_range[1] * bond + tolerance)
    for (i, j), length in zip(children.pairs.T, children.pair_lengths, strict=True):
        images = (partners["first"] == i % len(frame)) & (partners["second"] == j % len(frame))
        vectors = partners["vector"][images] @ children.deformation[child[i]] + u[j] - u[i]
        assert np.abs(np.linalg.norm(vectors, axis=1) - length).min() < 10 * tolerance


def test_a_pair_moves_along_its_line_by_equal_parts() -> None:
    still = PerturbationSettings(displacement=(0.0, 0.0), strain=0.0, pair_fraction=0.3)
    frame = silica()
    children = children_of(frame, 50, still, seed=3)
    i, j = children.pairs
    assert len(i) > 100
    assert np.allclose(children.displacement[i], -children.displacement[j])
    atom = np.arange(len(children.displacement)) % len(frame)
    fractions = np.linalg.solve(frame.cell.T, (frame.positions[atom[j]] - frame.positions[atom[i]]).T).T
    line = (fractions - np.round(fractions)) @ frame.cell
    cosine = np.abs(np.einsum("ij,ij->i", line, children.displacement[j]))
    cosine /= np.linalg.norm(line, axis=1) * np.linalg.norm(children.displacement[j], axis=1)
    # In so small a cell another image than the nearest may have been chosen, now and then.
    assert np.mean(cosine > 1 - 1e-9) > 0.8


def test_step_two_takes_its_share_and_draws_elements_evenly() -> None:
    frame = silica()
    children = children_of(frame, 4000, PerturbationSettings(pair_fraction=0.1), seed=4)
    first, second = children.pairs % len(frame)
    # A few choices are lost to atoms that are taken already.
    assert 0.08 < len(first) / (4000 * len(frame)) < 0.1
    kinds = frame.numbers[second][frame.numbers[first] == 14]
    assert np.mean(kinds == 14) == pytest.approx(0.5, abs=0.05)
    assert np.mean(
        children.pair_lengths / (COVALENT_RADII[frame.numbers[first]] + COVALENT_RADII[frame.numbers[second]])
    ) == pytest.approx(1.0, abs=0.02)


@settings(max_examples=60)
@given(parents())
def test_partners_are_near_or_the_nearest_of_their_element(frame: Frame) -> None:
    chosen = PerturbationSettings(near=1.2, reach=3.0)
    partners = find_partners(frame, chosen)
    edges, shifts = neighbour_list(frame.positions, frame.cell, frame.pbc, 16.0)
    distance = np.linalg.norm(frame.positions[edges[1]] - frame.positions[edges[0]] + shifts @ frame.cell, axis=1)
    bond = COVALENT_RADII[frame.numbers[edges]].sum(axis=0)
    for i in range(len(frame)):
        mine = partners[partners["first"] == i]
        assert not (mine["second"] == i).any()
        if len(mine):
            assert mine["cumulative"][-1] == pytest.approx(i + 1)
        share = np.diff(mine["cumulative"], prepend=i)
        reachable = (edges[0] == i) & (edges[1] != i) & (distance < chosen.reach * bond)
        elements = np.unique(frame.numbers[edges[1][reachable]])
        for element in elements:
            of_element = frame.numbers[mine["second"]] == element
            assert share[of_element].sum() == pytest.approx(1 / len(elements))
            all_of_it = distance[reachable & (frame.numbers[edges[1]] == element)]
            near = all_of_it[all_of_it < chosen.near * (COVALENT_RADII[frame.numbers[i]] + COVALENT_RADII[element])]
            expected = near if len(near) else all_of_it.min(keepdims=True)
            assert np.allclose(np.sort(np.linalg.norm(mine["vector"][of_element], axis=1)), np.sort(expected))


def _canonical(ends: np.ndarray, shifts: np.ndarray) -> list[tuple[int, ...]]:
    forward = [(int(i), int(j), *map(int, s)) for (i, j), s in zip(ends.T, shifts, strict=True)]
    return sorted(max(edge, (edge[1], edge[0], *(-s for s in edge[2:]))) for edge in forward)


@settings(max_examples=80)
@given(parents(), st.integers(0, 1000), st.floats(2.0, 5.0))
def test_the_list_of_the_parent_serves_every_child(frame: Frame, seed: int, radius: float) -> None:
    # No cell is exactly so long: whether a pair at the radius is within it is a matter of rounding.
    n, radius = 40, radius + 0.0123456789
    parent = prepare(frame, radius, WILD, np.float64)
    children = children_of(frame, n, WILD, seed)
    pairs = find_pairs([parent] * n, children)
    ends = pairs.ends
    child, shifts = ends[0] // len(frame), pairs.shifts[pairs.shift_of].astype(int)
    for b in range(n):
        u = children.displacement[children.offsets[b] : children.offsets[b + 1]]
        positions, cell = frame.positions @ children.deformation[b] + u, frame.cell @ children.deformation[b]
        fresh = neighbour_list(positions, cell, frame.pbc, radius, half_list=True)
        mine = child == b
        assert _canonical(ends[:, mine] % len(frame), shifts[mine]) == _canonical(*fresh)
        i, j = ends[:, mine] % len(frame)
        vectors = positions[j] - positions[i] + shifts[mine] @ cell
        assert np.allclose(pairs.vectors(ends)[mine], vectors, atol=1e-9)


def test_moves_beyond_the_skin_are_never_missed() -> None:
    parent = prepare(silica(), 4.0, PerturbationSettings(displacement=(0.0, 0.1)), np.float64)
    with pytest.raises(RuntimeError, match="further than its neighbour list"):
        find_pairs([parent], children_of(silica(), 1, PerturbationSettings(displacement=(9.0, 9.0)), seed=0))


def teacher() -> keel.EAM:
    potential = keel.EAM.from_elements(["Si", "O"], cutoff=6.0)
    potential.set_offsets({8: -432.1, 14: -101.3})
    return potential


def test_perturbed_frames_carry_the_labels_of_the_teacher() -> None:
    slab = silica(1).replace(pbc=np.array([True, True, False]), info={"group": "g"})
    counts = Counts.zero(7)
    children = list(perturb([silica(), slab], teacher(), seed=5, counts=counts))
    assert counts.made.sum() == 7 + 4 + 7  # the slab is not compressed
    assert counts.kept.sum() == len(children)
    for child in children:
        expected = teacher()(keel.batch(child, 6.0, half_list=True))
        assert child.energy == pytest.approx(float(expected.energy), rel=1e-6)
        assert np.allclose(child.forces, expected.forces, atol=1e-3)
        if child.pbc.all():
            assert np.allclose(child.stress, expected.stress[0], atol=1e-4)
        else:
            assert child.stress is None
            assert child.info["group"] == "g"
    assert {child.info["parent"] for child in children} == {"silica 0", "silica 1"}
    # The children of a frame do not depend on what else is perturbed.
    alone = list(perturb([silica()], teacher(), seed=5))
    assert all(np.array_equal(a.positions, b.positions) for a, b in zip(alone, children, strict=False))


def test_some_children_are_compressed_as_a_whole() -> None:
    settings = PerturbationSettings(
        strain=0.0, pair_fraction=0.0, displacement=(0.0, 0.0), compressed=0.5, compressions=(0.9, 0.8)
    )
    slab = silica(1).replace(pbc=np.array([True, True, False]))
    assert len(list(perturb([slab], teacher(), settings))) == 7  # it has no volume
    children = list(perturb([silica()], teacher(), settings))
    assert [child.info.get("length", 1.0) for child in children] == [1.0] * 7 + [0.9, 0.8]
    for child in children:
        length = child.info.get("length", 1.0)
        assert np.allclose(child.cell, length * silica().cell)
        assert np.allclose(child.positions, length * silica().positions, atol=1e-6)
    assert children[-1].source == f"silica 0, round {children[-1].info['round']}, compressed to 0.8"
    none = settings.model_copy(update={"compressed": 0.0})
    assert len(list(perturb([silica()], teacher(), none))) == 7


def test_children_beyond_a_cap_are_left_out_and_counted() -> None:
    capped = PerturbationSettings(force_cap=30.0, energy_cap=0.1)
    counts = Counts.zero(7)
    children = list(perturb([silica(n) for n in range(6)], teacher(), capped, counts=counts))
    assert counts.force_cap.sum() > 0
    assert counts.energy_cap.sum() > 0
    assert counts.kept.sum() == len(children) > 0
    assert max(np.linalg.norm(child.forces, axis=1).max() for child in children) <= 30.0
    assert f"{counts.made.sum():,} structures made" in str(counts)


def test_perturb_refuses_an_unknown_element() -> None:
    stranger = silica().replace(numbers=np.full(len(silica()), 29))
    with pytest.raises(DataError, match="silica 0: the teacher knows O, Si but the structures contain Cu"):
        list(perturb([stranger], teacher()))


def test_command(tmp_path) -> None:
    keel.write(tmp_path / "parents.extxyz", [silica(), silica(1)])
    teacher().save(tmp_path / "eam.json")
    arguments = ["perturb", str(tmp_path / "parents.extxyz"), "--teacher", str(tmp_path / "eam.json")]
    done = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "out.extxyz"), "--rounds", "3", "--seed", "7"])
    assert done.exit_code == 0, done.output
    assert "14 structures made" in done.stderr
    written = keel.read(tmp_path / "out.extxyz", require=("energy", "forces", "stress"))
    expected = list(perturb([silica(), silica(1)], teacher(), PerturbationSettings(rounds=3), seed=7))
    assert [f.energy for f in written] == [f.energy for f in expected]
    none = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "none.extxyz"), "--force-cap", "1e-9"])
    assert isinstance(none.exception, DataError)
    assert "every perturbed structure is beyond a cap" in str(none.exception)
    wrong = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "parents.extxyz")])
    assert isinstance(wrong.exception, ConfigError)
