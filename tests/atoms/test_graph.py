"""Batches are their members, half and full lists the same pairs, and a graph knows what it cannot know."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from keel.atoms.batching import batch
from keel.atoms.frame import Frame
from keel.atoms.graph import AtomGraph, collate
from keel.atoms.neighbours import graph_of
from keel.errors import DataError


def crystal(seed: int, n: int, periodic: bool = True, size: float = 3.0) -> Frame:
    rng = np.random.default_rng(seed)
    cell = (np.eye(3) + rng.uniform(-0.2, 0.2, (3, 3))) * size
    return Frame(
        numbers=rng.integers(1, 90, n),
        positions=rng.uniform(-1, 2, (n, 3)) @ cell,
        cell=cell if periodic else np.zeros((3, 3)),
        pbc=np.full(3, periodic),
        energy=float(seed),
        forces=rng.normal(size=(n, 3)),
    )


def edges(graph: AtomGraph) -> list[tuple[float, ...]]:
    """Each edge as (i, j, shift), sorted."""
    columns = torch.cat([graph.edge_index.T.double(), graph.edge_shift.double()], dim=1)
    return sorted(map(tuple, columns.tolist()))


systems = st.builds(crystal, st.integers(0, 10**6), st.integers(1, 5), st.booleans())


@given(systems, st.floats(1.0, 5.0))
@settings(max_examples=40)
def test_half_and_full_lists_are_each_others_inverse(frame: Frame, cutoff: float) -> None:
    full = graph_of(frame, cutoff, dtype=torch.float64)
    half = graph_of(frame, cutoff, half_list=True, dtype=torch.float64)
    assert full.to_full_list() is full
    assert half.to_half_list() is half
    assert edges(half.to_full_list()) == edges(full)
    assert edges(full.to_half_list().to_full_list()) == edges(full)
    assert full.to_half_list().n_edges * 2 == full.n_edges
    assert (half.to_full_list().edge_index[0].diff() >= 0).all()


@given(systems, st.floats(1.0, 4.0), st.floats(0.1, 1.0))
@settings(max_examples=40)
def test_within_equals_a_list_of_that_cutoff(frame: Frame, cutoff: float, share: float) -> None:
    graph = graph_of(frame, cutoff, dtype=torch.float64)
    smaller = graph.within(cutoff * share)
    assert edges(smaller) == edges(graph_of(frame, cutoff * share, dtype=torch.float64))
    assert smaller.cutoff == cutoff * share
    assert graph.within(cutoff) is graph


def test_a_larger_cutoff_cannot_be_found_in_a_graph() -> None:
    with pytest.raises(DataError, match=r"up to 3 angstrom but 5 are needed; build it with keel\.batch"):
        graph_of(crystal(0, 2), 3.0).within(5.0)


@given(st.lists(systems, min_size=1, max_size=4))
@settings(max_examples=30)
def test_a_batch_is_its_members(frames: list[Frame]) -> None:
    graphs = [graph_of(f, 3.0, dtype=torch.float64) for f in frames]
    joined = collate(graphs)
    assert joined.n_structures == len(frames)
    assert joined.atoms_per_structure.tolist() == [len(f) for f in frames]
    assert joined.volume.tolist() == pytest.approx([f.volume for f in frames])
    assert joined.periodic.tolist() == [bool(f.pbc.all()) for f in frames]
    vectors, owner = joined.edge_vectors(), joined.batch[joined.edge_index[0]]
    assert (owner == joined.batch[joined.edge_index[1]]).all()
    for k, graph in enumerate(graphs):
        assert torch.allclose(vectors[owner == k], graph.edge_vectors(), atol=1e-12)
        assert torch.equal(joined.numbers[joined.batch == k], graph.numbers)
    assert joined.labels is not None
    assert joined.labels.energy.tolist() == [f.energy for f in frames]


@given(systems)
@settings(max_examples=20)
def test_edge_vectors_are_those_of_the_images(frame: Frame) -> None:
    graph = graph_of(frame, 3.0, dtype=torch.float64)
    i, j = graph.edge_index.numpy()
    expected = frame.positions[j] + graph.edge_shift.numpy() @ frame.cell - frame.positions[i]
    vectors = graph.edge_vectors().numpy()
    np.testing.assert_allclose(vectors, expected, atol=1e-12)
    assert (np.linalg.norm(vectors, axis=1) < 3.0).all()


def test_a_batch_of_batches() -> None:
    frames = [crystal(k, 2 + k) for k in range(4)]
    graphs = [graph_of(f, 3.0) for f in frames]
    nested = collate([collate(graphs[:2]), collate(graphs[2:])])
    for field in dataclasses.fields(AtomGraph):
        first, second = getattr(nested, field.name), getattr(collate(graphs), field.name)
        if isinstance(first, torch.Tensor):
            assert torch.equal(first, second), field.name


def test_labels_survive_only_where_all_have_them() -> None:
    with_labels, without = graph_of(crystal(0, 2), 3.0), graph_of(crystal(1, 2), 3.0, labels=False)
    assert collate([with_labels, without]).labels is None


def test_unlike_graphs_are_not_batched() -> None:
    frame = crystal(0, 2)
    with pytest.raises(DataError, match="different cutoffs or list kinds"):
        collate([graph_of(frame, 3.0), graph_of(frame, 4.0)])
    with pytest.raises(DataError, match="different cutoffs or list kinds"):
        collate([graph_of(frame, 3.0), graph_of(frame, 3.0, half_list=True)])
    with pytest.raises(DataError, match="empty list"):
        collate([])


def test_moving_to_another_dtype_keeps_energies_exact() -> None:
    graph = batch(crystal(0, 3).replace(energy=-123456.78901234567), 3.0, dtype=torch.float64).to(dtype=torch.float32)
    assert graph.positions.dtype == graph.cell.dtype == graph.edge_shift.dtype == torch.float32
    assert graph.numbers.dtype == graph.edge_index.dtype == torch.int64
    assert graph.labels is not None
    assert graph.labels.forces.dtype == torch.float32
    assert graph.labels.energy.item() == -123456.78901234567


def test_selecting_edges() -> None:
    graph = graph_of(crystal(3, 4), 3.0)
    keep = torch.arange(graph.n_edges) % 2 == 0
    by_mask, by_index = graph.select_edges(keep), graph.select_edges(keep.nonzero()[:, 0])
    assert edges(by_mask) == edges(by_index)
    assert by_mask.n_edges == int(keep.sum())
    with pytest.raises(dataclasses.FrozenInstanceError):
        graph.cutoff = 9.0  # type: ignore[misc]


def test_one_atom_and_no_edge() -> None:
    graph = graph_of(Frame(np.array([14]), np.zeros((1, 3))), 3.0)
    assert graph.n_edges == 0
    assert graph.edge_vectors().shape == (0, 3)
    for other in (graph.to_half_list(), graph.to_half_list().to_full_list(), graph.within(1.0)):
        assert other.n_edges == 0
    assert graph.periodic.tolist() == [False]
    assert graph.volume.tolist() == [0.0]
