"""Extended XYZ as its specification has it, and as the programs do that write it."""

import io
import re
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.units import fs
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import keel
from keel.atoms.formats.comment import parse_comment
from keel.atoms.formats.extxyz import format_frame, raw_frames
from keel.atoms.frame import Frame
from keel.atoms.labelling.labelled import frame_from_ase, frame_from_record
from keel.atoms.record import Record
from keel.atoms.remarks import notes
from keel.atoms.units import GPA
from keel.errors import DataError


def copper() -> Frame:
    """A cell without symmetry, and its labels."""
    atoms = bulk("Cu", cubic=True)
    atoms.set_cell(atoms.cell.array + np.array([[0, 0, 0], [0.1, 0, 0], [0.2, 0.3, 0]]), scale_atoms=True)
    atoms.rattle(0.1, seed=1)
    atoms.calc = EMT()
    atoms.get_potential_energy(), atoms.get_stress()
    return frame_from_ase(atoms).replace(info={})


COPPER = copper()
POS, FORCES, ENERGY = COPPER.positions, COPPER.forces, f"{COPPER.energy:.8f}"


def numbers(values: Any, form: str = "%.8f", between: str = " ") -> str:
    return between.join(form % v for v in np.ravel(values))


def text(comment: str, *columns: Any, form: str = "%.8f") -> str:
    """Return four atoms of copper with this comment line; columns of whole numbers are printed as such."""
    words = [["Cu"] * 4]
    for column in (np.reshape(c, (4, -1)) for c in columns):
        words += [[("%d" if column.dtype.kind in "ib" else form) % v for v in values] for values in column.T]
    return "\n".join(["4", comment, *map(" ".join, zip(*words, strict=True)), ""])


def record(content: str) -> Record:
    (raw,) = raw_frames(io.BytesIO(content.encode()), "text")
    return raw.record()


def atom(comment: str, line: str = "Cu 0 0 0") -> Record:
    """Return what a file of one atom says."""
    return record(f"1\n{comment}\n{line}\n")


def read(content: str, folder: Path, **options: Any) -> Frame:
    path = folder / "a.xyz"
    path.write_text(content)
    (frame,) = keel.read(path, **options)
    return frame


LATTICE = f'Lattice="{numbers(COPPER.cell)}"'
VIRIAL = f'virial="{numbers(-COPPER.stress * COPPER.volume)}"'
FORMS = "Properties=species:S:1:pos:R:3:forces:R:3"
NESTED = ", ".join(f"[{numbers(row, between=', ')}]" for row in COPPER.stress)
WRITERS = {
    "GPUMD's training data": text(
        f"energy={ENERGY} {LATTICE.lower()} {VIRIAL} properties=species:S:1:pos:R:3:force:R:3", POS, FORCES
    ),
    "GPUMD's dump_xyz": text(
        f'Time=0.00000000 pbc="T T T" {LATTICE} energy={ENERGY} {VIRIAL} {FORMS}:virial:R:9',
        *(POS, FORCES, np.ones((4, 9))),
    ),
    "LAMMPS": text(
        f'Timestep=0 Time=0.000000 pbc="T T T" {LATTICE} Potential_energy={ENERGY} Temperature=0 '
        f'Stress="{numbers(-COPPER.stress / GPA * 1e4)}" Properties=species:S:1:pos:R:3:vel:R:3:forces:R:3',
        *(POS, 0 * POS, FORCES),
    ),
    "OVITO": text(
        f'{LATTICE} Origin="0.0 0.0 0.0" pbc="T T T" energy={ENERGY} {VIRIAL} Properties=species:S:1:pos:R:3:force:R:3',
        *(POS, FORCES),
    ),
    "CONQUEST": text(
        f'config_type= {LATTICE} {FORMS} potential_energy={ENERGY} pbc="T T T" '
        f'stress="{numbers(COPPER.stress, " %14.8f")}"',
        *(POS, FORCES),
        form="%14.8f",
    ),
    "QUIP": text(
        f'cutoff=-1.00000000 pbc="T T T" {LATTICE} config_type={{liquid copper}} energy={ENERGY} {VIRIAL} '
        "Properties=species:S:1:pos:R:3:Z:I:1:map_shift:I:3:force:R:3",
        *(POS, np.full(4, 29), np.zeros((4, 3), dtype=int), FORCES),
    ),
    "libextxyz": text(f"energy={ENERGY} stress=[{NESTED}] note= {LATTICE} pbc=[T, T, T] {FORMS}", POS, FORCES),
    "Fortran": re.sub(
        r"(?<=\d)e(?=[+-]\d)",
        "D",
        text(
            f'Lattice= "{numbers(COPPER.cell, "%.9e")}"  energy=  {COPPER.energy:.9e} '
            f'stress = "{numbers(COPPER.stress, "%.9e")}" {FORMS}',
            *(POS, FORCES),
            form="%.9e",
        ),
    ),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_what_others_write_is_read_to_its_last_digit(writer: str, tmp_path: Path) -> None:
    frame = read(WRITERS[writer], tmp_path)
    np.testing.assert_array_equal(frame.numbers, COPPER.numbers)
    assert frame.pbc.all()
    for name, digits in {"cell": 8, "positions": 8, "forces": 8, "energy": 8, "stress": 7}.items():
        found, true = getattr(frame, name), getattr(COPPER, name)
        np.testing.assert_allclose(found, true, rtol=0, atol=10.0**-digits, err_msg=name)


@pytest.mark.parametrize(
    ("comment", "info"),
    [
        ("note= energy=-1.5", {"note": "", "energy": -1.5}),
        ("note=  ", {"note": ""}),
        ('note="" flag a=1', {"note": "", "flag": True, "a": 1}),
        ("energy=  -1.5D0 a= b", {"energy": -1.5, "a": "b"}),
        ('a= "x = 5" b = "c=d"', {"a": "x = 5", "b": "c=d"}),
        ("i = 1, time = 0.5, E = -17.1", {"i": 1, "time": 0.5, "E": -17.1}),
        ("a=[[1, 2], [3, 4]] b=[1.5] c=[T,F]", {"a": [[1, 2], [3, 4]], "b": [1.5], "c": [True, False]}),
        ('a=[x, "y [z]"] b=[x y] c={x y}', {"a": ["x", "y [z]"], "b": "x y", "c": "x y"}),
        ("a=[[1,2],[3]] b=[[x,y]]", {"a": "[[1,2],[3]]", "b": "[[x,y]]"}),
        ("a={1 2} b=[] c={}", {"a": [1, 2], "b": "", "c": ""}),
        (r'a="x\n2" b="\\n \"q\"" c=C:\new', {"a": "x\n2", "b": '\\n "q"', "c": r"C:\new"}),
        ('a=1e3 b=+5 c=.5 d=1.5.2 e="1D2 2d-1"', {"a": 1000.0, "b": 5, "c": 0.5, "d": "1.5.2", "e": [100.0, 0.2]}),
        ("a=1 a=1.0 b b", {"a": 1.0, "b": True}),
        ("it's a=b's", {"it's": True, "a": "b's"}),
    ],
)
def test_comments(comment: str, info: dict[str, Any]) -> None:
    found = parse_comment(comment)[0]
    assert {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in found.items()} == info


@pytest.mark.parametrize(
    ("comment", "message"),
    [
        ("a=1 a=2", "'a' occurs twice in its comment line with different values"),
        ('Lattice="5 0 0 0 5 0 0 0 5" lattice="6 0 0 0 6 0 0 0 6"', "'Lattice' occurs twice"),
        ("a=[1, 2 b=3", r"opens with \[ and is not closed"),
        ("cell=5", "'cell' is not understood; name it Lattice"),
        ("Lattice=[[5,0,0],[0,5,0]]", "nine numbers"),
        ("pbc=[T, F]", "pbc should be"),
        ("Properties=species:S:1:pos:R:3:x:Q:1:y:R:1", "should be like"),
        ("Properties=species:S:1:pos:R:3:x:L:1", "has 4 columns"),
        ("Properties=", "should be like"),
    ],
)
def test_what_cannot_be_meant_is_refused(comment: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        atom(comment)


@pytest.mark.parametrize("names", [("Lattice", "pbc"), ("lattice", "PBC"), ("LATTICE", "Pbc")])
def test_reserved_keys_in_any_case(names: tuple[str, str]) -> None:
    lattice, pbc = names
    box = f'{lattice}="15 0 0 1 15 0 0 0 15"'
    assert atom(box).pbc.all()
    found = atom(f'{box} {pbc}="F F T"')
    assert found.pbc.tolist() == [False, False, True] and not found.info
    assert found.cell.tolist() == [[15, 0, 0], [1, 15, 0], [0, 0, 15]]


def test_lattices_in_brackets() -> None:
    found = atom("Lattice=[[15, 0, 0], [1, 15, 0], [0, 0, 15]]")
    assert found.cell.tolist() == [[15, 0, 0], [1, 15, 0], [0, 0, 15]]
    assert "rows are taken" in found.remarks[0]
    assert not atom("Lattice=[[15, 0, 0], [0, 15, 0], [0, 0, 15]]").remarks
    assert atom('Lattice="15 14 13"').cell.tolist() == np.diag([15, 14, 13]).tolist()


def test_printed_values_keep_their_digits() -> None:
    found = atom('energy=-3.50 b="1.0 2.00" c')
    assert found.printed == {"energy": "-3.50", "b": '"1.0 2.00"', "c": ""}


def test_names_of_columns_hold_colons() -> None:
    found = atom("Properties=species:S:1:pos:R:3:mtt::aux::q:R:1:a:b:I:2", "Cu 0 0 0 0.5 1 2")
    assert found.arrays["mtt::aux::q"].tolist() == [0.5]
    assert found.arrays["a:b"].tolist() == [[1, 2]]


def test_columns_of_every_kind() -> None:
    rows = ["Cu 1.5D-01 -1d+2 .5 T 0 a 7", "Cu 0 0 0 False 1 b 8"]
    found = record("2\nProperties=species:S:1:pos:R:3:free:L:2:name:S:1:id:I:1\n" + "\n".join(rows) + "\n")
    np.testing.assert_allclose(found.positions, [[0.15, -100, 0.5], [0, 0, 0]])
    assert found.positions.flags.c_contiguous
    assert found.arrays["free"].tolist() == [[True, False], [False, True]]
    assert list(found.arrays["name"]) == ["a", "b"] and found.arrays["id"].tolist() == [7, 8]
    with pytest.raises(DataError, match="the free of atom 1 is 'x', which is not T or F"):
        record("2\nProperties=species:S:1:pos:R:3:free:L:1\nCu 0 0 0 T\nCu 1 1 1 x\n")


def test_a_column_does_not_hide_a_label_of_its_name(tmp_path: Path) -> None:
    frame = read(WRITERS["GPUMD's dump_xyz"], tmp_path)
    assert frame.unused == ("virial",)


def test_labels_under_two_names_are_compared_to_their_digits(tmp_path: Path) -> None:
    exact, rounded = COPPER.energy, f"{COPPER.energy:.3f}"
    comment = f"{LATTICE} {FORMS} energy={exact} dft_energy={rounded}"
    assert read(text(comment, POS, FORCES), tmp_path).energy == exact
    with pytest.raises(DataError, match="contradict each other"):
        read(text(comment.replace(rounded, f"{exact + 0.002:.3f}"), POS, FORCES), tmp_path)


XTB = "3\n energy: -5.069669655619 gnorm: 0.033419985929 xtb: 6.5.1 (unknown)\n" + "".join(
    f"{element} {x:20.14f} {y:20.14f} 0.00000000000000\n"
    for element, x, y in (("O", 0.0, 0.0), ("H", 0.0, 0.96), ("H", 0.93, -0.24))
)


def test_xyz_under_another_name(tmp_path: Path) -> None:
    path = tmp_path / "opt.log"
    path.write_text(XTB * 3)
    frames = keel.read(path)
    assert [len(frame) for frame in frames] == [3, 3, 3] and not frames[0].pbc.any()
    assert frames[0].energy is None and frames[0].info["comment"].startswith("energy: -5.06")


@pytest.mark.parametrize("content", ["3\nA table\nx 1 2 3\ny 1 2 3\n", "3\nRows\nCu 1 2\n", "1 0 0\n0 1 0\nCu 1 2 3\n"])
def test_what_is_no_xyz_is_not_taken_for_it(content: str, tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text(content)
    with pytest.raises(DataError) as error:
        keel.read(path)
    assert "frame 0" not in str(error.value)


def test_columns_that_nothing_names_are_left_out_and_said(tmp_path: Path) -> None:
    path = tmp_path / "a.xyz"
    path.write_text(XTB.replace("0.00000000000000\n", "0.0 0.1 0.2\n"))
    frames = keel.read(path)
    assert frames[0].positions.shape == (3, 3)
    assert notes(frames)[0].startswith("1 frame with unnamed columns after the position")
    path.write_text(path.read_text().replace(" energy: -5", 'Lattice="9 9 9" energy=-5'))
    with pytest.raises(DataError, match="has 6 columns, and no Properties in the comment line"):
        keel.read(path)


@st.composite
def moving(draw: st.DrawFn) -> Frame:
    truth = arrays(np.bool_, (4, 3)) | arrays(np.bool_, (4, 1)).map(lambda whole: np.repeat(whole, 3, axis=1))
    vectors = arrays(np.float64, (4, 3), elements=st.floats(-1, 1, allow_subnormal=False))
    return COPPER.replace(
        fixed=draw(st.none() | truth),
        masses=draw(st.none() | arrays(np.float64, 4, elements=st.floats(1, 300))),
        velocities=draw(st.none() | vectors),
        forces_mask=draw(st.none() | arrays(np.bool_, 4)),
    )


@given(moving())
def test_what_moves_how_is_written_and_read_and_ase_reads_it(frame: Frame) -> None:
    written = format_frame(frame)
    back = frame_from_record(record(written))
    if frame.fixed is not None and not frame.fixed.any():
        frame = frame.replace(fixed=None)
    for name in ("fixed", "masses", "forces_mask", "positions", "forces"):
        np.testing.assert_array_equal(getattr(back, name), getattr(frame, name), err_msg=name)
    atoms = ase.io.read(io.StringIO(written), format="extxyz")
    if frame.velocities is None:
        assert back.velocities is None
    else:
        np.testing.assert_allclose(back.velocities, frame.velocities, rtol=1e-14)
        np.testing.assert_allclose(atoms.get_velocities() * fs, frame.velocities, rtol=1e-12)
    if frame.masses is not None:
        np.testing.assert_array_equal(atoms.get_masses(), frame.masses)
    held = np.zeros((4, 3), dtype=bool) if frame.fixed is None else frame.fixed
    np.testing.assert_array_equal(frame_from_ase(atoms).fixed if held.any() else held, held)


@pytest.mark.parametrize("key", ["a b", "a=b", 'say "so"', "[a]", "a,b", "two\nlines", "back\\slash", "é", ""])
@pytest.mark.parametrize("value", ["", 'x "y" = z', "1.5", "T", "[1, 2]", "two\nlines", None, [True], {"a": [1, None]}])
def test_odd_keys_and_values_come_back(key: str, value: Any) -> None:
    frame = COPPER.replace(info={key: value, "last": 1})
    written = format_frame(frame)
    assert record(written).info["last"] == 1 and record(written).info[key] == value
    # No key is bare and no value empty, at which other readers lose what follows.
    assert "= " not in written.replace('x \\"y\\" = z', "") and written.count("\n") == 6


@pytest.mark.parametrize("key", ["Lattice", "lattice", "PBC", "properties", "cell", "Energy"])
def test_keys_that_would_be_something_else_are_not_written(key: str) -> None:
    with pytest.raises(DataError, match="read back with another meaning"):
        format_frame(COPPER.replace(info={key: "1"}))
