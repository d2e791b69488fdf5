"""ASE calculators that differentiate with torch are judged and teach; what they refuse is a verdict, not an end."""

import warnings
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, fcc111

import keel
from broken import Broken
from keel.config import AssessmentSettings
from keel.counting import counted
from keel.errors import DataError, KeelWarning, RefusedError, UnavailableError, naming
from keel.evaluation import CheckResult, battery
from keel.evaluation.battery import in_turn, probed
from keel.evaluation.clusters.dimers import dimers
from keel.evaluation.probing import computed_in
from keel.potentials.external import ASEPotential
from keel.potentials.external.ase import VACUUM, in_a_box
from keel.results.assessment import GroupResults, described
from keel.workflow.probes import measure_probes, subject_of
from torch_calculator import TorchMorse, pair_energy


def copper(n: int = 1) -> Atoms:
    atoms = bulk("Cu", cubic=True).repeat((n, n, 1))
    atoms.rattle(0.1, seed=0)
    return atoms


@pytest.mark.parametrize("derivatives", [True, False])
def test_it_may_differentiate_though_nothing_is_trained(derivatives):
    atoms = copper()
    found = ASEPotential(TorchMorse())(keel.batch(atoms, 5.0, dtype=torch.float64), derivatives=derivatives)
    atoms.calc = TorchMorse()
    assert float(found.energy) == pytest.approx(atoms.get_potential_energy(), rel=1e-12)
    if derivatives:
        assert found.forces.dtype == found.stress.dtype == torch.float64
        np.testing.assert_allclose(found.forces, atoms.get_forces(), atol=1e-12)
        np.testing.assert_allclose(found.stress[0], atoms.get_stress(voigt=False), atol=1e-12)


def test_gradients_are_off_again():
    with torch.no_grad():
        ASEPotential(TorchMorse())(copper())
        assert not torch.is_grad_enabled()


def test_it_teaches():
    frames = keel.atoms.as_frames([copper()])
    settings = keel.perturbation.PerturbationSettings(rounds=2)
    stream = keel.perturbation.PerturbationStream(
        frames, ASEPotential(TorchMorse()), settings, cutoff=5.0, batch_size=2
    )
    labels = stream.batch(0).labels
    assert all(bool(label.isfinite().all()) for label in (labels.energy, labels.forces, labels.stress))


def test_the_dtype_that_it_sets_for_the_whole_process_holds_within_it_only():
    potential = ASEPotential("torch_calculator.TorchMorse", {"dtype": "float64"})
    assert torch.get_default_dtype() == torch.float32
    seen = []
    potential.calculator.calculate = lambda *_: seen.append(torch.get_default_dtype())
    with pytest.raises(RefusedError):
        potential(copper())
    assert set(seen) == {torch.float64} and torch.get_default_dtype() == torch.float32


class TestBoxes:
    def test_only_where_a_cell_is_wanted(self):
        dimer = Atoms("Cu2", positions=[[0, 0, 0], [2.2, 0, 0]])
        for wants in (False, True):
            potential = ASEPotential(TorchMorse(wants_cell=wants))
            found = potential(dimer)
            assert float(found.energy) == pytest.approx(pair_energy(2.2), rel=1e-12)
            assert bool(found.stress.isnan().all())
            assert potential.boxed == wants

    def test_once_it_is_known_nothing_is_tried_without_a_box_also_by_copies(self):
        calculator = TorchMorse(wants_cell=True)
        potential = ASEPotential(calculator)
        dimers(potential, ["Cu"], distances=[2.0, 2.5], dtype=torch.float32)  # a copy of it
        assert potential.boxed
        calculator.seen.clear()
        potential([Atoms("Cu2", positions=[[0, 0, 0], [r, 0, 0]]) for r in (2.1, 2.2)])
        assert [bool(atoms.pbc.all()) for atoms in calculator.seen] == [True, True]

    @pytest.mark.parametrize("atoms", [Atoms("Cu"), fcc111("Cu", (1, 1, 2), vacuum=None), copper()])
    def test_images_stand_apart_where_it_was_not_periodic_and_only_there(self, atoms):
        atoms.pbc = atoms.pbc if len(atoms) != 4 else False  # a cluster beside its cell
        boxed = in_a_box(atoms)
        assert boxed.pbc.all()
        for k in np.flatnonzero(atoms.pbc):
            np.testing.assert_allclose(boxed.cell[k], atoms.cell[k])
        for k in np.flatnonzero(~atoms.pbc):
            assert boxed.cell[k][k] == pytest.approx(np.ptp(atoms.positions[:, k]) + 2 * VACUUM)
        shift = boxed.positions - atoms.positions
        np.testing.assert_allclose(shift, np.broadcast_to(shift[0], shift.shape), atol=1e-12)

    def test_what_it_refuses_also_in_a_box_is_refused_for_the_first_reason(self):
        potential = ASEPotential(TorchMorse(wants_cell=True, most_atoms=1))
        with pytest.raises(RefusedError, match="TorchMorse refuses Cu2: ValueError: Lattice is singular"):
            potential(Atoms("Cu2", positions=[[0, 0, 0], [2, 0, 0]]))
        assert not potential.boxed

    @pytest.mark.parametrize("error", ["connection to server lost", "the calculation was cancelled"])
    def test_an_error_after_a_success_is_no_wish_for_a_box(self, error):
        dimer, calculator = Atoms("Cu2", positions=[[0, 0, 0], [2, 0, 0]]), TorchMorse()
        potential = ASEPotential(calculator)
        right = potential(dimer).energy
        calculate, calculator.calculate = calculator.calculate, Mock(side_effect=RuntimeError(error))
        dimer.positions[1, 0] = 2.1
        with pytest.raises(RefusedError, match=error):
            potential(dimer)
        calculator.calculate, dimer.positions[1, 0] = calculate, 2.0
        assert not potential.boxed
        torch.testing.assert_close(potential(dimer).energy, right)

    def test_an_error_about_cells_is_one_also_later(self):
        slab, molecule = fcc111("Cu", (1, 1, 2), vacuum=5.0), Atoms("Cu2", positions=[[0, 0, 0], [2, 0, 0]])
        calculator = TorchMorse()
        potential = ASEPotential(calculator)
        potential(slab)
        calculator.wants_cell = True
        with pytest.warns(KeelWarning, match="refuses Cu2 without one"):
            potential(molecule)
        with warnings.catch_warnings(action="error"):  # it is said once
            potential(slab)
        assert potential.boxed


def test_a_refusal_keeps_its_kind_under_the_name_of_a_frame():
    with pytest.raises(RefusedError, match=r"a\.xyz: no"), naming("a.xyz"):
        raise RefusedError("no")


class Pairs(Broken):
    """Refuses structures of more than two atoms."""

    def forward(self, graph, **options):
        if int(graph.atoms_per_structure.max()) > 2:
            raise RefusedError("two atoms at most")
        return super().forward(graph, **options)


class TestVerdicts:
    def test_the_other_probes_of_a_group_go_on(self):
        eam = keel.EAM.from_elements(["Cu"], cutoff=4.5)
        subject = subject_of(Pairs(eam), keel.atoms.as_frames([copper()]), AssessmentSettings())
        dimers, trimers = self._probed("clusters", subject)
        assert (dimers.name, dimers.outcome) == ("diatomics", "passed")
        assert (trimers.name, trimers.outcome, trimers.verdict) == ("trimers", "failed", "two atoms at most")

    @pytest.mark.parametrize(("error", "outcome"), [(RefusedError, "failed"), (UnavailableError, "skipped")])
    def test_what_becomes_of_an_error(self, error, outcome):
        def probe():
            raise error("why")

        sound = CheckResult("sound", (), (), "passed", "")
        found = in_turn({"odd": probe, "sound": lambda: sound}, lambda done, total: None)
        assert [(r.name, r.outcome) for r in found] == [("odd", outcome), ("sound", "passed")]
        assert found[0].verdict == "why"

    def test_a_mistake_of_the_user_is_no_verdict(self):
        def probe():
            raise DataError("there is no such key")

        with pytest.raises(DataError):
            in_turn({"odd": probe}, lambda done, total: None)

    def test_a_group_that_is_refused_says_so_under_the_names_of_its_probes(self):
        potential = ASEPotential(TorchMorse(most_atoms=1))
        subject = subject_of(potential, keel.atoms.as_frames([copper()]), AssessmentSettings())
        names = [[r.name for r in self._probed(g, subject)] for g in ("stability", "structure", "density")]
        assert names == [["MD stability"], ["pair structure", "bond angles", "diffusion"], ["density"]]

    def test_boxes_are_part_of_what_a_potential_is(self):
        potential = keel.SumPotential([ASEPotential(TorchMorse(wants_cell=True)), keel.ZBL(outer=1.2, elements=["Cu"])])
        assert "Molecules" not in described(potential)
        potential(Atoms("Cu2", positions=[[0, 0, 0], [2, 0, 0]]))
        assert "20 angstrom from image to image" in described(potential)["Molecules"]

    def _probed(self, group, subject):
        return probed(group, subject, lambda done, total: None)


class TestPrecision:
    """One that computes in float32, whatever is asked of it, is judged by the rounding of float32."""

    @pytest.fixture(autouse=True)
    def _short_simulations(self, monkeypatch):
        monkeypatch.setattr(battery, "NVE", battery.NVE.replace(length_fs=20.0))

    def subject(self, inside, **settings):
        potential = ASEPotential(TorchMorse(inside=inside))
        return subject_of(potential, keel.atoms.as_frames([copper()]), AssessmentSettings(starts=1, **settings))

    def test_it_passes_and_its_page_says_so(self, tmp_path):
        measure_probes(tmp_path, "exact", self.subject(torch.float32), None, {})
        found = GroupResults.read(tmp_path)
        assert [r.name for r in found.results if r.outcome == "failed"] == []
        assert found.potential["Precision"].startswith("float32, whatever is asked of it")

    @pytest.mark.parametrize("asked", ["float32", "float64"])
    @pytest.mark.parametrize("inside", [torch.float32, torch.float64])
    def test_the_lower_of_what_is_asked_and_what_it_has(self, asked, inside):
        expected = torch.float32 if "float32" in (asked, str(inside).removeprefix("torch.")) else torch.float64
        assert self.subject(inside, precision=asked).dtype == expected

    @pytest.mark.parametrize(
        ("potential", "expected"),
        [
            (ASEPotential("ase.calculators.emt.EMT"), torch.float64),
            (keel.CGCNN(elements=["Cu"]), torch.float64),
            (keel.SumPotential([keel.ZBL(elements=["Cu"]), ASEPotential(TorchMorse())]), torch.float64),
            (ASEPotential(TorchMorse(most_atoms=1)), torch.float64),
            (keel.LennardJones(epsilon=0.0), torch.float64),
        ],
    )
    def test_nothing_else_is_mistaken_for_it(self, potential, expected):
        assert computed_in(potential, keel.atoms.as_frames([copper(), copper(2)])) == expected


def test_evaluations_are_counted():
    seen = []
    with counted(seen.append):
        ASEPotential(TorchMorse())([copper(), copper(2)])
    keel.LennardJones()(copper())
    assert seen == [2]
