from itertools import product

import numpy as np
import pytest
from ase.geometry import find_mic
from hypothesis import given, settings
from hypothesis import strategies as st

from keel.atoms.elements import COVALENT_RADII
from keel.atoms.frame import Frame
from keel.reporting.figures.view import best_view, centred, closest_pair, hiding


def random_frame(seed: int, periodic: bool = True) -> Frame:
    rng = np.random.default_rng(seed)
    cell = 8.0 * np.eye(3) + rng.uniform(-1.5, 1.5, (3, 3)) if periodic else np.zeros((3, 3))
    numbers = rng.choice([1, 8, 14], size=int(rng.integers(2, 12)))
    return Frame(numbers, rng.uniform(-9, 9, (len(numbers), 3)), cell, np.full(3, periodic))


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.booleans())
def test_closest_pair_equals_a_search_over_all_images(seed, periodic):
    frame = random_frame(seed, periodic)
    images = np.array(list(product(range(-4, 5), repeat=3))) @ frame.cell if periodic else np.zeros((1, 3))
    best = min(
        np.linalg.norm(frame.positions[j] - frame.positions[i] + images, axis=1).min()
        / (COVALENT_RADII[frame.numbers[i]] + COVALENT_RADII[frame.numbers[j]])
        for i in range(len(frame))
        for j in range(i)
    )
    assert closest_pair(frame).ratio == pytest.approx(best)


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.sampled_from([(1, 1, 1), (1, 0, 1), (0, 0, 1), (0, 0, 0)]))
def test_large_structures_have_the_closest_pair_of_a_comparison_of_all(seed, pbc):
    rng = np.random.default_rng(seed)
    cell = 24.0 * np.eye(3) + rng.uniform(-8, 8, (3, 3))
    numbers = rng.choice([1, 14, 55], size=600)
    frame = Frame(numbers, rng.uniform(-1, 2, (600, 3)) @ cell, cell, np.array(pbc, dtype=bool))
    i, j = np.triu_indices(600, k=1)
    vectors, distances = find_mic(frame.positions[j] - frame.positions[i], cell, frame.pbc)
    best = int(np.argmin(distances / (COVALENT_RADII[numbers[i]] + COVALENT_RADII[numbers[j]])))
    found = closest_pair(frame)
    assert (found.i, found.j, found.distance) == (i[best], j[best], pytest.approx(distances[best]))
    assert np.allclose(found.vector, vectors[best])


def test_atoms_that_flew_away_have_a_closest_pair():
    positions = np.random.default_rng(0).uniform(0, 30, (600, 3))
    positions[7, 0] = 1e9
    pair = closest_pair(Frame(np.full(600, 14), positions))
    assert 7 not in (pair.i, pair.j) and pair.distance < 2.0


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.booleans())
def test_the_pair_stands_in_the_middle_whatever_the_wrapping(seed, periodic):
    frame = random_frame(seed, periodic)
    pair = closest_pair(frame)
    positions = centred(frame, pair)
    ends = positions[[pair.i, pair.j]]
    assert np.allclose(ends.sum(axis=0), 0, atol=1e-9)
    assert np.allclose(np.linalg.norm(ends[1] - ends[0]), pair.distance)
    if periodic:
        assert np.abs(np.linalg.solve(frame.cell.T, positions.T)).max() <= 0.5 + 1e-9
        shifts = np.random.default_rng(seed).integers(-2, 3, (len(frame), 3)) @ frame.cell
        moved = frame.replace(positions=frame.positions + shifts)
        assert closest_pair(moved).distance == pytest.approx(pair.distance)


@settings(max_examples=15)
@given(st.integers(0, 10**6))
def test_views_are_rotations(seed):
    frame = random_frame(seed)
    pair = closest_pair(frame)
    view = best_view(centred(frame, pair), frame, pair)
    assert np.allclose(view @ view.T, np.eye(3))
    assert np.linalg.det(view) == pytest.approx(1.0)


def test_only_atoms_in_front_of_the_pair_hide_it():
    positions = np.array([[-0.3, 0, 0], [0.3, 0, 0], [0.2, 0.1, 4], [0.2, 0.1, -4], [6, 6, 4]])
    frame = Frame(np.full(5, 15), positions)
    pair = closest_pair(frame)
    assert (pair.i, pair.j) == (0, 1)
    assert (hiding(positions, frame, pair) > 0).tolist() == [False, False, True, False, False]
    turned = centred(frame, pair) @ best_view(centred(frame, pair), frame, pair).T
    assert not hiding(turned, frame, pair).any()
