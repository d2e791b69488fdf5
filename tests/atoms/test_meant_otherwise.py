"""Numbers that are not what they seem: fillers, masses, cells under other names."""

import json

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, hcp0001
from ase.calculators.emt import EMT
from ase.constraints import FixedPlane, FixScaled
from typer.testing import CliRunner

import keel
from keel.atoms import pack
from keel.atoms.frame import Frame
from keel.atoms.labelling.labelled import frame_from_ase
from keel.atoms.labelling.names import CELLS
from keel.atoms.labelling.search import TOO_LARGE
from keel.atoms.motion_columns import HELD_ALONG_LATTICE, NO_MASSES, NOT_NUMBERS, held_along
from keel.atoms.read import believed, iter_frames
from keel.atoms.record import LabelKeys
from keel.atoms.soundness.unknown import CONSTANT_ENERGY, without_placeholders
from keel.cli import app
from keel.errors import ConfigError, DataError

pytestmark = pytest.mark.usefixtures("each_xyz_reader")


CELL = 'Lattice="5 0 0 0 5 0 0 0 5"'


def written(path, comment="energy=-3.5", columns="species:S:1:pos:R:3:forces:R:3", rows=None, cell=CELL):
    rows = rows or ["Si 0 0 0 0.1 0.2 0.3", "O 1.6 0 0 -0.1 -0.2 -0.3"]
    path.write_text("\n".join([str(len(rows)), f"{cell} Properties={columns} {comment}", *rows, ""]))
    return path


class TestFillers:
    @pytest.mark.parametrize("filler", ["-999", "9999.0", "99"])
    def test_a_force_that_stands_for_unknown_is_refused(self, filler, tmp_path):
        path = written(tmp_path / "a.extxyz", rows=["Si 0 0 0 0.1 0.2 0.3", f"O 1.6 0 0 {filler} {filler} {filler}"])
        with pytest.raises(DataError, match=r"frame 0: the force on atom 1 is three times -?99.*forces_mask"):
            keel.read(path)

    @pytest.mark.parametrize("filler", ["-999", "nan"])
    def test_where_it_is_masked_it_may_be_anything(self, filler, tmp_path):
        rows = ["Si 0 0 0 0.1 0.2 0.3 T", f"O 1.6 0 0 {filler} {filler} {filler} F"]
        columns = "species:S:1:pos:R:3:forces:R:3:forces_mask:L:1"
        (frame,) = keel.read(written(tmp_path / "a.extxyz", columns=columns, rows=rows))
        assert frame.forces_mask.tolist() == [True, False]
        assert np.isfinite(frame.forces).all()

    def test_the_atom_that_is_not_masked_is_named(self, tmp_path):
        rows = ["Si 0 0 0 -999 -999 -999 F", "O 1.6 0 0 -999 -999 -999 T", "O 3 0 0 0.1 0 0 T"]
        path = written(tmp_path / "a.extxyz", columns="species:S:1:pos:R:3:forces:R:3:forces_mask:L:1", rows=rows)
        with pytest.raises(DataError, match="the force on atom 1 is three times -999"):
            keel.read(path)

    @pytest.mark.parametrize("filler", ["-999", "99", "1e10", "-1", "0.5"])
    def test_on_all_atoms_it_is_no_label(self, filler, tmp_path):
        rows = [f"{element} {filler} {filler} {filler}" for element in ("Si 0 0 0", "O 1.6 0 0")]
        (frame,) = keel.read(written(tmp_path / "a.extxyz", rows=rows))
        assert frame.forces is None and frame.energy == -3.5
        assert frame.remarks == ("forces with the same number throughout: not used",)

    @pytest.mark.parametrize("number", ["-1", "1e10", "0.001"])
    def test_one_number_in_all_components_of_a_stress_is_none(self, number, tmp_path):
        (frame,) = keel.read(written(tmp_path / "a.extxyz", f'energy=-3.5 stress="{" ".join([number] * 9)}"'))
        assert frame.stress is None and frame.remarks == ("stress with the same number throughout: not used",)

    @pytest.mark.parametrize(("energy", "taken"), [("-1e10", False), ("3e7", False), ("-1.9e7", True)])
    def test_an_energy_that_no_atom_has_is_none(self, energy, taken, tmp_path):
        frame = next(iter_frames(written(tmp_path / "a.extxyz", f"energy={energy}")))
        assert (frame.energy is not None) == taken
        assert frame.remarks == (() if taken else (TOO_LARGE,))

    @pytest.mark.parametrize("nothing", [[], None, "", {}])
    def test_nothing_is_no_label(self, nothing, tmp_path):
        rows = [
            {"positions": [[0, 0, 0], [1.6, 0, 0]], "numbers": [14, 8], "energy": -3.5, "forces": forces}
            for forces in (nothing, [[0.1, 0.2, 0.3], [-0.1, -0.2, -0.3]])
        ]
        (tmp_path / "a.json").write_text(json.dumps(rows))
        first, second = keel.read(tmp_path / "a.json")
        assert first.forces is None and first.energy == second.energy == -3.5
        assert second.forces is not None

    def test_one_energy_for_all_is_none(self):
        rng = np.random.default_rng(0)
        one = Frame(np.array([29, 29]), np.array([[0.0, 0, 0], [2.5, 0, 0]]), 8 * np.eye(3), np.ones(3, bool))
        frames = [one.replace(energy=-3.5, forces=f) for f in rng.normal(size=(8, 2, 3))]
        assert all(f.energy is None and CONSTANT_ENERGY in f.remarks for f in believed(frames))
        for sound in (frames[:4], [*frames, *(f.replace(energy=float(k)) for k, f in enumerate(frames))]):
            assert all(f.energy is not None for f in believed(sound))
        # Turned copies of one structure have one energy.
        copies = [one.replace(energy=-3.5, forces=frames[0].forces @ np.roll(np.eye(3), k, axis=0)) for k in range(8)]
        assert all(f.energy is not None for f in believed(copies))

    @pytest.mark.parametrize("common", [-1.0, -3.6, 0.25])
    def test_one_energy_in_some_structures_under_different_forces_is_none(self, common):
        rng = np.random.default_rng(0)
        one = Frame(np.array([29, 29]), np.array([[0.0, 0, 0], [2.5, 0, 0]]), 8 * np.eye(3), np.ones(3, bool))
        forces = rng.normal(size=(24, 2, 3))
        sound = [one.replace(energy=float(rng.normal(-3.5)), forces=f - f.mean(axis=0)) for f in forces]
        frames = [f.replace(energy=common) if k % 3 == 0 else f for k, f in enumerate(sound)]
        lost = [k for k, f in enumerate(without_placeholders(frames)) if CONSTANT_ENERGY in f.remarks]
        assert lost == list(range(0, 24, 3))
        # Few digits repeat by chance.
        coarse = [f.replace(energy=round(f.energy)) for f in sound]
        assert all(f.energy is not None for f in without_placeholders(coarse))

    @pytest.mark.parametrize("digits", [2, 3, 4, 5])
    def test_the_last_steps_of_a_relaxation_keep_their_energy(self, digits):
        atoms = bulk("Cu", cubic=True) * (2, 1, 1)
        atoms.rattle(0.1, seed=0)
        atoms.calc = EMT()
        frames = []
        for _ in range(60):
            forces = atoms.get_forces()
            frames.append(frame_from_ase(atoms))
            atoms.positions += 0.05 * forces
        frames = [f.replace(energy=round(f.energy, digits)) for f in frames]
        last = [f for f in frames if f.energy == frames[-1].energy]
        assert len(last) >= 5 and len({np.abs(f.forces).max() for f in last}) == len(last)
        assert all(f.energy is not None for f in without_placeholders(frames))


@pytest.mark.parametrize("mass", ["0.0", "-1", "nan", "1e-25"])
def test_masses_that_cannot_be_are_not_used(mass, tmp_path):
    rows = ["Si 0 0 0 28.0", f"O 1.6 0 0 {mass}"]
    path = written(tmp_path / "a.extxyz", columns="species:S:1:pos:R:3:masses:R:1", rows=rows)
    (frame,) = keel.read(path)
    assert frame.masses is None
    assert any(remark.startswith((NO_MASSES, NOT_NUMBERS)) for remark in frame.remarks)


class TestUnits:
    def test_an_optimisation_of_cp2k_is_in_hartree_too(self, tmp_path):
        path = tmp_path / "opt-pos-1.xyz"
        path.write_text("2\n i =        1, E =       -76.4123456700\nSi 0 0 0\nSi 2.3 0 0\n")
        assert "hartree" in keel.read(path)[0].remarks[0]
        with pytest.raises(DataError, match="CP2K writes this E in hartree"):
            keel.read(path, keys=LabelKeys(energy="E"))

    def test_a_store_has_its_units(self, tmp_path):
        pack([written(tmp_path / "a.extxyz")], tmp_path / "a.keel")
        with pytest.raises(ConfigError, match=r"a\.keel: a store has labels under keel's own names"):
            keel.read(tmp_path / "a.keel", keys=LabelKeys(energy_unit="hartree"))
        done = CliRunner().invoke(app, ["census", str(tmp_path / "a.keel"), "--energy-unit", "hartree"])
        assert isinstance(done.exception, ConfigError)
        assert keel.read(tmp_path / "a.keel", keys=LabelKeys())[0].energy == -3.5


class TestNames:
    @pytest.mark.parametrize("name", sorted(CELLS - {"cell"}))
    def test_a_cell_of_another_name_is_not_lost(self, name, tmp_path):
        path = written(tmp_path / "a.extxyz", cell=f'{name.capitalize()}="5 0 0 0 5 0 0 0 5"')
        with pytest.raises(DataError, match="is not understood; name it Lattice"):
            keel.read(path)
        beside = written(tmp_path / "b.extxyz", f"energy=-3.5 {name}=5")
        assert keel.read(beside)[0].pbc.all()

    @pytest.mark.parametrize("comment", ["energy=-3.5 E=-1", "kinetic_energy=0.2", "step=3", "formation_energy=-1"])
    def test_others_are_not(self, comment, tmp_path):
        assert not keel.read(written(tmp_path / "a.extxyz", comment))[0].remarks

    def test_elements_may_be_one_text(self):
        assert LabelKeys(elements="Si, O").elements == ("Si", "O")


class TestHeld:
    def test_along_lattice_vectors_or_axes(self):
        hexagonal = hcp0001("Ti", (1, 1, 2), a=2.9, vacuum=6.0, periodic=True).cell.array
        masks = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 1], [0, 0, 1], [0, 0, 0]], dtype=bool)
        expected = np.array([[1, 1, 0], [0, 0, 0], [1, 1, 1], [0, 0, 1], [0, 0, 0]], dtype=bool)
        np.testing.assert_array_equal(held_along(masks, hexagonal), expected)
        np.testing.assert_array_equal(held_along(masks, np.diag([2.0, 3.0, 4.0])), masks)

    @pytest.mark.parametrize("name", ["POSCAR", "a.traj", "a.json"])
    def test_files_of_slabs(self, name, tmp_path):
        slab = hcp0001("Ti", (1, 1, 2), a=2.9, vacuum=6.0, periodic=True)
        slab.set_constraint([FixScaled([0], [True, True, False])])
        slab.write(tmp_path / name)
        assert keel.read(tmp_path / name)[0].fixed.tolist() == [[True, True, False], [False] * 3]
        slab.set_constraint([FixScaled([0], [True, False, False])])
        slab.write(tmp_path / name)
        (frame,) = keel.read(tmp_path / name)
        assert frame.fixed is None and HELD_ALONG_LATTICE in frame.remarks

    def test_simulations_say_what_they_ignore(self, tmp_path):
        slab = fcc111("Ar", (1, 1, 2), a=5.3, vacuum=8.0, periodic=True)
        slab.set_constraint(FixedPlane([0], (0, 0, 1)))
        slab.write(tmp_path / "slab.traj")
        keel.LennardJones().save(tmp_path / "lj.json")
        given = ["md", str(tmp_path / "lj.json"), str(tmp_path / "slab.traj"), "-T", "30", "--length-fs", "2"]
        done = CliRunner().invoke(app, given)
        assert "constraints that are not kept: FixedPlane" in done.stderr


def test_a_calculator_refuses_what_is_not_finite_at_every_call():
    atoms: Atoms = bulk("Ar", a=5.3, cubic=True)
    atoms.calc = keel.KeelCalculator(keel.LennardJones())
    atoms.get_potential_energy()
    atoms.positions[2] = np.nan
    with pytest.raises(DataError, match="positions or cell are not finite"):
        atoms.get_potential_energy()


def test_good_and_bad_frames_do_not_go_into_one_file(tmp_path):
    path, out = written(tmp_path / "a.extxyz"), str(tmp_path / "b.extxyz")
    done = CliRunner().invoke(app, ["census", str(path), "--skip-bad", out, "--write", out])
    assert isinstance(done.exception, ConfigError) and "cannot go into one file" in str(done.exception)


def test_a_frame_of_two_sizes_is_refused():
    with pytest.raises(DataError, match="it has 2 atomic numbers and positions of the shape"):
        keel.batch(Frame(np.array([18, 18]), np.zeros((1, 3))), cutoff=5.0)
