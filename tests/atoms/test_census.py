"""The census counts right, and finds what was planted."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import keel
from keel.atoms.census import take_census
from keel.atoms.findings import refuse_wrong_labels
from keel.atoms.frame import Frame
from keel.atoms.labelling.labelled import frame_from_ase
from keel.atoms.soundness.frames import check_frame, closest_pair, energy_levels, energy_outliers
from keel.atoms.soundness.repeats import repeats
from keel.atoms.soundness.work import check_forces, check_stress
from keel.atoms.units import GPA
from keel.cli import app, main
from keel.errors import DataError, KeelWarning


@pytest.fixture(scope="module")
def relaxation() -> list[Frame]:
    """Twenty frames of copper whose cell and atoms change little by little."""
    rng, members = np.random.default_rng(0), []
    atoms = bulk("Cu", cubic=True)
    for step in range(20):
        strain = rng.normal(scale=0.004, size=(3, 3))
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain + strain.T), scale_atoms=True)
        atoms.positions += rng.normal(scale=0.02, size=(4, 3))
        atoms.calc = EMT()
        atoms.get_potential_energy(), atoms.get_stress()
        members.append(frame_from_ase(atoms, f"relax.extxyz, frame {step}").replace(info={"run": f"r{step // 10}"}))
    return members


def messages(frames: list[Frame], level: str) -> list[str]:
    return [f.message for f in take_census(frames).findings if f.level == level]


def test_counts(relaxation: list[Frame]) -> None:
    slab = relaxation[0].replace(pbc=np.array([True, True, False]), stress=None)
    census = take_census([*relaxation, slab.replace(energy=None)])
    assert (census.frames, census.atoms, census.elements) == (21, 84, {"Cu": 84})
    assert census.labels == {"energy": 20, "forces": 21, "stress": 20}
    assert census.periodic == {3: 20, 2: 1}
    assert census.groups == {"run": 2}
    assert census.compositions == 1


def test_ranges(relaxation: list[Frame]) -> None:
    ranges = take_census(relaxation).ranges
    energies = [f.energy / 4 for f in relaxation if f.energy is not None]
    span = ranges["energy_per_atom"]
    assert (span.minimum, span.median, span.maximum) == (min(energies), np.median(energies), max(energies))
    assert span.maximum_at == f"relax.extxyz, frame {int(np.argmax(energies))}"
    stress = np.diag([-3.0, -6.0, -9.0]) * GPA
    assert take_census([relaxation[0].replace(stress=stress)]).ranges["pressure"].median == pytest.approx(6.0)
    assert ranges["nearest_distance"].minimum == min(closest_pair(f).distance for f in relaxation)  # type: ignore[union-attr]
    assert "pressure" not in take_census([f.replace(stress=None) for f in relaxation]).ranges


def test_census_is_json(relaxation: list[Frame]) -> None:
    content = json.loads(json.dumps(take_census(relaxation[:2]).to_dict(), allow_nan=False))
    assert content["frames"] == 2
    assert content["stress"]["slope"] is None
    assert "cannot be checked" in content["stress"]["verdict"]
    assert json.loads(json.dumps(take_census(relaxation).to_dict(), allow_nan=False))["stress"]["pairs"] == 19


def test_stress_agrees_with_energies(relaxation: list[Frame]) -> None:
    check = check_stress(relaxation)
    assert check.pairs == 19
    assert check.slope == pytest.approx(1.0, abs=0.02)
    assert check.correlation > 0.999
    assert check.contradiction is None
    refuse_wrong_labels(relaxation)


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (-1.0, "opposite"),
        (1 / GPA, "in GPa (--stress-convention gpa)"),
        (-10 / GPA, "VASP"),
        (10 / GPA, "in kbar ("),
        (-1 / GPA, "in GPa, with the opposite sign (--stress-convention=-gpa)"),
        (7.0, "unit or sign"),
    ],
)
def test_wrong_stress_is_refused_and_named(factor: float, words: str, relaxation: list[Frame]) -> None:
    wrong = [f.replace(stress=f.stress * factor) for f in relaxation]
    assert words in messages(wrong, "refuse")[0]
    with pytest.raises(DataError, match=r"relax\.extxyz: the stress contradicts the energies"):
        refuse_wrong_labels(wrong)


def test_stress_of_a_fixed_cell_cannot_be_checked(relaxation: list[Frame]) -> None:
    check = check_stress([relaxation[0]] * 10)
    assert not check.conclusive
    assert "cannot be checked" in str(check)
    noise = np.random.default_rng(1)
    noisy = [f.replace(energy=noise.normal()) for f in relaxation]
    assert check_stress(noisy).contradiction is None


def test_unwrapped_atoms_do_not_disturb_the_stress_check(relaxation: list[Frame]) -> None:
    hops = np.random.default_rng(2)
    moved = [f.replace(positions=f.positions + hops.integers(-2, 3, (4, 3)) @ f.cell) for f in relaxation]
    assert check_stress(moved).slope == pytest.approx(check_stress(relaxation).slope, abs=1e-9)


@pytest.fixture(scope="module")
def dynamics() -> list[Frame]:
    """Thirty frames of a hot copper crystal of fixed cell, and as many of a cluster."""
    rng, members = np.random.default_rng(3), []
    for atoms in (bulk("Cu", cubic=True) * (2, 1, 1), molecule("CH3CH2OH")):
        for step in range(30):
            atoms.positions += rng.normal(scale=0.03, size=(len(atoms), 3))
            atoms.calc = EMT()
            atoms.get_forces()
            members.append(frame_from_ase(atoms, f"md.extxyz, frame {step}"))
    return members


def test_forces_agree_with_energies(dynamics: list[Frame]) -> None:
    check = check_forces(dynamics)
    assert check.pairs == 58
    assert check.slope == pytest.approx(1.0, abs=0.05)
    assert check.correlation > 0.99
    assert "agree with the energies" in str(check)
    hops = np.random.default_rng(2)
    moved = [f.replace(positions=f.positions + (hops.integers(-2, 3, (len(f), 3)) * f.pbc) @ f.cell) for f in dynamics]
    assert check_forces(moved).slope == pytest.approx(check.slope, abs=1e-9)
    refuse_wrong_labels(dynamics)


@pytest.mark.parametrize(
    ("energy", "forces", "words"),
    [
        (1.0, -1.0, "opposite sign"),
        (1.0, 1 / 51.42208619, "hartree/bohr"),
        (1.0, 0.529177, "in eV/bohr"),
        (23.0605, 1.0, "the energies are in kcal/mol"),
        (1.0, 23.0605, "they are in kcal/mol/angstrom"),
        (1 / 27.2114, 1.0, "the energies are in hartree"),
        (1 / 8, 1.0, "divided by the number of atoms"),
        (7.0, 1.0, "a unit or a sign is wrong"),
    ],
)
def test_wrong_forces_are_refused_and_named(energy: float, forces: float, words: str, dynamics: list[Frame]) -> None:
    wrong = [f.replace(energy=f.energy * energy, forces=f.forces * forces) for f in dynamics if len(f) == 8]
    assert words in messages(wrong, "refuse")[0]
    with pytest.raises(DataError, match=r"md\.extxyz: the forces contradict the energies"):
        refuse_wrong_labels(wrong)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=50)
def test_forces_of_noise_are_not_refused(seed: int) -> None:
    rng = np.random.default_rng(seed)
    frames = [
        Frame(np.array([29, 29]), rng.normal([[0, 0, 0], [2, 0, 0]], 0.05), np.eye(3) * 9).replace(
            energy=float(rng.normal()), forces=rng.normal(size=(2, 3))
        )
        for _ in range(12)
    ]
    assert check_forces(frames).contradiction is None


def test_forces_of_frames_far_apart_cannot_be_checked(relaxation: list[Frame]) -> None:
    assert "too few neighbouring frames" in str(check_forces([f.replace(stress=None) for f in relaxation]))
    assert check_forces([relaxation[0]] * 20).pairs == 0


def test_outliers(relaxation: list[Frame]) -> None:
    assert energy_outliers(relaxation) == []
    far = [*relaxation[:-1], relaxation[-1].replace(energy=relaxation[-1].energy + 40.0)]
    ((frame, distance),) = energy_outliers(far)
    assert frame is far[-1]
    assert distance == pytest.approx(10.0, abs=0.5)
    assert "far outside" in messages(far, "warn")[0]
    assert energy_outliers(far[-5:]) == []


def test_energies_of_two_zeros(relaxation: list[Frame]) -> None:
    """Halves of equal size have no outliers: the median lies in either of them."""
    moved = [f.replace(energy=f.energy + 5.0 * len(f)) for f in relaxation[::2]]
    frames, mixed = relaxation, [*moved, *relaxation[1::2]]
    assert energy_levels(frames) == energy_outliers(mixed) == []
    (levels,) = energy_levels(mixed)
    assert {id(f) for f in levels.upper} == {id(f) for f in moved}
    assert levels.gap == pytest.approx(5.0, abs=0.5)
    assert "two levels" in " ".join(messages(mixed, "warn"))
    with pytest.warns(KeelWarning, match="two levels"):
        refuse_wrong_labels(mixed)
    # Atoms apart and atoms in bulk have two levels too.
    apart = [f.replace(cell=2.0 * f.cell, positions=2.0 * f.positions) for f in moved]
    assert energy_levels([*apart, *frames[1::2]]) == []
    assert energy_levels([*moved[:9], *frames[1::2]]) == []


def test_overlaps(relaxation: list[Frame]) -> None:
    close = relaxation[0].positions.copy()
    close[1] = close[0] + [0.0, 0.0, 0.9]
    frame = relaxation[0].replace(positions=close)
    check_frame(frame)
    assert "Cu-Cu at 0.34 (relax.extxyz, frame 0)" in " ".join(messages([frame], "warn"))
    assert messages(relaxation, "warn") == []
    close[1] = close[0] + frame.cell[0] + [0.0, 0.0, 0.05]
    with pytest.raises(DataError, match="atoms 0 and 1 overlap"):
        check_frame(relaxation[0].replace(positions=close))


def test_duplicates(relaxation: list[Frame]) -> None:
    again = relaxation[3].replace(source="relax.extxyz, frame 20")
    assert repeats([*relaxation, again]) == [(relaxation[3], again)]
    assert "1 frame repeating another, such as" in messages([*relaxation, again], "note")[0]
    assert messages([*relaxation, again], "warn") == []
    other = again.replace(energy=0.0)
    assert "have different labels" in messages([*relaxation, other], "warn")[-1]
    assert repeats([relaxation[3], again.replace(numbers=again.numbers + 1)]) == []
    assert repeats([relaxation[3], again.replace(pbc=np.array([True, True, False]))]) == []


def test_notes(relaxation: list[Frame]) -> None:
    info = {"energy_extrapolated": relaxation[0].energy + 0.4, "other_energy": 1.0}
    frames = [
        relaxation[0].replace(info=info, unused=("tags", "magmoms")),
        relaxation[1].replace(stress=None, unused=()),
    ]
    assert "differ by up to 100 meV/atom" in " ".join(messages(frames, "note"))
    census = take_census(frames)
    assert census.not_used == ("a label energy of 1 frame", "columns of atoms: magmoms, tags")
    assert census.labels["stress"] == 1


def test_no_frames() -> None:
    with pytest.raises(DataError, match="no frames"):
        take_census([])


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["keel", "census", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_command(
    relaxation: list[Frame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, bad, clean = (tmp_path / name for name in ("a.extxyz", "b.npz", "bad.xyz", "clean.extxyz"))
    keel.write(first, [*relaxation, relaxation[0].replace(forces=relaxation[0].forces * [np.nan, 1, 1])])
    keel.write(second, relaxation[:1])
    assert run(monkeypatch, first, second, "--skip-bad", bad, "--write", clean) == 0
    output = capsys.readouterr().out
    for words in ("20, 80 atoms", "Cu 80", "agrees with the energies", "1 structure of one file", "1 frame was set"):
        assert words in output
    assert len(keel.read(clean)) == 21
    assert " nan " in bad.read_text()
    assert run(monkeypatch, first, "--skip-bad", bad, "--write", first) == 2
    assert "would replace its own input file" in capsys.readouterr().err
    assert run(monkeypatch, first, "--skip-bad", bad, "--json") == 0
    (report,) = json.loads(capsys.readouterr().out)["files"]
    assert report["frames"] == 20
    assert len(report["set_aside"]) == 1


def test_command_refuses_a_wrong_stress_after_showing_it(
    relaxation: list[Frame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    keel.write(tmp_path / "a.extxyz", [f.replace(stress=-f.stress) for f in relaxation])
    assert run(monkeypatch, tmp_path / "a.extxyz") == 2
    output = capsys.readouterr()
    assert "Cu 80" in output.out
    assert "a.extxyz: the stress contradicts the energies" in output.err


def test_command_brings_foreign_names_and_units_home(
    relaxation: list[Frame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = [f.replace(energy=None, stress=None, info={"E": f.energy, "sigma": f.stress / GPA}) for f in relaxation]
    keel.write(tmp_path / "raw.xyz", foreign)
    options = ("--energy-key", "E", "--stress-key", "sigma", "--stress-convention", "gpa")
    assert run(monkeypatch, tmp_path / "raw.xyz", *options, "--write", tmp_path / "home.extxyz") == 0
    for frame, home in zip(relaxation, keel.read(tmp_path / "home.extxyz"), strict=True):
        assert home.energy == frame.energy
        np.testing.assert_allclose(home.stress, frame.stress, rtol=1e-14)


@pytest.mark.parametrize("name", ["metals/cu-train", "metals/mo-train", "mptrj/ymgpo4-relaxations"])
def test_real_stresses_agree_with_energies(name: str, data_dir: Path) -> None:
    check = check_stress(keel.read(data_dir / f"{name}.extxyz", index=":300"))
    assert check.conclusive
    assert check.slope == pytest.approx(1.0, abs=0.2)


def test_frames_without_a_label_that_is_needed_are_left_out(
    relaxation: list[Frame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw, bad, clean = (tmp_path / name for name in ("raw.extxyz", "bad.extxyz", "clean.extxyz"))
    keel.write(raw, [*relaxation[:3], relaxation[3].replace(energy=None)])
    with pytest.raises(DataError, match="keel census FILE --require energy --skip-bad BAD --write OUT"):
        keel.read(raw, require=["energy"])
    assert run(monkeypatch, raw, "--require", "energy", "--skip-bad", bad, "--write", clean) == 0
    assert len(keel.read(clean)) == 3


@pytest.mark.parametrize("name", ["phosphorus/black-pbe-d3", "metals/mo-train", "silica/zeolites-pbe-d3"])
def test_real_forces_agree_with_energies(name: str, data_dir: Path) -> None:
    check = check_forces(keel.read(data_dir / f"{name}.extxyz"))
    assert check.conclusive
    assert check.slope == pytest.approx(1.0, abs=0.05)


def in_file(frames: list[Frame], file: str) -> list[Frame]:
    return [f.replace(source=f"{file}, frame {k}") for k, f in enumerate(frames)]


def test_a_wrong_file_among_many_right_frames_is_refused(relaxation: list[Frame]) -> None:
    """Together the right ones outvote it."""
    many = [f.replace(positions=f.positions + 1e-3 * k) for k in range(6) for f in relaxation]
    wrong = in_file([f.replace(forces=-f.forces) for f in relaxation], "wrong.extxyz")
    with pytest.raises(DataError, match=r"^wrong.extxyz: the forces contradict the energies"):
        refuse_wrong_labels([*many, *wrong])


def test_two_levels_of_two_files_are_named_with_few_frames(relaxation: list[Frame]) -> None:
    moved = in_file([f.replace(energy=f.energy - 3.0 * len(f)) for f in relaxation[:6]], "moved.extxyz")
    with pytest.warns(KeelWarning, match=r"^relax.extxyz and moved.extxyz: energies of Cu4 have two levels"):
        refuse_wrong_labels([*relaxation, *moved])
    alone = [f.replace(energy=f.energy - 3.0 * len(f)) for f in relaxation[:6]]
    assert not energy_levels([*relaxation, *alone])


def test_census_compares_files(tmp_path: Path) -> None:
    def said(*arguments: str) -> str:
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 0, done.output
        return done.stdout

    rng = np.random.default_rng(0)
    frames = []
    for _ in range(40):
        atoms = bulk("Cu", cubic=True) * (2, 2, 1)
        atoms.set_cell(atoms.cell.array * (1.0 + rng.normal(scale=0.02)), scale_atoms=True)
        atoms.positions += rng.normal(scale=0.18, size=(16, 3))
        atoms.calc = EMT()
        atoms.get_stress()
        frames.append(frame_from_ase(atoms))
    keel.write(tmp_path / "good.extxyz", frames[:32])
    keel.write(tmp_path / "also.extxyz", frames[32:])
    keel.write(tmp_path / "bad.extxyz", [f.replace(forces=-f.forces) for f in frames[32:]])
    files = [str(tmp_path / name) for name in ("good.extxyz", "also.extxyz", "bad.extxyz")]
    assert json.loads(said("census", *files[:2], "--json"))["compared"] == []
    (found,) = json.loads(said("census", files[0], files[2], "--json"))["compared"]
    assert f"all 8 of {files[2]}, have forces of the opposite sign" in found["message"]
    assert "all files together" in said("census", files[0], files[2])
    assert f"all 8 of {files[2]}" in said("fit", files[0], files[2], "--out", str(tmp_path / "eam.json")).replace(
        "\n", " "
    )
