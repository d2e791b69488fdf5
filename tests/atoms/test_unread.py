"""Files that are not read are called by their name; structures that are none are refused; ASE's guesses are named."""

import gzip

import numpy as np
import pytest
from ase.build import bulk
from ase.units import Hartree

import keel
from keel.atoms.formats.unread import UNREAD
from keel.atoms.labelling.search import CP2K_ENERGY, CP2K_EXTENDED
from keel.atoms.read import iter_frames
from keel.atoms.record import LabelKeys
from keel.errors import DataError

BEGINNINGS = {
    "CP2K": " DBCSR| CPU Multiplication driver            XSMM\n CP2K| version string:        CP2K version 2023.1\n",
    "xtb": "      -----------------------------------------------------------\n"
    "     |                           x T B                           |\n",
    "ABINIT": "\n.Version 9.6.2 of ABINIT \n.(MPI version, prepared for a x86_64_linux_gnu11.2 computer) \n",
    "MOPAC": " ***********\n **                             MOPAC v22.0.6 Linux                **\n",
    "DFTB+": "|\n|  DFTB+ release 23.1\n|\n",
    "SIESTA": "Siesta Version  : 4.1.5\nArchitecture    : gfortran\n",
    "Psi4": "          Psi4: An Open-Source Ab Initio Electronic Structure Package\n",
    "ABACUS": "                         WELCOME TO ABACUS v3.5\n",
    "Q-Chem": "                  Welcome to Q-Chem\n",
    "Molpro": "                       ***  PROGRAM SYSTEM MOLPRO  ***\n",
    "log of LAMMPS": "LAMMPS (2 Aug 2023 - Update 1)\nunits metal\n",
    "YAML dump": "---\ncreator: LAMMPS\ntimestep: 0\n",
    "data file of LAMMPS": "copper\n\n2 atoms\n1 atom types\n\n0 6 xlo xhi\n0 6 ylo yhi\n0 6 zlo zhi\n\n"
    "Masses\n\n1 63.5\n\nAtoms # atomic\n\n1 1 1 1 1\n2 1 3.5 1 1\n",
}


def test_what_keel_wrote_for_other_ends_is_named(tmp_path):
    (tmp_path / "run.yaml").write_text("name: silica\n")
    with pytest.raises(DataError, match=r"run\.yaml: this is a configuration, not structures; use it with `keel run`"):
        keel.read(tmp_path / "run.yaml")
    keel.EAM.from_elements(["Mo"], cutoff=5.0).save(str(tmp_path / "eam.json"))
    with pytest.raises(DataError, match="this is a potential of keel, not structures; perhaps two arg"):
        keel.read(tmp_path / "eam.json")
    for name in ("network.safetensors", "mace.model"):
        (tmp_path / name).write_bytes(bytes(range(256)))
        with pytest.raises(DataError, match=rf"{name}: this is a potential, not structures; perhaps two arg"):
            keel.read(tmp_path / name)


@pytest.mark.parametrize("name", ["run.out", "run.log", "run.data", "run"])
@pytest.mark.parametrize("kind", BEGINNINGS)
def test_files_that_are_not_read_are_named_with_the_way_out(tmp_path, kind, name):
    (tmp_path / name).write_text(BEGINNINGS[kind])
    with pytest.raises(DataError) as error:
        keel.read(tmp_path / name)
    message = str(error.value)
    assert message.startswith(f"{tmp_path / name}: this is a") and kind in message
    assert "which keel does not read; " in message


def test_every_kind_is_tried_and_none_is_taken_for_two():
    import re

    texts = {kind: text.encode() for kind, text in BEGINNINGS.items()}
    found = {kind: [u.name for u in UNREAD if re.search(u.begins, text)] for kind, text in texts.items()}
    assert all(len(names) == 1 for names in found.values()) and len(found) == len(UNREAD)


def test_compressed_and_binary(tmp_path):
    (tmp_path / "a.out.gz").write_bytes(gzip.compress(BEGINNINGS["CP2K"].encode()))
    with pytest.raises(DataError, match="this is an output of CP2K"):
        keel.read(tmp_path / "a.out.gz")
    (tmp_path / "dump.bin").write_bytes(bytes(200))
    with pytest.raises(DataError, match="a binary dump of LAMMPS does not say which columns it has"):
        keel.read(tmp_path / "dump.bin")


def test_no_frames_says_of_which_format(tmp_path):
    path = tmp_path / "a.out"
    path.write_text("the output of a program that nobody knows\n" * 10)
    with pytest.raises(DataError, match="ASE reads it as 'Quantum espresso out file' and finds no frames"):
        keel.read(path)


CIF = """data_x
_cell_length_a 5
_cell_length_b 5
_cell_length_c 5
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'P 1'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
Na1 Na 0 0 0 {first}
{more}Cl1 Cl 0.5 0.5 0.5 1.0
"""
PARTIAL = "it has partly occupied sites, which cannot be simulated; make an ordered structure of it"


class TestPartialOccupancy:
    """A mean over structures is no structure, for commands that need no labels neither."""

    @pytest.mark.parametrize(("first", "more"), [("0.5", ""), ("0.5", "K1 K 0 0 0 0.5\n")])
    @pytest.mark.parametrize("labels", [True, False])
    def test_cif(self, tmp_path, first, more, labels):
        (tmp_path / "a.cif").write_text(CIF.format(first=first, more=more))
        with pytest.raises(DataError, match=f"frame 0: {PARTIAL}"):
            keel.read(tmp_path / "a.cif", labels=labels)

    def test_full_sites(self, tmp_path):
        (tmp_path / "a.cif").write_text(CIF.format(first="1.0", more=""))
        assert keel.read(tmp_path / "a.cif")[0].formula == "ClNa"

    def test_what_ase_made_of_a_cif(self, tmp_path):
        import ase.io

        (tmp_path / "a.cif").write_text(CIF.format(first="0.25", more=""))
        ase.io.write(tmp_path / "a.extxyz", ase.io.read(tmp_path / "a.cif"))
        ase.io.write(tmp_path / "a.traj", ase.io.read(tmp_path / "a.cif"))
        for name in ("a.extxyz", "a.traj"):
            with pytest.raises(DataError, match=PARTIAL):
                keel.read(tmp_path / name)

    @pytest.mark.parametrize(("occupancy", "refused"), [("0.50", True), ("1.00", False), ("0.00", False)])
    def test_pdb(self, tmp_path, occupancy, refused):
        atom = "ATOM  {:5d} {:<4s} MOL A   1    {:8.3f}{:8.3f}{:8.3f}  {}  0.00          {:>2s}\n"
        text = atom.format(1, "C", 0, 0, 0, "1.00", "C") + atom.format(2, "O", 1.2, 0, 0, occupancy, "O") + "END\n"
        (tmp_path / "a.pdb").write_text(text)
        if refused:
            with pytest.raises(DataError, match=PARTIAL):
                keel.read(tmp_path / "a.pdb")
        else:
            assert keel.read(tmp_path / "a.pdb")[0].formula == "CO"


class TestXsf:
    """XCrySDen's files have forces in hartree/angstrom; those for training aenet say an energy in eV, and mean eV."""

    TEXT = (
        "CRYSTAL\nPRIMVEC\n4.0 0 0\n0 4.0 0\n0 0 4.0\nPRIMCOORD\n2 1\n"
        "Na 0 0 0 0.1 -0.2 0.3\nCl 2.0 2.0 2.0 -0.1 0.2 -0.3\n"
    )

    @pytest.mark.parametrize(
        "first", ["", "# a comment\n", "# total energy = -3.5 eV\n\n", "#Total Energy = -3.5 eV\n"]
    )
    def test_units(self, first, tmp_path):
        (tmp_path / "a.xsf").write_text(first + self.TEXT)
        (frame,) = keel.read(tmp_path / "a.xsf")
        of_aenet = "3.5" in first
        assert frame.energy == (-3.5 if of_aenet else None)
        np.testing.assert_allclose(frame.forces[0], np.array([0.1, -0.2, 0.3]) * (1.0 if of_aenet else Hartree))

    def test_exponents_of_fortran_and_what_is_no_number(self, tmp_path):
        (tmp_path / "a.xsf").write_text("# total energy = -0.35D+01 eV\n" + self.TEXT)
        assert keel.read(tmp_path / "a.xsf")[0].energy == -3.5
        (tmp_path / "a.xsf").write_text("# total energy = e-e eV\n" + self.TEXT)
        with pytest.raises(DataError, match=r"a\.xsf: ASE cannot read it"):
            keel.read(tmp_path / "a.xsf")


class TestCp2kExtendedXyz:
    """Its format EXTXYZ has the energy in hartree too, and does not say so."""

    TEXT = '2\nLattice="4 0 0 0 4 0 0 0 4" Properties=species:S:1:pos:R:3{} Step=0 Time=0.0 Energy=-31.5\n{}'

    def written(self, path, columns="", values=""):
        path.write_text(self.TEXT.format(columns, f"Si 0 0 0{values}\nSi 2.3 0 0{values}\n"))
        return path

    def test_the_energy_is_taken_with_a_unit_only(self, tmp_path):
        path = self.written(tmp_path / "a-pos-1.xyz")
        (frame,) = keel.read(path)
        assert frame.energy is None and frame.remarks == (CP2K_EXTENDED,)
        for unit, factor in (("hartree", Hartree), ("eV", 1.0)):
            (frame,) = keel.read(path, keys=LabelKeys(energy="Energy", energy_unit=unit))
            assert frame.energy == pytest.approx(-31.5 * factor, rel=1e-7) and not frame.remarks

    def test_with_forces_it_is_of_another_program(self, tmp_path):
        path = self.written(tmp_path / "a.xyz", ":forces:R:3", " 0.1 0 0")
        assert keel.read(path)[0].energy == -31.5


class TestCp2kTrajectory:
    """The comment of CP2K's trajectories holds the energy in hartree."""

    TEXT = "2\n i =        0, time =        0.000, E =       -31.0531669172\nSi 0 0 0\nSi 2.3 0 0\n"

    def test_without_a_key_the_energy_is_named(self, tmp_path):
        (tmp_path / "md-pos-1.xyz").write_text(self.TEXT)
        (frame,) = keel.read(tmp_path / "md-pos-1.xyz")
        assert frame.energy is None and frame.remarks == (CP2K_ENERGY,)

    def test_with_a_key_a_unit_is_asked_for(self, tmp_path):
        path = tmp_path / "md-pos-1.xyz"
        path.write_text(self.TEXT)
        with pytest.raises(DataError, match=r"frame 0: CP2K writes this E in hartree; add .* `--energy-unit hartree`$"):
            next(iter_frames(path, keys=LabelKeys(energy="E")))
        (frame,) = iter_frames(path, keys=LabelKeys(energy="E", energy_unit="hartree"))
        assert frame.energy == pytest.approx(-31.0531669172 * 27.21138602) and not frame.remarks


@pytest.mark.parametrize(("form", "name"), [("eon", "a.con"), ("sys", "a.sys")])
def test_cells_of_periodic_codes_are_periodic(form, name, tmp_path):
    """ASE 3.29 reads them as cells of clusters."""
    crystal = bulk("Si", cubic=True)
    crystal.write(tmp_path / name, format=form)
    frame = keel.read(tmp_path / name)[0]
    np.testing.assert_allclose(frame.cell, crystal.cell.array, atol=1e-6)
    assert frame.pbc.all()


class TestPacked:
    """Archives, files that are compressed in another way or twice, and addresses."""

    @pytest.mark.parametrize("name", ["a.extxyz", "a.extxyz.zst", "a.xyz.zip", "a.tar", "a.tar.gz", "a.json"])
    @pytest.mark.parametrize(
        ("start", "kind"),
        [
            (b"\x28\xb5\x2f\xfd", "zstd"),
            (b"PK\x03\x04", "zip"),
            (b"7z\xbc\xaf\x27\x1c", "7z"),
            (b"a.extxyz".ljust(257, b"\0") + b"ustar", "tar"),
        ],
    )
    def test_archives_are_named(self, tmp_path, name, start, kind):
        content = start + bytes(range(256))
        (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
        with pytest.raises(
            DataError, match=f"{name}: this is a {kind} archive, which keel does not read; unpack it first"
        ):
            keel.read(tmp_path / name)

    def test_what_is_compressed_twice(self, tmp_path):
        (tmp_path / "a.extxyz.gz").write_bytes(gzip.compress(gzip.compress(b"1\n\nCu 0 0 0\n")))
        with pytest.raises(DataError, match="it is compressed twice; unpack it first"):
            keel.read(tmp_path / "a.extxyz.gz")

    @pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
    @pytest.mark.parametrize("name", ["a.extxyz", "a.cfg", "OUTCAR"])
    def test_text_in_utf_16(self, tmp_path, name, encoding):
        (tmp_path / name).write_text("\ufeff1\n\nCu 0 0 0\n", encoding=encoding)
        with pytest.raises(DataError, match=f"{name}: this is UTF-16 text, .*; convert it to UTF-8 first"):
            keel.read(tmp_path / name)

    @pytest.mark.parametrize("suffix", [".db", ".npz", ".h5"])
    def test_files_that_are_read_in_place_are_not_read_compressed(self, tmp_path, suffix):
        path = tmp_path / f"a{suffix}.gz"
        path.write_bytes(gzip.compress(b"whatever"))
        with pytest.raises(DataError, match="such files are not read compressed; unpack it first"):
            keel.read(path)

    def test_an_archive_of_sgdml_is_named_with_its_units(self, tmp_path):
        # The keys are those of sgdml.org's files (sgdml/utils/io.py).
        arrays = {"R": np.zeros((2, 3, 3)), "z": np.ones(3, dtype=int), "E": np.zeros(2), "F": np.zeros((2, 3, 3))}
        np.savez(tmp_path / "a.npz", **arrays, e_unit="kcal/mol", r_unit="Ang")
        with pytest.raises(DataError, match=r"archive of sGDML .MD17., with e_unit=kcal/mol, r_unit=Ang"):
            keel.read(tmp_path / "a.npz")

    @pytest.mark.parametrize("address", ["https://x.org/a.xyz", "s3://bucket/a.extxyz", "HTTP://x.org/a"])
    def test_addresses(self, address):
        with pytest.raises(DataError, match="files are not fetched from the internet; download it first"):
            keel.read(address)

    def test_a_text_is_not_called_an_output_because_of_its_name(self, tmp_path):
        (tmp_path / "README.md").write_text("# Copper\n\nHow the data were made.\n")
        with pytest.raises(DataError, match="it contains no structures; only by its name ASE would take it for"):
            keel.read(tmp_path / "README.md")
