"""Errors by hand, whatever the batches; conservation, smoothness and drift where the answer is known."""

import json
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import keel
from keel.cli import app
from keel.errors import DataError
from keel.evaluation import accuracy, force_consistency, nve_drift, smoothness
from keel.potentials import LennardJones
from simulated import Given, Spring, argon, molecule

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


# --- conservation ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("potential", [LJ, keel.CGCNN(elements=[18], cutoff=4.5)])
def test_forces_of_a_potential_are_the_slope_of_its_energy(potential):
    result = force_consistency(potential, argon(rattle=0.1))
    assert result.mean_deviation <= result.max_deviation < 1e-8


def test_forces_that_are_no_slope_are_found():
    made_up = Given(lambda graph: torch.full_like(graph.positions, 0.25))
    assert force_consistency(made_up, argon()).max_deviation == pytest.approx(0.25, abs=1e-9)


def test_a_smooth_potential_has_no_jumps():
    """The work-energy mismatch of a smooth potential is O(ds^3): eight times smaller at half the spacing."""
    coarse, fine = (smoothness(LJ, argon(), n_points=n, length=0.8) for n in (81, 161))
    assert coarse.energy_jump / fine.energy_jump == pytest.approx(8.0, rel=0.3)
    assert coarse.force_jump / fine.force_jump == pytest.approx(4.0, rel=0.3)


def test_a_truncated_potential_jumps_by_what_it_cuts_off():
    """A spring cut off at a stretch of 0.5 angstrom: 0.5 k 0.25 in energy, 0.5 k in force."""
    start = molecule([[0, 0, 0], [2.4, 0, 0]], [18, 18])
    spring = Spring(stiffness=4.0, length=2.0, cutoff=2.5)
    found = [smoothness(spring, start, atom=1, n_points=n, length=1.5, seed=s) for n in (101, 401) for s in range(3)]
    outward = [f for f in found if f.energy[-1] == 0.0 and f.energy[0] > 0]
    assert {len(probe.path) for probe in outward} == {101, 401}
    for probe in outward:
        assert probe.energy_jump == pytest.approx(0.5 * 4.0 * 0.25, rel=0.05)


def test_drift_of_energy():
    """A conservative potential keeps its energy; friction of the wrong sign in the forces does not."""
    drift = nve_drift(LJ, [argon(), argon(1)], temperature=40.0, length_fs=400.0, timestep=2.0, dtype=torch.float64)
    assert drift.shape == (2,) and np.abs(drift).max() < 1e-5
    pushed = Given(lambda graph: torch.full_like(graph.positions, 0.01))
    # Constant force from rest on average: dE/dt averages 3 F^2 t / (2 m) per atom, up to 0.4 ps.
    heated = nve_drift(pushed, [argon(1)], temperature=0.0, length_fs=400.0, timestep=2.0, dtype=torch.float64)
    expected = 1000.0 * 3 * 0.01**2 * 0.0096485 / 39.948 / 2 * 400.0
    assert heated[0] == pytest.approx(expected, rel=0.02)
