"""Simulations with ASE calculators: forces of unknown range, and no stress."""

import copy
import math

import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones

import keel
from keel.dynamics import MDSettings, simulate
from keel.errors import UnavailableError
from keel.evaluation.battery import BATTERY, probed
from keel.evaluation.stability.conditions import LadderSettings
from keel.evaluation.stability.md_stability import md_stability
from keel.evaluation.structure.density import density
from keel.potentials.external.ase import ASEPotential
from keel.potentials.sum import SumPotential, range_of


class Stressless(EMT):
    implemented_properties = ("energy", "forces", "free_energy")


def caesium() -> LennardJones:
    return LennardJones(sigma=4.75, epsilon=0.08, rc=14.0, smooth=True)


class TestRange:
    def test_of_a_calculator_is_unknown_unless_it_is_given(self):
        inner = keel.LennardJones(epsilon=0.1, sigma=2.0, cutoff=4.0)
        assert range_of(ASEPotential(EMT())) == math.inf == range_of(SumPotential([inner, ASEPotential(EMT())]))
        assert range_of(ASEPotential(EMT(), cutoff=7.0)) == 7.0
        assert range_of(copy.deepcopy(ASEPotential(EMT()))) == math.inf
        assert range_of(copy.deepcopy(ASEPotential(EMT(), cutoff=7.0))) == 7.0
        assert range_of(inner) == 4.0

    def test_atoms_further_apart_than_the_lists_are_not_lost(self):
        """Neighbours in bcc caesium are 5.3 angstrom apart, batches list those within 5."""
        atoms = bulk("Cs", cubic=True, a=6.14) * (2, 2, 2)
        found = keel.md(ASEPotential(caesium()), atoms, temperature=100, length_fs=5)
        assert found.causes == [None]

    def test_atoms_beyond_a_known_range_are(self):
        apart = Atoms("Cs2", positions=[[0, 0, 0], [15.0, 0, 0]])
        found = keel.md(ASEPotential(caesium(), cutoff=14.0), apart, temperature=100, length_fs=5)
        assert found.causes == ["atoms lost"]


class TestWithoutStress:
    copper = bulk("Cu", cubic=True)

    def test_no_constant_pressure(self):
        settings = MDSettings(temperature=300, length_fs=5, ensemble="npt")
        with pytest.raises(UnavailableError, match="gives no stress, and a simulation at constant pressure needs it"):
            simulate(ASEPotential(Stressless()), [self.copper], settings)

    def test_constant_volume(self):
        found = keel.md(ASEPotential(Stressless()), self.copper, temperature=300, length_fs=5)
        assert found.causes == [None]

    def test_probes_at_constant_pressure_are_skipped(self, monkeypatch):
        potential = ASEPotential(Stressless())
        ladder = LadderSettings(temperatures=[300.0], pressures=[(0.0, 5.0)], length_fs=5)
        settings = MDSettings(temperature=300, length_fs=5)
        groups = {
            "density": lambda subject, progress: density(potential, [self.copper], settings),
            "stability": lambda subject, progress: md_stability(potential, [self.copper], ladder),
        }
        for name, group in groups.items():
            monkeypatch.setitem(BATTERY, name, group)
            for result in probed(name, None, lambda k, n: None):
                assert (result.outcome, result.verdict) == (
                    "skipped",
                    "ASEPotential gives no stress, and a simulation at constant pressure needs it; simulate at "
                    "constant volume",
                )
