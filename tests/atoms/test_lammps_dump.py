"""Dumps of LAMMPS: elements, units, boxes, and no energy."""

import numpy as np
import pytest

import keel
import outputs
from keel.atoms.formats.lammps_dump import ASSUMED
from keel.atoms.read import BadFrames, iter_frames
from keel.atoms.record import LabelKeys
from keel.atoms.units import BOHR, HARTREE, KCAL_PER_MOL
from keel.errors import DataError

TRUE = outputs.frames(2)
TILTED = np.array([[4.0, 0.0, 0.0], [0.7, 4.2, 0.0], [-0.9, -0.5, 4.4]])


def table(*columns):
    return "\n".join(" ".join(map(str, row)) for row in zip(*columns, strict=True))


def dump(*snapshots, units=None):
    return (f"ITEM: UNITS\n{units}\n" if units else "") + "".join(snapshots)


def snapshot(names, columns, box="pp pp pp\n0 4\n0 4\n0 4", step=0):
    rows = table(*columns)
    return (
        f"ITEM: TIMESTEP\n{step}\nITEM: NUMBER OF ATOMS\n{len(columns[0])}\nITEM: BOX BOUNDS {box}\n"
        f"ITEM: ATOMS {names}\n{rows}\n"
    )


def read(tmp_path, text, name="a.lammpstrj", **options):
    (tmp_path / name).write_text(text)
    return list(iter_frames(tmp_path / name, **options))


X, F = np.array([[0.0, 0.0, 0.0], [2.0, 2.1, 1.9]]), np.array([[0.1, 0.2, -0.3], [-0.1, -0.2, 0.3]])
PLAIN = "id type element x y z fx fy fz"


def plain(elements=("Si", "O"), types=(1, 2), step=0):
    return snapshot(PLAIN, [(1, 2), types, elements, *X.T, *F.T], step=step)


def test_a_dump_has_forces_and_no_energy(tmp_path):
    frames = read(tmp_path, dump(plain(), plain(step=5), units="metal"), name="md.out")
    assert [f.info["timestep"] for f in frames] == [0, 5]
    for frame in frames:
        assert frame.formula == "OSi" and frame.energy is None and frame.pbc.all() and not frame.remarks
        np.testing.assert_allclose(frame.forces, F)
        np.testing.assert_allclose(frame.positions, X)


def test_types_are_no_elements(tmp_path):
    text = dump(snapshot("id type x y z fx fy fz", [(1, 2), (1, 2), *X.T, *F.T]))
    with pytest.raises(DataError, match="frame 0: it has atoms of 2 types but does not say which elements"):
        read(tmp_path, text)
    (frame,) = read(tmp_path, text, keys=LabelKeys(elements=("Si", "O")))
    assert frame.numbers.tolist() == [14, 8]


def test_carbon_for_every_type_is_what_lammps_prints_untold(tmp_path):
    with pytest.raises(DataError, match="2 types but does not say"):
        read(tmp_path, dump(plain(elements=("C", "C"))))
    assert read(tmp_path, dump(plain(elements=("C", "C"), types=(1, 1))))[0].formula == "C2"


@pytest.mark.parametrize(
    ("units", "force", "length"),
    [("metal", 1.0, 1.0), ("real", KCAL_PER_MOL, 1.0), ("electron", HARTREE / BOHR, BOHR), (None, 1.0, 1.0)],
)
def test_units(tmp_path, units, force, length):
    (frame,) = read(tmp_path, dump(plain(), units=units))
    np.testing.assert_allclose(frame.forces, F * force)
    np.testing.assert_allclose(frame.positions, X * length)
    assert frame.volume == pytest.approx((4 * length) ** 3)
    assert frame.remarks == (() if units else (ASSUMED,))


def test_units_that_mean_nothing_here(tmp_path):
    with pytest.raises(DataError, match=r"frame 0: its units are 'lj'; run LAMMPS with units metal, real, electron"):
        read(tmp_path, dump(plain(), units="lj"))


@pytest.mark.parametrize(("units", "per_fs"), [("metal", 1e-3), ("real", 1.0)])
def test_velocities(tmp_path, units, per_fs):
    text = snapshot("id element x y z vx vy vz", [(1, 2), ("Si", "O"), *X.T, *F.T])
    np.testing.assert_allclose(read(tmp_path, dump(text, units=units))[0].velocities, F * per_fs)


ORIGIN = np.array([1.0, -2.0, 0.5])
LOW = ORIGIN + np.array([min(0, 0.7, -0.9, 0.7 - 0.9), min(0, -0.5), 0])
HIGH = ORIGIN + np.array([4.0 + max(0, 0.7, -0.9, 0.7 - 0.9), 4.2 + max(0, -0.5), 4.4])
BOUNDS = "\n".join(f"{lo} {hi} {tilt}" for lo, hi, tilt in zip(LOW, HIGH, (0.7, -0.9, -0.5), strict=True))


@pytest.mark.parametrize(
    "box",
    [
        f"xy xz yz pp pp ff\n{BOUNDS}",
        "abc origin pp pp ff\n" + "\n".join(" ".join(map(str, row)) for row in np.column_stack([TILTED, ORIGIN])),
    ],
    ids=["restricted", "general"],
)
@pytest.mark.parametrize("columns", ["x y z", "xu yu zu", "xs ys zs", "xsu ysu zsu"])
def test_boxes_that_lean_and_every_kind_of_position(tmp_path, box, columns):
    scaled = np.array([[0.1, 0.2, 0.3], [0.6, 0.5, 0.9]])
    values = scaled if "s" in columns else scaled @ TILTED + ORIGIN
    text = snapshot(f"id element {columns}", [(2, 1), ("O", "Si"), *values.T], box=box)
    (frame,) = read(tmp_path, text)
    assert frame.pbc.tolist() == [True, True, False] and frame.formula == "OSi"
    np.testing.assert_allclose(frame.cell, TILTED, atol=1e-12)
    np.testing.assert_allclose(frame.positions, (scaled @ TILTED)[::-1], atol=1e-12)  # In the order of the ids.


def test_forces_agree_with_those_in_extended_xyz(tmp_path):
    keel.write(tmp_path / "a.extxyz", TRUE)
    texts = []
    for frame in TRUE:
        x, y, z = frame.cell
        box = "abc origin pp pp pp\n" + "\n".join(f"{a} {b} {c} 0" for a, b, c in (x, y, z))
        texts.append(
            snapshot("id element x y z fx fy fz", [range(4), ["Cu"] * 4, *frame.positions.T, *frame.forces.T], box)
        )
    for frame, true in zip(read(tmp_path, dump(*texts)), keel.read(tmp_path / "a.extxyz"), strict=True):
        np.testing.assert_allclose(frame.forces, true.forces)
        np.testing.assert_allclose(frame.positions, true.positions)
        np.testing.assert_allclose(frame.cell, true.cell)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (plain() + plain()[:-12], "frame 1: it should have 2 atoms with 9 columns each"),
        (plain() + "ITEM: TIMESTEP\n5\n", "frame 1: the snapshot is damaged or cut off"),
        (plain() + plain().replace(" 0.1 ", " ? "), "frame 1: the snapshot is damaged or cut off"),
        (plain() + plain(elements=("Si", "Xx")), "frame 1"),
        (plain() + snapshot("id element", [(1, 2), ("Si", "O")]), "frame 1: its columns contain no positions"),
        (plain() + snapshot("id x y z", [(1, 2), *X.T]), "frame 1: it has neither a column element nor a column type"),
    ],
)
def test_damage_is_that_of_its_snapshot(tmp_path, text, message):
    bad = BadFrames(tmp_path / "bad")
    assert len(read(tmp_path, text, skip_bad=bad)) == len(bad) == 1
    assert message in bad.reasons[0]


@pytest.mark.parametrize("box", ["\n0 4\n0 4\n0 4", "xy xz yz\n0 4 0\n0 4 0\n0 4 0"])
def test_a_box_that_may_be_periodic_or_not_is_refused(tmp_path, box):
    with pytest.raises(DataError, match="frame 0: it does not say in which directions it is periodic"):
        read(tmp_path, snapshot(PLAIN, [(1, 2), (1, 2), ("Si", "O"), *X.T, *F.T], box=box))


@pytest.mark.parametrize(("words", "pbc"), [("ff ss mm", [False] * 3), ("pp pp fs", [True, True, False])])
def test_kinds_of_boundaries(tmp_path, words, pbc):
    (frame,) = read(tmp_path, snapshot(PLAIN, [(1, 2), (1, 2), ("Si", "O"), *X.T, *F.T], box=f"{words}\n0 4\n0 4\n0 4"))
    assert frame.pbc.tolist() == pbc


class TestElementsOfOneType:
    """LAMMPS writes C for every type where it was not told elements."""

    def dump(self, mass=(63.5, 63.5), types=(1, 1), element=("C", "C"), names="id type mass element x y z"):
        return snapshot(names, [(1, 2), types, mass, element, *X.T])

    def test_the_user_knows_better(self, tmp_path):
        (frame,) = read(tmp_path, self.dump(), keys=LabelKeys(elements=("Cu",)))
        assert frame.numbers.tolist() == [29, 29]

    def test_masses_tell_that_it_is_no_carbon(self, tmp_path):
        with pytest.raises(DataError, match="frame 0: it has atoms of 1 type but does not say which elements"):
            read(tmp_path, self.dump())
        (frame,) = read(tmp_path, self.dump(mass=(12.011, 12.011)))
        assert frame.numbers.tolist() == [6, 6]

    def test_labels_of_types_are_elements(self, tmp_path):
        (frame,) = read(tmp_path, snapshot("id type x y z", [(1, 2), ("Si", "O"), *X.T]))
        assert frame.numbers.tolist() == [14, 8]


@pytest.mark.parametrize(
    ("names", "columns", "missing"),
    [("id element x y", [*X.T[:2]], "z"), ("id element x y z fx fy", [*X.T, *F.T[:2]], "fz")],
)
def test_columns_that_are_missing_are_named(tmp_path, names, columns, missing):
    with pytest.raises(DataError, match=f"frame 0: it has no column {missing}; write "):
        read(tmp_path, snapshot(names, [(1, 2), ("Si", "O"), *columns]))


def test_columns_that_are_not_used_are_named(tmp_path):
    (frame,) = read(tmp_path, snapshot("id element x y z q f_avg[1] ix", [(1, 2), ("Si", "O"), *X.T, *X.T]))
    assert frame.unused == ("f_avg[1]", "q")
