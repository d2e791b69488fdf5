"""The nearest neighbour of each atom in units of its bond, in all images."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keel.atoms.closest import close_pairs, closest_contacts
from keel.atoms.elements import COVALENT_RADII
from keel.atoms.frame import Frame
from keel.errors import DataError

LI_O, O_O = COVALENT_RADII[3] + COVALENT_RADII[8], 2 * COVALENT_RADII[8]


def test_each_pair_by_its_own_bond():
    """The oxygen nearest in angstrom is not the neighbour that is nearest in bonds."""
    frame = Frame(np.array([8, 3, 8]), np.array([[0, 0, 0], [0.6 * LI_O, 0, 0], [-0.9 * O_O, 0, 0]]))
    assert 0.6 * LI_O < 0.9 * O_O
    np.testing.assert_allclose(closest_contacts(frame, 1.1), [0.6, 0.6, 0.9])
    np.testing.assert_allclose(closest_contacts(frame, 0.7), [0.6, 0.6, np.inf])


def test_images_of_an_atom_are_neighbours():
    frame = Frame(np.array([8]), np.zeros((1, 3)), 0.8 * O_O * np.eye(3), np.ones(3, bool))
    assert closest_contacts(frame, 1.1) == pytest.approx(0.8)
    assert closest_contacts(frame.replace(pbc=np.zeros(3, bool)), 1.1) == np.inf


@given(st.integers(0, 10**6))
@settings(max_examples=30)
def test_as_all_distances_say(seed):
    rng = np.random.default_rng(seed)
    frame = Frame(rng.choice([1, 8, 55], 7), rng.uniform(0, 5, (7, 3)))
    radii = COVALENT_RADII[frame.numbers]
    lengths = np.linalg.norm(frame.positions[:, None] - frame.positions, axis=2) / (radii[:, None] + radii)
    np.fill_diagonal(lengths, np.inf)
    nearest = lengths.min(axis=1)
    np.testing.assert_allclose(closest_contacts(frame, 1.1), np.where(nearest < 1.1, nearest, np.inf))
    assert (close_pairs(frame, 0.9)[1] < 0.9).sum() == (lengths < 0.9).sum() / 2


def test_a_structure_without_a_list_is_named():
    flat = Frame(np.array([8]), np.zeros((1, 3)), np.diag([3.0, 3.0, 0.0]), np.ones(3, bool), source="a.xyz, frame 7")
    with pytest.raises(DataError, match=r"a\.xyz, frame 7"):
        closest_contacts(flat, 1.0)
