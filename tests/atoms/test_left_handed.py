"""A left-handed cell is the same crystal: nothing that is read, computed or moved asks for the order of its vectors."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from ase.build import bulk
from ase.calculators.emt import EMT

import keel
from keel.atoms.formats.extxyz import format_frame
from keel.atoms.frame import Frame
from keel.atoms.labelling.labelled import frame_from_ase
from keel.atoms.neighbours import graph_of
from keel.atoms.soundness.frames import check_frame
from keel.atoms.soundness.work import check_stress
from keel.dynamics import ComputeSettings, simulate
from keel.dynamics.motion import Motion
from keel.dynamics.settings import Schedule
from keel.interfaces.ase import KeelCalculator
from keel.potentials.batches import predictions
from keel.potentials.external import ASEPotential
from simulated import of_steps

POTENTIAL = keel.LennardJones(epsilon=0.1, sigma=2.3, cutoff=5.0)


def crystals(number: int) -> list[Frame]:
    """Copper whose cell and atoms change little by little, labelled."""
    rng, atoms, frames = np.random.default_rng(3), bulk("Cu", cubic=True), []
    for step in range(number):
        strain = rng.normal(scale=0.004, size=(3, 3))
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain + strain.T), scale_atoms=True)
        atoms.positions += rng.normal(scale=0.02, size=(4, 3))
        atoms.calc = EMT()
        atoms.get_potential_energy(), atoms.get_stress()
        frames.append(frame_from_ase(atoms, f"step {step}"))
    return frames


def left(frame: Frame) -> Frame:
    return frame.replace(cell=frame.cell[[1, 0, 2]])


RIGHT = crystals(8)


def test_it_is_sound() -> None:
    for frame in RIGHT:
        assert np.linalg.det(left(frame).cell) < 0
        check_frame(left(frame), ("energy", "forces", "stress"))
        assert left(frame).volume == pytest.approx(frame.volume)


def test_it_is_read_as_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "left.extxyz"
    path.write_text("".join(format_frame(left(f)) for f in RIGHT))
    for frame, expected in zip(keel.read(path), RIGHT, strict=True):
        np.testing.assert_allclose(frame.cell, left(expected).cell)
        np.testing.assert_allclose(frame.stress, expected.stress, atol=1e-7)


def test_its_virial_has_the_sign_of_a_right_handed_one(tmp_path: Path) -> None:
    path = tmp_path / "left.extxyz"
    cell, virial = " ".join(map(str, left(RIGHT[0]).cell.ravel())), -RIGHT[0].volume * np.asarray(RIGHT[0].stress)
    comment = f'Lattice="{cell}" virial="{" ".join(map(str, virial.ravel()))}" pbc="T T T"'
    path.write_text("\n".join(["4", comment, *(f"Cu {x} {y} {z}" for x, y, z in RIGHT[0].positions), ""]))
    np.testing.assert_allclose(keel.read(path)[0].stress, RIGHT[0].stress, atol=1e-12)


def test_a_potential_says_the_same() -> None:
    for frame in (RIGHT[0], RIGHT[0].repeated((2, 1, 3))):
        one, other = (POTENTIAL.double()(graph_of(f, 5.0, dtype=torch.float64)) for f in (frame, left(frame)))
        for label in ("energy", "forces", "stress"):
            torch.testing.assert_close(getattr(one, label), getattr(other, label), rtol=0.0, atol=1e-10)


def network() -> keel.Potential:
    torch.manual_seed(0)
    return keel.CGCNN(elements=[29], cutoff=4.0, features=8, convolutions=1).double()


@pytest.mark.parametrize("make", [lambda: POTENTIAL, network, lambda: ASEPotential(EMT())], ids=["pair", "net", "EMT"])
def test_the_stress_keeps_its_sign_in_every_door(make: Callable[[], keel.Potential]) -> None:
    """That of compressed copper is negative, whether a calculator, a batch, MD or an evaluation asks for it."""
    squeezed = RIGHT[0].replace(cell=0.9 * RIGHT[0].cell, positions=0.9 * RIGHT[0].positions)
    potential, found = make(), {}
    for hand, frame in {"right": squeezed, "left": left(squeezed)}.items():
        atoms = frame.unlabelled().to_ase()
        atoms.calc = KeelCalculator(potential, dtype="float64")
        doors = {"calculator": atoms.get_stress(voigt=False)}
        doors["batch"] = next(iter(predictions([frame, frame], potential)))[1].stress[1].numpy()
        doors["call"] = potential([frame]).stress[0].numpy()
        motion = Motion(potential, [0], [frame], Schedule.of(of_steps(1, 1.0, temperature=300.0), [frame]), ())
        doors["MD"] = motion.first_state([frame]).stress[0].numpy()
        labelled = frame.replace(stress=doors["calculator"], forces=atoms.get_forces(), energy=0.0)
        doors["evaluate"] = doors["calculator"] + keel.evaluation.accuracy(potential, [labelled]).stress.mae
        found[hand] = doors
    for door, stress in found["left"].items():
        np.testing.assert_allclose(stress, found["right"]["calculator"], atol=1e-6, err_msg=door)
        if not isinstance(potential, keel.CGCNN):
            assert np.trace(stress) < 0


def test_a_supercell_is_left_handed_too() -> None:
    large = left(RIGHT[0]).repeated((2, 1, 1))
    assert np.linalg.det(large.cell) == pytest.approx(-2 * RIGHT[0].volume)
    check_frame(large)


def test_the_work_of_its_stress_is_the_same() -> None:
    many = crystals(12)
    one, other = check_stress(many), check_stress([left(f) for f in many])
    assert other.slope == pytest.approx(one.slope, abs=1e-9)


def test_an_eam_is_fitted_to_it() -> None:
    fits = [keel.fit_eam(frames, 5.0).errors for frames in (RIGHT, [left(f) for f in RIGHT])]
    assert fits[1].forces.mae == pytest.approx(fits[0].forces.mae, rel=0.05)
    assert fits[1].stress.mae == pytest.approx(fits[0].stress.mae, rel=0.05)


@pytest.mark.parametrize("ensemble", ["nve", "npt"])
def test_it_moves_as_the_right_handed_one_does(ensemble: str) -> None:
    options = {"temperature": 300.0, "ensemble": ensemble, **({"pressure": 0.5} if ensemble == "npt" else {})}
    runs = [
        simulate(
            POTENTIAL,
            [f],
            of_steps(20, 2.0, record_every=20, **options),
            criteria=(),
            compute=ComputeSettings(precision="float64"),
        )
        for f in (RIGHT[0], left(RIGHT[0]))
    ]
    one, other = (run[0].frames[-1] for run in runs)
    np.testing.assert_allclose(other.positions, one.positions, atol=1e-6)
    np.testing.assert_allclose(left(other).cell, one.cell, atol=1e-6)
