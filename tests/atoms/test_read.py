"""Whatever is written comes back with every digit, in every format, and ASE reads the same."""

import gzip
import io
import json
from pathlib import Path
from typing import Any

import ase.db
import ase.io
import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import keel
from keel.atoms.formats.extxyz import format_frame, raw_frames
from keel.atoms.formats.json_stream import JsonText
from keel.atoms.frame import Frame
from keel.atoms.labelling.labelled import LabelKeys, frame_from_record
from keel.atoms.read import iter_frames
from keel.atoms.units import GPA
from keel.errors import ConfigError, DataError

SUFFIXES = ["extxyz", "xyz", "extxyz.gz", "xyz.xz", "extxyz.bz2", "npz", "db"]
FLOATS = st.floats(allow_nan=False, allow_infinity=False, width=64)
LABELS = st.floats(-90, 90)
KEYS = st.text("abcdefgh_XYZ", min_size=1, max_size=8).map(lambda s: "k" + s)
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=12)
VALUES = st.one_of(st.booleans(), st.integers(-(2**62), 2**62), FLOATS, TEXT, st.lists(FLOATS, min_size=2, max_size=5))


@st.composite
def frames(draw: st.DrawFn) -> Frame:
    n = draw(st.integers(1, 4))
    # One number throughout is a placeholder, not a label.
    several = lambda values: not values.any() or np.ptp(values[np.triu_indices(3)]) > 0  # noqa: E731
    stress = draw(st.none() | arrays(np.float64, (3, 3), elements=LABELS).filter(several))
    return Frame(
        numbers=np.array(draw(st.lists(st.integers(1, 118), min_size=n, max_size=n))),
        positions=draw(arrays(np.float64, (n, 3), elements=FLOATS)),
        cell=draw(
            st.sampled_from([np.zeros((3, 3)), np.eye(3) * np.pi, np.array([[3, 0, 0], [1 / 3, 3, 0], [1, 1, 3]])])
        ),
        pbc=np.array(draw(st.tuples(st.booleans(), st.booleans(), st.booleans()))),
        energy=draw(st.none() | LABELS),
        forces=draw(
            st.none() | arrays(np.float64, (n, 3), elements=LABELS).filter(lambda f: not f.any() or np.ptp(f) > 0)
        ),
        stress=None if stress is None else np.triu(stress) + np.triu(stress, 1).T,
        info=draw(st.dictionaries(KEYS, VALUES, max_size=4)),
    )


def assert_same(a: Frame, b: Frame) -> None:
    assert a.energy == b.energy
    for name in ("numbers", "positions", "cell", "pbc", "forces", "stress"):
        first, second = getattr(a, name), getattr(b, name)
        assert (first is None) == (second is None), name
        if first is not None:
            np.testing.assert_array_equal(first, second, err_msg=name)
    assert {k: plain(v) for k, v in a.info.items()} == {k: plain(v) for k, v in b.info.items()}


def plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value


@given(st.lists(frames(), min_size=1, max_size=3))
@settings(max_examples=60)
def test_extxyz_brings_everything_back(members: list[Frame]) -> None:
    text = "".join(map(format_frame, members)).encode()
    back = [frame_from_record(raw.record()) for raw in raw_frames(io.BytesIO(text), "text")]
    for frame, again in zip(members, back, strict=True):
        # A stress of what is not periodic is no stress, but is kept.
        if frame.stress is not None and not frame.pbc.all():
            frame = frame.replace(stress=None, info={**frame.info, "other_stress": frame.stress})
        elif frame.stress is not None and not frame.stress.any() and frame.forces is not None and frame.forces.any():
            frame = frame.replace(stress=None)
        assert_same(frame, again)


def labelled(n: int = 4) -> list[Frame]:
    """Copper in cells of different size, with the labels of a potential."""
    rng, members = np.random.default_rng(3), []
    for k in range(n):
        atoms = bulk("Cu", cubic=True).repeat((1, 1, 1 + k % 2))
        atoms.rattle(0.1, rng=rng)
        atoms.calc = EMT()
        atoms.get_potential_energy(), atoms.get_stress()
        atoms.info = {"run": f"r{k // 2}", "step": k, "share": 0.1 * k, "name": "with space, and 1.5", "flag": True}
        members.append(keel.atoms.labelling.labelled.frame_from_ase(atoms))
    return members


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_brings_everything_back(suffix: str, tmp_path: Path) -> None:
    members = [f.replace(info={k: v for k, v in f.info.items() if not k.startswith("unused")}) for f in labelled()]
    members[1] = members[1].replace(stress=None)
    members[2] = members[2].replace(energy=None)
    path = tmp_path / f"frames.{suffix}"
    assert keel.write(path, iter(members)) == 4
    back = keel.read(path, require=["forces"])
    for frame, again in zip(members, back, strict=True):
        # ASE's databases keep six components of the stress.
        assert_same(frame if suffix != "db" else symmetric(frame), again if suffix != "db" else symmetric(again))
    assert list(tmp_path.iterdir()) == [path]


def symmetric(frame: Frame) -> Frame:
    kept = {k: v for k, v in frame.info.items() if not k.startswith("unused")}
    stress = None if frame.stress is None else np.round(frame.stress, 14)
    return frame.replace(stress=stress, info=kept)


@pytest.mark.parametrize("suffix", ["extxyz", "extxyz.gz", "extxyz.xz", "xyz.bz2", "npz"])
def test_same_frames_give_the_same_file(suffix: str, tmp_path: Path) -> None:
    for name in ("one", "two"):
        keel.write(tmp_path / f"{name}.{suffix}", labelled())
    assert (tmp_path / f"one.{suffix}").read_bytes() == (tmp_path / f"two.{suffix}").read_bytes()


def test_ase_reads_what_keel_writes(tmp_path: Path) -> None:
    members = labelled()
    keel.write(tmp_path / "a.extxyz", members)
    for frame, atoms in zip(members, ase.io.read(tmp_path / "a.extxyz", ":"), strict=True):
        assert atoms.get_potential_energy() == frame.energy
        np.testing.assert_array_equal(atoms.get_forces(), frame.forces)
        np.testing.assert_allclose(atoms.get_stress(voigt=False), frame.stress, rtol=0, atol=1e-15)
        np.testing.assert_array_equal(atoms.positions, frame.positions)
        np.testing.assert_array_equal(atoms.cell.array, frame.cell)
        assert atoms.info == dict(frame.info)


@pytest.mark.parametrize("suffix", ["extxyz", "traj", "json", "db", "extxyz.gz"])
def test_keel_reads_what_ase_writes(suffix: str, tmp_path: Path) -> None:
    structures = [bulk("Cu", cubic=True), molecule("C6H6")]
    for atoms in structures:
        atoms.rattle(0.01)
        atoms.calc = EMT()
        atoms.get_potential_energy()
        atoms.get_forces()
    ase.io.write(tmp_path / f"a.{suffix}", structures)
    for atoms, frame in zip(structures, keel.read(tmp_path / f"a.{suffix}"), strict=True):
        tolerance = 1e-7 if "extxyz" in suffix else 0.0
        np.testing.assert_allclose(frame.positions, atoms.positions, atol=tolerance)
        np.testing.assert_allclose(frame.forces, atoms.get_forces(), atol=tolerance)
        assert frame.energy == pytest.approx(atoms.get_potential_energy(), abs=1e-12)
        np.testing.assert_array_equal(frame.pbc, atoms.pbc)


def test_labels_in_the_columns_and_data_of_a_database(tmp_path: Path) -> None:
    forces = np.arange(12.0).reshape(4, 3)
    with ase.db.connect(tmp_path / "a.db") as database:
        database.write(bulk("Cu", cubic=True), dft_energy=-3.5, run="first", data={"dft_forces": forces})
    (frame,) = keel.read(tmp_path / "a.db")
    assert frame.energy == -3.5
    np.testing.assert_array_equal(frame.forces, forces)
    assert frame.info["run"] == "first"
    assert frame.source.endswith("a.db, row 1")


def mptrj() -> dict[str, Any]:
    cell = [[3.0, 0, 0], [0, 4.0, 0], [0, 0, 5.0]]
    sites = [
        {"species": [{"element": e, "occu": 1}], "abc": abc} for e, abc in (("Si", [0, 0, 0]), ("O", [0.5, 0.5, 0.5]))
    ]
    frame = {
        "structure": {"lattice": {"matrix": cell}, "sites": sites},
        "uncorrected_total_energy": -12.5,
        "corrected_total_energy": -13.5,
        "force": [[0.1, 0, 0], [-0.1, 0, 0]],
        "stress": [[10.0, 0, 0], [0, 20.0, 0], [0, 0, 30.0]],
        "magmom": None,
    }
    return {f"mp-{k}": {f"mp-{k}-0-{i}": frame for i in range(2)} for k in range(3)}


@pytest.mark.parametrize("suffix", ["json", "json.gz"])
def test_mptrj(suffix: str, tmp_path: Path) -> None:
    text = json.dumps(mptrj()).encode()
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(gzip.compress(text) if suffix.endswith("gz") else text)
    members = keel.read(path, require=["energy", "forces", "stress"])
    assert [f.info["mp_id"] for f in members] == ["mp-0", "mp-0", "mp-1", "mp-1", "mp-2", "mp-2"]
    frame = members[0]
    assert frame.energy == -12.5
    np.testing.assert_allclose(frame.stress, -0.1 * GPA * np.diag([10.0, 20.0, 30.0]))
    np.testing.assert_allclose(frame.positions, [[0, 0, 0], [1.5, 2.0, 2.5]])
    assert frame.source.endswith("frame mp-0-0-0")
    assert keel.read(path, keys=LabelKeys(energy="corrected_total_energy"), require=["energy"])[0].energy == -13.5


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_json_is_read_in_pieces(chunk: int, tmp_path: Path) -> None:
    content = {"é": [1, 2.5, "}"], "b": {"c": None}, "long": "x" * 50, "ü€": 12345}
    for text in (json.dumps(content), json.dumps(content, ensure_ascii=False, indent=2)):
        assert dict(JsonText(io.BytesIO(text.encode()), tmp_path, chunk).members()) == content


@pytest.mark.parametrize("given", [None, 3, [3], 2.5])
def test_what_names_no_file_is_refused(given: Any) -> None:
    with pytest.raises(DataError, match="is not the path of a file, nor a list of paths"):
        keel.read(given)


def test_streams_stop_where_asked(tmp_path: Path) -> None:
    path = tmp_path / "a.extxyz"
    keel.write(path, labelled(6))
    path.write_text(path.read_text() + "damage at the end\n")
    assert [f.info["step"] for f in keel.read(path, index=":6:2")] == [0, 2, 4]
    assert next(iter_frames(path)).info["step"] == 0
    with pytest.raises(DataError, match="frame 6"):
        keel.read(path)


def test_index_and_several_files(tmp_path: Path) -> None:
    for name in "ab":
        keel.write(tmp_path / f"{name}.extxyz", labelled(3))
    members = keel.read([tmp_path / "a.extxyz", str(tmp_path / "b.extxyz")])
    assert [f.source.rpartition("/")[2] for f in members[2:4]] == ["a.extxyz, frame 2", "b.extxyz, frame 0"]
    path = tmp_path / "a.extxyz"
    assert [f.info["step"] for f in keel.read(path, index="-2:")] == [1, 2]
    assert [f.info["step"] for f in keel.read(path, index=slice(1, 2))] == [1]
    for wrong in ("3", "a:b", "::0"):
        with pytest.raises(ConfigError, match="is not a slice"):
            keel.read(path, index=wrong)
    with pytest.raises(ConfigError, match="'charge' is not a label"):
        keel.read(path, require=["charge"])
    with pytest.raises(DataError, match="no file"):
        keel.read([])


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.extxyz"
    keel.write(path, labelled(2))
    before = path.read_bytes()
    with pytest.raises(DataError, match="'energy' would be read back with another meaning"):
        keel.write(path, [labelled(1)[0], labelled(1)[0].replace(info={"energy": 1.0})])
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_impossible_writes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"are written as \.extxyz"):
        keel.write(tmp_path / "a.pdb", labelled(1))
    with pytest.raises(DataError, match="no frames to write"):
        keel.write(tmp_path / "a.extxyz", [])
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        keel.write(tmp_path / "file" / "a.extxyz", labelled(1))


def test_one_structure_and_ase_atoms_are_written(tmp_path: Path) -> None:
    path = tmp_path / "a.extxyz"
    assert keel.write(path, labelled(1)[0]) == 1
    assert keel.write(path, bulk("Cu")) == 1
    assert keel.write(path, [bulk("Cu"), labelled(1)[0]]) == 2
    assert len(keel.read(path, require=())) == 2


@pytest.mark.parametrize(
    ("comment", "info"),
    [
        ('a=1 b=2.5 c="x y" d=T e={1 2 3} f', {"a": 1, "b": 2.5, "c": "x y", "d": True, "e": [1, 2, 3], "f": True}),
        ("a = 1  b= two", {"a": 1, "b": "two"}),
        ('a="say \\"so\\"" p=k:/x=y', {"a": 'say "so"', "p": "k:/x=y"}),
        ('a="_JSON {\\"b\\": [1, null]}"', {"a": {"b": [1, None]}}),
        ("water, the simplest of the simple", {"comment": "water, the simplest of the simple"}),
        ("", {}),
    ],
)
def test_comments(comment: str, info: dict[str, Any]) -> None:
    text = f"1\n{comment}\nO 0 0 0\n".encode()
    (raw,) = raw_frames(io.BytesIO(text), "text")
    assert {k: plain(v) for k, v in raw.record().info.items()} == info


def test_windows_files_and_blank_lines_between_frames() -> None:
    text = "\ufeff1\r\nenergy=1\r\nO 0 0 0\r\n\r\n1\r\nenergy=2\r\nO 0 0 0".encode()
    assert [frame_from_record(r.record()).energy for r in raw_frames(io.BytesIO(text), "text")] == [1.0, 2.0]


@pytest.mark.parametrize("name", ["silica/zeolites-pbe-d3", "mptrj/mptrj-random-1000", "metals/mo-train"])
def test_ase_reads_the_same_from_real_files(name: str, data_dir: Path) -> None:
    path = data_dir / f"{name}.extxyz"
    for atoms, frame in zip(ase.io.iread(path, index=":40"), keel.read(path, index=":40"), strict=True):
        np.testing.assert_array_equal(frame.numbers, atoms.numbers)
        np.testing.assert_array_equal(frame.positions, atoms.positions)
        np.testing.assert_array_equal(frame.cell, atoms.cell.array)
        np.testing.assert_array_equal(frame.forces, atoms.get_forces())
        assert frame.energy == atoms.get_potential_energy()
        assert frame.info.keys() == atoms.info.keys()
        if "stress" in atoms.calc.results:
            np.testing.assert_allclose(frame.stress, atoms.get_stress(voigt=False), atol=1e-12)
