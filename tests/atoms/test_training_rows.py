"""JSON, parquet and LMDB: records in whatever holds them, in the layouts that people publish."""

import json

import numpy as np
import pytest
from ase.units import GPa
from typer.testing import CliRunner

import keel
import training_files as files
from keel.atoms.formats import rows
from keel.atoms.read import iter_frames
from keel.atoms.record import LabelKeys
from keel.cli import app
from keel.errors import DataError


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
        files.assert_same(keel.read(tmp_path / "emmet.json"), images, tmp_path)
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
        files.assert_same(keel.read(tmp_path / "a.json"), files.crystals(), tmp_path)


class TestNested:
    """Labels, or all of a record, in an object of their own."""

    def rows(self, images):
        return [
            {k: v for k, v in r.items() if k in ("structure", "energy", "forces")} for r in files.matpes_rows(images)
        ]

    def read(self, folder, records, **options):
        (folder / "a.json").write_text(json.dumps(records))
        return keel.read(folder / "a.json", **options)

    def test_the_sets_of_mlearn(self, tmp_path):
        # mlearn/potentials/mtp.py: outputs = {energy, forces, virial_stress}, its vasp_stress_order xx yy zz xy yz xz.
        images = files.crystals()
        order = ((0, 1, 2, 0, 1, 0), (0, 1, 2, 1, 2, 2))
        records = [
            {
                "group": "AIMD",
                "structure": r.pop("structure"),
                "num_atoms": len(a),
                "outputs": {**r, "virial_stress": (a.get_stress(voigt=False)[order] / -files.KBAR).tolist()},
            }
            for r, a in zip(self.rows(images), images, strict=True)
        ]
        frames = self.read(tmp_path, records)
        files.assert_same(frames, images, tmp_path)
        assert frames[0].remarks == (rows.MLEARN,)
        assert dict(frames[0].info) == {"group": "AIMD", "num_atoms": len(images[0])}

    @pytest.mark.parametrize("name", ["outputs", "calc_results", "output", "data", "Results"])
    @pytest.mark.parametrize("outside", [(), ("energy",), ("structure",), ("structure", "energy")])
    def test_results_count_as_the_rows_own(self, tmp_path, name, outside):
        images = files.crystals()
        records = [
            {"task_id": 1, **{k: r[k] for k in outside}, name: {k: v for k, v in r.items() if k not in outside}}
            for r in self.rows(images)
        ]
        for frame, image in zip(self.read(tmp_path, records), images, strict=True):
            assert frame.energy == pytest.approx(image.get_potential_energy())
            np.testing.assert_allclose(frame.forces, image.get_forces(), atol=1e-9)
            assert not frame.remarks and frame.info == {"task_id": 1}

    @pytest.mark.parametrize("name", ["uncertainty", "mace_mp"])
    def test_objects_of_other_names_are_no_labels_but_named(self, tmp_path, name):
        images = files.crystals()
        records = [{**r, name: {"energy": 0.1, "stress": [0.1] * 6}} for r in self.rows(images)]
        frame = self.read(tmp_path, records)[0]
        assert frame.energy == pytest.approx(images[0].get_potential_energy()) and frame.stress is None
        remark = next(r for r in frame.remarks if "object of their own" in r)
        assert f"{name}.energy, {name}.stress: not used (to use them: `--energy-key {name}.energy`)" in remark
        named = self.read(tmp_path, records[:1], keys=LabelKeys(energy=f"{name}.energy"))[0]
        assert named.energy == 0.1 and named.forces is not None

    @pytest.mark.parametrize("outer", [{"energy": 1.0}, {"data": {"energy": 1.0}}])
    def test_two_values_of_one_label_are_not_chosen_from(self, tmp_path, outer):
        records = [
            {"structure": r["structure"], **outer, "outputs": {"energy": 2.0}} for r in self.rows(files.crystals())
        ]
        frame = self.read(tmp_path, records[:1])[0]
        assert frame.energy == outer.get("energy") and "outputs.energy" in frame.remarks[0]
        assert self.read(tmp_path, records[:1], keys=LabelKeys(energy="outputs.energy"))[0].energy == 2.0


class TestColumns:
    def renamed(self, folder, images, names, **more):
        renamed = [{**{names.get(k, k): v for k, v in r.items()}, **more} for r in files.plain_rows(images)]
        (folder / "a.json").write_text(json.dumps(renamed))
        return folder / "a.json"

    COLABFIT = {"forces": "atomic_forces", "stress": "cauchy_stress"}
    LEMAT = {"positions": "cartesian_site_positions", "cell": "lattice_vectors", "pbc": "dimension_types"}

    @pytest.mark.parametrize(
        ("pbc", "found"),
        [
            ("F F F", [False] * 3),
            (["T", "T", "F"], [True, True, False]),
            ("False", [False] * 3),
            ("[true, false, true]", [True, False, True]),
            ([1, 1, 0], [True, True, False]),
            (True, [True] * 3),
        ],
    )
    def test_periodicity_as_text_or_numbers(self, pbc, found, tmp_path):
        self.renamed(tmp_path, files.crystals(), {}, pbc=pbc)
        frames = keel.read(tmp_path / "a.json")
        assert frames[0].pbc.tolist() == found

    @pytest.mark.parametrize("pbc", ["maybe", ["T", "F"], ""])
    def test_periodicity_that_is_not_understood(self, pbc, tmp_path):
        self.renamed(tmp_path, files.crystals(), {}, pbc=pbc)
        with pytest.raises(DataError, match=r"its periodicity, .* is not understood; write three times true or false"):
            keel.read(tmp_path / "a.json")

    def test_colabfit(self, tmp_path):
        images = files.crystals()
        path = self.renamed(tmp_path, images, self.COLABFIT, cauchy_stress_volume_normalized=True)
        files.assert_same(keel.read(path), images, tmp_path)
        path = self.renamed(tmp_path, images, self.COLABFIT, cauchy_stress_volume_normalized=False)
        frame = keel.read(path)[0]
        assert frame.stress is None and frame.remarks == (rows.NOT_DIVIDED,)

    def test_lemat(self, tmp_path):
        images = files.crystals()
        elements = ["Cu", "Au", "Cu", "Cu"]
        kbar = (images[0].get_stress(voigt=False) / -files.KBAR).tolist()
        names = {**self.LEMAT, "stress": "unused"}
        path = self.renamed(tmp_path, images[:1], names, species_at_sites=elements, stress_tensor=kbar, species="[]")
        assert keel.read(path)[0].remarks == (rows.UNSTATED,)
        files.assert_same(keel.read(path), images[:1], tmp_path)

    def test_materials_project(self, tmp_path):
        atoms = files.crystals()[0]
        kbar = (atoms.get_stress() / -files.KBAR).tolist()
        path = self.renamed(tmp_path, [atoms], {"positions": "cart_coords", "stress": "unused"}, stress=kbar)
        files.assert_same(keel.read(path), [atoms], tmp_path)

    def test_other_columns_are_named(self, tmp_path):
        path = self.renamed(tmp_path, files.crystals(), {"positions": "where"})
        with pytest.raises(DataError, match=r"columns are atomic_numbers, cell, .*where, in which keel finds no"):
            keel.read(path)
        pytest.importorskip("pyarrow")
        with pytest.raises(DataError, match="columns are a, in which keel finds no structure"):
            keel.read(files.write_parquet(tmp_path / "a.parquet", [{"a": 1}]))


def lmdb(folder, images):
    """Return ASE's LMDB with these images, or skip where its package is missing."""
    pytest.importorskip("ase_db_backends")
    return files.aselmdb(folder / "frames.aselmdb", images)


class TestLMDB:
    def test_what_stands_beside_a_row_is_kept(self, tmp_path):
        frames = keel.read(lmdb(tmp_path, files.crystals()))
        assert [f.info["sid"] for f in frames] == ["s-0", "s-1", "s-2"]

    def test_a_file_that_is_cut_off_is_refused(self, tmp_path):
        path = lmdb(tmp_path, files.crystals())
        path.write_bytes(path.read_bytes()[:8192])
        with pytest.raises(DataError, match=r"8,192 bytes of .*; the file is cut off"):
            keel.read(path)

    def test_a_file_of_another_program_is_named(self, tmp_path):
        lmdb_package = pytest.importorskip("lmdb")
        pytest.importorskip("ase_db_backends")
        with lmdb_package.open(str(tmp_path / "a.lmdb"), subdir=False) as database, database.begin(write=True) as write:
            write.put(b"0", b"a pickle")
        with pytest.raises(DataError, match=r"a\.lmdb: this LMDB file was not written by ASE; one of pickled"):
            keel.read(tmp_path / "a.lmdb")

    def test_reading_leaves_the_file_as_it_is(self, tmp_path):
        path = lmdb(tmp_path / "data", files.crystals())
        for beside in (p for p in path.parent.iterdir() if p != path):
            beside.unlink()
        before = path.read_bytes()
        keel.read(path)
        assert path.read_bytes() == before and list(path.parent.iterdir()) == [path]


def test_what_pymatgen_knows_of_sites_and_charges(tmp_path):
    def site(element, x, **properties):
        return {"species": [{"element": element, "occu": 1}], "abc": [x, 0, 0], "properties": properties}

    free, held = {"selective_dynamics": [True] * 3}, {"selective_dynamics": [False, False, True]}
    sites = [
        site("Si", 0.0, velocities=[0.01, 0.0, 0.0], forces=[0.1, 0.2, 0.3], magmom=0.1, **held),
        site("O", 0.4, velocities=[0.0, 0.02, 0.0], forces=[-0.1, -0.2, -0.3], magmom=0.2, **free),
    ]
    structure = {"lattice": {"matrix": (5 * np.eye(3)).tolist()}, "charge": 1, "sites": sites}
    (tmp_path / "a.json").write_text(json.dumps([{"structure": structure, "energy": -3.5}]))
    (frame,) = keel.read(tmp_path / "a.json")
    assert frame.fixed.tolist() == [[True, True, False], [False] * 3]
    np.testing.assert_allclose(frame.velocities, [[0.01, 0, 0], [0, 0.02, 0]], atol=1e-15)
    np.testing.assert_allclose(frame.forces[:, 0], [0.1, -0.1])
    assert frame.info == {"charge": 1} and frame.unused == ("magmom",)
    structure["lattice"]["matrix"][1] = [2.0, 4.0, 0.0]
    sites[0]["properties"]["selective_dynamics"] = [False, True, True]
    (tmp_path / "leaning.json").write_text(json.dumps([{"structure": structure, "energy": -3.5}]))
    (leaning,) = keel.read(tmp_path / "leaning.json")
    assert leaning.fixed is None and "count as free" in leaning.remarks[0]
    sites[0]["properties"]["velocities"] = [0.01]
    (tmp_path / "b.json").write_text(json.dumps([{"structure": structure, "energy": -3.5}]))
    with pytest.raises(DataError, match=r"b\.json, frame 0: its structure is not understood"):
        keel.read(tmp_path / "b.json")


class TestOtherEnvelopes:
    """Records of further programs: read where nothing is guessed, else named with the way out."""

    def test_an_answer_of_optimade(self, tmp_path):
        attributes = {
            "lattice_vectors": [[3, 0, 0], [0, 3, 0], [0, 0, 3]],
            "cartesian_site_positions": [[0, 0, 0], [1.5, 1.5, 1.5]],
            "species_at_sites": ["Na", "Cl"],
            "dimension_types": [1, 1, 1],
        }
        answer = {"data": [{"id": "1", "type": "structures", "attributes": attributes}], "meta": {"api_version": "1.1"}}
        (tmp_path / "a.json").write_text(json.dumps(answer))
        (frame,) = keel.read(tmp_path / "a.json")
        assert frame.formula == "ClNa" and frame.pbc.all() and frame.cell[0, 0] == 3.0
        attributes["species"] = [{"name": "Na", "chemical_symbols": ["Na", "vacancy"], "concentration": [0.5, 0.5]}]
        (tmp_path / "a.json").write_text(json.dumps(answer))
        with pytest.raises(DataError, match="it has partly occupied sites"):
            keel.read(tmp_path / "a.json")

    def test_the_only_object_with_a_structure_is_the_rows_own(self, tmp_path):
        atoms = {"numbers": [29], "positions": [[0, 0, 0]], "cell": np.eye(3).tolist(), "pbc": [True] * 3}
        (tmp_path / "a.json").write_text(json.dumps([{"atoms": atoms, "energy": -3.5}]))
        (frame,) = keel.read(tmp_path / "a.json")
        assert (frame.energy, frame.numbers.tolist()) == (-3.5, [29])

    def test_lists_of_each_quantity(self, tmp_path):
        lists = {
            "positions": [[[0, 0, 0]], [[0, 0, 0], [0, 0, 2.2]]],
            "numbers": [[29], [29, 29]],
            "energy": [-3.5, -7.5],
            "forces": [[[0, 0, 0]], [[0, 0, 0.5], [0, 0, -0.5]]],
        }
        (tmp_path / "a.json").write_text(json.dumps(lists))
        frames = keel.read(tmp_path / "a.json")
        assert [frame.energy for frame in frames] == [-3.5, -7.5]
        assert frames[1].forces[0, 2] == 0.5

    def test_what_parameters_say_is_compared(self, tmp_path):
        def row(run_type, energy):
            own = {"positions": [[0, 0, 0]], "numbers": [29], "cell": (5 * np.eye(3)).tolist()}
            return {**own, "energy": energy, "parameters": {"run_type": run_type}}

        (tmp_path / "a.json").write_text(json.dumps([row("GGA", -3.5), row("GGA+U", -3.4)]))
        assert [f.info["calc_run_type"] for f in iter_frames(tmp_path / "a.json")] == ["GGA", "GGA+U"]

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            ('{"Dataset": {"Data": [], "AtomTypeStyle": "chemicalsymbol"}}', "a data set of FitSNAP"),
            ('# FitSNAP\n{"Dataset": {"Data": [], "AtomTypeStyle": "chemicalsymbol"}}', "a data set of FitSNAP"),
            (
                '{"schema_name": "qcschema_output", "molecule": {"symbols": ["H"]}, "driver": "gradient"}',
                "a result of QCEngine",
            ),
            ('{"energy": {"0": -3.5}, "positions": {"0": [[0, 0, 0]]}}', "this is a table written by columns"),
            ('{"archive": {"run": [{"calculation": [{"energy": 1}]}]}}', "write other JSON as extended XYZ"),
        ],
    )
    def test_others_are_named(self, tmp_path, content, said):
        (tmp_path / "a.json").write_text(content)
        with pytest.raises(DataError, match=said):
            keel.read(tmp_path / "a.json")
