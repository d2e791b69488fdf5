"""Files as people have them go through the commands: one command, no flag but where a file cannot do without."""

import json
import sys

import numpy as np
import pytest

import keel
from keel.atoms.frame import Frame
from keel.atoms.labelling.labelled import frame_from_ase
from keel.cli import main
from training_files import aselmdb, crystals, deepmd, json_lines, matpes, ml_ab, mptrj, mtp, parquet, runner

IMAGES = crystals(12)


def run(monkeypatch, capsys, *arguments):
    """Exit status, standard output and error of a command."""
    monkeypatch.setattr(sys, "argv", ["keel", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0), *capsys.readouterr()


def frames():
    return [frame_from_ase(atoms) for atoms in IMAGES]


def with_an_atom_alone(path):
    """The usual file of MACE and GAP: an atom alone that has an energy only, and crystals."""
    alone = Frame(np.array([29]), np.zeros((1, 3)), energy=3.5, info={"config_type": "IsolatedAtom"})
    keel.write(path, [alone, *frames()])


@pytest.mark.parametrize(
    ("write", "name"),
    [
        (with_an_atom_alone, "mace.extxyz"),
        (lambda path: deepmd(path, IMAGES), "deepmd"),
        (lambda path: runner(path, IMAGES), "input.data"),
        (lambda path: ml_ab(path, IMAGES), "ML_AB"),
        (lambda path: matpes(path, IMAGES), "matpes.json"),
        (lambda path: mptrj(path, IMAGES), "mptrj.json"),
        (lambda path: json_lines(path, IMAGES), "rows.jsonl"),
        (lambda path: parquet(path, IMAGES), "rows.parquet"),
        (lambda path: aselmdb(path, IMAGES), "rows.aselmdb"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_trains_with_one_command(write, name, tmp_path, monkeypatch, capsys):
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    if name.endswith("lmdb"):
        pytest.importorskip("ase_db_backends")
    write(tmp_path / name)
    out = tmp_path / "model"
    status, _, error = run(
        monkeypatch,
        capsys,
        "train",
        tmp_path / name,
        "--preset",
        "small",
        "--strategy",
        "vanilla",
        "--steps",
        2,
        "--out",
        out,
    )
    assert status == 0, error
    assert keel.load(str(out / "potential.safetensors")).elements == (29, 79)


def test_types_without_elements_need_the_one_flag(tmp_path, monkeypatch, capsys):
    mtp(tmp_path / "train.cfg", IMAGES)
    command = ("fit", tmp_path / "train.cfg", "--out", tmp_path / "eam.json")
    status, _, error = run(monkeypatch, capsys, *command)
    assert status == 2
    assert "--elements Si,O" in error
    order = ",".join(dict.fromkeys(s for atoms in IMAGES for s in atoms.symbols))
    assert run(monkeypatch, capsys, *command, "--elements", order)[0] == 0
    assert keel.load(str(tmp_path / "eam.json")).elements == (29, 79)


def test_fit_says_what_it_does_not_use(tmp_path, monkeypatch, capsys):
    zeros = [f.replace(stress=np.zeros((3, 3))) for f in frames()[::2]]
    keel.write(tmp_path / "half.extxyz", [*zeros, *frames()[1::2]])
    status, output, _ = run(monkeypatch, capsys, "fit", tmp_path / "half.extxyz", "--out", tmp_path / "eam.json")
    assert status == 0
    assert "6 frames with stress of exactly zero" in " ".join(output.split())


def test_census_counts_what_is_not_used(tmp_path, monkeypatch, capsys):
    with_an_atom_alone(tmp_path / "a.extxyz")
    keel.write(tmp_path / "b.extxyz", [f.replace(stress=np.full((3, 3), np.nan)) for f in frames()[:2]])
    both = tmp_path / "a.extxyz", tmp_path / "b.extxyz"
    status, output, _ = run(monkeypatch, capsys, "census", *both, "--json")
    first, second = json.loads(output)["files"]
    assert status == 0
    assert first["labels"] == {"energy": 13, "forces": 12, "stress": 12}
    assert any("isolated atom" in finding["message"] for finding in first["findings"])
    assert second["labels"]["stress"] == 0
    assert second["not_used"][0].startswith("2 frames with stress of NaN")
    assert set(second["judge"]) == {"findings", "checked", "unchecked"}


@pytest.mark.parametrize("stress", [np.inf, np.nan])
def test_commands_that_need_no_labels_look_at_none(stress, tmp_path, monkeypatch, capsys):
    (frame,) = frames()[:1]
    text = keel.atoms.formats.extxyz.format_frame(frame)
    bad = text.replace("stress=", f'virial="{stress} 0 0 0 1 0 0 0 1" stress=')
    (tmp_path / "start.extxyz").write_text(bad)
    keel.EAM.from_elements(["Cu", "Au"], 5.0).save(str(tmp_path / "eam.json"))
    assert run(monkeypatch, capsys, "census", tmp_path / "start.extxyz")[0] == 2
    start = tmp_path / "start.extxyz"
    assert run(monkeypatch, capsys, "md", tmp_path / "eam.json", start, "-T", 300, "--length-fs", 2)[0] == 0
    out = tmp_path / "children.extxyz"
    assert run(monkeypatch, capsys, "perturb", start, "--teacher", tmp_path / "eam.json", "--out", out)[0] == 0
