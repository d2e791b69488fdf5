"""The door for structures: frames, Atoms, files, one or many, and what is refused there."""

from __future__ import annotations

import warnings

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io.trajectory import Trajectory

import keel
from keel.atoms.conversion import as_frame, as_frames, each_frame
from keel.atoms.frames import Frames
from keel.errors import ConfigError, DataError, KeelWarning
from small_training import argon


def labelled(n: int = 3) -> list[Atoms]:
    return [frame.to_ase() for frame in argon(n)]


def same(frames: Frames, others: list[keel.Frame]) -> bool:
    return all(
        a.energy == b.energy and np.array_equal(a.forces, b.forces) and np.allclose(a.stress, b.stress, atol=1e-15)
        for a, b in zip(frames, others, strict=True)
    )


def test_one_many_and_generators_of_atoms_and_frames():
    frames, atoms = argon(3), labelled()
    for given in (frames, tuple(frames), atoms, iter(atoms), (a for a in atoms), [frames[0], *atoms[1:]]):
        assert same(as_frames(given), frames)
    assert same(as_frames(frames[0]), frames[:1]) and same(as_frames(atoms[0]), frames[:1])
    assert as_frames(()) == []


def test_frames_pass_as_they_are():
    frames = argon(2)
    assert all(a is b for a, b in zip(as_frames(frames), frames, strict=True))
    assert as_frame(frames[0]) is frames[0] and as_frame(frames[:1]) is frames[0]


def test_files_and_lists_of_them(tmp_path):
    frames, path = argon(3), tmp_path / "a.extxyz"
    keel.write(path, frames)
    keel.write(tmp_path / "b.extxyz", frames[0])
    for given in (path, str(path), [path], iter([str(path)])):
        assert same(as_frames(given), frames)
    assert same(as_frames([path, tmp_path / "b.extxyz"]), [*frames, frames[0]])
    assert as_frames(path)[2].source == f"{path}, frame 2"
    assert as_frame(tmp_path / "b.extxyz").energy == frames[0].energy


def test_a_trajectory_of_ase(tmp_path):
    with Trajectory(str(tmp_path / "run.traj"), "w") as file:
        for atoms in labelled():
            file.write(atoms)
    with Trajectory(str(tmp_path / "run.traj")) as images:
        assert same(as_frames(images), argon(3))


def test_labels_are_found_as_in_files(tmp_path):
    atoms = labelled()
    for image in atoms:
        image.info["REF_energy"], image.arrays["REF_forces"] = image.get_potential_energy(), image.get_forces()
        image.info["virial"] = -image.get_stress(voigt=False) * image.get_volume()
        image.calc = None
    ase.io.write(tmp_path / "named.extxyz", atoms)
    assert same(as_frames(atoms), argon(3))
    for a, b in zip(as_frames(atoms), keel.read(tmp_path / "named.extxyz"), strict=True):
        assert a.energy == pytest.approx(b.energy) and np.allclose(a.forces, b.forces, atol=1e-7)


def test_nothing_is_computed_and_nothing_stale_is_taken():
    copper = bulk("Cu")
    copper.calc = EMT()
    assert as_frames(copper)[0].energy is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        as_frames(copper)


def test_images_that_share_one_calculator_lose_their_results_with_a_word():
    images, calculator = copper(4), EMT()
    for image in images:
        image.calc = calculator
        image.get_forces()
    words = r"3 frames with results of its calculator that belong to other positions: not used \(the first is in mem"
    with pytest.warns(KeelWarning, match=words):
        frames = as_frames(images)
    assert [f.energy is not None for f in frames] == [False, False, False, True]
    assert not any(f.remarks for f in as_frames(images[-1:]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(as_frames(images, labels=False)) == 4


@pytest.mark.parametrize("change", [lambda a: a.rattle(0.1), lambda a: a.wrap(), lambda a: a.set_cell(a.cell * 1.1)])
def test_a_structure_that_was_changed_after_its_calculation_has_no_labels(change):
    (image,) = labelled(1)
    image.positions[0] += image.cell[0]
    image.calc = SinglePointCalculator(image, **image.calc.results)
    change(image)
    with pytest.warns(KeelWarning, match="1 frame with results of its calculator that belong to other"):
        assert as_frames(image)[0].energy is None


def copper(n: int, forces: float = 1.0) -> list[Atoms]:
    """Return a random walk with EMT's energies, and its forces times a factor."""
    rng, atoms, images = np.random.default_rng(0), bulk("Cu", cubic=True) * (2, 1, 1), []
    for _ in range(n):
        atoms.positions += rng.normal(scale=0.02, size=(8, 3))
        atoms.calc = EMT()
        labels = {"energy": atoms.get_potential_energy(), "forces": forces * atoms.get_forces()}
        image = atoms.copy()
        image.calc = SinglePointCalculator(image, **labels)
        images.append(image)
    return images


def test_what_many_frames_tell_to_be_no_label_is_none():
    images = copper(8)
    for image in images[:2]:
        image.calc.results["forces"] = np.zeros((8, 3))
    assert [f.forces is None for f in as_frames(images)] == [True, True, *[False] * 6]


def test_what_no_file_may_hold_is_refused_where_labels_count():
    doubled = Atoms("Ar2", positions=[[0, 0, 0], [0, 0, 0]])
    with pytest.raises(DataError, match=r"in memory, frame 1: atoms 0 and 1 overlap"):
        as_frames([molecule("H2O"), doubled])
    assert len(as_frames(doubled, labels=False)) == len(list(each_frame(doubled))) == 1


def test_wrong_labels_are_refused_as_those_of_files_are(tmp_path):
    images = copper(30, forces=-1.0)
    keel.write(tmp_path / "wrong.extxyz", images)
    for read in (lambda: as_frames(images), lambda: keel.read(tmp_path / "wrong.extxyz"), lambda: keel.fit_eam(images)):
        with pytest.raises(DataError, match="forces"):
            read()
    assert as_frames(images, labels=False)[0].forces is None


class Foreign:
    """A structure of pymatgen, which can be iterated too."""

    def __iter__(self):
        return iter("ab")

    def to_ase_atoms(self) -> Atoms:
        return bulk("Cu")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, r"nothing \(None\) was given where structures are expected"),
        (3, "an int was given where structures are expected; give frames, ase.Atoms or paths"),
        ([1.0], "a float was given"),
        (np.zeros((4, 3)), "a ndarray was given"),
        ({"positions": []}, "a dict was given"),
        (Foreign(), r"a Foreign is not a structure that keel accepts; give the result of its to_ase_atoms\(\)"),
        ([Foreign()], r"give the result of its to_ase_atoms\(\)"),
        (
            keel.LennardJones(),
            "a LennardJones is a potential where structures are expected",
        ),
        (keel.batch(argon(1), 4.0), "a batch with its neighbour list cannot be split into structures"),
        ("absent.extxyz", "absent.extxyz: there is no such file"),
        ("absent-*.extxyz", r"there is no such file; keel does not expand \* and \?, list the files"),
        ("~/absent.extxyz", r"there is no such file; keel does not expand ~ and \$, write the folder out"),
    ],
)
def test_a_wrong_thing_gets_one_sentence(given, words):
    with pytest.raises(DataError, match=words) as caught:
        as_frames(given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("given", [[], argon(2)])
def test_one_structure_where_one_is_needed(given):
    with pytest.raises(DataError, match=f"one structure is needed here, not {len(given)}"):
        as_frame(given)


def test_lists_stay_what_they_are():
    frames = as_frames(argon(4))
    assert isinstance(frames, list) and isinstance(frames[1:], Frames) and isinstance(frames + frames[:1], Frames)
    assert len(frames[::2]) == 2 and frames[-1].source == "argon, frame 3"


def test_a_frame_does_not_change_with_the_atoms_it_came_from():
    atoms = labelled(1)[0]
    frame = as_frames(atoms)[0]
    atoms.numbers[:], atoms.positions[:] = 2, 0.0
    atoms.calc.results["forces"][:] = 7.0
    assert same(Frames([frame]), argon(1)) and set(frame.numbers) == {18}


@pytest.mark.parametrize("name", ["a.extxyz", "a.npz", "a.db"])
@pytest.mark.parametrize("part", ["positions", "cell"])
def test_what_no_reader_takes_is_not_written(part, name, tmp_path):
    atoms = bulk("Cu")
    getattr(atoms, part)[0] = np.nan
    with pytest.raises(DataError, match="in memory: its positions or cell are not finite"):
        keel.write(tmp_path / name, atoms)
    assert not list(tmp_path.iterdir())


def test_arguments_in_another_order_or_of_another_type_get_one_sentence(tmp_path):
    with pytest.raises(DataError, match=r"a Frames is not the path of a file; write as keel\.write\(PATH, frames\)"):
        keel.write(Frames(argon(1)), tmp_path / "a.extxyz")
    with pytest.raises(ConfigError, match=r"cutoff must be a number \(Å\), not 'x'"):
        keel.batch(argon(1), "x")
