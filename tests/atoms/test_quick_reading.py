"""Large files of extended XYZ are read by machine code, with the frames of the careful reader to the last bit."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ase.io
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import keel
from keel.atoms.formats import xyz_files
from keel.atoms.formats.xyz_quick import quick_frames
from keel.atoms.kernels.decimals import real
from keel.atoms.labelling.labelled import frame_from_record
from keel.atoms.read import BadFrames, iter_frames
from keel.errors import DataError
from stored import frames, same

FILES = sorted(Path(__file__).parents[1].rglob("*.*xyz*"))
LINE = "Si 0.0 0.5 1.0 0.1 0.2 0.3"
HEADER = 'Lattice="9 0 0 0 9 0 0 0 9" Properties=species:S:1:pos:R:3:forces:R:3 energy=-1.5'


def read(path: Path, bad: BadFrames | None = None) -> list[Any]:
    """Return the frames of a file, and its error if there is one."""
    found: list[Any] = []
    try:
        for frame in iter_frames(path, skip_bad=bad):
            found.append(frame)
    except DataError as error:
        found.append(str(error))
    return found


def both(path: Path, block: int = 1 << 20) -> tuple[list[Any], list[Any]]:
    """Return what the careful and the quick reader say of a file, also where bad frames are set aside."""
    results = []
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as folder:
        for pays_from in (1 << 60, 0):
            patch.setattr(xyz_files, "PAYS_FROM", pays_from)
            patch.setattr("keel.atoms.formats.xyz_quick.BLOCK", block)
            bad = BadFrames(Path(folder) / "bad.xyz")
            read_on = read(path, bad)
            aside = bad.path.read_bytes() if len(bad) else b""
            results.append([*read(path), "then", *read_on, *bad.reasons, aside])
    return results[0], results[1]


def agree(first: list[Any], second: list[Any]) -> bool:
    def one(a: Any, b: Any) -> bool:
        return same(a, b) and a.source == b.source if isinstance(a, keel.Frame) else bool(a == b)

    return len(first) == len(second) and all(one(a, b) for a, b in zip(first, second, strict=True))


def usual(text: str) -> list[bool]:
    return [
        pending.usual is not None and pending.usual() is not None
        for pending in quick_frames(io.BytesIO(text.encode()), "a")
    ]


def written(folder: str, text: str) -> Path:
    path = Path(folder) / "a.xyz"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return path


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_file_of_the_tests_is_read_alike(path):
    if path.stat().st_size < 1 << 20:
        assert agree(*both(path, 3000))


@settings(max_examples=8, deadline=None)
@given(st.lists(frames(), min_size=1, max_size=5), st.integers(50, 2000))
def test_what_keel_writes_is_read_alike(some, block):
    with TemporaryDirectory() as folder:
        try:
            keel.write(Path(folder) / "a.xyz", some)
        except DataError:
            return
        assert agree(*both(Path(folder) / "a.xyz", block))


NINE = '"1 0 0 0 2 0 0 0 3"'
ROWS = [
    *("2", "1", "0", "3 ", "", " ", "H", "\r", LINE, f"{LINE}\r", "O 1 1 1 0 0 0", "O 1 1 1", "X 1 2 3 4 5 6"),
    *("Si a b c d e f", "Si nan 0 0 0 0 0", "Si +1. .5 1e-3 -0 1_0 0", "Si 1D0 2 3 4 5 6", "Si\t4 5  6 7 8 9 "),
    *("Si 0 0.5 1.01 1 1 1", "Si 5 5 5 1e400 0 0", "Si 1 2 3 4 5", "Si 1 2 3 04 0x5"),
]
COMMENTS = [
    *(
        HEADER,
        HEADER.replace("energy", "E"),
        HEADER.replace("-1.5", "999"),
        f"{HEADER} energy=2",
        f"{HEADER} energy= -3",
    ),
    *(f"{HEADER} virial={NINE}", f'{HEADER} stress={NINE} pbc="T T F"', f"{HEADER} free_energy=-1.5 name='a b'"),
    *(f"{HEADER} stress={NINE}", "Properties=species:S:1:pos:R:3:id:I:1:tag:R:1 a=b", f"é=1 {HEADER}"),
]
WORDS = st.sampled_from([*ROWS, *COMMENTS])


@settings(max_examples=60, deadline=None)
@given(st.lists(WORDS, max_size=30).map("\n".join), st.integers(20, 400), st.booleans())
@example(f"1\n{HEADER}\n{LINE}\n{LINE}\n", 30, False)
@example(f"2\n{HEADER}\n{LINE}\nO 1 1 1 0 0 0\n\n\nnothing", 50, True)
def test_damaged_files_are_told_alike(text, block, usual_first):
    first = f"2\n{HEADER}\n{LINE}\nO 3 3 3 0 0 0\n" * 3 if usual_first else ""
    with TemporaryDirectory() as folder:
        assert agree(*both(written(folder, first + text), block))


PAIRS = st.tuples(st.text("aE_xZ.-", min_size=1, max_size=5), st.text('a1 .T=",{[e-', max_size=8), st.booleans())


@settings(max_examples=100, deadline=None)
@given(st.lists(PAIRS, max_size=5), st.integers(0, 5))
def test_comments_that_are_plain_are_understood_alike(pairs, place):
    words = [f'{key}="{value}"' if quoted else f"{key}={value}" for key, value, quoted in pairs]
    text = f"1\n{'  '.join([*words[:place], HEADER, *words[place:]])}\n{LINE}\n"
    (pending,) = quick_frames(io.BytesIO(text.encode()), "a")
    if (found := pending.usual()) is not None:
        assert same(frame_from_record(pending.record()), found)


def numbers() -> Iterator[st.SearchStrategy[str]]:
    floats = st.floats(allow_nan=False, allow_infinity=False)
    yield floats.map(repr)
    yield floats.map("{:.8f}".format)
    yield st.from_regex(r"[+-]?[0-9]{1,21}(\.[0-9]{0,12})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)
    yield st.integers(2**53, 2**54).flatmap(lambda m: st.sampled_from([str(2 * m + 1), f"{2 * m + 1}e0", f"{m}.5"]))


@settings(max_examples=80, deadline=None)
@given(st.one_of(*numbers()))
def test_numbers_are_read_to_the_last_bit(text):
    array = np.frombuffer(text.encode(), np.uint8)
    value, sure = real(array, 0, len(array))
    if sure:
        assert struct.pack("<d", value) == struct.pack("<d", float(text))
    elif len(text) < 18 and "e" not in text.lower():
        pytest.fail(f"{text} should be sure")


@pytest.mark.parametrize(
    "word", ["", "-", ".", "1e", "1e+", "nan", "inf", "1_0", "0x1", "1.2.3", "1d3", "e5", "1e99999"]
)
def test_what_is_no_plain_number_is_left_to_others(word):
    array = np.frombuffer(word.encode(), np.uint8)
    assert not real(array, 0, len(array))[1]


def test_files_of_ase_and_keel_are_usual(tmp_path):
    some = keel.datasets.phosphorus()[:20]
    keel.write(tmp_path / "keel.xyz", some)
    ase.io.write(tmp_path / "ase.xyz", [f.to_ase() for f in some], format="extxyz")
    assert all(usual((tmp_path / "keel.xyz").read_text())) and all(usual((tmp_path / "ase.xyz").read_text()))
    one = f"1\n{HEADER} stress={NINE} a=b\n{LINE}\n"
    assert usual(one) == [True] and usual(f"{one}1\n{HEADER} spin='a'\n{LINE}\n") == [True, False]


def test_frames_do_not_hold_what_was_read_with_them(tmp_path, monkeypatch):
    monkeypatch.setattr(xyz_files, "PAYS_FROM", 0)
    keel.write(tmp_path / "a.xyz", keel.datasets.phosphorus()[:20])
    frame = keel.read(tmp_path / "a.xyz")[3]
    arrays = (frame.numbers, frame.positions, frame.forces, frame.cell)
    assert all((a.base is None or a.base.nbytes <= a.nbytes) and a.flags.writeable for a in arrays)
