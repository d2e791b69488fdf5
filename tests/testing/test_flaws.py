"""Each check finds what it is for, and says in one sentence what is wrong, where, by how much, and why."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from flawed import flawed
from torch import Tensor

from keel.atoms.graph import AtomGraph
from keel.errors import ConfigError
from keel.potentials.base import Potential
from keel.testing import DERIVATIVES, INVARIANCES, RULES, check_potential
from keel.testing.causes import CAUSES
from small_potentials import Soft, cgcnn

CHECKS = [*INVARIANCES, *DERIVATIVES, *RULES]


def sentence(potential: Potential, *exempt: str) -> str:
    with pytest.raises(AssertionError) as error:
        check_potential(potential, exempt)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_cause_is_known_for_every_check() -> None:
    assert list(CAUSES) == CHECKS


@pytest.mark.parametrize("check", CHECKS)
def test_a_flaw_is_found_by_the_check_that_is_for_it(check: str) -> None:
    potential = flawed(check)
    found = sentence(potential)
    assert found.startswith(f"{type(potential).__name__} fails '{check}'") and found.endswith(CAUSES[check])
    assert check in RULES or re.search(r" on '[a-z ]+' in float(32|64): ", found)


def test_the_sentence_says_by_how_much() -> None:
    found = sentence(flawed("stress"))
    assert re.search(r"on 'periodic' in float64: stress and dE/d strain / V differ by \S+, more than \S+; usual", found)
    pattern = r"'smooth_cutoff': the energy of O-O jumps at the cutoff: up to \d\S* at 0.98 and 0.99 of it, still \d"
    assert re.search(pattern, sentence(flawed("smooth_cutoff")))


@pytest.mark.parametrize("check", ["stress", "smooth_cutoff", "files"])
def test_what_is_exempt_is_not_tried(check: str) -> None:
    check_potential(flawed(check), [check])
    check_potential(flawed(check), check)


def test_a_misspelt_exemption_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^there is no check 'smoth' .*choose from result, .*smooth, reference$"):
        check_potential(Soft(), ["smoth"])


def test_an_error_of_the_potential_names_the_trial() -> None:
    class NeedsEdges(Soft):
        def atomic_energies(self, graph: AtomGraph, vectors: Tensor) -> Tensor:
            return super().atomic_energies(graph, vectors) + 0 * vectors.max()

    found = sentence(NeedsEdges())
    assert found.startswith(
        "NeedsEdges cannot be tried for 'result' on 'one atom' in float32, it raises RuntimeError: "
    )


def test_a_zero_near_the_cutoff_by_chance_is_no_jump() -> None:
    class Wave(Soft):
        """Its force vanishes at 0.99 of the cutoff, and between there and the cutoff it is small."""

        def atomic_energies(self, graph: AtomGraph, vectors: Tensor) -> Tensor:
            x = 1 - torch.linalg.vector_norm(vectors, dim=1) / self.cutoff
            pair = x**3 * (1 - 75 * x)
            return self.strength.sum() * pair.new_zeros(graph.n_atoms).index_add(0, graph.edge_index[0], pair)

    RULES["smooth_cutoff"](Wave())


def test_many_parameters_are_no_flaw() -> None:
    torch.manual_seed(0)
    network = cgcnn()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter)
    RULES["parameter_gradients"](network)


def test_a_potential_stays_as_it_is() -> None:
    potential: Any = cgcnn()
    before = {name: tensor.clone() for name, tensor in potential.state_dict().items()}
    check_potential(potential)
    assert potential.dtype == torch.float32 and potential.mode == "smooth"
    assert all(torch.equal(before[name], tensor) for name, tensor in potential.state_dict().items())
