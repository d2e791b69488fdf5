"""Every kind of damage ends in one sentence that names the file and, where there is one, the frame."""

import bz2
import gzip
import io
import json
import lzma
import os
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import keel
from keel.atoms.read import BadFrames, iter_frames
from keel.cli import main
from keel.errors import ConfigError, DataError

CELL = 'Lattice="5.0 0 0 0 5.0 0 0 0 5.0"'
PROPERTIES = "Properties=species:S:1:pos:R:3:forces:R:3"
ATOMS = "Si 0 0 0 0.1 0.2 0.3\nO 1.6 0 0 -0.1 -0.2 -0.3\n"


def frame(comment: str = f"{CELL} {PROPERTIES} energy=-3.5", atoms: str = ATOMS, count: str | int = 2) -> str:
    return f"{count}\n{comment}\n{atoms}"


GOOD = frame()
HEAD = f"{CELL} {PROPERTIES}"


def npz(**changes: object) -> bytes:
    arrays = {
        "n_atoms": np.array([2]),
        "numbers": np.array([14, 8]),
        "positions": np.array([[0.0, 0, 0], [1.6, 0, 0]]),
        "cell": np.eye(3)[None] * 5,
        "energy": np.array([-3.5]),
        "forces": np.zeros((2, 3)),
    }
    arrays |= changes  # type: ignore[arg-type]
    buffer = io.BytesIO()
    np.savez(buffer, **{k: v for k, v in arrays.items() if v is not None})  # type: ignore[arg-type]
    return buffer.getvalue()


def gigantic_npz() -> bytes:
    """An archive whose header promises 8 TB."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**6, 10**6)})
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("positions.npy", header.getvalue())
    return buffer.getvalue()


def mptrj(**changes: object) -> str:
    site = {"species": [{"element": "Si", "occu": 1}], "abc": [0, 0, 0]}
    content = {
        "structure": {"lattice": {"matrix": (np.eye(3) * 3).tolist()}, "sites": [site]},
        "uncorrected_total_energy": -1.0,
        "force": [[0, 0, 0]],
    }
    return json.dumps({"mp-1": {"mp-1-0-0": content | changes}})


# name: (file name, content, words of the message)
DAMAGE: dict[str, tuple[str, str | bytes, str]] = {
    "empty file": ("a.extxyz", "", "is empty"),
    "only blank lines": ("a.extxyz", "\n\n  \n", "no frames"),
    "binary junk": ("a.extxyz", bytes(range(256)) * 50, "number of atoms"),
    "zeros": ("a.extxyz", bytes(5000), "number of atoms"),
    "UTF-16": ("a.extxyz", GOOD.encode("utf-16"), "convert it to UTF-8 first"),
    "comment not UTF-8": ("a.extxyz", GOOD.encode().replace(b"energy", b"name=\xff\xfe energy"), "UTF-8"),
    "element not UTF-8": ("a.extxyz", GOOD.encode().replace(b"Si", b"\xff\xfe"), "species of atom 0"),
    "one endless line": ("a.extxyz", b"1" * (1 << 24) + b"1", "line of more than"),
    "cut off after the count": ("a.extxyz", "2\n", "cut off"),
    "cut off in the atoms": ("a.extxyz", GOOD + frame(atoms="Si 0 0 0 0 0 0\n"), "frame 1: it should have 2 atoms"),
    "cut off in a line": ("a.extxyz", GOOD[:-12], "atom 1 has"),
    "gigantic count": ("a.extxyz", frame(count=10**15), "cut off"),
    "count beyond integers": ("a.extxyz", frame(count="9" * 400), "number of atoms"),
    "negative count": ("a.extxyz", frame(count=-2), "number of atoms"),
    "fractional count": ("a.extxyz", frame(count=2.5), "number of atoms"),
    "no atoms": ("a.extxyz", frame(atoms="", count=0), "no atoms"),
    "count too small": ("a.extxyz", frame(count=1), "correct the number"),
    "count too large": ("a.extxyz", frame(count=3) + GOOD, "frame 0: it should have 3 atoms"),
    "blank line among the atoms": ("a.extxyz", frame(atoms="Si 0 0 0 0 0 0\n\nO 1 0 0 0 0 0\n"), "empty line"),
    "too few columns": ("a.extxyz", frame(atoms="Si 0 0 0 0.1 0.2 0.3\nO 1.6 0 0 1\n"), "atom 1 has 5 columns"),
    "too many columns": ("a.extxyz", frame(atoms="Si 0 0 0 1 2 3 4\nO 1 0 0 0 0 0 4\n"), "8 columns"),
    "text for a number": ("a.extxyz", GOOD.replace("1.6", "abc"), "pos of atom 1 is 'abc'"),
    "Fortran overflow": ("a.extxyz", GOOD.replace("0.2", "********", 1), "forces of atom 0"),
    "comma for a point": ("a.extxyz", GOOD.replace("1.6", "1,6"), "not a number"),
    "unknown element": ("a.extxyz", GOOD.replace("Si", "Xx"), "not a chemical element"),
    "element with a number": ("a.extxyz", GOOD.replace("Si", "Si1"), "write symbols alone (Si?)"),
    "dummy atom": ("a.extxyz", GOOD.replace("Si", "X"), "not a chemical element"),
    "impossible atomic number": (
        "a.extxyz",
        frame(f"{CELL} Properties=Z:I:1:pos:R:3 energy=1", "14 0 0 0\n400 1 1 1\n"),
        "not a chemical element",
    ),
    "NaN position": ("a.extxyz", GOOD.replace("1.6", "nan"), "positions are not finite (NaN or infinite) at atom 1"),
    "infinite position": ("a.extxyz", GOOD.replace("1.6", "inf"), "positions are not finite"),
    "NaN force": ("a.extxyz", GOOD.replace("0.3", "NaN", 1), "forces are not finite (NaN or infinite) at atom 0"),
    "energy as text": ("a.extxyz", GOOD.replace("-3.5", "unknown"), "energy is not numeric"),
    "two energies": ("a.extxyz", GOOD.replace("-3.5", '"-3.5 -3.4"'), "one number"),
    "key twice": ("a.extxyz", GOOD.replace("energy", "energy=-3.4 energy"), "'energy' occurs twice"),
    "contradicting names": ("a.extxyz", GOOD.replace("energy", "REF_energy=-9 energy"), "contradict each other"),
    "contradicting columns": (
        "a.extxyz",
        frame(
            f"{CELL} Properties=species:S:1:pos:R:3:forces:R:3:REF_forces:R:3 energy=1",
            "Si 0 0 0 0.1 0.2 0.3 1 1 1\nO 1.6 0 0 -0.1 -0.2 -0.3 -1 -1 -1\n",
        ),
        "forces and REF_forces contradict",
    ),
    "unclosed quotation": ("a.extxyz", GOOD.replace("energy", 'name="open energy'), "is not closed"),
    "no lattice but periodic": ("a.extxyz", frame(f'{PROPERTIES} pbc="T T T" energy=1'), "has no cell"),
    "cell for lattice": ("a.extxyz", GOOD.replace("Lattice", "cell"), "name it Lattice"),
    "lattice of eight": ("a.extxyz", GOOD.replace(" 5.0 0 0 0 5.0", " 5.0 0 0 5.0"), "nine numbers"),
    "lattice as text": ("a.extxyz", GOOD.replace("5.0 0 0", "5.0 0 zero", 1), "nine numbers"),
    "NaN lattice": ("a.extxyz", GOOD.replace("5.0", "nan", 1), "cell is not finite"),
    "zero volume": ("a.extxyz", GOOD.replace("0 5.0 0", "5.0 0 0"), "no volume"),
    "stated volume wrong": ("a.extxyz", GOOD.replace("energy", "volume=-125 energy"), "says volume=-125"),
    "cell in nanometres": ("a.extxyz", GOOD.replace("5.0", "0.5"), "angstrom^3 per atom"),
    "needle cell": ("a.extxyz", GOOD.replace(CELL, 'Lattice="1e5 0 0 1e5 1e-4 0 0 0 1e3"'), "flatter"),
    "cell beyond all bounds": ("a.extxyz", GOOD.replace("5.0", "1e30"), "unit of length"),
    "atom beyond all bounds": ("a.extxyz", GOOD.replace("1.6", "1e200"), "unit of length"),
    "odd pbc": ("a.extxyz", GOOD.replace("energy", 'pbc="T T maybe" energy'), "its pbc"),
    "pbc of two": ("a.extxyz", GOOD.replace("energy", 'pbc="T T" energy'), "its pbc"),
    "atoms in one place": ("a.extxyz", GOOD.replace("1.6 0 0", "0.01 0 0"), "atoms 0 and 1 overlap"),
    "atom on its image": ("a.extxyz", GOOD.replace("1.6 0 0", "5.001 0 0"), "overlap"),
    "properties cut": ("a.extxyz", GOOD.replace(":forces:R:3", ":forces:R"), "Properties="),
    "properties of unknown type": ("a.extxyz", GOOD.replace("forces:R", "forces:Q"), "Properties="),
    "properties of gigantic width": ("a.extxyz", GOOD.replace("forces:R:3", "forces:R:3000000000"), "Properties="),
    "properties twice": ("a.extxyz", GOOD.replace("forces:R:3", "pos:R:3"), "Properties="),
    "no positions": ("a.extxyz", GOOD.replace("pos:R", "place:R"), "no pos:R:3"),
    "no species": ("a.extxyz", GOOD.replace("species:S", "name:S"), "neither species"),
    "forces of two columns": (
        "a.extxyz",
        frame(f"{CELL} Properties=species:S:1:pos:R:3:forces:R:2 energy=1", "Si 0 0 0 1 1\nO 1 0 0 1 1\n"),
        "shape (2, 2)",
    ),
    "stress of five": ("a.extxyz", GOOD.replace("energy", 'stress="1 2 3 4 5" energy'), "5 numbers"),
    "lopsided stress": ("a.extxyz", GOOD.replace("energy", 'stress="0 1 0 0 0 0 0 0 0" energy'), "not symmetric"),
    "NaN stress": ("a.extxyz", GOOD.replace("energy", 'stress="nan 0 0 0 0 0 0 0 0" energy'), "stress is not finite"),
    "gz cut off": ("a.extxyz.gz", gzip.compress(GOOD.encode() * 500)[:-40], "damaged or cut off"),
    "gz with a wrong byte": ("a.extxyz.gz", gzip.compress(GOOD.encode())[:30] + b"x" * 60, "damaged or cut off"),
    "xz cut off": ("a.extxyz.xz", lzma.compress(GOOD.encode() * 500)[:-40], "damaged or cut off"),
    "bz2 cut off": ("a.extxyz.bz2", bz2.compress(GOOD.encode() * 500)[:-40], "damaged or cut off"),
    "npz of junk": ("a.npz", b"PK\x03\x04" + bytes(100), "numpy archive"),
    "npz cut off": ("a.npz", npz()[:-50], "numpy archive"),
    "npz of gigantic shape": ("a.npz", gigantic_npz(), "damaged"),
    "npz of objects": ("a.npz", npz(info=np.array([{}], dtype=object)), "Python objects"),
    "npz without positions": ("a.npz", npz(positions=None), "no positions"),
    "npz of wrong shape": ("a.npz", npz(forces=np.zeros((3, 3))), "shape (3, 3)"),
    "npz of text": ("a.npz", npz(energy=np.array(["low"])), "not numeric"),
    "npz with atom 0": ("a.npz", npz(numbers=np.array([14, 0])), "not a chemical element"),
    "db of junk": ("a.db", b"not a database" * 100, "ASE cannot read it"),
    "traj of junk": ("a.traj", b"- of Ulm" + b"\xff" * 100, "ASE cannot read it"),
    "traj cut off": ("a.traj", b"- of Ulm", "ASE cannot read it"),
    "vasprun cut off": ("vasprun.xml", "<?xml version='1.0'?><modeling><gen", "cut off"),
    "cif of junk": ("a.cif", "data_\n_cell_length_a -5\nloop_\n", "a.cif"),
    "unknown format": ("a.dat", "hello\n" * 10, "ASE cannot read it"),
    "json of junk": ("a.json", "{]", "JSON"),
    "json of a number": ("a.json", "12", "neither an object nor a list"),
    "json of another structure": ("a.json", '[{"structure": {"sites": 1}}]', "structure is not understood"),
    "json cut off": ("a.json", mptrj()[:-30], "cut off"),
    "json list": ("a.json", "[1, 2, 3]", "object of frames"),
    "json of other things": ("a.json", '{"a": 1}', "finds no structure"),
    "json without structure": ("a.json", '{"mp-1": {"x": {"energy": 1}}}', "finds no structure"),
    "json without end": ("a.json", '{"a": ' + "[" * 100000, "JSON"),
    "json of mixed sites": (
        "a.json",
        mptrj().replace('"occu": 1', '"occu": 0.5'),
        "partly occupied",
    ),
    "json with unknown element": ("a.json", mptrj().replace('"Si"', '"Sx"'), "not a chemical element"),
    "json with text for forces": ("a.json", mptrj(force="much"), "force is not numeric"),
}


def census_of(path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """Run ``keel census PATH`` and return the one sentence it ends with."""
    monkeypatch.setattr(sys, "argv", ["keel", "census", str(path)])
    with pytest.raises(SystemExit) as ended:
        main()
    output = capsys.readouterr()
    assert ended.value.code == 2
    assert output.err.startswith("keel: ")
    assert output.err.count("\n") == 1, output.err
    assert "Traceback" not in output.err + output.out
    return output.err


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_ends_in_one_sentence(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name, content, words = DAMAGE[kind]
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    message = census_of(path, monkeypatch, capsys)
    assert words in message
    assert str(path) in message


def make_folder(path: Path) -> None:
    path.mkdir()


def make_nothing(path: Path) -> None:
    assert not path.exists()


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_broken_link(path: Path) -> None:
    path.symlink_to(path.with_name("nowhere"))


@pytest.mark.parametrize("make", [make_folder, make_nothing, make_pipe, make_broken_link])
def test_what_is_no_file_is_refused(
    make: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.extxyz"
    make(path)
    assert str(path) in census_of(path, monkeypatch, capsys)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.extxyz"
    path.write_text(GOOD)
    path.chmod(0)
    assert "cannot be read" in census_of(path, monkeypatch, capsys)


def test_there_are_enough_kinds_of_damage() -> None:
    assert len(DAMAGE) >= 40


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("digits", ["{:.8f}", "{!r}"])
def test_a_file_that_ends_within_its_last_number(
    digits: str, quick: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left of the number is a number too."""
    monkeypatch.setattr("keel.atoms.formats.xyz_files.PAYS_FROM", 0 if quick else 1 << 40)
    rng = np.random.default_rng(3)
    rows = [
        "Si " + " ".join(digits.format(x) for x in [2.4 * k, 0.0, 0.0, *rng.normal(size=3).tolist()]) for k in (0, 1)
    ]
    whole = frame(atoms="\n".join(rows))
    path = tmp_path / "in.extxyz"
    for end in ("", "\n"):
        path.write_text(GOOD + whole + end)
        assert len(keel.read(path)) == 2
    path.write_text(GOOD + whole[:-4])
    with pytest.raises(DataError, match="frame 1: the file ends within its last number"):
        keel.read(path)
    assert len(keel.read(path, skip_bad=tmp_path / "bad.extxyz")) == 1


@pytest.mark.parametrize("last", ["0.0", "0.1", "0.12345", "-0.012345"])
def test_a_last_line_without_an_end_is_whole_where_digits_differ(last: str, tmp_path: Path) -> None:
    path = tmp_path / "in.extxyz"
    path.write_text(frame(atoms=f"Si 0 0 0 0.1 0.2 0.25\nO 1.6 0 0 -0.1 -0.2 {last}"))
    assert keel.read(path)[0].forces[1, 2] == float(last)


@pytest.mark.parametrize("kind", [k for k, (name, _, _) in DAMAGE.items() if name == "a.extxyz"])
def test_a_damaged_frame_hides_no_good_one(kind: str, tmp_path: Path) -> None:
    content = DAMAGE[kind][1]
    damaged = content if isinstance(content, bytes) else content.encode()
    good = [frame(f"{HEAD} energy={e}") for e in (1.0, 2.0, 3.0)]
    path, aside = tmp_path / "in.extxyz", tmp_path / "bad.extxyz"
    path.write_bytes(good[0].encode() + damaged.rstrip(b"\n ") + b"\n" + good[1].encode() + good[2].encode())
    if kind == "one endless line":
        with pytest.raises(DataError, match="line of more than"):
            keel.read(path, skip_bad=aside)
        return
    bad = BadFrames(aside)
    energies = [f.energy for f in keel.read(path, require=(), skip_bad=bad)]
    assert {1.0, 2.0, 3.0} <= set(energies)
    if kind not in ("empty file", "only blank lines"):
        assert bad.reasons
        assert all("in.extxyz, frame" in reason for reason in bad.reasons)
    # Every line of the file is in a good frame or set aside as it stood.
    text = aside.read_bytes() if bad.reasons else b""
    kept = sum(len(f) + 2 for f in iter_frames(path, require=(), skip_bad=tmp_path / "again.extxyz"))
    lines = [line for line in path.read_bytes().split(b"\n") if line.strip()]
    assert kept + len([line for line in text.split(b"\n") if line.strip()]) == len(lines)


def test_frames_without_a_required_label_are_set_aside(tmp_path: Path) -> None:
    path, aside = tmp_path / "in.extxyz", tmp_path / "bad.extxyz"
    path.write_text(GOOD + frame(HEAD) + GOOD)
    with pytest.raises(DataError, match=r"frame 1: it has no energy; .*--energy-key"):
        keel.read(path, require=["energy"])
    assert len(keel.read(path, require=["energy"], skip_bad=aside)) == 2
    assert aside.read_text() == frame(HEAD)
    assert [f.energy is None for f in keel.read(path)] == [False, True, False]


def test_bad_frames_of_other_formats_are_written_as_text(tmp_path: Path) -> None:
    path, aside = tmp_path / "in.npz", tmp_path / "bad.extxyz"
    two = {"n_atoms": np.array([1, 1]), "cell": np.stack([np.eye(3)] * 2) * 5, "energy": np.array([5.0, 1.0])}
    path.write_bytes(npz(**two, forces=np.array([[np.nan, 0, 0], [1, 2, 3]])))
    (good,) = keel.read(path, skip_bad=aside)
    assert good.energy == 1.0
    assert "energy=5.0" in aside.read_text()


def test_only_bad_frames_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "in.extxyz"
    path.write_text(frame(HEAD))
    with pytest.raises(DataError, match="none of the 1 frames can be used"):
        keel.read(path, require=["energy"], skip_bad=tmp_path / "bad.extxyz")


def test_bad_frames_never_go_into_the_file_that_is_read(tmp_path: Path) -> None:
    path = tmp_path / "in.extxyz"
    path.write_text(GOOD)
    with pytest.raises(ConfigError, match="being read"):
        keel.read(path, skip_bad=path)
    assert path.read_text() == GOOD


def test_nothing_is_written_where_nothing_is_bad(tmp_path: Path) -> None:
    path, aside = tmp_path / "in.extxyz", tmp_path / "bad.extxyz"
    path.write_text(GOOD)
    assert len(keel.read(path, skip_bad=aside)) == 1
    assert not aside.exists()


WHOLE = {
    "extxyz": (GOOD + frame(f'{HEAD} energy=2 stress="1 0 0 0 1 0 0 0 1" name="a b" pbc="T T F"')).encode(),
    "xyz.gz": gzip.compress(GOOD.encode() * 3),
    "npz": npz(info=np.array(['{"a": 1}'])),
    "json": mptrj().encode(),
}


@pytest.mark.parametrize("suffix", WHOLE)
@given(data=st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_any_damage_gives_frames_or_a_data_error(suffix: str, data: st.DataObject, tmp_path: Path) -> None:
    content = bytearray(WHOLE[suffix])
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(content)))
        length = data.draw(st.sampled_from([0, 1, 1, 5, 40]))
        content[start : start + length] = data.draw(
            st.one_of(
                st.binary(max_size=4), st.sampled_from([b"", b"\n", b" ", b"0", b"-", b"nan", b'"', b"=", b"1e9"])
            )
        )
    path = tmp_path / f"damaged.{suffix}"
    path.write_bytes(content)
    try:
        for found in iter_frames(path, require=()):
            assert len(found)
            assert np.isfinite(found.positions).all()
    except DataError as error:
        assert str(path) in str(error)  # noqa: PT017
        assert "\n" not in str(error)  # noqa: PT017
