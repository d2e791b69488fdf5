"""Neighbour lists equal a direct enumeration of images, for every cell."""

from itertools import product

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from hypothesis import given, settings
from hypothesis import strategies as st

import keel
from keel.atoms import neighbours
from keel.atoms.batching import batch
from keel.atoms.frame import Frame
from keel.atoms.linked import half_list, ordered_pairs
from keel.atoms.neighbours import graph_of, neighbour_list
from keel.errors import DataError

Edge = tuple[int, int, int, int, int]


def enumerate_images(positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray, cutoff: float) -> set[Edge]:
    """Every pair within the cutoff, by trying all images that could reach."""
    reach = np.zeros(3, dtype=int)
    if pbc.any():
        # |S_k| <= (cutoff + extent) x |column k of the (pseudo-)inverse of the periodic vectors|.
        inverse = np.linalg.pinv(cell[pbc])
        extent = np.ptp(positions, axis=0)
        reach[pbc] = np.ceil((cutoff + np.linalg.norm(extent)) * np.linalg.norm(inverse, axis=0)).astype(int)
    shifts = np.array(list(product(*(range(-n, n + 1) for n in reach))))
    vectors = positions + (shifts @ cell)[:, None, None] - positions[:, None]
    shift_of, i, j = np.nonzero(np.linalg.norm(vectors, axis=3) < cutoff)
    itself = (i == j) & ~shifts[shift_of].any(axis=1)
    return {tuple(edge) for edge in np.column_stack([i, j, shifts[shift_of]])[~itself].tolist()}


def linked(positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray, cutoff: float) -> list[Edge]:
    """The half list by linked cells, each pair both ways."""
    half = half_list(positions, cell, pbc, cutoff)
    first = np.arange(len(positions)).repeat(np.diff(half.first_of))
    edges = [(int(i), int(j), *map(int, s)) for i, j, s in zip(first, half.j_of, half.shifts, strict=True)]
    vectors = positions[half.j_of] - positions[first] + half.shifts @ cell
    assert np.allclose(half.squared, (vectors**2).sum(axis=1), atol=1e-9)
    return edges + [(j, i, -a, -b, -c) for i, j, a, b, c in edges]


def assert_equals_enumeration(
    edges: list[Edge], positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray, cutoff: float
) -> None:
    """A pair exactly at the cutoff may be listed or not: rounding decides."""
    assert enumerate_images(positions, cell, pbc, cutoff - 1e-9) <= set(edges)
    assert set(edges) <= enumerate_images(positions, cell, pbc, cutoff + 1e-9)


def listed(positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray, cutoff: float, half: bool = False) -> list[Edge]:
    edge_index, shifts = neighbour_list(positions, cell, pbc, cutoff, half_list=half)
    return [(int(i), int(j), *map(int, s)) for (i, j), s in zip(edge_index.T, shifts, strict=True)]


CELLS = {
    "cubic": np.eye(3) * 4.0,
    "tiny": np.eye(3) * 1.3,
    "skewed": np.array([[3.0, 0, 0], [2.7, 1.5, 0], [-2.1, 1.9, 2.5]]),
    "tiny and skewed": np.array([[1.5, 0, 0], [1.4, 1.0, 0], [1.3, 0.9, 1.1]]),
    "left-handed": np.array([[0, 3.0, 0], [3.0, 0, 0], [0, 0, 3.0]]),
    "needle": np.diag([1.2, 9.0, 3.0]),
}


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("pbc", list(product([True, False], repeat=3)))
@given(seed=st.integers(0, 1000), n=st.integers(1, 4), cutoff=st.floats(0.8, 3.5))
@settings(max_examples=4)
def test_list_equals_enumeration(name: str, pbc: tuple[bool, ...], seed: int, n: int, cutoff: float) -> None:
    cell, rng = CELLS[name], np.random.default_rng(seed)
    # Up to two cells outside on either side: positions need not be wrapped.
    positions = rng.uniform(-2.0, 3.0, (n, 3)) @ cell
    edges = listed(positions, cell, np.array(pbc), cutoff)
    for found in (edges, linked(positions, cell, np.array(pbc), cutoff)):
        assert len(found) == len(set(found))
        assert_equals_enumeration(found, positions, cell, np.array(pbc), cutoff)


@given(seed=st.integers(0, 1000), n=st.integers(1, 30), cutoff=st.floats(0.5, 6.0))
@settings(max_examples=30)
def test_molecule_without_a_cell(seed: int, n: int, cutoff: float) -> None:
    positions = np.random.default_rng(seed).normal(scale=2.0, size=(n, 3))
    pbc = np.zeros(3, dtype=bool)
    cell = np.zeros((3, 3))
    for edges in (listed(positions, cell, pbc, cutoff), linked(positions, cell, pbc, cutoff)):
        assert_equals_enumeration(edges, positions, cell, pbc, cutoff)


@pytest.mark.parametrize("pbc", list(product([True, False], repeat=3)))
def test_linked_cells_find_what_the_library_finds_in_larger_structures(pbc: tuple[bool, ...]) -> None:
    rng = np.random.default_rng(3)
    cell = CELLS["skewed"] * 5.0
    positions = rng.uniform(-0.4, 1.6, (400, 3)) @ cell
    for cutoff in (1.7, 4.1):
        found = linked(positions, cell, np.array(pbc), cutoff)
        assert len(found) > 100
        assert sorted(found) == sorted(listed(positions, cell, np.array(pbc), cutoff))


@pytest.mark.parametrize("name", CELLS)
def test_half_list_holds_each_pair_once(name: str) -> None:
    positions = np.random.default_rng(1).uniform(-1.0, 2.0, (3, 3)) @ CELLS[name]
    pbc = np.ones(3, dtype=bool)
    half = listed(positions, CELLS[name], pbc, 3.0, half=True)
    back = [(j, i, -a, -b, -c) for i, j, a, b, c in half]
    full = listed(positions, CELLS[name], pbc, 3.0)
    assert not set(half) & set(back)
    assert set(half) | set(back) == set(full)
    assert 2 * len(half) == len(full)


def test_sorted_by_first_atom() -> None:
    atoms = bulk("Cu", cubic=True).repeat(2)
    edge_index, _ = neighbour_list(atoms.positions, atoms.cell.array, atoms.pbc, 5.0)
    assert (np.diff(edge_index[0]) >= 0).all()


def test_nothing_within_reach() -> None:
    edge_index, shifts = neighbour_list(np.zeros((1, 3)), np.eye(3) * 9, np.ones(3, dtype=bool), 5.0)
    assert edge_index.shape == (2, 0)
    assert shifts.shape == (0, 3)
    assert neighbour_list(np.zeros((0, 3)), np.zeros((3, 3)), np.zeros(3, dtype=bool), 5.0)[0].shape == (2, 0)


@pytest.mark.parametrize(
    ("positions", "cell", "cutoff", "words"),
    [
        ([[np.nan, 0, 0]], np.eye(3), 1.0, "not finite"),
        ([[0, 0, 0]], np.full((3, 3), np.inf), 1.0, "not finite"),
        ([[0, 0, 0]], np.eye(3), 0.0, "cutoff must be a positive"),
        ([[0, 0, 0]], np.eye(3), np.nan, "cutoff must be a positive"),
        ([[0, 0, 0]], np.diag([1.0, 0, 1]), 1.0, "no volume"),
        ([[0, 0, 0]], np.ones((3, 3)), 1.0, "no volume"),
    ],
)
def test_impossible_lists_are_refused(positions: list, cell: np.ndarray, cutoff: float, words: str) -> None:
    for search in (neighbour_list, half_list):
        with pytest.raises(DataError, match=words):
            search(np.array(positions, dtype=float), cell, np.ones(3, dtype=bool), cutoff)


def test_errors_name_the_frame() -> None:
    frame = Frame(np.array([14]), np.zeros((1, 3)), pbc=np.ones(3, dtype=bool), source="a.extxyz, frame 7")
    with pytest.raises(DataError, match=r"a\.extxyz, frame 7: the cell has no volume"):
        keel.batch([frame], 5.0)


def test_batch_takes_frames_and_atoms_one_or_many() -> None:
    atoms = bulk("Cu", cubic=True)
    atoms.info["energy"] = -1.5
    frame = keel.atoms.labelling.labelled.frame_from_ase(atoms)
    single = batch(atoms, 3.0)
    assert single.n_edges == batch(frame, 3.0).n_edges == 48
    both = batch([atoms, frame], 3.0, dtype=torch.float64)
    assert (both.n_structures, both.n_atoms, both.n_edges) == (2, 8, 96)
    assert both.positions.dtype == torch.float64
    assert both.labels is not None
    assert both.labels.energy.tolist() == [-1.5, -1.5]
    with pytest.raises(DataError, match="empty list"):
        batch([], 3.0)


def test_labels_carry_masks() -> None:
    full = Frame(np.array([14, 8]), np.eye(3)[:2], energy=-1.0, forces=np.ones((2, 3)), stress=np.eye(3))
    bare = Frame(np.array([14]), np.zeros((1, 3)))
    labels = batch([full, bare], 2.0).labels
    assert labels is not None
    for mask in (labels.energy_mask, labels.stress_mask):
        assert mask.tolist() == [True, False]
    assert labels.forces_mask.tolist() == [True, True, False]
    held = full.replace(forces_mask=np.array([True, False]))
    assert batch([held, bare], 2.0).labels.forces_mask.tolist() == [True, False, False]
    assert labels.energy.dtype == torch.float64
    assert labels.energy.tolist() == [-1.0, 0.0]
    assert labels.forces[2].tolist() == [0.0, 0.0, 0.0]
    assert labels.stress[1].abs().sum() == 0
    assert graph_of(full, 2.0, labels=False).labels is None


def test_zero_energy_is_a_label() -> None:
    labels = batch(Frame(np.array([14]), np.zeros((1, 3)), energy=0.0), 2.0).labels
    assert labels is not None
    assert labels.energy_mask.tolist() == [True]


@pytest.mark.parametrize("cutoff", [3.0, 8.0])
def test_agrees_with_ase(cutoff: float) -> None:
    from ase.neighborlist import neighbor_list

    atoms = Atoms(
        "SiO2", [[0, 0, 0], [1.6, 0, 0], [0, 1.6, 4.0]], cell=[[3, 0, 0], [1, 3.5, 0], [0.5, 0.2, 4]], pbc=True
    )
    i, j, shifts = neighbor_list("ijS", atoms, cutoff)
    expected = {(int(a), int(b), *map(int, s)) for a, b, s in zip(i, j, shifts, strict=True)}
    assert set(listed(atoms.positions, atoms.cell.array, atoms.pbc, cutoff)) == expected


@pytest.mark.parametrize("periodic", [0, 2, 3])
def test_structures_without_end_are_refused(periodic):
    """The list's library would end the process."""
    cell, pbc = np.diag([10.0, 10.0, 10.0 if periodic < 3 else 1e6]), np.arange(3) < periodic
    for length, fits in ((1e3, True), (1e6, False)):
        positions = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, length]])
        box = cell * np.array([1, 1, length / 1e6])[:, None] if periodic == 3 else cell
        if fits:
            assert (
                2 * len(half_list(positions, box, pbc, 3.0).j_of)
                == neighbour_list(positions, box, pbc, 3.0)[0].shape[1]
            )
            continue
        with pytest.raises(DataError, match="an atom has escaped"):
            neighbour_list(positions, box, pbc, 3.0)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.booleans())
def test_ordered_pairs_are_those_of_vesin_in_the_order_of_ends_and_shift(seed, half):
    rng = np.random.default_rng(seed)
    n, cell = rng.integers(1, 30), rng.uniform(2.0, 9.0) * np.eye(3) + rng.uniform(-1.0, 1.0, (3, 3))
    positions, pbc, cutoff = rng.uniform(-15.0, 15.0, (n, 3)), rng.random(3) < 0.7, rng.uniform(1.0, 6.0)
    edges, shift_of, shifts = ordered_pairs(positions, cell, pbc, cutoff, half=half)
    ends, whole = neighbour_list(positions, cell, pbc, cutoff)
    listed = sorted((int(i), int(j), *map(int, s)) for (i, j), s in zip(ends.T, whole, strict=True))
    if half:
        listed = [p for p in listed if p[0] < p[1] or (p[0] == p[1] and p[2:] > (0, 0, 0))]
    assert [(*e, *s) for e, s in zip(edges.T.tolist(), shifts[shift_of].astype(int).tolist(), strict=True)] == listed
    assert len(np.unique(shift_of)) == len(shifts)


@pytest.mark.parametrize(
    ("cell", "pbc"),
    [
        ((40.0, 45.0, 20.0), (True, True, False)),
        ((50.0, 3.0, 60.0), (True, True, True)),
        ((3.0, 40.0, 60.0), (True, False, True)),
        ((40.0, 3.0, 60.0), (False, False, False)),
    ],
)
def test_flat_structures_are_searched_further_where_cells_would_be_too_many(cell, pbc, monkeypatch):
    """The limit is lowered here, so that vesin itself is never asked what it cannot answer."""
    rng, cell, pbc = np.random.default_rng(0), np.diag(cell), np.array(pbc)
    positions = rng.uniform(size=(120, 3)) @ np.diag([40.0, 40.0, 1.0])
    assert neighbours.searched(positions, cell, pbc, 2.0) == 2.0
    near, shifts = neighbour_list(positions, cell, pbc, 2.0)
    monkeypatch.setattr(neighbours, "MOST_CELLS", 60.0)
    reach = neighbours.searched(positions, cell, pbc, 2.0)
    assert reach > 2.0
    again, moved = neighbour_list(positions, cell, pbc, 2.0)
    assert sorted(map(tuple, np.vstack([near, shifts.T]).T)) == sorted(map(tuple, np.vstack([again, moved.T]).T))


@pytest.mark.parametrize("width", [400.0, 640.0, 5000.0])
@pytest.mark.parametrize("thin", [0, 1, 2])
def test_no_structure_is_divided_into_less_than_one_cell(width, thin):
    """Of vesin's own arithmetic: where it has more cells than it wants, it makes each direction coarser alike."""
    sides = np.full(3, width)
    sides[thin] = 3.0
    reach = neighbours.searched(np.zeros((1, 3)), np.diag(sides), np.ones(3, dtype=bool), 2.0)
    cells = np.maximum(np.trunc(sides / reach), 1.0)
    if cells.prod() > neighbours.MOST_CELLS:
        assert cells.min() * np.cbrt(neighbours.MOST_CELLS / cells.prod()) >= 2.0


@pytest.mark.parametrize("pbc", [(True, True, True), (True, False, True), (False, False, False)])
def test_far_from_the_origin_edge_vectors_keep_their_digits(pbc: tuple[bool, bool, bool]) -> None:
    atoms = bulk("Cu", cubic=True)
    atoms.cell[1, 0] = 0.4
    atoms.pbc = pbc
    atoms.rattle(0.1, seed=0)
    near = keel.batch(atoms, 5.0, dtype=torch.float32)
    atoms.positions += 2e5
    atoms.positions[1] += 3000 * atoms.cell[0] * pbc[0]
    far = keel.batch(atoms, 5.0, dtype=torch.float32)
    lengths = (graph.edge_vectors().norm(dim=1).sort().values for graph in (near, far))
    torch.testing.assert_close(*lengths, rtol=0, atol=1e-5)
