"""What is printed is short, and what a notebook shows is a table of escaped text."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from ase import Atoms

import keel
from keel import showing
from keel.atoms.frame import Frame
from keel.evaluation.check import CheckResult, Curve, Film, Metric
from keel.evaluation.stability.rdf_window import RDFWindow
from keel.potentials.external import ASEPotential
from keel.results.assessment import Assessment
from keel.settings import Settings
from small_training import ARGON, SHORT, argon, network

FRAMES = keel.atoms.as_frames(argon(40))


class Tags(HTMLParser):
    """The tags of a piece of HTML, each closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen, self.open, self.words = [], [], ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        if tag not in ("path", "polyline"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words += data


def shown() -> dict[str, object]:
    """Return one of everything that a notebook user gets."""
    trained = keel.train(network(), FRAMES[:4], validation=FRAMES[4:6], settings=SHORT)
    fit = keel.fit_eam(FRAMES[:4], cutoff=5.0)
    wave = Curve("g", np.arange(500.0), np.sin(np.arange(500.0)), "r", "g")
    check = CheckResult("phonons", tuple(Metric(f"m{k}", 1.0, "eV", 2.0) for k in range(30)), (wave,), "passed", "fine")
    return {
        "frame": FRAMES[0],
        "frames": FRAMES,
        "graph": keel.batch(FRAMES, 5.0),
        "labels": keel.batch(FRAMES, 5.0).labels,
        "prediction": ARGON(FRAMES),
        "network": network(),
        "sum": keel.SumPotential([network(), keel.ZBL()]),
        "calculator": keel.KeelCalculator(network()),
        "training": trained,
        "fit": fit,
        "errors": keel.evaluate(fit, FRAMES),
        "parity": keel.evaluate(fit, FRAMES).forces,
        "runs": keel.md(ARGON, FRAMES[:30], temperature=30, length_fs=3),
        "survival": keel.md(ARGON, FRAMES[:2], temperature=30, length_fs=3).survival,
        "census": keel.census(FRAMES),
        "split": keel.atoms.split(FRAMES, 0.8, 0.1),
        "rdf": keel.evaluation.rdf(FRAMES),
        "dimer": keel.evaluation.dimers(ARGON, ["Ar"])["Ar-Ar"],
        "squeezed": keel.evaluation.squeeze(ARGON, FRAMES[:1])[0],
        "trajectory": keel.md(ARGON, FRAMES[:1], temperature=30, length_fs=3).trajectories[0],
        "rung": keel.dynamics.find_rung(ARGON, FRAMES[:2], keel.MDSettings(temperature=30, length_fs=3), ladder=[30]),
        "snapshot": keel.md(ARGON, FRAMES[:1], temperature=30, length_fs=3).trajectories[0].last,
        "check": check,
        "curve": wave,
        "film": Film("end", tuple(FRAMES)),
        "assessment": Assessment("net", (check, check)),
        "settings": keel.TrainingSettings(steps=7),
        "counts": keel.perturbation.Counts.zero(50),
        "card": keel.datasets.card("phosphorus"),
    }


@pytest.fixture(scope="module")
def everything() -> dict[str, object]:
    return shown()


def test_every_line_is_short(everything):
    long = {name: len(repr(thing)) for name, thing in everything.items() if len(repr(thing)) > 420}
    assert long.keys() <= {"card"}
    assert not [name for name, thing in everything.items() if "\n" in repr(thing) or "array(" in repr(thing)]


def test_every_table_is_whole_and_small(everything):
    for name, thing in everything.items():
        text = thing._repr_html_()
        tags = Tags(text)
        assert "table" in tags.seen and len(text) < 15_000, name


def test_what_the_lines_say(everything):
    periodic, labels = "periodic in three directions", "labels energy, forces, stress"
    assert repr(FRAMES[0]) == f"Frame(atoms Ar8; {periodic}; {labels}; from argon, frame 0)"
    assert repr(FRAMES) == "Frames(40; atoms 320 Ar; labels energy, forces, stress; from argon)"
    assert repr(keel.batch(FRAMES[:1], 3.0)) == "AtomGraph(structures 1; atoms 8; edges 0; within 3 angstrom)"
    told = "elements Ar; cutoff 5 angstrom; parameters 1,161; trained by nothing yet"
    assert repr(everything["network"]) == f"CGCNN({told})"
    assert "of CGCNN, ZBL; elements Ar" in repr(everything["sum"])
    assert "failed 0; median time to failure > 3 fs" in repr(everything["runs"])
    assert repr(everything["rung"]) == "Rung(temperature none; failed 0 of 2 at 30 K)"
    assert repr(everything["split"]) == "Split(train 32; validation 4; test 4)"
    assert repr(Frames := keel.atoms.Frames()) == "Frames(0)" and "0 frames" in Frames._repr_html_()


def test_pictures_of_curves(everything):
    for name in ("rdf", "dimer", "survival", "squeezed", "training"):
        picture = everything[name].picture()
        assert picture.count("<polyline") == 1 and "aria-label" in picture, name
    assert re.search(r'points="0.0,0.0 .* 220.0,0.0"', everything["survival"].picture())
    assert "<circle" in everything["trajectory"].picture() and "<circle" in everything["snapshot"].picture()
    assert "Squeezed(of Ar8 " in repr(everything["squeezed"]) and "lowest -0.01 eV" in repr(everything["dimer"])


def test_labels_of_some_frames_are_counted():
    frames = keel.atoms.Frames([FRAMES[0], FRAMES[1].unlabelled(), FRAMES[2].replace(stress=None)])
    assert "labels energy of 2, forces of 2, stress of 1" in repr(frames)


def test_many_rows_are_counted(everything):
    words = Tags(everything["runs"]._repr_html_()).words
    assert "and 19 more" in words and "argon, frame 10" in words and "argon, frame 11" not in words
    assert "and 19 more" in Tags(everything["check"]._repr_html_()).words


def test_text_of_files_is_escaped():
    bad = '<script>alert("x")</script>'
    frame = FRAMES[0].replace(source=bad)
    potential = network()
    potential.source = potential.trained_by = bad
    result = CheckResult(bad, (Metric(bad, 1.0, bad),), (), "failed", bad)
    for thing in (frame, keel.atoms.Frames([frame]), potential, keel.KeelCalculator(potential), result):
        text = thing._repr_html_()
        assert "<script" not in text and "&lt;script&gt;" in text


def test_settings_say_what_is_not_the_default():
    assert repr(keel.TrainingSettings()) == str(keel.TrainingSettings()) == "TrainingSettings()"
    assert repr(keel.MDSettings(temperature=300, length_fs=5)) == "MDSettings(temperature=300.0, length_fs=5.0)"
    changed = keel.TrainingSettings(loss={"energy": 2}, steps=3)
    assert repr(changed) == "TrainingSettings(steps=3, loss=LossSettings(energy=2.0))"
    assert isinstance(changed, Settings) and "optimiser steps of all stages together" in changed._repr_html_()


def test_pictures_have_a_ball_for_each_atom_and_none_where_there_can_be_none():
    assert FRAMES[0].picture().count("<circle") == 8 and 'class="cell"' in FRAMES[0].picture()
    assert FRAMES[0].replace(positions=np.full((8, 3), np.nan)).picture() == ""
    assert FRAMES[0].repeated((5, 5, 5)).picture() == "" and Frame(np.zeros(0, int), np.zeros((0, 3))).picture() == ""
    alone = keel.atoms.as_frame(Atoms("H")).picture()
    assert alone.count("<circle") == 1 and 'class="cell"' not in alone


def test_a_calculator_of_ase_shows_where_it_comes_from():
    told = "elements all; cutoff 5 angstrom; from ase.calculators.emt.EMT"
    assert repr(keel.KeelCalculator("ase.calculators.emt.EMT")) == f"KeelCalculator(of ASEPotential; {told})"


def test_curves():
    assert showing.line([1.0], label="x") == "" and showing.line([float("nan")] * 5, label="x") == ""
    points = re.search(r'points="([^"]*)"', showing.line([0.0, float("inf"), 4.0], label="a<b"))
    assert points and points[1] == "0.0,70.0 220.0,0.0"
    assert "a&lt;b" in showing.line([0.0, 1.0], label="a<b")
    assert 'points="0.0,0.0 220.0,35.0"' in showing.line([2.0, 1.0], label="x", lowest=0.0)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.zeros((3, 4)), "(3, 4)"),
        (None, "none"),
        ([], "none"),
        ([1, 2], "1, 2"),
        (range(3), "range(0, 3)"),
        (list(range(50)), "50"),
        ({"a": np.zeros(2)}, "a (2)"),
        ("x" * 500, "x" * 100 + "..."),
    ],
)
def test_brief_values(value, words):
    assert showing.brief(value) == words


def test_simulations_in_files_are_told_apart_by_every_number_of_a_reference():
    """Names of checkpoints of before hold this text: it must not become short."""
    reference = keel.evaluation.rdf(FRAMES[:2], r_max=3.0, n_bins=4)
    assert repr(RDFWindow(reference)) == (
        f"RDFWindow(reference=RDF(r={reference.r!r}, g={reference.g!r}, n_frames=2), "
        "delta=3.0, window=1000.0, every=10, by_pair=True, cause='rdf')"
    )


def test_what_trained_a_network_is_kept_with_it(tmp_path):
    trained = keel.train(network(), FRAMES[:4], settings=SHORT).potential
    assert trained.trained_by == "vanilla (12 steps, 4 frames)"
    trained.save(str(tmp_path / "net.safetensors"))
    loaded = keel.load(tmp_path / "net.safetensors")
    assert (loaded.trained_by, loaded.source) == (trained.trained_by, str(tmp_path / "net.safetensors"))
    again = keel.train(loaded, FRAMES[:3], strategy=keel.Strategy(rate=0.5), settings=SHORT).potential
    assert again.trained_by == "vanilla (12 steps, 4 frames), then a strategy of one's own (12 steps, 3 frames)"
    on_walls = keel.train(network(), FRAMES[:4], strategy="zbl-delta", settings=SHORT).potential
    on_walls.save(str(tmp_path / "sum.safetensors"))
    assert "trained by zbl-delta (12 steps, 4 frames); from" in repr(keel.load(tmp_path / "sum.safetensors"))
    assert "trained by" not in repr(keel.LennardJones()) + repr(ASEPotential("ase.calculators.emt.EMT"))
