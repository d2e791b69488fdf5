"""Zeros that stand for "unknown" are no labels; zeros that symmetry or rounding makes are."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk, fcc111, molecule
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms

import keel
from keel.atoms.formats.extxyz import format_frame
from keel.atoms.frame import Frame
from keel.atoms.labelling.labelled import frame_from_ase
from keel.atoms.read import iter_frames
from keel.atoms.soundness import constrained
from keel.atoms.soundness.constrained import ALL_CONSTRAINED, CONSTRAINED, net_force
from keel.atoms.soundness.symmetry import demanded_zero
from keel.atoms.soundness.unknown import NO_ENERGY, NO_FORCES, NO_STRESS, findings, without_placeholders

LOWER = np.arange(16) < 8
"""Atoms of the two lower layers of the slab."""


def labelled(atoms, source: str = "a.extxyz, frame 0") -> Frame:
    """Return the frame with the true forces, those of constrained atoms too."""
    atoms = atoms.copy()
    atoms.set_constraint()
    atoms.calc = EMT()
    atoms.get_potential_energy()
    if atoms.pbc.all():
        atoms.get_stress()
    return frame_from_ase(atoms, source)


def crystals(number: int, rattle: float = 0.08, element: str = "Cu") -> list[Frame]:
    rng, frames = np.random.default_rng(0), []
    for k in range(number):
        atoms = bulk(element, cubic=True)
        atoms.set_cell(atoms.cell * (1.0 + rng.uniform(-0.03, 0.03)), scale_atoms=True)
        atoms.rattle(rattle, seed=k)
        frames.append(labelled(atoms, f"a.extxyz, frame {k}"))
    return frames


def slabs(number: int, decimals: int = 8, rattle: float = 0.1) -> list[Frame]:
    """Slabs whose lower layers have not moved much but feel forces."""
    frames = []
    for k in range(number):
        atoms = fcc111("Cu", (2, 2, 4), vacuum=6.0)
        atoms.rattle(rattle, seed=k)
        frame = labelled(atoms, f"slab.extxyz, frame {k}")
        frames.append(frame.replace(forces=np.round(frame.forces, decimals)))
    return frames


def changed(frames: list[Frame], which: slice, label: str, value: object) -> list[Frame]:
    chosen = range(len(frames))[which]
    return [f.replace(**{label: value}) if k in chosen else f for k, f in enumerate(frames)]


def held(frames: list[Frame], atoms=LOWER, components=(True, True, True)) -> list[Frame]:
    free = ~(atoms[:, None] & np.array(components))
    return [f.replace(forces=f.forces * free) for f in frames]


def lost(frames: list[Frame], remark: str) -> list[int]:
    return [k for k, f in enumerate(without_placeholders(frames)) if remark in f.remarks]


class TestEnergies:
    def test_zero_in_all_frames(self) -> None:
        frames = changed(crystals(4), slice(None), "energy", 0.0)
        assert lost(frames, NO_ENERGY) == [0, 1, 2, 3]
        assert all(f.energy is None and f.forces is not None for f in without_placeholders(frames))

    # One zero near the energies of the others could be theirs; two of structures under forces could not.
    @pytest.mark.parametrize(
        ("which", "shift"), [(slice(None, None, 2), 0.0), (slice(None, None, 2), -3000.0), (slice(3, 4), -3000.0)]
    )
    def test_zero_in_some_frames(self, shift: float, which: slice) -> None:
        frames = [f.replace(energy=f.energy + shift) for f in crystals(12)]
        assert lost(changed(frames, which, "energy", 0.0), NO_ENERGY) == list(range(12))[which]

    def test_zero_among_several_compositions(self) -> None:
        both = [*crystals(8), *crystals(8, element="Al")]
        frames = [f.replace(energy=f.energy - (300.0 if f.numbers[0] == 29 else 55.0)) for f in both]
        assert lost(changed(frames, slice(2, None, 9), "energy", 0.0), NO_ENERGY) == [2, 11]

    @pytest.mark.parametrize("zero", [0, 5, 11])
    def test_a_shift_to_one_frame_is_a_shift(self, zero: int) -> None:
        frames = crystals(12)
        by_energy = sorted(frames, key=lambda f: f.energy)
        assert lost([f.replace(energy=f.energy - by_energy[zero].energy) for f in frames], NO_ENERGY) == []

    def test_a_shift_to_the_crystal_at_rest_is_a_shift(self) -> None:
        rest = labelled(bulk("Cu", cubic=True))
        frames = [rest, *crystals(11)]
        assert lost([f.replace(energy=f.energy - rest.energy) for f in frames], NO_ENERGY) == []

    def test_atoms_alone_may_have_no_energy(self) -> None:
        alone = Frame(np.array([29]), np.zeros((1, 3)), energy=0.0, forces=np.zeros((1, 3)))
        cohesive = [f.replace(energy=f.energy - 3.5 * len(f)) for f in crystals(6)]
        assert lost([alone, *cohesive], NO_ENERGY) == []

    def test_one_frame_says_nothing(self) -> None:
        assert lost(changed(crystals(1), slice(None), "energy", 0.0), NO_ENERGY) == []


class TestForces:
    @pytest.mark.parametrize("which", [slice(None), slice(None, None, 2), slice(3, 4)])
    def test_zero_on_all_atoms(self, which: slice) -> None:
        frames = [f.replace(stress=None) for f in crystals(8)]
        frames = changed(frames, which, "forces", np.zeros((4, 3)))
        assert lost(frames, NO_FORCES) == list(range(8))[which]

    def test_zero_by_symmetry(self) -> None:
        perfect = [labelled(bulk("Cu", cubic=True, a=a)) for a in np.linspace(3.5, 3.8, 6)]
        still = [f.replace(forces=np.zeros((4, 3))) for f in perfect]
        assert lost([*still, *crystals(6)], NO_FORCES) == lost(still, NO_FORCES) == []

    def test_symmetric_as_printed(self) -> None:
        """Positions in a file have few digits."""
        atoms = bulk("Cu", cubic=True) * (2, 1, 1)
        atoms.positions = np.round(atoms.positions + np.random.default_rng(0).uniform(-1e-4, 1e-4, (8, 3)), 4)
        assert demanded_zero(frame_from_ase(atoms)).all()

    def test_relaxed_frames_printed_with_few_digits(self) -> None:
        """The last frame of each relaxation has nothing left to print."""
        frames = [f.replace(forces=np.round(f.forces, 3)) for f in crystals(10)]
        assert lost(changed(frames, slice(9, None), "forces", np.zeros((4, 3))), NO_FORCES) == []

    def test_few_digits_do_not_excuse_every_other_frame(self) -> None:
        frames = [f.replace(forces=np.round(f.forces, 2)) for f in crystals(10)]
        zero = changed(frames, slice(None, None, 2), "forces", np.zeros((4, 3)))
        assert lost(zero, NO_FORCES) == [0, 2, 4, 6, 8]

    def test_stress_goes_with_forces(self) -> None:
        frames = crystals(6, rattle=0.1)
        frames = [f.replace(forces=0.0 * f.forces, stress=np.zeros((3, 3))) for f in frames]
        for frame in without_placeholders(frames):
            assert frame.forces is None
            assert frame.stress is None
            assert frame.energy is not None


class TestStress:
    def test_zero_at_several_volumes_without_forces(self) -> None:
        frames = [f.replace(forces=None, stress=np.zeros((3, 3))) for f in crystals(4)]
        assert lost(frames, NO_STRESS) == [0, 1, 2, 3]

    def test_zero_at_several_volumes_without_forces_by_symmetry(self) -> None:
        perfect = [labelled(bulk("Cu", a=a)) for a in (3.5, 3.6, 3.7)]
        frames = [f.replace(forces=np.zeros((1, 3)), stress=np.zeros((3, 3))) for f in perfect]
        assert lost(frames, NO_STRESS) == [0, 1, 2]
        assert lost([perfect[0], frames[1], perfect[2]], NO_STRESS) == []

    def test_true_stresses_stay(self) -> None:
        assert lost(crystals(4), NO_STRESS) == []


class TestConstraints:
    def test_zero_to_many_digits_in_one_frame(self) -> None:
        (frame,) = without_placeholders(held(slabs(1)))
        assert frame.remarks == (CONSTRAINED,)
        np.testing.assert_array_equal(frame.forces_mask, ~LOWER)

    @pytest.mark.parametrize("components", [(True, True, True), (False, False, True), (True, False, False)])
    def test_zero_in_frame_after_frame(self, components: tuple[bool, ...]) -> None:
        for frame in without_placeholders(held(slabs(6, decimals=3), components=components)):
            np.testing.assert_array_equal(frame.forces_mask, ~LOWER)

    def test_two_frames_of_few_digits_say_nothing(self) -> None:
        assert lost(held(slabs(2, decimals=2)), CONSTRAINED) == []

    def test_fixed_atoms(self) -> None:
        fixed = np.repeat(LOWER[:, None], 3, axis=1)
        (frame,) = without_placeholders([f.replace(fixed=fixed) for f in held(slabs(1, decimals=2))])
        np.testing.assert_array_equal(frame.forces_mask, ~LOWER)
        assert lost([f.replace(fixed=fixed) for f in slabs(1)], CONSTRAINED) == []

    def test_a_mask_of_the_file_is_kept(self) -> None:
        own = np.arange(16) != 15
        (frame,) = without_placeholders([f.replace(forces_mask=own) for f in held(slabs(1))])
        np.testing.assert_array_equal(frame.forces_mask, own & ~LOWER)
        assert lost([f.replace(forces_mask=~LOWER) for f in held(slabs(1))], CONSTRAINED) == []

    def test_nothing_is_left_where_all_are_fixed(self) -> None:
        frames = [f.replace(fixed=np.ones((16, 3), bool)) for f in slabs(3)]
        frames = [*slabs(3), *held(frames, atoms=np.arange(16) < 15)]
        kept = without_placeholders(changed(frames, slice(5, 6), "forces_mask", np.arange(16) < 15))
        assert kept[5].forces is None
        assert ALL_CONSTRAINED in kept[5].remarks

    @pytest.mark.parametrize("make", [lambda: molecule("CH4"), lambda: bulk("NiO", "rocksalt", a=4.2, cubic=True)])
    def test_zeros_by_symmetry(self, make: Callable) -> None:
        """A breathing mode: the atom in the middle has no force, in every frame."""
        atoms = make()
        frame = frame_from_ase(atoms)
        zero = demanded_zero(frame)
        assert zero[0].all()
        forces = np.where(zero, 0.0, 0.123456789)
        assert lost([frame.replace(forces=forces)] * 5, CONSTRAINED) == []

    def test_planar_molecules(self) -> None:
        atoms = molecule("C6H6")
        frames = []
        for k in range(5):
            moved = atoms.copy()
            moved.positions[:, :2] += np.random.default_rng(k).normal(scale=0.05, size=(12, 2))
            frames.append(labelled(moved))
        assert all(np.abs(f.forces[:, 2]).max() < 1e-12 for f in frames)
        assert lost([f.replace(forces=f.forces * [1, 1, 0]) for f in frames], CONSTRAINED) == []

    def test_relaxed_frames_of_few_digits(self) -> None:
        frames = slabs(8, decimals=3, rattle=1e-4)
        assert sum((f.forces == 0).any() for f in frames) == 8
        assert lost(frames, CONSTRAINED) == []

    def test_reading_masks_and_the_fit_uses_the_others(self, tmp_path: Path) -> None:
        path, frames = tmp_path / "slab.extxyz", slabs(8)
        path.write_text("".join(map(format_frame, held(frames))))
        read = keel.read(path)
        assert all((~f.forces_mask).sum() == 8 for f in read)
        true, masked, naive = (keel.fit_eam(f, 5.0).potential for f in (frames, read, held(frames)))
        errors = [keel.evaluation.accuracy(p, frames).forces.mae for p in (true, masked, naive)]
        assert errors[1] < 1.5 * errors[0]
        assert errors[2] > 2.0 * errors[1]

    def test_a_constraint_of_ase(self) -> None:
        atoms = fcc111("Cu", (2, 2, 4), vacuum=6.0)
        atoms.rattle(0.1, seed=1)
        atoms.set_constraint(FixAtoms(mask=LOWER))
        atoms.calc = EMT()
        forces = atoms.get_forces()
        frame = frame_from_ase(atoms).replace(forces=forces)
        (kept,) = without_placeholders([frame])
        np.testing.assert_array_equal(kept.forces_mask, ~LOWER)


class TestNetForce:
    def test_of_sound_frames_it_is_rounding(self) -> None:
        for frame in [*crystals(3), *slabs(3), *slabs(3, decimals=2)]:
            assert net_force(frame) == 0.0
        assert list(findings(slabs(5))) == []

    def test_of_constrained_atoms_it_is_named(self) -> None:
        """Where the forces are not zero but those of another program's constraint nobody knows the atoms."""
        frames = [f.replace(forces=f.forces + LOWER[:, None] * [0.0, 0.0, 0.5]) for f in slabs(5)]
        (finding,) = findings([*frames, *crystals(3)])
        assert finding.level == "warn"
        assert finding.message.startswith("5 frames with forces that do not add up to zero")
        assert "slab.extxyz, frame" in finding.message

    def test_in_a_field_it_may_be(self) -> None:
        frames = [f.replace(forces=f.forces + 0.5, info={"electric_field": "0 0 0.1"}) for f in slabs(5)]
        assert list(findings(frames)) == []

    def test_of_the_atoms_with_a_force_only_it_means_nothing(self) -> None:
        assert list(findings(without_placeholders(held(slabs(5))))) == []


@pytest.mark.parametrize(("decimals", "digit"), [(0, 1.0), (2, 0.01), (5, 1e-5), (8, 1e-6)])
def test_last_digit(decimals: int, digit: float) -> None:
    forces = np.round(np.random.default_rng(0).normal(size=(50, 3)), decimals)
    assert constrained.last_digit(forces) == pytest.approx(digit)


def test_real_sets_lose_nothing(data_dir: Path) -> None:
    """Relaxations and symmetric crystals of MPtrj: 350 of 1000 frames have atoms whose force is exactly zero."""
    for name in ("metals/cu-train", "metals/mo-train", "mptrj/li-mn-o-relaxations", "mptrj/mptrj-random-1000"):
        frames = list(iter_frames(data_dir / f"{name}.extxyz"))
        assert any((f.forces == 0.0).all(axis=1).any() for f in frames)
        assert not any(f.remarks for f in without_placeholders(frames))
        assert list(findings(frames)) == []
