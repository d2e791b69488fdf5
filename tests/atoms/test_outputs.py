"""Outputs of pw.x, GPAW and CASTEP: the energy that the forces belong to, steps that did not converge."""

import re

import numpy as np
import pytest

import keel
import outputs
from keel.atoms.labelling.labelled import HELD_AT_ZERO
from keel.atoms.read import BadFrames
from keel.errors import DataError, KeelWarning

TRUE = outputs.frames(3)


def assert_labels(frame, true, digits=1e-5, stress=True):
    assert frame.energy == pytest.approx(true.energy, abs=2e-6)
    np.testing.assert_allclose(frame.forces, true.forces, atol=digits)
    np.testing.assert_allclose(frame.positions, true.positions, atol=1e-5)
    np.testing.assert_allclose(frame.cell, true.cell, atol=1e-5)
    if stress:
        np.testing.assert_allclose(frame.stress, true.stress, atol=1e-5)


class TestPw:
    """pw.x of Quantum ESPRESSO."""

    def read(self, tmp_path, text, name="scf.out", **options):
        (tmp_path / name).write_text(text)
        return keel.read(tmp_path / name, **options)

    @pytest.mark.parametrize("name", ["scf.out", "run.log", "pw.txt", "slurm-12"])
    def test_steps_of_a_run_under_any_name(self, tmp_path, name):
        text = outputs.pw_head(TRUE[0]) + outputs.pw_results(TRUE[0])
        for true in TRUE[1:]:
            text += outputs.pw_place(true) + outputs.pw_results(true)
        text += outputs.pw_place(TRUE[-1])  # A relaxation prints its last structure once more.
        frames = self.read(tmp_path, "Some banner of the machine\n" * 500 + text, name)
        assert len(frames) == 3
        for frame, true in zip(frames, TRUE, strict=True):
            assert_labels(frame, true)

    def test_the_energy_of_a_hybrid_functional_is_the_settled_one(self, tmp_path):
        rounds = (0.06, 4e-4, 1e-6)
        text = outputs.pw_head(TRUE[0], hybrid=True) + outputs.pw_results(TRUE[0], rounds, settled=True)
        text += outputs.pw_place(TRUE[1]) + outputs.pw_results(TRUE[1], rounds, settled=True)
        frames = self.read(tmp_path, text)
        for frame, true in zip(frames, TRUE[:2], strict=True):
            assert_labels(frame, true)

    def test_runs_of_two_functionals_in_one_file_are_named(self, tmp_path):
        # The lines are those of pw.x 6.7.
        told = (
            ("30.0000", "PBE ( 1 4 3 4 0 0 0)", "PBE", "30.0000 Ry"),
            ("80.0000", "SLA  PZ   NOGX NOGC", "SLA PZ NOGX NOGC", "80.0000 Ry"),
        )
        text = ""
        for (cutoff, xc, *_), true in zip(told, TRUE, strict=False):
            text += outputs.pw_head(true) + f"     kinetic-energy cutoff     =      {cutoff}  Ry\n"
            text += f"     Exchange-correlation= {xc}\n" + outputs.pw_results(true)
            text += outputs.pw_place(true) + outputs.pw_results(true)
        with pytest.warns(KeelWarning, match="2 frames with PBE, 2 frames with SLA PZ"):
            frames = self.read(tmp_path, text)
        assert [(f.info["calc_functional"], f.info["calc_ecutwfc"]) for f in frames[::2]] == [t[2:] for t in told]
        assert frames[0].info == frames[1].info

    def test_exact_exchange_that_did_not_settle_has_no_energy(self, tmp_path):
        text = outputs.pw_head(TRUE[0], hybrid=True) + outputs.pw_results(TRUE[0], (0.1,), settled=True)
        text += outputs.pw_place(TRUE[1]) + outputs.pw_results(TRUE[1], (0.1, 0.05))
        with pytest.raises(DataError, match=r"step 1: the exact exchange of this step did not settle"):
            self.read(tmp_path, text)
        bad = BadFrames(tmp_path / "bad")
        assert len(self.read(tmp_path, text, skip_bad=bad)) == len(bad) == 1

    @pytest.mark.parametrize("again", [False, True])
    def test_a_last_step_that_did_not_converge(self, tmp_path, again):
        text = outputs.pw_head(TRUE[0]) + outputs.pw_results(TRUE[0]) + outputs.pw_place(TRUE[1]) + outputs.PW_FAILED
        if again:  # The run was started anew, into the same file.
            text += outputs.pw_head(TRUE[2]) + outputs.pw_results(TRUE[2])
        with pytest.raises(DataError, match=r"scf.out, step 1: the SCF of this step did not converge"):
            self.read(tmp_path, text)
        bad = BadFrames(tmp_path / "bad")
        frames = self.read(tmp_path, text, skip_bad=bad)
        assert len(frames) == 1 + again and len(bad) == 1
        assert_labels(frames[-1], TRUE[2 * again])

    def test_only_one_step_and_that_not_converged(self, tmp_path):
        with pytest.raises(DataError, match=r"step 0: the SCF of this step did not converge"):
            self.read(tmp_path, outputs.pw_head(TRUE[0]) + outputs.PW_FAILED)

    @pytest.mark.parametrize(
        ("at", "where"),
        [
            ("!    total energy", "end"),
            ("force =", "end"),
            ("total   stress", "end"),
            ("!    total energy", "middle"),
            ("force =", "middle"),
        ],
    )
    def test_cut_off_or_damaged_within_a_step(self, tmp_path, at, where):
        text = outputs.pw_head(TRUE[0]) + outputs.pw_results(TRUE[0]) + outputs.pw_place(TRUE[1])
        text += outputs.pw_results(TRUE[1])
        cut = text.rindex(at) + len(at) + 2
        rest = outputs.pw_place(TRUE[2]) + outputs.pw_results(TRUE[2])
        # As Fortran prints what does not fit.
        stars = re.sub(r"-?\d+\.\d+", "*" * 12, text[cut:], count=1)
        damaged = text[:cut] if where == "end" else text[:cut] + stars + rest
        with pytest.raises(DataError, match=r"scf.out, step 1: the file is cut off or damaged within this step"):
            self.read(tmp_path, damaged)
        bad = BadFrames(tmp_path / "bad")
        frames = self.read(tmp_path, damaged, skip_bad=bad)
        assert len(frames) == 1 + (where == "middle") and len(bad) == 1
        assert_labels(frames[-1], TRUE[0 if where == "end" else 2])

    def test_without_results_or_cut_off(self, tmp_path):
        with pytest.raises(DataError, match="printed no energies or forces"):
            self.read(tmp_path, outputs.pw_head(TRUE[0]))
        text = outputs.pw_head(TRUE[0]) + outputs.pw_results(TRUE[0])
        text += outputs.pw_place(TRUE[1]) + outputs.pw_results(TRUE[1])
        cut, bad = text[: text.rindex("force =") + 12], BadFrames(tmp_path / "bad")
        assert len(self.read(tmp_path, cut, skip_bad=bad)) == len(bad) == 1


class TestGpaw:
    """GPAW's text, and the same frames as ASE's trajectory."""

    def test_the_free_energy_is_taken_as_from_a_trajectory(self, tmp_path):
        from ase.calculators.singlepoint import SinglePointCalculator
        from ase.io import write

        (tmp_path / "gpaw.txt").write_text(outputs.gpaw(TRUE))
        images = [true.to_ase() for true in TRUE]
        for atoms, true in zip(images, TRUE, strict=True):
            energies = {"energy": true.energy + outputs.SMEARING, "free_energy": true.energy}
            atoms.calc = SinglePointCalculator(atoms, forces=true.forces, **energies)
        write(tmp_path / "gpaw.traj", images)
        texts, stored = keel.read(tmp_path / "gpaw.txt"), keel.read(tmp_path / "gpaw.traj")
        assert len(texts) == len(stored) == 3
        for text, frame, true in zip(texts, stored, TRUE, strict=True):
            assert text.energy == pytest.approx(frame.energy, abs=2e-6)
            assert text.info["energy_extrapolated"] == pytest.approx(true.energy + outputs.SMEARING, abs=2e-6)
            assert_labels(text, true, stress=False)

    def test_with_a_correction_for_dispersion(self, tmp_path):
        (tmp_path / "gpaw.txt").write_text(outputs.gpaw(TRUE[:1], correction=-0.7))
        assert_labels(keel.read(tmp_path / "gpaw.txt")[0], TRUE[0], stress=False)

    def test_a_last_step_that_did_not_converge_is_counted(self, tmp_path):
        (tmp_path / "gpaw.txt").write_text(outputs.gpaw(TRUE[:2], unfinished=TRUE[2]))
        with pytest.raises(DataError, match="frame 2: GPAW printed no energy for this step"):
            keel.read(tmp_path / "gpaw.txt")
        bad = BadFrames(tmp_path / "bad")
        assert len(keel.read(tmp_path / "gpaw.txt", skip_bad=bad)) == 2 and len(bad) == 1


class TestCastep:
    """CASTEP's .castep."""

    @pytest.mark.parametrize("dispersion", [None, -0.4])
    def test_the_energy_holds_what_the_forces_hold(self, tmp_path, dispersion):
        (tmp_path / "a.castep").write_text(outputs.castep(TRUE[0], dispersion))
        (frame,) = keel.read(tmp_path / "a.castep")
        assert_labels(frame, TRUE[0], stress=False)
        assert frame.info["energy_extrapolated"] == pytest.approx(TRUE[0].energy + outputs.SMEARING, abs=2e-6)

    def test_a_free_energy_alone_is_an_energy(self, tmp_path):
        text = re.sub(r"Final free energy.*\n|NB est.*\n", "", outputs.castep(TRUE[0]))
        (tmp_path / "a.castep").write_text(text)
        assert keel.read(tmp_path / "a.castep")[0].energy == pytest.approx(TRUE[0].energy + 2 * outputs.SMEARING)

    def test_forces_that_a_constraint_removed_are_no_labels(self, tmp_path):
        (tmp_path / "a.castep").write_text(outputs.castep(TRUE[0], fixed=2))
        (frame,) = keel.read(tmp_path / "a.castep")
        assert frame.fixed.all(axis=1).tolist() == [True, True, False, False]
        assert frame.forces_mask.tolist() == [False, False, True, True] and HELD_AT_ZERO in frame.remarks


class TestCastepTrajectory:
    """Files ``.md`` and ``.geom``."""

    def written(self, path, count):
        import ase.io

        images = [true.to_ase() for true in TRUE[:count]]
        for atoms, true in zip(images, TRUE, strict=False):
            atoms.calc.results["free_energy"] = true.energy
        ase.io.write(path, images, format="castep-md")
        return path.read_text()

    @pytest.mark.parametrize("name", ["run.md", "run.geom", "trajectory"])
    def test_each_step(self, tmp_path, name):
        text = self.written(tmp_path / name, 3)
        (tmp_path / name).write_text(text.rstrip())  # The empty line that ends a step got lost.
        frames = keel.read(tmp_path / name)
        assert len(frames) == 3
        for frame, true in zip(frames, TRUE, strict=True):
            assert_labels(frame, true)

    @pytest.mark.parametrize("count", [1, 3])
    @pytest.mark.parametrize("tag", ["E", "h", "R", "F"])
    def test_cut_off_within_the_last_step(self, tmp_path, tag, count):
        path = tmp_path / "run.md"
        text = self.written(path, count)
        path.write_text(text[: text.rindex(f"<-- {tag}") - 30])
        with pytest.raises(DataError, match=f"frame {count - 1}: the file is cut off within this step"):
            keel.read(path)
        if count > 1:
            assert len(keel.read(path, skip_bad=BadFrames(tmp_path / "bad"))) == count - 1

    def test_without_steps(self, tmp_path):
        (tmp_path / "run.md").write_text(" BEGIN header\n  \n END header\n  \n")
        with pytest.raises(DataError, match=r"run\.md: it contains no steps"):
            keel.read(tmp_path / "run.md")


class TestConstraintsInAsesFiles:
    """ASE stores the forces of the calculator; who stored ``get_forces()`` has zeros on atoms held fixed."""

    def written(self, path, forces, constraint):
        from ase.calculators.singlepoint import SinglePointCalculator
        from ase.io import write

        atoms = TRUE[0].to_ase()
        atoms.set_constraint(constraint)
        atoms.calc = SinglePointCalculator(atoms, energy=TRUE[0].energy, forces=forces)
        if "constrained" in path.name:
            atoms.calc = SinglePointCalculator(atoms, energy=TRUE[0].energy, forces=atoms.get_forces())
        write(path, atoms)
        return keel.read(path)[0]

    @pytest.mark.parametrize("suffix", [".traj", ".db", ".json"])
    def test_forces_of_the_calculator_stay(self, tmp_path, suffix):
        from ase.constraints import FixAtoms

        frame = self.written(tmp_path / f"raw{suffix}", TRUE[0].forces, FixAtoms([0, 3]))
        assert frame.forces_mask is None
        np.testing.assert_allclose(frame.forces, TRUE[0].forces, atol=1e-7)
        if suffix != ".json":
            assert frame.fixed.all(axis=1).tolist() == [True, False, False, True]

    @pytest.mark.parametrize("suffix", [".traj", ".db", ".json"])
    def test_zeros_are_no_labels(self, tmp_path, suffix):
        from ase.constraints import FixAtoms

        frame = self.written(tmp_path / f"constrained{suffix}", TRUE[0].forces, FixAtoms([0, 3]))
        assert frame.forces_mask.tolist() == [False, True, True, False] and HELD_AT_ZERO in frame.remarks

    def test_components_and_lattice_directions(self, tmp_path):
        from ase.constraints import FixCartesian, FixScaled

        masks = [FixCartesian([1], [True, False, False]), FixScaled([2], [True, True, False])]
        frame = self.written(tmp_path / "constrained.traj", TRUE[0].forces, masks)
        assert frame.forces_mask.tolist() == [True, False, True, True]  # The cell leans: FixScaled is not known there.

    def test_zeros_of_symmetry_and_zeros_everywhere(self, tmp_path):
        from ase.constraints import FixAtoms, FixCartesian

        frame = self.written(tmp_path / "raw.traj", np.zeros((4, 3)), FixAtoms([0]))
        assert frame.forces_mask.tolist() == [False, True, True, True]  # What is held has no force of its own.
        frame = self.written(
            tmp_path / "constrained.traj", TRUE[0].forces, FixCartesian(range(4), [False, False, True])
        )
        assert frame.forces is None and HELD_AT_ZERO in frame.remarks

    def test_constraints_of_other_kinds_are_named(self, tmp_path):
        from ase.constraints import FixBondLength, FixCom

        frame = self.written(tmp_path / "raw.traj", TRUE[0].forces, [FixBondLength(0, 1), FixCom()])
        assert frame.fixed is None and frame.remarks == ("constraints that are not kept: FixBondLengths",)
