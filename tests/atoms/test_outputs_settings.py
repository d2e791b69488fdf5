"""What VASP and pw.x state of their own calculation: surfaces of potential energy are not mixed without a word."""

import re
import warnings

import pytest

import keel
import outputs
from keel.atoms.formats.espresso_settings import of_head
from keel.atoms.formats.vasp_settings import stated
from keel.atoms.soundness.states import findings
from keel.errors import KeelWarning

(TRUE,) = outputs.frames(1)
XML = outputs.vasprun([outputs.ionic_step(TRUE, (5.0, 0.3, 5e-5))], TRUE)
OUTCAR = outputs.outcar([outputs.outcar_step(TRUE, 1)], TRUE)

SETTINGS = {
    "GGA": "--",
    "ENMAX": "400.0",
    "ISPIN": "1",
    "NELECT": "44.0",
    "LDAU": " F  ",
    "NELM": "60",
    "NPAR": "4",
    "NUPDOWN": "-1.00000000",
    "LSORBIT": " F  ",
}


def stating(potential="PAW_PBE Cu 22Jun2005", valence="11.0", **settings):
    """Return a vasprun.xml that states its settings as VASP 6.3.2 does (tests/files/vasprun.xml.md of pymatgen)."""
    told = "".join(f'<i name="{name}">{value}</i>' for name, value in (SETTINGS | settings).items())
    types = f"<rc><c>   4</c><c>Cu</c><c>     63.546</c><c> {valence}</c><c>  {potential}   </c></rc>"
    text = XML.replace('<separator name="electronic">', f'{told}<separator name="electronic">')
    return text.replace("</atominfo>", f'<array name="atomtypes"><set>{types}</set></array></atominfo>')


class TestVasp:
    """vasprun.xml and OUTCAR."""

    def read(self, tmp_path, *texts):
        for k, text in enumerate(texts):
            (tmp_path / f"{k}.vasprun.xml").write_text(text)
        return keel.read([tmp_path / f"{k}.vasprun.xml" for k in range(len(texts))])

    @pytest.mark.parametrize(
        ("settings", "words"),
        [
            ({"GGA": "PS"}, "calc_functional varies: 1 frame with PBE, 1 frame with PBEsol"),
            ({"METAGGA": "R2SCAN"}, "1 frame with PBE, 1 frame with R2SCAN"),
            ({"LDAU": " T  "}, "1 frame with PBE, 1 frame with PBE .U"),
            ({"IVDW": "12"}, "1 frame with PBE, 1 frame with PBE IVDW=12"),
            ({"LHFCALC": " T  ", "AEXX": "0.25", "HFSCREEN": "0.2"}, "1 frame with PBE AEXX=0.25 HFSCREEN=0.2"),
            ({"potential": "PAW Cu"}, "1 frame with PBE, 1 frame with LDA"),
            ({"ENMAX": "300.0"}, "calc_encut varies: 1 frame with 400, 1 frame with 300"),
            ({"NELECT": "43.0"}, "calc_charge varies: 1 frame with 0, 1 frame with 1"),
            ({"ISPIN": "2"}, "calc_ispin varies"),
            ({"LSORBIT": " T  "}, "calc_lsorbit varies: 1 frame with False, 1 frame with True"),
            ({"potential": "PAW_PBE Cu_pv 06Sep2000"}, "calc_pseudopotentials of Cu varies: .* Cu_pv 06Sep2000"),
        ],
    )
    def test_what_decides_the_energy_is_compared(self, tmp_path, settings, words):
        with pytest.warns(KeelWarning, match=words):
            self.read(tmp_path, stating(), stating(**settings))

    @pytest.mark.parametrize(
        "settings",
        [{"NELM": "200"}, {"NPAR": "1"}, {"GGA": "PE"}, {"NELECT": "44.00000001"}, {"ENMAX": "400"}, {"NSW": "5"}],
    )
    def test_what_does_not_raises_no_alarm(self, tmp_path, settings):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            self.read(tmp_path, stating(), stating(**settings), XML)

    def test_a_hubbard_u_is_compared_for_each_element(self, tmp_path):
        # As VASP 5.4.4 writes them: vectors among the settings.
        def plus_u(u, j="0.0", potential="PAW_PBE Cu 22Jun2005"):
            told = f'<v name="LDAUU"> {u}</v><v name="LDAUJ"> {j}</v><separator name="electronic">'
            return stating(LDAU=" T  ", potential=potential).replace('<separator name="electronic">', told)

        with pytest.warns(KeelWarning, match="calc_hubbard_u of Cu varies: 1 frame with 3, 1 frame with 5"):
            self.read(tmp_path, plus_u("3.0"), plus_u("5.0"))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            first, second = self.read(tmp_path, plus_u("3.0"), plus_u("4.0", "1.0"))
            self.read(tmp_path, plus_u("3.0"), plus_u("5.0", potential="PAW_PBE O 08Apr2002"))
        assert first.info["calc_hubbard_u"] == second.info["calc_hubbard_u"] == {"Cu": 3.0}

    def test_a_fixed_number_of_unpaired_electrons_is_a_moment(self, tmp_path):
        frames = self.read(tmp_path, stating(), stating(NUPDOWN="0.00000000"), stating(NUPDOWN="4.00000000"))
        assert [f.info.get("calc_nupdown") for f in frames] == [None, 0.0, 4.0]
        (note,) = [f.message for f in findings(frames) if "nupdown" in f.message]
        assert note.startswith("calc_nupdown is from 0 to 4 in 2 frames of Cu4")

    def test_two_species_of_an_element_and_stars(self):
        potentials = ["PAW_PBE Fe 06Sep2000", "PAW_PBE Fe_pv 02Aug2007", "PAW_PBE O 08Apr2002"]
        told = stated({"LDAU": "T", "LDAUU": "5.3 4 0"}, potentials)
        assert told["calc_hubbard_u"] == {"Fe": "5.3, 4.0", "O": 0.0}
        assert told["calc_pseudopotentials"] == {"Fe": ", ".join(potentials[:2]), "O": potentials[2]}
        for damaged in ("5.3 4 **", "5.3"):
            assert "calc_hubbard_u" not in stated({"LDAU": "T", "LDAUU": damaged}, potentials)
        assert "calc_hubbard_u" not in stated({"LDAU": "F", "LDAUU": "5.3 4 0"}, potentials)

    def test_stars_in_place_of_a_number_are_not_stated(self, tmp_path):
        (frame,) = self.read(tmp_path, stating(NELECT="*****", ENMAX="*****"))
        assert "calc_charge" not in frame.info and "calc_encut" not in frame.info

    def test_an_outcar_states_the_same(self, tmp_path):
        # As VASP 5.3.3 prints it (ase/test/testdata/vasp/OUTCAR_example_1).
        head = (
            "   ISPIN  =      1    spin polarized calculation?\n"
            "   METAGGA=      F    non-selfconsistent MetaGGA calc.\n"
            "   ENCUT  =  400.0 eV  29.40 Ry    5.42 a.u.\n"
            "   GGA_COMPAT  = T    GGA compatible to vasp.4.4-vasp.4.6\n"
            "   ZVAL   =  11.00\n   NELECT =      44.0000    total number of electrons\n"
            "   ISMEAR =     1;   SIGMA  =   0.10  broadening in eV -4-tet -1-fermi 0-gaus\n"
            "   GGA     =    --    GGA type\n   LHFCALC =     F    Hartree Fock is set to\n"
            "   NUPDOWN=      -1.0000000 fix difference up-down\n   LSORBIT =      F    spin-orbit coupling\n"
            " LDA+U is selected, type is set to LDAUTYPE =  2\n"
            "   angular momentum for each species LDAUL =     2\n"
            "   U (eV)           for each species LDAUU =   3.0\n"
            "   J (eV)           for each species LDAUJ =   0.0\n"
        )
        (tmp_path / "OUTCAR").write_text(re.sub("(ions per type.*\n)", rf"\1{head}", OUTCAR))
        (frame,) = keel.read(tmp_path / "OUTCAR")
        plus_u = '<v name="LDAUU"> 3.00000000</v><v name="LDAUJ"> 0.00000000</v><separator name="electronic">'
        xml_of_it = stating(ISMEAR="1", SIGMA="0.10000000", LDAU=" T  ")
        (other,) = self.read(tmp_path, xml_of_it.replace('<separator name="electronic">', plus_u))
        assert {k: v for k, v in frame.info.items() if k.startswith("calc_")} == {
            k: v for k, v in other.info.items() if k.startswith("calc_")
        }
        assert frame.info["calc_charge"] == 0.0 and frame.info["calc_hubbard_u"] == {"Cu": 3.0}


HEAD = """     Program PWSCF v.6.5 starts on  1Jan2020 at  1: 2: 3
     bravais-lattice index     =            0
     number of atoms/cell      =            3
     number of atomic types    =            3
     number of electrons       =        38.00
     number of Kohn-Sham states=           23
     kinetic-energy cutoff     =      50.0000  Ry
     Exchange-correlation      = PBE ( 1  4  3  4 0 0)

     PseudoPot. # 1 for Fe read from file:
     ./pseudo/Fe.pbe-nd-rrkjus.UPF

     atomic species   valence    mass     pseudopotential
        Fe1           16.00    55.84500     Fe( 1.00)
        Fe2           16.00    55.84500     Fe( 1.00)
        O              6.00    16.00000     O ( 1.00)

     Starting magnetic structure
     atomic species   magnetization
        Fe1          0.500

     Simplified LDA+U calculation (l_max = 2) with parameters (eV):
     atomic species    L          U    alpha       J0     beta
        Fe1            2     5.2000   0.0000   0.0000   0.0000
        Fe2            2     5.2000   0.0000   0.0000   0.0000

     site n.     atom                  positions (alat units)
         1           Fe1 tau(   1) = (   0.0000000   0.0000000   0.0000000  )
         2           Fe2 tau(   2) = (   0.5000000   0.0000000   0.0000000  )
         3           O   tau(   3) = (   0.2500000   0.2500000   0.2500000  )

     number of k points=    14  gaussian smearing, width (Ry)=  0.0200
"""
"""In the form of pw.x 6.5 (PW/src/summary.f90)."""
NEW_U = """     Hubbard projectors: ortho-atomic
     Hubbard parameters of DFT+U (Dudarev formulation) in eV:
     U(Fe1-3d) =  5.2000
     U(Fe2-3d) =  4.0000

"""
"""Of pw.x 7.1 and later."""


class TestPw:
    """pw.x of Quantum ESPRESSO."""

    def test_what_is_stated(self):
        assert of_head(HEAD) == {
            "calc_functional": "PBE +U",
            "calc_ecutwfc": "50.0000 Ry",
            "calc_spin": "polarised",
            "calc_smearing": "gaussian smearing, width (Ry)= 0.0200",
            "calc_pseudopotentials": {"Fe": "Fe.pbe-nd-rrkjus.UPF"},
            "calc_hubbard_u": {"Fe": "5.2"},
            "calc_charge": 0.0,
        }

    @pytest.mark.parametrize(
        ("old", "new", "key", "value"),
        [
            ("38.00", "37.00", "charge", 1.0),
            ("38.00", "38.00 (up:  21.00, down:  17.00)", "nupdown", 4.0),
            ("     Starting magnetic.*\n.*\n.*\n", "", "spin", "not polarised"),
            (
                "     Starting mag.*",
                "     Noncollinear calculation with spin-orbit",
                "spin",
                "with spin-orbit coupling",
            ),
            ("     Starting mag.*", "     Noncollinear calculation without spin-orbit", "spin", "not collinear"),
            ("  gaussian smearing.*", "", "smearing", "none"),
            ("     Simplified LDA(.*\n){5}", NEW_U, "hubbard_u", {"Fe": "4, 5.2"}),
            ("     Simplified LDA(.*\n){5}", "", "functional", "PBE"),
            ("Fe.pbe-nd-rrkjus", "Fe.pbe-spn-kjpaw", "pseudopotentials", {"Fe": "Fe.pbe-spn-kjpaw.UPF"}),
        ],
    )
    def test_what_is_stated_otherwise(self, old, new, key, value):
        assert of_head(HEAD).get(f"calc_{key}") != value
        assert of_head(re.sub(old, new, HEAD))[f"calc_{key}"] == value

    def test_only_what_is_known_is_stated(self):
        assert of_head("") == {}
        told = of_head(HEAD.replace("        O              6.00", "        X              6.00"))
        assert "calc_charge" not in told and told["calc_nelect"] == 38.0

    @pytest.mark.parametrize(
        ("electrons", "words"),
        [
            ("43.00", "calc_nelect varies: 1 frame with 44, 1 frame with 43"),
            (
                "44.00\n     Starting magnetic structure",
                "calc_spin varies: 1 frame with not polarised, 1 frame with pola",
            ),
        ],
    )
    def test_outputs_are_compared(self, tmp_path, electrons, words):
        for k, said in enumerate(("44.00", electrons)):
            head = outputs.pw_head(TRUE) + f"     number of electrons       =        {said}\n"
            (tmp_path / f"{k}.pwo").write_text(head + outputs.pw_results(TRUE))
        with pytest.warns(KeelWarning, match=words):
            keel.read([tmp_path / "0.pwo", tmp_path / "1.pwo"])
