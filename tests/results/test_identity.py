"""Hashes: they tell apart what differs, they do not depend on what does not matter, and they never change."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from pydantic import Field

import keel
from keel.atoms.frame import Frame
from keel.config import AssessmentSettings, EvaluationSettings, NetworkSettings, StabilitySettings, TeacherSettings
from keel.identity import (
    BEFORE,
    FIRST,
    as_before,
    later,
    of_file,
    of_geometry,
    of_named_files,
    of_potential,
    of_settings,
    of_split,
    of_starts,
    of_training,
    stated,
)
from keel.perturbation import PerturbationSettings
from keel.potentials.external.ase import ASEPotential
from keel.potentials.external.origin import origin_of
from keel.potentials.sum import SumPotential
from keel.settings import Settings
from keel.training import LossSettings, Strategy, TrainingSettings
from keel.workflow.cache import FORMATS, described
from pinned import pinned

SPLIT, GEOMETRY, STARTS = "81fe180742280373", "3bc91b5c5bbf", "897d4c0fefeb798d"
POTENTIAL, TRAINING = "efabb2d715cb3fb8", "a1c20e98b8fba504"


def frame(**changes) -> Frame:
    made = Frame(
        numbers=np.array([8, 14]),
        positions=np.array([[0.0, 0.0, 0.0], [1.5, 0.25, 0.0]]),
        cell=4.0 * np.eye(3),
        pbc=np.array([True, True, True]),
        energy=-3.5,
        forces=np.array([[0.5, 0.0, 0.0], [-0.5, 0.0, 0.0]]),
        stress=0.125 * np.eye(3),
    )
    return made.replace(**changes)


def test_what_was_hashed_by_the_first_release_has_the_same_hash():
    """Made with keel 0.1.0; results, checkpoints and samples of its users are found by these."""
    assert of_split([[frame()], [], [frame(pbc=np.array([True, True, False]), forces=None)]]).startswith(SPLIT)
    assert of_geometry(frame()) == GEOMETRY
    assert of_starts([(frame(), None, 0), (frame(), np.ones((2, 3)), 7)]).startswith(STARTS)
    lj = keel.LennardJones(epsilon=0.25, sigma=2.0, cutoff=5.0)
    assert of_potential("LennardJones", lj.config(), lj.state_dict()).startswith(POTENTIAL)
    parts = (Strategy(sam_rho=0.005), pinned(TrainingSettings(steps=7)), None, 3)
    known = ("LennardJones", lj.config(), lj.state_dict())
    found = of_training(
        ("CGCNN", {"elements": [8]}), [known, ("ASEPotential", None, {})], [[frame()], [frame(stress=None)]], parts
    )
    assert found.startswith(TRAINING)


@pytest.mark.parametrize(
    "change",
    [
        {"numbers": np.array([8, 8])},
        {"positions": np.array([[0.0, 0.0, 0.0], [1.5, 0.25, 1e-12]])},
        {"cell": 4.5 * np.eye(3)},
        {"pbc": np.array([True, True, False])},
        {"energy": -3.25},
        {"energy": None},
        {"forces": None},
        {"stress": None},
        {"forces_mask": np.array([True, False])},
        {"fixed": np.ones((2, 3), dtype=bool)},
        {"masses": np.array([2.0, 28.0])},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_split_is_told_by_structures_and_labels(change):
    assert of_split([[frame()]]) != of_split([[frame(**change)]])
    geometry = {"numbers", "positions", "cell", "pbc"} & set(change)
    assert (of_geometry(frame()) != of_geometry(frame(**change))) == bool(geometry)


def test_a_split_is_told_by_its_parts_and_their_order():
    a, b = frame(), frame(energy=-3.0)
    ways = [[[a, b], []], [[b, a], []], [[a], [b]], [[], [a, b]]]
    assert len({of_split(way) for way in ways}) == 4


def test_where_a_frame_comes_from_does_not_matter():
    other = frame(source="elsewhere", info={"a": 1})
    assert of_split([[frame()]]) == of_split([[other]])
    assert of_geometry(frame()) == of_geometry(other)


def test_training_is_told_by_the_forces_that_count():
    def of(f: Frame) -> str:
        return of_training(("CGCNN", {}), [], [[f]], [0])

    assert len({of(frame()), *(of(frame(forces_mask=np.array([k, True]))) for k in (True, False))}) == 3
    assert of(frame()) == of(frame(masses=np.array([2.0, 28.0])))


class TestCalculators:
    def test_are_told_by_what_made_them(self, tmp_path):
        (tmp_path / "model.pt").write_bytes(b"1")

        def of(*arguments) -> str:
            return of_potential(*stated(ASEPotential(*arguments)))

        lj, emt = "ase.calculators.lj.LennardJones", "ase.calculators.emt.EMT"
        named = [of(emt), of(lj), of(lj, {"sigma": 2.0}), of(lj, {"sigma": 2.5})]
        made = [of(EMT()), of(LennardJones(sigma=2.0)), of(LennardJones(sigma=2.5))]
        assert len({*named, *made}) == 7
        assert of(lj, {"sigma": 2.5}) == named[3]
        assert of(LennardJones(sigma=2.5)) == made[2]

    def test_are_told_by_the_files_they_read_but_not_by_those_they_write(self, tmp_path):
        model, log = tmp_path / "model.pt", tmp_path / "run.log"
        arguments = {"model": str(model), "logfile": str(log), "directory": str(tmp_path), "size": 3}
        assert of_named_files(arguments) == {}
        model.write_bytes(b"1")
        log.write_bytes(b"1")
        before = of_named_files(arguments)
        assert set(before) == {"model"}
        log.write_bytes(b"2")
        assert of_named_files(arguments) == before
        model.write_bytes(b"2")
        assert of_named_files(arguments) != before

    def test_with_networks_are_told_by_their_weights(self):
        class WithNetwork(LennardJones):
            def __init__(self, seed: int) -> None:
                super().__init__()
                torch.manual_seed(seed)
                self.models = [torch.nn.Linear(2, 2)]

        one, same, other = (of_potential(*stated(ASEPotential(WithNetwork(seed)))) for seed in (0, 0, 1))
        assert one == same != other

    def test_an_object_among_arguments_counts_by_its_class(self):
        one, other = (origin_of(EMT(), ("a.B", {"x": torch.nn.Identity(), "y": [1, 2]})) for _ in range(2))
        assert one == other == {"calculator": "a.B", "arguments": {"x": "Identity", "y": [1, 2]}, "files": {}}

    def test_sums_are_told_by_them_and_by_weights(self):
        lj = keel.LennardJones(epsilon=0.25, sigma=2.0, cutoff=5.0)

        def of(calculator, weight: float) -> str:
            return of_potential(*stated(SumPotential([lj, ASEPotential(calculator)], [1.0, weight])))

        assert len({of(EMT(), 1.0), of(EMT(), 0.5), of(LennardJones(), 1.0)}) == 3


def test_files_by_content_and_absent_ones_by_nothing(tmp_path):
    for name, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).write_bytes(content)
    assert of_file(tmp_path / "a") == of_file(tmp_path / "b") != of_file(tmp_path / "c")
    assert of_file(tmp_path / "none") == ""


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_potentials_differ_by_class_configuration_and_weights(dtype):
    weights = {"w": torch.ones(2, dtype=dtype), "b": torch.zeros((), dtype=dtype)}
    others = [
        ("A", {"c": 1}, weights),
        ("B", {"c": 1}, weights),
        ("A", {"c": 2}, weights),
        ("A", None, weights),
        ("A", {"c": 1}, {**weights, "w": 2 * weights["w"]}),
        ("A", {"c": 1}, {"v": weights["w"], "b": weights["b"]}),
    ]
    assert len({of_potential(*other) for other in others}) == len(others)


FIRST_OF_OLD = frozenset({"steps", "loss"})


class TestSettings:
    """A new setting whose default changes nothing leaves all results in their places."""

    class Old(Settings):
        steps: int = 5
        loss: LossSettings = Field(default_factory=LossSettings)

    class New(Settings):
        steps: int = 5
        loss: LossSettings = Field(default_factory=LossSettings)
        momentum: float = 0.0
        gates: tuple[int, ...] = Field(default_factory=tuple)

    @pytest.fixture(autouse=True)
    def first(self, monkeypatch):
        monkeypatch.setattr("keel.identity.FIRST", {**FIRST, "Old": FIRST_OF_OLD, "New": FIRST_OF_OLD})

    def test_a_new_setting_at_its_default_is_left_out(self):
        assert of_settings(self.New()) == of_settings(self.Old())
        assert of_settings(self.New(steps=5)) == of_settings(self.Old())

    def test_a_new_setting_that_is_chosen_counts(self):
        assert of_settings(self.New(momentum=0.5)) == {**of_settings(self.Old()), "momentum": 0.5}
        assert of_settings(self.New(gates=(1,)))["gates"] == (1,)

    def test_first_settings_count_whatever_their_value(self):
        assert of_settings(self.New())["steps"] == 5

    def test_settings_within_settings(self, monkeypatch):
        class Deeper(LossSettings):
            tail: float = 0.0

        monkeypatch.setattr(
            "keel.identity.FIRST", {**FIRST, "Deeper": FIRST["LossSettings"], "Outer": frozenset({"loss"})}
        )
        monkeypatch.setattr("keel.identity.BEFORE", {**BEFORE, "Deeper": BEFORE.get("LossSettings", {})})

        class Outer(Settings):
            loss: Deeper = Field(default_factory=Deeper)

        assert of_settings(Outer())["loss"] == of_settings(LossSettings())
        assert of_settings(Outer(loss=Deeper(tail=1.0)))["loss"]["tail"] == 1.0

    def test_what_a_result_does_not_depend_on_is_left_out(self):
        assert of_settings(self.New(), exclude=("loss",)) == {"steps": 5}

    def test_a_default_that_changes_leaves_earlier_results_to_who_asks_for_what_was_done(self, monkeypatch):
        class Changed(Settings):
            steps: int = 7
            loss: LossSettings = Field(default_factory=LossSettings)
            momentum: float = 0.5
            gates: tuple[int, ...] = Field(default_factory=tuple)

        class Whole(Settings):
            part: Changed = Field(default_factory=Changed)

        monkeypatch.setattr("keel.identity.FIRST", {**FIRST, "Changed": FIRST_OF_OLD})
        monkeypatch.setattr("keel.identity.BEFORE", {"Changed": {"steps": 5, "momentum": 0.0}})
        old = of_settings(self.Old())
        assert of_settings(Changed(steps=5, momentum=0.0)) == old
        assert of_settings(Changed()) == {**old, "steps": 7, "momentum": 0.5}
        assert of_settings(Changed(steps=5, momentum=0.25)) == {**old, "momentum": 0.25}
        assert of_settings(Whole(part=Changed(steps=5, momentum=0.0))) == {"part": old}
        assert as_before(Changed()) == dict(self.New()) == as_before(self.New(momentum=3.0))


KINDS = {
    kind.__name__: kind
    for kind in (
        AssessmentSettings,
        EvaluationSettings,
        LossSettings,
        NetworkSettings,
        PerturbationSettings,
        StabilitySettings,
        Strategy,
        TeacherSettings,
        TrainingSettings,
    )
}


@pytest.mark.parametrize("name", FIRST)
def test_the_first_settings_still_exist(name):
    """One that goes needs a step that says what became of results that were made with it."""
    kind = KINDS[name]
    assert FIRST[name] <= set(kind.model_fields) >= set(BEFORE.get(name, {}))
    then = pinned(kind())
    assert set(of_settings(then)) == FIRST[name], "only what came later is left out of what was done then"
    whole = {name for name, left_out in later(then).items() if left_out is True}
    assert whole == set(kind.model_fields) - FIRST[name]


def test_a_default_of_before_is_none_of_now():
    assert BEFORE.keys() <= KINDS.keys()
    assert [(k, n) for k, then in BEFORE.items() for n, v in then.items() if getattr(KINDS[k](), n) == v] == []


def test_a_network_is_told_by_its_arguments():
    a = NetworkSettings(architecture="CGCNN", cutoff=4.0)
    assert of_settings(a, exclude=("training",)) == {
        "architecture": "CGCNN",
        "start": None,
        "name": None,
        "cutoff": 4.0,
    }


class TestTasks:
    def test_a_release_does_not_throw_results_away(self, monkeypatch):
        before = described("train", "a", {"x": 1})
        monkeypatch.setattr("keel.version.__version__", "9.9.9")
        assert described("train", "a", {"x": 1}) == before
        assert before == '{"keel": "0.1.0", "kind": "train", "name": "a", "x": 1}'

    def test_a_task_that_does_something_else_has_another_number(self, monkeypatch):
        before = described("train", "a", {"x": 1}), described("rdf", "a", {"x": 1})
        monkeypatch.setattr("keel.workflow.cache.FORMATS", {**FORMATS, "train": 2})
        assert described("train", "a", {"x": 1}) != before[0]
        assert described("rdf", "a", {"x": 1}) == before[1]
