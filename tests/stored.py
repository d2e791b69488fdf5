"""Frames with everything that a frame may have, and whether two are the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from keel.atoms.frame import Frame
from keel.atoms.store.columns import BY_NAME, Table
from keel.atoms.store.finishing import finish
from keel.atoms.store.frames import StoredFrames, open_store
from keel.atoms.store.shards import write_shard

FIELDS = (*BY_NAME, "unused")
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=8)
NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)
PLAIN = st.one_of(st.booleans(), st.integers(-(10**15), 10**15), NUMBERS, WORDS, st.none())
ARRAYS = st.lists(NUMBERS, min_size=2, max_size=6).map(np.array)


@st.composite
def frames(draw: Any) -> Frame:
    """A frame with some of all that it may have."""
    n = draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def sometimes(value: Any) -> Any:
        return value if draw(st.booleans()) else None

    forces = sometimes(rng.normal(size=(n, 3)))
    return Frame(
        numbers=rng.integers(1, 119, n),
        positions=rng.normal(size=(n, 3)) * 10.0 ** draw(st.integers(-3, 3)),
        cell=rng.normal(size=(3, 3)),
        pbc=rng.random(3) < 0.5,
        energy=sometimes(draw(NUMBERS)),
        forces=forces,
        stress=sometimes(rng.normal(size=(3, 3))),
        info=draw(st.dictionaries(WORDS, st.one_of(PLAIN, ARRAYS, st.lists(PLAIN, max_size=3)), max_size=4)),
        forces_mask=None if forces is None else sometimes(rng.random(n) < 0.5),
        fixed=sometimes(rng.random((n, 3)) < 0.5),
        masses=sometimes(rng.random(n) + 1.0),
        velocities=sometimes(rng.normal(size=(n, 3))),
        unused=tuple(draw(st.lists(WORDS, max_size=2))),
        remarks=tuple(draw(st.lists(WORDS, max_size=2))),
    )


def same(first: Frame, second: Frame) -> bool:
    """Whether two frames are the same to the last bit, wherever they come from."""
    return all(_same(getattr(first, name), getattr(second, name)) for name in FIELDS)


def _same(first: Any, second: Any) -> bool:
    if isinstance(first, dict) or hasattr(first, "keys"):
        return first.keys() == second.keys() and all(_same(first[k], second[k]) for k in first)
    if isinstance(first, np.ndarray):
        return isinstance(second, np.ndarray) and first.dtype == second.dtype and np.array_equal(first, second)
    return type(first) is type(second) and bool(first == second)


def all_same(first: Iterable[Frame], second: Iterable[Frame]) -> bool:
    return all(same(a, b) for a, b in zip(first, second, strict=True))


def stored(frames: Sequence[Frame], folder: Path, each: int = 7) -> StoredFrames:
    """Write frames as a store with so many in each shard, whatever they are."""
    folder.mkdir()
    paths = [folder / f"shard-00000-{k:05d}.arrow" for k in range(-(-len(frames) // each))]
    for k, path in enumerate(paths):
        write_shard(path, Table.of(frames[k * each : (k + 1) * each]))
    finish(folder, paths, {}, None)
    return open_store(folder)
