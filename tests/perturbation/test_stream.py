"""The stream: a pure function of the step, with the labels of the teacher, within the caps."""

from __future__ import annotations

import copy
import warnings
from dataclasses import fields

import numpy as np
import pytest
import torch
from torch import Tensor

import keel
from keel.atoms.batching import batch
from keel.atoms.frame import Frame
from keel.atoms.graph import AtomGraph, Labels, collate
from keel.errors import ConfigError, DataError
from keel.perturbation import PerturbationSettings, PerturbationStream
from keel.perturbation.labels import select_structures
from keel.potentials.base import Potential
from keel.training.batches import Sources
from keel.training.strategies import Stage
from perturbed import silica

PARENTS = [silica(n) for n in range(5)]
OPEN = [
    silica(5).replace(pbc=np.array([True, True, False])),
    silica(6).replace(pbc=np.zeros(3, dtype=bool)),
    Frame(np.array([14]), np.zeros((1, 3))),
    Frame(np.array([14, 8]), np.array([[0.0, 0.0, 0.0], [30.0, 0.0, 0.0]])),
    Frame(np.array([14, 14]), np.array([[0.0, 0.0, 0.0], [1.2, 0.9, 1.4]]), np.eye(3) * 2.7, np.ones(3, dtype=bool)),
]


def eam(cutoff: float = 6.0) -> keel.EAM:
    potential = keel.EAM.from_elements(["Si", "O"], cutoff)
    potential.set_offsets({8: -432.1, 14: -101.3})
    return potential


def stream(
    parents: list[Frame] = PARENTS, teacher: Potential | None = None, cutoff: float = 4.0, **options: object
) -> PerturbationStream:
    if not options.keys() & {"batch_size", "batch_atoms"}:
        options["batch_size"] = 6
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return PerturbationStream(parents, teacher or eam(), cutoff=cutoff, **options)  # type: ignore[arg-type]


def tensors(graph: AtomGraph) -> dict[str, Tensor]:
    values = {f.name: getattr(graph, f.name) for f in fields(AtomGraph)}
    assert graph.labels is not None
    values |= {f"label {f.name}": getattr(graph.labels, f.name) for f in fields(Labels)}
    return {name: value for name, value in values.items() if isinstance(value, Tensor)}


def same(a: AtomGraph, b: AtomGraph) -> bool:
    first, second = tensors(a), tensors(b)
    return all(torch.equal(value, second[name]) for name, value in first.items())


def test_a_batch_is_a_function_of_seed_stage_step_and_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    one = stream(seed=3)
    monkeypatch.setattr("keel.perturbation.stream.CACHE_BYTES", 1.0)
    other = stream(seed=3)
    batches = {step: one.batch(step) for step in (0, 7, 2)}
    for step in (7, 0, 2):
        assert same(other.batch(step), batches[step])
        assert same(one.batch(step), batches[step])
    others = [
        stream(seed=4).batch(7),
        one.batch(8),
        stream(seed=3, ranks=2).batch(7, rank=1),
        stream(seed=3, batch_atoms=200).batch(7, rank=1),
        one.batch(7, stage="train"),
    ]
    for k, first in enumerate([batches[7], *others]):
        for second in others[k:]:
            assert not torch.equal(first.labels.energy, second.labels.energy)


@pytest.mark.parametrize("force_cap", [None, 20.0])
@pytest.mark.parametrize("ranks", [2, 3, 6])
def test_ranks_share_the_structures_of_one(ranks: int, force_cap: float | None) -> None:
    options = {"seed": 5, "settings": PerturbationSettings(force_cap=force_cap, energy_cap=None)}
    whole, shared = stream(batch_size=6, **options), stream(batch_size=6 // ranks, ranks=ranks, **options)
    for step in range(4):
        one, parts = whole.batch(step), [shared.batch(step, rank) for rank in range(ranks)]
        assert [part.n_structures for part in parts] == [6 // ranks] * ranks
        for name in ("energy", "forces", "stress"):
            labels = torch.cat([getattr(part.labels, name) for part in parts])
            assert torch.equal(labels, getattr(one.labels, name))
        assert sum(part.n_edges for part in parts) == one.n_edges
    if force_cap:
        assert whole.counts.force_cap.sum() > 0


def test_a_rank_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="rank 2 of 2"):
        stream(ranks=2).batch(0, rank=2)


def frames_of(graph: AtomGraph) -> list[Frame]:
    frames = []
    for b in range(graph.n_structures):
        atoms = graph.batch == b
        frames.append(
            Frame(
                numbers=graph.numbers[atoms].numpy(),
                positions=graph.positions[atoms].double().numpy(),
                cell=graph.cell[b].double().numpy(),
                pbc=graph.pbc[b].numpy(),
            )
        )
    return frames


def edges(graph: AtomGraph) -> list[tuple[int, ...]]:
    rows = torch.cat([graph.edge_index.T, graph.edge_shift.long()], dim=1)
    return sorted(map(tuple, rows.tolist()))


def pair(first: float, second: float) -> keel.SumPotential:
    return keel.SumPotential([eam(first), keel.ZBL(inner=0.4, outer=second, elements=["Si", "O"])])


def network() -> keel.CGCNN:
    torch.manual_seed(0)
    return keel.CGCNN(elements=["Si", "O"], cutoff=5.0, features=8, convolutions=1, gaussians=8, hidden=8)


@pytest.mark.parametrize(
    ("teacher", "cutoff"),
    [(eam(6.0), 4.0), (eam(3.5), 4.0), (eam(5.0), 5.0), (pair(6.0, 0.8), 4.0), (network(), 5.0), (network(), 6.0)],
    ids=["teacher sees further", "student sees further", "equal", "sum", "network", "network, student sees further"],
)
def test_labels_and_edges_are_those_of_a_fresh_graph(teacher: Potential, cutoff: float) -> None:
    # float64, so that the fresh list cannot differ by rounding.
    made = stream([*PARENTS, *OPEN], teacher, cutoff, dtype=torch.float64, batch_size=10)
    double = copy.deepcopy(teacher).double()
    for step in range(4):
        graph = made.batch(step)
        frames = frames_of(graph)
        fresh = batch(frames, cutoff, dtype=torch.float64)
        assert graph.cutoff == cutoff
        assert not graph.half_list
        assert edges(graph) == edges(fresh)
        assert bool((graph.edge_index[0].diff() >= 0).all())
        expected = double(batch(frames, teacher.cutoff, dtype=torch.float64))
        labels = graph.labels
        assert labels is not None
        assert labels.energy.dtype == torch.float64
        assert torch.allclose(labels.energy, expected.energy, rtol=1e-10)
        assert torch.allclose(labels.forces, expected.forces, rtol=1e-6, atol=1e-8)
        assert torch.equal(labels.stress_mask, graph.periodic)
        assert torch.allclose(labels.stress[graph.periodic], expected.stress[graph.periodic], rtol=1e-6, atol=1e-9)
        assert not labels.stress[~graph.periodic].any()
        assert bool(labels.energy_mask.all() and labels.forces_mask.all())


def test_single_precision_agrees_with_double() -> None:
    single = stream().batch(11)
    expected = eam()(batch(frames_of(single), 6.0, dtype=torch.float64))
    assert single.positions.dtype == single.labels.forces.dtype == torch.float32
    assert torch.allclose(single.labels.energy, expected.energy, rtol=1e-7, atol=1e-3)
    scale = expected.forces.abs().max()
    assert (single.labels.forces - expected.forces).abs().max() < 1e-4 * scale


def test_children_come_from_all_parents_and_rounds() -> None:
    made = stream(parents=[silica(0), silica(1), silica(2)], batch_size=20)
    graphs = [made.batch(step) for step in range(20)]
    sizes = torch.cat([g.atoms_per_structure for g in graphs])
    assert set(sizes.tolist()) == {12, 15, 18}
    assert made.counts.made.sum() >= 400
    assert made.counts.made.min() > 30


def test_a_share_of_the_children_is_compressed() -> None:
    settings = PerturbationSettings(strain=0.0, compressed=0.3, compressions=(0.9, 0.8), energy_cap=None)
    slab = silica(1).replace(pbc=np.array([True, True, False]))
    made = stream(parents=[silica(0), slab], settings=settings, batch_size=20, dtype=torch.float64)
    lengths: dict[bool, list[float]] = {True: [], False: []}
    for step in range(40):
        graph = made.batch(step)
        for cell, pbc in zip(graph.cell, graph.pbc, strict=True):
            whole = bool(pbc.all())
            parent = silica(0) if whole else slab
            lengths[whole].append(round(float(cell[0].norm() / np.linalg.norm(parent.cell[0])), 6))
    assert set(lengths[False]) == {1.0}
    assert set(lengths[True]) == {1.0, 0.9, 0.8}
    share = np.mean(np.array(lengths[True]) < 1.0)
    assert 0.2 < share < 0.4
    assert 0.3 < np.mean(np.array(lengths[True])[np.array(lengths[True]) < 1.0] == 0.9) < 0.7


def test_beyond_a_cap_others_are_drawn() -> None:
    capped = PerturbationSettings(displacement=(0.0, 0.6), pair_fraction=0.1, force_cap=20.0, energy_cap=0.3)
    made = stream(settings=capped, batch_size=5)
    for step in range(30):
        graph = made.batch(step)
        assert graph.n_structures == 5
        assert float(graph.labels.forces.norm(dim=1).max()) <= 20.0
        assert same(graph, stream(settings=capped, batch_size=5).batch(step))
    assert made.counts.force_cap.sum() > 0
    assert made.counts.energy_cap.sum() > 0
    assert made.counts.kept.sum() == 150
    # Larger displacements give larger forces.
    assert made.counts.force_cap[-2:].sum() > made.counts.force_cap[:2].sum()


def test_the_energy_cap_counts_from_the_parent() -> None:
    capped = PerturbationSettings(force_cap=None, energy_cap=0.2)
    made = stream(parents=[silica(0)], settings=capped, dtype=torch.float64, batch_size=8)
    parent = float(eam()(batch(silica(0), 6.0, dtype=torch.float64)).energy)
    for step in range(10):
        excess = (made.batch(step).labels.energy - parent) / len(silica(0))
        assert float(excess.max()) <= 0.2
    assert made.counts.energy_cap.sum() > 0


def test_caps_that_leave_nothing_are_refused() -> None:
    with pytest.raises(ConfigError, match="caps set aside nearly every"):
        stream(settings=PerturbationSettings(force_cap=1e-6)).batch(0)


def test_labels_that_are_not_finite_are_set_aside() -> None:
    class Infinite(keel.LennardJones):
        def offsets(self) -> Tensor:
            return super().offsets() + torch.nan

    with pytest.raises(ConfigError, match="caps set aside nearly every"):
        stream(teacher=Infinite(), settings=PerturbationSettings(force_cap=None, energy_cap=None)).batch(0)


def test_batches_by_number_of_atoms() -> None:
    made = stream(batch_atoms=70)
    sizes = [made.batch(step).n_atoms for step in range(20)]
    assert 70 - 18 < max(sizes) <= 70
    assert min(sizes) > 70 - 18
    assert stream(batch_atoms=1).batch(0).n_structures == 1


def test_nothing_is_drawn_without_moves() -> None:
    still = PerturbationSettings(rounds=1, displacement=(0.0, 0.0), pair_fraction=0.0, strain=0.0)
    graph = stream(parents=[silica(2)], settings=still, batch_size=2, dtype=torch.float64).batch(0)
    assert np.allclose(graph.positions[:18], silica(2).positions, atol=1e-14)
    assert torch.equal(graph.positions[:18], graph.positions[18:])


def test_selected_structures_are_those_of_the_batch() -> None:
    whole = stream().batch(1)
    keep = torch.tensor([True, False, False, True, True, False])
    parts = [select_structures(whole, torch.arange(6) == b) for b in range(6)]
    assert same(collate(parts), whole)
    assert same(select_structures(whole, keep), collate([p for p, kept in zip(parts, keep, strict=True) if kept]))


def test_mistakes_are_refused() -> None:
    with pytest.raises(DataError, match="no parent structures"):
        stream(parents=[])
    with pytest.raises(DataError, match=r"the teacher knows .* but the structures contain Cu"):
        stream(parents=[silica(), silica().replace(numbers=np.full(12, 29))])
    with pytest.raises(DataError, match="without atoms"):
        stream(parents=[Frame(np.zeros(0, dtype=np.int64), np.zeros((0, 3)))])
    for sizes in ({}, {"batch_size": 3, "batch_atoms": 9}, {"batch_size": 0}):
        with pytest.raises(ConfigError, match="either batch_size or batch_atoms"):
            PerturbationStream(PARENTS, eam(), cutoff=8.0, **sizes)


def test_the_teacher_is_not_changed() -> None:
    teacher = eam()
    made = stream(teacher=teacher)
    made.batch(0)
    assert teacher.dtype == torch.float64
    assert all(p.requires_grad for p in teacher.parameters())


def test_forces_alone_are_the_same_forces() -> None:
    whole, forces = stream(seed=3).batch(1).labels, stream(seed=3, forces_only=True).batch(1).labels
    assert whole is not None
    assert forces is not None
    assert torch.equal(whole.forces, forces.forces)
    assert forces.forces_mask.all()
    assert not (forces.energy_mask.any() or forces.stress_mask.any() or forces.energy.any() or forces.stress.any())
    assert whole.energy_mask.all()


def test_a_thread_that_works_ahead_makes_the_same_batches() -> None:
    alone, sources = stream(seed=3, ranks=2), Sources(stream(seed=5), stream(seed=3, ranks=2))
    pretraining = Stage("pretrain", 9, 1e-3, teacher_share=1.0, sam_rho=None)
    with sources.ahead(pretraining, 4, ranks=[1, 0]) as batches:
        for step, graphs in enumerate(batches, 4):
            assert all(same(graph, alone.batch(step, rank)) for rank, graph in zip((1, 0), graphs, strict=True))
    assert step == 8


def test_what_goes_wrong_ahead_is_said_where_the_batch_is_wanted() -> None:
    hopeless = Sources(stream(), stream(settings=PerturbationSettings(force_cap=1e-6)))
    with (
        pytest.raises(ConfigError, match="caps set aside nearly every"),
        hopeless.ahead(Stage("pretrain", 9, 1e-3, teacher_share=1.0, sam_rho=None), 0) as batches,
    ):
        next(batches)
