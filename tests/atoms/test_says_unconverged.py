"""Frames that say themselves that their electrons did not converge lose their labels, as outputs of codes do."""

import json

import pytest
from ase import Atoms
from ase.db import connect

import keel
from keel.atoms.labelling.convergence import OF_EITHER, UNCONVERGED

FORCES = [[0.1, 0, 0], [-0.1, 0, 0]]
ELECTRONS = "scf_converged", "electronic_converged", "SCF_Converged", "converged_electronic"


pytestmark = pytest.mark.usefixtures("each_xyz_reader")


def of_xyz(tmp_path, comment, **options):
    path = tmp_path / "a.extxyz"
    rows = ["Si 0 0 0 0.1 0 0", "O 1.6 0 0 -0.1 0 0"]
    path.write_text("\n".join(["2", f"Properties=species:S:1:pos:R:3:forces:R:3 energy=-1 {comment}", *rows, ""]))
    return keel.read(path, **options)[0]


@pytest.mark.parametrize("word", ["F", "False", "0", "false"])
@pytest.mark.parametrize("key", ELECTRONS)
def test_the_labels_are_not_used(key, word, tmp_path):
    frame = of_xyz(tmp_path, f"{key}={word}")
    assert (frame.energy, frame.forces) == (None, None)
    assert frame.remarks == (f"{UNCONVERGED} ({key}=F): the labels are not used",)
    used = of_xyz(tmp_path, f"{key}={word}", keys={"unconverged": True})
    assert (used.energy, used.remarks) == (-1.0, ())


@pytest.mark.parametrize("key", ["converged", "is_converged"])
def test_what_may_be_said_of_the_electrons_too(key, tmp_path):
    frame = of_xyz(tmp_path, f"{key}=F")
    assert (frame.energy, frame.forces) == (None, None)
    assert frame.remarks == (f"{key}=F, {OF_EITHER}: the labels are not used",)
    assert of_xyz(tmp_path, f"{key}=F", keys={"unconverged": True}).energy == -1.0


@pytest.mark.parametrize(
    "comment", ["converged=T", "ionic_converged=F", "converged=F scf_converged=T", "converged=none", "converged=12"]
)
def test_others_keep_their_labels(comment, tmp_path):
    frame = of_xyz(tmp_path, comment)
    assert (frame.energy, frame.remarks) == (-1.0, ())


@pytest.mark.parametrize("said", [False, 0, "False"])
def test_json(said, tmp_path):
    row = {"positions": [[0, 0, 0], [1.6, 0, 0]], "numbers": [14, 8], "energy": -1.0, "forces": FORCES}
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{**row, "electronic_converged": said}, {**row, "electronic_converged": True}]))
    assert [frame.energy for frame in keel.read(path)] == [None, -1.0]


def test_databases(tmp_path):
    path = tmp_path / "a.db"
    with connect(path) as database:
        for said in (True, False):
            database.write(Atoms("SiO", [[0, 0, 0], [1.6, 0, 0]]), total_energy=-1.0, scf_converged=said)
            database.write(Atoms("SiO", [[0, 0, 0], [1.6, 0, 0]]), data={"energy": -1.0, "scf_converged": said})
    assert [frame.energy for frame in keel.read(path)] == [-1.0, -1.0, None, None]
