"""DeePMD, MTP, RuNNer and n2p2: what only these formats have, and what happens where they are damaged."""

from dataclasses import replace

import ase.io
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import keel
import training_files as files
from keel.atoms.formats import mtp, runner
from keel.atoms.labelling.convergence import UNCONVERGED
from keel.atoms.read import iter_frames
from keel.atoms.record import LabelKeys
from keel.errors import DataError


class TestDeePMD:
    def test_types_without_names_are_named_by_the_user(self, tmp_path):
        images = files.crystals()
        folder = files.deepmd(tmp_path / "data", images)
        (folder / "type_map.raw").unlink()
        with pytest.raises(DataError, match=r"atoms of 2 types but does not say which elements"):
            keel.read(folder)
        files.assert_same(files.read_as(folder, images), images, tmp_path)

    def test_what_is_not_read_is_said(self, tmp_path):
        folder = files.deepmd(tmp_path / "data", files.crystals())
        np.save(folder / "set.000" / "fparam.npy", np.zeros((3, 1)))
        assert keel.read(folder)[0].remarks == ("the arrays fparam, which are not read",)

    @pytest.mark.parametrize(
        ("name", "array", "words"),
        [
            ("force", np.zeros((3, 9)), r"force has the shape \(3, 9\) but 3 frames of 4 atoms need 12"),
            ("energy", np.zeros(2), r"energy has the shape \(2,\)"),
            ("box", None, "no box"),
            ("coord", np.array([["a"]]), "does not contain numbers"),
        ],
    )
    def test_arrays_that_do_not_fit(self, name, array, words, tmp_path):
        folder = files.deepmd(tmp_path / "data", files.crystals())
        file = folder / "set.000" / f"{name}.npy"
        file.unlink() if array is None else np.save(file, array)
        with pytest.raises(DataError, match=words):
            keel.read(folder)

    def test_an_array_that_is_cut_off(self, tmp_path):
        folder = files.deepmd(tmp_path / "data", files.crystals())
        file = folder / "set.000" / "coord.npy"
        file.write_bytes(file.read_bytes()[:-8])
        with pytest.raises(DataError, match="not a complete numpy array"):
            keel.read(folder)


class TestMTP:
    def test_the_old_stress_has_the_other_sign(self, tmp_path):
        images = files.crystals()
        path = files.mtp(tmp_path / "train.cfg", images)
        path.write_text(path.read_text().replace("PlusStress:", "Stress:"))
        np.testing.assert_allclose(
            files.read_as(path, images)[0].stress, -images[0].get_stress(voigt=False), atol=1e-12
        )

    def test_a_virial_of_unsettled_unit_is_set_aside(self, tmp_path):
        images = files.crystals()
        path = files.mtp(tmp_path / "train.cfg", images)
        path.write_text(path.read_text().replace("PlusStress:", "Virial:"))
        frame = files.read_as(path, images)[0]
        assert frame.stress is None and frame.remarks == (mtp.VIRIAL,)

    def test_what_vasp_did_not_converge_has_no_labels(self, tmp_path):
        path = files.mtp(tmp_path / "train.cfg", files.crystals())
        first, end, others = path.read_text().partition("END_CFG")
        path.write_text(f"{first} Feature   EFS_by       VASP_not_converged\n{end}{others}")
        keys = LabelKeys(elements=("Cu", "Au"))
        frame, *rest = keel.read(path, keys=keys)
        assert (frame.energy, frame.forces, frame.stress) == (None, None, None)
        assert frame.remarks == (f"{UNCONVERGED}: the labels are not used",)
        assert all(f.energy is not None and not f.remarks for f in rest)
        assert keel.read(path, keys=replace(keys, unconverged=True))[0].energy is not None

    def test_fractional_coordinates_and_slabs(self, tmp_path):
        path = tmp_path / "train.cfg"
        path.write_text(
            "BEGIN_CFG\n Size\n 1\n Supercell\n 4 0 0\n 1 4 0\n"
            " AtomData: id type cartes_x cartes_y cartes_z\n 1 0 1 2 3\n Energy\n -1e-1\nEND_CFG\n"
            "BEGIN_CFG\n Supercell\n 4 0 0\n 1 4 0\n 0 0 8\n AtomData: id type direct_x direct_y direct_z\n"
            " 1 0 0.5 0.5 0.5\nEND_CFG\n"
        )
        slab, crystal = keel.read(path, keys=LabelKeys(elements=("Cu",)))
        assert slab.pbc.tolist() == [True, True, False] and slab.energy == -0.1
        np.testing.assert_allclose(crystal.positions, [[2.5, 2.0, 4.0]])

    @pytest.mark.parametrize(
        ("old", "new", "words"),
        [
            ("END_CFG", "", "no END_CFG"),
            ("  4\n", "  5\n", "should have 5 atoms but has 4"),
            ("cartes_x", "x", "neither cartes_x"),
            (" type", " kind", "no column 'type'"),
            ("yz", "zy", "does not name the components"),
        ],
    )
    def test_damage(self, old, new, words, tmp_path):
        path = files.mtp(tmp_path / "train.cfg", files.crystals()[:1])
        path.write_text(path.read_text().replace(old, new))
        with pytest.raises(DataError, match=words):
            keel.read(path)

    def test_the_cfg_of_atomeye_is_still_read(self, tmp_path):
        ase.io.write(tmp_path / "a.cfg", files.crystals()[0], format="cfg")
        assert len(keel.read(tmp_path / "a.cfg")[0]) == 4


class TestRuNNer:
    @pytest.mark.parametrize(
        ("write", "remark"), [(files.runner, runner.IN_ANGSTROM), (files.runner_bohr, runner.IN_BOHR)]
    )
    def test_the_units_are_said(self, write, remark, tmp_path):
        assert {f.remarks for f in keel.read(write(tmp_path / "input.data", files.crystals()))} == {(remark,)}

    def test_the_user_has_the_last_word(self, tmp_path):
        images = files.crystals()
        path = files.runner_bohr(tmp_path / "input.data", images)
        metric = LabelKeys(length_unit="angstrom", energy_unit="eV", forces_unit="eV/angstrom")
        frame = next(iter_frames(path, keys=metric))
        assert frame.energy == pytest.approx(images[0].get_potential_energy() / files.Hartree)
        np.testing.assert_allclose(frame.positions, images[0].positions / files.Bohr)

    def test_noble_gases_tell_nothing(self, tmp_path):
        (tmp_path / "input.data").write_text(
            "begin\natom 0 0 0 Ar 0 0 0 0 0\natom 7 0 0 Ar 0 0 0 0 0\nenergy -1\nend\n"
        )
        frame = keel.read(tmp_path / "input.data")[0]
        assert frame.remarks == (runner.UNTOLD,) and frame.energy == pytest.approx(-files.Hartree)

    def test_columns_that_the_first_line_names(self, tmp_path):
        ase.io.write(tmp_path / "new.data", files.crystals(), format="runnerdata")
        assert "force" in (tmp_path / "new.data").read_text().splitlines()[0]
        files.assert_same(keel.read(tmp_path / "new.data"), files.crystals(), tmp_path, stress=False)

    @pytest.mark.parametrize(
        ("old", "new", "words"),
        [
            ("end\n", "", "no line 'end'"),
            ("comment of EMT\nlattice", "comment", "should have 3 lines 'lattice' or none but has 2"),
            ("Cu", "Qq", "'Qq' is not a chemical element"),
            ("energy", "energy x", "its energy should have 1 number"),
        ],
    )
    def test_damage(self, old, new, words, tmp_path):
        path = files.runner(tmp_path / "input.data", files.crystals()[:1])
        path.write_text(path.read_text().replace(old, new))
        with pytest.raises(DataError, match=words):
            keel.read(path)


TEXTS = {"train.cfg": files.mtp, "input.data": files.runner, "ML_AB": files.ml_ab, "a.json": files.matpes}


@pytest.mark.parametrize("name", TEXTS)
@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_damage_gives_frames_or_a_data_error(name, data, tmp_path):
    path, whole = tmp_path / name, tmp_path / "whole" / name
    if not whole.exists():
        whole.parent.mkdir()
        TEXTS[name](whole, [files.by_element(a) for a in files.crystals(2)])
    content = bytearray(whole.read_bytes())
    start = data.draw(st.integers(0, len(content)))
    content[start : start + data.draw(st.sampled_from([0, 1, 5, 40, 400]))] = data.draw(
        st.sampled_from([b"", b"\n", b" ", b"-", b"nan", b"1e9", b"\xff", b"[", b"end\n"])
    )
    path.write_bytes(content)
    try:
        assert all(len(frame) for frame in iter_frames(path, keys=LabelKeys(elements=("Cu", "Au"))))
    except DataError as error:
        message = str(error)
    else:
        message = str(path)
    assert message.startswith(str(path)) and "\n" not in message
