"""Files of training data of other programs hold what the same frames hold in extended XYZ."""

import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import keel
import training_files as files
from keel import identity
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


def test_the_stress_of_the_samples_has_six_different_components():
    for atoms in files.crystals():
        stress = np.abs(atoms.get_stress())
        assert np.diff(np.sort(stress)).min() > 1e-5 and stress.min() > 1e-5


@pytest.mark.parametrize("name", [*PLAIN, *OPTIONAL])
def test_crystals_are_those_of_extended_xyz(name, tmp_path):
    images = files.crystals()
    # Those of RuNNer have no stress.
    stress = "data" not in name
    files.assert_same(files.read_as(written(name, tmp_path, images), images), images, tmp_path, stress=stress)


@pytest.mark.parametrize("name", [*PLAIN, *OPTIONAL])
def test_molecules_are_those_of_extended_xyz(name, tmp_path):
    images = files.molecules()
    files.assert_same(files.read_as(written(name, tmp_path, images), images), images, tmp_path)


def test_ml_ab_holds_frames_of_different_atoms(tmp_path):
    images = [*map(files.by_element, files.crystals()), files.labelled(files.crystals()[0][[0, 2, 3]])]
    path = files.ml_ab(tmp_path / "ML_AB", images)
    files.assert_same(keel.read(path), images, tmp_path)
    assert [len(f) for f in keel.read(path.rename(tmp_path / "of another name"))] == [4, 4, 4, 3]


class TestFolders:
    def test_systems_in_a_folder_are_read_in_order(self, tmp_path):
        images = files.crystals()
        for k in (10, 2):
            files.deepmd(tmp_path / "all" / f"part{k}", images[:1])
        frames = keel.read(tmp_path / "all")
        assert [f.source.rpartition("frame ")[2] for f in frames] == ["part2/set.000/0", "part10/set.000/0"]
        files.assert_same(keel.read(tmp_path / "all" / "part2" / "type.raw"), images[:1], tmp_path)

    @pytest.mark.parametrize("name", OPTIONAL)
    def test_folders_of_files(self, name, tmp_path):
        images = files.crystals()
        for k, atoms in enumerate(images):
            written(name, tmp_path / "all" / f"part{k}", [atoms])
        files.assert_same(keel.read(tmp_path / "all"), images, tmp_path)

    def test_census_fit_and_training(self, tmp_path):
        folder, out = files.deepmd(tmp_path / "data", files.crystals(12)), tmp_path / "out"
        train = ["train", str(folder), "--out", str(out), "--preset", "small", "--steps", "2", "--strategy", "vanilla"]
        for command in (["census", str(folder)], ["fit", str(folder), "--out", str(tmp_path / "eam.json")], train):
            result = CliRunner().invoke(app, command)
            assert result.exit_code == 0, result.output
        assert (out / "potential.safetensors").is_file()

    def test_others_are_refused_in_a_sentence(self, tmp_path):
        with pytest.raises(DataError, match=r"folder contains no .*aselmdb.*DeePMD \(type.raw\); name the files"):
            keel.read(tmp_path)
        files.deepmd(tmp_path / "a", files.crystals())
        (tmp_path / "b.parquet").touch()
        with pytest.raises(DataError, match="contains parquet and systems of DeePMD; name"):
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


@pytest.mark.parametrize(
    ("name", "module", "package"),
    [("a.parquet", "pyarrow.parquet", "pyarrow"), ("a.aselmdb", "ase_db_backends.aselmdb", "ase-db-backends")],
)
def test_a_missing_package_is_named(name, module, package, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / name).write_bytes(b"something")
    with pytest.raises(UnavailableError, match=rf"requires {package}; install it with .*mlip-keel\[formats\]"):
        keel.read(tmp_path / name)
