"""The section that compares programs: what is judged, what is skipped, and what it says."""

import copy
from functools import partial

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk

import keel
from keel.errors import ConfigError, DataError
from keel.evaluation.exact.elsewhere import elsewhere
from keel.potentials.external import ASEPotential
from keel.testing import engines
from keel.testing.engines import Engine, Numbers
from torch_calculator import TorchMorse

EAM = keel.EAM.from_elements(["Cu"], cutoff=4.5)
STRUCTURES = [bulk("Cu", cubic=True), Atoms("Cu2", positions=[[0, 0, 0], [2.3, 0, 0]])]


@pytest.fixture
def programs(monkeypatch):
    """Put programs in the place of those that may be installed."""

    def among(**opened):
        found = {name: Engine("ase", function) for name, function in opened.items()}
        monkeypatch.setattr(engines, "ENGINES", found)
        return tuple(found)

    return among


def sound(potential, folder):
    return engines._by_keel(potential, folder)


def off(potential, folder, by=1e-3):
    def evaluate(frame):
        truth = engines._by_keel(potential, folder)(frame)
        return Numbers(truth.energy, truth.forces + by, truth.stress)

    return evaluate


def unable(potential, folder):
    raise ConfigError("it has no angles")


def test_it_passes_where_all_agree_and_names_who_could_not(programs):
    result = elsewhere(EAM, STRUCTURES, engines=programs(Good=sound, Odd=unable))
    assert result.outcome == "passed"
    assert result.verdict == "Good and ASE agree on 2 structures (not in Odd: it has no angles)"
    assert {m.name for m in result.metrics} == {"energy in Good", "forces in Good", "stress in Good"}


def test_it_fails_where_one_differs(programs):
    result = elsewhere(EAM, STRUCTURES, engines=programs(Good=sound, Wrong=off))
    assert result.outcome == "failed" and "forces in Wrong 0.001 eV/angstrom" in result.verdict
    assert result["forces in Wrong"] == pytest.approx(1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_calculators_that_round_to_float32_are_allowed_for_it(programs, dtype):
    rounding = ASEPotential(TorchMorse(inside=torch.float32))
    for by, passes in ((1e-4, dtype == torch.float32), (1e-3, False)):
        result = elsewhere(rounding, STRUCTURES, engines=programs(Turned=partial(off, by=by)), dtype=dtype)
        assert (result.outcome == "passed") == passes
    # A network in float32 is compared as it is everywhere.
    result = elsewhere(
        copy.deepcopy(EAM).float(), STRUCTURES, engines=programs(Turned=partial(off, by=1e-4)), dtype=torch.float32
    )
    assert result.outcome == "failed"


def test_numbers_that_are_none_do_not_pass(programs):
    def nothing(potential, folder):
        return lambda frame: Numbers(np.nan, np.full((len(frame), 3), np.nan), None)

    assert elsewhere(EAM, STRUCTURES, engines=programs(Empty=nothing)).outcome == "failed"


def test_it_is_skipped_where_there_is_nothing_to_compare(programs):
    assert "pip install" in elsewhere(EAM, STRUCTURES, engines=()).verdict
    result = elsewhere(EAM, STRUCTURES, engines=programs(Odd=unable))
    assert (result.outcome, result.verdict) == ("skipped", "not in Odd: it has no angles")


def test_a_structure_is_needed():
    with pytest.raises(DataError, match="no structure"):
        elsewhere(EAM, [])


def test_progress(programs):
    steps = []
    elsewhere(EAM, STRUCTURES, engines=programs(A=sound, B=sound), callback=lambda *s: steps.append(s))
    assert steps == [(1, 2), (2, 2)]


@pytest.mark.oracle
class TestRealPrograms:
    def test_a_network(self):
        network = keel.CGCNN(["Cu"], preset="small", cutoff=4.0)
        result = elsewhere(network, STRUCTURES)
        assert result.outcome == "passed", result.verdict
        assert result.verdict.startswith("metatomic, LAMMPS, torch-sim, OpenMM and ASE agree")

    def test_a_calculator_runs_in_lammps_but_is_not_exported(self):
        result = elsewhere(keel.potentials.external.ASEPotential(TorchMorse(), elements=["Cu"]), STRUCTURES)
        assert result.outcome == "passed", result.verdict
        assert "not in metatomic: " in result.verdict
