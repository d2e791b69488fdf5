"""Units in the metadata of a parquet file or of its columns are those that a row states."""

import json

import pytest

import keel
from keel.errors import DataError

ROW = {
    "positions": [[0.0, 0, 0], [1.6, 0, 0]],
    "numbers": [14, 8],
    "total_energy": -1.0,
    "forces": [[0.1, 0, 0], [-0.1, 0, 0]],
}


def written(path, of_schema=None, of_columns=None):
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = pa.Table.from_pylist([ROW])
    columns = [f.with_metadata((of_columns or {}).get(f.name)) for f in table.schema]
    parquet.write_table(table.cast(pa.schema(columns, metadata=of_schema)), path)
    return path


@pytest.mark.parametrize(
    ("of_schema", "of_columns"),
    [
        ({"energy_unit": "hartree"}, None),
        ({"units": json.dumps({"energy": "hartree"})}, None),
        (None, {"total_energy": {"unit": "hartree"}}),
        ({"author": "us"}, {"total_energy": {"description": "of a run", "Units": "Ha"}}),
    ],
)
def test_they_are_refused_until_they_are_named(of_schema, of_columns, tmp_path):
    path = written(tmp_path / "set.parquet", of_schema, of_columns)
    with pytest.raises(DataError, match=r"frame 0: it says .*; name the units .*energy_unit='hartree'"):
        keel.read(path)
    frame = keel.read(path, keys={"energy_unit": "hartree"})[0]
    assert frame.energy == pytest.approx(-27.211386)
    assert not frame.info


def test_the_usual_ones_and_other_metadata_change_nothing(tmp_path):
    units = {"total_energy": {"unit": "eV"}, "forces": {"unit": "eV/angstrom"}, "positions": {"unit": "angstrom"}}
    frame = keel.read(written(tmp_path / "set.parquet", {"pandas": "{}", "units": "{"}, units))[0]
    assert frame.energy == -1.0
    assert not frame.remarks


def test_those_of_lengths_and_forces(tmp_path):
    path = written(tmp_path / "set.parquet", None, {"positions": {"unit": "bohr"}, "forces": {"unit": "Ha/Bohr"}})
    with pytest.raises(DataError, match=r"LabelKeys\(length_unit='bohr', forces_unit='hartree/bohr'\)"):
        keel.read(path)
