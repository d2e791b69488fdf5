"""Wherever frames are taken Atoms are too, and potentials by whatever has or names them: every public function."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from ase.calculators.lj import LennardJones as ASELennardJones
from ase.calculators.mixing import SumCalculator

import keel
from keel.commands.md import md as command
from keel.dynamics.settings import LENGTH_FS, RECORD_EVERY
from keel.errors import ConfigError, DataError
from keel.potentials.external import ASEPotential
from small_training import ARGON, SHORT, argon, network

FRAMES = argon(6)
ATOMS = [frame.to_ase() for frame in FRAMES]
COLD = keel.MDSettings(temperature=30, length_fs=3, record_every=1)


def functions() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield every function and class that keel and its rooms offer, but for those that hold what they are given."""
    for place in (keel, *(getattr(keel, room) for room in keel._ROOMS)):
        for name in getattr(place, "__all__", dir(place)):
            thing = getattr(place, name)
            if inspect.isfunction(thing) or (inspect.isclass(thing) and not hasattr(thing, "__dataclass_fields__")):
                yield f"{place.__name__}.{name}", thing


def test_no_public_function_asks_for_frames_alone():
    """Its parameter should be of the type Structure or Structures, and pass keel.atoms.as_frame or as_frames first."""
    asked, doors = [], set()
    for name, function in functions():
        try:
            parameters = inspect.signature(function).parameters.values()
        except ValueError:
            continue
        asked += [f"{name}: {p.name}" for p in parameters if re.search(r"\bFrames?\b", str(p.annotation))]
        doors |= {name for p in parameters if re.search(r"\bStructures?\b", str(p.annotation))}
    assert not asked
    assert len(doors) > 40


def probed(probe: Callable[..., Any], **options: Any) -> Callable[[Any], Any]:
    return lambda structures: probe(ARGON, structures, **options).to_dict()


MANY: dict[str, Callable[[Any], Any]] = {
    "train": lambda s: keel.train(network(), s, validation=s, settings=SHORT).history[-1]["total"],
    "teacher": lambda s: keel.train(network(), s, teacher=keel.fit_eam(s, 5.0), strategy="pretrain", settings=SHORT)
    .history[-1]["total"],
    "fit_eam": lambda s: keel.fit_eam(s, 5.0).errors.forces.mae,
    "fit_offsets": lambda s: keel.fitting.fit_offsets(s),
    "batch": lambda s: keel.batch(s, 5.0).labels.forces.sum().item(),
    "census": lambda s: keel.census(s).to_dict()["labels"],
    "split": lambda s: repr(keel.atoms.split(s, 0.5, 0.2)),
    "sample": lambda s: [f.energy for f in keel.atoms.sample(s, 2)],
    "potential": lambda s: ARGON(s).energy.tolist(),
    "evaluate": lambda s: keel.evaluate(network(), s).forces.mae,
    "accuracy": lambda s: keel.evaluation.accuracy(ARGON, s).forces.mae,
    "perturb": lambda s: [f.energy for f in keel.perturb(s, ARGON, keel.PerturbationSettings(rounds=2))],
    "simulate": lambda s: [t.last.frame.energy for t in keel.dynamics.simulate(ARGON, s, COLD)],
    "stability": lambda s: keel.dynamics.stability(ARGON, s, COLD).to_dict(),
    "md": lambda s: [f.energy for f in keel.md(ARGON, s, settings=COLD).trajectories[0].frames],
    "find_rung": lambda s: keel.dynamics.find_rung(ARGON, s, COLD, ladder=[30]).temperature,
    "rdf": lambda s: keel.evaluation.rdf(s, n_bins=5).g["total"].tolist(),
    "contact_errors": probed(keel.evaluation.contact_errors),
    "invariance": probed(keel.evaluation.invariance),
    "smoothness": probed(keel.evaluation.smoothness),
    "force_consistency": probed(keel.evaluation.force_consistency),
    "close_contacts": lambda s: keel.evaluation.close_contacts(s),
}  # fmt: skip


@pytest.mark.parametrize("name", MANY)
def test_atoms_are_as_good_as_frames(name):
    torch.manual_seed(0)
    from_frames = MANY[name](FRAMES)
    from_atoms = MANY[name](ATOMS)
    if isinstance(from_frames, float):
        assert from_atoms == pytest.approx(from_frames)
    else:
        assert repr(from_atoms).replace("in memory", "argon") == repr(from_frames)


@pytest.mark.parametrize("name", ["potential", "evaluate", "simulate", "md", "batch", "census"])
def test_one_is_as_good_as_a_list_and_a_file_too(name, tmp_path):
    keel.write(tmp_path / "one.extxyz", ATOMS[0])
    expected = MANY[name](FRAMES[:1])
    for given in (FRAMES[0], ATOMS[0], tmp_path / "one.extxyz", str(tmp_path / "one.extxyz"), iter(ATOMS[:1])):
        found = MANY[name](given)
        assert repr(found) == repr(expected) or found == pytest.approx(expected, rel=1e-6)


def test_probes_of_one_crystal_take_atoms_and_lists_of_one():
    energies = [keel.evaluation.relaxed(ARGON, given).energy for given in (FRAMES[0], ATOMS[0], ATOMS[:1])]
    assert energies == pytest.approx([energies[0]] * 3)
    with pytest.raises(DataError, match="one structure is needed here, not 6"):
        keel.evaluation.relaxed(ARGON, ATOMS)


def test_a_potential_makes_a_batch_of_its_own_cutoff_precision_and_list():
    direct, by_hand = network()(ATOMS), network()(keel.batch(FRAMES, 5.0))
    assert torch.allclose(direct.energy, by_hand.energy) and torch.allclose(direct.forces, by_hand.forces, atol=1e-6)
    assert network().double()(ATOMS[0]).forces.dtype == torch.float64


def test_potentials_are_taken_as_they_are_had(tmp_path):
    fit, trained = keel.fit_eam(FRAMES, 5.0), keel.train(network(), FRAMES, settings=SHORT)
    trained.potential.save(str(tmp_path / "net.safetensors"))
    assert keel.open_potential(fit) is fit.potential and keel.open_potential(trained) is trained.potential
    assert keel.open_potential(keel.KeelCalculator(fit)).cutoff == fit.potential.cutoff
    assert isinstance(keel.open_potential(ASELennardJones()), ASEPotential)
    for given in (tmp_path / "net.safetensors", str(tmp_path / "net.safetensors"), trained, trained.potential):
        assert keel.evaluate(given, ATOMS).forces.mae == pytest.approx(keel.evaluate(trained, FRAMES).forces.mae)
        atoms = ATOMS[0].copy()
        atoms.calc = keel.KeelCalculator(given)
        assert np.isfinite(atoms.get_forces()).all()


def test_open_potential_takes_objects_too():
    calculator, fit = ASELennardJones(), keel.fit_eam(FRAMES, 5.0)
    assert keel.open_potential(calculator).calculator is calculator
    both = SumCalculator([calculator, calculator])
    assert float(keel.open_potential(both)(ATOMS[0]).energy) == pytest.approx(2 * energy_of(calculator, ATOMS[0]))
    assert keel.open_potential(fit) is fit.potential is keel.open_potential(fit.potential)
    assert keel.open_potential(keel.KeelCalculator(fit)).cutoff == fit.potential.cutoff
    for call in (keel.open_potential, keel.KeelCalculator):
        with pytest.raises(ConfigError, match="arguments belong to a named calculator; give them to LennardJones"):
            call(calculator, arguments={"sigma": 3.0})
        with pytest.raises(DataError, match=r"^the class LennardJones was given where a potential is expected"):
            call(ASELennardJones)


def energy_of(calculator, atoms) -> float:
    atoms = atoms.copy()
    atoms.calc = calculator
    return atoms.get_potential_energy()


@pytest.mark.parametrize("given", [None, 3, ATOMS[0], FRAMES[0], {}])
def test_what_is_no_potential_gets_one_sentence(given):
    for call in (
        keel.open_potential,
        keel.KeelCalculator,
        lambda p: keel.evaluate(p, ATOMS),
        lambda p: keel.md(p, ATOMS, 30),
    ):
        with pytest.raises(DataError, match="was given where a potential is expected; give a potential of keel"):
            call(given)


def test_md_takes_what_the_command_takes(tmp_path):
    runs = keel.md(ARGON, ATOMS[:2], 30, 4, runs=3, settings=keel.MDSettings(temperature=9, length_fs=9, seed=5))
    assert (len(runs.times), runs.temperature, runs.length_fs, runs.seed) == (3, 30, 4, 5)
    keel.md(ARGON, ATOMS[0], temperature=30, length_fs=20, out=tmp_path / "a.extxyz")
    assert len(keel.read(tmp_path / "a.extxyz")) == 3
    usual = inspect.signature(command).parameters
    assert (usual["length_fs"].default, usual["record_every"].default) == (LENGTH_FS, RECORD_EVERY)
    with pytest.raises(ConfigError, match="temperature must be given"):
        keel.md(ARGON, ATOMS)
    with pytest.raises(ConfigError, match="temperature must not be negative"):
        keel.md(ARGON, ATOMS, temperature=-3)


def test_assess_takes_what_is_in_memory_and_what_lies_in_files(tmp_path):
    trained = keel.train(network(), FRAMES, settings=SHORT)
    found = keel.assess([ARGON, trained], ATOMS, probes=["accuracy", "contacts"], out=tmp_path)
    assert [a.potential for a in found] == ["LennardJones", "CGCNN"] and len(found) == 2
    assert found.page == tmp_path / "assessment.html" and found.page.is_file()
    assert found[1].by_probe["accuracy"]["MAE of forces"] == pytest.approx(
        1000 * keel.evaluate(trained, FRAMES).forces.mae, rel=1e-3
    )
    assert "CGCNN" in found._repr_html_() and "Assessments(LennardJones: " in repr(found)
    folders = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("results.json")}
    keel.assess([ARGON, tmp_path / "potentials" / "CGCNN.safetensors"], ATOMS, probes=["accuracy"], out=tmp_path)
    assert folders == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("results.json")}
    with pytest.raises(ConfigError, match="cannot be saved as a potential; name the calculator"):
        keel.assess(ASELennardJones(), ATOMS, probes="accuracy", out=tmp_path)
