"""Training from a store: the same batches, weights and checkpoints as from memory, and after any kill."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import keel
from keel.atoms.selecting import drawn, in_memory
from keel.errors import DataError, KeelWarning
from keel.training import batches as batches_of
from keel.training.batches import FrameBatches
from small_training import ARGON, SHORT, argon, network
from stored import same, stored


def equal(first: keel.AtomGraph, second: keel.AtomGraph) -> bool:
    names = ("numbers", "positions", "cell", "pbc", "batch", "edge_index", "edge_shift")
    labels = ("energy", "energy_mask", "forces", "forces_mask", "stress", "stress_mask")
    pairs = [(getattr(first.labels, name), getattr(second.labels, name)) for name in labels]
    assert all(torch.equal(*pair) and pair[0].dtype == pair[1].dtype for pair in pairs)
    return all(torch.equal(getattr(first, name), getattr(second, name)) for name in names)


@pytest.mark.parametrize("size", [{"batch_size": 3}, {"batch_size": None, "batch_atoms": 20}], ids=str)
def test_batches_are_those_from_memory(size, tmp_path):
    frames = argon(10)
    memory, store = (FrameBatches(f, 5.0, seed=3, **size) for f in (frames, stored(frames, tmp_path / "a.keel", 4)))
    for step in (0, 1, 7, 40, 3):
        assert equal(memory.batch(step), store.batch(step))


def test_no_graph_is_built_before_it_is_needed(tmp_path, monkeypatch):
    built = []
    graphs_of = batches_of.graphs_of
    monkeypatch.setattr(batches_of, "graphs_of", lambda f, *a, **k: built.extend(f) or graphs_of(f, *a, **k))
    source = FrameBatches(stored(argon(10), tmp_path / "a.keel"), 5.0, 2, seed=0)
    assert not built
    source.batch(0)
    assert len(built) == 2


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.integers(1, 30), st.integers(1, 3), st.integers(0, 9))
def test_batches_by_atoms_are_full_and_hold_each_frame_once_in_an_epoch(atoms, most, ranks, seed):
    frames = [
        keel.Frame(np.full(n, 18), np.arange(3.0 * n).reshape(n, 3) * 9, energy=float(k)) for k, n in enumerate(atoms)
    ]
    source = FrameBatches(frames, 2.0, None, seed, ranks, batch_atoms=most)
    seen: list[int] = []
    step = 0
    while len(seen) < 2 * len(frames):
        for rank in range(ranks):
            graph = source.batch(step, rank)
            assert graph.n_atoms <= most or graph.n_structures == 1
            seen += graph.labels.energy.int().tolist()
        step += 1
    every = list(range(len(frames)))
    assert sorted(seen[: len(frames)]) == every and sorted(seen[len(frames) : 2 * len(frames)]) == every
    anew = FrameBatches(frames, 2.0, None, seed, ranks, batch_atoms=most)
    assert equal(anew.batch(step - 1, ranks - 1), source.batch(step - 1, ranks - 1))


@pytest.mark.parametrize("strategy", ["vanilla", "pretrain", "zbl-delta"])
def test_weights_are_those_from_memory(strategy, tmp_path):
    frames = [*argon(8), keel.Frame(np.array([18]), np.zeros((1, 3)), energy=-0.5)]
    store = stored(frames, tmp_path / "a.keel", 4)
    found = []
    for own in (frames, store):
        result = keel.train(
            network(), own, strategy=strategy, teacher=ARGON, validation=own[:3], settings=SHORT, seed=1
        )
        found.append(torch.cat([p.flatten() for p in result.potential.state_dict().values()]))
    assert torch.equal(*found)


def test_another_choice_of_frames_is_another_training(tmp_path):
    store = stored(argon(8), tmp_path / "a.keel", 4)
    keel.train(network(), store[:6], settings=SHORT, folder=tmp_path / "run")
    with pytest.raises(keel.ConfigError, match="the checkpoint belongs to other settings or data"):
        keel.train(network(), store[:7], settings=SHORT, folder=tmp_path / "run")


TRAIN = """
import random, sys
sys.path.insert(0, sys.argv[3])
import keel, lightning.fabric
from small_training import SHORT, network
from waiting import killed

train, moments = keel.train, random.Random(2)

def work(step):
    train(network(), keel.read(sys.argv[1]), settings=SHORT, folder=sys.argv[2], loggers=[lambda row: step()])

print([killed(work, moments.randint(1, 4)) for _ in range(2)])
"""


@pytest.mark.slow
def test_killed_at_any_moment_it_ends_with_the_same_weights(tmp_path):
    store = stored(argon(8), tmp_path / "a.keel", 4)
    whole = keel.train(network(), store, settings=SHORT, folder=tmp_path / "whole")
    paths = tmp_path / "a.keel", tmp_path / "run", Path(__file__).parents[1]
    command = [sys.executable, "-c", TRAIN, *map(str, paths)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[True, True]\n"
    again = keel.train(network(), keel.read(tmp_path / "a.keel"), settings=SHORT, folder=tmp_path / "run")
    for first, second in zip(whole.potential.parameters(), again.potential.parameters(), strict=True):
        assert torch.equal(first, second)


def test_a_sample_has_some_of_each_element_and_says_how_it_was_drawn(tmp_path):
    frames = [keel.Frame(np.array([14, 8 if k % 50 else 2]), np.eye(3)[:2], energy=float(k)) for k in range(300)]
    store = stored(frames, tmp_path / "a.keel", 40)
    with pytest.warns(KeelWarning, match="fitted to 30 of the 300 frames of the store, drawn with seed 4"):
        some = in_memory(store, "fitted to", 30, seed=4)
    assert len(some) == 30 and sum(2 in f.numbers for f in some) == 6
    assert drawn(store, 30, 4).tolist() == drawn(store, 30, 4).tolist() != drawn(store, 30, 5).tolist()
    assert len(in_memory(store, "", 300)) == 300 and same(in_memory(store, "", 300)[7], frames[7])


def test_frames_without_labels_are_refused(tmp_path):
    store = stored([f.unlabelled() for f in argon(3)], tmp_path / "a.keel")
    with pytest.raises(DataError, match="none of the 3 frames has a label to train on"):
        FrameBatches(store, 5.0, 2, seed=0)
