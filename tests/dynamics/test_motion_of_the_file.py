"""What a file says of motion is honoured: fixed components, masses, velocities at the beginning."""

import numpy as np
import pytest
from ase import units
from ase.build import fcc111
from ase.constraints import FixAtoms, FixCartesian
from ase.io import write as ase_write
from typer.testing import CliRunner

import keel
from keel.atoms.labelling.labelled import frame_from_ase
from keel.atoms.mobility import degrees_of_freedom, freed, motion_in_words
from keel.cli import app
from keel.dynamics import Snapshot, read_trajectories, simulate
from keel.dynamics.integrators import ACCELERATION, BOLTZMANN, maxwell_boltzmann
from keel.dynamics.recorder import identity
from keel.dynamics.settings import HERE, Schedule
from keel.errors import DataError
from keel.evaluation.stability.conditions import Condition
from keel.evaluation.structure.diffusion import paths_of
from keel.potentials import LennardJones
from simulated import IdealGas, Spring, argon, molecule, of_steps

LJ = LennardJones(cutoff=6.0)
MIXED = np.zeros((4, 3), dtype=bool)
MIXED[0], MIXED[1, 2] = True, True
HELD = argon(1).replace(fixed=MIXED)
HEAVY = argon(1).replace(masses=np.array([200.0, 20.0, 39.9, 39.9]))


def run(starts, steps=50, **options):
    settings = of_steps(steps, 4.0, **{"temperature": 200, "seed": 3, "record_every": 10, **options})
    return simulate(LJ, starts, settings)


class TestFixed:
    @pytest.mark.parametrize("ensemble", ["nvt", "nve"])
    def test_components_rest_and_all_others_move(self, ensemble):
        (held,) = run([HELD], ensemble=ensemble)
        moved = held.last.frame.positions - HELD.positions
        assert not moved[MIXED].any() and np.all(np.abs(moved[~MIXED]) > 1e-6)
        assert not held.last.velocities[MIXED].any()
        assert held.last.frame.forces[MIXED].any()

    def test_energy_is_conserved(self):
        (held,) = run([HELD], ensemble="nve", steps=200)
        assert np.ptp(held.total_energies) < 1e-3 and held.snapshots[0].kinetic_energy > 1e-2

    def test_the_others_are_as_without_company(self):
        together = run([HELD, argon(1, seed=1)])
        (second,) = simulate(
            LJ, [argon(1, seed=1)], of_steps(50, 4.0, temperature=200, seed=3, record_every=10), runs=[1]
        )
        np.testing.assert_allclose(together[1].last.frame.positions, second.last.frame.positions, atol=1e-5)

    def test_only_what_moves_has_a_temperature(self):
        gas = molecule(np.arange(3000).reshape(-1, 3).tolist(), [18] * 1000)
        half = np.repeat(np.arange(1000) < 500, 3).reshape(-1, 3)
        settings = of_steps(3, 1.0, temperature=300, friction_per_fs=0.5, record_every=1)
        for snapshot in simulate(IdealGas(), [gas.replace(fixed=half)], settings, criteria=[])[0].snapshots:
            # Three standard errors of 1500 degrees of freedom.
            assert snapshot.temperature == pytest.approx(300, abs=3 * 300 * (2 / 1500) ** 0.5)

    def test_momentum_is_removed_only_along_axes_without_anything_fixed(self):
        fixed = np.zeros((50, 3), dtype=bool)
        fixed[0, 2] = True
        velocities = maxwell_boltzmann(np.full(50, 40.0), 300, 0, 0, fixed)
        total = velocities.sum(axis=0)
        assert np.abs(total[:2]).max() < 1e-15 < abs(total[2]) and velocities[0, 2] == 0

    def test_a_changing_cell_is_refused_and_so_is_a_structure_that_cannot_move(self):
        with pytest.raises(DataError, match="it has fixed atoms, which a changing cell"):
            run([HELD], ensemble="npt")
        with pytest.raises(DataError, match="all its atoms are fixed"):
            run([argon(1).replace(fixed=np.ones((4, 3), bool))])
        assert Condition(300, pressure=1.0).start(HELD).fixed is None
        assert Condition(300).start(HELD).fixed is MIXED and freed(HEAVY) is HEAVY


class TestMasses:
    def test_a_heavy_atom_is_slow_and_carries_its_share_of_energy(self):
        velocities = np.array([run([HEAVY], seed=seed, steps=1)[0].snapshots[0].velocities for seed in range(200)])
        energies = 0.5 * HEAVY.masses[:, None] * velocities**2 / ACCELERATION
        # Without the centre of mass an atom has (1 - m / M) of kT / 2 in every component.
        expected = 0.5 * BOLTZMANN * 200 * (1 - HEAVY.masses / HEAVY.masses.sum())
        np.testing.assert_allclose(energies.mean(axis=(0, 2)) / expected, 1, atol=0.25)

    def test_the_period_of_a_spring(self):
        pair = molecule([[0, 0, 0], [2.2, 0, 0]], [18, 18]).replace(masses=np.array([10.0, 30.0]))
        still = Snapshot(pair, np.zeros((2, 3)), 0, 0.0)
        period = 2 * np.pi * (7.5 / 5.0 / ACCELERATION) ** 0.5
        settings = of_steps(1000, period / 1000, temperature=0, ensemble="nve")
        (moved,) = simulate(Spring(stiffness=5.0, length=2.0), [still], settings, criteria=[])
        np.testing.assert_allclose(moved.last.frame.positions, pair.positions, atol=1e-4)

    def test_the_centre_of_mass(self):
        shift = np.zeros((4, 3))
        shift[:2, 0] = 0.1, -1.0
        frames = [HEAVY, HEAVY.replace(positions=HEAVY.positions + shift)]
        np.testing.assert_allclose(np.diff(paths_of(frames, 1.0).positions, axis=0)[0, 2:], 0, atol=1e-12)


class TestVelocities:
    MOVING = argon(1).replace(velocities=np.arange(12.0).reshape(4, 3) * 1e-4)

    def test_of_the_file_begin_the_run(self):
        (moved,) = run([self.MOVING], velocities="file", ensemble="nve")
        np.testing.assert_array_equal(moved.snapshots[0].velocities, self.MOVING.velocities)
        (drawn,) = run([self.MOVING])
        np.testing.assert_array_equal(drawn.snapshots[0].velocities, run([argon(1)])[0].snapshots[0].velocities)

    def test_none_is_refused_and_fixed_atoms_rest(self):
        with pytest.raises(DataError, match=r"no initial velocities; draw them \(--velocities draw\)"):
            run([argon(1)], velocities="file")
        (held,) = run([self.MOVING.replace(fixed=MIXED)], velocities="file")
        assert not held.snapshots[0].velocities[MIXED].any() and held.snapshots[0].velocities[~MIXED].all()

    def test_a_trajectory_of_keel_goes_on_where_it_ended(self, tmp_path):
        nve = {"temperature": 80, "record_every": 10, "ensemble": "nve"}
        simulate(LJ, [HEAVY], of_steps(40, 4.0, **nve), out=tmp_path / "whole.extxyz")
        half = keel.read(tmp_path / "whole.extxyz", index="2:3")
        (second,) = simulate(LJ, half, of_steps(20, 4.0, velocities="file", **nve))
        np.testing.assert_allclose(
            second.last.frame.positions, keel.read(tmp_path / "whole.extxyz")[-1].positions, atol=1e-6
        )


class TestOnDisk:
    @pytest.mark.parametrize("name", ["a.extxyz", "a.extxyz.gz", "a.h5", "a.traj"])
    def test_trajectories_keep_masses_and_what_is_fixed(self, tmp_path, name):
        start = HEAVY.replace(fixed=MIXED)
        (whole,) = run([start])
        settings = of_steps(50, 4.0, temperature=200, seed=3, record_every=10)
        simulate(LJ, [start], settings, out=tmp_path / name, checkpoint_every=7)
        states = read_trajectories(tmp_path / name)[0]
        for state, known in zip(states, whole.snapshots, strict=True):
            np.testing.assert_array_equal(state.frame.fixed, MIXED)
            np.testing.assert_array_equal(state.frame.masses, HEAVY.masses)
            assert state.temperature == pytest.approx(known.temperature, rel=1e-9)

    def test_hdf5_is_read_like_extended_xyz(self, tmp_path):
        starts = [HEAVY.replace(fixed=MIXED), HEAVY.replace(masses=None)]
        for name in ("a.extxyz", "a.h5"):
            settings = of_steps(20, 4.0, temperature=200, seed=3, record_every=10)
            simulate(LJ, starts, settings, out=tmp_path / name, checkpoint_every=7)
        expected = sorted(keel.read(tmp_path / "a.extxyz"), key=lambda f: (f.info["run"], f.info["step"]))
        found = keel.read(tmp_path / "a.h5")
        assert [f.source for f in found[2:4]] == [f"{tmp_path}/a.h5, frame run_0/2", f"{tmp_path}/a.h5, frame run_1/0"]
        for one, other in zip(found, expected, strict=True):
            assert one.info == pytest.approx(other.info, abs=1e-3) and one.energy == other.energy
            for name in ("positions", "cell", "pbc", "forces", "velocities", "fixed", "masses"):
                np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)

    def test_hdf5_of_others_is_named(self, tmp_path):
        import h5py

        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["particles/position"] = np.zeros((4, 3))
        with pytest.raises(DataError, match="not a trajectory of keel: it has no group run_0"):
            keel.read(tmp_path / "a.h5")
        (tmp_path / "a.h5").write_bytes(b"no HDF5 at all")
        with pytest.raises(DataError, match=r"a.h5: it cannot be read"):
            keel.read(tmp_path / "a.h5")
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["run_0/positions"] = np.zeros((4, 3))
        with pytest.raises(DataError, match="it has no run_0/numbers, run_0/pbc"):
            keel.read(tmp_path / "a.h5")

    def test_a_killed_run_goes_on_with_them(self, tmp_path):
        start, settings = HEAVY.replace(fixed=MIXED), of_steps(50, 4.0, temperature=200, seed=3, record_every=10)
        (whole,) = run([start])

        class KilledError(Exception):
            pass

        def kill(done, total):
            if done > 30:
                raise KilledError

        with pytest.raises(KilledError):
            simulate(LJ, [start], settings, out=tmp_path / "a.extxyz", checkpoint_every=7, callback=kill)
        (rest,) = simulate(LJ, [start], settings, out=tmp_path / "a.extxyz", checkpoint_every=7)
        np.testing.assert_array_equal(rest.last.frame.positions, whole.last.frame.positions)
        states = read_trajectories(tmp_path / "a.extxyz")[0]
        assert len(states) == 6 and all((s.frame.fixed == MIXED).all() for s in states)

    def test_what_is_honoured_tells_simulations_apart_and_nothing_else_does(self):
        def starts_of(frame, **options):
            settings = Schedule.of(of_steps(5, **{"temperature": 80, **options}), [frame])
            return identity(LJ, [frame], [0], settings, [], HERE, max_atoms=9, device="cpu")

        moving = TestVelocities.MOVING
        assert starts_of(moving) == starts_of(argon(1))
        others = [HELD, HEAVY, argon(1).replace(fixed=~MIXED)]
        found = [starts_of(f)["starts"] for f in (argon(1), *others)] + [starts_of(moving, velocities="file")["starts"]]
        assert len(set(found)) == 5

    def test_extended_xyz_brings_everything_back(self, tmp_path):
        frame = HEAVY.replace(
            fixed=MIXED, velocities=TestVelocities.MOVING.velocities, forces=np.arange(12.0).reshape(4, 3), energy=1.0
        ).replace(forces_mask=np.array([False, True, True, True]))
        keel.write(tmp_path / "a.extxyz", frame)
        (back,) = keel.read(tmp_path / "a.extxyz")
        for name in ("fixed", "masses", "forces_mask", "forces"):
            np.testing.assert_array_equal(getattr(back, name), getattr(frame, name))
        np.testing.assert_allclose(back.velocities, frame.velocities, rtol=1e-14)


class TestReading:
    def test_constraints_of_ase_in_its_own_extended_xyz(self, tmp_path):
        slab = fcc111("Cu", (2, 2, 3), vacuum=6.0)
        slab.set_constraint([FixAtoms(range(4)), FixCartesian([4], mask=(False, False, True))])
        slab.set_momenta(np.full((12, 3), 2.0), apply_constraint=False)
        ase_write(tmp_path / "slab.extxyz", slab)
        (frame,) = keel.read(tmp_path / "slab.extxyz", labels=False)
        np.testing.assert_array_equal(frame.fixed, frame_from_ase(slab).fixed)
        assert degrees_of_freedom(frame) == 3 * 12 - 13
        np.testing.assert_allclose(frame.velocities, 2.0 / slab.get_masses()[0] * units.fs)

    def test_a_mark_that_is_none_is_refused(self, tmp_path):
        path = tmp_path / "a.extxyz"
        path.write_text("1\nProperties=species:S:1:pos:R:3:move_mask:L:1\nAr 0 0 0 maybe\n")
        with pytest.raises(DataError, match="the move_mask of atom 0 is 'maybe', which is not T or F"):
            keel.read(path)


class TestCommand:
    def test_one_line_says_what_is_honoured(self, tmp_path):
        start = HELD.replace(masses=HEAVY.masses, velocities=TestVelocities.MOVING.velocities)
        keel.write(tmp_path / "start.extxyz", start)
        LJ.save(tmp_path / "lj.json")
        files = [str(tmp_path / "lj.json"), str(tmp_path / "start.extxyz")]
        shown = CliRunner().invoke(app, ["md", *files, "-T", "30", "--length-fs", "8"])
        told = " ".join(shown.output.split())
        assert shown.exit_code == 0 and "2 of 4 atoms are fixed or partly fixed; masses from the file are used" in told
        assert "velocities from the file are not used (to use them: --velocities file)" in told
        shown = CliRunner().invoke(app, ["md", *files, "-T", "30", "--length-fs", "8", "--velocities", "file"])
        assert "velocities from the file are the initial ones" in " ".join(shown.output.split())

    def test_labels_that_cannot_be_used_are_no_matter(self, tmp_path):
        rows = "\n".join("Ar {:f} {:f} {:f}".format(*position) for position in argon(1).positions)
        comment = 'Lattice="5.26 0 0 0 5.26 0 0 0 5.26" energy=nan stress="inf 0 0 0 inf 0 0 0 inf" virial=1'
        (tmp_path / "start.extxyz").write_text(f"4\n{comment} Properties=species:S:1:pos:R:3\n{rows}\n")
        LJ.save(tmp_path / "lj.json")
        arguments = ["md", str(tmp_path / "lj.json"), str(tmp_path / "start.extxyz"), "-T", "30", "--length-fs", "8"]
        shown = CliRunner().invoke(app, arguments)
        assert shown.exit_code == 0 and "note" not in shown.output

    def test_nothing_to_say_of_plain_structures(self):
        assert motion_in_words([argon(1)], "draw") == []
