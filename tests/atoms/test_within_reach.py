"""A cutoff that reaches no neighbour, or far too many."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import keel
from keel.atoms.frame import Frame
from keel.atoms.within_reach import check_cutoff, neighbours_at
from keel.errors import ConfigError, KeelWarning
from small_training import argon, network

FRAMES = argon(3)


def test_a_usual_cutoff_says_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_cutoff(FRAMES, 5.0)
        check_cutoff([], 0.1)


def test_too_short_is_refused_with_the_distance_that_there_is():
    with pytest.raises(
        ConfigError, match=r"^--cutoff of 0.5 Å is too short: no atom has a neighbour, .* are 3\.\d+ Å apart$"
    ):
        check_cutoff(FRAMES, 0.5, "--cutoff")


def test_one_frame_with_a_neighbour_is_enough():
    pair = Frame(np.array([18, 18]), np.array([[0.0, 0, 0], [0, 0, 1.0]]))
    with pytest.warns(KeelWarning, match="have no neighbour and feel no force"):
        check_cutoff([*FRAMES, pair], 1.5)


def test_atoms_far_apart():
    alone = Frame(np.array([18]), np.zeros((1, 3)))
    with pytest.raises(ConfigError, match=r"every force would be zero$"):
        check_cutoff([alone], 5.0)


@pytest.mark.filterwarnings("error")
def test_too_long_is_told_and_then_refused():
    with pytest.raises(KeelWarning, match=r"a cutoff of 20 Å gives each atom about \S+ neighbours, 6\d times as"):
        check_cutoff(FRAMES, 20.0)
    with pytest.raises(ConfigError, match=r"networks.0.cutoff of 50 Å gives each atom about .* choose a shorter one"):
        check_cutoff(FRAMES, 50.0, "networks.0.cutoff")


@pytest.mark.parametrize("cutoff", [6.0, 9.0])
def test_neighbours_are_about_as_many_as_there_are(cutoff):
    counted = keel.batch(FRAMES, cutoff).edge_index.shape[1] / sum(map(len, FRAMES))
    assert np.mean([neighbours_at(f, cutoff) for f in FRAMES]) == pytest.approx(counted, rel=0.25)


def test_a_molecule_has_at_most_the_others():
    frame = FRAMES[0].replace(pbc=np.zeros(3, dtype=bool))
    assert neighbours_at(frame, 90.0) == 7


def test_training_and_fitting_ask():
    with pytest.raises(ConfigError, match="the cutoff of 1 Å is too short"):
        keel.train(network(cutoff=1.0), FRAMES)
    with pytest.raises(ConfigError, match="the cutoff of 1 Å is too short"):
        keel.fit_eam(FRAMES, 1.0)
    with pytest.raises(ConfigError, match=r"^cutoff must be positive, not -3$"):
        keel.fit_eam(FRAMES, -3)
    with pytest.raises(ConfigError, match=r"^max_atoms must be at least 1, not -5$"):
        keel.fit_eam(FRAMES, max_atoms=-5)
