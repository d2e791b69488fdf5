"""The contract as a pytest class."""

from __future__ import annotations

import copy
from typing import ClassVar

import pytest
import torch

from keel.potentials.base import Potential
from keel.testing.checks import DERIVATIVES, INVARIANCES
from keel.testing.rules import RULES, trial_elements
from keel.testing.structures import STRUCTURES, trial_frames

DTYPES = {"float32": torch.float32, "float64": torch.float64}


class PotentialContract:
    """Tests that every potential must pass; inherit it and give one fixture.

    ``exempt`` names rules that do not apply, e.g. ``{"smooth_cutoff"}`` for an architecture that is cut off abruptly.

    Examples
    --------
    >>> import pytest
    >>> from keel.testing import PotentialContract
    >>> class TestMine(PotentialContract):
    ...     @pytest.fixture
    ...     def potential(self):
    ...         return MyPotential()
    """

    exempt: ClassVar[frozenset[str] | set[str]] = frozenset()

    @pytest.fixture
    def potential(self) -> Potential:
        """Return the potential to test."""
        raise NotImplementedError("give a fixture 'potential'")

    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("structure", STRUCTURES)
    @pytest.mark.parametrize("check", INVARIANCES)
    def test_invariance(self, potential: Potential, check: str, structure: str, dtype: str) -> None:
        """See :mod:`keel.testing.checks`."""
        if check in self.exempt:
            pytest.skip("exempt")
        cast = copy.deepcopy(potential).to(DTYPES[dtype])
        INVARIANCES[check](cast, trial_frames(structure, trial_elements(cast), cast.cutoff))

    @pytest.mark.parametrize("structure", STRUCTURES)
    @pytest.mark.parametrize("check", DERIVATIVES)
    def test_derivatives(self, potential: Potential, check: str, structure: str) -> None:
        """See :mod:`keel.testing.checks`."""
        if check in self.exempt:
            pytest.skip("exempt")
        cast = copy.deepcopy(potential).double()
        DERIVATIVES[check](cast, trial_frames(structure, trial_elements(cast), cast.cutoff))

    @pytest.mark.parametrize("rule", RULES)
    def test_rule(self, potential: Potential, rule: str) -> None:
        """See :mod:`keel.testing.rules`."""
        if rule in self.exempt:
            pytest.skip("exempt")
        RULES[rule](potential)
