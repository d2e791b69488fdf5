"""Repeated structures are found whatever formats they came through, and none that are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import keel
from keel.atoms.frame import Frame
from keel.atoms.soundness.repeats import SAME, hashes, matching, repeats

CELL = np.array([[5.0, 0.0, 0.0], [1.2, 6.0, 0.0], [0.3, -0.7, 4.5]])


def frame(seed: int, pbc: tuple[bool, bool, bool] = (True, True, True), atoms: int = 9) -> Frame:
    rng = np.random.default_rng(seed)
    cell = np.where(np.array(pbc)[:, None], CELL, 0.0)
    return Frame(
        rng.choice([8, 14], atoms, p=[0.6, 0.4]) if seed >= 0 else np.full(atoms, 29),
        rng.uniform(0.0, 1.0, (atoms, 3)) @ CELL,
        cell,
        np.array(pbc),
        energy=float(seed),
        source=f"a.extxyz, frame {seed}",
    )


def rounded(given: Frame, decimals: int) -> Frame:
    return given.replace(positions=given.positions.round(decimals), cell=given.cell.round(decimals))


@pytest.mark.parametrize("pbc", [(True, True, True), (True, False, True), (False, False, True), (False, False, False)])
@given(seed=st.integers(0, 1000), decimals=st.integers(4, 10))
def test_a_structure_is_recognised_rounded_wrapped_and_in_another_order(
    pbc: tuple[bool, bool, bool], seed: int, decimals: int
) -> None:
    rng = np.random.default_rng(seed)
    first, order = frame(seed, pbc), rng.permutation(9)
    hops = rng.integers(-2, 3, (9, 3)) * first.pbc
    again = first.replace(positions=(first.positions + hops @ first.cell)[order], numbers=first.numbers[order])
    again = rounded(again, decimals)
    others = [frame(seed + k, pbc) for k in range(1, 6)]
    assert repeats([first, *others, again]) == [(first, again)]
    found = matching(first, again)
    assert found is not None
    np.testing.assert_array_equal(order[found], np.arange(9))


def test_the_edge_of_rounding_and_of_the_cell_does_not_matter() -> None:
    first = frame(1)
    first.positions[0] = [0.0, 0.0, 0.0]
    for shift in (-0.9 * SAME, 0.9 * SAME):
        moved = first.positions.copy()
        moved[0] += shift
        moved[0] += CELL[2]
        assert len(repeats([first, first.replace(positions=moved)])) == 1
    moved[0] += 3.0 * SAME
    assert repeats([first, first.replace(positions=moved)]) == []


def test_what_differs_is_no_repeat() -> None:
    first = frame(3)
    swapped = first.numbers.copy()
    a, b = int(np.argmax(swapped == 8)), int(np.argmax(swapped == 14))
    swapped[[a, b]] = swapped[[b, a]]
    for other in (
        first.replace(numbers=swapped),
        first.replace(cell=first.cell * 1.001),
        first.replace(pbc=np.array([True, True, False])),
        first.replace(positions=first.positions + 0.01),
    ):
        assert repeats([first, other]) == []
        assert matching(first, other) is None
    assert matching(first, frame(3, atoms=8)) is None


def test_each_repeat_is_counted_once_and_belongs_to_the_first() -> None:
    members = [frame(k) for k in (1, 2, 1, 1, 2, 3)]
    found = repeats(members)
    assert [(members.index(a), [m is b for m in members].index(True)) for a, b in found] == [(0, 2), (0, 3), (1, 4)]


@given(seed=st.integers(0, 10_000), decimals=st.integers(6, 12), atoms=st.integers(1, 9))
def test_the_same_structures_have_a_hash_in_common(seed: int, decimals: int, atoms: int) -> None:
    rng = np.random.default_rng(seed)
    first, order = frame(seed, atoms=atoms), rng.permutation(atoms)
    again = first.replace(
        positions=(first.positions + rng.integers(-2, 3, (atoms, 3)) @ first.cell)[order], numbers=first.numbers[order]
    )
    moved = first.replace(positions=first.positions + np.eye(atoms, 3) * 0.3)
    (_, one), (_, other), (_, twice), (_, far) = enumerate(hashes([first, rounded(again, decimals), first, moved]))
    assert one == twice
    assert one[0] == other[0] or one[1] == other[1]
    assert not {*one} & {*far}


def test_strained_crystals_of_extinct_structure_factors_are_told_apart() -> None:
    fractions = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]], dtype=float)
    cells = [np.eye(3) * (3.6 + 0.01 * k) for k in range(20)]
    crystals = [Frame(np.full(4, 29), fractions @ cell, cell, np.ones(3, dtype=bool)) for cell in cells]
    assert repeats(crystals) == []
    assert len(repeats([*crystals, *(rounded(c, 6) for c in crystals)])) == 20


def test_a_set_that_went_through_another_format(tmp_path: Path) -> None:
    run = keel.datasets.phosphorus("black")[:40]
    keel.write(tmp_path / "a.extxyz", run)
    lines = []
    for member in run:
        lattice = " ".join(f"{x:.6f}" for x in member.cell.ravel())
        lines += [str(len(member)), f'Lattice="{lattice}" Properties=species:S:1:pos:R:3 pbc="T T T"']
        inside = np.linalg.solve(member.cell.T, member.positions.T).T % 1.0 @ member.cell
        lines += [f"P {x:.6f} {y:.6f} {z:.6f}" for x, y, z in inside]
    (tmp_path / "b.extxyz").write_text("\n".join(lines) + "\n")
    first, second = keel.read(tmp_path / "a.extxyz"), keel.read(tmp_path / "b.extxyz")
    assert repeats(first) == repeats(second) == []
    assert len(repeats([*first, *second])) == 40
