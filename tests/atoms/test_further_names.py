"""Labels under further names: taken where they can only be that, else named with the options that read them."""

import numpy as np
import pytest

import keel

COMMENTS = (
    " energy: -5.070544440612 gnorm: 0.000075 xtb: 6.5.1 (579679a)",
    "Coordinates from ORCA-job mol E -5.070544440612",
)


pytestmark = pytest.mark.usefixtures("each_xyz_reader")


def read(tmp_path, comment, columns="", rows=("", ""), **options):
    path = tmp_path / "a.xyz"
    first = f"Properties=species:S:1:pos:R:3{columns} " if "=" in comment else ""
    path.write_text("\n".join(["2", first + comment, f"Si 0 0 0 {rows[0]}", f"O 1.6 0 0 {rows[1]}", ""]))
    return keel.read(path, **options)[0]


@pytest.mark.parametrize("columns", [":fx:R:1:fy:R:1:fz:R:1", ":FX:R:1:FY:R:1:FZ:R:1"])
def test_components_in_columns_of_their_own_are_forces(columns, tmp_path):
    frame = read(tmp_path, "energy=-1", columns, ("0.1 0.2 0.3", "-0.1 -0.2 -0.3"))
    np.testing.assert_array_equal(frame.forces, [[0.1, 0.2, 0.3], [-0.1, -0.2, -0.3]])
    assert (frame.unused, frame.remarks) == ((), ())


def test_two_components_or_forces_beside_them_are_left(tmp_path):
    frame = read(tmp_path, "energy=-1", ":fx:R:1:fy:R:1", ("0.1 0.2", "-0.1 -0.2"))
    assert (frame.forces, frame.unused) == (None, ("fx", "fy"))
    both = read(tmp_path, "energy=-1", ":forces:R:3:fx:R:1:fy:R:1:fz:R:1", ("0.1 0 0 9 8 7", "-0.1 0 0 6 5 4"))
    np.testing.assert_array_equal(both.forces, [[0.1, 0, 0], [-0.1, 0, 0]])
    assert both.unused == ("fx", "fy", "fz")


@pytest.mark.parametrize("key", ["E_dft", "E_REF", "dft_E", "energies", "E_pot", "dft_energies"])
def test_energies_are_named(key, tmp_path):
    frame = read(tmp_path, f"{key}=-1.5")
    assert frame.energy is None
    assert frame.remarks == (f"no energy under a usual name, but {key} (`--energy-key {key}`)",)
    assert read(tmp_path, f"{key}=-1.5", keys={"energy": key}).energy == -1.5


def test_forces_are_named(tmp_path):
    frame = read(tmp_path, "energy=-1", ":F_dft:R:3", ("0.1 0 0", "-0.1 0 0"))
    assert frame.remarks == ("no forces under a usual name, but F_dft (`--forces-key F_dft`)",)


@pytest.mark.parametrize("key", ["ecut", "edge", "kinetic_energies", "formation_energy"])
def test_others_are_not(key, tmp_path):
    assert read(tmp_path, f"{key}=-1.5").remarks == ()


@pytest.mark.parametrize("comment", COMMENTS)
def test_an_energy_in_the_text_of_a_comment(comment, tmp_path):
    frame = read(tmp_path, comment)
    assert frame.energy is None
    assert frame.remarks == (
        "no energy under a usual name, but energy_hartree (`--energy-key energy_hartree --energy-unit hartree`)",
    )
    assert frame.info["comment"] == comment.strip()
    used = read(tmp_path, comment, keys={"energy": "energy_hartree", "energy_unit": "hartree"})
    assert used.energy == pytest.approx(-5.070544440612 * 27.211386246)


@pytest.mark.parametrize(
    ("comment", "key", "unit"),
    [
        ("the energy: -5.07 gnorm: 1", "comment_energy", ""),
        ("frame 3 total energy (Ha): -0.507E1", "comment_energy_Ha", " --energy-unit hartree"),
        ("Energy -5.07D0 kcal/mol", "comment_energy_kcal/mol", " --energy-unit kcal/mol"),
        ("-5.07", "comment_energy", ""),
        ("energy: -5.07 eV name=a", "comment_energy_eV", ""),
    ],
)
def test_an_energy_in_any_text_is_named(comment, key, unit, tmp_path):
    frame = read(tmp_path, comment)
    assert (frame.energy, frame.info[key]) == (None, -5.07)
    assert frame.remarks == (f"no energy under a usual name, but {key} (`--energy-key {key}{unit}`)",)


@pytest.mark.parametrize("comment", ["energy", "the energy of a", "energy levels 3", "5.07", "water 1.5"])
def test_another_text_is_a_text(comment, tmp_path):
    frame = read(tmp_path, comment)
    assert frame.info == {"comment": comment} and frame.remarks == ()


@pytest.mark.parametrize("key", ["energy_corrected", "energy_sigma0", "energy_pbe", "dft_energy_total"])
def test_energies_with_words_behind(key, tmp_path):
    assert read(tmp_path, f"{key}=-1.5").remarks == (f"no energy under a usual name, but {key} (`--energy-key {key}`)",)


@pytest.mark.parametrize("key", ["energy_std", "energy_cutoff", "energy_above_hull", "energy_change", "energy_key"])
def test_words_that_make_something_else_of_it(key, tmp_path):
    assert read(tmp_path, f"{key}=-1.5").remarks == ()


def test_forces_and_stress_with_words_behind(tmp_path):
    comment = 'energy=-1 pbc="T T T" Lattice="5 0 0 0 5 0 0 0 5" stress_voigt="0.1 0.2 0.3 0 0 0"'
    frame = read(tmp_path, comment, ":forces_pbe:R:3", ("0.1 0 0", "-0.1 0 0"))
    assert frame.remarks == (
        "no forces under a usual name, but forces_pbe (`--forces-key forces_pbe`)",
        "no stress under a usual name, but stress_voigt (`--stress-key stress_voigt`)",
    )
