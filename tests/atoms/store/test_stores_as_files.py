"""A store is taken wherever a file is: by functions and by commands, with the same results."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from typer.testing import CliRunner

import keel
from keel.atoms.partial import LabelledSet
from keel.atoms.selecting import left_out, made_of
from keel.cli import app
from stored import all_same, stored

FRAMES = [
    f.replace(info={**f.info, "part": "test" if k % 5 == 0 else "train"})
    for k, f in enumerate(keel.datasets.phosphorus()[::20])
]


@pytest.fixture
def store(tmp_path):
    return stored(FRAMES, tmp_path / "p.keel", 9)


def run(*arguments: object) -> str:
    done = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize(
    "divide",
    [
        lambda f: keel.atoms.split(f, 0.6, 0.2, seed=3),
        lambda f: keel.atoms.split(f, 1, 0, by="phase", seed=1),
        lambda f: keel.atoms.split_in_time(f, 0.5, 0.2, by="phase", gap=1),
        lambda f: keel.atoms.split_by_name(f, "part", train="train", validation=0.2, test="test"),
        lambda f: keel.atoms.Split(keel.atoms.sample(f, 9, seed=2), keel.atoms.sample(f, 6, by="phase"), []),
        lambda f: keel.atoms.Split(*list(keel.atoms.group_frames(f, "part").values()), []),
    ],
)
def test_divided_as_in_memory_and_without_reading(divide, store):
    expected, found = divide(FRAMES), divide(store)
    for part, frames in found.divided.items():
        assert isinstance(frames, keel.atoms.StoredFrames) or not len(frames)
        assert all_same(expected.divided[part], frames)


def test_what_there_is_to_learn_from(tmp_path):
    frames = [*FRAMES[:5], keel.Frame(np.array([15]), np.zeros((1, 3)), energy=-1.0), FRAMES[5].unlabelled()]
    frames[1] = frames[1].replace(forces=None, remarks=("a remark",))
    store = stored(frames, tmp_path / "a.keel", 3)
    memory, found = LabelledSet(frames), LabelledSet(store)
    assert all_same(memory.labelled, found.labelled) and all_same(memory.atoms, found.atoms)
    assert [note.rpartition(" (")[0] for note in memory.notes] == [note.rpartition(" (")[0] for note in found.notes]
    assert keel.fitting.fit_offsets(frames) == keel.fitting.fit_offsets(store)
    assert all_same(left_out(store, [store[:2], store[4:]]), frames[2:4])
    assert len(made_of(store, [15])) == 7 and not len(made_of(store, [14]))


def test_the_usual_split_is_found(store):
    assert keel.atoms.usual_split(store) == keel.atoms.usual_split(FRAMES)
    assert keel.atoms.usual_split(store[::5]) is None


def test_census_counts_all_frames(store, monkeypatch):
    assert keel.census(store).to_dict().keys() == keel.census(FRAMES).to_dict().keys()
    monkeypatch.setattr("keel.atoms.store.stretches.STRETCHES", 2)
    monkeypatch.setattr("keel.atoms.store.stretches.STRETCH", 8)
    found, memory = keel.census(store), keel.census(FRAMES)
    for name in ("frames", "atoms", "elements", "periodic", "labels"):
        assert getattr(found, name) == getattr(memory, name)
    assert "of 16 of 39 frames" in found.findings[-1].message


def test_fits_and_perturbations(store):
    memory, found = keel.fit_eam(FRAMES, 5.0), keel.fit_eam(store, 5.0)
    assert memory.errors.forces.mae == found.errors.forces.mae
    children = (keel.perturb(frames[:2], memory.potential, seed=1) for frames in (FRAMES, store))
    assert all_same(*([f.replace(info={}) for f in own] for own in children))
    assert keel.evaluate(memory.potential, store).forces.mae == keel.evaluate(memory.potential, FRAMES).forces.mae


def test_commands_take_it_like_a_file(store, tmp_path):
    (path,) = store.store.paths
    keel.write(tmp_path / "p.extxyz", FRAMES)
    for name, file in (("file", tmp_path / "p.extxyz"), ("store", path)):
        run("train", file, "--steps", 4, "--preset", "small", "--cutoff", 4, "--out", tmp_path / name, "--by", "part")
        run("fit", file, "--cutoff", 5, "--out", tmp_path / f"{name}.json")
    assert (tmp_path / "file.json").read_text() == (tmp_path / "store.json").read_text()
    weights = [(tmp_path / name / "potential.safetensors").read_bytes() for name in ("file", "store")]
    assert weights[0] == weights[1]
    errors = [json.loads(run("evaluate", tmp_path / "file.json", f, "--json")) for f in (tmp_path / "p.extxyz", path)]
    assert errors[0] == errors[1]
    assert json.loads(run("census", path, "--json"))["files"][0]["frames"] == 39
    run("census", path, "--write", tmp_path / "again.extxyz")
    assert all_same(keel.read(tmp_path / "again.extxyz"), FRAMES)


def test_a_run_from_a_store(store, tmp_path):
    (path,) = store.store.paths
    text = f"""
    name: stored
    data: {{files: [{path}], split: {{train: 20, validation: 4, test: 4}}}}
    networks: [{{architecture: CGCNN, preset: small}}]
    strategies: [vanilla]
    training: {{steps: 4}}
    md: {{temperatures: [300], runs: 1, length_fs: 3, rung_fs: 3}}
    """
    (tmp_path / "run.yaml").write_text(text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run("run", tmp_path / "run.yaml", "--out", tmp_path / "out")
    assert list((tmp_path / "out").rglob("*.safetensors"))
