"""g(r) of simulations is compared with that of the structures that were simulated."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from ase.build import bulk

import keel
from keel.atoms.frame import Frame
from keel.config import EvaluationSettings, StabilitySettings
from keel.evaluation.structure.rdf import TOTAL, mean_rdf, rdf
from keel.results.measured import RadialDistributions
from keel.workflow import measure
from simulated import frame_of

LENGTHS = (5.0, 5.2, 5.4, 5.6, 5.8, 6.0)


def vibrating(a: float, count: int, seed: int) -> list[Frame]:
    """Frames of one of several crystals of argon, as experiments at one temperature would see them."""
    frame, rng = frame_of(bulk("Ar", a=a, cubic=True)).replace(info={"crystal": f"{a:g}"}), np.random.default_rng(seed)
    return [frame.replace(positions=frame.positions + rng.normal(0, 0.1, (4, 3))) for _ in range(count)]


@pytest.fixture
def perfect(monkeypatch):
    """Simulations that are further frames of the structure they start from."""

    def simulate(potential, starts, settings, callback):
        return [
            SimpleNamespace(
                survived=True,
                snapshots=[
                    SimpleNamespace(frame=frame, time=settings.length_fs)
                    for frame in vibrating(float(start.info["crystal"]), 60, 100 + k)
                ],
            )
            for k, start in enumerate(starts)
        ]

    monkeypatch.setattr(measure, "simulate", simulate)


@pytest.mark.parametrize("sizes", [(40,) * 6, (80, 20, 60, 10, 40, 30)])
def test_a_perfect_simulation_of_some_structures_is_as_near_as_halves_of_the_data(perfect, sizes, tmp_path):
    frames = [f for k, (a, n) in enumerate(zip(LENGTHS, sizes, strict=True)) for f in vibrating(a, n, k)]
    settings = EvaluationSettings(rdf_temperature=100.0, rdf_runs=2, rdf_length_fs=100.0)
    errors = {}
    for by in ("crystal", None):
        measure.measure_rdf(tmp_path, keel.LennardJones(), frames, settings, StabilitySettings(), "ideal", by)
        found = RadialDistributions.read(tmp_path)
        errors[by] = found.errors["Ar-Ar"]["percent"]
        if by:
            assert errors[by] < 2.0 * found.floor["Ar-Ar"]["percent"]
    assert errors[None] > 3.0 * errors["crystal"]


def test_a_structure_of_one_frame_has_no_halves(perfect, tmp_path):
    frames = [vibrating(a, 1, k)[0] for k, a in enumerate(LENGTHS)]
    settings = EvaluationSettings(rdf_temperature=100.0, rdf_runs=2, rdf_length_fs=100.0)
    measure.measure_rdf(tmp_path, keel.LennardJones(), frames, settings, StabilitySettings(), "ideal", "crystal")
    found = RadialDistributions.read(tmp_path)
    assert found.errors and not found.floor


def test_the_mean_gives_each_the_same_weight():
    one, other = rdf(vibrating(5.0, 30, 0)), rdf(vibrating(6.0, 3, 1))
    mean = mean_rdf([one, other, replace(one, g={TOTAL: one.g[TOTAL]})])
    np.testing.assert_allclose(mean.g[TOTAL], (2 * one.g[TOTAL] + other.g[TOTAL]) / 3)
    np.testing.assert_allclose(mean.g["Ar-Ar"], (one.g["Ar-Ar"] + other.g["Ar-Ar"]) / 2)
    assert mean.n_frames == 63
