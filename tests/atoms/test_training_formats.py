"""Files of training data of other programs hold what the same frames hold in extended XYZ."""

import json
import sys
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.units import GPa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import keel
import training_files as files
from keel import identity
from keel.atoms.formats import mtp, rows, runner
from keel.atoms.read import iter_frames
from keel.atoms.record import LabelKeys
from keel.cli import app
from keel.errors import DataError, UnavailableError

PLAIN = {
    "deepmd": files.deepmd,
    "deepmd as text": files.deepmd_raw,
    "deepmd of mixed types": files.deepmd_mixed,
    "train.cfg": files.mtp,
    "input.data": files.runner,
    "bohr.data": files.runner_bohr,
    "matpes.json": files.matpes,
    "matpes.jsonl": files.json_lines,
    "mptrj.json": files.mptrj,
    "columns.json": files.columns,
}
OPTIONAL = {"frames.parquet": (files.parquet, "pyarrow"), "frames.aselmdb": (files.aselmdb, "ase_db_backends")}


def written(name: str, folder: Path, images: list) -> Path:
    """Return a file of this format, or skip where its package is missing."""
    if name in OPTIONAL:
        write, package = OPTIONAL[name]
        pytest.importorskip(package)
    else:
        write = {**PLAIN, "ML_AB": files.ml_ab}[name]
    return write(folder / name, images)


def read(path: Path, images: list) -> list:
    """Return its frames; the elements of types without names are those of the images."""
    return keel.read(path, keys=LabelKeys(elements=tuple(files.elements_of(images))), require=["energy", "forces"])


def assert_same(frames: list, images: list, folder: Path, digits: float = 1e-7, stress: bool = True) -> None:
    """Compare with the same frames in extended XYZ, and the stress with what EMT says of it."""
    ase.io.write(folder / "same.extxyz", images, format="extxyz")
    for frame, other, atoms in zip(frames, keel.read(folder / "same.extxyz"), images, strict=True):
        np.testing.assert_array_equal(frame.numbers, other.numbers)
        np.testing.assert_array_equal(frame.pbc, other.pbc)
        assert frame.energy == pytest.approx(other.energy, abs=digits)
        for name in ("positions", "forces", "cell"):
            np.testing.assert_allclose(getattr(frame, name), getattr(other, name), atol=digits, rtol=0)
        assert (frame.stress is not None) == (stress and atoms.pbc.all())
        if frame.stress is not None:
            np.testing.assert_allclose(frame.stress, other.stress, atol=digits, rtol=0)
            np.testing.assert_allclose(frame.stress, atoms.get_stress(voigt=False), atol=digits, rtol=0)


def test_the_stress_of_the_samples_has_six_different_components():
    for atoms in files.crystals():
        stress = np.abs(atoms.get_stress())
        assert np.diff(np.sort(stress)).min() > 1e-5 and stress.min() > 1e-5


@pytest.mark.parametrize("name", [*PLAIN, *OPTIONAL])
def test_crystals_are_those_of_extended_xyz(name, tmp_path):
    images = files.crystals()
    # Those of RuNNer have no stress.
    stress = "data" not in name
    assert_same(read(written(name, tmp_path, images), images), images, tmp_path, stress=stress)


@pytest.mark.parametrize("name", [*PLAIN, *OPTIONAL])
def test_molecules_are_those_of_extended_xyz(name, tmp_path):
    images = files.molecules()
    assert_same(read(written(name, tmp_path, images), images), images, tmp_path)


def by_element(atoms):
    """The atoms in the order of ML_AB."""
    return files.labelled(atoms[np.argsort(atoms.numbers, kind="stable")])


def test_ml_ab_holds_frames_of_different_atoms(tmp_path):
    images = [*map(by_element, files.crystals()), files.labelled(files.crystals()[0][[0, 2, 3]])]
    path = files.ml_ab(tmp_path / "ML_AB", images)
    assert_same(keel.read(path), images, tmp_path)
    assert [len(f) for f in keel.read(path.rename(tmp_path / "of another name"))] == [4, 4, 4, 3]


class TestFolders:
    def test_systems_in_a_folder_are_read_in_order(self, tmp_path):
        images = files.crystals()
        for k in (10, 2):
            files.deepmd(tmp_path / "all" / f"part{k}", images[:1])
        frames = keel.read(tmp_path / "all")
        assert [f.source.rpartition("frame ")[2] for f in frames] == ["part2/set.000/0", "part10/set.000/0"]
        assert_same(keel.read(tmp_path / "all" / "part2" / "type.raw"), images[:1], tmp_path)

    @pytest.mark.parametrize("name", OPTIONAL)
    def test_folders_of_files(self, name, tmp_path):
        images = files.crystals()
        for k, atoms in enumerate(images):
            written(name, tmp_path / "all" / f"part{k}", [atoms])
        assert_same(keel.read(tmp_path / "all"), images, tmp_path)

    def test_census_fit_and_training(self, tmp_path):
        folder, out = files.deepmd(tmp_path / "data", files.crystals(12)), tmp_path / "out"
        train = ["train", str(folder), "--out", str(out), "--preset", "small", "--steps", "2", "--strategy", "vanilla"]
        for command in (["census", str(folder)], ["fit", str(folder), "--out", str(tmp_path / "eam.json")], train):
            result = CliRunner().invoke(app, command)
            assert result.exit_code == 0, result.output
        assert (out / "potential.safetensors").is_file()

    def test_others_are_refused_in_a_sentence(self, tmp_path):
        with pytest.raises(DataError, match=r"folder holds no .*aselmdb.*parquet.*DeePMD \(type.raw\); name the files"):
            keel.read(tmp_path)
        files.deepmd(tmp_path / "a", files.crystals())
        (tmp_path / "b.parquet").touch()
        with pytest.raises(DataError, match="holds parquet and systems of DeePMD; name"):
            keel.read(tmp_path)

    def test_changed_data_is_noticed(self, tmp_path):
        folder = files.deepmd(tmp_path / "data", files.crystals())
        before = identity.of_file(folder)
        assert before and before == identity.of_file(folder)
        energies = folder / "set.000" / "energy.npy"
        np.save(energies, np.load(energies) + 1.0)
        changed = identity.of_file(folder)
        energies.rename(folder / "set.000" / "e.npy")
        assert len({before, changed, identity.of_file(folder), identity.of_file(tmp_path / "none")}) == 4


class TestDeePMD:
    def test_types_without_names_are_named_by_the_user(self, tmp_path):
        images = files.crystals()
        folder = files.deepmd(tmp_path / "data", images)
        (folder / "type_map.raw").unlink()
        with pytest.raises(DataError, match=r"atoms of 2 types but does not say which elements"):
            keel.read(folder)
        assert_same(read(folder, images), images, tmp_path)

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
            ("coord", np.array([["a"]]), "holds no numbers"),
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
        with pytest.raises(DataError, match="no whole array"):
            keel.read(folder)


class TestMTP:
    def test_the_old_stress_has_the_other_sign(self, tmp_path):
        images = files.crystals()
        path = files.mtp(tmp_path / "train.cfg", images)
        path.write_text(path.read_text().replace("PlusStress:", "Stress:"))
        np.testing.assert_allclose(read(path, images)[0].stress, -images[0].get_stress(voigt=False), atol=1e-12)

    def test_a_virial_of_unsettled_unit_is_set_aside(self, tmp_path):
        images = files.crystals()
        path = files.mtp(tmp_path / "train.cfg", images)
        path.write_text(path.read_text().replace("PlusStress:", "Virial:"))
        frame = read(path, images)[0]
        assert frame.stress is None and frame.remarks == (mtp.VIRIAL,)

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
        assert_same(keel.read(tmp_path / "new.data"), files.crystals(), tmp_path, stress=False)

    @pytest.mark.parametrize(
        ("old", "new", "words"),
        [
            ("end\n", "", "no line 'end'"),
            ("lattice", "latice", "end it has|no cell|Cu"),
            ("Cu", "Qq", "'Qq' is not a chemical element"),
            ("energy", "energy x", "its energy should have 1 number"),
        ],
    )
    def test_damage(self, old, new, words, tmp_path):
        path = files.runner(tmp_path / "input.data", files.crystals()[:1])
        path.write_text(path.read_text().replace(old, new))
        if old == "lattice":
            assert not keel.read(path)[0].pbc.any()
            return
        with pytest.raises(DataError, match=words):
            keel.read(path)


class TestJSON:
    def test_a_key_of_the_user_leaves_the_rest_as_usual(self, tmp_path):
        images = files.crystals()
        path = files.mptrj(tmp_path / "a.json", images)
        for keys in (LabelKeys(energy="corrected_total_energy"), LabelKeys(stress="stress"), LabelKeys()):
            frame = keel.read(path, keys=keys)[0]
            np.testing.assert_allclose(frame.stress, images[0].get_stress(voigt=False), atol=1e-9)
            np.testing.assert_allclose(frame.forces, images[0].get_forces(), atol=1e-9)
        result = CliRunner().invoke(app, ["census", str(path), "--energy-key", "corrected_total_energy", "--json"])
        largest = -min(np.trace(a.get_stress(voigt=False)) / 3 / GPa for a in images)
        assert json.loads(result.output)["files"][0]["ranges"]["pressure"]["maximum"] == pytest.approx(largest)

    def test_the_order_of_six_numbers(self, tmp_path):
        images = files.crystals()
        records = files.matpes_rows(images)
        (tmp_path / "vasp.json").write_text(json.dumps(records))
        emmet = [
            {"abs_forces": [0.0], **r, "stress": (a.get_stress() / -files.KBAR).tolist()}
            for r, a in zip(records, images, strict=True)
        ]
        (tmp_path / "emmet.json").write_text(json.dumps(emmet))
        assert_same(keel.read(tmp_path / "emmet.json"), images, tmp_path)
        assert keel.read(tmp_path / "emmet.json")[0].remarks == ()
        assert keel.read(tmp_path / "vasp.json")[0].remarks == (rows.ORDER,)

    @pytest.mark.parametrize("wrap", [lambda r: {"train": r}, lambda r: r[0], lambda r: {"a": r[0], "b": r[1]}])
    def test_records_in_whatever_holds_them(self, wrap, tmp_path):
        records = files.matpes_rows(files.crystals())
        content = wrap(records)
        (tmp_path / "a.json").write_text(json.dumps(content, indent=1))
        expected = 1 if content is records[0] else len(content.get("train", content))
        assert len(keel.read(tmp_path / "a.json")) == expected

    def test_the_text_of_a_structure_is_read_too(self, tmp_path):
        records = [{**r, "structure": json.dumps(r["structure"])} for r in files.matpes_rows(files.crystals())]
        (tmp_path / "a.json").write_text(json.dumps(records))
        assert_same(keel.read(tmp_path / "a.json"), files.crystals(), tmp_path)


class TestColumns:
    def renamed(self, folder, images, names, **more):
        renamed = [{**{names.get(k, k): v for k, v in r.items()}, **more} for r in files.plain_rows(images)]
        (folder / "a.json").write_text(json.dumps(renamed))
        return folder / "a.json"

    COLABFIT = {"forces": "atomic_forces", "stress": "cauchy_stress"}
    LEMAT = {"positions": "cartesian_site_positions", "cell": "lattice_vectors", "pbc": "dimension_types"}

    def test_colabfit(self, tmp_path):
        images = files.crystals()
        path = self.renamed(tmp_path, images, self.COLABFIT, cauchy_stress_volume_normalized=True)
        assert_same(keel.read(path), images, tmp_path)
        path = self.renamed(tmp_path, images, self.COLABFIT, cauchy_stress_volume_normalized=False)
        frame = keel.read(path)[0]
        assert frame.stress is None and frame.remarks == (rows.NOT_DIVIDED,)

    def test_lemat(self, tmp_path):
        images = files.crystals()
        elements = ["Cu", "Au", "Cu", "Cu"]
        kbar = (images[0].get_stress(voigt=False) / -files.KBAR).tolist()
        names = {**self.LEMAT, "stress": "unused"}
        path = self.renamed(tmp_path, images[:1], names, species_at_sites=elements, stress_tensor=kbar, species="[]")
        assert_same(keel.read(path), images[:1], tmp_path)

    def test_materials_project(self, tmp_path):
        atoms = files.crystals()[0]
        kbar = (atoms.get_stress() / -files.KBAR).tolist()
        path = self.renamed(tmp_path, [atoms], {"positions": "cart_coords", "stress": "unused"}, stress=kbar)
        assert_same(keel.read(path), [atoms], tmp_path)

    def test_other_columns_are_named(self, tmp_path):
        path = self.renamed(tmp_path, files.crystals(), {"positions": "where"})
        with pytest.raises(DataError, match=r"columns are atomic_numbers, cell, .*where, in which keel finds no"):
            keel.read(path)
        pytest.importorskip("pyarrow")
        with pytest.raises(DataError, match="columns are a, in which keel finds no structure"):
            keel.read(files.write_parquet(tmp_path / "a.parquet", [{"a": 1}]))


class TestLMDB:
    def test_what_stands_beside_a_row_is_kept(self, tmp_path):
        frames = keel.read(written("frames.aselmdb", tmp_path, files.crystals()))
        assert [f.info["sid"] for f in frames] == ["s-0", "s-1", "s-2"]

    def test_a_file_that_is_cut_off_is_refused(self, tmp_path):
        path = written("frames.aselmdb", tmp_path, files.crystals())
        path.write_bytes(path.read_bytes()[:8192])
        with pytest.raises(DataError, match=r"8,192 bytes of .*; the file is cut off"):
            keel.read(path)

    def test_reading_leaves_the_file_as_it_is(self, tmp_path):
        path = written("frames.aselmdb", tmp_path / "data", files.crystals())
        for beside in (p for p in path.parent.iterdir() if p != path):
            beside.unlink()
        before = path.read_bytes()
        keel.read(path)
        assert path.read_bytes() == before and list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "module", "package"),
    [("a.parquet", "pyarrow.parquet", "pyarrow"), ("a.aselmdb", "ase_db_backends.aselmdb", "ase-db-backends")],
)
def test_a_missing_package_is_named(name, module, package, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / name).write_bytes(b"something")
    with pytest.raises(UnavailableError, match=rf"needs {package}; install it with pip install 'mlip-keel\[formats\]'"):
        keel.read(tmp_path / name)


TEXTS = {"train.cfg": files.mtp, "input.data": files.runner, "ML_AB": files.ml_ab, "a.json": files.matpes}


@pytest.mark.parametrize("name", TEXTS)
@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_damage_gives_frames_or_a_data_error(name, data, tmp_path):
    path = TEXTS[name](tmp_path / name, [by_element(a) for a in files.crystals(2)])
    content = bytearray(path.read_bytes())
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
