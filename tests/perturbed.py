"""Random parent structures for the tests of the perturbation."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from keel.atoms.frame import Frame
from keel.perturbation.children import Children, make_children
from keel.perturbation.parents import find_partners
from keel.perturbation.settings import PerturbationSettings


@st.composite
def parents(draw: st.DrawFn) -> Frame:
    """Crowded, skewed, tiny and open structures of one to twelve atoms."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(1, 12))
    pbc = np.array(draw(st.tuples(st.booleans(), st.booleans(), st.booleans())))
    length = (n * draw(st.floats(8.0, 25.0))) ** (1 / 3)
    cell = length * (np.eye(3) + draw(st.floats(0, 0.4)) * rng.uniform(-1, 1, (3, 3)))
    return Frame(
        numbers=rng.choice([1, 8, 14, 55][: draw(st.integers(1, 4))], n),
        positions=rng.uniform(-0.5, 1.5, (n, 3)) @ cell,
        cell=cell,
        pbc=pbc,
    )


def silica(n: int = 0) -> Frame:
    """A small crystal of silicon and oxygen atoms, the ``n``-th of several."""
    rng = np.random.default_rng(n)
    grid = np.stack(np.meshgrid(*[np.arange(3)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)[: 12 + 3 * (n % 3)]
    cell = np.diag([6.6, 6.6, 6.6]) + rng.uniform(-0.3, 0.3, (3, 3))
    positions = (grid + rng.uniform(-0.1, 0.1, grid.shape)) / 3 @ cell
    return Frame(
        numbers=np.resize([14, 8, 8], len(grid)),
        positions=positions,
        cell=cell,
        pbc=np.ones(3, dtype=bool),
        source=f"silica {n}",
    )


def children_of(frame: Frame, n: int, settings: PerturbationSettings, seed: int, dtype: str = "float64") -> Children:
    """Return n children of one frame, in random rounds."""
    rng = np.random.default_rng(seed)
    return make_children(
        [find_partners(frame, settings, np.dtype(dtype))] * n,
        np.full(n, len(frame)),
        np.full(n, frame.pbc.all()),
        rng.integers(settings.rounds, size=n),
        settings,
        rng,
    )
