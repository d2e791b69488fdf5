"""Simulations of many structures at once: nothing but the structure itself may matter to its trajectory."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, fcc111
from hypothesis import given, settings
from hypothesis import strategies as st

import keel
from keel.atoms.verlet import VerletList
from keel.dynamics import ComputeSettings, MDSettings, Snapshot, simulate
from keel.errors import ConfigError, DataError
from keel.potentials import LennardJones
from simulated import Given, argon, frame_of, molecule, of_steps

DOUBLE = torch.float64
LJ = LennardJones(cutoff=6.0)


def run(starts, steps=100, *, runs=None, callback=None, precision="float64", timestep_fs=4.0, **options):
    settings = of_steps(steps, timestep_fs, **{"temperature": 80, "max_atoms": 10_000, "seed": 5, **options})
    return simulate(LJ, starts, settings, runs=runs, compute=ComputeSettings(precision=precision), callback=callback)


def slab() -> "keel.Frame":
    return frame_of(fcc111("Ar", (2, 2, 3), a=5.26, vacuum=6.0))


def skewed() -> "keel.Frame":
    """A cell far smaller than the cutoff, with oblique axes."""
    return frame_of(bulk("Ar", "hcp", a=3.85, c=6.2))


CLUSTER = molecule([[0, 0, 0], [3.8, 0, 0], [0, 3.9, 0], [0, 0, 3.7]], [18] * 4)


@pytest.mark.parametrize("ensemble", ["nve", "nvt"])
def test_alone_is_as_in_a_batch(ensemble):
    starts = [argon(), CLUSTER, slab(), skewed()]
    together = run(starts, ensemble=ensemble)
    for k, start in enumerate(starts):
        alone = run([start], ensemble=ensemble, runs=[k])[0]
        np.testing.assert_allclose(alone.last.frame.positions, together[k].last.frame.positions, atol=1e-9)
        np.testing.assert_allclose(alone.last.velocities, together[k].last.velocities, atol=1e-10)
        assert alone.last.frame.energy == pytest.approx(together[k].last.frame.energy, abs=1e-9)
        assert np.abs(alone.last.frame.positions - start.positions).max() > 0.05


@pytest.mark.parametrize("ensemble", ["nve", "nvt", "npt"])
def test_wrapping_and_translation_do_not_matter(ensemble):
    start = argon()
    images = np.random.default_rng(0).integers(-3, 4, size=(len(start), 3))
    moved = start.replace(positions=start.positions + images @ start.cell + 0.37)
    a, b = run([start], ensemble=ensemble)[0].last.frame, run([moved], ensemble=ensemble)[0].last.frame
    assert (np.abs(a.cell - start.cell).max() > 1e-3) == (ensemble == "npt")
    np.testing.assert_allclose(b.cell, a.cell, atol=1e-9)
    back = b.positions - images @ b.cell
    np.testing.assert_allclose(back - a.positions, np.broadcast_to(back[0] - a.positions[0], back.shape), atol=1e-8)
    np.testing.assert_allclose(back[0] - a.positions[0], 0.37, rtol=0.05)


def test_rotation_and_permutation_do_not_matter():
    start = run([argon()], steps=5)[0].last
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    order = np.random.default_rng(2).permutation(len(start.frame))
    turned = start.frame.replace(positions=start.frame.positions[order] @ rotation, cell=start.frame.cell @ rotation)
    moved = Snapshot(turned, start.velocities[order] @ rotation, 5, 20.0)
    a, b = run([start], ensemble="nve")[0].last, run([moved], ensemble="nve")[0].last
    np.testing.assert_allclose(b.frame.positions, a.frame.positions[order] @ rotation, atol=1e-9)


def test_continued_run_is_the_same_to_the_last_bit():
    whole = run([argon()], steps=60)[0].last
    part = run([argon()], steps=37)[0].last
    rest = run([part], steps=60)[0].last
    np.testing.assert_array_equal(rest.frame.positions, whole.frame.positions)
    np.testing.assert_array_equal(rest.velocities, whole.velocities)
    assert (rest.step, rest.time) == (60, 240.0)


def test_snapshots_of_different_steps_continue_together():
    early, late = run([argon()], steps=10)[0].last, run([CLUSTER], steps=20, runs=[1])[0].last
    both = run([early, late], steps=40)
    for k, start in enumerate((argon(), CLUSTER)):
        whole = run([start], steps=40, runs=[k])[0]
        np.testing.assert_allclose(both[k].last.frame.positions, whole.last.frame.positions, atol=1e-10)


def test_a_failing_member_does_not_disturb_the_others():
    overlapping = molecule([[0, 0, 0], [0.5, 0, 0]], [18, 18])
    late = molecule([[0, 0, 0], [1.9, 0, 0]], [18, 18])
    result = run([argon(), overlapping, skewed(), late])
    assert [t.survived for t in result] == [True, False, True, False]
    for k, start in ((0, argon()), (2, skewed())):
        alone = run([start], runs=[k])[0]
        np.testing.assert_allclose(result[k].last.frame.positions, alone.last.frame.positions, atol=1e-9)


def test_size_of_batches_does_not_matter():
    starts = [argon(), CLUSTER, argon(seed=1), skewed()]
    small, large = run(starts, max_atoms=1), run(starts, max_atoms=36)
    for a, b in zip(small, large, strict=True):
        np.testing.assert_allclose(a.last.frame.positions, b.last.frame.positions, atol=1e-9)


def test_seed_decides():
    ends = [run([argon()], steps=5, seed=seed)[0].last.frame.positions for seed in (1, 1, 2)]
    np.testing.assert_array_equal(ends[0], ends[1])
    assert np.abs(ends[0] - ends[2]).max() > 1e-3


def test_records_and_reports():
    seen = []
    result = run([argon(), CLUSTER], steps=10, record_every=4, recent=3, callback=lambda *n: seen.append(n))
    assert [s.step for s in result[0].snapshots] == [0, 4, 8] and list(result[1].times) == [0.0, 16.0, 32.0]
    assert [s.step for s in result[0].recent] == [8, 9, 10] and result[0].last is result[0].recent[-1]
    assert seen[-1] == (20, 20) and sorted(seen) == seen
    frame = result[0].frames[1]
    prediction = LennardJones(cutoff=6.0).double()(keel.batch(frame, 6.0, dtype=DOUBLE))
    assert frame.energy == pytest.approx(float(prediction.energy[0]), abs=1e-10)
    np.testing.assert_allclose(frame.forces, prediction.forces.numpy(), atol=1e-10)


def test_inputs_are_left_alone():
    start, before = argon(), argon().positions.copy()
    potential = LennardJones()
    simulate(potential, [start], of_steps(3, temperature=50))
    assert np.array_equal(start.positions, before) and potential.epsilon.dtype == torch.float64


def test_single_precision_follows_double_precision():
    single, double = run([argon()], precision="float32")[0], run([argon()])[0]
    np.testing.assert_allclose(single.last.frame.positions, double.last.frame.positions, atol=1e-3)


def test_hydrogen_halves_the_time_step():
    hydrogen = molecule([[0, 0, 0], [4.0, 0, 0]], [1, 18])
    settings = MDSettings(temperature=80, length_fs=1)
    assert simulate(LJ, [CLUSTER], settings)[0].timestep_fs == 1.0
    assert simulate(LJ, [hydrogen], settings)[0].timestep_fs == 0.5


def test_ase_atoms_can_start():
    atoms = bulk("Ar", "fcc", a=5.26, cubic=True)
    assert run([atoms], steps=2)[0].survived


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ensemble": "nph"}, "nvt, nve or npt"),
        ({"timestep_fs": 0.0}, "timestep_fs must be positive"),
        ({"temperature": -1}, "must not be negative"),
        ({"steps": -1}, "must not be negative"),
        ({"runs": [1, 1, 1]}, "run numbers"),
    ],
)
def test_impossible_settings_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        run([CLUSTER], **options)


def test_impossible_structures_are_refused():
    with pytest.raises(DataError, match="no structure"):
        run([])
    with pytest.raises(DataError, match="without atoms"):
        run([frame_of(Atoms())])
    with pytest.raises(DataError, match="in memory: positions or cell are not finite"):
        run([CLUSTER.replace(positions=np.full((4, 3), np.nan))])
    with pytest.raises(DataError, match="knows Si but"):
        simulate(keel.CGCNN(elements=[14], cutoff=5.0), [argon()], of_steps(1, temperature=10))


# --- Verlet lists ---------------------------------------------------------------------------------------------------


def edges_of(graph) -> set:
    i, j = graph.edge_index
    return set(zip(i.tolist(), j.tolist(), *graph.edge_shift.long().T.tolist(), strict=True))


@settings(max_examples=15)
@given(st.integers(0, 10_000), st.booleans(), st.floats(0.0, 1.5))
def test_verlet_list_is_a_fresh_list_at_every_step(seed, half_list, skin):
    rng = np.random.default_rng(seed)
    frames = [argon(1), CLUSTER, slab(), skewed()]
    lists = VerletList(frames, 6.0, skin=skin, half_list=half_list, dtype=DOUBLE)
    for _ in range(6):
        frames = [f.replace(positions=f.positions + rng.normal(scale=0.15, size=(len(f), 3))) for f in frames]
        positions = torch.from_numpy(np.concatenate([f.positions for f in frames]))
        graph, vectors = lists.update(positions)
        fresh = keel.batch(frames, 6.0, half_list=half_list, dtype=DOUBLE)
        if half_list:
            graph, fresh = graph.to_full_list(), fresh.to_full_list()
        else:
            torch.testing.assert_close(vectors, graph.edge_vectors(), rtol=0, atol=1e-12)
            assert bool((graph.edge_index[0].diff() >= 0).all())
        assert edges_of(graph) == edges_of(fresh)


@settings(max_examples=15)
@given(st.integers(0, 10_000), st.booleans(), st.floats(0.0, 1.5))
def test_verlet_list_of_changing_cells_is_a_fresh_list_at_every_step(seed, half_list, skin):
    rng = np.random.default_rng(seed)
    frames = [argon(1), skewed(), argon(2)]
    lists = VerletList(frames, 6.0, skin=skin, half_list=half_list, dtype=DOUBLE)
    for step in range(8):
        scales = rng.uniform(0.93, 1.05, len(frames))
        frames = [
            f.replace(positions=s * (f.positions + rng.normal(scale=0.05, size=(len(f), 3))), cell=s * f.cell)
            for f, s in zip(frames, scales, strict=True)
        ]
        if step == 5:
            frames = frames[1:]
            lists.keep([1, 2])
        positions = torch.from_numpy(np.concatenate([f.positions for f in frames]))
        graph, vectors = lists.update(positions, torch.from_numpy(np.stack([f.cell for f in frames])))
        torch.testing.assert_close(vectors, graph.edge_vectors(), rtol=0, atol=1e-12)
        fresh = keel.batch(frames, 6.0, half_list=half_list, dtype=DOUBLE)
        assert edges_of(graph.to_full_list()) == edges_of(fresh.to_full_list())


def test_verlet_list_is_rebuilt_only_where_atoms_have_moved():
    frames = [argon(1), CLUSTER]
    lists = VerletList(frames, 6.0, skin=1.0)
    positions = torch.from_numpy(np.concatenate([f.positions for f in frames]))
    for shift, expected in ((0.49, 0), (0.51, 1), (0.9, 1), (1.02, 2)):
        positions = positions.clone()
        positions[-1, 0] = CLUSTER.positions[-1, 0] + shift
        lists.update(positions)
        assert lists.rebuilds == expected


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30, 1e12])
def test_verlet_list_survives_an_explosion(value):
    frames = [argon(1), CLUSTER]
    lists = VerletList(frames, 6.0, dtype=DOUBLE)
    positions = torch.from_numpy(np.concatenate([f.positions for f in frames]))
    before, _ = lists.update(positions)
    positions = positions.clone()
    positions[1] = value
    graph, _ = lists.update(positions)
    kept = {e for e in edges_of(before) if e[0] >= 4}
    assert kept and {e for e in edges_of(graph) if e[0] >= 4} == kept
    assert not any(1 in e[:2] and e[0] != e[1] for e in edges_of(graph))
    lists.keep([1])
    graph, _ = lists.update(positions[4:])
    assert graph.n_atoms == 4 and edges_of(graph) == edges_of(keel.batch(CLUSTER, 6.0))


def test_forces_of_any_origin_can_drive():
    still = Given(lambda graph: torch.zeros_like(graph.positions))
    start, end = (simulate(still, [CLUSTER], of_steps(n, temperature=50, ensemble="nve"))[0] for n in (0, 10))
    np.testing.assert_allclose(end.last.frame.positions, CLUSTER.positions + 10.0 * start.last.velocities, atol=1e-12)
