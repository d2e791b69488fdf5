"""Contacts that are rare in DFT data are counted, each once, in all images."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keel.atoms.elements import COVALENT_RADII
from keel.atoms.frame import Frame
from keel.evaluation import close_contacts


def cube(side: float, number: int = 15) -> Frame:
    """One atom in a cubic cell: six images at the distance of the side, three pairs."""
    return Frame(np.array([number]), np.zeros((1, 3)), side * np.eye(3), np.ones(3, bool))


def test_counts_pairs_for_every_thousand_atoms():
    bond = 2 * COVALENT_RADII[15]
    assert close_contacts([cube(0.74 * bond)]) == 3000
    assert close_contacts([cube(0.76 * bond)]) == 0
    assert close_contacts([cube(0.74 * bond), cube(0.76 * bond)]) == 1500
    assert close_contacts([cube(0.9 * bond)], share=0.95) == 3000


def test_each_pair_has_its_own_radii():
    silicon_oxygen = COVALENT_RADII[14] + COVALENT_RADII[8]
    for factor, expected in ((0.74, 500), (0.76, 0)):
        pair = Frame(np.array([8, 14]), np.array([[0, 0, 0], [0, 0, factor * silicon_oxygen]]))
        assert close_contacts([pair]) == expected


@given(st.integers(0, 1000))
@settings(max_examples=20)
def test_the_same_of_a_repeated_wrapped_or_turned_structure(seed):
    rng = np.random.default_rng(seed)
    frame = Frame(rng.choice([8, 14], 6), rng.uniform(0, 4, (6, 3)), np.diag([4.0, 4.5, 5.0]), np.ones(3, bool))
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    moved = frame.replace(positions=(frame.positions + frame.cell[0] * 3) @ turn, cell=frame.cell @ turn)
    for other in (frame.repeated((2, 1, 3)), moved):
        assert close_contacts([other]) == pytest.approx(close_contacts([frame]))


def test_nothing_to_look_at():
    assert np.isnan(close_contacts([]))
