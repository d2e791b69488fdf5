"""Squeezed silica and phosphorus by DFT, the judge of potentials where atoms are too close: is it sound?"""

from __future__ import annotations

import importlib
from collections import Counter
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import keel
from keel.atoms.census import take_census
from keel.atoms.closest import close_pairs, closest_contacts
from keel.atoms.units import GPA
from keel.evaluation import errors_by_contact
from keel.potentials.accuracy import accuracy
from keel.potentials.classical.zbl import ZBL

FILES = Path(__file__).parents[1] / "files"
EXAMPLES = Path(__file__).parents[2] / "examples" / "phosphorus-cp2k"
MATERIALS = ("silica", "phosphorus")
FEWEST = 10
"""Structures for each tenth of a bond that the closest contact spans."""


@pytest.fixture(scope="module", params=MATERIALS)
def material(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def frames(material: str) -> list[keel.Frame]:
    return keel.read(FILES / f"squeezed-{material}.extxyz.xz")


@pytest.fixture
def squeezed(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script that made the structures."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module("squeezed")


def contact(frame: keel.Frame) -> float:
    return float(closest_contacts(frame, 1.1).min())


def pressure(frame: keel.Frame) -> float:
    return float(-np.trace(frame.stress) / 3 / GPA)


def test_closest_contacts_are_spread_evenly_for_every_kind(frames: list[keel.Frame]) -> None:
    contacts = np.array([contact(f) for f in frames])
    assert np.histogram(contacts, np.arange(0.5, 0.95, 0.1))[0].min() >= FEWEST
    assert contacts.min() > 0.5 - 1e-6
    assert contacts.max() < 0.9
    kinds = Counter(str(f.info["kind"]) for f in frames)
    for kind in kinds:
        of_kind = [c for c, f in zip(contacts, frames, strict=True) if f.info["kind"] == kind]
        assert max(of_kind) - min(of_kind) > 0.3


def test_every_pair_of_elements_is_pushed_together(material: str, frames: list[keel.Frame]) -> None:
    pairs = {"silica": {"O-O", "O-Si", "Si-Si"}, "phosphorus": {"P-P"}}[material]
    assert {str(f.info["kind"]) for f in frames} == {"compressed", "rattled"} | pairs


def test_frames_are_sound(frames: list[keel.Frame]) -> None:
    assert not take_census(frames).refusals()
    for frame in frames:
        # The grid, to which oxygen's core is sharp, leaves a net force.
        assert np.abs(frame.forces.mean(axis=0)).max() < 0.02 * np.abs(frame.forces).mean()
        np.testing.assert_allclose(frame.stress, frame.stress.T, atol=1e-6)


def test_atoms_far_too_close_push_each_other_apart(frames: list[keel.Frame]) -> None:
    """The nearest two, where they are closer than three quarters of a bond."""
    near = [f for f in frames if contact(f) < 0.75 and "-" in str(f.info["kind"])]
    assert len(near) > FEWEST
    for frame in near:
        ((i, j), shifts), lengths = close_pairs(frame, 1.1)
        k = int(lengths.argmin())
        line = frame.positions[j[k]] - frame.positions[i[k]] + shifts[k] @ frame.cell
        assert (frame.forces[j[k]] - frame.forces[i[k]]) @ line > 0


def test_pressure_is_that_of_compression(frames: list[keel.Frame]) -> None:
    """Of each crystal or liquid, the denser half is under the higher pressure."""
    for start in {str(f.info["start"]) for f in frames}:
        members = [f for f in frames if f.info["start"] == start and f.info["kind"] == "compressed"]
        members.sort(key=lambda f: f.volume)
        half = len(members) // 2
        assert min(map(pressure, members[:half])) > 0
        assert np.median([pressure(f) for f in members[:half]]) > np.median([pressure(f) for f in members[half:]])


def test_they_judge_a_potential_in_every_bin(frames: list[keel.Frame]) -> None:
    """Cores alone are better than no force where atoms are closest. Only differences of energies are judged."""
    divided = errors_by_contact(accuracy(ZBL(), frames), frames)
    forces = divided.quantities["forces"]
    assert (forces.frames[1:4] >= FEWEST).all()
    assert forces.error[1] < forces.label[1]
    assert set(divided.quantities) == {"forces", "energy", "pressure"}
    assert not divided.unjudged


def test_structures_are_those_of_the_script(squeezed: ModuleType, material: str, frames: list[keel.Frame]) -> None:
    """The first kind of them; the others follow with the same random numbers, after many trials."""
    starts, kinds = squeezed.MATERIALS[material]()
    made = squeezed.structures(starts, *kinds[0], np.random.default_rng(0))
    kept = {f.positions.round(6).tobytes() for f in frames if f.info["kind"] == made[0].info["kind"]}
    assert kept <= {f.positions.round(6).tobytes() for f in made}
    assert len(kept) > len(made) / 2
