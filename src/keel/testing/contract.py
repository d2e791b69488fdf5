"""The contract as a pytest class."""

from __future__ import annotations

from typing import ClassVar

import pytest

from keel.potentials.base import Potential
from keel.testing.checks import DERIVATIVES, INVARIANCES
from keel.testing.modes import in_each_mode
from keel.testing.rules import RULES
from keel.testing.structures import STRUCTURES
from keel.testing.trials import DTYPES, Trial, applies, attempt, cast, known


class PotentialContract:
    """Tests that every potential must pass; inherit it and give one fixture. A network with two modes passes in both.

    ``exempt`` names what does not apply, as in :func:`keel.testing.check_potential`, e.g. ``{"smooth_cutoff"}`` for an
    architecture that is cut off abruptly.

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
        self._try(potential, Trial(check, structure, dtype))

    @pytest.mark.parametrize("structure", STRUCTURES)
    @pytest.mark.parametrize("check", DERIVATIVES)
    def test_derivatives(self, potential: Potential, check: str, structure: str) -> None:
        """See :mod:`keel.testing.checks`."""
        self._try(potential, Trial(check, structure, "float64"))

    @pytest.mark.parametrize("rule", RULES)
    def test_rule(self, potential: Potential, rule: str) -> None:
        """See :mod:`keel.testing.rules`."""
        self._try(potential, Trial(rule))

    def _try(self, potential: Potential, trial: Trial) -> None:
        exempt = known(self.exempt)
        variants = in_each_mode(potential, without=exempt)
        asked = [mode for mode in variants if applies(trial, mode, exempt)]
        if not asked:
            pytest.skip("exempt")
        for mode in asked:
            attempt(trial, cast(variants[mode], trial.dtype), mode)
