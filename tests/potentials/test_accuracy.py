"""Errors by hand, whatever the batches."""

import json
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import keel
from keel.cli import app
from keel.errors import DataError
from keel.evaluation import accuracy
from keel.potentials import LennardJones
from keel.potentials.batches import groups
from simulated import argon, molecule

LJ = LennardJones(cutoff=6.0)


def labelled(frame: keel.Frame, energy: float = 0.0, force: float = 0.0, stress: float = 0.0) -> keel.Frame:
    """Return the frame with labels that differ from the truth by these amounts."""
    truth = LJ(keel.batch(frame, 6.0, dtype=torch.float64))
    return frame.replace(
        energy=float(truth.energy[0]) + energy,
        forces=truth.forces.numpy() + force,
        stress=truth.stress[0].numpy() + stress if frame.pbc.all() else None,
    )


def test_errors_by_hand():
    """Per atom 1 and -3 meV; components 10 and -20 meV/angstrom over 32 and 4 atoms; 2 meV/angstrom^3."""
    frames = [labelled(argon(), -0.032, -0.01, -0.002), labelled(argon(1), 0.012, 0.02, -0.002)]
    result = accuracy(LJ, frames).to_dict()
    assert result["energy_mae_mev_per_atom"] == pytest.approx(2.0)
    assert result["energy_rmse_mev_per_atom"] == pytest.approx(np.sqrt(5.0))
    assert result["force_mae_mev_per_angstrom"] == pytest.approx((32 * 10 + 4 * 20) / 36)
    assert result["force_rmse_mev_per_angstrom"] == pytest.approx(np.sqrt((32 * 100 + 4 * 400) / 36))
    assert result["stress_mae_mev_per_cubic_angstrom"] == pytest.approx(2.0)
    assert (result["frames"], result["atoms"]) == (2, 36)
    assert json.loads(json.dumps(result)) == result


def test_batches_and_streams_do_not_matter():
    frames = [labelled(argon(1 + k % 2, seed=k), 0.01 * k, 0.02 * k) for k in range(6)]
    whole = accuracy(LJ, frames, max_atoms=10_000)
    for max_atoms in (1, 40):
        parts = accuracy(LJ, (f for f in frames), max_atoms=max_atoms)
        np.testing.assert_allclose(parts.forces.prediction, whole.forces.prediction, atol=1e-12)
        for name in ("energy", "forces", "stress"):
            assert getattr(parts, name).rmse == pytest.approx(getattr(whole, name).rmse, rel=1e-9, abs=1e-12)


def test_labels_that_are_absent_do_not_count():
    frames = [labelled(argon(1)).replace(energy=None), labelled(argon(1), -0.004).replace(forces=None, stress=None)]
    result = accuracy(LJ, frames)
    assert (result.energy.reference.size, result.forces.reference.size, result.stress.reference.size) == (1, 12, 6)
    assert result.to_dict()["energy_mae_mev_per_atom"] == pytest.approx(1.0)
    cluster = labelled(molecule([[0, 0, 0], [3.8, 0, 0]], [18, 18]))
    assert accuracy(LJ, [cluster]).to_dict()["stress_mae_mev_per_cubic_angstrom"] is None
    with pytest.raises(DataError, match="none of the 1 frames"):
        accuracy(LJ, [argon(1)])
    with pytest.raises(DataError, match="no frame"):
        accuracy(LJ, [])


def test_errors_by_element():
    frame = labelled(molecule([[0, 0, 0], [3.8, 0, 0], [0, 4.0, 0]], [8, 14, 14]))
    wrong = frame.replace(forces=frame.forces + np.array([[0.03], [0.01], [-0.02]]))
    by_element = accuracy(LJ, [wrong]).to_dict()["force_mae_mev_per_angstrom_by_element"]
    assert by_element == pytest.approx({"O": 30.0, "Si": 15.0})


def test_a_stream_is_read_batch_by_batch():
    alive = []

    def stream() -> Iterator[keel.Frame]:
        for k in range(5):
            alive.append(k)
            yield labelled(argon(1, seed=k))

    class Watched(LennardJones):
        seen: list[int] = []

        def forward(self, graph, **options):
            self.seen.append(len(alive))
            return super().forward(graph, **options)

    accuracy(Watched(cutoff=6.0), stream(), max_atoms=8)
    assert Watched.seen == [3, 5, 5]


def test_command(tmp_path):
    keel.write(tmp_path / "test.extxyz", [labelled(argon(1), -0.004, 0.01)])
    LJ.save(tmp_path / "lj.json")
    arguments = ["evaluate", str(tmp_path / "lj.json"), str(tmp_path / "test.extxyz")]
    answer = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).output)
    assert answer["energy_mae_mev_per_atom"] == pytest.approx(1.0)
    assert answer["force_mae_mev_per_angstrom"] == pytest.approx(10.0)
    shown = CliRunner().invoke(app, arguments)
    assert shown.exit_code == 0 and "meV/atom" in shown.output and "Ar" in shown.output


@given(st.lists(st.integers(1, 50)), st.integers(1, 60))
def test_groups_keep_order_and_bound(sizes, most):
    found = list(groups(iter(sizes), int, most))
    assert [size for group in found for size in group] == sizes
    assert all(sum(group) <= most or len(group) == 1 for group in found)
    # No group could have taken the first of the next one.
    assert all(sum(group) + following[0] > most for group, following in pairwise(found))
