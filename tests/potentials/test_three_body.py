"""A three-body term is the sum over angles that it says, bounded, and no business of two atoms."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import keel
from keel.atoms.elements import COVALENT_RADII, pair_name
from keel.atoms.frame import Frame
from keel.errors import ConfigError
from keel.evaluation import squeeze
from keel.interfaces.setfl import write_setfl
from keel.potentials.classical.dimer import dimer
from keel.potentials.classical.three_body import three_body_term
from small_potentials import eam, three_body


def cluster(seed: int, n: int = 7, size: float = 3.5) -> Frame:
    rng = np.random.default_rng(seed)
    return Frame(rng.choice([8, 14], n), rng.uniform(0, size, (n, 3)), np.zeros((3, 3)), np.zeros(3, dtype=bool))


def energy(potential: keel.Potential, frame: Frame) -> float:
    return float(potential(keel.batch([frame], potential.cutoff, dtype=torch.float64)).energy)


def by_angles(term: keel.ThreeBody, frame: Frame) -> float:
    """The energy as it is written down: a loop over pairs of neighbours of each atom."""
    total = 0.0
    for i, z in enumerate(frame.numbers):
        others = [j for j in range(len(frame)) if j != i]
        for reach, c in zip(term.reaches, term.legendre[{8: "O", 14: "Si"}[int(z)]], strict=True):
            for j, k in combinations(others, 2):
                vectors = [frame.positions[m] - frame.positions[i] for m in (j, k)]
                lengths = [float(np.linalg.norm(v)) for v in vectors]
                cosine = float(vectors[0] @ vectors[1]) / (lengths[0] * lengths[1])
                g = 1.0
                for m, r in zip((j, k), lengths, strict=True):
                    inner = term.resting[pair_name(int(z), int(frame.numbers[m]))]
                    outer = reach * float(COVALENT_RADII[z] + COVALENT_RADII[frame.numbers[m]])
                    t = np.clip((r - inner) / (outer - inner), 0, 1)
                    g *= 1 - 10 * t**3 + 15 * t**4 - 6 * t**5
                total += g * (c[0] + c[1] * cosine + c[2] * 0.5 * (3 * cosine**2 - 1))
    return total


@pytest.mark.parametrize("seed", range(4))
def test_moments_are_the_sum_over_angles(seed):
    frame = cluster(seed)
    assert energy(three_body(), frame) == pytest.approx(by_angles(three_body(), frame), rel=1e-12, abs=1e-12)


def test_two_atoms_have_no_angle():
    r = torch.linspace(0.3, 4.0, 50, dtype=torch.float64)
    both = keel.SumPotential([eam(), three_body()])
    assert torch.equal(dimer(both, "Si", "O", r).total, dimer(eam(), "Si", "O", r).total)
    two = Frame([14, 14], [[0, 0, 0], [0, 0, 2.1]], np.zeros((3, 3)), np.zeros(3, dtype=bool))
    assert energy(three_body(), two) == 0.0


@given(seed=st.integers(0, 10_000), size=st.floats(0.5, 4.0))
def test_no_crowd_gains_more_than_each_neighbour_by_itself(seed, size):
    """However close and wherever they are: the bound of the docstring, pair by pair."""
    term, frame = three_body(), cluster(seed, 8, size)
    bound = 0.0
    for i, j in combinations(range(len(frame)), 2):
        r = torch.tensor([np.linalg.norm(frame.positions[i] - frame.positions[j])])
        bound += float(term.most_gain(int(frame.numbers[i]), int(frame.numbers[j]), r))
    assert energy(term, frame) >= -bound - 1e-9


@pytest.mark.parametrize("r", [0.6, 1.0, 1.9])
def test_below_the_inner_distance_a_pair_is_neither_pulled_nor_pushed(r):
    """Its wall is that of the pair alone: a third atom only turns it."""
    frame = Frame([14] * 3, [[0, 0, 0], [0, 0, r], [2.2, 0, 0.4]], np.zeros((3, 3)), np.zeros(3, dtype=bool))
    graph = keel.batch([frame], three_body().cutoff, half_list=True, dtype=torch.float64)
    vectors = graph.edge_vectors()
    _, gradient = three_body().energies_and_gradient(graph, vectors, differentiable=False)
    close = int(vectors.norm(dim=1).argmin())
    assert float(gradient[close].norm()) > 1e-3
    assert abs(float(gradient[close] @ vectors[close])) < 1e-12


def test_pressure_rises_under_compression():
    cell = 5.4 * np.eye(3)
    diamond = np.array([[0, 0, 0], [0, 2, 2], [2, 0, 2], [2, 2, 0], [1, 1, 1], [1, 3, 3], [3, 1, 3], [3, 3, 1]]) / 4
    crystal = Frame([14] * 8, diamond @ cell, cell, np.ones(3, dtype=bool))
    (found,) = squeeze(keel.SumPotential([eam(), three_body()]), [crystal])
    assert found.first_fall is None


def test_what_would_not_be_bounded_is_refused():
    inner = {"Si-Si": 2.0}
    for row in ([-0.1, 0.0, 0.0], [0.1, -0.2, 0.0], [0.1, 0.0, -0.1]):
        with pytest.raises(ConfigError, match="three-body term of Si is not bounded"):
            keel.ThreeBody({"Si": [row]}, [1.5], inner)
    with pytest.raises(ConfigError, match="1 rows of three numbers for Si"):
        keel.ThreeBody({"Si": [[0.1, 0.0]]}, [1.5], inner)
    with pytest.raises(ConfigError, match="lacks 'Si-Si'"):
        keel.ThreeBody({"Si": [[0.1, 0.0, 0.0]]}, [1.5], {})
    with pytest.raises(ConfigError, match="below the end of its reaches"):
        keel.ThreeBody({"Si": [[0.1, 0.0, 0.0]]}, [0.8], inner)


def test_it_cannot_be_exported_and_says_so(tmp_path):
    both = keel.SumPotential([eam(), three_body()])
    with pytest.raises(ConfigError, match="three-body term cannot be written for LAMMPS"):
        write_setfl(both, tmp_path / "both.eam.alloy")
    assert three_body_term(both) is both.members[1]
    assert three_body_term(eam()) is None
