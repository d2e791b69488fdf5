"""What other packages write of training data, read by keel: their units and signs are those of the samples."""

import json

import numpy as np
import pytest

import keel
import training_files as files
from keel.atoms.formats import runner
from keel.atoms.record import LabelKeys

pytestmark = pytest.mark.oracle


def dpdata_system(images):
    """The images as a system of dpdata."""
    dpdata = pytest.importorskip("dpdata")
    system = dpdata.LabeledSystem()
    for atoms in images:
        system.append(dpdata.LabeledSystem(atoms, fmt="ase/structure"))
    return system


@pytest.mark.parametrize("images", [files.crystals(), files.molecules()], ids=["crystals", "molecules"])
@pytest.mark.parametrize(("form", "more"), [("deepmd/npy", {"comp_prec": np.float64}), ("deepmd/raw", {})])
def test_systems_of_dpdata(form, more, images, tmp_path):
    dpdata_system(images).to(form, str(tmp_path / "data"), **more)
    files.assert_same(keel.read(tmp_path / "data"), images, tmp_path)


def test_mixed_types_of_dpdata(tmp_path):
    dpdata = pytest.importorskip("dpdata")
    images = files.crystals()
    systems = dpdata.MultiSystems(*(dpdata.LabeledSystem(a, fmt="ase/structure") for a in images))
    systems.to("deepmd/npy/mixed", str(tmp_path / "data"), prec=np.float64)
    files.assert_same(keel.read(tmp_path / "data"), images, tmp_path)


def test_n2p2_of_dpdata(tmp_path):
    images = files.crystals()
    dpdata_system(images).to("n2p2", str(tmp_path / "input.data"))
    frames = keel.read(tmp_path / "input.data")
    # It prints six decimals, of hartree and of bohr.
    files.assert_same(frames, images, tmp_path, digits=5e-5, stress=False)
    assert frames[0].remarks == (runner.IN_BOHR,)


@pytest.mark.parametrize("images", [files.crystals(), files.molecules()], ids=["crystals", "molecules"])
def test_configurations_of_motep(images, tmp_path):
    cfg = pytest.importorskip("motep.io.mlip.cfg")
    cfg.write_cfg(str(tmp_path / "train.cfg"), images)
    # It prints six decimals, and five of the virial.
    files.assert_same(files.read_as(tmp_path / "train.cfg", images), images, tmp_path, digits=1e-6)


def test_motep_reads_what_the_samples_say(tmp_path):
    cfg = pytest.importorskip("motep.io.mlip.cfg")
    images = files.crystals()
    read = cfg.read_cfg(str(files.mtp(tmp_path / "train.cfg", images)), ":", species=["Cu", "Au"])
    for atoms, other in zip(images, read, strict=True):
        np.testing.assert_allclose(other.get_stress(), atoms.get_stress(), atol=1e-12)


def test_structures_of_pymatgen(tmp_path):
    adaptor = pytest.importorskip("pymatgen.io.ase").AseAtomsAdaptor
    crystals, molecules = files.crystals(), files.molecules()
    for images, convert in ((crystals, adaptor.get_structure), (molecules, adaptor.get_molecule)):
        records = files.matpes_rows(images)
        for record, atoms in zip(records, images, strict=True):
            record["structure"] = convert(atoms.copy()).as_dict()
        (tmp_path / "a.json").write_text(json.dumps(records))
        files.assert_same(keel.read(tmp_path / "a.json", keys=LabelKeys()), images, tmp_path)
