"""Units that a file states are used or refused until they are named; so are those in names that are nearly usual."""

import json
import re

import numpy as np
import pytest
from ase import Atoms
from typer.testing import CliRunner

import keel
from keel.atoms import pack, units
from keel.atoms.labelling.labelled import frame_from_ase
from keel.atoms.labelling.search import WEIGHTED, WEIGHTLESS
from keel.atoms.record import LabelKeys
from keel.cli import app
from keel.errors import ConfigError, DataError

FORCES = np.array([[0.1, 0.2, 0.3], [-0.1, -0.2, -0.3]])
STRESS = '"0.01 0.001 0 0.001 0.02 0 0 0 0.03"'


pytestmark = pytest.mark.usefixtures("each_xyz_reader")


def written(path, comment, forces="forces"):
    rows = [f"{element} {f[0]} {f[1]} {f[2]}" for element, f in zip(("Si 0 0 0", "O 1.6 0 0"), FORCES, strict=True)]
    lattice = 'Lattice="5 0 0 0 5 0 0 0 5"'
    path.write_text("\n".join(["2", f"{lattice} Properties=species:S:1:pos:R:3:{forces}:R:3 {comment}", *rows, ""]))
    return path


def row(path, **said):
    """Write a structure as an object of JSON."""
    structure = {"positions": [[0, 0, 0], [1.6, 0, 0]], "numbers": [14, 8], "forces": FORCES.tolist()}
    path.write_text(json.dumps([{**structure, **said}]))
    return path


def advised(error):
    """Return the keys that a message advises."""
    return eval(re.search(r"LabelKeys\(.*?\)", str(error))[0], {"LabelKeys": LabelKeys})


def only_advised(path):
    """Return the keys that reading a file advises."""
    with pytest.raises(DataError, match=r"frame 0: it says .*; name the units of the file: .* `keel census") as caught:
        keel.read(path)
    return advised(caught.value)


class TestStated:
    @pytest.mark.parametrize(
        ("said", "keys"),
        [
            ("energy_unit=hartree", {"energy_unit": "hartree"}),
            ("energy_unit=eV/atom", {"energy_unit": "eV/atom"}),
            ("Energy_Units=meV", {"energy_unit": "meV"}),
            ("unit_energy=Hartree", {"energy_unit": "hartree"}),
            ("REF_energy_unit=Ry", {"energy_unit": "rydberg"}),
            ("forces_unit=Ha/bohr", {"forces_unit": "hartree/bohr"}),
            ('forces_unit="kcal mol^-1 Å^-1"', {"forces_unit": "kcal/mol/angstrom"}),
            ("length_unit=bohr", {"length_unit": "bohr"}),
            ("unit_style=real", {"energy_unit": "kcal/mol", "forces_unit": "kcal/mol/angstrom"}),
            ("units=real", {"energy_unit": "kcal/mol", "forces_unit": "kcal/mol/angstrom"}),
            (
                "energy_unit=hartree forces_unit=hartree/bohr",
                {"energy_unit": "hartree", "forces_unit": "hartree/bohr"},
            ),
            (
                'units="hartree, bohr"',
                {"energy_unit": "hartree", "forces_unit": "hartree/bohr", "length_unit": "bohr"},
            ),
            (
                "units=atomic",
                {"energy_unit": "hartree", "forces_unit": "hartree/bohr", "length_unit": "bohr"},
            ),
            (f"stress={STRESS} stress_unit=GPa", {"stress_convention": "gpa"}),
            (f'stress={STRESS} units="eV, eV/A, kbar"', {"stress_convention": "kbar"}),
            (f"virial={STRESS} virial_unit=kcal/mol", {"stress_convention": "virial kcal/mol"}),
        ],
    )
    def test_what_is_stated_is_refused_until_it_is_named(self, said, keys, tmp_path):
        path = written(tmp_path / "a.extxyz", f"energy=-3.5 {said}")
        assert only_advised(path) == LabelKeys(**keys)
        (frame,) = keel.read(path, keys=keys)
        silent = re.sub(r'(?i)\w*unit\w*=("[^"]*"|\S+)', "", said)
        plain = keel.read(written(tmp_path / "b.extxyz", f"energy=-3.5 {silent}"), keys=keys)[0]
        assert frame.energy == plain.energy and np.array_equal(frame.forces, plain.forces)
        # What the file said is not true of the frame, which is in keel's units.
        keel.write(tmp_path / "c.extxyz", [frame])
        assert keel.read(tmp_path / "c.extxyz")[0].energy == pytest.approx(frame.energy)

    @pytest.mark.parametrize(
        ("said", "option"), [("energy_unit=arbitrary", "energy_unit"), ("energy_unit=27.2", "energy_unit")]
    )
    def test_what_is_not_understood_is_refused_too(self, said, option, tmp_path):
        path = written(tmp_path / "a.extxyz", f"energy=-3.5 {said}")
        with pytest.raises(DataError, match=r"frame 0: it says .*energy_unit='UNIT'"):
            keel.read(path)
        assert keel.read(path, keys={option: "eV"})[0].energy == -3.5

    def test_one_name_does_not_answer_for_another(self, tmp_path):
        path = written(tmp_path / "a.extxyz", "energy=-3.5 energy_unit=hartree forces_unit=hartree/bohr")
        with pytest.raises(DataError, match="it says energy_unit=hartree; name"):
            keel.read(path, keys=LabelKeys(forces_unit="hartree/bohr"))
        with pytest.raises(DataError, match="it says forces_unit=hartree/bohr; name"):
            keel.read(path, keys=LabelKeys(energy_unit="eV"))

    @pytest.mark.parametrize(
        "said",
        [
            *("energy_unit=eV", "units=metal", 'units="eV, Angstrom"', "n_units=8", "unit=8", "units=", "unit=monomer"),
            *("energy_unit=eV forces_unit=eV/A stress_unit=eV/A^3", 'forces_unit="eV Å^-1"', "stress_unit=GPa"),
            *("forces_units=ev/ang length_unit=Angstrom", 'units="eV, eV/Ang, eV/Ang^3, fs"', "unit_cell=bcc"),
        ],
    )
    def test_the_usual_ones_may_be_stated(self, said, tmp_path):
        (frame,) = keel.read(written(tmp_path / "a.extxyz", f"energy=-3.5 {said}"))
        assert frame.energy == -3.5 and np.array_equal(frame.forces, FORCES)

    def test_dictionaries(self, tmp_path):
        path = row(tmp_path / "a.json", energy=-3.5, units={"energy": "meV", "forces": "eV/A", "dipole": "D"})
        assert only_advised(path) == LabelKeys(energy_unit="meV")
        assert keel.read(path, keys={"energy_unit": "meV"})[0].energy == pytest.approx(-3.5e-3)
        usual = row(tmp_path / "b.json", energy=-3.5, property_units={"energy": "eV", "forces": "eV/Angstrom"})
        assert keel.read(usual)[0].energy == -3.5

    def test_structures_alone_have_lengths_only(self, tmp_path):
        path = written(tmp_path / "a.extxyz", "energy=-3.5 energy_unit=hartree")
        assert "energy_unit" not in keel.read(path, labels=False)[0].info
        path = written(tmp_path / "b.extxyz", "energy=-3.5 units=atomic")
        with pytest.raises(DataError, match=r"LabelKeys\(length_unit='bohr'\)"):
            keel.read(path, labels=False)

    def test_a_virial_is_in_the_unit_of_the_energy(self, tmp_path):
        virial = 'virial="1 0 0 0 2 0 0 0 3"'
        path = written(tmp_path / "a.extxyz", f"energy=-3.5 {virial} energy_unit=hartree virial_unit=hartree")
        plain, atomic = (
            keel.read(path, keys=LabelKeys(energy_unit=unit, stress_convention=virial))[0]
            for unit, virial in (("eV", "virial"), ("hartree", None))
        )
        np.testing.assert_allclose(atomic.stress, 27.211386 * plain.stress, rtol=1e-6)
        stated = keel.read(path, keys=LabelKeys(energy_unit="hartree", stress_convention="virial"))[0]
        np.testing.assert_allclose(stated.stress, plain.stress)

    def test_a_store_has_its_units(self, tmp_path):
        pack([written(tmp_path / "a.extxyz", "energy=-3.5")], tmp_path / "a.keel")
        with pytest.raises(ConfigError, match=r"a\.keel: a store has labels under keel's own names"):
            keel.read(tmp_path / "a.keel", keys=LabelKeys(energy_unit="hartree"))
        done = CliRunner().invoke(app, ["census", str(tmp_path / "a.keel"), "--energy-unit", "hartree"])
        assert isinstance(done.exception, ConfigError)
        assert keel.read(tmp_path / "a.keel", keys=LabelKeys())[0].energy == -3.5


class TestNearlyNames:
    @pytest.mark.parametrize(
        ("key", "unit"),
        [
            *((key, "") for key in ("E", "TotEnergy", "etot", "mace_energy", "energy_eV")),
            *((key, "eV/atom") for key in ("energy_per_atom", "EnergyPerAtom", "energy_eV_per_atom")),
            *((key, "hartree") for key in ("energy_hartree", "E_Ha")),
            *(("energy_kcal_mol", "kcal/mol"), ("energy_meV", "meV")),
        ],
    )
    def test_energies(self, key, unit, tmp_path):
        path = written(tmp_path / "a.extxyz", f"{key}=-3.5")
        (frame,) = keel.read(path)
        assert frame.energy is None
        advice = f"--energy-key {key}" + (f" --energy-unit {unit}" if unit else "")
        assert frame.remarks == (f"no energy under a usual name, but {key} (`{advice}`)",)
        keys = LabelKeys(energy=key, energy_unit=unit or None)
        factor = units.energy_factor(unit or "eV") * (2 if unit == "eV/atom" else 1)
        assert keel.read(path, keys=keys)[0].energy == pytest.approx(-3.5 * factor)
        if unit:
            with pytest.raises(DataError, match=f"it says {unit} in the name {key}; name the units"):
                keel.read(path, keys=LabelKeys(energy=key))
            assert keel.read(path, keys=LabelKeys(energy=key, energy_unit="eV"))[0].energy == -3.5

    @pytest.mark.parametrize(
        ("column", "unit"),
        [
            *((name, "") for name in ("F", "frc", "mace_forces", "forces_eV_A")),
            *((name, "-eV/angstrom") for name in ("gradient", "grad", "energy_gradients")),
            *(("forces_Ha_bohr", "hartree/bohr"), ("gradient_hartree_bohr", "-hartree/bohr")),
        ],
    )
    def test_forces(self, column, unit, tmp_path):
        path = written(tmp_path / "a.extxyz", "energy=-3.5", forces=column)
        (frame,) = keel.read(path)
        assert frame.forces is None
        option = f" --forces-unit{'=' if unit[:1] == '-' else ' '}{unit}" if unit else ""
        assert frame.remarks == (f"no forces under a usual name, but {column} (`--forces-key {column}{option}`)",)
        (frame,) = keel.read(path, keys=LabelKeys(forces=column, forces_unit=unit or None))
        np.testing.assert_allclose(frame.forces, FORCES * units.force_factor(unit or "eV/angstrom"))
        if unit:
            with pytest.raises(DataError, match=f"it says {unit} in the name {column}; name the units"):
                keel.read(path, keys=LabelKeys(forces=column))

    @pytest.mark.parametrize(
        ("key", "convention"),
        [
            ("stress_GPa", "gpa"),
            ("stress_kbar", "kbar"),
            ("sigma", ""),
            ("pressure_tensor", "-ase"),
            ("virial_Ha", "virial hartree"),
        ],
    )
    def test_stresses(self, key, convention, tmp_path):
        path = written(tmp_path / "a.extxyz", f"energy=-3.5 {key}={STRESS}")
        (frame,) = keel.read(path)
        assert frame.stress is None
        (remark,) = frame.remarks
        assert remark.startswith(f"no stress under a usual name, but {key} (`--stress-key {key}")
        assert convention in remark
        assert keel.read(path, keys=LabelKeys(stress=key, stress_convention=convention or None))[0].stress is not None

    @pytest.mark.parametrize(
        "comment", ["E=-1", "kinetic_energy=0.2", "step=3", "pressure=4.5", "other_stress=3", "F=2"]
    )
    def test_others_are_not(self, comment, tmp_path):
        assert not keel.read(written(tmp_path / "a.extxyz", f"energy=-3.5 {comment}"))[0].remarks

    def test_of_molecules_no_stress_is_looked_for(self):
        atoms = Atoms("SiO", [[0, 0, 0], [1.6, 0, 0]], info={"energy": -3.5, "stress_GPa": np.eye(3)})
        atoms.set_array("forces", FORCES)
        assert not frame_from_ase(atoms).remarks


class TestWeights:
    """MACE's training files mark what they do not know by a weight of zero."""

    @pytest.mark.parametrize(
        ("weight", "lost"),
        [
            ("config_energy_weight", ["energy"]),
            ("config_forces_weight", ["forces"]),
            ("config_stress_weight", ["stress"]),
            ("config_weight", ["energy", "forces", "stress"]),
            ("config_virials_weight", []),
        ],
    )
    def test_of_zero_it_is_no_label(self, weight, lost, tmp_path):
        (frame,) = keel.read(written(tmp_path / "a.extxyz", f"energy=-3.5 stress={STRESS} {weight}=0.0"))
        for label in ("energy", "forces", "stress"):
            assert (getattr(frame, label) is None) == (label in lost)
        assert frame.remarks == tuple(WEIGHTLESS.format(label, weight) for label in lost)

    def test_of_any_kind_of_number(self):
        for zero in (0, 0.0, np.int64(0), np.float32(0)):
            atoms = Atoms("SiO", [[0, 0, 0], [1.6, 0, 0]], info={"energy": -3.5, "config_energy_weight": zero})
            assert frame_from_ase(atoms).energy is None

    def test_of_a_virial(self, tmp_path):
        said = f"energy=-3.5 virials={STRESS} config_virials_weight=0.0"
        assert keel.read(written(tmp_path / "a.extxyz", said))[0].stress is None

    @pytest.mark.parametrize(("weight", "said"), [("1.0", False), ("1", False), ("2.5", True)])
    def test_others_are_not_used(self, weight, said, tmp_path):
        (frame,) = keel.read(written(tmp_path / "a.extxyz", f"energy=-3.5 config_weight={weight}"))
        assert frame.energy == -3.5
        assert frame.remarks == ((WEIGHTED.format("config_weight"),) if said else ())


def test_keys_may_be_a_dictionary(tmp_path):
    path = written(tmp_path / "a.extxyz", "E_dft=-3.5")
    atoms = Atoms("SiO", [[0, 0, 0], [1.6, 0, 0]], info={"E_dft": -3.5})
    assert keel.read(path, keys={"energy": "E_dft"})[0].energy == -3.5
    assert pack([path], tmp_path / "a.keel", keys={"energy": "E_dft"})[0].energy == -3.5
    assert frame_from_ase(atoms, keys={"energy": "E_dft"}).energy == -3.5
    for wrong, said in ({"enrgy": "E"}, "keys has 'enrgy', which is none of energy, "), ("E", "keys='E' is neither"):
        with pytest.raises(ConfigError, match=said):
            keel.read(path, keys=wrong)
