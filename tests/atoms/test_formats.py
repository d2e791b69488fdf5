"""One table of file formats, which reading, writing, messages and help ask."""

import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import typer.main

import keel
from keel import kinds
from keel.atoms.record import PendingFrame, Record
from keel.cli import app
from keel.errors import DataError
from keel.kinds import COMPRESSED, FRAME_FORMATS, OTHERS, FrameFormat, format_of, imported, readable, writable
from tiny_run import FEW

ROOT = Path(__file__).parents[2]


def read_dots(path):
    """Yield a frame of as many atoms as there are dots in each line."""
    for k, line in enumerate(path.read_text().split()):
        n, source = line.count("."), f"{path}, line {k}"
        positions = 3.0 * np.arange(3 * n).reshape(n, 3)
        atoms = np.full(n, 18), positions, np.zeros((3, 3)), np.zeros(3, dtype=bool)
        yield PendingFrame(source, partial(Record, *atoms, {}, {}, source), line.encode())


def write_dots(path, frames):
    """Write as many dots as a frame has atoms."""
    lines = ["." * len(frame) for frame in frames]
    path.write_text("\n".join(lines))
    return len(lines)


class TestANewFormat:
    """It is a line in the table and nothing else."""

    @pytest.fixture(autouse=True)
    def dots(self, monkeypatch):
        new = FrameFormat("dots", (".dots",), f"{__name__}.read_dots", f"{__name__}.write_dots")
        monkeypatch.setattr(kinds, "FRAME_FORMATS", (*FRAME_FORMATS, new))

    def test_is_read_and_written(self, tmp_path):
        path = tmp_path / "a.dots"
        assert keel.write(path, keel.read(FEW)[:2]) == 2
        frames = keel.read(path, require=())
        assert [len(f) for f in frames] == [32, 32] and frames[1].source.endswith("a.dots, line 1")

    def test_is_named_where_formats_are(self, tmp_path):
        assert "dots (.dots)" in readable() and writable().endswith(" or .dots")
        with pytest.raises(DataError, match=r"frames are written as .* or \.dots$"):
            keel.write(tmp_path / "a.dots.gz", keel.read(FEW)[:1])
        (tmp_path / "a.unheard").write_text("of")
        with pytest.raises(
            DataError, match=r"its format is unknown; convert it to extxyz; keel reads .*dots \(\.dots\), or any other"
        ):
            keel.read(tmp_path / "a.unheard")


@pytest.mark.parametrize("form", [*FRAME_FORMATS, OTHERS], ids=str)
def test_readers_and_writers_are_where_the_table_says(form):
    for path in (form.reader, form.writer):
        assert path is None or callable(imported(path))


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("a.XYZ", ".xyz"),
        ("a.b.extxyz", ".extxyz"),
        ("a.json.gz", ".json"),
        ("a.npz", ".npz"),
        ("OUTCAR", "OUTCAR"),
        ("OUTCAR.gz", "OUTCAR"),
        ("a.traj", None),
    ],
)
def test_formats_by_suffix(name, suffix):
    form = format_of(Path(name))
    assert form is None if suffix is None else suffix in form.suffixes


@pytest.mark.parametrize("name", ["a.npz.gz", "a.db.xz", "a.json", "a", "a.gz", "a.traj"])
def test_what_is_not_written(name, tmp_path):
    with pytest.raises(DataError, match=f"are written as {re.escape(writable())}$"):
        keel.write(tmp_path / name, keel.read(FEW)[:1])
    assert not list(tmp_path.iterdir())


def test_suffixes_are_those_of_one_format_each():
    suffixes = [suffix for form in FRAME_FORMATS for suffix in form.suffixes]
    assert len(suffixes) == len(set(suffixes)) and not set(suffixes) & set(COMPRESSED)


def test_help_and_readme_name_what_is_read():
    commands = typer.main.get_command(app).commands
    for name in ("census", "evaluate", "fit", "train"):
        assert any(readable() in (p.help or "") for p in commands[name].params), name
    for name in ("census", "perturb"):
        assert any(writable() in (p.help or "") for p in commands[name].params), name
    (line,) = [text for text in (ROOT / "README.md").read_text().splitlines() if text.startswith("Everything that ASE")]
    assert all(word in line for word in ("extxyz", "npz", "databases", "JSON"))
