"""Extended XYZ as other programs and people write it: units behind numbers, cells in parts, symbols in any case."""

import numpy as np
import pytest

import keel
from keel.errors import DataError

pytestmark = pytest.mark.usefixtures("each_xyz_reader")

CELL = 'Lattice="5 0 0 0 5 0 0 0 5"'
COLUMNS = "species:S:1:pos:R:3:forces:R:3"


def read(tmp_path, comment, rows=("Si 0 0 0 0.1 0.2 0.3", "O 1.6 0 0 -0.1 -0.2 -0.3"), columns=COLUMNS, **options):
    path = tmp_path / "a.extxyz"
    path.write_text("\n".join([str(len(rows)), f"Properties={columns} {comment}", *rows, ""]))
    return keel.read(path, **options)[0]


class TestUnitsBehindNumbers:
    @pytest.mark.parametrize(
        ("unit", "option"),
        [
            ("(Hartree)", "--energy-unit hartree"),
            ("Ha", "--energy-unit hartree"),
            ("Ry", "--energy-unit rydberg"),
            ("kcal/mol", "--energy-unit kcal/mol"),
            ("eV/atom", "--energy-unit eV/atom"),
        ],
    )
    def test_another_than_ours_is_refused_until_it_is_named(self, unit, option, tmp_path):
        with pytest.raises(DataError, match="frame 0: it says ") as error:
            read(tmp_path, f"energy=-1.5 {unit}")
        assert f"it says {unit}; name the units" in str(error.value) and option in str(error.value)
        named = read(tmp_path, f"energy=-1.5 {unit}", keys={"energy_unit": option.split()[1]})
        assert named.energy is not None and unit not in named.info

    @pytest.mark.parametrize("unit", ["GPa", "kbar"])
    def test_of_a_stress(self, unit, tmp_path):
        comment = f'{CELL} energy=-1.5 stress="0.1 0 0 0 0.2 0 0 0 0.3" {unit}'
        with pytest.raises(DataError, match=f"it says {unit}; name the units of the file: .*stress-convention"):
            read(tmp_path, comment)

    @pytest.mark.parametrize("word", ["eV", "(eV)", "Au", "atom", "A", "bulk"])
    def test_ours_and_other_words_are_nothing_to_refuse(self, word, tmp_path):
        assert read(tmp_path, f"energy=-1.5 {word}").energy == -1.5


class TestCells:
    @pytest.mark.parametrize(
        "parts",
        [
            "a=5 b=5 c=5 alpha=90 beta=90 gamma=90",
            "cell_a=5 cell_b=5 cell_c=5",
            'lattice_1="5 0 0" lattice_2="0 5 0" lattice_3="0 0 5"',
            "Lx=5 Ly=5 Lz=5",
        ],
    )
    def test_in_parts_they_are_refused(self, parts, tmp_path):
        first = parts.partition("=")[0]
        with pytest.raises(
            DataError, match=f"frame 0: the keys {first}, .* are not understood; write the cell as Lattice"
        ):
            read(tmp_path, f"energy=-1.5 {parts}")
        assert read(tmp_path, f"energy=-1.5 {parts} {CELL}").pbc.all()

    def test_two_of_such_keys_are_no_cell(self, tmp_path):
        assert read(tmp_path, "energy=-1.5 a=3 b=4").info == {"a": 3, "b": 4}

    def test_a_comment_of_numbers_is_named(self, tmp_path):
        (tmp_path / "a.xyz").write_text("1\n5.0 5.0 5.0\nSi 0 0 0\n")
        (frame,) = keel.read(tmp_path / "a.xyz")
        assert frame.remarks[0].startswith("a comment of nothing but 3 numbers: not used (if they are the cell")

    @pytest.mark.parametrize("quote", ["", '"'])
    def test_in_nested_brackets_with_quotation_marks_or_not(self, quote, tmp_path):
        frame = read(tmp_path, f"Lattice={quote}[[5,0,0],[1,5,0],[0,0,5]]{quote} energy=-1.5")
        assert frame.cell.tolist() == [[5, 0, 0], [1, 5, 0], [0, 0, 5]]
        assert frame.remarks[0].startswith("a Lattice in nested brackets")

    def test_a_stress_in_nested_brackets(self, tmp_path):
        frame = read(tmp_path, f'{CELL} energy=-1.5 stress="[[0.1, 0, 0], [0, 0.2, 0], [0, 0, 0.3]]"')
        np.testing.assert_array_equal(frame.stress, np.diag([0.1, 0.2, 0.3]))


class TestElements:
    def test_in_any_case(self, tmp_path):
        frame = read(tmp_path, "energy=-1.5", ("SI 0 0 0 0.1 0.2 0.3", "o 1.6 0 0 -0.1 -0.2 -0.3"))
        assert frame.numbers.tolist() == [14, 8]
        assert frame.remarks == ("symbols of elements in another case than usual, read as elements: SI, o",)

    @pytest.mark.parametrize(
        ("word", "advice"),
        [
            ("D", "write H, with the mass"),
            ("X", "a dummy or ghost atom; remove it"),
            ("Bq", "a dummy or ghost atom; remove it"),
            ("Fe1", r"write symbols alone \(Fe\?\)"),
            ("O_w", r"write symbols alone \(O\?\)"),
            ("2", "instead of numbers"),
            ("?", "write its symbol"),
        ],
    )
    def test_what_is_none_is_told_with_what_to_do(self, word, advice, tmp_path):
        with pytest.raises(DataError, match=f"frame 0: atom 0 is .*, which is not a chemical element.*{advice}"):
            read(tmp_path, "energy=-1.5", (f"{word} 0 0 0 0.1 0.2 0.3", "O 1.6 0 0 -0.1 -0.2 -0.3"))


class TestColumns:
    @pytest.mark.parametrize(
        ("columns", "said"),
        [
            (
                "species:S:1:positions:R:3:forces:R:3",
                "no pos:R:3 but forces, positions; name the column of the positions",
            ),
            ("symbols:S:1:pos:R:3:forces:R:3", "neither species:S:1 nor Z:I:1 but forces, symbols; name the column"),
        ],
    )
    def test_other_names_are_told(self, columns, said, tmp_path):
        with pytest.raises(DataError) as error:
            read(tmp_path, "energy=-1.5", columns=columns)
        assert said in str(error.value).replace(", species;", ";")

    def test_numbers_without_a_blank_are_told(self, tmp_path):
        with pytest.raises(
            DataError, match=r"6 columns but Properties promises 7; '-12.3-45.6' is several numbers in one"
        ):
            read(tmp_path, "energy=-1.5", ("Si 0 0 0 -12.3-45.6 0.3", "O 1.6 0 0 -0.1 -0.2 -0.3"))

    def test_stars_are_told(self, tmp_path):
        with pytest.raises(
            DataError, match=r"the forces of atom 0 is '\*{8}', which is not a number .Fortran prints stars"
        ):
            read(tmp_path, "energy=-1.5", ("Si 0 0 0 ******** 0.2 0.3", "O 1.6 0 0 -0.1 -0.2 -0.3"))
        with pytest.raises(DataError, match=r"energy is not numeric \('\*{8}'\); Fortran prints stars"):
            read(tmp_path, "energy=********")


@pytest.mark.parametrize(("key", "lost"), [("weight", "energy forces"), ("eweight", "energy"), ("fweight", "forces")])
def test_weights_of_gpumd_and_fitsnap(key, lost, tmp_path):
    frame = read(tmp_path, f"energy=-1.5 {key}=0")
    assert [label for label in ("energy", "forces") if getattr(frame, label) is None] == lost.split()
    assert all(remark.endswith(f"with a weight of zero ({key}): not used") for remark in frame.remarks)
    assert read(tmp_path, f"energy=-1.5 {key}=2").remarks == (f"weights other than 0 and 1 ({key}): not used",)


@pytest.mark.parametrize(
    "comment", ["Atoms. Timestep: 100", " i =       10, time =        5.000, E =       -31.2000000000"]
)
def test_trajectories_without_their_cell_are_told(comment, tmp_path):
    path = tmp_path / "a.xyz"
    path.write_text(f"2\n{comment}\nSi 0 0 0\nSi 2.4 0 0\n")
    (remark,) = (remark for remark in keel.read(path)[0].remarks if "hold no cell" in remark)
    assert "read as molecules" in remark
    path.write_text(f"2\n{comment} {CELL}\nSi 0 0 0\nSi 2.4 0 0\n".replace("Timestep: 100", "step=1"))
    assert not any("hold no cell" in remark for remark in keel.read(path)[0].remarks)
